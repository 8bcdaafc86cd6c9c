"""Trained networks: weights that never travel without their grid and preparation.

In: arrays, and what decides what a network sees. Out: a `Model`, and the check that a run prepares
its spectra as the training did. Reading and writing one is left to
`speclens.networks.model_folder`, running it to `speclens.search.engine`, fitting it to
`speclens.train`. There is no torch here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from speclens.config import Config
from speclens.eigenspectra import BUNDLED
from speclens.errors import ConfigError, ModelError, RunError
from speclens.networks.architecture import Architecture, weight_shapes
from speclens.networks.source_bins import CELL_PIXELS, SourceBins
from speclens.products import refuse_irregular
from speclens.spectra import LogGrid

__all__ = [
    "Calibration",
    "InputRecord",
    "Model",
    "Probe",
    "check_preparation",
    "seen_sections",
]

SLOPES, LARGEST_LOGIT = (1e-2, 1e4), 100.0
"""A calibration beyond maps all logits that a network gives to one probability."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Calibration:
    """From the network's logit to a probability.

    Parameters
    ----------
    slope, intercept : float
        The probability is 1 / (1 + exp(-(slope * logit + intercept))).
    """

    slope: float
    intercept: float


@dataclass(frozen=True, eq=False)
class Probe:
    """A stored input, and what the network made of it when it was trained.

    Parameters
    ----------
    input : array of shape (N, C, L)
        Spectra as the network sees them.
    logit : array of shape (N,)
        Logits of a line.
    place : array of shape (N, P)
        Logits of its place, or of sources on the redshift axes.
    """

    input: Floats
    logit: Floats
    place: Floats


@dataclass(frozen=True, eq=False)
class InputRecord:
    """Raw spectra, and what the network would have seen of them when it was trained.

    Parameters
    ----------
    version : int
        Version of the code that made the input.
    sections : mapping
        The sections of the configuration that it was made with, whole.
    flux, ivar, dispersion : array of shape (N, L)
        Spectra as read: float32.
    mask : array of shape (N, L)
        True for pixels that the survey rules out.
    z : array of shape (N,)
        Redshifts, float64.
    inputs : array of shape (N, C, L)
        The network's input, float32.
    """

    version: int
    sections: Mapping[str, Mapping[str, Any]]
    flux: Floats
    ivar: Floats
    mask: NDArray[np.bool_]
    dispersion: Floats
    z: NDArray[np.float64]
    inputs: Floats


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network and everything that its scores depend on.

    Parameters
    ----------
    name : str
        What people call it.
    inputs : tuple of str
        The C channels of its input (`speclens.networks.inputs`).
    grid : LogGrid
        Its L pixels.
    widths : tuple of int
        Channels of its blocks.
    dropout : float
        Fraction of features that training left out.
    place : bool
        True when it was trained to tell the place of the line.
    weights : mapping
        Arrays by their name in the network's state.
    sections : mapping
        What it saw in training, see `seen_sections`.
    calibration : Calibration
        From its logit to a probability.
    probe : Probe
        To know whether it still scores as it did.
    record : InputRecord, optional
        To know whether its input is still computed as it was.
    metadata : mapping
        Configuration and seeds of the training, results; JSON.
    kind : str
        Architecture: `resnet` or `redshift`.
    sources : tuple of SourceBins
        Redshifts and lines of each kind of source, of a network of redshifts.
    classes : tuple of str
        Classes of lines that its places tell apart.
    digest : str
        SHA-256 of all of the above; known once it is written.

    Raises
    ------
    ModelError
        If the parts contradict each other, or if a number is not finite.
    """

    name: str
    inputs: tuple[str, ...]
    grid: LogGrid
    widths: tuple[int, ...]
    dropout: float
    place: bool
    weights: Mapping[str, Floats]
    sections: Mapping[str, Mapping[str, Any]]
    calibration: Calibration
    probe: Probe
    record: InputRecord | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "resnet"
    sources: tuple[SourceBins, ...] = ()
    classes: tuple[str, ...] = ("line",)
    digest: str = ""

    def __post_init__(self) -> None:
        self._check_grid()
        self._check_weights()
        n, n_channels = len(np.atleast_1d(self.probe.logit)), len(self.inputs)
        if n == 0:
            raise ModelError("probe: it is empty")
        _check_array("probe: input", self.probe.input, (n, n_channels, self.grid.n_pixels))
        _check_array("probe: logit", self.probe.logit, (n,))
        _check_array("probe: place", self.probe.place, (n, self.n_places))
        self._check_calibration()
        if self.record is not None:
            self._check_record(self.record)

    @property
    def architecture(self) -> Architecture:
        """What is needed to build the network."""
        return Architecture(
            self.kind, len(self.inputs), self.grid.n_pixels, self.widths, self.dropout,
            self.sources, self.classes,
        )  # fmt: skip

    @property
    def n_places(self) -> int:
        """Number of places P."""
        return self.architecture.n_places

    def probability(self, logit: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return calibrated probabilities.

        Parameters
        ----------
        logit : array of shape (N,)
            The network's logits.

        Returns
        -------
        array of shape (N,)
            Probabilities of a line, or of any source; NaN stays NaN.

        Notes
        -----
        A search by redshifts looks behind the lens alone, and takes its probabilities from the map
        (`speclens.search.redshift_map`).
        """
        scaled = self.calibration.slope * np.asarray(logit, np.float64) + self.calibration.intercept
        return np.asarray(expit(scaled))

    def _check_grid(self) -> None:
        window = self.sections["preparation"].get("window")
        try:
            first, last = window  # type: ignore[misc]
            in_order = 0 < first < last < np.inf
        except (TypeError, ValueError):
            in_order = False
        if not in_order:
            raise ModelError(f"preparation.window is no window: {window!r}")
        grid = LogGrid.covering(first, last)
        if grid != self.grid:
            raise ModelError(f"its window {window} has {grid}, but its grid is {self.grid}")
        shape = self.architecture
        if len(self.widths) < shape.least_blocks or shape.coarsest < 1:
            raise ModelError(f"{grid.n_pixels} pixels do not fit {len(self.widths)} blocks")
        if bool(self.sources) != (self.kind == "redshift"):
            raise ModelError(f"a network of kind {self.kind} with {len(self.sources)} sources")
        for bins in self.sources:
            if not bins.names or not bins.seen(grid.n_pixels // CELL_PIXELS).any(axis=0).all():
                raise ModelError(f"sources: some redshifts of {bins.kind} have no line on {grid}")

    def _check_calibration(self) -> None:
        slope, intercept = self.calibration.slope, self.calibration.intercept
        if not SLOPES[0] <= slope <= SLOPES[1]:
            raise ModelError(f"calibration: a slope of {slope!r} makes no probabilities")
        if not abs(intercept) <= LARGEST_LOGIT * slope:
            raise ModelError(
                f"calibration: with intercept {intercept!r} and slope {slope!r} no logit within "
                f"{LARGEST_LOGIT:g} has a probability of 0.5"
            )

    def _check_record(self, record: InputRecord) -> None:
        shape = (len(np.atleast_1d(record.z)), self.grid.n_pixels)
        if shape[0] == 0:
            raise ModelError("inputs: it is empty")
        types = {"flux": "f4", "ivar": "f4", "mask": "?", "dispersion": "f4"}
        for name, dtype in types.items():
            array = getattr(record, name)
            if array.shape != shape or array.dtype != dtype:
                raise ModelError(f"inputs: {name} is {array.dtype} of shape {array.shape}")
        if record.z.dtype != np.float64 or not np.isfinite(record.z).all():
            raise ModelError("inputs: z holds no finite numbers")
        _check_array("inputs: inputs", record.inputs, (shape[0], len(self.inputs), shape[1]))

    def _check_weights(self) -> None:
        shapes = weight_shapes(self.architecture)
        if missing := sorted(set(shapes) - set(self.weights)):
            raise ModelError(f"weights: {missing[0]} is missing, {len(missing)} arrays in all")
        if surplus := sorted(set(self.weights) - set(shapes)):
            raise ModelError(f"weights: {surplus[0]} has no place in the network")
        for name, shape in shapes.items():
            _check_array(f"weights: {name}", self.weights[name], shape)
            if name.endswith("running_var") and (self.weights[name] < 0).any():
                raise ModelError(f"weights: {name} is a negative variance")


def seen_sections(config: Config, kind: str = "resnet") -> dict[str, dict[str, Any]]:
    """Return the parts of a configuration that decide what a network sees.

    Parameters
    ----------
    config : Config
        The configuration.
    kind : str, optional
        Of the network; that of redshifts sees spectra without what the lens shows.

    Returns
    -------
    dict
        The sections as JSON, without keys that decide other things; in the place of the name of
        the templates' file stands the SHA-256 of its content.

    Raises
    ------
    RunError
        If the templates cannot be read.
    """
    sections = {**config.deciding("network"), **_of_kind(config, kind)}
    named = config.foreground.templates
    templates: Path | Traversable = files("speclens") / "data" / BUNDLED.get(named, "")
    if named not in BUNDLED:
        templates = Path(named)
        refuse_irregular(templates)
    try:
        digest = hashlib.sha256(templates.read_bytes()).hexdigest()
    except OSError as error:
        raise RunError(f"templates {templates}: {error.strerror or error}") from error
    sections["foreground"]["templates"] = f"sha256:{digest}"
    return sections


def check_preparation(model: Model, config: Config) -> None:
    """Refuse a configuration under which a network would see what it was not trained on.

    Parameters
    ----------
    model : Model
        The model.
    config : Config
        Configuration of the run.

    Raises
    ------
    ConfigError
        If a key that decides the network's input differs.

    Notes
    -----
    The filter's widths decide it only where the filter's ratio is one of the channels.
    """
    run = seen_sections(config, model.kind)
    differences = [
        f"{section}.{key} = {theirs!r}, and this run has {ours!r}"
        for section in run
        if section != "matched_filter" or "snr" in model.inputs
        for key in sorted({*model.sections.get(section, {}), *run[section]})
        if (theirs := model.sections.get(section, {}).get(key)) != (ours := run[section].get(key))
    ]
    if differences:
        more = f" ({len(differences) - 1} more keys differ)" if differences[1:] else ""
        raise ConfigError(
            f"model {model.name} was trained with {differences[0]}{more}: set it so, train a "
            "model for this configuration, or search with --method matched-filter"
        )


def _of_kind(config: Config, kind: str) -> dict[str, dict[str, Any]]:
    return config.deciding("redshifts") if kind == "redshift" else {}


def _check_array(name: str, array: Floats, shape: tuple[int, ...]) -> None:
    if array.shape != shape or array.dtype != np.float32:
        raise ModelError(
            f"{name} is {array.dtype} of shape {array.shape}, expected float32 of {shape}"
        )
    if not np.isfinite(array).all():
        raise ModelError(f"{name} holds NaN or infinite numbers")
