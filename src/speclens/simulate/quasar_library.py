"""A library of model quasars, and the components that span it.

In: mock quasars and the eigenspectra of the survey's pipeline. Out: principal components for the
foreground of quasars. Reading and writing files is left to `tools/build_eigenspectra.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from speclens.simulate.galaxies import principal_components
from speclens.simulate.quasars import emitted_light
from speclens.spectra import LogGrid

__all__ = ["library_of_quasars", "quasar_components"]

Floats = NDArray[np.float64]

LINE_SPREAD = 1.0
"""Of the spectrograph, pixels."""

SMOOTH_PIXELS = 40.0
"""Over which the mean of the mock quasars is made that of the survey's."""

NOISE_PIXELS = 2.0
"""Over which the pipeline's eigenspectra are smoothed: no line of quasars is as narrow."""

TEMPLATE_SCATTER = 0.25
"""Of the pipeline's lesser eigenspectra in the library, in units of the first one."""


def library_of_quasars(
    template: Floats, grid: LogGrid, n_quasars: int, rng: np.random.Generator
) -> Floats:
    """Draw model quasars.

    Parameters
    ----------
    template : array of shape (M, L)
        The pipeline's eigenspectra; the first is the mean quasar.
    grid : LogGrid
        Wavelengths at rest, L pixels.
    n_quasars : int
        Their number N.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    array of shape (N, L)
        Flux density over that of the mean quasar, of mean 1 for each: mock quasars, with the
        survey's mean, and with what its lesser eigenspectra tell beside.
    """
    zero = np.zeros(n_quasars)
    deviates, breadth = rng.standard_normal((2, n_quasars)), rng.random(n_quasars)
    flux = emitted_light(zero, grid, deviates[0], breadth, deviates[1], LINE_SPREAD, rng)
    flux /= flux.mean(axis=1, keepdims=True)
    template = gaussian_filter1d(template, NOISE_PIXELS, axis=1)
    mean, smooth = template[0], gaussian_filter1d(template[0], SMOOTH_PIXELS)
    relative = flux / gaussian_filter1d(flux.mean(axis=0), SMOOTH_PIXELS) * smooth / mean
    lesser = template[1:] / mean
    lesser *= TEMPLATE_SCATTER / lesser.std(axis=1, keepdims=True)
    relative += rng.standard_normal((n_quasars, len(lesser))) @ lesser
    return np.asarray(relative / relative.mean(axis=1, keepdims=True))


def quasar_components(relative: Floats, mean: Floats, n_components: int) -> Floats:
    """Return principal components, not centred.

    Parameters
    ----------
    relative : array of shape (N, L)
        Quasars over the mean one, which gives each wavelength the same weight.
    mean : array of shape (L,)
        The mean quasar.
    n_components : int
        Their number M.

    Returns
    -------
    array of shape (M, L)
        Flux density, by decreasing importance.
    """
    components = principal_components(relative, np.ones_like(relative), n_components)
    return np.asarray(components * gaussian_filter1d(mean, NOISE_PIXELS) / mean.mean())
