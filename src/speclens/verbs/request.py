"""What a user asks of a search, on the command line or in Python, and what came of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config, load_searches, toml_value
from speclens.errors import ConfigError

__all__ = ["Asked", "Purpose", "RunSummary", "SearchRequest"]


@dataclass(frozen=True)
class Asked:
    """The options that make a configuration.

    Parameters
    ----------
    config : str, optional
        A TOML file, or a bundled configuration.
    overrides : sequence of str, optional
        `section.key=value`.
    sources, foregrounds : sequence of str, optional
        What is behind, and behind what; as the configuration says when empty.
    method : str, optional
        The search.
    model : str, optional
        The network: a bundled one, or a model's folder.
    templates, sky : str, optional
        Files of eigenspectra, and of the growth of the errors.
    """

    config: str | None = None
    overrides: Sequence[str] = ()
    sources: Sequence[str] = ()
    foregrounds: Sequence[str] = ()
    method: str | None = None
    model: str | None = None
    templates: str | None = None
    sky: str | None = None

    def configuration(self) -> Config:
        """Return the configuration of all searches that are asked for.

        Returns
        -------
        Config
            Files are named by their absolute paths: a run goes on from wherever it is called.

        Raises
        ------
        ConfigError, RunError
            As for `load_searches`.
        """
        values = {
            "search.method": self.method,
            "search.model": self.model and _place_of_model(self.model),
            "foreground.templates": self.templates and os.path.abspath(self.templates),
            "noise.growth": self.sky and os.path.abspath(self.sky),
        }
        own = [f"{key}={toml_value(value)}" for key, value in values.items() if value is not None]
        overrides = [*self.overrides, *own]
        return load_searches(self.config, overrides, self.sources, self.foregrounds)


def _place_of_model(model: str) -> str:
    from speclens.networks.model_folder import bundled_models

    return model if model in bundled_models() else os.path.abspath(model)


@dataclass(frozen=True)
class Purpose:
    """What a list of candidates is for, and what tells how it is served.

    Parameters
    ----------
    selection : str, optional
        Folder of an evaluation.
    purity, completeness : float, optional
        Least share of true candidates, or of bright sources that are candidates; all candidates
        when neither is given.

    Raises
    ------
    ConfigError
        If both are given, or one is no share.
    """

    selection: str | None = None
    purity: float | None = None
    completeness: float | None = None

    def __post_init__(self) -> None:
        if self.purity is not None and self.completeness is not None:
            raise ConfigError("--purity, --completeness: one of them chooses the list, not both")
        for name in ("purity", "completeness"):
            share = getattr(self, name)
            if share is not None and not 0 < share <= 1:
                raise ConfigError(f"--{name} {share:g}: expected a share above 0, at most 1")


@dataclass(frozen=True)
class SearchRequest:
    """What the user asks for.

    Parameters
    ----------
    inputs : sequence of str
        Survey files and folders.
    output : Path
        The run's folder.
    config : Config
        The configuration.
    catalogue : str, optional
        Survey catalogue instead of the classes and redshifts beside the spectra.
    n_workers : int, optional
        Number of processes.
    verify : bool, optional
        Refuse data that disagree with their DATASUM.
    known : str, optional
        List of published systems, to be marked among the hits.
    purpose : Purpose, optional
        What the candidates are for.
    """

    inputs: Sequence[str]
    output: Path
    config: Config
    catalogue: str | None = None
    n_workers: int = 1
    verify: bool = True
    known: str | None = None
    purpose: Purpose = field(default_factory=Purpose)


@dataclass(frozen=True)
class RunSummary:
    """What came of a run.

    Parameters
    ----------
    output : Path
        The run's folder.
    counts : dict
        Spectra by status, hits, candidates.
    reasons : dict
        Spectra by reason code.
    candidates : structured array of shape (N,)
        Rows of the candidate table, best first.
    notes : sequence of str
        What a reader of the tables must know.
    n_ignored : int
        Other files met in the input folders.
    n_new : int
        Spectra searched now, not found done.
    not_gathered : dict
        Files that could not be read again for their hits, by reason code.
    loss : str
        Why no spectrum was searched; empty where any was.
    configuration : dict
        Sections of the configuration used, whose limits the reasons stand for.
    ignored : sequence of str, optional
        Names of the first of the other files.
    purposes : sequence of mapping, optional
        What the candidates are worth, as in run.json.
    """

    output: Path
    counts: dict[str, int]
    reasons: dict[str, int]
    candidates: NDArray[np.void]
    notes: Sequence[str]
    n_ignored: int
    n_new: int
    not_gathered: dict[str, int]
    configuration: dict[str, Any]
    loss: str = ""
    ignored: Sequence[str] = ()
    purposes: Sequence[Mapping[str, Any]] = ()

    @property
    def n_failed(self) -> int:
        """Number of spectra and hits that failed, and of files that failed when read again."""
        failed = self.counts["failed"] + self.counts["hits_failed"]
        return failed + sum(self.not_gathered.values())
