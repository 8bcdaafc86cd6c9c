"""Tables of the pages: columns, and rows of cells that template and script show alike.

In: texts, with links, flags or thumbnails. Out: records for the templates, and the same rows as a
script, for sorting and filtering over all pages of a table. Ids are text: no number is rounded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speclens.view.content import Thumbnail
from speclens.view.findings import Finding
from speclens.view.wording import printable

__all__ = ["Cell", "Heading", "write_rows"]


@dataclass(frozen=True)
class Heading:
    """The head of a column.

    Parameters
    ----------
    title : str
        What it says.
    numeric : bool, optional
        Whether the column holds numbers.
    meaning : str, optional
        What they are.
    whole : bool, optional
        Whether its cells stay on one line.
    """

    title: str
    numeric: bool = False
    meaning: str = ""
    whole: bool = False

    @property
    def style(self) -> str:
        """Class of its cells in the style sheet."""
        return "n" if self.numeric else "keep" if self.whole else ""


@dataclass(frozen=True)
class Cell:
    """One cell.

    Parameters
    ----------
    text : str, optional
        What it says.
    value : float, optional
        By what it is sorted, where its text does not begin with that number.
    page : str, optional
        Page that it leads to.
    marks : sequence of Finding, optional
        Flags.
    line : Thumbnail, optional
        Picture of the line.
    """

    text: str = ""
    value: float | None = None
    page: str = ""
    marks: Sequence[Finding] = ()
    line: Thumbnail | None = None

    def plain(self) -> Any:
        """Return the cell for a script.

        Returns
        -------
        str or dict
            Its text, or what there is beside it.
        """
        text = printable(self.text)
        more: dict[str, Any] = {}
        if self.value is not None:
            more["value"] = self.value
        if self.page:
            more["page"] = self.page
        if self.marks:
            more["marks"] = [
                [mark.flag.name, mark.verdict, printable(mark.sentence)] for mark in self.marks
            ]
        if self.line is not None:
            more["line"] = [self.line.residual, self.line.fit]
        return {"text": text, **more} if more else text


def write_rows(path: Path, kind: str, rows: Iterable[Sequence[Cell]]) -> None:
    """Write the rows of a table as a script, which a page may load from a disk.

    Parameters
    ----------
    path : Path
        File of JavaScript.
    kind : str
        Name of the table.
    rows : iterable of sequence of Cell
        All its rows.
    """
    lines = ",\n".join(
        json.dumps([cell.plain() for cell in row], allow_nan=False, separators=(",", ":"))
        for row in rows
    )
    # ASCII: no text of a name ends the script or turns around.
    path.write_bytes(f"speclensRows({json.dumps(kind)}, [\n{lines}\n]);\n".encode("ascii"))
