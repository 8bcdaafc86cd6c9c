"""Why: what rejected a hit, and which limit a reason code stands for, in words.

In: rows of hits.fits with their flags; the configuration. Out: sentences in printable ASCII, made
from the records of `speclens.schema` and nowhere else, so that tables, pages and terminal say the
same.
"""

from __future__ import annotations

import math
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.config import VetConfig
from speclens.hypotheses import HYPOTHESES, OII
from speclens.schema import REASONS, VET_FLAGS, VetFlag, vet_bits

__all__ = ["limit_of_reason", "reads", "reasons_of", "rejected_by"]

UNMEASURED = {
    "no_spectrum": "its spectrum could not be read again",
    "no_data": "its spectrum has no good pixels at the line",
    "failed": "it could not be measured, which the notes of the run explain",
}
"""What FIT_STATUS says of a line that is MASKED because nothing was fitted."""

FLAG_OF_TERM = {
    "skewness": "NOT_SKEWED", "oii_lines": "OII_LINES", "other_lines": "OTHER_SOURCE",
    "spike": "SPIKE", "misfit": "POOR_FIT", "S/N up to 6.5": "FAINT",
    "over-densities": "DENSE_OBSERVED",
}  # fmt: skip
"""The flag that reads as what a term of `P_LYA` weighs."""

OTHER_TERMS = {
    "line probability": "the network's probability of a line is {PROBABILITY:.2f}",
    "width": "the line is {WIDTH:.1f} Angstrom wide",
    "oii_doublet": "an [O II] doublet fits better by chi2 {DOUBLET_DCHI2:.1f}",
}
ALL_TESTS = "all tests together"

OII_COLUMNS = ("SNR_HBETA", "SNR_OIII4959", "SNR_OIII5007", "SNR_HALPHA")
"""S/N at each of the companions of [O II]."""

_READS = {flag.name: flag.reads for flag in VET_FLAGS}
_LIMITS = {reason.code: reason.limit for reason in REASONS}


def reasons_of(
    hits: NDArray[np.void], against: NDArray[np.str_], config: VetConfig
) -> Iterator[str]:
    """Say what rejected each hit: its first vetoing flag, in the order of the funnel.

    Parameters
    ----------
    hits : structured array of shape (H,)
        Rows of hits.fits, judged.
    against : array of shape (H,)
        The term of `P_LYA` that speaks most against each, empty for none.
    config : VetConfig
        Which flags veto.

    Yields
    ------
    str
        Empty for a candidate.
    """
    for row, term in zip(hits, against.tolist(), strict=True):
        flag = rejected_by(int(row["VET_FLAGS"]), config.vetoes)
        yield "" if flag is None else reads(flag, row, term)


def rejected_by(flags: int, vetoes: Sequence[str]) -> VetFlag | None:
    """Return the flag that decides: of those that are set and veto the first of the funnel.

    Parameters
    ----------
    flags : int
        VET_FLAGS of a hit.
    vetoes : sequence of str
        Flags that rule hits out.

    Returns
    -------
    VetFlag or None
        None for a candidate.
    """
    against = flags & vet_bits(vetoes)
    return next((flag for flag in VET_FLAGS if against & flag.bit), None)


def reads(flag: VetFlag, row: np.void, against: str = "") -> str:
    """Say in words what a flag that is set has found.

    Parameters
    ----------
    flag : VetFlag
        The flag.
    row : record
        A row of hits.fits or candidates.*.
    against : str, optional
        The term of `P_LYA` that speaks most against the hit.

    Returns
    -------
    str
        `[O II] at z = 0.234: [O III] 5008 at S/N 22`.
    """
    if flag.name == "MASKED" and str(row["FIT_STATUS"]) in UNMEASURED:
        return UNMEASURED[str(row["FIT_STATUS"])]
    values = {name: row[name] for name in row.dtype.names or ()}
    values |= {
        "OII_LINE": _brightest_line(row),
        "Z_OTHER": _other_redshift(row),
        "WAVE_LENS": float(row["WAVE"]) / (1 + float(row["Z"])) if row["Z"] > -1 else math.nan,
    }
    term = _READS.get(FLAG_OF_TERM.get(against, ""), OTHER_TERMS.get(against, ALL_TESTS))
    values["AGAINST"] = _words.format(term, **values)
    text = _words.format(flag.reads, **values)
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)


def limit_of_reason(code: str, configuration: Mapping[str, Any]) -> str:
    """Say which limit of a configuration a reason code stands for.

    Parameters
    ----------
    code : str
        A reason code.
    configuration : mapping
        The sections of the configuration, as run.json has them.

    Returns
    -------
    str
        `z <= 0.3`, of several searches that of each; empty where the reason has no limit, or the
        configuration does not tell.
    """
    try:
        searches = [configuration, *configuration.get("searches", {}).values()]
        classes = [name for search in searches for name in search["selection"]["classes"]]
        if code.startswith("class_"):
            return f"CLASS is not {' or '.join(dict.fromkeys(classes))}"
        limits = {
            search["search"]["name"]: _words.format(_LIMITS.get(code, ""), **search)
            for search in searches
        }
    except (KeyError, TypeError, AttributeError):
        return ""  # a run of another version
    if len(set(limits.values())) == 1:
        return limits.popitem()[1]
    return ", ".join(f"{limit} ({name})" for name, limit in limits.items())


def _brightest_line(row: np.void) -> str:
    """Name the line of an [O II] emitter whose S/N is OII_SNR."""
    lines = zip(OII_COLUMNS, OII.companions, strict=True)
    return next((line.name for name, line in lines if row[name] == row["OII_SNR"]), "its lines")


def _other_redshift(row: np.void) -> float:
    other = HYPOTHESES.get(str(row["OTHER_LINE"]))
    return float(row["WAVE"]) / other.wave - 1 if other else math.nan


class _Words(string.Formatter):
    """Formats numbers that may be unknown, and lists."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, list | tuple):
            return ", ".join(map(str, value))
        if isinstance(value, float | np.floating) and not math.isfinite(value):
            return "unknown"
        return str(super().format_field(value, format_spec))


_words = _Words()
