"""The rival's matched filter, and the package's bank of widths.

In: prepared spectra. Out: for each spectrum its highest signal-to-noise ratio, and one hit for each
contiguous run of pixels above the threshold. What a hit may be is left to the vetting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from speclens.config import MatchedFilterConfig
from speclens.lines import (
    FWHM_PER_SIGMA,
    LYMAN_ALPHA,
    PIXEL_KMS,
    gaussian_pixels,
    pixel_width_angstrom,
)
from speclens.spectra import LogGrid

__all__ = ["HIT_DTYPE", "FilterOutput", "MatchedFilter", "Search"]

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
    ]
)
"""What the filter measures of a hit; ROW is the row of the spectrum in its batch."""


@dataclass(frozen=True)
class FilterOutput:
    """Line flux and error at every pixel, for the B widths of the bank.

    Parameters
    ----------
    flux : array of shape (N, B, L)
        Flux of a line centred there, 1e-17 erg/s/cm2.
    snr : array of shape (N, B, L)
        Its signal-to-noise ratio; 0 where too little of the line would be seen.
    """

    flux: NDArray[np.float32]
    snr: NDArray[np.float32]


@dataclass(frozen=True)
class Search:
    """Result of a search.

    Parameters
    ----------
    snr : array of shape (N,)
        Highest signal-to-noise ratio in the window.
    hits : structured array
        `HIT_DTYPE`, by row, then by wavelength.
    many_hits : array of shape (N,)
        True where more hits fired than are plausible; they are left out of `hits`.
    """

    snr: NDArray[np.float32]
    hits: NDArray[np.void]
    many_hits: NDArray[np.bool_]


class MatchedFilter:
    """Error-weighted filter for one emission line (Shu et al. 2016, section 2; steps 6 and 7).

    Parameters
    ----------
    grid : LogGrid
        The window, L pixels.
    config : MatchedFilterConfig
        Widths and threshold. With `sigma_pixels` the kernels are the same everywhere; with
        `line_fwhm_kms` a line of that width is widened by the spectrograph's dispersion at its place.

    Notes
    -----
    With f the residual as flux per pixel and k the kernel: C1 = (f ivar) * k, C2 = ivar * k^2; the
    line flux is C1 / C2 and its signal-to-noise ratio C1 / sqrt(C2).
    """

    def __init__(self, grid: LogGrid, config: MatchedFilterConfig) -> None:
        self.grid = grid
        self._config = config
        self._pixel_width = np.asarray(pixel_width_angstrom(grid.wave), np.float32)
        self.sigma = self._bank(config)  # (B, L)
        kernels = [self._operator(sigma, config.half_width) for sigma in self.sigma]
        self._kernel = sparse.vstack(kernels, format="csr")
        self._squared = self._kernel.multiply(self._kernel).tocsr()
        self._coverage = kernels[0]
        self._full_coverage = np.asarray(kernels[0].sum(axis=1), np.float32)

    def _bank(self, config: MatchedFilterConfig) -> NDArray[np.float64]:
        """Standard deviations of the kernels, shape (B, L), pixels."""
        if config.sigma_pixels:
            return np.repeat(np.array(config.sigma_pixels)[:, None], self.grid.n_pixels, axis=1)
        dispersion = np.interp(self.grid.wave, *np.array(config.dispersion).T)
        line = np.array(config.line_fwhm_kms)[:, None] / FWHM_PER_SIGMA / PIXEL_KMS
        return np.asarray(np.hypot(line, dispersion), np.float64)

    def _operator(self, sigma: NDArray[np.float64], half_width: int) -> sparse.csr_array:
        """Row i holds the kernel of a line centred on pixel i: a banded (L, L) matrix."""
        n_pixels = self.grid.n_pixels
        offset = np.arange(-half_width, half_width + 1)
        weight = gaussian_pixels(offset, sigma[:, None])
        weight /= weight.sum(1, keepdims=True)
        row = np.repeat(np.arange(n_pixels), len(offset))
        column = (np.arange(n_pixels)[:, None] + offset).ravel()
        inside = (column >= 0) & (column < n_pixels)
        entries = (weight.ravel()[inside].astype(np.float32), (row[inside], column[inside]))
        return sparse.csr_array(entries, shape=(n_pixels, n_pixels))

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
        shape = (*self.sigma.shape, len(residual))  # (B, L, N)
        weight = np.ascontiguousarray((ivar / self._pixel_width**2).T)
        data = weight * (residual * self._pixel_width).T
        c1 = (self._kernel @ data).reshape(shape)
        c2 = (self._squared @ weight).reshape(shape)
        seen = self._coverage @ (weight > 0).astype(np.float32)
        needed = np.maximum(self._config.min_coverage * self._full_coverage, 1e-6)
        c2[:, seen < needed[:, None]] = 0
        with np.errstate(divide="ignore", invalid="ignore"):
            flux = np.where(c2 > 0, c1 / c2, 0)
            snr = np.where(c2 > 0, c1 / np.sqrt(c2), 0)
        return FilterOutput(flux.transpose(2, 0, 1), snr.transpose(2, 0, 1))

    def search(self, residual: NDArray[np.float32], ivar: NDArray[np.float32]) -> Search:
        """Find the hits of spectra.

        Parameters
        ----------
        residual, ivar : array of shape (N, L)
            As for `apply`.

        Returns
        -------
        Search
            One hit for each contiguous run of pixels at or above the threshold.
        """
        output = self.apply(residual, ivar)
        best = output.snr.max(axis=1)  # (N, L)
        edges = np.diff((best >= self._config.snr_min).astype(np.int8), axis=1, prepend=0, append=0)
        row, start = np.nonzero(edges == 1)
        _, stop = np.nonzero(edges == -1)
        many = np.bincount(row, minlength=len(best)) > self._config.max_hits
        hits = [
            self._measure(output, i, a + int(best[i, a:b].argmax()))
            for i, a, b in zip(row.tolist(), start.tolist(), stop.tolist(), strict=True)
            if not many[i]
        ]
        return Search(best.max(axis=1), np.array(hits, HIT_DTYPE), many)

    def _measure(self, output: FilterOutput, row: int, pixel: int) -> tuple[float, ...]:
        """Measure the hit whose highest pixel is given, in the order of HIT_DTYPE."""
        width = int(output.snr[row, :, pixel].argmax())
        snr, shift = _peak(output.snr[row, width], pixel)
        flux = float(output.flux[row, width, pixel]) * snr / float(output.snr[row, width, pixel])
        sigma = float(self.sigma[width, pixel])
        wave = float(
            self.grid.wave[pixel] * (1 + shift * self._pixel_width[pixel] / self.grid.wave[pixel])
        )
        fwhm = (
            self._config.line_fwhm_kms[width]
            if self._config.line_fwhm_kms
            else sigma * PIXEL_KMS * FWHM_PER_SIGMA
        )
        # The Fisher information of a Gaussian's place is (S/N / sigma)^2 / 2.
        wave_err = float(np.sqrt(2)) * sigma / snr * float(self._pixel_width[pixel])
        return row, snr, wave, wave_err, flux, flux / snr, fwhm, wave / LYMAN_ALPHA - 1


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
