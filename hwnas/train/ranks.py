"""Several processes under ``torchrun``, each with its part of every batch; one without it.

All prepare the same batch, answer a ``part`` of it each, and judge the ``gathered`` answers: so all have the
loss of the whole batch, whatever the task makes of it, as one process has it. ``average`` makes the gradients
of the whole of those of the parts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import distributed

from hwnas import torchrun
from hwnas.blocks.wired import Value, mapped
from hwnas.errors import ProcessLost, TrainingError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

T = TypeVar("T")

_PATIENCE_S = 1800.0
"""For processes that have not begun."""
_PATIENCE = timedelta(days=1)
"""For processes that measure on a device or fetch weights; where one ends, torchrun ends the others."""

_LOST = (
    "all processes of torchrun must go on to the end, but another one ended: torchrun says which, and the "
    "same command goes on from what was finished"
)
_alone: ContextVar[bool] = ContextVar("alone", default=False)
_joinings = count()


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized() and not _alone.get()


def rank() -> int:
    """Number of this process; 0 is the one that writes files."""
    return distributed.get_rank() if _together() else 0


def ranks() -> int:
    """Number of processes."""
    return distributed.get_world_size() if _together() else 1


def started() -> int:
    """Number of processes that torchrun started, whether they have joined or not."""
    return torchrun.count()


@contextmanager
def alone() -> Iterator[None]:
    """What one process does while the others wait or have ended: in here there is only this one."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def first_then_others(work: Callable[[], T]) -> T:
    """What every process comes to; the first one alone, because it may use a device or write a file."""
    if ranks() == 1:
        return work()
    if rank() == 0:
        try:
            return work()
        finally:  # the others find out by themselves where it failed
            wait()
    wait()
    return work()


def wait() -> None:
    """Until every process has come here."""
    summed(torch.zeros(1, device=_device()))


def part(batch: torch.Tensor) -> torch.Tensor:
    """What this process answers of a batch: images that follow each other, about as many as the others.

    All of it where there are fewer images than processes.
    """
    start, stop = _bounds(len(batch))
    return batch[start:stop]


def gathered(answers: Value, images: int) -> Value:
    """The answers to a batch, of the answers of each process to its ``part``.

    Going back, each process gets the gradient of its own answers, as many times as there are processes: their
    ``average`` is that of the whole, where all compute the same of it.

    Args:
        answers: To the images of this process, the first axis counts them.
        images: How many the batch has.
    """
    if ranks() == 1 or images < ranks():
        return answers
    return mapped(lambda each: _Gathered.apply(each, images), answers)  # type: ignore[no-untyped-call]


def average(tensors: Iterable[torch.Tensor | None]) -> None:
    """Replace each tensor by its mean over the processes; None is passed over.

    Every process must give tensors of the same shapes in the same order.
    """
    if ranks() == 1:
        return
    given = [t for t in tensors if t is not None]
    flat = summed(torch.cat([t.reshape(-1) for t in given])) / ranks()
    for tensor, part in zip(given, torch.split(flat, [t.numel() for t in given]), strict=True):
        tensor.copy_(part.view(tensor.shape))


def of_first(value: float) -> float:
    """What the first process has."""
    given = torch.tensor([value if rank() == 0 else 0.0], dtype=torch.float64, device=_device())
    return float(summed(given)) if ranks() > 1 else value


def require_same(facts: Mapping[str, bytes]) -> None:
    """Refuse to work together with processes that begin with something else.

    Args:
        facts: By name; all processes have the same names.

    Raises:
        TrainingError: A fact differs.
    """
    own = torch.tensor([list(sha256(each).digest()) for each in facts.values()])
    seen = torch.zeros(ranks(), *own.shape, dtype=torch.int64)
    seen[rank()] = own
    differs = (summed(seen.to(_device())).cpu() != own).any(-1)
    for number, row in enumerate(differs.tolist()):
        if odd := [name for name, is_other in zip(facts, row, strict=True) if is_other]:
            raise TrainingError(
                f"all processes of torchrun must begin with the same {odd[0]}, but number {rank()} and "
                f"number {number} differ: give them the same run folder, images and version of hwnas"
            )


class _Gathered(torch.autograd.Function):
    """Zeros everywhere but in one's own place, summed: exact, and parts may differ in length."""

    @staticmethod
    def forward(ctx: Any, answers: torch.Tensor, images: int) -> torch.Tensor:
        start, stop = _bounds(images)
        whole = answers.new_zeros(images, *answers.shape[1:])
        whole[start:stop] = answers
        return summed(whole)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return part(gradients[0]) * ranks(), None


def _bounds(images: int) -> tuple[int, int]:
    """The first image of this process's part, and the first behind it."""
    if images < ranks():
        return 0, images
    return rank() * images // ranks(), (rank() + 1) * images // ranks()


def _device() -> torch.device:
    """Where tensors must be to be summed."""
    return torch.device("cuda" if _together() and distributed.get_backend() == "nccl" else "cpu")


def summed(tensor: torch.Tensor) -> torch.Tensor:
    """A contiguous tensor, summed over the processes in place: every one must come here."""
    if ranks() > 1:
        try:
            distributed.all_reduce(tensor)
        except RuntimeError as error:
            raise ProcessLost(_LOST) from error
    return tensor


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Be one of the processes that torchrun started; without it nothing happens.

    Where one fails, all end, and one of them says why: the first that failed by itself.

    Args:
        device: That they compute on; of several GPUs, each takes one.

    Raises:
        TrainingError: There are more processes than GPUs, or others do not come.
        ProcessLost: Another process ended.
    """
    if started() == 1 or (distributed.is_available() and distributed.is_initialized()):  # perhaps alone there
        yield
        return
    # Optimisers import this, whose defaults hold the group that is there then: it would outlive us, and its
    # threads crash an interpreter that ends (PyTorch 2.13).
    from torch.distributed import nn  # noqa: F401

    if device.type == "cuda":
        _take_gpu(int(os.environ["LOCAL_RANK"]))
    store = _met()
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        store=store,
        rank=torchrun.number(),
        world_size=started(),
        timeout=_PATIENCE,
    )
    try:
        yield
    except BaseException as error:
        if not _is_first_to_tell(store) and isinstance(error, Exception):
            raise ProcessLost(_LOST, is_told=True) from error
        raise
    finally:
        distributed.destroy_process_group()


def _take_gpu(number: int) -> None:
    if number >= (there := torch.cuda.device_count()):
        raise TrainingError(
            f"each process must have a GPU of its own, but torchrun started more than the {there} that there "
            f"are: --nproc-per-node {there}"
        )
    torch.cuda.set_device(number)


def _met() -> Store:
    """What the processes share, once all are here.

    They wait in Python, where a signal ends them: torchrun ends the others where one fails before.
    """
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    try:
        store, *_ = next(rendezvous("env://"))
    except ValueError as error:
        raise TrainingError(
            f"torchrun must say where processes meet, but WORLD_SIZE alone is set: {error}: start with "
            "python -m torch.distributed.run, or unset it"
        ) from error
    store = PrefixStore(f"hwnas/{next(_joinings)}", store)
    store.add("here", 1)
    until = time.monotonic() + _PATIENCE_S
    while (there := store.add("here", 0)) < started():
        if time.monotonic() > until:
            raise TrainingError(
                f"all {started()} processes of torchrun must begin, but {there} did: see what the others say"
            )
        time.sleep(0.02)
    return store


def _is_first_to_tell(store: Store) -> bool:
    """Whether no other process said yet why all of them end."""
    try:
        return bool(store.add("told", 1) == 1)
    except RuntimeError:  # torchrun itself is gone
        return torchrun.number() == 0
