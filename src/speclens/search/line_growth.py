"""How much more the fluxes of lines scatter than their errors say, wavelength by wavelength.

In: spectra of lenses, of which few have a source. Out: a factor on the error of a line at each
pixel. What airglow leaves redward of 7000 Angstrom, and that neighbouring pixels go together, are
in it: neither is in the errors of pixels. Lines of all shapes and widths share it, so that which of
them a line is does not depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from speclens.config import LinesConfig
from speclens.errors import RunError
from speclens.run.store import load_arrays
from speclens.search.line_filter import LineFluxes
from speclens.spectra import LogGrid

__all__ = ["LineStatistics", "line_growth"]

Floats = NDArray[np.float64]

LARGEST = 6.0
"""A ratio counts as so much at most: a line of a source is no noise."""

SMOOTH_PIXELS, NEAR_PIXELS = 3, 9
"""Over which sums are smoothed, and which are as bad as the worst of them."""


@dataclass(frozen=True)
class LineStatistics:
    """Sums over spectra.

    Parameters
    ----------
    chi2 : array of shape (L,)
        Mean over shapes and widths of lines of the sum of the squared signal-to-noise ratios.
    n_spectra : array of shape (L,)
        Mean number of spectra in which such a line would be seen.
    """

    chi2: Floats
    n_spectra: Floats

    @classmethod
    def of(cls, seen: LineFluxes) -> LineStatistics:
        """Sum over spectra.

        Parameters
        ----------
        seen : LineFluxes
            What lines would have in N spectra.

        Returns
        -------
        LineStatistics
            The sums.
        """
        snr = np.clip(seen.snr, -LARGEST, LARGEST).astype(np.float64)
        return cls((snr**2).sum(axis=3).mean(axis=(0, 1)), seen.seen.sum(axis=3).mean(axis=(0, 1)))

    def __add__(self, other: LineStatistics) -> LineStatistics:
        return LineStatistics(self.chi2 + other.chi2, self.n_spectra + other.n_spectra)

    def growth(self, least: int) -> Floats:
        """Return the factor on the errors.

        Parameters
        ----------
        least : int
            Spectra that are needed.

        Returns
        -------
        array of shape (L,)
            At least 1; 1 where too few spectra tell.
        """
        chi2 = uniform_filter1d(self.chi2, SMOOTH_PIXELS)
        number = uniform_filter1d(self.n_spectra, SMOOTH_PIXELS)
        factor = np.sqrt(np.maximum(chi2 / np.maximum(number, 1), 1))
        # As large as at the worst pixel of a line: the place of a line must not follow the errors.
        factor = uniform_filter1d(maximum_filter1d(factor, NEAR_PIXELS), NEAR_PIXELS)
        return np.where(number < least, 1, np.maximum(factor, 1))


def line_growth(config: LinesConfig, grid: LogGrid) -> Floats:
    """Read the factor on the errors of lines.

    Parameters
    ----------
    config : LinesConfig
        Which file.
    grid : LogGrid
        Wavelengths, L pixels.

    Returns
    -------
    array of shape (L,)
        The factor; 1 where the file does not reach.

    Raises
    ------
    RunError
        If the file cannot be read.
    """
    if config.growth:
        first, stored = _read(config.growth)
    else:
        with as_file(files("speclens") / "data" / "line_growth.npz") as path:
            first, stored = _read(str(path))
    growth = np.ones(grid.n_pixels)
    here, there = grid.overlap(LogGrid(first, len(stored)))
    growth[here] = stored[there]
    return growth


@lru_cache(maxsize=4)
def _read(path: str) -> tuple[int, Floats]:
    """Read the first pixel on the global grid, and the factors."""
    try:
        if path.endswith(".npz"):
            with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
                arrays = dict(file)
        else:
            arrays = load_arrays(Path(path)) or {}
        return int(arrays["first"]), np.asarray(arrays["growth"], np.float64)
    except (OSError, EOFError, KeyError, TypeError, ValueError, BadZipFile) as error:
        raise RunError(
            f"growth {path}: missing, damaged, or no factors on the errors of lines (lines.growth)"
        ) from error
