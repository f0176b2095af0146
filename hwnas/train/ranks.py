"""Several processes under ``torchrun``, each with its part of every batch; one without it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import distributed

T = TypeVar("T")


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def rank() -> int:
    """Number of this process; 0 is the one that writes files."""
    return distributed.get_rank() if _together() else 0


def ranks() -> int:
    """Number of processes."""
    return distributed.get_world_size() if _together() else 1


def started() -> int:
    """Number of processes that torchrun started, whether they have joined or not."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def first_then_others(work: Callable[[], T]) -> T:
    """What every process comes to; the first one alone, because it may use a device or write a file."""
    if ranks() == 1:
        return work()
    if rank() == 0:
        try:
            return work()
        finally:  # the others find out by themselves where it failed
            distributed.barrier()
    distributed.barrier()
    return work()


def average(tensors: Iterable[torch.Tensor | None]) -> None:
    """Replace each tensor by its mean over the processes; None is passed over.

    Every process must give tensors of the same shapes in the same order.
    """
    if ranks() == 1:
        return
    given = [t for t in tensors if t is not None]
    flat = torch.cat([t.reshape(-1) for t in given])
    distributed.all_reduce(flat)
    flat /= ranks()
    for tensor, part in zip(given, torch.split(flat, [t.numel() for t in given]), strict=True):
        tensor.copy_(part.view(tensor.shape))


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Be one of the processes that torchrun started; without it nothing happens."""
    if started() == 1 or _together():
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()
