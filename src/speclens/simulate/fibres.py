"""Where the fibres of a plate stand, and so what noise of the sky model they share.

In: numbers of fibres. Out: `Fibres`, which spreads noise over them. What that noise is, is drawn in
`speclens.simulate.sky`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

__all__ = ["Fibres"]

PER_SPECTROGRAPH = 500
"""Fibres of one of BOSS's two spectrographs."""

N_MODES = 3
"""Terms in the fibre's number with which a spectrograph's sky is fitted to its sky fibres."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Fibres:
    """Fibres, and the noise that they share with the others of their spectrograph.

    Parameters
    ----------
    spectrograph : array of shape (N,)
        Number of each fibre's spectrograph, from 0.
    weights : array of shape (N, K)
        How much each fibre has of the K modes of its spectrograph's shared noise; the mean over a
        spectrograph of the sum of their squares is 1.
    is_sky : array of shape (N,)
        True for sky fibres, which have none: the sky model was fitted to them.

    Notes
    -----
    Two spectra of one spectrograph are the less alike the further apart their fibres are: on plates
    3650 and 3655 the covariance of their residuals falls from 0.08-0.11 of the variance for
    neighbours to nothing for fibres 250 apart, and a polynomial of second order in the fibre's
    number, fitted to all others, predicts most of each.
    """

    spectrograph: NDArray[np.intp]
    weights: Floats
    is_sky: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.is_sky)

    @classmethod
    def of_plate(cls, number: NDArray[np.integer], is_sky: NDArray[np.bool_]) -> Self:
        """Return the fibres of a plate.

        Parameters
        ----------
        number : array of shape (N,)
            Numbers of the fibres, from 1.
        is_sky : array of shape (N,)
            True for sky fibres.

        Returns
        -------
        Fibres
            N fibres.
        """
        spectrograph, place = np.divmod(np.asarray(number) - 1, PER_SPECTROGRAPH)
        along = 2 * (place + 0.5) / PER_SPECTROGRAPH - 1
        return cls(spectrograph.astype(np.intp), _modes(along), np.asarray(is_sky, bool))

    @classmethod
    def along_slit(cls, n: int) -> Self:
        """Return target fibres evenly along the slit of one spectrograph.

        Parameters
        ----------
        n : int
            Number of fibres N.

        Returns
        -------
        Fibres
            N target fibres.
        """
        along = 2 * (np.arange(n) + 0.5) / max(n, 1) - 1
        return cls(np.zeros(n, np.intp), _modes(along), np.zeros(n, bool))

    @classmethod
    def apart(cls, n: int, rng: np.random.Generator) -> Self:
        """Return fibres of as many spectrographs, which share no noise.

        Parameters
        ----------
        n : int
            Number of fibres N.
        rng : numpy.random.Generator
            Source of randomness, of their places along the slit.

        Returns
        -------
        Fibres
            N target fibres.
        """
        modes = _modes(rng.uniform(-1, 1, n))
        total = np.sqrt((modes**2).sum(axis=1, keepdims=True))
        return cls(np.arange(n), total, np.zeros(n, bool))

    @property
    def n_shared(self) -> int:
        """Number of spectra of noise that the fibres share: all modes of all spectrographs."""
        return int(self.spectrograph.max(initial=-1) + 1) * int(self.weights.shape[1])

    @property
    def share_rms(self) -> Floats:
        """Root mean square of what each fibre has of shared noise of unit variance, shape (N,)."""
        total = np.sqrt((self.weights**2).sum(axis=1))
        return np.where(self.is_sky, np.float32(0), total)

    def share(self, noise: Floats, shared: Floats) -> None:
        """Add to the noise of targets what they share, in place.

        Parameters
        ----------
        noise : array of shape (N, L)
            Noise of each fibre alone.
        shared : array of shape (n_shared, L)
            Noise of the modes, of each spectrograph in turn.
        """
        n_modes = self.weights.shape[1]
        for number in range(len(shared) // n_modes):
            own = np.flatnonzero((self.spectrograph == number) & ~self.is_sky)
            noise[own] += self.weights[own] @ shared[number * n_modes : (number + 1) * n_modes]


def _modes(along: NDArray[np.floating]) -> Floats:
    """Return Legendre polynomials at places from -1 to 1 along the slit, shape (N, N_MODES)."""
    unit = np.sqrt((2 * np.arange(N_MODES) + 1) / N_MODES)
    return np.asarray(legendre.legvander(along, N_MODES - 1) * unit, np.float32)
