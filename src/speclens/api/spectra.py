"""Spectra in memory: what was handed over, on the grid of the searches.

In: a `SpectrumBatch`. Out: `Spectra`, with what there is to look at, and stacks for a search.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from speclens.api.html import page
from speclens.api.tables import TARGETS, quantities, spectrum_table
from speclens.read.arrays.stack import write_stack
from speclens.read.arrays.survey import STACKS
from speclens.spectra import SpectrumBatch

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["Spectra"]


class Spectra:
    """N spectra in memory, ready for a search; `speclens.read` makes them.

    Parameters
    ----------
    batch : SpectrumBatch
        The spectra, on the grid of the searches.
    resampled : bool, optional
        True where they were given on other wavelengths.

    Attributes
    ----------
    batch : SpectrumBatch
        Their arrays.
    resampled : bool
        As given.

    Examples
    --------
    >>> import numpy as np
    >>> import speclens
    >>> wave = np.arange(3600.0, 9000.0, 1.0)
    >>> flux, ivar = np.ones((3, len(wave))), np.full((3, len(wave)), 4.0)
    >>> spectra = speclens.read(wave, flux, ivar, z=[0.4, 0.5, 0.6], resolution=2000)
    >>> spectra
    <Spectra: 3 spectra, 3600 to 8999 Angstrom, z 0.4 to 0.6; resampled>
    >>> spectra[1:]
    <Spectra: 2 spectra, 3600 to 8999 Angstrom, z 0.5 to 0.6; resampled>
    >>> len(spectra.spectrum(0)) == spectra.batch.grid.n_pixels
    True
    """

    def __init__(self, batch: SpectrumBatch, resampled: bool = False) -> None:
        self.batch, self.resampled = batch, resampled

    def __len__(self) -> int:
        return len(self.batch)

    def __getitem__(self, rows: Any) -> Spectra:
        index = np.atleast_1d(np.arange(len(self))[rows])
        return Spectra(self.batch[index], self.resampled)

    @property
    def targets(self) -> QTable:
        """What is known of the targets, a row a spectrum."""
        return quantities(self.batch.targets, TARGETS)

    def spectrum(self, i: int) -> QTable:
        """Return one spectrum.

        Parameters
        ----------
        i : int
            Its number, from 0.

        Returns
        -------
        astropy.table.QTable
            WAVE (vacuum), FLUX, IVAR (0 where masked) and DISPERSION (pixels; 0 where unknown).
        """
        one = self.batch[np.array([range(len(self))[i]])]
        ivar = np.where(one.mask, 0, one.ivar)
        return spectrum_table(one.grid, FLUX=one.flux, IVAR=ivar, DISPERSION=one.dispersion)

    def files_for_search(self, folder: Path) -> list[str]:
        """Write them as the files that a search reads.

        Parameters
        ----------
        folder : Path
            Where to.

        Returns
        -------
        list of str
            The files.

        Raises
        ------
        RunError
            If they cannot be written.
        """
        step = STACKS.spectra_a_file
        paths = []
        for number, start in enumerate(range(0, len(self), step)):
            path = folder / f"stack-{number:06d}.fits"
            write_stack(path, self.batch[start : start + step])
            paths.append(str(path))
        return paths

    def __repr__(self) -> str:
        return f"<Spectra: {self._said}>"

    def _repr_html_(self) -> str:
        return page("Spectra", self._said, self.targets)

    @property
    def _said(self) -> str:
        z = self.batch.targets["Z"]
        z = z[np.isfinite(z)]
        redshifts = _between(z.min(), z.max()) if len(z) else "unknown"
        wave = self.batch.grid.wave
        notes = ["resampled"] if self.resampled else []
        if not (self.batch.dispersion > 0).any():
            notes.append("line spread not known, taken to be as of BOSS")
        number = f"{len(self)} spectr{'um' if len(self) == 1 else 'a'}"
        said = f"{number}, {wave[0]:.0f} to {wave[-1]:.0f} Angstrom, z {redshifts}"
        return "; ".join([said, *notes])


def _between(low: float, high: float) -> str:
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
