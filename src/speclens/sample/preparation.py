"""What the search sees of a spectrum: good pixels of the window, foreground removed, honest errors.

In: a `SpectrumBatch` as read and the redshifts. Out: `PreparedSpectra`. There is one such code
path, for simulated and for observed spectra alike. Who is searched is decided before, in
`speclens.sample.selection`; lines are looked for after, in `speclens.search`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config, PreparationConfig
from speclens.sample.damage import DamagedPixels
from speclens.sample.foreground import Foreground
from speclens.sample.noise import error_growth
from speclens.sample.plausible import good_pixels, implausible
from speclens.schema import flag_bit
from speclens.spectra import FittedSpectra, LogGrid, SpectrumBatch

__all__ = ["Preparation", "PreparedSpectra", "good_pixels", "line_mask"]

CHUNK = 512
"""Spectra looked at at once, so that they stay in the processor's cache."""

MAX_REFITS = 6
"""A pixel far from all others hides lesser ones until the foreground is fitted without it."""


@dataclass(frozen=True)
class PreparedSpectra(FittedSpectra):
    """Spectra ready for a search: fitted, 0 where masked, and what was found in preparing them.

    Parameters
    ----------
    grid, flux, ivar, model, dispersion
        As in `FittedSpectra`; the grid is the window, L pixels, and errors have grown.
    reasons : array of shape (N,)
        Reason code of a spectrum that cannot be searched, else empty.
    flags : array of shape (N,)
        Quality bits.
    residual_rms : array of shape (N,)
        Standard deviation of residual * sqrt(ivar) with the errors as stated.
    good_fraction : array of shape (N,)
        Fraction of the window that is not masked.
    z : array of shape (N,)
        Redshifts of the lens galaxies.
    """

    reasons: NDArray[np.str_]
    flags: NDArray[np.int32]
    residual_rms: NDArray[np.float32]
    good_fraction: NDArray[np.float32]
    z: NDArray[np.float64]


class Preparation:
    """The steps from a spectrum as read to what the search sees.

    Parameters
    ----------
    config : Config
        Window, masks, foreground and noise.
    sky_growth : array of shape (L,), optional
        Factor on the errors from the sky fibres (`speclens.sample.error_growth`); a network is
        trained without.

    Raises
    ------
    ConfigError
        If the foreground templates cannot be read.
    """

    def __init__(self, config: Config, sky_growth: NDArray[np.float64] | None = None) -> None:
        self.grid = LogGrid.covering(*config.preparation.window)
        self._config = config
        self._foreground = Foreground(self.grid, config.foreground)
        self._damaged = DamagedPixels(self.grid, config)
        ones = np.ones(self.grid.n_pixels)
        self._sky_growth = ones if sky_growth is None else np.asarray(sky_growth)

    def __call__(
        self,
        batch: SpectrumBatch,
        z: NDArray[np.floating],
        line: NDArray[np.bool_] | None = None,
    ) -> PreparedSpectra:
        """Prepare spectra.

        Parameters
        ----------
        batch : SpectrumBatch
            N spectra on the window's grid.
        z : array of shape (N,)
            Redshifts of the lens galaxies.
        line : array of shape (N, L), optional
            True where a line was found: pixels that the foreground fit leaves out.

        Returns
        -------
        PreparedSpectra
            One row for each spectrum given, searchable or not.
        """
        shape = (len(batch), self.grid.n_pixels)
        flux, ivar, model = (np.zeros(shape, np.float32) for _ in range(3))
        told = []
        for start in range(0, max(len(batch), 1), CHUNK):
            rows = slice(start, start + CHUNK)
            seen = None if line is None else line[rows]
            told.append(self._fill(batch[rows], z[rows], seen, flux[rows], ivar[rows], model[rows]))
        reasons, flags, rms, good_fraction = map(np.concatenate, zip(*told, strict=True))
        return PreparedSpectra(
            self.grid, flux, ivar, model, batch.dispersion, reasons, flags, rms, good_fraction,
            np.asarray(z, np.float64),
        )  # fmt: skip

    def _fill(
        self,
        batch: SpectrumBatch,
        z: NDArray[np.floating],
        line: NDArray[np.bool_] | None,
        flux: NDArray[np.float32],
        ivar: NDArray[np.float32],
        model: NDArray[np.float32],
    ) -> tuple[NDArray[np.str_], NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
        """Fill in flux, inverse variance and model, which are 0, of some spectra.

        Returns reasons, flags, rms of the residuals, and fraction of good pixels.
        """
        config = self._config.preparation
        good = good_pixels(batch, config)
        odd = implausible(batch, good, config)
        good[odd] = False
        good &= ~line_mask(self.grid, z, config)
        np.copyto(flux, batch.flux, where=good)
        np.copyto(ivar, batch.ivar, where=good)
        model[:], light = self._fit(flux, ivar, line, batch.dispersion, z)
        lost = good & ~light
        good &= light
        n_good = good.sum(1)
        reasons = np.zeros(len(batch), "U24")
        reasons[~np.isfinite(model).all(1)] = "fit_failed"
        reasons[n_good < config.min_good_pixels] = "no_data"
        reasons[odd] = "bad_values"
        refused = reasons != ""
        good[refused], n_good[refused] = False, 0
        for values in (flux, ivar):
            values[lost], values[refused] = 0, 0
        model[refused] = 0
        residual = np.where(good, flux - model, np.float32(0))
        rms = np.sqrt((residual**2 * ivar).sum(1) / np.maximum(n_good, 1)).astype(np.float32)
        ivar /= (self._sky_growth**2).astype(np.float32)
        ivar /= error_growth(residual, ivar, self._config.noise)[:, None] ** 2
        good_fraction = n_good / self.grid.n_pixels
        flags = _flags(batch, good_fraction, config)
        return reasons, flags, rms, good_fraction.astype(np.float32)

    def _fit(
        self,
        flux: NDArray[np.float32],
        ivar: NDArray[np.float32],
        line: NDArray[np.bool_] | None,
        dispersion: NDArray[np.float32],
        z: NDArray[np.floating],
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Fit the foreground; return it, and the pixels that it covers and that are light."""
        fitted = ivar if line is None else np.where(line, np.float32(0), ivar)
        model, good = self._foreground.fit(flux, fitted, z)
        if not self._damaged.sought:
            return model, good
        at: slice | NDArray[np.intp] = slice(None)
        for _ in range(MAX_REFITS):
            damaged = self._damaged(flux[at] - model[at], ivar[at] * good[at], dispersion[at])
            if not damaged.any():
                break
            found = damaged.any(axis=1)
            at, damaged = np.arange(len(flux))[at][found], damaged[found]
            good[at] &= ~damaged
            fitted = ivar[at] * good[at]
            if line is not None:
                fitted[line[at]] = 0
            model[at], _ = self._foreground.fit(flux[at], fitted, z[at])
        return model, good


def line_mask(
    grid: LogGrid, z: NDArray[np.floating], config: PreparationConfig
) -> NDArray[np.bool_]:
    """Mask the lens galaxy's own lines and the sky's.

    Parameters
    ----------
    grid : LogGrid
        Wavelengths, L pixels.
    z : array of shape (N,)
        Redshifts of the lens galaxies.
    config : PreparationConfig
        Lines, and the half width of the mask.

    Returns
    -------
    array of shape (N, L)
        True within the half width of a line.
    """
    mask = np.zeros((len(z), grid.n_pixels + 2 * config.mask_half_width), bool)
    lens = np.array([*config.lens_lines, *config.lens_features])
    sky = np.broadcast_to(np.array(config.sky_lines), (len(z), len(config.sky_lines)))
    centres = np.concatenate([lens * (1 + np.asarray(z)[:, None]), sky], axis=1)
    pixel = np.round(grid.pixel(centres)).astype(np.intp)
    row, line = np.nonzero(
        (pixel >= -config.mask_half_width) & (pixel < grid.n_pixels + config.mask_half_width)
    )
    for offset in range(2 * config.mask_half_width + 1):
        place = pixel[row, line] + offset
        inside = (place >= 0) & (place < mask.shape[1])
        mask[row[inside], place[inside]] = True
    return mask[:, config.mask_half_width : config.mask_half_width + grid.n_pixels]


def _flags(
    batch: SpectrumBatch, good_fraction: NDArray[np.floating], config: PreparationConfig
) -> NDArray[np.int32]:
    partial = ~(batch.covered[:, 0] & batch.covered[:, -1])
    poor = good_fraction < config.poor_fraction
    return np.asarray(partial * flag_bit("PARTIAL_WINDOW") + poor * flag_bit("POOR_DATA"), np.int32)
