"""Hits with their spectra: what every vet test that looks at a single spectrum is given.

In: hits, their spectra in the window and whole. Out: `HitSpectra`, with what several tests need of
them: cutouts around the lines, and the fit of the paper's profile, made once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from speclens.config import VetConfig
from speclens.evidence.fixed_line import line_sigma
from speclens.spectra import FittedSpectra
from speclens.vet.line_fits import Cutouts, cut_out
from speclens.vet.skewness import fit_skewness

__all__ = ["HitSpectra"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HitSpectra:
    """H hits with their spectra.

    Parameters
    ----------
    hits : structured array of shape (H,)
        Rows of hits.fits.
    window, whole : FittedSpectra
        The spectrum of each hit: the window as it was searched, and all of it.
    usual_dispersion : tuple of (float, float)
        Wavelength, Angstrom, and line spread, pixels, where a spectrum does not know its own.
    config : VetConfig
        The tests.
    """

    hits: NDArray[np.void]
    window: FittedSpectra
    whole: FittedSpectra
    usual_dispersion: tuple[tuple[float, float], ...]
    config: VetConfig

    def __len__(self) -> int:
        return len(self.hits)

    def usual_spread(self, wave: Floats) -> Floats:
        """Line spread at wavelengths, where a spectrum does not know its own, pixels."""
        return np.asarray(np.interp(wave, *np.array(self.usual_dispersion).T), np.float64)

    @cached_property
    def wave(self) -> Floats:
        """Wavelength of each hit, shape (H,), Angstrom; NaN where it is none."""
        wave = np.asarray(self.hits["WAVE"], np.float64)
        return np.where(np.isfinite(wave) & (wave > 0), wave, np.nan)

    @cached_property
    def sigma(self) -> Floats:
        """Standard deviation of each line before the spectrograph, shape (H,), pixels."""
        return line_sigma(self.hits["FWHM_KMS"], self.config.line_sigma_range)

    @cached_property
    def cutouts(self) -> Cutouts:
        """The window around each line."""
        spread = self.usual_spread(np.nan_to_num(self.wave))
        return cut_out(self.window, self.wave, self.config.fit_half_width, spread)

    @cached_property
    def fit(self) -> Mapping[str, NDArray[np.generic]]:
        """The fit of a skew-normal line, as `fit_skewness` gives it."""
        return fit_skewness(self.cutouts, self.config)

    @property
    def chi2(self) -> Floats:
        """Chi2 of that fit over the cutouts, shape (H,)."""
        return np.asarray(self.fit["CHI2"], np.float64)
