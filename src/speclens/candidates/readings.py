"""What the line of every hit may be: hypotheses.fits, and of searches that make them heat_map.fits.

In: vetted hits, and what their search weighed. Out: both tables. Heat maps are written as the
search told them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.candidates.hypotheses import hypotheses_of
from speclens.products import write_fits
from speclens.schema import HEAT_MAP, HIT_HYPOTHESES, dtype_of
from speclens.stored_tables import read_rows

__all__ = ["stored_readings", "write_readings"]

HYPOTHESES_FILE, HEAT_MAP_FILE = "hypotheses.fits", "heat_map.fits"

Rows = NDArray[np.void]


def stored_readings(run: Path) -> tuple[Rows, Rows]:
    """Read what a run has.

    Parameters
    ----------
    run : Path
        The run.

    Returns
    -------
    hypotheses : structured array
        Rows of hypotheses.fits.
    heat_map : structured array
        Rows of heat_map.fits; none where no search made any.

    Raises
    ------
    RunError
        If a table cannot be read.
    """
    path = run / HEAT_MAP_FILE
    heat_map = read_rows(path, HEAT_MAP) if path.exists() else np.zeros(0, dtype_of(HEAT_MAP))
    return read_rows(run / HYPOTHESES_FILE, HIT_HYPOTHESES), heat_map


def write_readings(
    folder: Path, hits: Rows, hypotheses: Rows, heat_map: Rows, meta: Mapping[str, Any]
) -> None:
    """Write what the lines of hits may be.

    Parameters
    ----------
    folder : Path
        Where to write.
    hits : structured array of shape (H,)
        Rows of hits.fits, vetted.
    hypotheses, heat_map : structured array
        What the search weighed; HIT counts the hits.
    meta : mapping
        Provenance.

    Raises
    ------
    RunError
        If a table cannot be written.
    """
    every = hypotheses_of(hits, hypotheses)
    write_fits(folder / HYPOTHESES_FILE, [every], len(every), HIT_HYPOTHESES, meta)
    path = folder / HEAT_MAP_FILE
    if len(heat_map) or path.exists():
        write_fits(path, [heat_map], len(heat_map), HEAT_MAP, meta)
