"""A model's folder is whole or refused, and never runs code."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import speclens
from speclens.errors import ModelError, RunError
from speclens.networks import model_folder
from speclens.networks.model import Model
from speclens.networks.model_folder import bundled_models, read_model, write_model

DOCUMENT = "model.json"
WEIGHTS, PROBE, INPUTS = ARRAYS = [f"{n}.safetensors" for n in ("weights", "probe", "inputs")]


@pytest.fixture(scope="module")
def model(make_model: Callable[..., Model]) -> Model:
    return make_model()


@pytest.fixture
def folder(model: Model, tmp_path: Path) -> Path:
    write_model(tmp_path / "model", model, "# A model\n")
    return tmp_path / "model"


def sign(folder: Path, **changes: Any) -> None:
    """Change model.json, and give it the right digests of all files."""
    content = json.loads((folder / DOCUMENT).read_text())
    content |= changes
    content = {key: value for key, value in content.items() if value is not ...}
    for key, name in (("weights", WEIGHTS), ("probe", PROBE)):
        content["sha256"][key] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    if "inputs" in content and (folder / INPUTS).exists():
        data = (folder / INPUTS).read_bytes()
        content["inputs"] = {**content["inputs"], "sha256": hashlib.sha256(data).hexdigest()}
    rest = {key: value for key, value in content.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True)
    content["digest"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / DOCUMENT).write_text(json.dumps(content))


class Canary:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.fspath(self.path),)


def test_a_model_comes_back_as_it_was_written(model: Model, folder: Path) -> None:
    found = read_model(folder)
    for name in ("name", "inputs", "grid", "widths", "dropout", "place", "kind", "calibration"):
        assert getattr(found, name) == getattr(model, name), name
    assert found.sections == model.sections
    assert found.metadata == model.metadata
    assert set(found.weights) == set(model.weights)
    for name, array in model.weights.items():
        np.testing.assert_array_equal(found.weights[name], array, err_msg=name)
    for name in ("input", "logit", "place"):
        np.testing.assert_array_equal(getattr(found.probe, name), getattr(model.probe, name))
    assert (found.record.version, found.record.sections) == (  # type: ignore[union-attr]
        model.record.version, model.record.sections,  # type: ignore[union-attr]
    )  # fmt: skip
    for name in ("flux", "ivar", "mask", "dispersion", "z", "inputs"):
        np.testing.assert_array_equal(getattr(found.record, name), getattr(model.record, name))
    assert {path.name for path in folder.iterdir()} == {DOCUMENT, *ARRAYS, "README.md"}
    assert (folder / "README.md").read_text() == "# A model\n"


def test_the_digest_is_known_when_written_and_is_that_of_everything(
    model: Model, tmp_path: Path
) -> None:
    written = write_model(tmp_path / "a", model, "")
    assert written.digest == read_model(tmp_path / "a").digest
    assert len(written.digest) == 64
    assert write_model(tmp_path / "b", model, "another card").digest == written.digest
    calibration = replace(model.calibration, slope=1.5)
    other = write_model(tmp_path / "c", replace(model, calibration=calibration), "")
    assert other.digest != written.digest


def test_arrays_that_do_not_lie_in_order_keep_their_values(model: Model, tmp_path: Path) -> None:
    turned = {name: np.asfortranarray(array) for name, array in model.weights.items()}
    write_model(tmp_path, replace(model, weights=turned), "")
    found = read_model(tmp_path)
    for name, array in model.weights.items():
        np.testing.assert_array_equal(found.weights[name], array, err_msg=name)


def test_metadata_come_back_as_json_has_them(model: Model, tmp_path: Path) -> None:
    metadata = {"epochs": {2: 1, 10: 2}, "pair": (1, 2)}
    write_model(tmp_path, replace(model, metadata=metadata), "")
    assert read_model(tmp_path).metadata == {"epochs": {"2": 1, "10": 2}, "pair": [1, 2]}


@pytest.mark.parametrize("value", [np.nan, np.float32(1), {1, 2}])
def test_metadata_that_are_no_json_are_refused_before_anything_is_written(
    model: Model, folder: Path, value: object
) -> None:
    before = (folder / DOCUMENT).read_bytes()
    with pytest.raises(ModelError, match="no JSON"):
        write_model(folder, replace(model, metadata={"loss": value}), "")
    assert (folder / DOCUMENT).read_bytes() == before


@pytest.mark.parametrize("last", [*ARRAYS, "README.md", DOCUMENT])
def test_an_interrupted_write_over_an_older_model_leaves_no_model(
    make_model: Callable[..., Model], folder: Path, last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopping(path: Path) -> Any:
        if path.name == last:
            raise KeyboardInterrupt
        return replacing(path)

    replacing = model_folder.replacing
    monkeypatch.setattr(model_folder, "replacing", stopping)
    monkeypatch.setattr("speclens.products.replacing", stopping)
    with pytest.raises(KeyboardInterrupt):
        write_model(folder, make_model(seed=1), "")
    with pytest.raises(ModelError, match=r"there is no model\.json"):
        read_model(folder)
    monkeypatch.undo()
    write_model(folder, make_model(seed=1), "")
    assert read_model(folder).metadata == {"seed": 1}


def test_a_place_that_cannot_be_written_is_named(model: Model, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file: cannot write"):
        write_model(tmp_path / "file", model, "")


@pytest.mark.parametrize("name", ["model.pt", "model.pkl", "model.npy", "weights", "a.safetensors"])
def test_f1_a_file_is_refused_unopened(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Canary(tmp_path / "canary")))
    with pytest.raises(ModelError, match="a model is a folder"):
        read_model(tmp_path / name)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("name", ["weights.pt", "weights.pkl", "weights.npy", "weights.pickle"])
def test_f1_a_pickle_in_the_place_of_the_weights_is_refused_unopened(
    folder: Path, tmp_path: Path, name: str
) -> None:
    (folder / WEIGHTS).unlink()
    (folder / name).write_bytes(pickle.dumps(Canary(tmp_path / "canary")))
    with pytest.raises(ModelError, match=rf"no weights\.safetensors.*{name}.*never opened"):
        read_model(folder)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("name", ARRAYS)
def test_f1_a_pickle_under_the_name_of_weights_is_refused_unopened(
    folder: Path, tmp_path: Path, name: str
) -> None:
    (folder / name).write_bytes(pickle.dumps(Canary(tmp_path / "canary")))
    sign(folder)
    with pytest.raises(ModelError, match=f"{name}: not a safetensors file"):
        read_model(folder)
    (folder / DOCUMENT).write_bytes(pickle.dumps(Canary(tmp_path / "canary")))
    with pytest.raises(ModelError, match=r"model\.json: not JSON"):
        read_model(folder)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("place", [0, 7, 60, -5])
def test_f2_a_flipped_bit_is_a_wrong_sha256(folder: Path, name: str, place: int) -> None:
    data = bytearray((folder / name).read_bytes())
    data[place] ^= 4
    (folder / name).write_bytes(data)
    with pytest.raises(ModelError, match=rf"{name}: its SHA-256 is not that of model\.json"):
        read_model(folder)


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.5, 0.999])
def test_f2_a_cut_file_is_refused_even_with_its_sha256(
    folder: Path, name: str, fraction: float
) -> None:
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: int(fraction * len(data))])
    with pytest.raises(ModelError, match=f"{name}: its SHA-256"):
        read_model(folder)
    sign(folder)
    with pytest.raises(ModelError, match=f"{name}: not a safetensors file"):
        read_model(folder)


@pytest.mark.parametrize("shift", [-4, 4, 10**12])
def test_f2_overlapping_or_gapped_arrays_are_refused(folder: Path, shift: int) -> None:
    data = (folder / WEIGHTS).read_bytes()
    n = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + n])
    second = sorted((v["data_offsets"], k) for k, v in header.items() if k != "__metadata__")[1][1]
    header[second]["data_offsets"] = [x + shift for x in header[second]["data_offsets"]]
    text = json.dumps(header).encode()
    (folder / WEIGHTS).write_bytes(len(text).to_bytes(8, "little") + text + data[8 + n :])
    sign(folder)
    with pytest.raises(ModelError, match="not a safetensors file"):
        read_model(folder)


def test_f2_a_header_of_absurd_length_is_refused(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes((2**62).to_bytes(8, "little") + data[8:])
    sign(folder)
    with pytest.raises(ModelError, match="not a safetensors file"):
        read_model(folder)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda w: w["probability.bias"].fill(np.nan), "probability.bias holds NaN"),
        (lambda w: w.pop("place.bias"), "place.bias is missing, 1 arrays"),
        (lambda w: w.update(extra=np.zeros(3, "f4")), "extra has no place"),
        (lambda w: w.update({"place.bias": np.zeros(2, "f4")}), "place.bias is float32 of shape"),
        (lambda w: w.update({"place.bias": np.zeros(1, "f8")}), "place.bias is float64"),
    ],
)
def test_f2_wrong_weights_are_refused_even_with_their_sha256(
    folder: Path, change: Callable[[dict[str, Any]], object], text: str
) -> None:
    weights = {name: array.copy() for name, array in load_file(folder / WEIGHTS).items()}
    change(weights)
    save_file(weights, folder / WEIGHTS)
    sign(folder)
    with pytest.raises(ModelError, match=text.replace(".", r"\.")):
        read_model(folder)


@pytest.mark.parametrize("name", [*ARRAYS, DOCUMENT])
def test_f2_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"there is no {name}"):
        read_model(folder)


def test_f2_a_probe_without_a_part_is_refused(folder: Path) -> None:
    probe = load_file(folder / PROBE)
    del probe["place"]
    save_file(probe, folder / PROBE)
    sign(folder)
    with pytest.raises(ModelError, match="not input, logit and place"):
        read_model(folder)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda a: a["inputs"].fill(np.nan), "inputs holds NaN"),
        (lambda a: a["z"].fill(np.inf), "z holds no finite"),
        (lambda a: a.pop("z"), "it holds"),
        (lambda a: a.update(extra=a["z"]), "it holds"),
        (lambda a: a.update(flux=a["flux"][:, :-1].copy()), "flux is float32 of shape"),
        (lambda a: a.update(mask=a["flux"]), "mask is float32"),
        (lambda a: a.update(inputs=a["inputs"][:, :1].copy()), "inputs is float32 of shape"),
    ],
)
def test_f2_a_wrong_record_of_inputs_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], object], text: str
) -> None:
    arrays = {name: array.copy() for name, array in load_file(folder / INPUTS).items()}
    change(arrays)
    save_file(arrays, folder / INPUTS)
    sign(folder)
    with pytest.raises(ModelError, match=text):
        read_model(folder)


def test_an_older_model_is_read_without_a_record(folder: Path) -> None:
    (folder / INPUTS).unlink()
    sign(folder, format=1, inputs=...)
    assert read_model(folder).record is None


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("network.kind", "lenet", "network.kind: Input should be 'resnet'"),
        ("network.kind", "transformer", "network.kind"),
        ("network.inputs", ["residual", "redshift"], "network.inputs.1"),
        ("network.inputs", [], "network.inputs"),
        ("network.widths", [4, 4, 8], "network.widths"),
        ("network.widths", [4, 4, 8, 8, 8, 8, 12, 0], "network.widths.7"),
        ("network.place", 1, "network.place"),
        ("network.depth", 3, "network.depth: Extra inputs"),
        ("grid.first", 35799, "its grid is"),
        ("grid.n_pixels", 0, "grid.n_pixels"),
        ("grid.first", 35798.0, "grid.first"),
        ("grid.first", ..., "grid.first: Field required"),
        ("grid", ..., "grid: Field required"),
        ("calibration", ..., "calibration: Field required"),
        ("calibration.slope", -1.0, "calibration.slope"),
        ("calibration.slope", float("nan"), "calibration.slope"),
        ("calibration.intercept", "0", "calibration.intercept"),
        ("calibration.slope", 1e-5, "calibration: a slope of 1e-05"),
        ("calibration.slope", 1e9, "calibration: a slope of"),
        ("calibration.intercept", 1e9, "calibration: with intercept"),
        ("inputs.version", 0, "inputs.version"),
        ("inputs.sections", ..., "inputs.sections: Field required"),
        ("inputs.surplus", 1, "inputs.surplus: Extra inputs"),
        ("sections", ..., "sections: Field required"),
        ("sections.preparation", ..., "sections.preparation: Field required"),
        ("sections.foreground", ..., "sections.foreground: Field required"),
        ("sections.noise", {}, "sections.noise"),
        ("sections.matched_filter", ..., "sections.matched_filter: Field required"),
        ("sections.preparation.window", ..., "preparation.window is no window"),
        ("format", 0, "format"),
        ("surplus", 1, "surplus: Extra inputs"),
    ],
)
def test_f2_a_wrong_document_is_refused_with_its_key(
    folder: Path, key: str, value: object, text: str
) -> None:
    content = json.loads((folder / DOCUMENT).read_text())
    *sections, last = key.split(".")
    place = content
    for section in sections:
        place = place[section]
    place[last] = value
    if value is ... and sections:
        del place[last]
    sign(folder, **content)
    with pytest.raises(ModelError) as caught:
        read_model(folder)
    assert text in str(caught.value)
    assert str(folder) in str(caught.value)


def test_f2_a_newer_format_says_which_version_reads_it(folder: Path) -> None:
    sign(folder, format=3, version="7.8.9", surplus=1)
    with pytest.raises(ModelError) as caught:
        read_model(folder)
    assert "format 3" in str(caught.value)
    assert f"speclens {speclens.__version__} reads up to 2" in str(caught.value)
    assert "install speclens 7.8.9 or newer" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000, '{"format": '])
def test_f2_a_document_that_is_none_is_refused(folder: Path, text: str) -> None:
    (folder / DOCUMENT).write_text(text)
    with pytest.raises(ModelError, match=r"model\.json: not "):
        read_model(folder)


def test_f2_an_edited_number_is_a_wrong_digest(folder: Path) -> None:
    text = (folder / DOCUMENT).read_text()
    (folder / DOCUMENT).write_text(text.replace('"slope": 1.0', '"slope": 2.0'))
    with pytest.raises(ModelError, match=r"model\.json: its digest does not match"):
        read_model(folder)


def test_f2_no_single_changed_digit_of_the_document_goes_unseen(
    folder: Path, rng: np.random.Generator
) -> None:
    text = (folder / DOCUMENT).read_text()
    digits = [i for i, c in enumerate(text) if c.isdigit()]
    for place in rng.choice(digits, 60, replace=False):
        other = str((int(text[place]) + 1) % 10)
        (folder / DOCUMENT).write_text(text[:place] + other + text[place + 1 :])
        with pytest.raises(ModelError):
            read_model(folder)


def test_a_name_that_is_no_model_lists_the_bundled_ones(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_folder, "_bundled", lambda: folder.parent)
    assert bundled_models() == ["model"]
    with pytest.raises(ModelError, match=r"spelcens.*bundled models are: model$"):
        read_model("spelcens")


def test_a_bundled_name_is_not_hidden_by_a_folder_of_that_name(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_folder, "_bundled", lambda: folder.parent)
    (tmp_path / "home" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "home")
    assert read_model("model").name == "made"
    with pytest.raises(ModelError, match=r"no model\.json"):
        read_model("./model")


@pytest.mark.parametrize("name", bundled_models())
def test_the_bundled_models_are_whole(name: str) -> None:
    assert read_model(name).name == name
