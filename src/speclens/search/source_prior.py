"""How many sources there are to be found: by kind, redshift and flux.

In: a luminosity function. Out: the natural logarithm of the number of sources behind a fibre. It
says which of two sources is likelier where their lines are the same: a lone line at 8000 Angstrom
is [O II] at z = 1.1 before it is Lyman alpha at z = 5.6.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from speclens.config import CandidatesConfig, LinesConfig
from speclens.cosmology import cosmology_named, luminosity_of_unit_flux, volume_of_unit_redshift
from speclens.lines import PIXEL_LOGLAM, redshift_of
from speclens.luminosity_functions import LUMINOSITY_FUNCTIONS

__all__ = ["SourcePrior"]

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

FAINTEST = 1e-3
"""Flux below which sources are not counted, 1e-17 erg/s/cm2."""


class SourcePrior:
    """The number of sources of one kind.

    Parameters
    ----------
    line : str
        The line of the luminosity function.
    shifts : array of shape (K,)
        Redshifts that are tried, as the pixels by which they move lines; consecutive.
    lines : LinesConfig
        The fibre, and how much sources in it are magnified.
    candidates : CandidatesConfig
        The cosmology.
    """

    def __init__(
        self, line: str, shifts: Places, lines: LinesConfig, candidates: CandidatesConfig
    ) -> None:
        self._function = LUMINOSITY_FUNCTIONS[line]
        self._shifts, self._lines, self._cosmology = shifts, lines, candidates.cosmology

    def __call__(self, shift: Places, flux: Floats) -> Floats:
        """Count sources.

        Parameters
        ----------
        shift : array of shape (Z,)
            Redshifts, of those that are tried.
        flux : array of shape (Z,)
            Fluxes of the line, 1e-17 erg/s/cm2.

        Returns
        -------
        array of shape (Z,)
            Natural logarithm of their number behind a fibre, a pixel of redshift and unit of the
            natural logarithm of the flux.
        """
        place = shift - self._shifts[0]
        z, ln_volume, ln_relative = (table[place] for table in self._tables)
        relative = np.exp(ln_relative + np.log(np.maximum(flux, FAINTEST)))
        number = self._function.number(relative, z)
        return np.asarray(ln_volume + np.log(np.maximum(number, 1e-300)))

    @cached_property
    def _tables(self) -> tuple[Floats, Floats, Floats]:
        """Redshift, ln volume behind a fibre of a pixel, ln L/L* of a flux of 1, shape (K,)."""
        # A source is never nearer than a pixel: without a distance there is no luminosity.
        z = np.maximum(redshift_of(self._shifts), PIXEL_LOGLAM)
        cosmology = cosmology_named(self._cosmology)
        steps = np.geomspace(1e-4, z.max() + 1, 1000)
        volume, unit = (
            np.exp(np.interp(z, steps, np.log(table)))
            for table in (
                volume_of_unit_redshift(steps, cosmology),
                luminosity_of_unit_flux(steps, cosmology),
            )
        )
        area = np.pi * np.radians(self._lines.fibre_radius / 3600) ** 2
        pixel = (1 + z) * PIXEL_LOGLAM * np.log(10)
        relative = unit / self._function.l_star(z) / self._lines.magnification
        return z, np.log(volume * area * pixel), np.log(relative)
