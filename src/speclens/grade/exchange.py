"""Grades in and out: ECSV and CSV tables of our own, and prospect's columns of visual inspection.

In: inspections, or a file. Out: a file, or events. A table says what each grader thinks of each
hit; what is taken in again counts once, however often it comes. Names and meaning of the columns
`VI_*` are those of desihub/prospect, which DESI inspects its spectra with.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray

import speclens
from speclens.errors import RunError
from speclens.inspections.events import (
    ISSUES,
    MAX_COMMENT,
    MAX_GRADER,
    MAX_KEY,
    Event,
    Inspection,
    check_event,
    later_time,
)
from speclens.inspections.subjects import Subjects
from speclens.products import one_line, refuse_irregular, replacing, write_text_table
from speclens.schema import Column, dtype_of
from speclens.stored_tables import read_table

__all__ = ["INSPECTIONS", "Imported", "inspection_rows", "read_inspections", "write_inspections"]

INSPECTIONS = (
    Column("NAME", "U32", "", "name of the system; empty without a position"),
    Column("TARGETID", "i8", "", "the survey's number; -1 where unknown"),
    Column("RA", "f8", "deg", "right ascension, J2000"),
    Column("DEC", "f8", "deg", "declination, J2000"),
    Column("SUBJECT", f"U{MAX_KEY}", "", "the hit: survey:spectrum:search:wavelength in Angstrom"),
    Column("GRADER", f"U{MAX_GRADER}", "", "who"),
    Column("GRADE", "U1", "", "A, B, C or X; empty for none"),
    Column("ISSUES", "U40", "", f"of {', '.join(ISSUES)}; with blanks between"),
    Column("HYPOTHESIS", "U10", "", "what the line is taken for; empty for nothing"),
    Column("Z_SOURCE", "f8", "", "redshift of the source as seen by the grader; NaN for none"),
    Column("COMMENT", f"U{MAX_COMMENT}", "", "in the grader's words"),
    Column("TIME", "U27", "", "UTC of the last change"),
    Column("VI_scanner", f"U{MAX_GRADER}", "", "GRADER, as prospect calls it"),
    Column("VI_quality", "i2", "", "GRADE as prospect's class: A 4, B 3, C 2, X 0, none -1"),
    Column("VI_issue", "U3", "", "ISSUES as prospect's letters: R wrong_z; S sky, glitch"),
    Column("VI_z", "f8", "", "Z_SOURCE"),
    Column("VI_spectype", "U10", "", "always empty: a hit is no class of its target"),
    Column("VI_comment", f"U{MAX_COMMENT}", "", "COMMENT"),
)
"""Columns of a table of inspections: one row a hit and grader."""

QUALITY = {"A": 4, "B": 3, "C": 2, "X": 0, "": -1}
GRADE_OF = {"4": "A", "3": "B", "2": "C", "1": "X", "0": "X", "-1": "", "": ""}
LETTERS = {"wrong_z": "R", "sky": "S", "glitch": "S"}
ISSUE_OF = {"R": "wrong_z", "S": "glitch"}
FORMULA = ("=", "+", "-", "@", "'", "\t", "\r")
"""A spreadsheet takes a cell that begins so for a formula; an apostrophe before it says text."""

IMPORTS = UUID("7e0a7c55-8f0f-4be5-8d5e-6e1b4ad0a1c3")
"""Names the events of imports: the same row gives the same ids."""


@dataclass
class Imported:
    """What a file says.

    Parameters
    ----------
    events : list of Event
        What the store does not say yet.
    n_rows : int
        Rows of the file.
    unplaced : list of str
        Rows that name no hit, and why.
    """

    events: list[Event] = field(default_factory=list)
    n_rows: int = 0
    unplaced: list[str] = field(default_factory=list)


def inspection_rows(
    inspections: Sequence[tuple[int | None, Inspection]], hits: NDArray[np.void]
) -> NDArray[np.void]:
    """Return inspections as a table.

    Parameters
    ----------
    inspections : sequence of (int or None, Inspection)
        With the row of the hit; None for what is no hit of this run.
    hits : structured array of shape (N,)
        Rows of hits.fits.

    Returns
    -------
    structured array
        Rows of `INSPECTIONS`.
    """
    rows = np.zeros(len(inspections), dtype_of(INSPECTIONS))
    rows["TARGETID"], rows["RA"], rows["DEC"] = -1, np.nan, np.nan
    for row, (hit, of) in zip(rows, inspections, strict=True):
        if hit is not None:
            for name in ("NAME", "TARGETID", "RA", "DEC"):
                row[name] = hits[name][hit]
        row["SUBJECT"], row["GRADER"], row["GRADE"] = of.subject, of.grader, of.grade
        row["ISSUES"], row["HYPOTHESIS"] = " ".join(of.issues), of.hypothesis
        row["Z_SOURCE"], row["COMMENT"], row["TIME"] = of.z_source, of.comment, of.time
        row["VI_scanner"], row["VI_quality"] = of.grader, QUALITY[of.grade]
        letters = {LETTERS[issue] for issue in of.issues if issue in LETTERS}
        row["VI_issue"] = "".join(sorted(letters))
        row["VI_z"], row["VI_comment"] = of.z_source, of.comment
    return rows


def write_inspections(path: Path, rows: NDArray[np.void]) -> None:
    """Write a table of inspections, by the suffix of its name.

    Parameters
    ----------
    path : Path
        `.ecsv`, which proves itself whole, or `.csv`.
    rows : structured array
        Rows of `INSPECTIONS`.

    Raises
    ------
    RunError
        If it has another suffix, or cannot be written.
    """
    if path.suffix == ".ecsv":
        meta = {"CREATOR": f"speclens {speclens.__version__}"}
        write_text_table(path, rows, INSPECTIONS, meta)
    elif path.suffix == ".csv":
        with replacing(path) as file:
            file.write(_csv_of(rows).encode())
    else:
        raise RunError(f"{path}: only .ecsv and .csv hold grades")


def read_inspections(
    path: Path,
    subjects: Subjects,
    hits: NDArray[np.void],
    known: Mapping[tuple[str, str], Inspection],
) -> Imported:
    """Read a table of inspections, ours or prospect's.

    Parameters
    ----------
    path : Path
        `.ecsv` of ours, or `.csv`.
    subjects : Subjects
        The hits of the run.
    hits : structured array of shape (N,)
        Their rows.
    known : mapping of (str, str) to Inspection
        What the store says already, by key of the hit and grader.

    Returns
    -------
    Imported
        What the store does not say yet, and the rows that name no hit.

    Raises
    ------
    RunError
        If the file cannot be read, or a row says what no grader can; names the row.
    """
    rows = _read(path)
    imported = Imported(n_rows=len(rows))
    place = _Places(subjects, hits)
    now = later_time(datetime.now(UTC), "")
    for number, row in enumerate(rows, 1):
        try:
            said = _inspection(row, place)
            if isinstance(said, str):
                imported.unplaced.append(f"row {number}: {said}")
                continue
            before = known.get((said.subject, said.grader)) or Inspection(said.grader, said.subject)
            for event in _events(said, before, now):
                check_event(event)
                imported.events.append(event)
        except ValueError as error:
            raise RunError(f"{path}: row {number}: {error}") from error
    return imported


class _Places:
    """Which hit a row of a table means."""

    def __init__(self, subjects: Subjects, hits: NDArray[np.void]) -> None:
        self._subjects = subjects
        self._of_target: dict[int, list[int]] = defaultdict(list)
        for row, target in enumerate(hits["TARGETID"].tolist()):
            self._of_target[target].append(row)

    def key(self, row: Mapping[str, str]) -> str | None:
        """Return the key of the hit; None where none, or more than one, may be meant."""
        if row.get("SUBJECT"):
            found = self._subjects.row(row["SUBJECT"])
            return row["SUBJECT"] if found is None else self._subjects.keys[found]
        target = row.get("TARGETID", "").strip()
        # Unknown never equals unknown; and what a spreadsheet has rounded is nobody's number.
        if not target.lstrip("-").isdecimal() or int(target) == -1:
            return None
        rows = self._of_target.get(int(target), [])
        return self._subjects.keys[rows[0]] if len(rows) == 1 else None


def _inspection(row: Mapping[str, str], places: _Places) -> Inspection | str:
    """Return what a row says, or why it names no hit."""
    key = places.key(row)
    if key is None:
        return f"TARGETID {row.get('TARGETID', '')[:30]!r} is not that of exactly one hit"
    own = "GRADER" in row
    quality = row.get("VI_quality", "").strip()
    if not own and quality not in GRADE_OF:
        raise ValueError(f"VI_quality {quality[:20]!r}: one of {', '.join(GRADE_OF)}")
    issues = (
        row["ISSUES"].split() if own else [ISSUE_OF.get(c, "") for c in row.get("VI_issue", "")]
    )
    z = row["Z_SOURCE"] if own else row.get("VI_z", "").strip()
    comment = row["COMMENT"] if own else row.get("VI_comment", "")
    return Inspection(
        grader=row["GRADER"] if own else row.get("VI_scanner", "").strip(),
        subject=key,
        grade=row["GRADE"] if own else GRADE_OF[quality],
        issues=tuple(issue for issue in issues if issue),
        hypothesis=row.get("HYPOTHESIS", ""),
        z_source=float(z or "nan"),
        comment=one_line(comment),
        time=row.get("TIME", ""),
    )


def _events(said: Inspection, before: Inspection, now: str) -> Iterator[Event]:
    """Yield what leads from what the store says to what a row says."""
    for kind, value in _changes(said, before):
        text = "\x1f".join((said.grader, said.subject, kind, value, said.time))
        name = uuid5(IMPORTS, text).hex
        yield Event(name, said.time or now, said.grader, said.subject, kind, value)


def _changes(said: Inspection, before: Inspection) -> Iterator[tuple[str, str]]:
    for kind in ("grade", "hypothesis", "comment"):
        if getattr(said, kind) != getattr(before, kind):
            yield kind, getattr(said, kind)
    if repr(said.z_source) != repr(before.z_source):
        yield "z_source", "" if math.isnan(said.z_source) else repr(said.z_source)
    for issue in dict.fromkeys((*said.issues, *before.issues)):
        if issue not in before.issues:
            yield "issue", f"+{issue}"
        elif issue not in said.issues:
            yield "issue", f"-{issue}"


def _csv_of(rows: NDArray[np.void]) -> str:
    import io

    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([column.name for column in INSPECTIONS])
    for row in rows:
        writer.writerow([_cell(row[column.name], column) for column in INSPECTIONS])
    return text.getvalue()


def _cell(value: Any, column: Column) -> str:
    if column.dtype[0] != "U":
        return "" if value != value else repr(value.item())
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _read(path: Path) -> list[dict[str, str]]:
    """Read a table as texts, ECSV or CSV."""
    refuse_irregular(path)
    if path.suffix == ".ecsv":
        table = read_table(path)
        names = table.colnames
        rows = [dict(zip(names, map(_plain, row), strict=True)) for row in table]
    else:
        rows = _read_csv(path)
    if rows and "VI_scanner" not in rows[0]:
        raise RunError(
            f"{path}: no column VI_scanner; found {', '.join(map(str, list(rows[0])[:20]))}"
        )
    lacking = {column.name for column in INSPECTIONS} - set(rows[0] if rows else ())
    if rows and "GRADER" in rows[0] and lacking:
        raise RunError(f"{path}: columns {', '.join(sorted(lacking))} are missing")
    return rows


def _plain(value: Any) -> str:
    return str(value.item() if hasattr(value, "item") else value)


def _read_csv(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True, restval="")
            rows = [{k: v for k, v in row.items() if k is not None} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"{path}: cannot be read: {error}") from error
    if rows and "GRADER" in rows[0]:
        texts = [column.name for column in INSPECTIONS if column.dtype[0] == "U"]
        for row in rows:
            row |= {name: row[name].removeprefix("'") for name in texts if name in row}
    return rows
