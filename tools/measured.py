"""Every number that the package aims at, beside what was measured: docs/measured.toml.

In: the file of aims, and the folder of tables that benchmarks wrote. Out: a table for each part, of
which no cell is typed: each is named by its table, row and column, and must be there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["TITLES", "Aim", "aims", "measured"]

TITLES = ["aim", "goal", "measured", "command"]


@dataclass(frozen=True)
class Aim:
    """A number that is aimed at.

    Parameters
    ----------
    part : str
        Title of the table that it belongs to.
    aim : str
        What it is.
    goal : str
        What it should be, or what others have.
    table, row, column : str
        Where the measured number stands: name of the table, its row (the first cells, divided by
        ` | `) and the title of its column.
    command : str
        What makes the table.
    """

    part: str
    aim: str
    goal: str
    table: str
    row: str
    column: str
    command: str


def aims(path: Path) -> Iterator[Aim]:
    """Yield the aims of a file.

    Parameters
    ----------
    path : Path
        A file like docs/measured.toml.
    """
    for part in tomllib.loads(path.read_text(encoding="utf-8"))["part"]:
        given: dict[str, Any] = {"part": part["title"], "command": part.get("command", "")}
        for number in part["numbers"]:
            yield Aim(**{**given, **number})


def measured(aim: Aim, tables: Mapping[str, str]) -> str:
    """Return the number that was measured.

    Parameters
    ----------
    aim : Aim
        What is wanted.
    tables : mapping of str to str
        The tables, Markdown, by name.
    """
    if aim.table not in tables:
        return ""
    titles, _, *rows = (_cells(line) for line in tables[aim.table].splitlines() if "|" in line)
    wanted = aim.row.split(" | ")
    found = [row for row in rows if row[: len(wanted)] == wanted]
    if len(found) != 1 or aim.column not in titles:
        raise SystemExit(
            f"{aim.table}: {len(found)} rows {aim.row!r}, columns {', '.join(titles)}; "
            f"{aim.column!r} is wanted for {aim.aim!r}"
        )
    return found[0][titles.index(aim.column)]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
