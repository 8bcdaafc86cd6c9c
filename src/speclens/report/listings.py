"""The tables of a run's pages: candidates, all hits, published systems, row by row.

In: `RunContent` and the thumbnails of the hits. Out: headings and cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from speclens.candidates.bounds import skewness_bound
from speclens.inspections.gradebook import joint_grade
from speclens.names import spectrum_name
from speclens.report.run_page import OUTCOMES
from speclens.schema import KNOWN
from speclens.view.cells import Cell, Heading
from speclens.view.content import HitPlace, RunContent, Thumbnail
from speclens.view.findings import deciding
from speclens.view.wording import (
    COLUMNS,
    has_id,
    measured,
    number,
    on_page,
    skewness,
    with_unit,
)

__all__ = [
    "CANDIDATE_HEADINGS",
    "HIT_HEADINGS",
    "KNOWN_HEADINGS",
    "Row",
    "candidate_cells",
    "hit_cells",
    "known_rows",
]

Row = tuple[Cell, ...]

FLUX = "FLUX of the line as the search measured it, 1e-17 erg/s/cm2"
P_SOURCE = "probability that the source is what it seems: lya, a line, or elg for several lines"
P_LENSED = "probability that the source is strongly lensed, if it is what it seems"
GRADE = Heading("grade", meaning="of those who looked, best first; more than one where they differ")
CANDIDATE_HEADINGS = (
    Heading("#", True), Heading("line", meaning="what the foreground leaves, and the fit"),
    Heading("name", whole=True), Heading("spectrum", whole=True),
    Heading("z lens", True), Heading("z source", True),
    Heading("\u03bb (\u00c5)", True), Heading("flux", True, FLUX), Heading("S/N", True),
    Heading("skewness", True, "of the line before the spectrograph; limits are sorted as values"),
    Heading("source"), Heading("P", True, P_SOURCE),
    Heading("\u03b8E (\u2033)", True, "Einstein radius"),
    Heading("P(lensed)", True, P_LENSED),
    Heading("published as"), GRADE, Heading("marks"),
)  # fmt: skip
HIT_HEADINGS = (
    Heading("row", True), Heading("line", meaning="what the foreground leaves, and the fit"),
    Heading("spectrum", whole=True), Heading("name"), Heading("target", whole=True),
    Heading("z lens", True),
    Heading("\u03bb (\u00c5)", True), Heading("flux", True, FLUX), Heading("S/N", True),
    Heading("P(line)", True, "probability of a line, from the network"),
    Heading("source"), Heading("P", True, P_SOURCE), GRADE, Heading("flags"),
    Heading("what decided"),
)  # fmt: skip
KNOWN_HEADINGS = (
    Heading("name"), Heading("plate", True), Heading("MJD", True), Heading("fibre", True),
    Heading("RA (\u00b0)", True), Heading("Dec (\u00b0)", True), Heading("z source", True),
    Heading("target"), Heading("outcome"),
)  # fmt: skip


def known_rows(content: RunContent) -> Iterator[Row]:
    """Return the rows of the table of published systems, those that were found first.

    Parameters
    ----------
    content : RunContent
        The run.

    Yields
    ------
    tuple of Cell
        The cells of one row.
    """
    known = content.known
    if known is None:
        return
    order = {name: i for i, name in enumerate(OUTCOMES)}
    rank = np.array([order.get(str(name), len(order)) for name in known["OUTCOME"]], np.int64)
    for i in islice(np.argsort(rank, kind="stable").tolist(), content.config.report.rows_max):
        told = {column.name: with_unit(known[column.name][i], column) for column in KNOWN}
        yield tuple(Cell(text.removesuffix(" \u00b0")) for text in told.values())


def candidate_cells(content: RunContent, place: HitPlace, line: Thumbnail | None) -> Row:
    """Return a row of the table of candidates.

    Parameters
    ----------
    content : RunContent
        The run.
    place : HitPlace
        One of its candidates.
    line : Thumbnail or None
        Picture of its line.

    Returns
    -------
    tuple of Cell
        As `CANDIDATE_HEADINGS` has them.
    """
    row = content.candidates[place.candidate]
    bound = skewness_bound(row)[1]
    return (
        Cell(str(row["RANK"])),
        Cell(line=line),
        Cell(str(row["NAME"]) or spectrum_name(row), page=place.page),
        Cell(spectrum_name(row)),
        Cell(number(row["Z"], 4)),
        Cell(number(row["Z_SOURCE"], 4)),
        Cell(number(row["WAVE"], 2)),
        Cell(measured(row["FLUX"], row["FLUX_ERR"], 1)),
        Cell(number(row["SNR"], 1)),
        Cell(skewness(row), bound if np.isfinite(bound) else None),
        Cell(str(row["HYPOTHESIS"])),
        Cell(number(row["P_HYPOTHESIS"], 3)),
        Cell(measured(row["EINSTEIN_RADIUS"], row["EINSTEIN_RADIUS_ERR"], 2)),
        Cell(number(row["P_LENSED"], 3)),
        Cell(with_unit(row["KNOWN"], COLUMNS["KNOWN"])),
        Cell(_grade(content, place)),
        Cell(marks=deciding(row, content.config.of(str(row["SEARCH"])).vet)),
    )


def hit_cells(content: RunContent, place: HitPlace, line: Thumbnail | None) -> Row:
    """Return a row of the table of all hits.

    Parameters
    ----------
    content : RunContent
        The run.
    place : HitPlace
        One of its hits.
    line : Thumbnail or None
        Picture of its line.

    Returns
    -------
    tuple of Cell
        As `HIT_HEADINGS` has them.
    """
    row = content.hits[place.hit]
    return (
        Cell(str(place.hit)),
        Cell(line=line),
        Cell(spectrum_name(row), page=place.page),
        Cell(with_unit(row["NAME"], COLUMNS["NAME"])),
        Cell(_target(row)),
        Cell(number(row["Z"], 4)),
        Cell(number(row["WAVE"], 2)),
        Cell(measured(row["FLUX"], row["FLUX_ERR"], 1)),
        Cell(number(row["SNR"], 1)),
        Cell(number(row["PROBABILITY"], 3)),
        Cell(str(row["HYPOTHESIS"])),
        Cell(number(row["P_HYPOTHESIS"], 3)),
        Cell(_grade(content, place)),
        Cell(marks=deciding(row, content.config.of(str(row["SEARCH"])).vet)),
        Cell("candidate" if row["CANDIDATE"] else on_page(str(row["REASON"]))),
    )


def _grade(content: RunContent, place: HitPlace) -> str:
    return joint_grade(of.grade for of in content.inspections.get(place.hit, {}).values())


def _target(row: np.void) -> str:
    """Return the survey's number of a target."""
    name = "TARGETID" if has_id(row, "TARGETID") else "CATALOGID"
    return with_unit(row[name], COLUMNS[name])
