"""What every survey hands over: spectra that are read in two steps, and single exposures.

In: nothing. Out: `Source`, who the spectra are first and then what they hold; `Exposure`. Bad
pixels are left as they are: what to make of them is decided in `speclens.sample.preparation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectrumFileError
from speclens.spectra import SpectrumBatch

__all__ = ["Exposure", "InMemory", "Source"]


class Source(Protocol):
    """Spectra that are read in two steps: who they are, then what they hold."""

    @property
    def survey(self) -> str:
        """Name of the survey, as in the column SURVEY."""

    @property
    def targets(self) -> NDArray[np.void]:
        """Catalogue rows, shape (N,)."""

    @property
    def reasons(self) -> NDArray[np.str_]:
        """Reason codes of what the catalogue already rules out, shape (N,); else empty."""

    @property
    def flags(self) -> NDArray[np.int32]:
        """Quality bits of `speclens.schema.FLAGS`, shape (N,)."""

    @property
    def files(self) -> Sequence[str]:
        """The file of each spectrum."""

    def spectra(self, rows: NDArray[np.integer]) -> SpectrumBatch:
        """Read the window of some spectra.

        Parameters
        ----------
        rows : array of shape (n,)
            Rows of `targets`, increasing.

        Returns
        -------
        SpectrumBatch
            Their spectra.
        """
        ...


@dataclass
class InMemory:
    """Spectra that were read whole; the files that failed are listed beside.

    Parameters
    ----------
    batch : SpectrumBatch
        The spectra that could be read.
    reasons : array of shape (N,)
        Reason codes from the catalogue.
    flags : array of shape (N,)
        Quality bits.
    failures : list of SpectrumFileError
        One for each file that could not be read.
    survey : str
        Name of the survey.
    """

    batch: SpectrumBatch
    reasons: NDArray[np.str_]
    flags: NDArray[np.int32]
    failures: list[SpectrumFileError]
    survey: str

    @property
    def targets(self) -> NDArray[np.void]:
        """Catalogue rows, shape (N,)."""
        return self.batch.targets

    @property
    def files(self) -> Sequence[str]:
        """The file of each spectrum."""
        return self.batch.files

    def spectra(self, rows: NDArray[np.integer]) -> SpectrumBatch:
        """Return some of the spectra.

        Parameters
        ----------
        rows : array of shape (n,)
            Rows of `targets`.

        Returns
        -------
        SpectrumBatch
            Their spectra.
        """
        return self.batch[rows]


@dataclass(frozen=True)
class Exposure:
    """One exposure of one camera.

    Parameters
    ----------
    name : str
        What the file calls it.
    wave : array of shape (L,)
        Vacuum wavelength, increasing, Angstrom; the pixels are those of the detector.
    flux : array of shape (L,)
        Flux density, 1e-17 erg/s/cm2/Angstrom; 0 where the file holds no number.
    ivar : array of shape (L,)
        Its inverse variance; 0 where masked.
    dispersion : array of shape (L,)
        Standard deviation of the line spread, pixels of this exposure; 0 where unknown.
    """

    name: str
    wave: NDArray[np.float64]
    flux: NDArray[np.float32]
    ivar: NDArray[np.float32]
    dispersion: NDArray[np.float32]
