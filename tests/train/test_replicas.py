"""A step through replicas has the gradient of its parts, on any number of threads."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from speclens.networks.architecture import Architecture
from speclens.networks.blocks import Dropout
from speclens.networks.layers import build, focal_loss
from speclens.train import replicas as replicas_module
from speclens.train.losses import LineLoss
from speclens.train.replicas import PART_SPECTRA, Replicas
from speclens.train.settings import Settings

N_PIXELS = 256
CPU = torch.device("cpu")
ARCHITECTURE = Architecture("resnet", 1, N_PIXELS, (4, 4, 4, 4, 8, 8, 8, 8), 0.3)


@pytest.fixture(autouse=True)
def _as_in_a_training(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Operations on one thread, and the same numbers on every processor."""
    monkeypatch.setattr(replicas_module, "_has_bfloat16", lambda: False)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(2)
    return build(ARCHITECTURE)


def settings(batch_size: int = 2 * PART_SPECTRA, place_weight: float = 0.1) -> Settings:
    return Settings(1, batch_size, "adamw", 1e-3, 0.15, 0.0, 5.0, 2.0, place_weight, 5)


def replicas_of(network: nn.Module, chosen: Settings, n_threads: int) -> Replicas:
    return Replicas(network, chosen, CPU, n_threads, LineLoss(ARCHITECTURE, chosen))


def batch(n_spectra: int, line_share: float = 0.5, seed: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n_spectra, 1, N_PIXELS, generator=generator)
    label = (torch.rand(n_spectra, generator=generator) < line_share).float()
    cell = torch.randint(0, N_PIXELS // 8, (n_spectra,), generator=generator)
    return inputs, label, torch.where(label > 0, cell, -1)


def gradients(network: nn.Module) -> dict[str, Tensor]:
    return {
        name: parameter.grad.clone()
        for name, parameter in network.named_parameters()
        if parameter.grad is not None
    }


def slow_loss(
    network: nn.Module, parts: list[tuple[Tensor, Tensor, Tensor]], gamma: float
) -> Tensor:
    """The mean loss of a batch, its parts through one network in turn."""
    total = torch.zeros(())
    for inputs, label, cell in parts:
        logit, place = network(inputs)
        total = total + focal_loss(logit, label, gamma).sum()
        for row in torch.nonzero(cell >= 0)[:, 0].tolist():
            total = total - 0.1 * functional.log_softmax(place[row], 0)[cell[row]]
    return total / sum(len(label) for _, label, _ in parts)


@pytest.mark.parametrize("n_spectra", [2 * PART_SPECTRA, 75])
def test_the_gradient_is_that_of_the_mean_loss_over_the_parts(
    network: nn.Module, n_spectra: int
) -> None:
    for part in network.modules():
        if isinstance(part, Dropout):
            part.fraction = 0.0
    twin = copy.deepcopy(network)
    inputs, label, cell = batch(n_spectra)
    logit, loss, _ = replicas_of(network, settings(), 1).step(inputs, label, cell, 0)
    half = -(-n_spectra // 2)
    parts = [(x[:half], y[:half], z[:half]) for x, y, z in [(inputs, label, cell)]]
    parts += [(x[half:], y[half:], z[half:]) for x, y, z in [(inputs, label, cell)]]
    expected = slow_loss(twin, parts, 2.0)
    expected.backward()
    assert loss == pytest.approx(float(expected.detach()), rel=1e-5)
    assert len(logit) == n_spectra
    wanted = gradients(twin)
    assert wanted.keys() == gradients(network).keys()
    for name, gradient in gradients(network).items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("n_threads", [2, 5])
def test_b9_threads_do_not_change_a_bit(network: nn.Module, n_threads: int) -> None:
    wide = settings(4 * PART_SPECTRA)
    found = []
    for n in (1, n_threads):
        twin = copy.deepcopy(network)
        replicas = replicas_of(twin, wide, n)
        for number in range(3):
            logit, loss, _ = replicas.step(*batch(4 * PART_SPECTRA), number)
        twin.eval()
        found.append((logit, loss, gradients(twin), replicas.outputs(batch(100)[0])[0]))
    assert torch.equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
    assert all(torch.equal(value, found[1][2][name]) for name, value in found[0][2].items())
    assert torch.equal(found[0][3], found[1][3])


def test_dropout_follows_the_number_of_the_step_and_the_seed(network: nn.Module) -> None:
    replicas = replicas_of(network, settings(PART_SPECTRA), 1)
    data = batch(PART_SPECTRA)
    torch.manual_seed(1)
    first = replicas.step(*data, 4)[0]
    torch.manual_seed(2)
    replicas.step(*data, 9)
    assert torch.equal(replicas.step(*data, 4)[0], first)
    assert not torch.equal(replicas.step(*data, 5)[0], first)


def test_parts_of_a_batch_drop_other_features(network: nn.Module) -> None:
    inputs, label, cell = (torch.cat([x, x]) for x in batch(PART_SPECTRA))
    logit = replicas_of(network, settings(), 1).step(inputs, label, cell, 0)[0]
    assert not torch.equal(logit[:PART_SPECTRA], logit[PART_SPECTRA:])


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_f4_one_class_in_a_batch_is_fine(network: nn.Module, share: float) -> None:
    _, loss, _ = replicas_of(network, settings(), 1).step(*batch(100, share), 0)
    assert 0 < loss < 100
    assert all(bool(torch.isfinite(value).all()) for value in gradients(network).values())


def test_a_batch_of_one_part_only_is_fine(network: nn.Module) -> None:
    logit, loss, _ = replicas_of(network, settings(8 * PART_SPECTRA), 2).step(*batch(7), 0)
    assert len(logit) == 7
    assert loss > 0
    assert all(bool(torch.isfinite(value).all()) for value in gradients(network).values())


def test_without_its_weight_the_place_is_not_trained(network: nn.Module) -> None:
    replicas_of(network, settings(place_weight=0.0), 1).step(*batch(64), 0)
    assert network.place.weight.grad is None
    assert network.probability.weight.grad is not None


def test_replicas_share_their_weights_and_keep_their_own_means(network: nn.Module) -> None:
    replicas = replicas_of(network, settings(), 1)
    replicas.step(*batch(2 * PART_SPECTRA), 0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter -= 0.1
    stored = [{name: value.clone() for name, value in part.items()} for part in replicas.buffers()]
    assert len(stored) == 1
    own = dict(network.named_buffers())
    name = "blocks.0.norms.0.running_mean"
    assert not torch.equal(own[name], stored[0][name])
    replicas.step(*batch(2 * PART_SPECTRA, seed=9), 1)
    assert not torch.equal(replicas.buffers()[0][name], stored[0][name])
    replicas.load_buffers(stored)
    assert torch.equal(replicas.buffers()[0][name], stored[0][name])
    # After a change of the weights both parts of an equal batch still score alike.
    network.dropout.fraction = 0.0
    for replica in replicas._networks:
        replica.dropout.fraction = 0.0
    twice = [torch.cat([x, x]) for x in batch(PART_SPECTRA)]
    logit = replicas.step(*twice, 2)[0]
    torch.testing.assert_close(logit[:PART_SPECTRA], logit[PART_SPECTRA:])


def test_settled_norms_hold_the_means_of_all_parts_and_no_more_of_chance(
    network: nn.Module,
) -> None:
    replicas = replicas_of(network, settings(), 1)
    first = network.blocks[0]
    inputs, *_ = batch(6 * PART_SPECTRA)
    batches = inputs.split(2 * PART_SPECTRA)
    before = {name: value.clone() for name, value in network.named_parameters()}
    replicas.settle(batches)
    convolution, norm = first.convolutions[0], first.norms[0]
    with torch.no_grad():
        seen = convolution(inputs[:, :, None])
    torch.testing.assert_close(norm.running_mean, seen.mean(dim=(0, 2, 3)), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(norm.running_var, seen.var(dim=(0, 2, 3)), atol=1e-3, rtol=0.02)
    assert norm.momentum == 0.1
    for name, value in network.named_parameters():
        assert torch.equal(value, before[name])
    mean = norm.running_mean.clone()
    replicas.settle(batches)  # what was gathered before is forgotten
    assert torch.equal(norm.running_mean, mean)
