"""Real BOSS spectra on one grid, for the tools that measure their noise.

In: spec files. Out: `Spectra`, what their columns hold, NaN where a file has no pixel.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from speclens.spectra import LogGrid

__all__ = ["CLIP", "GRID", "Array", "Spectra", "nanmedian", "read"]

GRID = LogGrid(35500, 4680)
"""Pixels of the product, 3548 to 10,421 Angstrom."""

CLIP = 5.0
"""Residuals beyond this many stated errors are clipped: spikes and unmodelled lines."""

LEVEL_PIXELS = 51
"""Width of the median that takes the light of the object off, whatever it is."""

FOREST_END = 1260.0
"""Wavelength at rest up to which absorption on the way scatters a quasar's flux."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Spectra:
    """Real spectra on `GRID`, NaN where a file has no pixel.

    Parameters
    ----------
    columns : dict of arrays of shape (N, L)
        The files' columns by lower-case name.
    plate : array of shape (N,)
        Plate numbers.
    exposure : array of shape (N,)
        Exposure times, s.
    z : array of shape (N,)
        Redshifts.
    fibre : array of shape (N,)
        Numbers of the fibres, from 1.
    """

    columns: dict[str, Array]
    plate: NDArray[np.int64]
    exposure: Array
    z: Array
    fibre: NDArray[np.int64]

    def __getitem__(self, name: str) -> Array:
        return self.columns[name]

    @cached_property
    def variance(self) -> Array:
        """Stated variance, shape (N, L); NaN where it is infinite."""
        return np.where(self["ivar"] > 0, 1 / np.where(self["ivar"] > 0, self["ivar"], 1), np.nan)

    @cached_property
    def residual(self) -> Array:
        """(flux - model) in units of the stated error, clipped, shape (N, L)."""
        residual = (self["flux"] - self["model"]) / np.sqrt(self.variance)
        return np.asarray(np.clip(residual, -CLIP, CLIP))

    @cached_property
    def scatter(self) -> Array:
        """Flux about a running median in units of the stated error, shape (N, L).

        What is smooth is gone: light that no model knows, and errors of the calibration. NaN where
        the forest of a quasar is.
        """
        scatter = np.full(self["flux"].shape, np.nan)
        pixel = np.arange(GRID.n_pixels)
        for row, flux, variance, z in zip(
            scatter, self["flux"], self.variance, self.z, strict=True
        ):
            known = np.isfinite(variance)
            if not known.any():
                continue
            level = median_filter(np.interp(pixel, pixel[known], flux[known]), LEVEL_PIXELS)
            row[:] = (flux - level) / np.sqrt(variance)
            row[GRID.wave < FOREST_END * (1 + z)] = np.nan
        return scatter

    def having(self, rows: NDArray[np.bool_]) -> Spectra:
        """Return some of the spectra.

        Parameters
        ----------
        rows : array of shape (N,)
            True for those wanted.

        Returns
        -------
        Spectra
            The others left out.
        """
        columns = {name: value[rows] for name, value in self.columns.items()}
        return Spectra(
            columns, self.plate[rows], self.exposure[rows], self.z[rows], self.fibre[rows]
        )


def read(paths: list[Path]) -> Spectra:
    """Read spec files.

    Parameters
    ----------
    paths : list of pathlib.Path
        The files.

    Returns
    -------
    Spectra
        N = len(paths) spectra.
    """
    names = ("flux", "ivar", "model", "sky", "wdisp", "and_mask", "or_mask")
    columns = {name: np.full((len(paths), GRID.n_pixels), np.nan) for name in names}
    plate, exposure, redshift, fibre = [], [], [], []
    for i, path in enumerate(paths):
        with fits.open(path, memmap=False) as hdus:
            table, row = hdus[1].data, hdus[2].data[0]
            pixel = np.round(table.field("loglam").astype(float) * 1e4).astype(int) - GRID.first
            inside = (pixel >= 0) & (pixel < GRID.n_pixels)
            for name in names:
                columns[name][i, pixel[inside]] = table.field(name)[inside]
            plate.append(int(row["PLATE"]))
            exposure.append(float(hdus[0].header["EXPTIME"]))
            redshift.append(float(row["Z"]))
            fibre.append(int(row["FIBERID"]))
    return Spectra(
        columns, np.array(plate), np.array(exposure), np.array(redshift), np.array(fibre)
    )


def nanmedian(values: Array, axis: int | None = None) -> Array:
    """Return the median of what is not NaN.

    Parameters
    ----------
    values : array
        The values.
    axis : int, optional
        As numpy's.

    Returns
    -------
    array
        Medians; NaN where all is, without numpy's warning.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")
        return np.asarray(np.nanmedian(values, axis=axis))
