"""What the vet tests said of a hit, in sentences, and how often each flag decides.

In: rows of hits.fits, and the configuration with which they were vetted. Out: text made from the
records of the flags. What sets the flags is left to `speclens.vet`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speclens.candidates.bounds import Bound, skewness_bound
from speclens.config import VetConfig
from speclens.schema import VET_FLAGS, VetFlag, vet_bits
from speclens.view.wording import (
    COLUMNS,
    capitalised,
    is_lya,
    label_of,
    printable,
    unit_of,
    with_unit,
)

__all__ = ["Finding", "FlagCount", "deciding", "findings", "flag_counts", "limit_of_flag"]

VETO, MARK, PASSED, UNKNOWN = "veto", "mark", "passed", "not measured"
COLUMNS_IN_TEXT = re.compile(r"\b(OTHER_LINE|LENS_LINE)\b")


@dataclass(frozen=True)
class Finding:
    """What one flag says of one hit.

    Parameters
    ----------
    flag : VetFlag
        The flag.
    verdict : str
        `veto`, `mark`, `passed` or `not measured`.
    sentence : str
        What was measured, the limit and its key, and what follows.
    """

    flag: VetFlag
    verdict: str
    sentence: str


@dataclass(frozen=True)
class FlagCount:
    """How often a flag is set.

    Parameters
    ----------
    flag : VetFlag
        The flag.
    condition : str
        What sets it, with the limit.
    vetoes : bool
        Whether it rules hits out.
    n : int
        Hits that have it.
    n_alone : int
        Hits that it alone rules out.
    """

    flag: VetFlag
    condition: str
    vetoes: bool
    n: int
    n_alone: int


def limit_of_flag(flag: VetFlag, config: VetConfig) -> float:
    """Return the limit of a flag.

    Parameters
    ----------
    flag : VetFlag
        The flag.
    config : VetConfig
        The configuration.

    Returns
    -------
    float
        In the unit of the flag's column.
    """
    return float(getattr(config, flag.setting))


def findings(row: np.void, config: VetConfig) -> list[Finding]:
    """Say what each flag found.

    Parameters
    ----------
    row : record
        A row of hits.fits or candidates.*.
    config : VetConfig
        Limits and vetoes.

    Returns
    -------
    list of Finding
        One a flag of `VET_FLAGS` that can tell something of the hit.
    """
    return [_finding(flag, row, config) for flag in VET_FLAGS if _tells(flag, row, config)]


def deciding(row: np.void, config: VetConfig) -> list[Finding]:
    """Say which flags are set, those that veto first.

    Parameters
    ----------
    row : record
        A row of hits.fits or candidates.*.
    config : VetConfig
        Limits and vetoes.

    Returns
    -------
    list of Finding
        One a flag that is set and tells something of the hit.
    """
    found = [finding for finding in findings(row, config) if finding.verdict in (VETO, MARK)]
    return sorted(found, key=lambda finding: finding.verdict != VETO)


def flag_counts(hits: NDArray[np.void], config: VetConfig) -> list[FlagCount]:
    """Count the hits of each flag.

    Parameters
    ----------
    hits : structured array of shape (N,)
        Rows of hits.fits.
    config : VetConfig
        Limits and vetoes.

    Returns
    -------
    list of FlagCount
        One a flag of `VET_FLAGS`.
    """
    flags = hits["VET_FLAGS"]
    against = flags & vet_bits(config.vetoes)
    return [
        FlagCount(
            flag,
            f"{flag.column} {flag.side} {_limit(flag, config)}",
            flag.name in config.vetoes,
            int((flags & flag.bit != 0).sum()),
            int((against == flag.bit).sum()),
        )
        for flag in VET_FLAGS
    ]


def _tells(flag: VetFlag, row: np.void, config: VetConfig) -> bool:
    """Say whether a flag means anything for a hit; one that vetoes it always does."""
    if int(row["VET_FLAGS"]) & flag.bit & vet_bits(config.vetoes):
        return True
    if flag.column == "P_LYA":
        return math.isfinite(row["P_LYA"])
    if flag.column == "SKEWNESS":
        return is_lya(row) and skewness_bound(row)[0] is not Bound.NONE
    return True


def _finding(flag: VetFlag, row: np.void, config: VetConfig) -> Finding:
    is_set = bool(int(row["VET_FLAGS"]) & flag.bit)
    value, limit = float(row[flag.column]), limit_of_flag(flag, config)
    if math.isfinite(value):
        side = "above" if value > limit else "below" if value < limit else "at"
        said = f"{with_unit(row[flag.column], COLUMNS[flag.column])}, {side} {_limit(flag, config)}"
    else:
        said = "not measured" if is_set else "not measured, which rules nothing out"
    sentence = f"{label_of(COLUMNS[flag.column])}: {said}"
    if is_set:
        verdict = VETO if flag.name in config.vetoes else MARK
        sentence = f"{sentence}. {capitalised(_meaning(flag, row))}"
    else:
        verdict = PASSED if math.isfinite(value) else UNKNOWN
    return Finding(flag, verdict, f"{sentence}.")


def _limit(flag: VetFlag, config: VetConfig) -> str:
    unit = unit_of(COLUMNS[flag.column])
    return f"{limit_of_flag(flag, config):g}{unit and f' {unit}'} (vet.{flag.setting})"


def _meaning(flag: VetFlag, row: np.void) -> str:
    return COLUMNS_IN_TEXT.sub(
        lambda match: printable(str(row[match[0]])) or "another line", flag.text
    )
