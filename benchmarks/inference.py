"""Spectra a second of the networks, in each engine that this machine has, beside eager torch.

Give models (folders, or names of bundled ones); without any it takes the bundled ones, or random
weights of the default networks. The engines take turns, so that whatever else runs on the machine
slows all of them (eager torch the most, whose threads wait for each other: look at the load that
is printed); rates are medians of their turns. Reading, preparing and filtering are left out.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from speclens.config import load_config
from speclens.networks.architecture import Architecture
from speclens.networks.layers import build
from speclens.networks.model import Calibration, Model, Probe, seen_sections
from speclens.networks.model_folder import bundled_models, read_model
from speclens.run.workers import allotted_cores
from speclens.search.engine import open_engine
from speclens.search.openvino_graph import load_openvino, openvino_core
from speclens.spectra import LogGrid
from tables import Tables, add_option

Floats = NDArray[np.float32]
Scorer = Callable[[Floats], Floats]

TORCH_BATCH = 64


def random_model(name: str, widths: tuple[int, ...]) -> Model:
    """Give the network of a configuration random weights, and perhaps other widths."""
    config = load_config(name)
    grid = LogGrid.covering(*config.preparation.window)
    inputs, widths = config.network.inputs, widths or config.network.widths
    torch.manual_seed(1)
    network = build(Architecture("resnet", len(inputs), grid.n_pixels, widths, 0.0)).eval()
    state = network.state_dict()
    for key, tensor in state.items():
        if ".norms." in key and tensor.dtype.is_floating_point:
            tensor.uniform_(0.5, 1.5)
    spectra = torch.randn(8, len(inputs), grid.n_pixels)
    with torch.inference_mode():
        logit, place = (tensor.numpy() for tensor in network(spectra))
    return Model(
        name=f"{name}, random",
        inputs=inputs,
        grid=grid,
        widths=widths,
        dropout=0.0,
        place=True,
        weights={key: t.numpy() for key, t in state.items() if t.dtype.is_floating_point},
        sections=seen_sections(config),
        calibration=Calibration(1.0, -float(logit.mean())),
        probe=Probe(spectra.numpy(), logit, place),
    )


def eager_torch(model: Model) -> Scorer:
    """Score in torch as one writes it first."""
    network = build(model.architecture).eval()
    network.load_state_dict({key: torch.tensor(value) for key, value in model.weights.items()})

    @torch.inference_mode()
    def score(inputs: Floats) -> Floats:
        spectra = torch.from_numpy(inputs)
        starts = range(0, len(inputs), TORCH_BATCH)
        return np.concatenate([network(spectra[i : i + TORCH_BATCH])[0].numpy() for i in starts])

    return score


def scorers_of(model: Model, n_threads: int) -> dict[str, Scorer]:
    """Every engine that this machine has, eager torch first."""
    wanted = [("cpu", "float32")]
    if "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        wanted.append(("cpu", "auto"))  # as a search: single precision where a line is likely
    if torch.cuda.is_available():
        wanted.append(("cuda", "float32"))
    scorers = {"torch eager float32": eager_torch(model)}
    for device, precision in wanted:
        engine = open_engine(model, device, precision, n_threads)  # type: ignore[arg-type]
        scorers[engine.name] = lambda inputs, engine=engine: engine(inputs).logit  # type: ignore[misc]
    return scorers


def rates(scorers: dict[str, Scorer], inputs: Floats, n_repeats: int) -> dict[str, float]:
    """Median spectra a second of each engine."""
    measured: dict[str, list[float]] = {name: [] for name in scorers}
    for turn in range(n_repeats + 1):
        for name, score in scorers.items():
            began = time.perf_counter()
            score(inputs)
            if turn:  # the first one warms up
                measured[name].append(len(inputs) / (time.perf_counter() - began))
    return {name: statistics.median(values) for name, values in measured.items()}


def processor() -> str:
    """Name of the processor."""
    description = Path("/proc/cpuinfo")
    lines = description.read_text().splitlines() if description.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def print_table(
    model: Model, n_threads: int, n_spectra: int, n_repeats: int, tables: Tables
) -> None:
    """Measure one model."""
    shape = (n_spectra, len(model.inputs), model.grid.n_pixels)
    inputs = np.random.default_rng(1).standard_normal(shape, np.float32)
    scorers = scorers_of(model, n_threads)
    found = rates(scorers, inputs, n_repeats)
    eager, *_ = found
    reference = model.probability(scorers[eager](inputs))
    widths = " ".join(str(width) for width in model.widths)
    print(f"\n{model.name}: {len(model.inputs)} channels, widths {widths}")
    cells = []
    for name, rate in found.items():
        difference = np.abs(model.probability(scorers[name](inputs)) - reference).max()
        cells.append([name, f"{rate:,.0f}", f"{rate / found[eager]:.1f}", f"{difference:.1e}"])
    titles = [f"`{model.name}`", "spectra a second", "of eager torch", "max. difference"]
    tables.show(f"engines_{model.name}", titles, cells)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--random", action="store_true", help="random weights, not trained ones")
    parser.add_argument("--widths", type=int, nargs="+", default=(), help="with --random")
    parser.add_argument("--threads", type=int, default=min(2, allotted_cores()))
    parser.add_argument("--spectra", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=5)
    add_option(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(
        f"{processor()}, {allotted_cores()} cores, load {os.getloadavg()[0]:.1f} before; "
        f"{arguments.threads} threads, torch "
        f"{torch.__version__}, openvino {load_openvino().__version__.split('-')[0]}"
    )
    names = arguments.models or ([] if arguments.random else bundled_models())
    models = [read_model(name) for name in names] or [
        random_model(name, tuple(arguments.widths)) for name in ("speclens", "li2019")
    ]
    for model in models:
        tables = Tables(arguments.tables)
        print_table(model, arguments.threads, arguments.spectra, arguments.repeats, tables)


if __name__ == "__main__":
    main()
