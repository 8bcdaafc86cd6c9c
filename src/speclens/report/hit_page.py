"""What the page of one hit says: what decided, every test, every measurement, other spectra.

In: a row of the tables, the companions of the hit, the terms of its `P_LYA`. Out: plain values for
the template.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.inspections.events import ISSUES, Inspection
from speclens.names import spectrum_name
from speclens.schema import TESTS, VET_TESTS
from speclens.view.findings import Finding, findings
from speclens.view.wording import (
    COLUMNS,
    DASH,
    has_id,
    is_lya,
    measured,
    number,
    on_page,
    quantities,
    skewness,
    sky_links,
    unit_of,
)

__all__ = ["TERMS", "groups", "hit_context", "hypothesis_rows"]

_GROUPS = {
    "The lens galaxy": (
        "RA", "DEC", "Z", "VDISP", "MAG_I", "SURVEY", "SPECTRUM", "PLATE", "MJD", "FIBERID",
        "CATALOGID", "SDSS_ID", "FILE", "ROW",
    ),
    "The line": (
        "WAVE", "FLUX", "SNR", "FWHM_KMS", "PROBABILITY", "SEARCH", "METHOD", "HYPOTHESIS",
        "N_LINES", "SNR_LINES", "LN_EVIDENCE", "P_HYPOTHESIS", "Z_SECOND", "LN_ODDS", "PEAK",
        "NOISE", "GOOD_PIXELS", "EDGE_PIXELS", "SPIKE_DCHI2",
    ),
    "As Lyman alpha": (
        "Z_SOURCE", "P_LYA", "LYA_FLUX", "LYA_LUMINOSITY", "FIT_WAVE", "WIDTH", "SKEWNESS",
        "SKEWNESS_LOW", "SKEWNESS_HIGH", "SKEW_DCHI2", "P_RED", "CONTINUUM", "CHI2_NU",
        "FIT_STATUS",
    ),
    "The lens model": ("P_LENSED", "EINSTEIN_RADIUS", "SIGMA_SIS", "SIGMA_ASSUMED"),
    "As another line": (
        "Z_OII", "SNR_HBETA", "SNR_OIII4959", "SNR_OIII5007", "SNR_HALPHA", "OII_SNR",
        "OII_EVIDENCE", "DOUBLET_DCHI2", "OTHER_LINE", "OTHER_EVIDENCE", "LENS_LINE",
        "LENS_LINE_KMS",
    ),
    "Among the others": (
        "DENSE_OBSERVED", "DENSE_REST", "SMOOTH_FRACTION", "NEIGHBOUR_SNR",
        "NEIGHBOUR_DSIGMA", "N_REPEATS", "REPEAT_DSIGMA", "N_EXPOSURES", "EXPOSURE_DSIGMA",
        "TARGETID", "RANK",
        "COMPLETENESS", "Q_VALUE", "KNOWN",
    ),
}  # fmt: skip
"""Columns on the page of a hit, those first that a reader looks for; their errors stand beside
them. Those that only candidates have are left out for the others, and so are identifiers that a
survey does not have."""

TERMS = {
    "always": "a bright line of which no test says anything",
    "skewness": "skewness of the line",
    "oii_lines": "lines of an [O II] emitter",
    "other_lines": "lines of another emitter",
    "oii_doublet": "the [O II] doublet",
    "spike": "narrower than the spectrograph can make",
    "width": "width of the line",
    "misfit": "misfit of the line",
    "S/N up to 6.5": "S/N below 6.5",
    "line probability": "the network's probability of a line",
    "over-densities": "over-densities",
}
"""What the terms of `P_LYA` weigh."""

BAR_WIDTH = 60.0


def groups() -> dict[str, tuple[str, ...]]:
    """Return the columns on the page of a hit, in groups.

    Returns
    -------
    dict of str to tuple of str
        Names of columns by the title of their group; what a vet test measures is in the group that
        its record names.
    """
    named = {name for names in _GROUPS.values() for name in names}
    measured = {
        title: tuple(
            column.name
            for test in TESTS
            for column in test.columns
            if test.group == title and column.name not in named and _is_told(column.name)
        )
        for title in _GROUPS
    }
    return {title: names + measured[title] for title, names in _GROUPS.items()}


def _is_told(name: str) -> bool:
    """Say whether a column has a line of its own: not an error, nor the row of another hit."""
    return not name.endswith("_ERR") and name != "SAME_AS"


def hit_context(
    row: np.void, companions: NDArray[np.void], odds: Mapping[str, float], config: Config
) -> dict[str, Any]:
    """Return what the page of a hit shows.

    Parameters
    ----------
    row : record
        Its row of candidates.*, or of hits.fits when it was rejected.
    companions : structured array of shape (K,)
        Rows of `speclens.schema.COMPANIONS` of the hit.
    odds : mapping of str to float
        What each test adds to the natural logarithm of the odds of Lyman alpha; not told where
        P_LYA is not known.
    config : Config
        Limits and vetoes.

    Returns
    -------
    dict
        Values for hit.html.
    """
    found = findings(row, config.vet)
    titles = {test.name: test.title for test in TESTS}
    return {
        "name": str(row["NAME"]) or spectrum_name(row),
        "candidate": bool(row["CANDIDATE"]),
        "reason": on_page(str(row["REASON"])),
        "terms": _terms(odds) if math.isfinite(row["P_LYA"]) else [],
        "odds": number(sum(odds.values()), 2),
        "p_lya": number(row["P_LYA"], 3),
        "facts": _facts(row),
        "links": sky_links(str(row["SURVEY"]), row["RA"], row["DEC"]),
        "groups": {title: quantities(row, names) for title, names in _groups(row).items()},
        "tests": [(titles[test], _of_test(found, test)) for test in VET_TESTS],
        "companions": [
            (
                str(other["KIND"]),
                str(other["NAME"]),
                measured(other["FLUX"], other["FLUX_ERR"], 1),
                number(_ratio(other["FLUX"], other["FLUX_ERR"]), 1),
            )
            for other in companions
        ],
        "flux": measured(row["FLUX"], row["FLUX_ERR"], 1),
    }


def hypothesis_rows(rows: NDArray[np.void]) -> list[tuple[str, str, str, str]]:
    """Return what the page of a hit says of its hypotheses.

    Parameters
    ----------
    rows : structured array
        Rows of hypotheses.fits of the hit.

    Returns
    -------
    list of tuple of str
        Name, redshift, ln evidence and probability.
    """
    return [
        (
            str(row["HYPOTHESIS"]),
            number(row["Z_SOURCE"], 4),
            number(row["LN_EVIDENCE"], 1),
            number(row["PROBABILITY"], 3),
        )
        for row in rows
    ]


def inspection_rows(of: Mapping[str, Inspection]) -> list[tuple[str, ...]]:
    """Return what the page of a hit says of those who looked at it.

    Parameters
    ----------
    of : mapping of str to Inspection
        By grader.

    Returns
    -------
    list of tuple of str
        Grader, grade, issues, what the line is taken for, redshift, comment, and when.
    """
    return [
        (
            who,
            said.grade or DASH,
            ", ".join(ISSUES[issue] for issue in said.issues),
            said.hypothesis,
            number(said.z_source, 4),
            said.comment,
            said.time[:10],
        )
        for who, said in of.items()
    ]


def other_search_rows(hits: NDArray[np.void], pages: Sequence[str]) -> list[tuple[str, ...]]:
    """Return what the page of a hit says of the same line by other searches.

    Parameters
    ----------
    hits : structured array of shape (K,)
        Rows of hits.fits of these.
    pages : sequence of str
        Their pages, empty for none.

    Returns
    -------
    list of tuple of str
        Page, search, what the line is, redshift, probability, and what rejected the hit.
    """
    return [
        (
            page,
            str(row["SEARCH"]),
            str(row["HYPOTHESIS"]),
            number(row["Z_SOURCE"], 4),
            number(row["P_HYPOTHESIS"], 3),
            "candidate" if row["CANDIDATE"] else on_page(str(row["REASON"])),
        )
        for row, page in zip(hits, pages, strict=True)
    ]


def _facts(row: np.void) -> list[tuple[str, str]]:
    return [
        ("lens", f"z = {number(row['Z'], 4)}"),
        (
            "source, if Lyman alpha" if is_lya(row) else "source, by its lines",
            f"z = {number(row['Z_SOURCE'], 4)}",
        ),
        ("line", f"{number(row['WAVE'], 2)} \u00c5"),
        ("S/N of the matched filter", number(row["SNR"], 1)),
        *_together(row),
        ("flux", f"{measured(row['FLUX'], row['FLUX_ERR'], 1)} {unit_of(COLUMNS['FLUX'])}"),
        ("skewness", skewness(row)),
        ("Einstein radius", _radius(row)),
        ("probability of the source", number(row["P_HYPOTHESIS"], 3)),
        ("strongly lensed, if it is what it seems", number(row["P_LENSED"], 3)),
        ("published", str(row["KNOWN"])),
    ]


def _together(row: np.void) -> Iterator[tuple[str, str]]:
    """Tell the S/N of all lines of a source that shows several."""
    if row["N_LINES"] > 1:
        yield f"S/N of its {row['N_LINES']} lines together", number(row["SNR_LINES"], 1)


def _groups(row: np.void) -> dict[str, list[str]]:
    """Columns that the row has, by group; of identifiers, those that are known."""
    known = {name for name in row.dtype.names or () if has_id(row, name)}
    shown = {title: [n for n in names if n in known] for title, names in groups().items()}
    return {title: names for title, names in shown.items() if names}


def _terms(odds: Mapping[str, float]) -> list[tuple[str, str, float, float]]:
    """Say what each term is, its value, and where its bar begins and how long it is."""
    told = {name: value for name, value in odds.items() if math.isfinite(value)}
    widest = max((abs(value) for value in told.values()), default=1.0) or 1.0
    terms = []
    for name, value in told.items():
        length = BAR_WIDTH * abs(value) / widest
        start = BAR_WIDTH - (length if value < 0 else 0)
        terms.append((TERMS.get(name, name), number(value, 2), round(start, 1), round(length, 1)))
    return terms


def _radius(row: np.void) -> str:
    if "EINSTEIN_RADIUS" not in (row.dtype.names or ()):
        return ""
    text = measured(row["EINSTEIN_RADIUS"], row["EINSTEIN_RADIUS_ERR"], 2)
    return f"{text} {COLUMNS['EINSTEIN_RADIUS'].unit}" + (
        ", velocity dispersion assumed" if row["SIGMA_ASSUMED"] else ""
    )


def _of_test(found: list[Finding], test: str) -> list[Finding]:
    return [finding for finding in found if finding.flag.test == test]


def _ratio(flux: float, error: float) -> float:
    return float(flux) / float(error) if error > 0 else float("nan")
