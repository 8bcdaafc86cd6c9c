"""Tables in Markdown: printed, and kept for the pages of the documentation."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["Tables", "add_option"]


def add_option(parser: argparse.ArgumentParser) -> None:
    """Let the user say where tables are kept."""
    parser.add_argument("--tables", type=Path, help="keep the tables here, for `make tables`")


class Tables:
    """Prints tables.

    Parameters
    ----------
    folder : Path or None
        Where to keep each, as NAME.md.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def show(self, name: str, titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table, and keep it.

        Parameters
        ----------
        name : str
            What a page calls it: `<!-- table NAME -->`.
        titles : sequence of str
            Of its columns.
        rows : iterable of sequences of str
            Its cells.
        """
        lines = [titles, ["---"] * len(titles), *rows]
        text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
        print(f"\n{text}", end="", flush=True)
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / f"{name}.md").write_text(text, encoding="utf-8")
