"""From arrays as they are declared to the batch that all stages work on.

In: wavelengths, flux, errors, line spread, what is known of the targets. Out: a `SpectrumBatch` on
SDSS's grid. What each number may be is checked in `speclens.read.arrays.declared`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectraError
from speclens.lines import FWHM_PER_SIGMA, PIXEL_KMS, SPEED_OF_LIGHT_KMS
from speclens.read.arrays import INSTRUMENT
from speclens.read.arrays.declared import (
    declared_errors,
    declared_flux,
    declared_wave,
    numbers,
)
from speclens.read.arrays.gridded import Gridded, joined, on_grid
from speclens.read.values import plausible_dispersion
from speclens.spectra import SpectrumBatch

__all__ = ["Declared", "batch_of_arrays", "gridded"]

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Declared:
    """Spectra as they are handed over.

    Parameters
    ----------
    wave, flux : array or Quantity
        As `speclens.read.arrays.declared` takes them.
    ivar, error, mask : array or Quantity, optional
        Likewise.
    known : dict, optional
        What is known of their targets, by argument of
        `speclens.read.arrays.targets.declared_targets`.
    medium : str, optional
        In what wavelengths are measured, as far as the table that holds them says.
    resolution, dispersion : array or float, optional
        The line spread, likewise.
    """

    wave: Any
    flux: Any
    ivar: Any = None
    error: Any = None
    mask: Any = None
    known: dict[str, Any] = field(default_factory=dict)
    medium: str | None = None
    resolution: Any = None
    dispersion: Any = None


def gridded(
    declared: Declared,
    medium: str | None = None,
    resolution: Any = None,
    dispersion: Any = None,
) -> Gridded:
    """Bring declared spectra onto the grid.

    Parameters
    ----------
    declared : Declared
        N spectra.
    medium : str, optional
        `vacuum` or `air`; vacuum, unless they say otherwise.
    resolution : float or array of shape (L,) or (N, L), optional
        Resolving power, wavelength over full width at half maximum of an unresolved line. What is
        given here counts before what they say themselves.
    dispersion : float or array of shape (L,) or (N, L), optional
        Instead: the standard deviation of such a line, pixels of 69 km/s, as WDISP of SDSS.

    Returns
    -------
    Gridded
        Their spectra.

    Raises
    ------
    SpectraError
        If anything is missing, or is no such number.
    """
    if medium and declared.medium and medium != declared.medium:
        raise SpectraError(
            f"medium={medium!r}, and the spectra say {declared.medium}; leave the wrong one out",
            "bad_wavelengths",
        )
    if resolution is None and dispersion is None:
        resolution, dispersion = declared.resolution, declared.dispersion
    wave = declared_wave(declared.wave, medium or declared.medium or "vacuum")
    flux, factor = declared_flux(declared.flux, wave)
    errors = declared.ivar, declared.error, declared.mask
    ivar = declared_errors(flux, factor, wave, *errors)
    spread = _spread(resolution, dispersion, flux.shape)
    if wave.ndim == 1:
        return on_grid(wave, flux, ivar, spread)
    each = zip(wave, *(array[:, None] for array in (flux, ivar, spread)), strict=True)
    return joined([on_grid(*one) for one in each])


def batch_of_arrays(spectra: Gridded, targets: NDArray[np.void]) -> SpectrumBatch:
    """Make a batch of spectra and their targets.

    Parameters
    ----------
    spectra : Gridded
        N spectra.
    targets : structured array of shape (N,)
        Catalogue rows.

    Returns
    -------
    SpectrumBatch
        The spectra; pixels without an inverse variance are masked.
    """
    return SpectrumBatch(
        spectra.grid, spectra.flux, spectra.ivar, ~(spectra.ivar > 0), spectra.covered,
        plausible_dispersion(spectra.dispersion, INSTRUMENT.line_spread_limits), targets,
        [""] * len(targets),
    )  # fmt: skip


def _spread(resolution: Any, dispersion: Any, shape: tuple[int, ...]) -> Floats:
    """Return the line spread of N spectra of P pixels, pixels of the grid; 0 where unknown."""
    if resolution is not None and dispersion is not None:
        raise SpectraError("resolution and dispersion both tell the line spread; give one of them")
    if resolution is None and dispersion is None:
        return np.zeros(shape)
    name, given = ("resolution", resolution) if dispersion is None else ("dispersion", dispersion)
    values = numbers(getattr(given, "value", given), name)
    if values.ndim > 2 or (values.ndim and values.shape not in (shape, shape[1:])):
        raise SpectraError(
            f"{name} has the shape {values.shape}, and the flux {shape}: give one number, or one "
            "a pixel"
        )
    if not (values > 0).any():
        raise SpectraError(f"{name} is {given!r}: expected numbers above 0")
    if name == "resolution":
        with np.errstate(divide="ignore", invalid="ignore"):
            sigma = SPEED_OF_LIGHT_KMS / values / FWHM_PER_SIGMA / PIXEL_KMS
        values = np.where(values > 0, sigma, 0)
    return np.broadcast_to(np.where(values > 0, values, values.dtype.type(0)), shape)
