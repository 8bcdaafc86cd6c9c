"""A model on the disk: read and checked, or written whole.

In: a folder, or the name of a model that comes with the package. Out: a `Model`. A folder holds
`model.json`, `weights.safetensors`, `probe.safetensors`, `inputs.safetensors` and `README.md`;
learning curves may stand beside them. Nothing is ever unpickled, so that a model from a stranger
cannot run code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

import speclens
from speclens.errors import ModelError, RunError
from speclens.networks.model import Calibration, InputRecord, Model, Probe
from speclens.networks.model_document import Document, Inputs, Sections
from speclens.networks.source_bins import SourceBins
from speclens.products import refuse_link, replacing, write_json
from speclens.spectra import LogGrid

__all__ = ["bundled_models", "read_model", "write_model"]

FORMAT = 2
"""Version of the folder's layout."""

DOCUMENT, CARD = "model.json", "README.md"
WEIGHTS, PROBE, INPUTS = "weights.safetensors", "probe.safetensors", "inputs.safetensors"

AGAIN = "fetch or train the model again"


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
    try:
        content = _read_document(folder)
        _refuse_newer(content)
        document = _validated(content)
        if document.digest != _digest(content):
            raise ModelError(f"{DOCUMENT}: its digest does not match: damaged or edited; {AGAIN}")
        weights = _read_tensors(folder, WEIGHTS, document.sha256.weights)
        probe = _read_tensors(folder, PROBE, document.sha256.probe)
        return _model(document, weights, probe, _read_record(folder, document.inputs))
    except ModelError as error:
        raise ModelError(f"model {folder}: {error}") from error


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
        The model with its digest.

    Raises
    ------
    ModelError
        If the model could not be read again.
    RunError
        If it cannot be written.
    """
    weights, probe = _serialised(model.weights), _serialised(vars(model.probe))
    content = _content(model, _sha256(weights), _sha256(probe))
    parts = {WEIGHTS: weights, PROBE: probe, CARD: card.encode()}
    if model.record is not None:
        parts[INPUTS] = _serialised(_arrays_of(model.record))
    _validated(content)
    try:
        # Without its document an interrupted folder is no model, neither the old nor the new.
        refuse_link(folder / DOCUMENT)
        (folder / DOCUMENT).unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot write: {error.strerror or error}") from error
    for name, data in parts.items():
        with replacing(folder / name) as file:
            file.write(data)
    write_json(folder / DOCUMENT, content)
    return replace(model, digest=content["digest"])


def _bundled() -> Traversable:
    return files("speclens") / "data" / "models"


def _find(source: str | Path) -> Traversable:
    # A bundled name comes first: people stand in folders that are called speclens.
    if isinstance(source, str) and source in bundled_models():
        return _bundled() / source
    path = Path(source)
    if path.is_dir():
        return path
    if path.exists():
        raise ModelError(
            f"model {source}: it is a file; a model is a folder with {DOCUMENT} and {WEIGHTS}; "
            "pickled networks are never opened, for they can run code"
        )
    raise ModelError(
        f"model {source}: no such folder, and the bundled models are: "
        f"{', '.join(bundled_models()) or 'none'}"
    )


def _read_bytes(folder: Traversable, name: str) -> bytes:
    path = folder / name
    if not path.is_file():
        others = ", ".join(sorted(entry.name for entry in folder.iterdir())) or "nothing"
        raise ModelError(
            f"there is no {name} (but {others}); `speclens train` writes whole models, and pickled "
            "networks are never opened"
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{name}: cannot read: {error.strerror or error}") from error


def _read_document(folder: Traversable) -> dict[str, Any]:
    try:
        content = json.loads(_read_bytes(folder, DOCUMENT))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{DOCUMENT}: not JSON ({error}); {AGAIN}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{DOCUMENT}: not a JSON object; {AGAIN}")
    return content


def _refuse_newer(content: Mapping[str, Any]) -> None:
    number = content.get("format")
    if type(number) is int and number > FORMAT:
        raise ModelError(
            f"{DOCUMENT}: format {number}, and speclens {speclens.__version__} reads up to "
            f"{FORMAT}: install speclens {content.get('version')} or newer"
        )


def _validated(content: Mapping[str, Any]) -> Document:
    try:
        return Document.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        value = "" if first["type"] == "missing" else f" (value: {first['input']!r:.100})"
        raise ModelError(f"{DOCUMENT}: {key}: {first['msg']}{value}; {AGAIN}") from error


def _read_tensors(folder: Traversable, name: str, sha256: str) -> dict[str, NDArray[Any]]:
    data = _read_bytes(folder, name)
    if _sha256(data) != sha256:
        raise ModelError(
            f"{name}: its SHA-256 is not that of {DOCUMENT}: damaged, or another's; {AGAIN}"
        )
    try:
        return load(data)
    except (SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"{name}: not a safetensors file of arrays ({error}); {AGAIN}") from error


def _read_record(folder: Traversable, inputs: Inputs | None) -> InputRecord | None:
    if inputs is None:
        return None
    arrays = _read_tensors(folder, INPUTS, inputs.sha256)
    try:
        return InputRecord(inputs.version, _given(inputs.sections), **arrays)
    except TypeError as error:
        raise ModelError(f"{INPUTS}: it holds {sorted(arrays)}; {AGAIN}") from error


def _arrays_of(record: InputRecord) -> dict[str, NDArray[Any]]:
    return {name: value for name, value in vars(record).items() if isinstance(value, np.ndarray)}


def _model(
    document: Document,
    weights: Mapping[str, NDArray[Any]],
    probe: Mapping[str, NDArray[Any]],
    record: InputRecord | None,
) -> Model:
    if set(probe) != {"input", "logit", "place"}:
        raise ModelError(f"{PROBE}: it holds {sorted(probe)}, not input, logit and place")
    network = document.network
    return Model(
        name=document.name,
        inputs=network.inputs,
        grid=LogGrid(document.grid.first, document.grid.n_pixels),
        widths=network.widths,
        dropout=network.dropout,
        classes=network.classes,
        place=network.place,
        weights=weights,
        sections=_given(document.sections),
        calibration=Calibration(document.calibration.slope, document.calibration.intercept),
        probe=Probe(**probe),
        record=record,
        metadata=document.metadata,
        kind=network.kind,
        sources=tuple(SourceBins(**vars(bins)) for bins in network.sources),
        digest=document.digest,
    )


def _given(sections: Sections) -> dict[str, dict[str, Any]]:
    """Return the sections that there are."""
    return sections.model_dump(exclude_none=True)


def _content(model: Model, weights: str, probe: str) -> dict[str, Any]:
    """Return what model.json is to hold."""
    network = ("kind", "inputs", "widths", "dropout", "place", "classes")
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": speclens.__version__,
        "name": model.name,
        "grid": {"first": model.grid.first, "n_pixels": model.grid.n_pixels},
        "network": {key: getattr(model, key) for key in network},
        "calibration": vars(model.calibration),
        "sections": model.sections,
        "sha256": {"weights": weights, "probe": probe},
        "metadata": model.metadata,
    }
    if model.sources:
        content["network"]["sources"] = [bins.record() for bins in model.sources]
    if model.record is not None:
        content["inputs"] = {
            "version": model.record.version,
            "sections": model.record.sections,
            "sha256": _sha256(_serialised(_arrays_of(model.record))),
        }
    try:
        # As it will be read: tuples become lists, keys become text.
        content = json.loads(json.dumps(content, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ModelError(f"model {model.name}: its metadata are no JSON ({error})") from error
    return {**content, "digest": _digest(content)}


def _digest(content: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in content.items() if key != "digest"}
    return _sha256(json.dumps(rest, sort_keys=True).encode())


def _serialised(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    # safetensors takes the bytes as they lie, whatever the strides.
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
