"""Batch-norm statistics, estimated anew from images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn


@torch.no_grad()
def recalibrate(model: nn.Module, images: Iterable[torch.Tensor]) -> None:
    """Replace a network's batch-norm statistics by those of its own weights on these images.

    What training leaves behind is a running average over weights that have changed since, and after
    few steps mostly its own start (arXiv:1904.00420, section 3.4, for the same in a supernet).

    Args:
        model: Left in the mode that it was in.
        images: Batches of normalised *training* images, each of two or more.
    """
    modes = [(module, module.training) for module in model.modules()]
    with cumulative([m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]):
        model.train()
        feed(model, images)
    for module, mode in modes:
        module.training = mode


def feed(forward: Callable[[torch.Tensor], object], images: Iterable[torch.Tensor]) -> None:
    """Show all batches to what looks at them; a batch of one image has no variance and is left out."""
    for batch in images:
        if len(batch) > 1:
            forward(batch)


@contextmanager
def cumulative(norms: Sequence[nn.BatchNorm2d]) -> Iterator[None]:
    """Batch norms that average over all batches from now on, instead of forgetting."""
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
