"""How much the errors of a search grow: a product of its own, the same for every run.

In: the file that `speclens sky` measured on many plates, or the bundled one. Out: factors on the
errors of pixels, and on those of lines. A score depends on its spectrum and on that file, not on
the spectra that happen to be searched with it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.errors import RunError, refusal_of
from speclens.products import write_fits
from speclens.sample.preparation import Preparation
from speclens.schema import GROWTH, dtype_of
from speclens.spectra import LogGrid
from speclens.stored_tables import iterate_rows

__all__ = [
    "BUNDLED",
    "FACTORS",
    "PIXELS",
    "REST",
    "ErrorGrowth",
    "preparation_of",
    "read_growth",
]

BUNDLED = "error_growth.fits"
"""The bundled file, which the name "" stands for."""

PIXELS = LogGrid.covering(900.0, 12000.0)
"""Rows of the file."""

REST = LogGrid.covering(900.0, 10000.0)
"""Pixels in the frame of the lens, the first ones of `PIXELS`."""

FACTORS = ("SKY", "LINES", "GALAXIES_REST", "QUASARS_REST")
"""Columns that are factors; the number that tells of each is in the column `N_` and its name."""


@dataclass(frozen=True)
class ErrorGrowth:
    """Factors on the errors.

    Parameters
    ----------
    rows : structured array of shape (len(PIXELS),)
        Rows of `speclens.schema.GROWTH`.
    """

    rows: NDArray[np.void]

    @classmethod
    def unknown(cls) -> ErrorGrowth:
        """Return the growth of which nothing is known: factors 1, told by no spectrum."""
        rows = np.zeros(PIXELS.n_pixels, dtype_of(GROWTH))
        rows["WAVE"] = PIXELS.wave
        for name in FACTORS:
            rows[name] = 1
        return cls(rows)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the rows, hexadecimal."""
        return hashlib.sha256(np.ascontiguousarray(self.rows).tobytes()).hexdigest()

    def observed(self, name: str, grid: LogGrid) -> NDArray[np.float64]:
        """Return a factor by observed wavelength.

        Parameters
        ----------
        name : str
            `SKY`, of pixels, or `LINES`.
        grid : LogGrid
            Wavelengths, L pixels.

        Returns
        -------
        array of shape (L,)
            Factors; 1 where the file does not reach.
        """
        factor = np.ones(grid.n_pixels)
        here, there = grid.overlap(PIXELS)
        factor[here] = self.rows[name][there]
        return factor

    def at_rest(self, behind: str) -> NDArray[np.float32]:
        """Return a factor by the wavelength in the frame of the lens.

        Parameters
        ----------
        behind : str
            `galaxies` or `quasars`, of lines behind these.

        Returns
        -------
        array of shape (len(REST),)
            Factors.
        """
        return np.asarray(self.rows[f"{behind.upper()}_REST"][: REST.n_pixels], np.float32)

    def with_factor(
        self,
        name: str,
        first: int,
        factor: NDArray[np.floating],
        number: NDArray[np.number],
    ) -> ErrorGrowth:
        """Replace a factor where more is known of it.

        Parameters
        ----------
        name : str
            One of `FACTORS`.
        first : int
            First pixel on the global grid.
        factor, number : array of shape (P,)
            Factors from there, and how many tell of each; where none does the old ones stay.

        Returns
        -------
        ErrorGrowth
            With that factor; this one stays as it is.
        """
        rows = self.rows.copy()
        here, there = PIXELS.overlap(LogGrid(first, len(factor)))
        told = np.round(number[there]) > 0
        rows[name][here] = np.where(told, factor[there], rows[name][here])
        own = rows[f"N_{name}"]
        own[here] = np.where(told, np.round(number[there]), own[here])
        return ErrorGrowth(rows)

    def write(self, path: Path, meta: Mapping[str, str | int | float]) -> None:
        """Write the file.

        Parameters
        ----------
        path : Path
            Final place.
        meta : mapping
            Provenance, as header cards.
        """
        write_fits(path, [self.rows], len(self.rows), GROWTH, meta)


def read_growth(path: str) -> ErrorGrowth:
    """Read the growth of the errors.

    Parameters
    ----------
    path : str
        A file of `speclens sky`; the bundled one when empty.

    Returns
    -------
    ErrorGrowth
        The factors.

    Raises
    ------
    RunError
        If the file is missing, damaged, or no growth of the errors.
    """
    if not path:
        with as_file(files("speclens") / "data" / BUNDLED) as bundled:
            return _read(os.fspath(bundled), 0)
    try:
        return _read(path, os.stat(path).st_mtime_ns)
    except OSError as error:
        raise RunError(
            f"{path}: cannot read the growth of the errors: {refusal_of(error)}; speclens sky "
            "PLATES -o FILE measures it"
        ) from error


@lru_cache(maxsize=4)
def _read(path: str, _: int) -> ErrorGrowth:
    expected = dtype_of(GROWTH)
    # Not as an astropy table, whose import every worker would wait for.
    parts = list(iterate_rows(Path(path)))
    if not parts or parts[0].dtype != expected:
        raise RunError(
            f"{path}: no growth of the errors: expected columns {', '.join(expected.names or ())}; "
            "speclens sky PLATES -o FILE measures it"
        )
    rows = np.concatenate(parts)
    # Not to the last bit: processors differ in their powers of ten.
    if len(rows) != PIXELS.n_pixels or not np.allclose(rows["WAVE"], PIXELS.wave, rtol=1e-9):
        raise RunError(f"{path}: its pixels are not those of speclens sky; measure it again")
    for name in FACTORS:
        if not (np.isfinite(rows[name]) & (rows[name] >= 1)).all():
            raise RunError(f"{path}: {name}: errors only grow, by finite factors; measure it again")
    return ErrorGrowth(rows)


def preparation_of(config: Config) -> Preparation:
    """Return the steps before a search, in which errors grow with the sky fibres too.

    Parameters
    ----------
    config : Config
        The search.

    Returns
    -------
    Preparation
        The steps. A network is trained on spectra of which errors grow with residuals alone.

    Raises
    ------
    SpeclensError
        If the templates or the growth of the errors cannot be read.
    """
    grid = LogGrid.covering(*config.preparation.window)
    return Preparation(config, read_growth(config.noise.growth).observed("SKY", grid))
