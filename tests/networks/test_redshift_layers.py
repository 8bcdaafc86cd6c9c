"""A spectrum that moves has its map moved; a source warms its own redshift, and what is like it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from speclens.networks.architecture import Architecture, dilations, weight_shapes
from speclens.networks.layers import build
from speclens.networks.redshift_layers import source_loss
from speclens.networks.source_bins import CELL_PIXELS, places_of, source_bins
from speclens.spectra import LogGrid

GRID = LogGrid.covering(3600.0, 7200.0)
SOURCES = source_bins(GRID.first, GRID.n_pixels, ("elg", "lya"))
CELLS = torch.from_numpy(np.stack(places_of(SOURCES)))
N_ELG = SOURCES[0].n_bins


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    torch.manual_seed(3)


def architecture(*widths: int, n_channels: int = 1) -> Architecture:
    return Architecture("redshift", n_channels, GRID.n_pixels, widths, 0.0, SOURCES)


def line_spectra(kind: int, z: float) -> NDArray[np.float64]:
    """Lines of a source, 10 high and 1.5 pixels wide, without noise; (L,)."""
    places = SOURCES[kind].pixels(np.array([z]))[0][:5]
    offset = np.arange(GRID.n_pixels) - places[:, None]
    return np.asarray(10 * np.exp(-0.5 * (offset / 1.5) ** 2).sum(axis=0))


def place_of(kind: int, z: float) -> int:
    return int(SOURCES[kind].bin_of(np.array([z]))[0]) + kind * N_ELG


def toy_batch(n_spectra: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Spectra with a galaxy, a Lyman-alpha emitter, or nothing."""
    spectra = np.zeros((n_spectra, 1, GRID.n_pixels))
    target = np.full((n_spectra, 4), -1)
    target[:, :2] = 0
    for spectrum, truth in zip(spectra, target, strict=True):
        kind = int(rng.integers(3))
        if kind < 2:
            z = rng.uniform(0.1, 0.9) if kind == 0 else rng.uniform(2, 4.8)
            spectrum[0], truth[2] = line_spectra(kind, z), place_of(kind, z)
    return torch.from_numpy(spectra).float(), torch.from_numpy(target)


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """A small network that saw 2,500 spectra without noise; not to be changed."""
    torch.manual_seed(3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    network, rng, n_steps = build(architecture(6, 8, 8)), np.random.default_rng(5), 80
    optimizer = torch.optim.AdamW(network.parameters(), 0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.02, n_steps)
    for _ in range(n_steps):
        spectra, target = toy_batch(32, rng)
        loss = source_loss(network(spectra)[1], target, CELLS)[0].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    torch.set_num_threads(threads)
    return network.eval()


def mass(network: nn.Module, spectrum: NDArray[np.float64], *places: int) -> list[float]:
    """Probability within 3 cells of some places, and that of none last."""
    with torch.inference_mode():
        heat = network(torch.from_numpy(spectrum).float()[None, None])[1]
    p = torch.softmax(torch.cat([heat, torch.zeros(1, 1)], 1), 1)[0]
    return [float(p[place - 3 : place + 4].sum()) for place in places] + [float(p[-1])]


@pytest.mark.slow
def test_the_heat_is_at_the_redshift_of_the_source(trained: nn.Module) -> None:
    for z in (0.12, 0.2, 0.3, 0.4):
        right, none = mass(trained, line_spectra(0, z), place_of(0, z))
        assert right > 0.9, z
        assert none < 0.05
    assert mass(trained, np.zeros(GRID.n_pixels))[0] > 0.9


@pytest.mark.slow
def test_a_line_that_may_be_either_warms_both(trained: nn.Module) -> None:
    for z in (0.55, 0.7, 0.8):
        z_lya = 3728.48 * (1 + z) / 1215.67 - 1
        found = mass(trained, line_spectra(1, z_lya), place_of(0, z), place_of(1, z_lya))
        oii, lya, _ = found
        assert min(oii, lya) > 0.1, found
        assert oii + lya > 0.8, found


@pytest.mark.slow
def test_two_sources_are_both_warm(trained: nn.Module) -> None:
    z, z_lya = 0.25, 3.4
    both = line_spectra(0, z) + line_spectra(1, z_lya)
    galaxy, emitter, none = mass(trained, both, place_of(0, z), place_of(1, z_lya))
    alone = mass(trained, line_spectra(0, z), place_of(0, z), place_of(1, z_lya))
    assert galaxy > 0.1
    assert emitter > 10 * alone[1]
    assert none < 0.05


def test_the_shapes_of_the_weights_are_those_of_the_network() -> None:
    for widths in ((4, 6, 6), (3, 3, 5, 5, 7)):
        shape = architecture(*widths, n_channels=4)
        state = build(shape).state_dict()
        kept = {name: tuple(x.shape) for name, x in state.items() if "num_batches" not in name}
        assert weight_shapes(shape) == kept
    assert dilations(6) == [1, 1, 1, 2, 4, 8]


@pytest.mark.parametrize("n_cells", [1, 7, 30])
def test_a_spectrum_moved_by_cells_has_its_map_moved_by_bins(n_cells: int) -> None:
    network = build(architecture(4, 6, 6, 8)).eval()
    for parameter in network.parameters():
        parameter.data *= 2  # or the map would be flat
    # Far from the ends: what the padding sees does not move.
    spectra = torch.zeros(2, 1, GRID.n_pixels)
    spectra[0, 0, 1200:1800] = torch.randn(600)
    spectra[1, 0] = torch.roll(spectra[0, 0], n_cells * CELL_PIXELS)
    with torch.inference_mode():
        heat = network(spectra)[1]
        empty = network(torch.zeros(1, 1, GRID.n_pixels))[1]
    n_all = GRID.n_pixels // CELL_PIXELS
    start = 0
    for bins in SOURCES:
        one, other = heat[:, start : start + bins.n_bins]
        # Lines that are within the spectrum before and after.
        seen = bins.seen(n_all)
        inner = bins.seen(n_all - 40) & (
            np.array(bins.cells)[:, None] + np.arange(bins.n_bins) > 40
        )
        same = (seen[:, :-n_cells] == seen[:, n_cells:]).all(axis=0)
        same &= (inner | ~seen)[:, :-n_cells].all(axis=0) & (inner | ~seen)[:, n_cells:].all(axis=0)
        same = torch.from_numpy(same)
        assert same.sum() > 100
        torch.testing.assert_close(
            other[n_cells:][same], one[:-n_cells][same], rtol=1e-5, atol=1e-5
        )
        assert (one - empty[0, start : start + bins.n_bins]).abs().max() > 1e-2
        start += bins.n_bins


def test_before_it_learns_a_source_is_as_likely_as_none() -> None:
    logit, heat = build(architecture(4, 4, 4, n_channels=3)).eval()(
        torch.randn(5, 3, GRID.n_pixels)
    )
    torch.testing.assert_close(logit, heat.logsumexp(1))
    assert logit.abs().max() < 0.5


def slow_loss(heat: NDArray[np.float64], target: list[int]) -> float:
    """Cross entropy of one spectrum, bin by bin."""
    cells, kinds = places_of(SOURCES)
    possible = (cells < target[0]) | (cells >= target[1])
    total = 1 + np.exp(heat[possible]).sum()
    known = [place for place in target[2:] if place >= 0]
    if not known:
        return float(np.log(total))
    loss = 0.0
    for place in known:
        near = [
            i for i in range(place - 1, place + 2)
            if 0 <= i < len(heat) and kinds[i] == kinds[place] and possible[i]
        ]  # fmt: skip
        loss -= sum(np.log(np.exp(heat[i]) / total) for i in near) / len(near) / len(known)
    return loss


@pytest.mark.parametrize(
    "target",
    [
        [0, 0, -1, -1], [250, 300, -1, -1], [0, 0, 250, -1], [0, 0, -1, 250],
        [0, 0, 250, N_ELG + 90], [200, 250, 250, -1], [0, 0, N_ELG - 1, -1], [0, 0, N_ELG, -1],
        [0, 0, 0, -1], [0, 0, 200, 201], [250, 300, 249, -1], [250, 300, 100, N_ELG + 90],
    ],
)  # fmt: skip
def test_the_loss_is_that_of_a_plain_loop(target: list[int], rng: np.random.Generator) -> None:
    heat = rng.normal(0, 2, len(CELLS[0]))
    loss, logit = source_loss(torch.from_numpy(heat)[None], torch.tensor([target]), CELLS)
    assert float(loss) == pytest.approx(slow_loss(heat, target), rel=1e-6)
    cells = CELLS[0].numpy()
    before, behind = np.exp(heat[cells < target[0]]), np.exp(heat[cells >= target[1]])
    # A galaxy before the lens is a rival of the sources, as none is.
    odds = behind.sum() / (1 + before.sum())
    assert float(logit) == pytest.approx(np.log(odds), rel=1e-6)


def test_bins_at_the_lens_learn_nothing() -> None:
    heat = torch.zeros(1, len(CELLS[0]), requires_grad=True)
    source_loss(heat, torch.tensor([[150, 250, 300, -1]]), CELLS)[0].sum().backward()
    at_lens = (CELLS[0] >= 150) & (CELLS[0] < 250)
    assert (heat.grad[0, at_lens] == 0).all()
    assert (heat.grad[0, ~at_lens] != 0).all()
    nothing = torch.zeros(1, len(CELLS[0]), requires_grad=True)
    loss = source_loss(nothing, torch.tensor([[0, 10**6, -1, -1]]), CELLS)[0]
    loss.sum().backward()
    assert float(loss.detach()) == 0
    assert torch.isfinite(nothing.grad).all()
