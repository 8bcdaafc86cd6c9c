"""How much more the fluxes of lines scatter than their errors say, wavelength by wavelength.

In: spectra of lenses, of which few have a source. Out: a factor on the error of a line at each
pixel. What airglow leaves redward of 7000 Angstrom, and that neighbouring pixels go together, are
in it: neither is in the errors of pixels. So is what the templates leave of the lens, which goes by
the wavelength in its own frame. Lines of all shapes and widths share the factor, so that which of
them a line is does not depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from speclens.lines import PIXEL_LOGLAM
from speclens.sample.error_growth import REST, ErrorGrowth
from speclens.search.line_filter import LineFluxes
from speclens.spectra import LogGrid

__all__ = ["LineGrowth", "LineStatistics", "line_growth"]

Floats = NDArray[np.float64]

LARGEST = 6.0
"""A ratio counts as so much at most: a line of a source is no noise."""

SMOOTH_PIXELS, NEAR_PIXELS = 3, 9
"""Over which sums are smoothed, and which are as bad as the worst of them."""

REST_SMOOTH_PIXELS = 15
"""Likewise in the frame of the lens, where residuals of its lines are broad."""


@dataclass(frozen=True)
class LineGrowth:
    """Factors on the errors of lines.

    Parameters
    ----------
    observed : array of shape (L,)
        By observed wavelength.
    rest : array of shape (len(REST),)
        By the wavelength in the frame of the lens, what is not in the first.
    grid : LogGrid
        Observed wavelengths, L pixels.
    """

    observed: NDArray[np.float32]
    rest: NDArray[np.float32]
    grid: LogGrid

    def at(self, z: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the factor for lenses.

        Parameters
        ----------
        z : array of shape (N,)
            Their redshifts.

        Returns
        -------
        array of shape (L, N)
            Factors.
        """
        n_pixels = self.grid.n_pixels
        beyond = np.pad(self.rest, n_pixels, mode="edge")
        start = np.clip(_first_rest_pixel(z, self.grid) + n_pixels, 0, len(beyond) - n_pixels)
        return (sliding_window_view(beyond, n_pixels)[start] * self.observed).T


@dataclass(frozen=True)
class LineStatistics:
    """Sums over spectra, by observed wavelength and by that in the frame of the lens.

    Parameters
    ----------
    chi2, rest_chi2 : array of shape (L,), of shape (len(REST),)
        Mean over shapes and widths of lines of the sum of the squared signal-to-noise ratios; those
        of the second over the squared factor that is usual at the observed wavelength.
    n_spectra, rest_n_spectra : array of shape (L,), of shape (len(REST),)
        Mean number of spectra in which such a line would be seen.
    """

    chi2: Floats
    n_spectra: Floats
    rest_chi2: Floats
    rest_n_spectra: Floats

    @classmethod
    def of(cls, seen: LineFluxes, z: NDArray[np.floating], usual: LineGrowth) -> LineStatistics:
        """Sum over spectra.

        Parameters
        ----------
        seen : LineFluxes
            What lines would have in N spectra, at L pixels.
        z : array of shape (N,)
            Redshifts of the lenses.
        usual : LineGrowth
            The usual factors.

        Returns
        -------
        LineStatistics
            The sums.
        """
        snr = np.clip(seen.snr, -LARGEST, LARGEST).astype(np.float64)
        chi2, number = (snr**2).mean(axis=(0, 1)), seen.seen.mean(axis=(0, 1))  # (L, N)
        place = _rest_pixels(z, usual.grid).ravel()
        relative = (chi2 / usual.observed[:, None] ** 2).ravel()
        rest_chi2, rest_number = (
            np.bincount(place, of, REST.n_pixels).astype(np.float64)
            for of in (relative, number.ravel())
        )
        return cls(chi2.sum(axis=1), number.sum(axis=1), rest_chi2, rest_number)

    def __add__(self, other: LineStatistics) -> LineStatistics:
        names = ("chi2", "n_spectra", "rest_chi2", "rest_n_spectra")
        return LineStatistics(*(getattr(self, name) + getattr(other, name) for name in names))

    def growth(self, least: int) -> dict[str, Floats]:
        """Return the factors on the errors.

        Parameters
        ----------
        least : int
            Spectra that are needed.

        Returns
        -------
        dict of str to array
            `growth` by observed wavelength, shape (L,), and `rest_growth` by that in the frame of
            the lens; at least 1, and 1 where too few spectra tell.
        """
        observed = _factor(self.chi2, self.n_spectra, SMOOTH_PIXELS)
        rest = _factor(self.rest_chi2, self.rest_n_spectra, REST_SMOOTH_PIXELS)
        told = self.rest_n_spectra >= least
        # What is so at every wavelength of a lens is in the first factor.
        rest = rest / np.median(rest[told]) if told.any() else rest
        return {
            "growth": np.where(self.n_spectra < least, 1, np.maximum(observed, 1)),
            "rest_growth": np.where(told, np.maximum(rest, 1), 1),
        }


def _factor(chi2: Floats, number: Floats, n_pixels: int) -> Floats:
    chi2, number = uniform_filter1d(chi2, n_pixels), uniform_filter1d(number, n_pixels)
    factor = np.sqrt(np.maximum(chi2 / np.maximum(number, 1), 1e-6))
    # As large as at the worst pixel of a line: the place of a line must not follow the errors.
    return np.asarray(uniform_filter1d(maximum_filter1d(factor, NEAR_PIXELS), NEAR_PIXELS))


def _rest_pixels(z: NDArray[np.floating], grid: LogGrid) -> NDArray[np.intp]:
    """Pixel of `REST` of each observed pixel, the nearest one beyond its ends: shape (L, N)."""
    pixel = np.arange(grid.n_pixels)[:, None] + _first_rest_pixel(z, grid)
    return np.asarray(np.clip(pixel, 0, REST.n_pixels - 1), np.intp)


def _first_rest_pixel(z: NDArray[np.floating], grid: LogGrid) -> NDArray[np.intp]:
    """Pixel of `REST` of the first observed one, shape (N,); it may be none."""
    shift = np.round(np.log10(1 + np.asarray(z)) / PIXEL_LOGLAM).astype(np.intp)
    return np.asarray(grid.first - REST.first - shift, np.intp)


def line_growth(growth: ErrorGrowth, behind: str, grid: LogGrid) -> LineGrowth:
    """Return the factor on the errors of lines.

    Parameters
    ----------
    growth : ErrorGrowth
        How much errors grow.
    behind : str
        `galaxies` or `quasars`: what the lines are behind.
    grid : LogGrid
        Wavelengths, L pixels.

    Returns
    -------
    LineGrowth
        The factors; 1 where they do not reach.
    """
    observed = growth.observed("LINES", grid).astype(np.float32)
    return LineGrowth(observed, growth.at_rest(behind), grid)
