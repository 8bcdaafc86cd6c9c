"""Pixels of DESI that stand out alone: spikes go, lines of any kind and noise stay."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr

from speclens.read.desi.lone_pixels import lone_pixels

N, L, MIDDLE = 100, 400, 200
SPREAD = 0.85
"""Of the arms, in pixels."""

Floats = NDArray[np.float32]


@pytest.fixture
def noise(rng: np.random.Generator) -> Floats:
    return rng.standard_normal((N, L)).astype(np.float32)


def marked(flux: Floats, ivar: Floats | None = None, spread: float = SPREAD) -> NDArray[np.bool_]:
    some = np.ones_like(flux) if ivar is None else ivar
    return lone_pixels(flux, some, np.full_like(flux, spread))


def test_noise_stays(rng: np.random.Generator) -> None:
    flux = 3 + rng.standard_normal((N, 4000)).astype(np.float32)
    assert marked(flux).sum() <= 1


@pytest.mark.parametrize(("height", "least"), [(7.0, 0.7), (10.0, 0.95), (1000.0, 1.0)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_spike_goes_and_nothing_else(
    noise: Floats, height: float, least: float, sign: int
) -> None:
    noise[:, MIDDLE] += sign * height
    alone = marked(noise)
    assert alone[:, MIDDLE].mean() >= least
    alone[:, MIDDLE] = False
    assert alone.sum() <= 1


@pytest.mark.parametrize("sigma", [SPREAD, 1.2, 3.0])
@pytest.mark.parametrize("snr", [6.0, 20.0, 300.0])
def test_a_line_stays_wherever_it_falls_on_the_pixels(
    noise: Floats, rng: np.random.Generator, sigma: float, snr: float
) -> None:
    edges = np.arange(L + 1) - 0.5
    centre = MIDDLE + rng.uniform(-0.5, 0.5, (N, 1))
    line = np.diff(ndtr((edges - centre) / sigma), axis=1)
    noise += (snr * line / np.sqrt((line**2).sum(axis=1, keepdims=True))).astype(np.float32)
    assert marked(noise).sum() <= 1


def test_where_the_spread_or_the_neighbours_are_not_known_nothing_is_said(noise: Floats) -> None:
    noise[:, MIDDLE] += 50
    assert not marked(noise, spread=0.0).any()
    ivar = np.ones_like(noise)
    ivar[:, MIDDLE - 2 : MIDDLE + 3] = 0
    ivar[:, MIDDLE] = 1
    assert not marked(noise, ivar).any()
    assert not marked(noise[:, :8]).any()
