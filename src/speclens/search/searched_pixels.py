"""What of a whole spectrum is searched: the residual about its smooth level, without the lens.

In: prepared spectra. Out: flux and inverse variance of each pixel, and what the network of
redshifts sees of them. The search of lines and the network look at the same pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from speclens.config import LinesConfig
from speclens.lines import pixel_width_angstrom
from speclens.networks.inputs import network_inputs
from speclens.sample.preparation import PreparedSpectra
from speclens.search.lens_features import LensFeatures
from speclens.search.line_filter import local_level
from speclens.spectra import FittedSpectra, LogGrid

__all__ = ["SearchedPixels"]

Floats = NDArray[np.float32]


class SearchedPixels:
    """Takes what is the lens's off whole spectra.

    Parameters
    ----------
    grid : LogGrid
        Wavelengths, L pixels.
    config : LinesConfig
        What the lens shows, and how smooth the level is.
    """

    def __init__(self, grid: LogGrid, config: LinesConfig) -> None:
        self.grid, self._config = grid, config
        self._pixel_width = np.asarray(pixel_width_angstrom(grid.wave), np.float32)
        self._features = LensFeatures(grid, config)

    def __call__(self, spectra: FittedSpectra, z: NDArray[np.float64]) -> tuple[Floats, Floats]:
        """Return what is searched.

        Parameters
        ----------
        spectra : FittedSpectra
            N spectra.
        z : array of shape (N,)
            Redshifts of the lenses.

        Returns
        -------
        flux, ivar : array of shape (N, L)
            Residual flux of each pixel without its smooth level, 1e-17 erg/s/cm2, and its inverse
            variance, 0 where masked or where the lens shows a line of its own.
        """
        residual, ivar = spectra.residual, spectra.ivar
        level = local_level(residual, ivar, self._config.level_pixels)
        flux = np.where(ivar > 0, residual - level, np.float32(0)) * self._pixel_width
        ivar = ivar / self._pixel_width**2
        ivar[self._features(flux, ivar, z)] = 0
        return flux, ivar

    def fitted(self, spectra: PreparedSpectra) -> FittedSpectra:
        """Return spectra whose residuals are what is searched.

        Parameters
        ----------
        spectra : PreparedSpectra
            N spectra.

        Returns
        -------
        FittedSpectra
            The spectra, with flux density and foreground.
        """
        flux, ivar = self(spectra, spectra.z)
        flux, ivar = flux / self._pixel_width, ivar * self._pixel_width**2
        flux = np.where(ivar > 0, spectra.model + flux, np.float32(0))
        return FittedSpectra(self.grid, flux, ivar, spectra.model, spectra.dispersion)

    def inputs(
        self, names: Sequence[str], spectra: FittedSpectra, z: NDArray[np.float64]
    ) -> Floats:
        """Compute what the network of redshifts sees.

        Parameters
        ----------
        names : sequence of str
            The C channels, as for `speclens.networks.inputs.network_inputs`; `snr` is 0.
        spectra : FittedSpectra
            N spectra, as `fitted` gives them.
        z : array of shape (N,)
            Redshifts of the lenses.

        Returns
        -------
        array of shape (N, C, L)
            The channels.
        """
        return network_inputs(names, spectra, np.zeros_like(spectra.flux), self._lens(z))

    def _lens(self, z: NDArray[np.float64]) -> Floats:
        """1 where the lens may show a line, shape (N, L)."""
        reach = self._config.lens_half_width
        lines = np.zeros((len(z), self.grid.n_pixels + 2 * reach), np.float32)
        waves = np.array(self._config.lens_lines) * (1 + z[:, None])
        pixel = np.round(self.grid.pixel(waves)).astype(np.intp) + reach
        row, line = np.nonzero((pixel >= 0) & (pixel < lines.shape[1]))
        for offset in range(-reach, reach + 1):
            place = pixel[row, line] + offset
            inside = (place >= 0) & (place < lines.shape[1])
            lines[row[inside], place[inside]] = 1
        return lines[:, reach : reach + self.grid.n_pixels]
