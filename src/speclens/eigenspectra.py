"""Galaxy eigenspectra in the rest frame: read a file, shift to a redshift.

In: a FITS file in the BOSS pipeline's spEigen format (primary image of M components by pixels,
COEFF0 and COEFF1 for log10 of the vacuum wavelength). Out: components on an observed grid. Fitting
them is left to `speclens.sample.foreground`, making them to `speclens.simulate.galaxies`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from speclens.errors import RunError
from speclens.lines import PIXEL_LOGLAM
from speclens.products import refuse_irregular
from speclens.spectra import LogGrid

__all__ = ["BUNDLED", "Eigenspectra"]

BUNDLED = {"": "eigenspectra.fits", "quasars": "quasar_eigenspectra.fits"}
"""Files of the bundled bases, by what the configuration calls them."""

N_PHASES = 8
"""Sub-pixel phases at which components are tabulated: a shift is exact to 1/16 pixel, 4 km/s."""


@dataclass(frozen=True)
class Eigenspectra:
    """Components of galaxy spectra on a rest-frame grid.

    Parameters
    ----------
    components : array of shape (M, L)
        Flux density of the components, arbitrary unit.
    grid : LogGrid
        Rest wavelengths.
    source : str
        Where they came from.
    """

    components: NDArray[np.float64]
    grid: LogGrid
    source: str

    @classmethod
    @lru_cache(maxsize=4)
    def read(cls, path: str = "") -> Eigenspectra:
        """Read eigenspectra.

        Parameters
        ----------
        path : str, optional
            A file in the pipeline's spEigen format, or the name of a bundled basis: none for that
            of galaxies, or `quasars`.

        Returns
        -------
        Eigenspectra
            The components.

        Raises
        ------
        RunError
            If the file does not hold such an image on the global grid.
        """
        if path not in BUNDLED:
            return cls._from_file(Path(path), path)
        with as_file(files("speclens") / "data" / BUNDLED[path]) as bundled:
            return cls._from_file(bundled, "bundled")

    @classmethod
    def _from_file(cls, path: Path, source: str) -> Eigenspectra:
        from astropy.io import fits

        refuse_irregular(path)
        try:
            with fits.open(path, memmap=False) as hdus:
                header, image = hdus[0].header, hdus[0].data
                first, step = header["COEFF0"] / PIXEL_LOGLAM, float(header["COEFF1"])
                components = np.atleast_2d(np.asarray(image, np.float64))
                if image is None or components.ndim > 2 or components.shape[1] < 2:
                    raise ValueError(f"the image has shape {np.shape(image)}")
        except FileNotFoundError:
            raise RunError(f"templates {path}: no such file") from None
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"templates {path}: not in the spEigen format ({error}); expected a FITS file "
                "whose first HDU is an image of components by pixels with COEFF0 and COEFF1"
            ) from error
        if abs(step - PIXEL_LOGLAM) > 1e-9 or abs(first - round(first)) > 0.01:
            raise RunError(
                f"templates {path}: COEFF0 = {header['COEFF0']}, COEFF1 = {step}; expected "
                "multiples of 1e-4 and a step of 1e-4 (the SDSS global grid)"
            )
        if not np.isfinite(components).all():
            raise RunError(f"templates {path}: some values are not finite")
        return cls(components, LogGrid(round(first), components.shape[1]), source)

    @cached_property
    def _phases(self) -> NDArray[np.float32]:
        """Components at sub-pixel phases, shape (N_PHASES, M, L)."""
        pixel = np.arange(self.grid.n_pixels)
        spline = CubicSpline(pixel, self.components, axis=1)
        shifts = np.arange(N_PHASES) / N_PHASES
        phases = [spline(np.minimum(pixel + shift, pixel[-1])) for shift in shifts]
        # Pixels side by side in memory, which the spline's own order would scatter.
        return np.ascontiguousarray(phases, np.float32)

    def at(
        self,
        z: NDArray[np.floating],
        grid: LogGrid,
        n_components: int | None = None,
        out: NDArray[np.floating] | None = None,
    ) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
        """Shift the components to redshifts.

        Parameters
        ----------
        z : array of shape (N,)
            Redshifts.
        grid : LogGrid
            Observed wavelengths, L pixels.
        n_components : int, optional
            Use only the first M components.
        out : array of shape (N, M, L), optional
            Where to put them.

        Returns
        -------
        components : array of shape (N, M, L)
            The components at the observed wavelengths.
        covered : array of shape (N, L)
            False where a component does not reach; there the nearest value stands.
        """
        position = grid.first - np.log10(1 + np.asarray(z)) / PIXEL_LOGLAM - self.grid.first
        fine = np.round(position * N_PHASES).astype(np.int64)
        whole, phase = fine // N_PHASES, fine % N_PHASES
        pixel = np.arange(grid.n_pixels)
        covered = (pixel >= -whole[:, None]) & (pixel < self.grid.n_pixels - whole[:, None])
        table = self._phases[:, :n_components]
        if out is None:
            out = np.empty((len(whole), table.shape[1], grid.n_pixels), np.float32)
        last = self.grid.n_pixels - grid.n_pixels
        for shifted, i, first in zip(out, phase.tolist(), whole.tolist(), strict=True):
            at_rest = table[i]
            if 0 <= first <= last:
                shifted[:] = at_rest[:, first : first + grid.n_pixels]
                continue
            here, there = LogGrid(first, grid.n_pixels).overlap(LogGrid(0, self.grid.n_pixels))
            shifted[:, here] = at_rest[:, there]
            shifted[:, : here.start], shifted[:, here.stop :] = at_rest[:, :1], at_rest[:, -1:]
        return out, covered
