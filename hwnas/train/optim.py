"""What every training of weights shares: the optimiser, the learning rate, one safe step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from hwnas.errors import Diverged, TrainingError
from hwnas.train import trust
from hwnas.train.config import AUTO


def sgd(
    parameters: Iterable[nn.Parameter], *, learning_rate: float, momentum: float, weight_decay: float
) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum; weight decay only on weights of two and more dimensions.

    Batch-norm scales and shifts and biases are vectors: decaying them only hurts.
    """
    return of_kind("sgd", by_depth([parameters], 1.0, weight_decay), learning_rate, momentum)


def of_kind(
    kind: str, groups: list[dict[str, Any]], learning_rate: float, momentum: float
) -> torch.optim.Optimizer:
    """One of ``config.OPTIMIZERS``, of groups as ``by_depth`` makes them."""
    if kind == "lars":
        return trust.Lars(groups, learning_rate, momentum)
    if kind == "lamb":
        return trust.Lamb(groups, learning_rate, momentum)
    return torch.optim.SGD(groups, lr=learning_rate, momentum=momentum, nesterov=momentum > 0)


def by_depth(
    blocks: Sequence[Iterable[nn.Parameter]], layer_decay: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Groups of parameters with a factor of the learning rate each; weight decay not on vectors.

    Args:
        blocks: The parameters of each, from the image on.
        layer_decay: Learning rate of a block over that of the block behind it.
        weight_decay: Of all that has two and more dimensions.
    """
    groups: list[dict[str, Any]] = []
    for distance, parameters in enumerate(reversed([list(block) for block in blocks])):
        factor = layer_decay**distance
        for is_weight, decay in ((True, weight_decay), (False, 0.0)):
            chosen = [p for p in parameters if (p.ndim > 1) == is_weight]
            groups.append({"params": chosen, "weight_decay": decay, "factor": factor})
    return [group for group in groups if group["params"]]


def cosine(step: int, steps: int, warmup_steps: int = 0) -> float:
    """Factor of the learning rate at a step from 0: a linear rise, then half a cosine to 0."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1, steps - warmup_steps)))


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Of all groups; of one that has a factor, times that."""
    for group in optimizer.param_groups:
        group["lr"] = value * float(group.get("factor", 1.0))


def check_finite(loss: torch.Tensor | float, where: str) -> float:
    """The loss as a number.

    Raises:
        Diverged: It is NaN or infinite.
    """
    value = float(loss.detach() if isinstance(loss, torch.Tensor) else loss)
    if not math.isfinite(value):
        raise Diverged(f"the loss must be finite, but got {value} {where}: lower the learning rate")
    return value


def pick_device(name: str) -> torch.device:
    """The device of a name: "cpu", "cuda", or "auto" for CUDA where there is one.

    Raises:
        TrainingError: There is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda") or (name == "cuda" and not torch.cuda.is_available()):
        raise TrainingError(f"a training device must be cpu, or cuda where there is one, but got {name!r}")
    return torch.device(name)


def place(model: nn.Module, device: torch.device) -> nn.Module:
    """The model on a device, in channels-last memory: 1.7 to 2.9 times as fast on a CPU."""
    placed: nn.Module = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed


_HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, precision: str = AUTO, *, exact: bool = False) -> torch.autocast:
    """A precision; by default bfloat16 on CUDA, and float32 on a CPU, where bfloat16 is slower.

    Args:
        device: Where it is computed.
        precision: One of ``config.PRECISIONS``.
        exact: In float32 on CUDA too, as second derivatives need: on an H200, bfloat16 put the dominant
            eigenvalue of a small supernet's loss in its gates at 16 where it is 24.
    """
    if precision == AUTO:
        precision = "bf16" if device.type == "cuda" else "fp32"
    half = None if exact else _HALVES.get(precision)
    return torch.autocast(device.type, dtype=half or torch.bfloat16, enabled=half is not None)


def scaler(device: torch.device, precision: str) -> torch.amp.GradScaler:
    """Keeps gradients of fp16 from vanishing (arXiv:1710.03740); of other precisions does nothing."""
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Have PyTorch compute with so many threads in here; None leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
