"""Tables of text: CSV and its kin with any delimiter, ECSV, tables with comments.

In: the bytes of a text. Out: a `Table` that reads it some rows at a time; only the wanted columns
are kept. Which line is the header, and what parts the cells, is told by the names that a reader
looks for.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectrumFileError
from speclens.read.table.columns import Wanted
from speclens.read.table.table import Pieces, Table
from speclens.stored_tables import read_table

__all__ = ["decoded", "text_table"]

BYTE_ORDER_MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
DELIMITERS = ",;\t| "
MAX_HEADER_LINES = 200
"""Lines of a section of the file among which its header is looked for."""

CELLS_AT_ONCE, ROWS_AT_LEAST = 400_000, 100
SECTION = re.compile(r"#\s*Table\s*\d+\s*", re.IGNORECASE)
"""What stands above each table where a server writes several."""

RULE = "-=+: \t"
"""What the line that some tables draw below their header is made of."""

END = "\0end\0"
"""Put after the last line: a row that is not this alone is a quote that was never closed."""


def _as_windows(error: UnicodeError) -> tuple[str, int]:
    """Decode the bytes that are no UTF-8 as spreadsheets write them."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    data = error.object[error.start : error.end]
    return data.decode("cp1252", "replace"), error.end


codecs.register_error("speclens.cp1252", _as_windows)


@dataclass
class _Layout:
    """How a text is written: its header, what parts its cells, what its ECSV header says."""

    names: list[str]
    delimiter: str
    rest: Iterator[str]
    units: dict[int, str] = field(default_factory=dict)
    vectors: set[int] = field(default_factory=set)
    n_rows: int | None = None
    notes: list[str] = field(default_factory=list)
    last: str = ""

    def watched(self) -> Iterator[str]:
        """Yield the lines below the header, and remember the last."""
        for line in self.rest:
            self.last = line
            yield line

    def cut_at(self, row: Sequence[str]) -> bool:
        """Say whether a row is the last of a text that ends within a line."""
        ends = self.last.endswith(("\n", "\r"))
        return not ends and self.last.rstrip().endswith(row[-1])


def decoded(stream: BinaryIO, start: bytes) -> io.TextIOWrapper:
    """Read bytes as text.

    Parameters
    ----------
    stream : file
        Bytes, from the first.
    start : bytes
        The first of them: at least four, where there are so many.

    Returns
    -------
    TextIOWrapper
        The text; bytes that do not fit its encoding are read as spreadsheets write them.
    """
    return io.TextIOWrapper(stream, _encoding(start), "speclens.cp1252", newline="")


def _encoding(start: bytes) -> str:
    """Tell an encoding by its mark, or by the zeros that two bytes a letter leave."""
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if start.startswith(mark):
            return encoding
    if start[1:2] == start[3:4] == b"\0" != start[:1]:
        return "utf-16-le"
    return "utf-16-be" if start[:1] == start[2:3] == b"\0" != start[1:2] else "utf-8"


def text_table(path: str, text: Iterable[str], wanted: Wanted) -> Table:
    """Open a table of text.

    Parameters
    ----------
    path : str
        The file, for messages.
    text : iterable of str
        Its lines.
    wanted : Wanted
        The fields that are looked for.

    Returns
    -------
    Table
        The first table that has what is wanted, or else the one that has most.

    Raises
    ------
    SpectrumFileError
        If the header is damaged.
    RunError
        If it is a table of this package that was cut short or edited.
    """
    lines = iter(text)
    first = next(lines, "")
    try:
        if first.startswith("# %ECSV"):
            layout = _ecsv(path, lines)
        else:
            layout = _layout(itertools.chain([first], lines), wanted)
    except csv.Error as error:
        raise SpectrumFileError(path, "bad_header", f"its header: {error}") from error

    def pieces(columns: Sequence[int]) -> Pieces:
        return _pieces(path, layout, columns)

    return Table(layout.names, layout.units, pieces, layout.notes)


def _ecsv(path: str, lines: Iterator[str]) -> _Layout:
    """Read what stands above an ECSV table; of its YAML only plain values are taken."""
    from astropy.table.meta import get_header_from_yaml

    yaml = []
    header = ""
    for header in lines:
        if not header.startswith("#"):
            break
        yaml.append(header.lstrip("#").removeprefix(" ").rstrip("\r\n"))
    try:
        content = get_header_from_yaml(yaml)
        described = {str(column["name"]): column for column in content["datatype"]}
        names = next(_rows([header], str(content.get("delimiter", " "))), [])
        meta = dict(content.get("meta") or {})
    except Exception as error:
        # YAML's parser has many ways to fail.
        detail = f"not a readable ECSV header: {' '.join(str(error).split())[:200]}"
        raise SpectrumFileError(path, "bad_header", detail) from error
    told = [described.get(name, {}) for name in names]
    units = {i: str(column.get("unit") or "") for i, column in enumerate(told)}
    vectors = {i for i, column in enumerate(told) if "[" in str(column.get("subtype", ""))}
    delimiter = str(content.get("delimiter", " "))
    if not str(meta.get("CREATOR", "")).startswith("speclens "):
        return _Layout(names, delimiter, lines, units, vectors)
    # One of our own, whatever its name: it says what its rows were, to the last digit.
    read_table(Path(path))
    return _Layout(names, delimiter, lines, units, vectors, meta.get("NROWS"))


def _layout(lines: Iterator[str], wanted: Wanted) -> _Layout:
    """Find the header of the first section that has what is wanted, or else of that with most."""
    found: list[_Layout] = []
    more = True
    while more:
        head, ended = _head(lines)
        found.append(_header(head, iter(()) if ended else lines, wanted))
        if wanted.rank(found[-1].names) < 2:
            return found[-1]
        more = ended or any(SECTION.fullmatch(line.strip()) for line in lines)
    return min(found, key=lambda layout: _merit(layout.names, wanted))


def _head(lines: Iterator[str]) -> tuple[list[str], bool]:
    """Take the first lines of a section; say whether the next section begins after them."""
    head: list[str] = []
    for line in lines:
        if SECTION.fullmatch(line.strip()):
            if head:
                return head, True
        elif line.strip():
            head.append(line)
        if len(head) == MAX_HEADER_LINES:
            break
    return head, False


def _merit(names: Sequence[str], wanted: Wanted) -> tuple[int, int]:
    return wanted.rank(names), -len(wanted.columns(names))


def _header(head: Sequence[str], lines: Iterator[str], wanted: Wanted) -> _Layout:
    """Choose the line and the delimiter by which most of the wanted names are found."""
    plain = [i for i, line in enumerate(head) if not line.startswith("#")]
    first = plain[0] if plain else len(head)
    choices = []
    for i, line in enumerate(head):
        is_comment = line.startswith("#")
        bare = line.lstrip("#% \t") if is_comment else line
        for place, delimiter in enumerate(DELIMITERS):
            names = next(_rows([bare], delimiter), [])
            if is_comment and delimiter == " " and first < len(head):
                # Words of a sentence are no names: there are as many of these as cells.
                cells = next(_rows([head[first]], delimiter), [])
                if len(cells) != len(names):
                    continue
            choices.append((*_merit(names, wanted), is_comment, i, place, names))
    if not choices:
        return _Layout([], ",", iter(()))
    # Of lines without a wanted name the first that is no comment.
    known = [choice for choice in choices if choice[1] < 0]
    *_, i, place, names = min(known or [c for c in choices if c[3] == first] or choices)
    # A header among comments may stand anywhere above the first row.
    rows = [line for line in head[i + 1 :] if not line.startswith("#")]
    names = [name.strip() for name in names]
    return _Layout(names, DELIMITERS[place], itertools.chain(rows, lines))


def _rows(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    if delimiter == " ":
        lines = (line.replace("\t", " ").strip() for line in lines)
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True)


def _pieces(path: str, layout: _Layout, columns: Sequence[int]) -> Pieces:
    n_names = len(layout.names)
    masks = {i: layout.names.index(f"{layout.names[i]}.mask") for i in columns
             if f"{layout.names[i]}.mask" in layout.names}  # fmt: skip
    n_at_once = max(ROWS_AT_LEAST, CELLS_AT_ONCE // max(n_names, 1))
    even = _Evenness(path, layout, columns)
    rows, first = map(even, _data_rows(path, layout)), 1
    while block := list(itertools.islice(rows, n_at_once)):
        columns_of = {i: _cells(block, i) for i in {*columns, *masks.values()}}
        piece: dict[int, NDArray[Any]] = {}
        for i in columns:
            cells = columns_of[i]
            if i in masks:
                hidden = columns_of[masks[i]]
                cells = ["" if h == "True" else c for c, h in zip(cells, hidden, strict=True)]
            piece[i] = _vectors(cells) if i in layout.vectors else np.array(cells, object)
        yield first, piece
        first += len(block)
    if first == 1:
        yield 1, {i: np.zeros(0, object) for i in columns}
    even.tell()
    if layout.n_rows is not None and layout.n_rows != first - 1:
        detail = f"cut short or edited: NROWS = {layout.n_rows}, {first - 1} rows found"
        raise SpectrumFileError(path, "truncated", detail)


class _Evenness:
    """Tells rows whose cells stand below their names from others, and counts the others.

    Parameters
    ----------
    path : str
        The file, for messages.
    layout : _Layout
        Its header.
    columns : sequence of int
        Places of the columns that are wanted.
    """

    def __init__(self, path: str, layout: _Layout, columns: Sequence[int]) -> None:
        self._path, self._layout = path, layout
        # A comma in a remark at the end of a row shifts nothing before it.
        self._long_is_fine = max(columns, default=0) < len(layout.names) - 1
        self._n_rows = self._n_uneven = self._n_numbered = 0
        self._first = (0, 0)

    def __call__(self, row: list[str]) -> list[str]:
        """Return a row; nothing of one with a cell too many, or left out, that shifts others."""
        self._n_rows += 1
        more = len(row) - len(self._layout.names)
        self._n_numbered += more == 1 and row[0] == str(self._n_rows)
        if self._is_even(row, more):
            return row
        self._first = self._first if self._n_uneven else (self._n_rows, len(row))
        self._n_uneven += 1
        return []

    def _is_even(self, row: Sequence[str], more: int) -> bool:
        if self._layout.delimiter == " ":
            return more == 0
        if more > 0:
            return self._long_is_fine or not "".join(row[-more:]).strip()
        # Empty cells at the end are often left out.
        return more == 0 or not self._layout.cut_at(row)

    def tell(self) -> None:
        """Note uneven rows; refuse a table that has no others, or a column without a name."""
        row, n_cells = self._first
        told = f"the first, row {row}, has {n_cells} cells and the header {len(self._layout.names)}"
        if self._n_rows and self._n_numbered == self._n_rows:
            raise SpectrumFileError(
                self._path, "bad_header", "each row begins with its number, which has no name",
                hint="write it without row names",
            )  # fmt: skip
        if self._n_uneven and self._n_uneven == self._n_rows:
            raise SpectrumFileError(
                self._path, "bad_header", f"no row has as many cells as the header: {told}",
                hint="write it with a name for each column",
            )  # fmt: skip
        if self._n_uneven:
            self._layout.notes.append(
                f"{self._path}: {self._n_uneven} of its rows have other numbers of cells than the "
                f"header and count as unknown; {told}"
            )


def _cells(block: Sequence[Sequence[str]], column: int) -> list[str]:
    return [row[column] if column < len(row) else "" for row in block]


def _vectors(cells: Sequence[str]) -> NDArray[Any]:
    """Vectors of an ECSV column; text where they are not all of one length."""
    try:
        return np.array([json.loads(cell) for cell in cells], np.float64)
    except (ValueError, TypeError, RecursionError):
        return np.array(cells, object)


def _data_rows(path: str, layout: _Layout) -> Iterator[list[str]]:
    """Rows of the table: neither comments, blank lines and rules nor the header once more."""
    n_row = 0
    before: list[str] | None = None
    for row in _whole_rows(path, layout):
        if row[0].startswith("#") or row == layout.names:
            continue
        if not "".join(row).strip(RULE):
            # A line below the header; what stands between them in place of a row are units.
            if n_row == 1 and not any(map(_is_number, before or ())):
                before, n_row = None, 0
            continue
        if before is not None:
            yield before
        n_row += 1
        before = row
    if before is not None:
        yield before


def _whole_rows(path: str, layout: _Layout) -> Iterator[list[str]]:
    """Rows with a cell that says something, up to the end of the section; quotes are closed."""
    n_names = len(layout.names)
    rows = _rows(itertools.chain(layout.watched(), [END]), layout.delimiter)
    for n_row in itertools.count(1):
        try:
            row = next(rows)
        except csv.Error as error:
            raise SpectrumFileError(path, "bad_header", f"row {n_row}: {error}") from error
        except StopIteration:
            detail = "a quote is opened and never closed"
            raise SpectrumFileError(path, "bad_header", detail) from None
        if row == [END] or (row and SECTION.fullmatch(row[0])):
            return
        if len(row) != n_names and any("\n" in cell or "\r" in cell for cell in row):
            detail = (
                f"row {n_row} has {len(row)} cells over several lines, not {n_names}: a lone quote"
            )
            raise SpectrumFileError(path, "bad_header", detail)
        if "".join(row).strip():
            yield row


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
