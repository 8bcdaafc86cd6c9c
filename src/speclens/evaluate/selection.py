"""The selection function of an evaluation: what a later search reads, and `speclens.completeness`.

In: the sources that were put in and the hits of the nulls. Out: `SelectionFunction`, in
selection.json: completeness by kind of source and level at any flux, wavelength and noise, and how
many candidates are false.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.errors import ConfigError, RunError
from speclens.evaluate.false_hits import FalseHits, score_of
from speclens.evaluate.levels import each_kind
from speclens.evaluate.of_kind import OfKind

__all__ = ["FILE", "OfSearch", "SelectionFunction"]

FILE = "selection.json"
FORMAT = 1
LEAST_LINES = 100
"""Of fewer sources no function is fitted."""

Floats = NDArray[np.float64]
Rows = NDArray[np.void]


@dataclass(frozen=True)
class OfSearch:
    """What an evaluation tells of one search.

    Parameters
    ----------
    kinds : dict of str to OfKind
        Completeness by kind of source.
    false_hits : FalseHits
        The candidates of the nulls.
    window : (float, float)
        Wavelengths that are searched, Angstrom.
    snr_ratio : float
        Median of the signal-to-noise ratios that the search states over the ideal ones.
    bright_scores : array of shape (S,)
        What bright sources that are candidates are ranked by, rising.
    n_bright : int
        Bright sources, candidates or not.
    """

    kinds: Mapping[str, OfKind]
    false_hits: FalseHits
    window: tuple[float, float]
    snr_ratio: float
    bright_scores: Floats
    n_bright: int

    @classmethod
    def of_lines(cls, lines: Rows, false_hits: FalseHits, config: Config) -> OfSearch:
        """Take up the sources that were put in for a search.

        Parameters
        ----------
        lines : structured array of shape (N,)
            Rows of lines.fits, of one search.
        false_hits : FalseHits
            The candidates of its nulls.
        config : Config
            Its window, and which sources are bright or in the top.

        Returns
        -------
        OfSearch
            What is told of it.
        """
        settings = config.evaluation
        kinds = {
            kind: OfKind.of_lines(own, settings.top)
            for _, kind, own in each_kind(lines)
            if len(own) >= LEAST_LINES
        }
        seen = lines[lines["SEARCHED"]]
        ratio = seen["SNR_LINES_FOUND"] / seen["IDEAL_SNR"]
        ratio = ratio[np.isfinite(ratio)]
        snr_ratio = float(np.median(ratio)) if len(ratio) else 1.0
        bright = seen[seen["IDEAL_SNR"] > settings.bright_snr]
        scores = np.sort(score_of(bright[bright["CANDIDATE"]]))
        window = config.preparation.window
        return cls(kinds, false_hits, window, snr_ratio, scores, len(bright))

    def completeness_down_to(self, score: Floats) -> Floats:
        """Return which share of bright sources are candidates of at least a score.

        Parameters
        ----------
        score : array of shape (N,)
            The scores.

        Returns
        -------
        array of shape (N,)
            NaN where no bright source was put in.
        """
        if not self.n_bright:
            return np.full(np.shape(score), np.nan)
        above = len(self.bright_scores) - np.searchsorted(self.bright_scores, score)
        return np.asarray(above / self.n_bright, np.float64)

    @property
    def content(self) -> dict[str, Any]:
        """The same as JSON."""
        return {
            "kinds": {name: kind.content for name, kind in self.kinds.items()},
            "false_hits": self.false_hits.content,
            "window": list(self.window),
            "snr_ratio": self.snr_ratio,
            "bright_scores": self.bright_scores.tolist(),
            "n_bright": self.n_bright,
        }

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> OfSearch:
        """Return what `content` gave."""
        return cls(
            {name: OfKind.of(kind) for name, kind in content["kinds"].items()},
            FalseHits.of(content["false_hits"]),
            (float(content["window"][0]), float(content["window"][1])),
            float(content["snr_ratio"]),
            np.array(content["bright_scores"], np.float64),
            int(content["n_bright"]),
        )


@dataclass(frozen=True)
class SelectionFunction:
    """What an evaluation tells of all of its searches.

    Parameters
    ----------
    searches : dict of str to OfSearch
        By name.
    setup : dict
        Configuration, model and growth of the errors that it holds for.
    """

    searches: Mapping[str, OfSearch]
    setup: Mapping[str, Any]

    def of_kind(
        self, kind: str | None = None, search: str | None = None
    ) -> tuple[OfKind, tuple[float, float]]:
        """Return the completeness of a kind of source.

        Parameters
        ----------
        kind, search : str, optional
            Kind of source and name of the search; may be left out where there is one.

        Returns
        -------
        function : OfKind
            The function.
        window : (float, float)
            Wavelengths for which it holds, Angstrom.

        Raises
        ------
        ConfigError
            If there is none, or more than one that it may be.
        """
        found = {
            (name, own): (function, of_search.window)
            for name, of_search in self.searches.items()
            for own, function in of_search.kinds.items()
            if search in (None, name) and kind in (None, own)
        }
        if len(found) == 1:
            return next(iter(found.values()))
        have = " or ".join(
            f"kind={own!r}, search={name!r}"
            for name, each in self.searches.items()
            for own in each.kinds
        )
        if not have:
            raise ConfigError(f"the evaluation has fewer than {LEAST_LINES} sources of any kind")
        told = {"kind": kind, "search": search}
        given = ", ".join(f"{name}={value!r}" for name, value in told.items() if value is not None)
        which = "the evaluation has several" if found else "the evaluation has none such"
        raise ConfigError(f"{given and f'{given}: '}{which}; give {have}")

    @property
    def content(self) -> dict[str, Any]:
        """The content of selection.json."""
        searches = {name: search.content for name, search in self.searches.items()}
        return {"format": FORMAT, "setup": dict(self.setup), "searches": searches}

    @classmethod
    def read(cls, place: Path) -> SelectionFunction:
        """Read what an evaluation wrote.

        Parameters
        ----------
        place : Path
            Its folder, or the file.

        Returns
        -------
        SelectionFunction
            The function.

        Raises
        ------
        RunError
            If it is not there, damaged, or of another version.
        """
        path = place / FILE if place.is_dir() else place
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']}, and this version reads {FORMAT}")
            searches = {name: OfSearch.of(own) for name, own in content["searches"].items()}
            return cls(searches, dict(content["setup"]))
        except FileNotFoundError:
            raise RunError(
                f"{path}: not there; give the -o of a speclens evaluate that has ended"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(
                f"{path}: no selection function ({error}); run speclens evaluate again"
            ) from error
