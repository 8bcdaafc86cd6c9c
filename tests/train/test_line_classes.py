"""Lines of two classes: what the loss is told, and that a network learns to tell them apart."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.networks.architecture import Architecture

torch = pytest.importorskip("torch")

from speclens.networks.layers import build  # noqa: E402
from speclens.train.labelled_set import Split  # noqa: E402
from speclens.train.losses import LineLoss  # noqa: E402
from speclens.train.settings import Settings  # noqa: E402

N_PIXELS = 128
BLUE_AND_RED = ("blue", "red")


def loss_for(*classes: str) -> LineLoss:
    shape = Architecture("resnet", 1, N_PIXELS, (4,) * 4, 0.0, classes=classes)
    return LineLoss(shape, Settings(1, 64, "adamw", 1e-3, 0.15, 0.0, 5.0, 0.0, 1.0, 5))


def split(pixel: list[int], skew: list[int]) -> Split:
    n = len(pixel)
    label = (np.array(pixel) >= 0).astype(np.float32)
    return Split([], label, np.array(pixel), np.array(skew), np.zeros((n, 0), np.int64))


def test_a_place_is_that_of_the_line_in_its_class() -> None:
    found = split([-1, 17, 17, 127, 40], [0, -1, 1, 1, 0])
    assert loss_for(*BLUE_AND_RED).target(found).tolist() == [-1, 2, 16 + 2, 16 + 15, -1]
    assert loss_for("red", "blue").target(found).tolist() == [-1, 16 + 2, 2, 15, -1]
    assert loss_for("line").target(found).tolist() == [-1, 2, 2, 15, 5]


def skewed_lines(n: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], Split]:
    """Triangles with their steep side in the blue (skewed to the red) or in the red."""
    pixel, skew = rng.integers(20, 108, n), rng.choice([-1, 1], n)
    offset = (np.arange(N_PIXELS) - pixel[:, None]) * skew[:, None]
    flux = np.where((offset >= 0) & (offset < 8), 8.0 - offset, 0.0)
    flux += rng.normal(0, 0.5, flux.shape)
    return flux[:, None].astype(np.float32), split(pixel.tolist(), skew.tolist())


def test_a_network_learns_to_tell_them_apart(rng: np.random.Generator) -> None:
    torch.manual_seed(3)
    shape = Architecture("resnet", 1, N_PIXELS, (4,) * 4, 0.0, classes=BLUE_AND_RED)
    network, loss = build(shape), loss_for(*BLUE_AND_RED)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(60):
        flux, lines = skewed_lines(64, rng)
        logit, place = network(torch.from_numpy(flux))
        target = torch.from_numpy(loss.target(lines))
        optimizer.zero_grad()
        (loss.total(logit, place, torch.from_numpy(lines.label), target) / 64).backward()
        optimizer.step()
    flux, lines = skewed_lines(200, rng)
    with torch.inference_mode():
        _, place = network(torch.from_numpy(flux))
    share = torch.softmax(place, 1).reshape(200, 2, -1).sum(2)[:, 1].numpy()
    assert ((share > 0.5) == (lines.skew > 0)).mean() > 0.9
