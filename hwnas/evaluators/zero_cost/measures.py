"""What can be told of a network with random weights: three measures, all the better the higher.

Each reads a fresh network, whose weights it may change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from hwnas.blocks.wired import Value, tensors

Measure = Callable[[nn.Module, "ImageBatch"], float]

SWITCHING = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU)
"""Activations that let through what is positive and hold back the rest, or most of it."""

RIDGE = 1e-3
"""Of a unit, added to how often an image agrees with itself: images that look alike are no infinity then."""

TINY = 1e-300


@dataclass(frozen=True)
class ImageBatch:
    """Images, and how answers to them are judged.

    Attributes:
        images: Shape (n, channels, height, width), normalised.
        targets: What they show.
        loss: Mean loss of answers, a scalar.
    """

    images: torch.Tensor
    targets: torch.Tensor
    loss: Callable[[Value, torch.Tensor], torch.Tensor]


def naswot(network: nn.Module, batch: ImageBatch) -> float:
    """How well its units tell images apart (NASWOT, arXiv:2006.04647): log |K|, higher is better.

    K counts, for each two images, the activations that are both on or both off.
    """
    count = len(batch.images)
    kernel = torch.zeros(count, count, dtype=torch.float64)

    def count_agreeing(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        codes = (inputs[0].detach() > 0).flatten(1).to(torch.float32)
        kernel.add_((codes @ codes.T + (1 - codes) @ (1 - codes).T).double().cpu())

    for module in network.modules():
        if isinstance(module, SWITCHING):
            module.register_forward_pre_hook(count_agreeing)
    with torch.no_grad():
        network.train()(batch.images)
    ridge = RIDGE * torch.eye(count, dtype=torch.float64)
    return float(torch.linalg.slogdet(kernel + ridge).logabsdet)


def synflow(network: nn.Module, batch: ImageBatch) -> float:
    """How much flows through all weights together (SynFlow, arXiv:2006.05467), as a logarithm.

    The sum over weights of weight times slope, of the sum of what the network makes of an image of ones when
    all weights are positive. Batch norms are as at first: they change nothing but by their epsilon.
    """
    network = network.double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    ones = torch.ones_like(batch.images[:1], dtype=torch.float64)
    total = torch.stack([part.sum() for part in tensors(network(ones))]).sum()
    weights = list(network.parameters())
    slopes = torch.autograd.grad(total, weights, allow_unused=True, materialize_grads=True)
    flow = torch.stack([(w.detach() * s).sum() for w, s in zip(weights, slopes, strict=True)]).sum()
    return float(torch.log(flow.abs() + TINY))


def gradient_norm(network: nn.Module, batch: ImageBatch) -> float:
    """Norm of the gradient of the loss on one batch in all weights, as a logarithm (arXiv:2101.08134)."""
    weights = list(network.parameters())
    loss = batch.loss(network.train()(batch.images), batch.targets)
    slopes = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
    square = torch.stack([slope.double().square().sum() for slope in slopes]).sum()
    return 0.5 * float(torch.log(square + TINY))


MEASURES: dict[str, Measure] = {"naswot": naswot, "synflow": synflow, "gradnorm": gradient_norm}
"""By the names of ``config.CALLED``."""
