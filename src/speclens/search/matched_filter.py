"""The rival's matched filter, and the package's bank of widths.

In: prepared spectra. Out: for each spectrum its highest signal-to-noise ratio, and one hit for each
contiguous run of pixels above the threshold. What a hit may be is left to the vetting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speclens.config import MatchedFilterConfig
from speclens.lines import (
    FWHM_PER_SIGMA,
    LYMAN_ALPHA,
    PIXEL_KMS,
    gaussian_pixels,
    pixel_width_angstrom,
)
from speclens.search.blocks import blocks_of, filtered
from speclens.spectra import LogGrid

__all__ = ["HIT_DTYPE", "FilterOutput", "Filtered", "MatchedFilter"]

CHUNK = 64
"""Spectra filtered at once, so that what is computed stays in the processor's cache."""

BLOCK = 8
"""Pixels that are filtered by one product of small matrices."""

NEGLIGIBLE = 1e-5
"""Weight of a kernel's pixel, relative to its highest, that is not worth its time."""

DRIFT = 2
"""Pixels by which a hit's centre may move when it is measured again."""

HIT_DTYPE = np.dtype(
    [
        ("ROW", "i4"),
        ("SNR", "f4"),
        ("WAVE", "f8"),
        ("WAVE_ERR", "f4"),
        ("FLUX", "f4"),
        ("FLUX_ERR", "f4"),
        ("FWHM_KMS", "f4"),
        ("Z_SOURCE", "f8"),
        ("P_RED", "f4"),
    ]
)
"""What the filter measures of a hit; ROW is the row of the spectrum in its batch. P_RED is told by
networks that know classes of lines."""


@dataclass(frozen=True)
class FilterOutput:
    """Signal-to-noise ratio and flux error at every pixel, for the B widths of the bank.

    Parameters
    ----------
    snr : array of shape (N, B, L)
        Signal-to-noise ratio of a line centred there; 0 where too little of it would be seen.
    flux_err : array of shape (N, B, L)
        Standard error of its flux, 1e-17 erg/s/cm2; 0 likewise.
    """

    snr: NDArray[np.float32]
    flux_err: NDArray[np.float32]

    @property
    def flux(self) -> NDArray[np.float32]:
        """Flux of a line centred there, shape (N, B, L), 1e-17 erg/s/cm2."""
        return self.snr * self.flux_err

    def sees(self, row: NDArray[np.integer], pixel: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Say of which lines enough is on good pixels to be seen.

        Parameters
        ----------
        row, pixel : array of shape (K,)
            Spectrum and pixel of the centre of each; none is seen beyond the grid.

        Returns
        -------
        array of shape (K,)
            True where the narrowest kernel has `min_coverage` of its weight on good pixels.
        """
        n_pixels = self.flux_err.shape[2]
        inside = (pixel >= 0) & (pixel < n_pixels)
        return np.asarray(inside & (self.flux_err[row, 0, np.clip(pixel, 0, n_pixels - 1)] > 0))


@dataclass(frozen=True)
class Filtered:
    """What the filter makes of spectra.

    Parameters
    ----------
    snr : array of shape (N,)
        Highest signal-to-noise ratio in the window.
    hits : structured array
        `HIT_DTYPE`, by row, then by wavelength.
    many_hits : array of shape (N,)
        True where more hits fired than are plausible; they are left out of `hits`.
    best : array of shape (N, L)
        Signal-to-noise ratio of a line centred on each pixel, highest over the widths.
    """

    snr: NDArray[np.float32]
    hits: NDArray[np.void]
    many_hits: NDArray[np.bool_]
    best: NDArray[np.float32]


class MatchedFilter:
    """Error-weighted filter for one emission line (Shu et al. 2016, section 2; steps 6 and 7).

    Parameters
    ----------
    grid : LogGrid
        The window, L pixels.
    config : MatchedFilterConfig
        Widths and threshold. With `sigma_pixels` the kernels are the same everywhere; with
        `line_fwhm_kms` a line of that width is widened by the spectrograph's dispersion there.

    Notes
    -----
    With f the residual as flux per pixel and k the kernel: C1 = (f ivar) * k, C2 = ivar * k^2; the
    line flux is C1 / C2 and its signal-to-noise ratio C1 / sqrt(C2).

    Differs: beside Shu et al. 2016's one kernel there is a bank of widths; a peak needs
    `min_coverage` of its kernel on good pixels; the flux of a hit is interpolated between pixels
    and widths, freed of the bias of a highest value, and its error includes that of the width.
    """

    def __init__(self, grid: LogGrid, config: MatchedFilterConfig) -> None:
        self.grid = grid
        self.half_width = config.half_width
        self._config = config
        self._pixel_width = np.asarray(pixel_width_angstrom(grid.wave), np.float32)
        self._dispersion = np.interp(grid.wave, *np.array(config.dispersion).T)
        self.sigma = self._bank(config)  # (B, L)
        kernels = np.stack([self._kernels(sigma, config.half_width) for sigma in self.sigma])
        squared = kernels**2
        squared[squared < NEGLIGIBLE * squared.max()] = 0
        self._kernel, self._squared = blocks_of(kernels, BLOCK), blocks_of(squared, BLOCK)
        self._coverage = blocks_of(kernels[0], BLOCK)

    def _bank(self, config: MatchedFilterConfig) -> NDArray[np.float64]:
        """Return the standard deviations of the kernels, shape (B, L), pixels."""
        if config.sigma_pixels:
            return np.repeat(np.array(config.sigma_pixels)[:, None], self.grid.n_pixels, axis=1)
        line = np.array(config.line_fwhm_kms)[:, None] / FWHM_PER_SIGMA / PIXEL_KMS
        return np.asarray(np.hypot(line, self._dispersion), np.float64)

    @staticmethod
    def _kernels(sigma: NDArray[np.float64], half_width: int) -> NDArray[np.float32]:
        """Kernel of a line centred on each pixel, shape (L, K)."""
        weight = gaussian_pixels(np.arange(-half_width, half_width + 1), sigma[:, None])
        weight /= weight.sum(1, keepdims=True)
        seen = weight > NEGLIGIBLE * weight.max(1, keepdims=True)
        return np.where(seen, weight, 0).astype(np.float32)

    def apply(self, residual: NDArray[np.float32], ivar: NDArray[np.float32]) -> FilterOutput:
        """Filter spectra.

        Parameters
        ----------
        residual, ivar : array of shape (N, L)
            Residual flux density and its inverse variance, 0 where masked.

        Returns
        -------
        FilterOutput
            Flux and signal-to-noise ratio at every pixel and width.
        """
        starts = range(0, max(len(residual), 1), CHUNK)
        parts = [self._apply(*(v[i : i + CHUNK] for v in (residual, ivar))) for i in starts]
        if len(parts) == 1:
            return parts[0]
        return FilterOutput(
            np.concatenate([part.snr for part in parts]),
            np.concatenate([part.flux_err for part in parts]),
        )

    def _apply(self, residual: NDArray[np.float32], ivar: NDArray[np.float32]) -> FilterOutput:
        """Filter a few spectra."""
        weight = ivar / self._pixel_width**2
        data = residual * self._pixel_width
        data *= weight
        # Always as many columns: their number could decide the order of sums, and the last bit.
        c1, c2, seen = (
            filtered(blocks, values, CHUNK)  # (B, L, CHUNK)
            for blocks, values in (
                (self._kernel, data), (self._squared, weight), (self._coverage, weight > 0),
            )
        )  # fmt: skip
        np.copyto(c2, np.inf, where=seen < max(self._config.min_coverage, 1e-6))
        np.copyto(c2, np.inf, where=c2 == 0)  # weights so small that their squares vanish
        flux_err = np.divide(1, np.sqrt(c2, out=c2), out=c2)
        snr = np.multiply(c1, flux_err, out=c1)
        spectra = slice(len(residual))
        return FilterOutput(snr.transpose(2, 0, 1)[spectra], flux_err.transpose(2, 0, 1)[spectra])

    def search(self, residual: NDArray[np.float32], ivar: NDArray[np.float32]) -> Filtered:
        """Find the hits of spectra.

        Parameters
        ----------
        residual, ivar : array of shape (N, L)
            As for `apply`.

        Returns
        -------
        Filtered
            One hit for each contiguous run of pixels at or above the threshold.
        """
        parts = [
            self._search_chunk(residual[start : start + CHUNK], ivar[start : start + CHUNK], start)
            for start in range(0, len(residual), CHUNK)
        ]
        hits = [hit for part in parts for hit in part[1]]
        return Filtered(
            np.concatenate([part[0] for part in parts] or [np.zeros(0, np.float32)]),
            np.array(hits, HIT_DTYPE),
            np.concatenate([part[2] for part in parts] or [np.zeros(0, bool)]),
            np.concatenate([part[3] for part in parts] or [np.zeros(residual.shape, np.float32)]),
        )

    def hits_at(
        self, rows: NDArray[np.integer], pixels: NDArray[np.integer], best: NDArray[np.float32]
    ) -> NDArray[np.void]:
        """Return hits that another search found, to be measured.

        Parameters
        ----------
        rows, pixels : array of shape (H,)
            Spectrum and pixel of each hit.
        best : array of shape (N, L)
            Signal-to-noise ratios, as in `Filtered`.

        Returns
        -------
        structured array of shape (H,)
            `HIT_DTYPE`; what is not known before `measure` is NaN.
        """
        hits = np.zeros(len(rows), HIT_DTYPE)
        for name in ("WAVE_ERR", "FLUX", "FLUX_ERR", "FWHM_KMS", "P_RED"):
            hits[name] = np.nan
        hits["ROW"] = rows
        hits["SNR"] = [_peak(best[row], pixel)[0] for row, pixel in zip(rows, pixels, strict=True)]
        hits["WAVE"] = self.grid.wave[pixels]
        hits["Z_SOURCE"] = hits["WAVE"] / LYMAN_ALPHA - 1
        return hits

    def measure(
        self,
        residual: NDArray[np.float32],
        ivar: NDArray[np.float32],
        hits: NDArray[np.void],
        dispersion: NDArray[np.float32],
    ) -> NDArray[np.void]:
        """Measure known hits on other residuals.

        Parameters
        ----------
        residual, ivar : array of shape (N, L)
            As for `apply`.
        hits : structured array
            `HIT_DTYPE`; ROW is a row of `residual`.
        dispersion : array of shape (N, L)
            Standard deviation of the line spread, pixels; where it is 0 the configuration's counts.

        Returns
        -------
        structured array
            The hits with flux, wavelength and width measured anew; SNR and P_RED stay.
        """
        output = self.apply(residual, ivar)
        pixel = np.round(self.grid.pixel(hits["WAVE"])).astype(int)
        measured = hits.copy()
        for i, (row, centre) in enumerate(zip(hits["ROW"].tolist(), pixel.tolist(), strict=True)):
            near = slice(max(0, centre - DRIFT), centre + DRIFT + 1)
            top = near.start + int(output.snr[row, :, near].max(axis=0).argmax())
            if output.snr[row, :, top].max() > 0:
                measured[i] = (row, *self._measure(output, row, top, float(dispersion[row, top])))
        for name in ("SNR", "P_RED"):
            measured[name] = hits[name]
        return measured

    def _search_chunk(
        self, residual: NDArray[np.float32], ivar: NDArray[np.float32], first_row: int
    ) -> tuple[
        NDArray[np.float32], list[tuple[float, ...]], NDArray[np.bool_], NDArray[np.float32]
    ]:
        """Search a few spectra: highest ratios, hits, where there were too many, all ratios."""
        output = self.apply(residual, ivar)
        best = output.snr.max(axis=1)  # (n, L)
        highest = best.max(axis=1)
        many = np.zeros(len(best), bool)
        hits: list[tuple[float, ...]] = []
        for row in np.flatnonzero(highest >= self._config.snr_min).tolist():
            above = (best[row] >= self._config.snr_min).astype(np.int8)
            edges = np.diff(above, prepend=0, append=0)
            runs = list(zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True))
            many[row] = len(runs) > self._config.max_hits
            if not many[row]:
                tops = [int(start + best[row, start:stop].argmax()) for start, stop in runs]
                found = [self._measure(output, row, top) for top in tops]
                highest[row] = max(highest[row], *(snr for snr, *_ in found))
                hits += [(first_row + row, *values) for values in found]
        return highest, hits, many, best

    def _measure(
        self, output: FilterOutput, row: int, pixel: int, dispersion: float = 0
    ) -> tuple[float, ...]:
        """Measure the hit whose highest pixel is given: HIT_DTYPE without ROW."""
        width = int(output.snr[row, :, pixel].argmax())
        _, shift = _peak(output.snr[row, width], pixel)
        pixel_width = float(self._pixel_width[pixel])
        wave = float(self.grid.wave[pixel]) + shift * pixel_width
        heights = np.array([_peak(snr, pixel)[0] for snr in output.snr[row]])
        snr, flux, sigma = _between_widths(
            np.log(self.sigma[:, pixel]), heights, heights * output.flux_err[row, :, pixel], width
        )
        instrument = dispersion or float(self._dispersion[pixel])
        line_sigma = np.sqrt(max(sigma**2 - instrument**2, 0))
        # The highest of several correlated ratios is too high: its square by one for each free
        # parameter, the centre and, in a bank, the width.
        n_free = 1 + (len(self.sigma) > 1)
        unbiased = np.sqrt(max(1 - n_free / snr**2, 0))
        # With a free width the flux of a Gaussian has 3/2 of the variance with a known one.
        spread = np.sqrt(1.5) if len(self.sigma) > 1 else 1.0
        return (
            snr,
            wave,
            # The Fisher information of a Gaussian's place is half of (S/N / sigma)^2.
            float(np.sqrt(2)) * sigma / snr * pixel_width,
            flux * unbiased,
            flux / snr * spread,
            line_sigma * PIXEL_KMS * FWHM_PER_SIGMA,
            wave / LYMAN_ALPHA - 1,
            np.nan,
        )


def _between_widths(
    log_sigma: NDArray[np.float64],
    snr: NDArray[np.float64],
    flux: NDArray[np.float64],
    best: int,
) -> tuple[float, float, float]:
    """Interpolate between three widths of the bank: best ratio, and flux and sigma there.

    A line is rarely as wide as one of the kernels; the nearest gives a flux some 5 % off.
    """
    if len(snr) >= 3:
        first = min(max(best - 1, 0), len(snr) - 3)
        x = log_sigma[first : first + 3]
        a, b, c = _parabola(x, snr[first : first + 3])
        if a < 0:
            top = min(max(-b / (2 * a), float(x[0])), float(x[2]))
            flux_a, flux_b, flux_c = _parabola(x, flux[first : first + 3])
            at_top = (flux_a * top + flux_b) * top + flux_c
            return (a * top + b) * top + c, at_top, math.exp(top)
    return float(snr[best]), float(flux[best]), math.exp(log_sigma[best])


def _parabola(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, float]:
    """Coefficients of the parabola through three points, highest power first."""
    x0, x1, x2 = (float(v) for v in x)
    y0, y1, y2 = (float(v) for v in y)
    left, right = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
    a = (right - left) / (x2 - x0)
    b = left - a * (x0 + x1)
    return a, b, y0 - (a * x0 + b) * x0


def _peak(snr: NDArray[np.float32], pixel: int) -> tuple[float, float]:
    """Top of the parabola through a maximum and its neighbours: height, and place in pixels."""
    if not 0 < pixel < len(snr) - 1:
        return float(snr[pixel]), 0.0
    left, top, right = (float(v) for v in snr[pixel - 1 : pixel + 2])
    curvature = left - 2 * top + right
    if curvature >= 0 or min(left, right) <= 0:
        return top, 0.0
    shift = 0.5 * (left - right) / curvature
    return top - 0.25 * (left - right) * shift, shift
