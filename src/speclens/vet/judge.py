"""Judgement: flags from what was measured, candidates from flags.

In: hits with all columns measured, the limits. Out: VET_FLAGS and CANDIDATE. The condition of each
flag is its record in `speclens.schema.VET_FLAGS`; there is no other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from speclens.config import VetConfig
from speclens.schema import VET_FLAGS, vet_bits

__all__ = ["judge"]


def judge(hits: NDArray[np.void], config: VetConfig) -> None:
    """Mark hits, and say which are candidates.

    Parameters
    ----------
    hits : structured array of shape (H,)
        Rows of hits.fits; VET_FLAGS and CANDIDATE are filled in.
    config : VetConfig
        The limits, and which flags veto.
    """
    flags = np.zeros(len(hits), np.int32)
    for flag in VET_FLAGS:
        limit = getattr(config, flag.setting)
        values = hits[flag.column]
        # NaN fails both comparisons: what could not be measured rules nothing out.
        bad = values < limit if flag.side == "below" else values > limit
        flags |= np.where(bad, np.int32(flag.bit), np.int32(0))
    hits["VET_FLAGS"] = flags
    hits["CANDIDATE"] = (flags & vet_bits(config.vetoes)) == 0
