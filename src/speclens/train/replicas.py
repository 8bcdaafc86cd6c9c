"""One step of training: a batch in equal parts, each through a replica of the network.

In: a batch. Out: the gradient of the mean loss, in the network's parameters. The parts are always
the same, whatever the number of threads, and their gradients are added in order: so the result is.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

from speclens.networks.blocks import Dropout
from speclens.train.losses import Loss
from speclens.train.settings import Settings

__all__ = ["Replicas"]

PART_SPECTRA = 64
"""Spectra in a part on a CPU: what a core computes fastest; batch norms are over a part."""


class Replicas:
    """Copies of a network that share its weights and have gradients of their own.

    Parameters
    ----------
    network : torch.nn.Module
        The network; the first replica is itself.
    settings : Settings
        Batch size, loss, seed.
    device : torch.device
        On a GPU a batch is one part.
    n_threads : int
        Threads.
    loss : Loss
        What is made small.
    """

    def __init__(
        self,
        network: nn.Module,
        settings: Settings,
        device: torch.device,
        n_threads: int,
        loss: Loss,
    ) -> None:
        on_cpu = device.type == "cpu"
        n_parts = max(settings.batch_size // PART_SPECTRA, 1) if on_cpu else 1
        self._settings, self._device = settings, device
        self._loss = loss
        self._networks = [network, *(copy.deepcopy(network) for _ in range(n_parts - 1))]
        for replica in self._networks[1:]:
            for mine, shared in zip(replica.parameters(), network.parameters(), strict=True):
                mine.data = shared.data
        self._generators = [torch.Generator(device) for _ in self._networks]
        for replica, generator in zip(self._networks, self._generators, strict=True):
            for module in replica.modules():
                if isinstance(module, Dropout):
                    module.generator = generator
        self._threads = ThreadPoolExecutor(min(n_threads, n_parts))
        # bfloat16 has the range of float32: no loss needs scaling.
        self._low_precision = not on_cpu or _has_bfloat16()

    def step(
        self, inputs: Tensor, label: Tensor, target: Tensor, number: int
    ) -> tuple[Tensor, float, Tensor]:
        """Set the network's gradient to that of a batch's mean loss.

        Parameters
        ----------
        inputs : Tensor of shape (N, C, L)
            Spectra.
        label : Tensor of shape (N,)
            1 for a line.
        target : Tensor of N rows
            What the loss is told beside, `Loss.target`.
        number : int
            Number of the step since the start: seeds the dropout.

        Returns
        -------
        logit : Tensor of shape (N,)
            Logits of yes.
        loss : float
            Mean loss.
        score : Tensor of shape (N,)
            The loss of each that curves show, `Loss.score`.
        """
        cut = (x.tensor_split(len(self._networks)) for x in (inputs, label, target))
        parts = list(zip(*cut, strict=True))
        for network in self._networks:
            network.zero_grad(set_to_none=True)
        jobs = [
            self._threads.submit(self._backward, i, part, number, len(label))
            for i, part in enumerate(parts)
            if len(part[1])
        ]
        results = [job.result() for job in jobs]
        for parameter, *others in zip(*(n.parameters() for n in self._networks), strict=True):
            for other in others:
                if other.grad is not None and parameter.grad is not None:
                    parameter.grad += other.grad
        logits, losses, scores = zip(*results, strict=True)
        return torch.cat(logits), sum(losses), torch.cat(scores)

    @torch.no_grad()
    def settle(self, batches: Iterable[Tensor]) -> None:
        """Measure means and variances of the batch norms for the weights as they are.

        What they gather in training forgets all but the last ten parts, whose chance would shift
        every logit.

        Parameters
        ----------
        batches : iterable of Tensor of shape (n, C, L)
            Spectra for training, as many in each, since each counts alike.
        """
        network = self._networks[0]
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        if not norms:
            return
        momentum = norms[0].momentum
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean of all parts
        for inputs in batches:
            for part in inputs.tensor_split(len(self._networks)):
                network(part)
        for norm in norms:
            norm.momentum = momentum

    def outputs(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs of the network in its evaluation mode, of shapes (N,) and (N, P)."""
        starts = range(0, len(inputs), PART_SPECTRA)
        parts = [inputs[start : start + PART_SPECTRA] for start in starts]
        scored = list(self._threads.map(self._outputs, parts))
        logit, place = (torch.cat(of_parts) for of_parts in zip(*scored, strict=True))
        return logit, place

    def buffers(self) -> list[dict[str, Tensor]]:
        """Return the replicas' own state: the means and variances of their batch norms."""
        return [dict(replica.named_buffers()) for replica in self._networks[1:]]

    def load_buffers(self, buffers: Sequence[dict[str, Tensor]]) -> None:
        """Restore what `buffers` returned."""
        for replica, stored in zip(self._networks[1:], buffers, strict=True):
            for name, value in replica.named_buffers():
                value.copy_(stored[name])

    def _backward(
        self, index: int, part: tuple[Tensor, Tensor, Tensor], number: int, n_spectra: int
    ) -> tuple[Tensor, float, Tensor]:
        inputs, label, target = part
        network = self._networks[index]
        self._generators[index].manual_seed(
            (self._settings.seed * 2**40 + number * 2**8 + index) % 2**63
        )
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._low_precision):
            logit, place = network(inputs)
        logit = logit.float()
        loss = self._loss.total(logit, place, label, target) / n_spectra
        loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            score, said = self._loss.score(logit, place, label, target)
        return said, float(loss.detach()), score

    @torch.no_grad()
    def _outputs(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        logit, place = self._networks[0](inputs)
        return logit, place


def _has_bfloat16() -> bool:
    """Say whether the processor computes in bfloat16; emulated it would be slower."""
    check = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(check and check())
