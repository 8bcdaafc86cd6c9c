"""Every engine computes the network that was trained, whatever runs beside it."""

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

from speclens.errors import ModelError, RunError
from speclens.networks.architecture import Architecture
from speclens.networks.layers import build
from speclens.networks.model import Calibration, Model
from speclens.networks.model_folder import write_model
from speclens.search import engine as engine_module
from speclens.search.engine import Engine, OpenVinoEngine, TorchEngine, open_engine

FULL = "preparation.window=[3800.0, 5000.0]"
SMALL = "preparation.window=[3800.0, 3950.0]"

gpu_is_plausible = engine_module._gpu_is_plausible

REFINED = "openvino bf16, float32 where unsure"


@pytest.fixture(scope="module")
def model(make_model: Callable[..., Model]) -> Model:
    return make_model()


@pytest.fixture
def lines() -> list[str]:
    """What an engine said."""
    return []


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same tests on every machine."""
    monkeypatch.setattr(engine_module, "_gpu_is_plausible", lambda: False)


@pytest.fixture
def _broken_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that the machine has, and torch cannot use."""
    monkeypatch.setattr(engine_module, "_gpu_is_plausible", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture(params=["openvino", "torch"])
def engine(model: Model, request: pytest.FixtureRequest) -> Engine:
    if request.param == "torch":
        return TorchEngine(model, "cpu", silent)
    return OpenVinoEngine(model, "float32", 1)


def spectra_for(model: Model, n_spectra: int, seed: int = 1) -> NDArray[np.float32]:
    """Noise with a spike somewhere."""
    rng = np.random.default_rng(seed)
    shape = (n_spectra, len(model.inputs), model.grid.n_pixels)
    spectra = rng.standard_normal(shape)
    spectra[np.arange(n_spectra), :, rng.integers(0, shape[2], n_spectra)] += 20
    return spectra.astype(np.float32)


def by_torch(
    model: Model, spectra: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The network as it is trained."""
    shape = (len(model.inputs), model.grid.n_pixels)
    network = build(Architecture("resnet", *shape, model.widths, 0.2)).eval()
    network.load_state_dict({k: torch.tensor(v) for k, v in model.weights.items()})
    with torch.inference_mode():
        logit, place = network(torch.from_numpy(spectra))
    return logit.numpy(), place.numpy()


def silent(text: str) -> None:
    raise AssertionError(f"nothing was to be said, but: {text}")


@pytest.mark.parametrize("inputs", [("flux",), ("residual", "snr", "noise", "foreground")])
@pytest.mark.parametrize(
    ("widths", "window"),
    [
        ((8, 8, 16, 16, 32, 32, 64, 64), FULL),
        ((16, 16, 32, 32, 64, 64, 128, 128), FULL),
        ((3, 5, 5, 7), SMALL),
        ((4, 4, 8, 8, 8, 8, 12, 12), "preparation.window=[3800.0, 3959.0]"),  # odd lengths
    ],
)
def test_openvino_computes_what_torch_computes(
    make_model: Callable[..., Model],
    inputs: tuple[str, ...],
    widths: tuple[int, ...],
    window: str,
) -> None:
    model = make_model(inputs=inputs, widths=widths, overrides=[window])
    spectra = spectra_for(model, 70)
    found = open_engine(model, precision="float32", say=silent)(spectra)
    logit, place = by_torch(model, spectra)
    assert np.ptp(logit) > 0.01  # or nothing was compared
    np.testing.assert_allclose(found.logit, logit, rtol=1e-4, atol=1e-4 * np.abs(logit).max())
    np.testing.assert_allclose(found.place, place, rtol=1e-4, atol=1e-4 * np.abs(place).max())
    assert found.logit.dtype == found.place.dtype == np.float32


def test_torch_engine_computes_what_the_trained_network_computes(model: Model) -> None:
    spectra = spectra_for(model, 700)
    found = TorchEngine(model, "cpu", silent)(spectra)
    logit, place = by_torch(model, spectra)
    np.testing.assert_allclose(found.logit, logit, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.place, place, rtol=1e-5, atol=1e-5)


def test_b9_a_score_does_not_depend_on_order_neighbours_or_number(
    model: Model, engine: Engine
) -> None:
    spectra = spectra_for(model, 200)
    reference = engine(spectra)
    order = np.random.default_rng(2).permutation(200)
    shuffled = engine(spectra[order])
    np.testing.assert_array_equal(shuffled.logit, reference.logit[order])
    np.testing.assert_array_equal(shuffled.place, reference.place[order])
    for rows in (slice(0, 1), slice(63, 65), slice(130, 200), slice(0, 64)):
        np.testing.assert_array_equal(engine(spectra[rows]).logit, reference.logit[rows])
    loud = spectra.copy()
    loud[1:] *= 1e6
    assert engine(loud).logit[0] == reference.logit[0]


def test_b9_a_score_does_not_depend_on_the_number_of_threads(model: Model) -> None:
    spectra = spectra_for(model, 300)
    reference = OpenVinoEngine(model, "float32", 1)(spectra)
    for n_threads in (2, 3):
        found = OpenVinoEngine(model, "float32", n_threads)(spectra)
        np.testing.assert_allclose(found.logit, reference.logit, rtol=0, atol=1e-6)
        np.testing.assert_allclose(found.place, reference.place, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("given", "expected"), [({}, 1), ({"n_threads": 2}, 2)])
def test_h4_a_search_computes_on_one_core_unless_told_otherwise(
    model: Model, given: dict[str, int], expected: int
) -> None:
    engine: Any = open_engine(model, "cpu", "float32", **given)
    compiled = engine._requests[0].get_compiled_model()
    for limit in ("INFERENCE_NUM_THREADS", "NUM_STREAMS"):
        assert int(compiled.get_property(limit)) == expected


def test_an_engine_can_be_given_up_as_soon_as_it_has_scored(model: Model) -> None:
    # Threads that wait for Python's lock then would never end: the test would not either.
    spectra = spectra_for(model, 130)
    for _ in range(20):
        OpenVinoEngine(model, "float32", 2)(spectra)


def test_a_second_call_does_not_touch_the_first_result(model: Model) -> None:
    engine = OpenVinoEngine(model, "float32", 2)
    first = engine(spectra_for(model, 130))
    kept = first.logit.copy()
    engine(spectra_for(model, 130, seed=2))
    np.testing.assert_array_equal(first.logit, kept)


def test_spectra_need_not_lie_in_order_nor_in_single_precision(model: Model) -> None:
    engine = OpenVinoEngine(model, "float32", 1)
    spectra = spectra_for(model, 64)
    reference = engine(spectra).logit
    np.testing.assert_array_equal(engine(np.asfortranarray(spectra)).logit, reference)
    np.testing.assert_array_equal(engine(spectra.astype(np.float64)).logit, reference)


def test_no_spectra_give_no_scores(model: Model, engine: Engine) -> None:
    found = engine(spectra_for(model, 0))
    assert found.logit.shape == (0,)
    assert found.place.shape == (0, model.n_places)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_spectrum_that_is_not_finite_has_no_score_and_spoils_no_other(
    model: Model, engine: Engine, value: float
) -> None:
    spectra = spectra_for(model, 80)
    reference = engine(spectra)
    spectra[5, 0, 17] = value
    found = engine(spectra)
    assert np.isnan(found.logit[5])
    assert np.isnan(found.place[5]).all()
    others = np.arange(80) != 5
    np.testing.assert_array_equal(found.logit[others], reference.logit[others])


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


class SmallMemory:
    """A network on a device that holds so many spectra."""

    def __init__(self, network: Any, n_spectra: int) -> None:
        self.network, self.n_spectra = network, n_spectra

    def __call__(self, spectra: Any) -> Any:
        if len(spectra) > self.n_spectra:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return self.network(spectra)


def test_f6_too_little_memory_halves_the_batch_and_says_so(model: Model, lines: list[str]) -> None:
    spectra = spectra_for(model, 300)
    engine = TorchEngine(model, "cpu", lines.append)
    reference = engine(spectra)
    engine._network = SmallMemory(engine._network, 100)  # type: ignore[assignment]
    found = engine(spectra)
    np.testing.assert_allclose(found.logit, reference.logit, rtol=0, atol=1e-5)
    assert [line.split("; ")[1] for line in lines] == [
        "now 256 spectra at once", "now 128 spectra at once", "now 64 spectra at once",
    ]  # fmt: skip
    engine(spectra)
    assert len(lines) == 3


def test_f6_no_memory_at_all_is_an_error(model: Model, lines: list[str]) -> None:
    engine = TorchEngine(model, "cpu", lines.append)
    engine._network = SmallMemory(engine._network, 0)  # type: ignore[assignment]
    with pytest.raises(RunError, match="no memory"):
        engine(spectra_for(model, 2))


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


def test_where_bf16_is_unsure_float32_decides(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    spectra = spectra_for(model, 70)
    exact = open_engine(model, precision="float32", say=silent)(spectra)
    shift = np.where(np.arange(70) % 2, 0.3, 9.0).astype(np.float32)

    def coarse(self: OpenVinoEngine, inputs: NDArray[np.float32]) -> Any:
        found = scored(self, inputs)
        if self.name == "openvino bf16" and len(inputs) == len(shift):
            found.logit[:] = exact.logit + shift
        return found

    scored = OpenVinoEngine.__call__
    monkeypatch.setattr(OpenVinoEngine, "__call__", coarse)
    monkeypatch.setattr(engine_module, "_processor_capabilities", lambda: ["FP32", "BF16"])
    found = open_engine(model, say=silent)(spectra)
    probability = model.probability(exact.logit + shift)
    unsure = (probability > 0.05) & (probability < 0.95)
    assert 5 < unsure.sum() < 65
    np.testing.assert_allclose(found.logit[unsure], exact.logit[unsure], atol=1e-5)
    np.testing.assert_allclose(found.logit[~unsure], (exact.logit + shift)[~unsure], atol=1e-5)


def test_bf16_is_not_taken_where_the_processor_lacks_it(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_processor_capabilities", lambda: ["FP32"])
    assert open_engine(model, say=silent).name == "openvino float32"
    with pytest.raises(RunError, match="no bfloat16"):
        open_engine(model, precision="bf16", say=silent)


@pytest.mark.parametrize(("shift", "name"), [(0.01, REFINED), (9.0, "openvino float32")])
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


@pytest.mark.skipif(
    "BF16" not in engine_module._processor_capabilities(), reason="no bfloat16 on this processor"
)
def test_bf16_probabilities_are_those_of_float32_to_1e_2(make_model: Callable[..., Model]) -> None:
    model = make_model(widths=(8, 8, 16, 16, 32, 32, 64, 64), overrides=[FULL])
    spectra = spectra_for(model, 70)
    found = open_engine(model, precision="bf16", say=silent)(spectra)
    expected = model.probability(by_torch(model, spectra)[0])
    np.testing.assert_allclose(model.probability(found.logit), expected, rtol=0, atol=1e-2)


def test_h2_without_openvino_the_message_says_what_to_install(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(RunError, match=r"pip install openvino.*--method matched-filter"):
        open_engine(model, say=silent)


GIVEN_UP = """
import os, signal, sys
from speclens.networks.model_folder import read_model
from speclens.search.engine import OpenVinoEngine
engines = [OpenVinoEngine(read_model(sys.argv[1]), "float32", 1) for _ in range(3)]
while engines:
    engines.pop(0)
signal.signal(signal.SIGALRM, lambda *_: print("heard"))
os.kill(os.getpid(), signal.SIGALRM)
"""


def test_signals_are_heard_after_engines_were_given_up(model: Model, tmp_path: Path) -> None:
    write_model(tmp_path / "model", model, "")
    done = subprocess.run(
        [sys.executable, "-c", GIVEN_UP, str(tmp_path / "model")],
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr


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
