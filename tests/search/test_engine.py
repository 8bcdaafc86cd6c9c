"""Every engine computes the network that was trained, whatever runs beside it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fixtures.models import silent, spectra_for
from speclens.errors import RunError
from speclens.networks.architecture import Architecture
from speclens.networks.layers import build
from speclens.networks.model import Model
from speclens.networks.model_folder import write_model
from speclens.search import engine as engine_module
from speclens.search.engine import Engine, OpenVinoEngine, TorchEngine, open_engine

FULL = "preparation.window=[3800.0, 5000.0]"
SMALL = "preparation.window=[3800.0, 3950.0]"


@pytest.fixture(scope="module")
def model(make_model: Callable[..., Model]) -> Model:
    return make_model()


@pytest.fixture(params=["openvino", "torch"])
def engine(model: Model, request: pytest.FixtureRequest) -> Engine:
    if request.param == "torch":
        return TorchEngine(model, "cpu", silent)
    return OpenVinoEngine(model, "float32", 1)


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


class SmallMemory:
    """A network on a device that holds so many spectra."""

    def __init__(self, network: Any, n_spectra: int) -> None:
        self.network, self.n_spectra = network, n_spectra

    def __call__(self, spectra: Any) -> Any:
        if len(spectra) > self.n_spectra:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return self.network(spectra)


def test_f6_too_little_memory_halves_the_batch_and_says_so(model: Model) -> None:
    lines: list[str] = []
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


def test_f6_no_memory_at_all_is_an_error(model: Model) -> None:
    engine = TorchEngine(model, "cpu", [].append)
    engine._network = SmallMemory(engine._network, 0)  # type: ignore[assignment]
    with pytest.raises(RunError, match="no memory"):
        engine(spectra_for(model, 2))


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


@pytest.mark.skipif(
    "BF16" not in engine_module._processor_capabilities(), reason="no bfloat16 on this processor"
)
def test_bf16_probabilities_are_those_of_float32_to_1e_2(make_model: Callable[..., Model]) -> None:
    model = make_model(widths=(8, 8, 16, 16, 32, 32, 64, 64), overrides=[FULL])
    spectra = spectra_for(model, 70)
    found = open_engine(model, precision="bf16", say=silent)(spectra)
    expected = model.probability(by_torch(model, spectra)[0])
    np.testing.assert_allclose(model.probability(found.logit), expected, rtol=0, atol=1e-2)


GIVEN_UP = """
import os, signal, sys
from speclens.networks.model_folder import read_model
from speclens.search.engine import OpenVinoEngine
model = read_model(sys.argv[1])
OpenVinoEngine(model, "float32", 1)
engines = [OpenVinoEngine(model, "float32", 1) for _ in range(3)]
while engines:
    engines.pop(0)
signal.signal(signal.SIGALRM, lambda *_: print("heard"))
os.kill(os.getpid(), signal.SIGALRM)
"""


FORKED = """
import os, sys
from speclens.networks.model_folder import read_model
from speclens.search.engine import OpenVinoEngine
model = read_model(sys.argv[1])
before = OpenVinoEngine(model, "float32", 1)(model.probe.input).logit  # and is given up
if os.fork():
    os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
after = OpenVinoEngine(model, "float32", 1)(model.probe.input).logit
os._exit(0 if (after == before).all() else 5)
"""


def test_a_process_that_was_forked_after_a_search_can_search(model: Model, tmp_path: Path) -> None:
    write_model(tmp_path / "model", model, "")
    done = subprocess.run(
        [sys.executable, "-c", FORKED, str(tmp_path / "model")],
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_signals_are_heard_after_engines_were_given_up(model: Model, tmp_path: Path) -> None:
    write_model(tmp_path / "model", model, "")
    done = subprocess.run(
        [sys.executable, "-c", GIVEN_UP, str(tmp_path / "model")],
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
