"""The threshold finder of specutils as a search: what is tried first, for comparison.

In: prepared spectra. Out: a hit at every group of pixels that stand above the noise one by one. No
shape is looked for: a line is as high as its highest pixel. Needs the extra `[specutils]`.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.errors import RunError
from speclens.sample.preparation import PreparedSpectra
from speclens.search.matched_filter import Filtered, MatchedFilter
from speclens.search.search import Found
from speclens.spectra import LogGrid

__all__ = ["ThresholdFinder"]


class ThresholdFinder:
    """Search with `specutils.fitting.find_lines_threshold` on what the foreground leaves.

    Parameters
    ----------
    config : Config
        `matched_filter.snr_min` is its `noise_factor`, and `matched_filter.max_hits` holds too.
    matched_filter : MatchedFilter
        Measures its hits.

    Raises
    ------
    RunError
        If specutils is not installed.

    Notes
    -----
    The signal-to-noise ratio of a hit is that of its highest pixel, by which it was found. Errors
    have grown and damaged pixels are masked, as for every other search: specutils alone does
    neither.
    """

    engine = None

    def __init__(self, config: Config, matched_filter: MatchedFilter) -> None:
        self._matched_filter, self._limits = matched_filter, config.matched_filter
        self._specutils = _specutils()

    def __call__(self, spectra: PreparedSpectra, filtered: Filtered) -> Found:
        """Find the hits, as `Search` does."""
        snr = spectra.residual * np.sqrt(spectra.ivar)
        pixels = [
            self._above(spectra, row) if reason == "" else np.zeros(0, np.intp)
            for row, reason in enumerate(spectra.reasons.tolist())
        ]
        number = np.array([len(found) for found in pixels], np.intp)
        many = number > self._limits.max_hits
        number[many] = 0
        row = np.repeat(np.arange(len(spectra)), number)
        pixel = np.concatenate(
            [np.zeros(0, np.intp), *(f for f, m in zip(pixels, many, strict=True) if not m)]
        )
        hits = self._matched_filter.hits_at(row, pixel, filtered.best)
        hits["SNR"] = snr[row, pixel]
        n = len(spectra)
        return Found(hits, np.full(n, np.nan), many, np.zeros(n, "U24"))

    def _above(self, spectra: PreparedSpectra, row: int) -> NDArray[np.intp]:
        """Return the pixels of the emission lines of a spectrum, by wavelength."""
        with self._specutils.conf.set_temp("do_continuum_function_check", False):
            lines = self._finder(
                self._spectrum(spectra.grid, spectra.residual[row], spectra.ivar[row]),
                noise_factor=self._limits.snr_min,
            )
        emission = np.asarray(lines["line_type"] == "emission", bool)
        return np.sort(np.asarray(lines["line_center_index"], np.intp)[emission])

    @property
    def _finder(self) -> Any:
        return importlib.import_module("specutils.fitting").find_lines_threshold

    def _spectrum(
        self, grid: LogGrid, residual: NDArray[np.float32], ivar: NDArray[np.float32]
    ) -> Any:
        """Return a spectrum as specutils takes it; nothing is above infinite noise."""
        # Half a second that no other search should wait for.
        import astropy.units as u
        from astropy.nddata import StdDevUncertainty

        unit = u.Unit("1e-17 erg / (s cm2 Angstrom)")
        with np.errstate(divide="ignore"):
            noise = 1 / np.sqrt(ivar)
        return self._specutils.Spectrum(
            flux=residual * unit,
            spectral_axis=grid.wave * u.AA,
            uncertainty=StdDevUncertainty(noise),
        )


def _specutils() -> Any:
    try:
        return importlib.import_module("specutils")
    except ImportError as error:
        raise RunError(
            "--method specutils needs specutils, which is not installed: in a copy of the "
            'repository, pip install ".[specutils]"'
        ) from error
