"""The networks are the paper's: so many convolutions and weights, and its loss."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from speclens.networks.architecture import PLACE_BLOCK, Architecture
from speclens.networks.blocks import Dropout
from speclens.networks.layers import ResNet, build, focal_loss

PAPER_WIDTHS = (16, 16, 32, 32, 64, 64, 128, 128)
SMALL_WIDTHS = (4, 4, 4, 4, 8, 8, 8, 8)


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    torch.manual_seed(1)


def resnet(
    widths: Sequence[int] = SMALL_WIDTHS, n_channels: int = 1, n_pixels: int = 160
) -> nn.Module:
    return build(Architecture("resnet", n_channels, n_pixels, widths, 0.2))


def slow_focal_loss(logit: float, label: int, gamma: float) -> float:
    """Equation 1 of the paper, digit by digit."""
    p = 1 / (1 + math.exp(-logit))
    p_true = p if label == 1 else 1 - p
    return -((1 - p_true) ** gamma) * math.log(p_true)


def test_eight_blocks_have_28_convolutions_and_372721_weights() -> None:
    network = resnet(PAPER_WIDTHS)
    own = {
        name: part for name, part in network.named_modules() if name.split(".")[0] not in ("place",)
    }
    assert len(network.blocks) == 8
    assert sum(isinstance(part, nn.Conv2d) for part in own.values()) == 28
    counts = {
        name: parameter.numel()
        for name, parameter in network.named_parameters()
        if not name.startswith("place.")
    }
    assert sum(counts.values()) == 372_721


def test_shortcuts_convolve_only_where_the_width_changes() -> None:
    shortcuts = [block.shortcut for block in resnet(PAPER_WIDTHS).blocks]
    convolved = [isinstance(shortcut, nn.Conv2d) for shortcut in shortcuts]
    assert convolved == [True, False, True, False, True, False, True, False]


@pytest.mark.parametrize("n_pixels", [1192, 331, 129])
@pytest.mark.parametrize("n_channels", [1, 4])
def test_spectra_give_a_logit_and_places_of_eight_pixels(n_channels: int, n_pixels: int) -> None:
    logit, place = resnet(n_channels=n_channels, n_pixels=n_pixels)(
        torch.randn(3, n_channels, n_pixels)
    )
    assert logit.shape == (3,)
    assert place.shape == (3, n_pixels >> PLACE_BLOCK)


def test_each_pooling_halves_the_pixels() -> None:
    network = resnet()
    seen: list[tuple[int, ...]] = []
    for block in network.blocks:
        block.register_forward_hook(lambda _, __, out: seen.append(tuple(out.shape)))
    network(torch.randn(2, 1, 160))
    assert [shape[3] for shape in seen] == [160, 80, 40, 20, 10, 5, 2, 1]
    assert [shape[1] for shape in seen] == list(SMALL_WIDTHS)


def test_a_line_moves_its_place_with_it() -> None:
    network = resnet().eval()
    spectra = torch.zeros(2, 1, 160)
    spectra[0, 0, 60], spectra[1, 0, 60 + 5 * 8] = 20, 20
    with torch.inference_mode():
        place = network(spectra)[1]
        empty = network(torch.zeros(1, 1, 160))[1]
    change = (place - empty).abs()
    assert change[0].max() > 1e-4
    torch.testing.assert_close(change[0, 5:10], change[1, 10:15], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["lenet", "alexnet"])
@pytest.mark.parametrize("n_channels", [1, 4])
def test_plain_networks_give_a_logit_and_no_place(kind: str, n_channels: int) -> None:
    network = build(Architecture(kind, n_channels, 1192, (), 0.2))
    logit, place = network(torch.randn(3, n_channels, 1192))
    assert logit.shape == (3,)
    assert place.shape == (3, 0)
    logit.sum().backward()
    assert all(bool(parameter.grad.abs().sum() > 0) for parameter in network.parameters())
    layers = [part for part in network.modules() if isinstance(part, nn.Conv1d | nn.Linear)]
    assert len(layers) == {"lenet": 5, "alexnet": 8}[kind]


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind of network: 'vgg'"):
        build(Architecture("vgg", 1, 160, SMALL_WIDTHS, 0.2))


def test_dropout_is_its_generators_alone() -> None:
    dropout = Dropout(0.3)
    dropout.generator = torch.Generator()

    def drawn(seed: int, of_torch: int) -> Tensor:
        torch.manual_seed(of_torch)
        dropout.generator.manual_seed(seed)
        return dropout(torch.ones(40, 50))

    torch.testing.assert_close(drawn(1, 10), drawn(1, 20), rtol=0, atol=0)
    assert not torch.equal(drawn(1, 10), drawn(2, 10))


def test_dropout_leaves_out_its_fraction_and_keeps_the_mean() -> None:
    dropout = Dropout(0.3)
    kept = dropout(torch.ones(100, 200))
    assert float((kept == 0).float().mean()) == pytest.approx(0.3, abs=0.02)
    assert float(kept.mean()) == pytest.approx(1, abs=0.03)
    torch.testing.assert_close(kept[kept > 0], torch.full_like(kept[kept > 0], 1 / 0.7))


def test_nothing_is_left_out_of_a_score() -> None:
    features = torch.randn(20, 30)
    assert Dropout(0.9).eval()(features) is features
    assert Dropout(0.0)(features) is features
    network = resnet().eval()
    spectra = torch.randn(4, 1, 160)
    torch.testing.assert_close(network(spectra)[0], network(spectra)[0], rtol=0, atol=0)


def test_dropout_stands_before_the_connected_layer_only() -> None:
    network = resnet()
    assert isinstance(network, ResNet)
    assert [name for name, part in network.named_modules() if isinstance(part, Dropout)] == [
        "dropout"
    ]


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("label", [0, 1])
def test_the_focal_loss_is_the_papers_equation(gamma: float, label: int) -> None:
    logits = np.linspace(-12, 12, 49)
    found = focal_loss(
        torch.from_numpy(logits), torch.full((len(logits),), label, dtype=torch.float64), gamma
    )
    expected = [slow_focal_loss(logit, label, gamma) for logit in logits]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_the_focal_loss_weighs_down_what_is_well_known() -> None:
    logit, label = torch.tensor([4.0, -1.0]), torch.ones(2)
    plain, focal = (focal_loss(logit, label, gamma) for gamma in (0.0, 2.0))
    assert float(focal[0] / plain[0]) < 1e-3
    assert float(focal[1] / plain[1]) > 0.5


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_f4_gradients_are_finite_at_extreme_logits(gamma: float) -> None:
    logit = torch.tensor([-1e4, -200.0, -20.0, 0.0, 20.0, 200.0, 1e4] * 2, requires_grad=True)
    label = torch.tensor([0.0] * 7 + [1.0] * 7)
    loss = focal_loss(logit, label, gamma)
    loss.sum().backward()
    assert bool(torch.isfinite(loss).all())
    assert bool(torch.isfinite(logit.grad).all())
    assert float(logit.grad[6]) == pytest.approx(1)  # an error is always corrected
    assert float(logit.grad[7]) == pytest.approx(-1)
