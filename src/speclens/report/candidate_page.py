"""What the page of one candidate says: every measurement, every test, every other spectrum.

In: a row of the candidate table and the companions of its hit. Out: plain values for the template.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.report.findings import Finding, findings
from speclens.report.wording import COLUMNS, measured, number, quantities, skewness, sky_links
from speclens.schema import VET_TESTS

__all__ = ["GROUPS", "TEST_TITLES", "candidate_context"]

GROUPS = {
    "The lens galaxy": (
        "RA", "DEC", "Z", "VDISP", "MAG_I", "PLATE", "MJD", "FIBERID", "FILE", "ROW",
    ),
    "The line": (
        "WAVE", "FLUX", "SNR", "FWHM_KMS", "PROBABILITY", "METHOD", "PEAK", "NOISE",
        "GOOD_PIXELS", "EDGE_PIXELS", "SPIKE_DCHI2",
    ),
    "As Lyman alpha": (
        "Z_SOURCE", "P_LYA", "LYA_FLUX", "LYA_LUMINOSITY", "FIT_WAVE", "WIDTH", "SKEWNESS",
        "SKEWNESS_LOW", "SKEWNESS_HIGH", "SKEW_DCHI2", "CONTINUUM", "CHI2_NU", "FIT_STATUS",
    ),
    "The lens model": ("EINSTEIN_RADIUS", "SIGMA_SIS", "SIGMA_ASSUMED"),
    "As another line": (
        "Z_OII", "SNR_HBETA", "SNR_OIII4959", "SNR_OIII5007", "SNR_HALPHA", "OII_SNR",
        "OII_EVIDENCE", "DOUBLET_DCHI2", "OTHER_LINE", "OTHER_EVIDENCE", "LENS_LINE",
        "LENS_LINE_KMS",
    ),
    "Among the others": (
        "DENSE_OBSERVED", "DENSE_REST", "SMOOTH_FRACTION", "NEIGHBOUR_SNR", "N_REPEATS",
        "REPEAT_DSIGMA", "N_EXPOSURES", "EXPOSURE_DSIGMA", "TARGETID", "RANK", "KNOWN",
    ),
}  # fmt: skip
"""Columns of the candidate table on its page; their errors stand beside them."""

TEST_TITLES = {
    "quality": "Quality",
    "overdensity": "Over-densities",
    "skewness": "Skewness",
    "interlopers": "Interlopers",
    "companions": "Companions",
    "probability": "Probability",
}


def candidate_context(row: np.void, companions: NDArray[np.void], config: Config) -> dict[str, Any]:
    """Return what the page of a candidate shows.

    Parameters
    ----------
    row : record
        Its row of candidates.*.
    companions : structured array of shape (K,)
        Rows of `speclens.schema.COMPANIONS` of its hit.
    config : Config
        Limits and vetoes.

    Returns
    -------
    dict
        Values for candidate.html.
    """
    found = findings(row, config.vet)
    return {
        "name": str(row["NAME"]) or str(row["SPECTRUM"]),
        "facts": _facts(row),
        "links": sky_links(row["RA"], row["DEC"]),
        "groups": {title: quantities(row, names) for title, names in GROUPS.items()},
        "tests": [(TEST_TITLES.get(test, test), _of_test(found, test)) for test in VET_TESTS],
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


def _facts(row: np.void) -> list[tuple[str, str]]:
    return [
        ("lens", f"z = {number(row['Z'], 4)}"),
        ("source, if Lyman alpha", f"z = {number(row['Z_SOURCE'], 4)}"),
        ("line", f"{number(row['WAVE'], 2)} \u00c5, S/N {number(row['SNR'], 1)}"),
        ("skewness", skewness(row)),
        ("Einstein radius", _radius(row)),
        ("probability of Lyman alpha", number(row["P_LYA"], 3)),
        ("published", str(row["KNOWN"])),
    ]


def _radius(row: np.void) -> str:
    text = measured(row["EINSTEIN_RADIUS"], row["EINSTEIN_RADIUS_ERR"], 2)
    return f"{text} {COLUMNS['EINSTEIN_RADIUS'].unit}" + (
        ", velocity dispersion assumed" if row["SIGMA_ASSUMED"] else ""
    )


def _of_test(found: list[Finding], test: str) -> list[Finding]:
    return [finding for finding in found if finding.flag.test == test]


def _ratio(flux: float, error: float) -> float:
    return float(flux) / float(error) if error > 0 else float("nan")
