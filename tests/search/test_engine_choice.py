"""Which engine a search opens, and that it is held to the scores of the training."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fixtures.models import silent
from speclens.errors import ModelError, RunError
from speclens.networks.model import Calibration, Model
from speclens.networks.model_folder import write_model
from speclens.search import engine as engine_module
from speclens.search.engine import OpenVinoEngine, TorchEngine, open_engine

gpu_is_plausible = engine_module._gpu_is_plausible

REFINED = "openvino bf16, float32 where likely"


@pytest.fixture(scope="module")
def model(make_model: Callable[..., Model]) -> Model:
    return make_model()


@pytest.fixture
def lines() -> list[str]:
    """What an engine said."""
    return []


@pytest.fixture
def _broken_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that the machine has, and torch cannot use."""
    monkeypatch.setattr(engine_module, "_gpu_is_plausible", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize(("given", "expected"), [({}, 1), ({"n_threads": 2}, 2)])
def test_h4_a_search_computes_on_one_core_unless_told_otherwise(
    model: Model, given: dict[str, int], expected: int
) -> None:
    engine: Any = open_engine(model, "cpu", "float32", **given)
    compiled = engine._requests[0].get_compiled_model()
    for limit in ("INFERENCE_NUM_THREADS", "NUM_STREAMS"):
        assert int(compiled.get_property(limit)) == expected


def changed_probe(model: Model, by: float) -> Model:
    """A model whose stored probabilities lie beside those that its network gives."""
    sharp = replace(model, calibration=Calibration(1.0, -float(model.probe.logit[0])))
    logit = model.probe.logit.copy()
    logit[0] += 4 * by  # the logistic function rises by a quarter
    return replace(sharp, probe=replace(model.probe, logit=logit))


def test_f3_equal_scores_are_not_talked_about(model: Model) -> None:
    open_engine(changed_probe(model, 2e-5), precision="float32", say=silent)


def test_f3_a_difference_above_1e_4_is_said(model: Model, lines: list[str]) -> None:
    open_engine(changed_probe(model, 1e-3), precision="float32", say=lines.append)
    assert len(lines) == 1
    assert "differs by 0.001" in lines[0]
    assert "made" in lines[0]


def test_f3_a_difference_is_a_warning_where_nobody_listens(model: Model) -> None:
    with pytest.warns(UserWarning, match=r"differs by 0\.001"):
        open_engine(changed_probe(model, 1e-3), precision="float32")


@pytest.mark.parametrize("by", [0.02, -0.3, 1e4])
def test_f3_a_difference_above_1e_2_is_refused(model: Model, by: float) -> None:
    with pytest.raises(ModelError, match=r"above 0\.01"):
        open_engine(changed_probe(model, by), precision="float32", say=silent)


def test_f3_another_place_is_refused_where_the_place_was_trained(model: Model) -> None:
    place = model.probe.place.copy()
    place[2, 7] += 3
    other = replace(model, probe=replace(model.probe, place=place))
    with pytest.raises(ModelError, match="differs by"):
        open_engine(other, precision="float32", say=silent)
    open_engine(replace(other, place=False), precision="float32", say=silent)


def test_f3_an_engine_that_gives_nan_is_refused(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ruined(self: OpenVinoEngine, inputs: NDArray[np.float32]) -> Any:
        found = scored(self, inputs)
        found.place[1] = np.nan
        return found

    scored = OpenVinoEngine.__call__
    monkeypatch.setattr(OpenVinoEngine, "__call__", ruined)
    with pytest.raises(ModelError, match="differs by nan"):
        open_engine(model, precision="float32", say=silent)


@pytest.mark.parametrize("device", ["auto", "cuda"])
@pytest.mark.usefixtures("_broken_gpu")
def test_f6_without_a_usable_gpu_the_processor_scores_and_says_so(
    model: Model, lines: list[str], device: Any
) -> None:
    engine = open_engine(model, device, "float32", say=lines.append)
    assert engine.name == "openvino float32"
    assert len(lines) == 1
    assert "finds no GPU" in lines[0]
    assert "another engine takes over" in lines[0]


@pytest.mark.usefixtures("_broken_gpu")
def test_f6_the_reason_of_an_old_driver_is_passed_on(
    model: Model, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def old_driver() -> bool:
        warnings.warn("The NVIDIA driver on your system is too old", stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", old_driver)
    assert open_engine(model, say=lines.append).name.startswith("openvino")
    assert "driver on your system is too old" in lines[0]


@pytest.mark.parametrize("error", [RuntimeError, torch.cuda.OutOfMemoryError, OSError])
@pytest.mark.usefixtures("_broken_gpu")
def test_f6_a_gpu_that_fails_when_it_is_opened_leaves_it_to_the_processor(
    model: Model,
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    def failing(*_: object) -> None:
        raise error("CUDA error: no kernel image\nis available")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(engine_module, "TorchEngine", failing)
    assert open_engine(model, say=lines.append).name.startswith("openvino")
    assert "CUDA error: no kernel image is available" in lines[0]


@pytest.mark.usefixtures("_broken_gpu")
def test_f6_a_gpu_that_computes_something_else_leaves_it_to_the_processor(
    model: Model, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(model: Model, _: str, say: Any) -> TorchEngine:
        weights = {name: array.copy() for name, array in model.weights.items()}
        weights["probability.bias"] += 1
        return TorchEngine(replace(model, weights=weights), "cpu", say)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(engine_module, "TorchEngine", other)
    assert open_engine(model, say=lines.append).name.startswith("openvino")
    assert "differs by" in lines[0]


@pytest.mark.usefixtures("_broken_gpu")
def test_f6_a_usable_gpu_scores(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    made = TorchEngine
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(engine_module, "TorchEngine", lambda m, _, say: made(m, "cpu", say))
    assert open_engine(model, say=silent).name.startswith("torch")
    assert open_engine(model, device="cpu", say=silent).name.startswith("openvino")


@pytest.mark.parametrize(
    ("visible", "driver", "expected"),
    [(None, True, True), ("0", True, True), ("", True, False), ("-1", True, False),
     (None, False, False)],
)  # fmt: skip
def test_torch_is_only_asked_where_there_may_be_a_gpu(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, driver: bool, expected: bool
) -> None:
    monkeypatch.setattr(Path, "exists", lambda _: False)
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/nvidia-smi" if driver else None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu_is_plausible() is expected


def test_bf16_is_taken_where_the_processor_has_it(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_processor_capabilities", lambda: ["FP32", "BF16"])
    assert open_engine(model, say=silent).name == REFINED
    assert open_engine(model, precision="float32", say=silent).name == "openvino float32"


def test_bf16_is_not_taken_where_the_processor_lacks_it(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_processor_capabilities", lambda: ["FP32"])
    assert open_engine(model, say=silent).name == "openvino float32"
    with pytest.raises(RunError, match="no bfloat16"):
        open_engine(model, precision="bf16", say=silent)


@pytest.mark.parametrize(("shift", "name"), [(0.01, REFINED), (-9.0, "openvino float32")])
def test_f3_bf16_may_differ_by_1e_2_or_float32_takes_over(
    model: Model,
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    shift: float,
    name: str,
) -> None:
    def coarse(self: OpenVinoEngine, inputs: NDArray[np.float32]) -> Any:
        found = scored(self, inputs)
        found.logit[:] += shift * (self.name == "openvino bf16")
        return found

    scored = OpenVinoEngine.__call__
    monkeypatch.setattr(OpenVinoEngine, "__call__", coarse)
    monkeypatch.setattr(engine_module, "_processor_capabilities", lambda: ["FP32", "BF16"])
    assert open_engine(model, say=lines.append).name == name
    assert len(lines) == (name == "openvino float32")


def test_h2_without_openvino_the_message_says_what_to_install(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(RunError, match=r"pip install openvino.*--method matched-filter"):
        open_engine(model, say=silent)


SEARCH = """
import socket, sys

class Refused:
    def __init__(self, *_, **__):
        print("SOCKET")
        raise OSError("no network here")

socket.socket = socket.create_connection = socket.getaddrinfo = Refused
from speclens.networks.model_folder import read_model
from speclens.search.engine import open_engine
model = read_model(sys.argv[1])
engine = open_engine(model, n_threads=2)
print(engine.name, engine(model.probe.input).logit.shape)
print("torch" in sys.modules, sys.modules.get("openvino_telemetry"))
"""


def test_e6_h2_a_search_without_a_gpu_needs_no_internet_no_home_and_no_torch(
    model: Model, tmp_path: Path
) -> None:
    write_model(tmp_path / "model", model, "")
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(0o500)
    before = sorted(tmp_path.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SEARCH, str(tmp_path / "model")],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "HOME": str(tmp_path / "home")},
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    name, found = done.stdout.splitlines()
    assert name.startswith("openvino")
    assert name.endswith("(6,)")
    assert found == "False None"
    assert sorted(tmp_path.rglob("*")) == before
