"""Random weights that follow from a seed, and from nothing else that happens in the process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_METHODS = ("uniform_", "normal_", "bernoulli_", "exponential_", "random_")
_MAKERS = ("rand", "randn", "randint", "randperm")
_SHAPES = ("uniform_", "normal_", "trunc_normal_", "orthogonal_", "sparse_")
_BY_FANS = tuple(f"{who}_{what}_" for who in ("kaiming", "xavier") for what in ("uniform", "normal"))
_DRAWING = {
    *(getattr(Tensor, name) for name in _METHODS),
    *(getattr(torch, name) for name in _MAKERS),
    *(getattr(nn.init, name) for name in (*_SHAPES, *_BY_FANS)),
}


class Seeded(TorchFunctionMode):
    """Whatever layers draw in here for their first weights, on the CPU, follows from a seed.

    PyTorch draws from one generator for the whole process. To seed that one would change what the user's own
    program draws, and two threads would draw from each other's; this one is of whoever opened it. The numbers
    are those that the process's generator would give after the same seed.

    Args:
        seed: Of all that is drawn.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(seed)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func in _DRAWING and given.get("generator") is None:
            given["generator"] = self._generator
        return func(*args, **given)
