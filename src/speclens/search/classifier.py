"""The network on prepared spectra: a probability for each, and where the line is.

In: prepared spectra, and the matched filter's ratios at each pixel. Out: probabilities and the
pixel of the line. What a line's flux and width are, the matched filter measures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from speclens.networks.inputs import network_inputs
from speclens.networks.model import Model
from speclens.search.engine import Engine
from speclens.spectra import FittedSpectra

__all__ = ["Classification", "Classifier"]


@dataclass(frozen=True)
class Classification:
    """What the network says of N spectra.

    Parameters
    ----------
    probability : array of shape (N,)
        Probability that there is an emission line that is not the lens galaxy's; NaN when the
        network gives none.
    pixel : array of shape (N,)
        Where it is most likely.
    p_red : array of shape (N,)
        Probability that it is skewed to the red, if it is a line; NaN when the network tells no
        such classes.
    """

    probability: NDArray[np.float64]
    pixel: NDArray[np.intp]
    p_red: NDArray[np.float64]


class Classifier:
    """A trained network with what computes it.

    Parameters
    ----------
    model : Model
        The network and what it sees.
    engine : Engine
        What computes it.
    place_half_width : int
        The line is at the highest ratio within so many pixels of the network's place. A network
        that tells no place leaves it to the highest ratio of all.
    """

    def __init__(self, model: Model, engine: Engine, place_half_width: int) -> None:
        self._model, self._engine = model, engine
        self._half_width = place_half_width

    @property
    def engine(self) -> str:
        """What runs the network, and how precisely."""
        return self._engine.name

    def __call__(self, spectra: FittedSpectra, snr: NDArray[np.float32]) -> Classification:
        """Classify spectra.

        Parameters
        ----------
        spectra : FittedSpectra
            N prepared spectra.
        snr : array of shape (N, L)
            Signal-to-noise ratio of a line centred on each pixel.

        Returns
        -------
        Classification
            One probability and one place for each.
        """
        inputs = network_inputs(self._model.inputs, spectra, snr)
        output = self._engine(inputs)
        p_red = np.full(len(snr), np.nan)
        if self._model.place and len(snr):
            classes = self._model.classes
            place = softmax(output.place.astype(np.float64), axis=1)
            place = place.reshape(len(snr), len(classes), -1)  # (N, K, cells)
            cell = self._model.grid.n_pixels // place.shape[2]
            pixel = self._highest(snr, place.sum(axis=1).argmax(axis=1) * cell + cell // 2)
            if "red" in classes:
                p_red = place[:, classes.index("red")].sum(axis=1)
        else:
            pixel = snr.argmax(axis=1)
        probability = self._model.probability(output.logit)
        return Classification(probability, pixel, p_red)

    def _highest(self, snr: NDArray[np.float32], centre: NDArray[np.integer]) -> NDArray[np.intp]:
        """Return the pixel of the highest ratio near a pixel of each spectrum, shape (N,)."""
        near = centre[:, None] + np.arange(-self._half_width, self._half_width + 1)
        near = np.clip(near, 0, snr.shape[1] - 1)
        highest = np.take_along_axis(snr, near, axis=1).argmax(axis=1)
        return np.asarray(near[np.arange(len(near)), highest], np.intp)
