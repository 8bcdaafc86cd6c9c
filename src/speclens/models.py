"""Trained networks on disk: weights that never travel without their grid and preparation.

In: a folder, or the name of a model that comes with the package. Out: a checked `Model`. A folder
holds `model.json`, `weights.safetensors`, `probe.safetensors` (an input, and what the network made
of it when it was trained) and `README.md`; learning curves may stand beside them. Nothing is ever
unpickled. Running the network is left to `speclens.search.engine`, fitting it to `speclens.train`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

import speclens
from speclens.config import Config, NetworkConfig
from speclens.errors import ConfigError, ModelError, RunError
from speclens.products import replacing, write_json
from speclens.spectra import LogGrid

__all__ = [
    "PLACE_BLOCK",
    "Calibration",
    "Model",
    "Probe",
    "bundled_models",
    "check_preparation",
    "read_model",
    "seen_sections",
    "weight_shapes",
    "write_model",
]

FORMAT = 1
"""Version of the folder's layout."""

PLACE_BLOCK = 3
"""The block, from 0, that tells the place (`speclens.network.PLACE_BLOCK`)."""

DOCUMENT, WEIGHTS, PROBE, CARD = (
    "model.json",
    "weights.safetensors",
    "probe.safetensors",
    "README.md",
)
REMEDY = "fetch or train the model again"
NOT_SEEN = {"preparation": {"poor_fraction"}, "matched_filter": {"snr_min", "max_hits"}}
"""Keys that mark or choose hits and leave the network's input as it is."""

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
    """A stored input and what the trained network made of it.

    Parameters
    ----------
    input : array of shape (N, C, L)
        Spectra as the network sees them.
    logit : array of shape (N,)
        Logits of a line.
    place : array of shape (N, P)
        Logits of its place.
    """

    input: Floats
    logit: Floats
    place: Floats


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network and everything that its scores depend on.

    Parameters
    ----------
    name : str
        What people call it.
    inputs : tuple of str
        The C channels of its input (`speclens.search.inputs`).
    grid : LogGrid
        Its L pixels.
    widths : tuple of int
        Channels of its blocks.
    dropout : float
        Fraction of features that training left out.
    place : bool
        True when it was trained to tell the place of the line.
    weights : dict
        Arrays by their name in the network's state.
    sections : dict
        What it saw in training, see `seen_sections`.
    calibration : Calibration
        From its logit to a probability.
    probe : Probe
        To know whether it still scores as it did.
    metadata : dict
        Configuration and seeds of the training, results; JSON.
    kind : str
        Architecture.
    digest : str
        SHA-256 of all of the above; known once written.
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
    metadata: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "resnet"
    digest: str = ""

    @property
    def n_places(self) -> int:
        """Number of places P: each block but the first halves the pixels."""
        return self.grid.n_pixels // 2**PLACE_BLOCK

    def probability(self, logit: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return calibrated probabilities.

        Parameters
        ----------
        logit : array of shape (N,)
            The network's logits.

        Returns
        -------
        array of shape (N,)
            Probabilities of a line; NaN stays NaN.
        """
        scaled = self.calibration.slope * np.asarray(logit, np.float64) + self.calibration.intercept
        return np.asarray(np.exp(-np.logaddexp(0, -scaled)))


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Grid(_Part):
    first: Annotated[int, Field(strict=True, ge=30000, le=45000)]
    n_pixels: Annotated[int, Field(strict=True, ge=2, le=100_000)]


class _Network(NetworkConfig):
    kind: Literal["resnet"]
    inputs: Annotated[
        tuple[Literal["flux", "residual", "snr", "noise", "foreground"], ...], Field(min_length=1)
    ]
    widths: Annotated[
        tuple[Annotated[int, Field(strict=True, ge=1, le=4096)], ...],
        Field(min_length=PLACE_BLOCK + 1, max_length=16),
    ]
    place: Annotated[bool, Field(strict=True)]


class _Calibration(_Part):
    slope: Annotated[float, Field(strict=True, gt=0)]
    intercept: Annotated[float, Field(strict=True)]


_Section = Annotated[dict[str, Any], Field(min_length=1)]


class _Sections(_Part):
    preparation: _Section
    foreground: _Section
    noise: _Section
    matched_filter: _Section


class _Files(_Part):
    weights: str
    probe: str


class _Document(_Part):
    """What model.json holds."""

    format: Literal[1]
    version: str
    name: Annotated[str, Field(min_length=1)]
    grid: _Grid
    network: _Network
    calibration: _Calibration
    sections: _Sections
    sha256: _Files
    metadata: dict[str, Any]
    digest: str


def bundled_models() -> list[str]:
    """Name the models that come with the package.

    Returns
    -------
    list of str
        Names to give with `--model`.
    """
    folder = _bundled()
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if (path / DOCUMENT).is_file())


def read_model(source: str | Path) -> Model:
    """Read a model and check that it is whole.

    Parameters
    ----------
    source : str or Path
        A model's folder, or the name of a bundled model.

    Returns
    -------
    Model
        The model.

    Raises
    ------
    ModelError
        If there is none, or if it is damaged, contradicts itself or is too new.
    """
    folder = _find(source)
    content = _read_document(folder)
    document = _validated(content, f"{folder / DOCUMENT}")
    if document.digest != _digest(content):
        _refuse(f"{folder / DOCUMENT}", "its digest does not match: it is damaged or was edited")
    weights = _read_tensors(folder, WEIGHTS, document.sha256.weights)
    probe = _read_tensors(folder, PROBE, document.sha256.probe)
    if set(probe) != {"input", "logit", "place"}:
        _refuse(f"{folder / PROBE}", f"it holds {sorted(probe)}, not input, logit and place")
    network = document.network
    model = Model(
        name=document.name,
        inputs=network.inputs,
        grid=LogGrid(document.grid.first, document.grid.n_pixels),
        widths=network.widths,
        dropout=network.dropout,
        place=network.place,
        weights=weights,
        sections=document.sections.model_dump(),
        calibration=Calibration(document.calibration.slope, document.calibration.intercept),
        probe=Probe(**probe),
        metadata=document.metadata,
        digest=document.digest,
    )
    _check_grid(model, f"{folder / DOCUMENT}")
    _check_weights(model, f"{folder / WEIGHTS}")
    _check_probe(model, f"{folder / PROBE}")
    return model


def write_model(folder: Path, model: Model, card: str) -> Model:
    """Write a model: all of it, or a folder that is no model.

    Parameters
    ----------
    folder : Path
        Its folder, which may hold an older model and other files.
    model : Model
        The model.
    card : str
        Its model card, Markdown.

    Returns
    -------
    Model
        The model with its digest, as it stands on the disk.

    Raises
    ------
    ModelError
        If the model contradicts itself.
    RunError
        If it cannot be written.
    """
    tensors = {WEIGHTS: model.weights, PROBE: vars(model.probe)}
    # Serialising ignores strides.
    blobs = {
        name: save({key: np.ascontiguousarray(array) for key, array in arrays.items()})
        for name, arrays in tensors.items()
    }
    content = _content(model, {name: _sha256(blob) for name, blob in blobs.items()})
    _validated(content, f"{folder / DOCUMENT}")
    _check_grid(model, f"{folder / DOCUMENT}")
    _check_weights(model, f"{folder / WEIGHTS}")
    _check_probe(model, f"{folder / PROBE}")
    try:
        # Without its document an interrupted folder is no model, old or new.
        (folder / DOCUMENT).unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot write: {error.strerror or error}") from error
    for name, blob in {**blobs, CARD: card.encode()}.items():
        with replacing(folder / name) as file:
            file.write(blob)
    write_json(folder / DOCUMENT, content)
    return replace(model, digest=content["digest"])


def seen_sections(config: Config) -> dict[str, dict[str, Any]]:
    """Return the parts of a configuration that decide what a network sees.

    Parameters
    ----------
    config : Config
        The configuration.

    Returns
    -------
    dict
        Sections preparation, foreground, noise and matched_filter as JSON; in the place of the
        templates' file stands the SHA-256 of its content.

    Raises
    ------
    ConfigError
        If the templates cannot be read.
    """
    content = config.model_dump(mode="json")
    sections = {name: content[name] for name in _Sections.model_fields}
    for name, keys in NOT_SEEN.items():
        sections[name] = {key: sections[name][key] for key in sections[name] if key not in keys}
    templates: Path | Traversable = files("speclens") / "data" / "eigenspectra.fits"
    if config.foreground.templates:
        templates = Path(config.foreground.templates)
    try:
        sections["foreground"]["templates"] = f"sha256:{_sha256(templates.read_bytes())}"
    except OSError as error:
        raise ConfigError(f"templates {templates}: {error.strerror}") from error
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
    run = seen_sections(config)
    differences = [
        f"{section}.{key} = {theirs!r}, not {ours!r}"
        for section, values in model.sections.items()
        if section != "matched_filter" or "snr" in model.inputs
        for key in sorted({*values, *run[section]})
        if (theirs := values.get(key)) != (ours := run[section].get(key))
    ]
    if differences:
        more = f" (and {len(differences) - 1} more keys differ)" if differences[1:] else ""
        raise ConfigError(
            f"model {model.name} was trained with {differences[0]} as in this run{more}: "
            "set it so, train a model for this configuration, or search with --method "
            "matched-filter"
        )


def weight_shapes(n_channels: int, widths: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights of the residual network.

    Parameters
    ----------
    n_channels : int
        Channels C of the input.
    widths : sequence of int
        Channels of its blocks.

    Returns
    -------
    dict
        Shapes by the name in the state of `speclens.network.ResNet`.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for b, (n_in, n_out) in enumerate(zip([n_channels, *widths[:-1]], widths, strict=True)):
        for k in range(3):
            convolution = f"blocks.{b}.convolutions.{k}.weight"
            shapes[convolution] = (n_out, n_out if k else n_in, 1, 3)
            for name in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"blocks.{b}.norms.{k}.{name}"] = (n_out,)
        if n_in != n_out:
            shapes[f"blocks.{b}.shortcut.weight"] = (n_out, n_in, 1, 1)
            shapes[f"blocks.{b}.shortcut.bias"] = (n_out,)
    shapes["probability.weight"], shapes["probability.bias"] = (1, widths[-1]), (1,)
    shapes["place.weight"], shapes["place.bias"] = (1, widths[PLACE_BLOCK], 1, 1), (1,)
    return shapes


def _refuse(where: str, what: str, remedy: str = REMEDY) -> NoReturn:
    raise ModelError(f"{where}: {what}; {remedy}")


def _bundled() -> Traversable:
    return files("speclens") / "data" / "models"


def _find(source: str | Path) -> Traversable:
    # A bundled name comes first: people stand in folders called speclens.
    if isinstance(source, str) and source in bundled_models():
        return _bundled() / source
    path = Path(source)
    if path.is_dir():
        return path
    if path.exists():
        _refuse(
            f"model {source}",
            f"a model is a folder with {DOCUMENT} and {WEIGHTS}, not a file",
            "pickled networks are never opened, for they can run code",
        )
    names = ", ".join(bundled_models()) or "none"
    _refuse(f"model {source}", f"no such folder, and the bundled models are: {names}", "name one")


def _read_bytes(folder: Traversable, name: str) -> bytes:
    path = folder / name
    if not path.is_file():
        others = ", ".join(sorted(entry.name for entry in folder.iterdir())) or "nothing"
        _refuse(
            f"{folder}",
            f"no {name} (there is: {others})",
            f"a model is written by `speclens train`; pickled networks are never opened; {REMEDY}",
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot read: {error.strerror or error}") from error


def _read_document(folder: Traversable) -> dict[str, Any]:
    where = f"{folder / DOCUMENT}"
    try:
        content = json.loads(_read_bytes(folder, DOCUMENT))
    except (ValueError, RecursionError) as error:
        _refuse(where, f"not JSON ({error})")
    if not isinstance(content, dict):
        _refuse(where, "not a JSON object")
    number = content.get("format")
    if type(number) is int and number > FORMAT:
        _refuse(
            where,
            f"format {number}, and speclens {speclens.__version__} reads up to {FORMAT}",
            f"install speclens {content.get('version')} or newer",
        )
    return content


def _validated(content: Mapping[str, Any], where: str) -> _Document:
    try:
        return _Document.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        value = "" if first["type"] == "missing" else f" (value: {first['input']!r:.200})"
        _refuse(where, f"{key}: {first['msg']}{value}")


def _read_tensors(folder: Traversable, name: str, sha256: str) -> dict[str, Floats]:
    data = _read_bytes(folder, name)
    where = f"{folder / name}"
    if _sha256(data) != sha256:
        _refuse(where, f"its SHA-256 is not the one in {DOCUMENT}: it is damaged or another's")
    try:
        return load(data)
    except (SafetensorError, KeyError, ValueError) as error:
        _refuse(where, f"not a safetensors file of float32 arrays ({error})")


def _check_grid(model: Model, where: str) -> None:
    window = model.sections["preparation"].get("window")
    try:
        grid = LogGrid.covering(*window)  # type: ignore[misc]
    except (TypeError, ValueError, OverflowError):
        _refuse(where, f"sections.preparation.window is no window: {window!r}")
    if grid != model.grid:
        _refuse(where, f"its grid is {model.grid}, and its window {window} has {grid}")
    if model.grid.n_pixels < 2 ** max(PLACE_BLOCK, len(model.widths) - 1):
        _refuse(where, f"{model.grid.n_pixels} pixels are too few for {len(model.widths)} blocks")


def _check_weights(model: Model, where: str) -> None:
    shapes = weight_shapes(len(model.inputs), model.widths)
    if missing := sorted(set(shapes) - set(model.weights)):
        _refuse(where, f"{missing[0]} is missing, {len(missing)} arrays in all")
    if surplus := sorted(set(model.weights) - set(shapes)):
        _refuse(where, f"{surplus[0]} has no place in the network of {DOCUMENT}")
    for name, shape in shapes.items():
        _check_array(where, name, model.weights[name], shape)
        if name.endswith("running_var") and (model.weights[name] < 0).any():
            _refuse(where, f"{name} is negative")


def _check_probe(model: Model, where: str) -> None:
    probe = model.probe
    n = max(len(np.atleast_1d(probe.logit)), 1)
    _check_array(where, "input", probe.input, (n, len(model.inputs), model.grid.n_pixels))
    _check_array(where, "logit", probe.logit, (n,))
    _check_array(where, "place", probe.place, (n, model.n_places))


def _check_array(where: str, name: str, array: Floats, shape: tuple[int, ...]) -> None:
    if array.shape != shape or array.dtype != np.float32:
        _refuse(where, f"{name} is {array.dtype} of shape {array.shape}, not float32 of {shape}")
    if not np.isfinite(array).all():
        _refuse(where, f"{name} holds NaN or infinite numbers")


def _content(model: Model, sha256: Mapping[str, str]) -> dict[str, Any]:
    """Return what model.json is to hold."""
    content = {
        "format": FORMAT,
        "version": speclens.__version__,
        "name": model.name,
        "grid": vars(model.grid),
        "network": {
            "kind": model.kind,
            "inputs": model.inputs,
            "widths": model.widths,
            "dropout": model.dropout,
            "place": model.place,
        },
        "calibration": vars(model.calibration),
        "sections": model.sections,
        "sha256": {"weights": sha256[WEIGHTS], "probe": sha256[PROBE]},
        "metadata": model.metadata,
    }
    try:
        return {**content, "digest": _digest(content)}
    except (TypeError, ValueError) as error:
        raise ModelError(f"model {model.name}: its metadata are no JSON ({error})") from error


def _digest(content: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in content.items() if key != "digest"}
    return _sha256(json.dumps(rest, sort_keys=True, allow_nan=False).encode())


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
