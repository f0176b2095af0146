"""Batch-norm statistics, estimated anew from images."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def modes_kept(model: nn.Module) -> Iterator[None]:
    """Each part is in the mode afterwards that it was in before."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@torch.no_grad()
def recalibrate(
    model: nn.Module, images: Iterable[torch.Tensor], *, frozen: Collection[nn.Module] = ()
) -> None:
    """Replace a network's batch-norm statistics by those of its own weights on these images.

    What training leaves behind is a running average over weights that have changed since, and after
    few steps mostly its own start (arXiv:1904.00420, section 3.4, for the same in a supernet).

    Args:
        model: Left in the mode that it was in.
        images: Batches of normalised *training* images, each of two or more.
        frozen: Parts of it that stay as they are.
    """
    still = {module for part in frozen for module in part.modules()}
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and m not in still]
    with modes_kept(model), cumulative(norms):
        model.train()
        for part in frozen:
            part.eval()
        feed(model, images)


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
