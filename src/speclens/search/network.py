"""The network as a search: a hit in every spectrum in which it is sure of a line.

In: prepared spectra, filtered. Out: probabilities, and a hit where the network places the line.
"""

from __future__ import annotations

import numpy as np

from speclens.config import Config
from speclens.errors import ConfigError
from speclens.networks.model import Model, check_preparation
from speclens.networks.model_folder import read_model
from speclens.sample.preparation import PreparedSpectra
from speclens.search.classifier import Classifier
from speclens.search.engine import open_engine
from speclens.search.matched_filter import Filtered, MatchedFilter
from speclens.search.search import Found

__all__ = ["NetworkSearch", "checked_model", "model_of", "open_network"]

KINDS = {"resnet": "resnet", "redshift-network": "redshift"}
"""The kind of network that each method needs; the other methods need none."""


class NetworkSearch:
    """Search with a trained network (Li et al. 2019, section 3).

    Parameters
    ----------
    classifier : Classifier
        The network.
    matched_filter : MatchedFilter
        Measures its hits.
    probability_min : float
        Above this probability a spectrum is a hit.
    snr_certain : float, optional
        So is one with a line above this S/N, where the filter is highest: no noise is so bright,
        and what is no light has been masked. 0 for none.
    """

    def __init__(
        self,
        classifier: Classifier,
        matched_filter: MatchedFilter,
        probability_min: float,
        snr_certain: float = 0.0,
    ) -> None:
        self._classifier, self._matched_filter = classifier, matched_filter
        self._probability_min, self._snr_certain = probability_min, snr_certain

    @property
    def engine(self) -> str:
        """What runs the network."""
        return self._classifier.engine

    def __call__(self, spectra: PreparedSpectra, filtered: Filtered) -> Found:
        """Find the hits, as `Search` does."""
        searched = spectra.reasons == ""
        classified = self._classifier(spectra, filtered.best)
        probability = np.where(searched, classified.probability, np.nan)
        told = probability > self._probability_min
        certain = np.isfinite(probability) & (filtered.snr >= (self._snr_certain or np.inf))
        rows = np.flatnonzero(told | certain)
        pixels = np.where(told[rows], classified.pixel[rows], filtered.best[rows].argmax(axis=1))
        hits = self._matched_filter.hits_at(rows, pixels, filtered.best)
        hits["P_RED"] = classified.p_red[rows]
        # Not a number is not "no line".
        lost = searched & ~np.isfinite(probability)
        reasons = np.where(lost, "no_probability", "").astype("U24")
        return Found(hits, probability, np.zeros(len(spectra), bool), reasons)


def open_network(config: Config, matched_filter: MatchedFilter) -> NetworkSearch:
    """Read the network of a configuration, and start what runs it.

    Parameters
    ----------
    config : Config
        Section `search`.
    matched_filter : MatchedFilter
        Measures its hits.

    Returns
    -------
    NetworkSearch
        The search.

    Raises
    ------
    SpeclensError
        If the network cannot be used, or was trained on spectra prepared in another way.
    """
    model = checked_model(config)
    classifier = Classifier(model, open_engine(model), config.search.place_half_width)
    search = config.search
    return NetworkSearch(classifier, matched_filter, search.probability_min, search.snr_certain)


def model_of(config: Config) -> Model | None:
    """Read the network of a search, and check that it sees what it was trained on.

    Parameters
    ----------
    config : Config
        The configuration.

    Returns
    -------
    Model or None
        The network; None when the search needs none.

    Raises
    ------
    ModelError
        If it cannot be used.
    ConfigError
        If it was trained on spectra prepared in another way.
    """
    if config.search.method not in KINDS:
        return None
    return checked_model(config)


def checked_model(config: Config) -> Model:
    """Read the network of a search that needs one, as `model_of` does.

    Parameters
    ----------
    config : Config
        The configuration.

    Returns
    -------
    Model
        The network.

    Raises
    ------
    ModelError
        If it cannot be used.
    ConfigError
        If it is of another kind, or was trained on spectra prepared in another way.
    """
    model, kind = read_model(config.search.model), KINDS[config.search.method]
    if model.kind != kind:
        raise ConfigError(
            f"model {model.name} is a network of kind {model.kind}, and --method "
            f"{config.search.method} needs one of kind {kind}: give another --model or --method"
        )
    check_preparation(model, config)
    return model
