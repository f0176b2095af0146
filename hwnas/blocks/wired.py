"""A network whose parts may read what any earlier part gave. Imported only when one is built."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import fx, nn
from torch.fx._symbolic_trace import PH

from hwnas.blocks.layers import Tracer
from hwnas.space import IMAGE, Reads, read_last

Value = torch.Tensor | tuple[torch.Tensor, ...]


class Wired(nn.Sequential):
    """Parts that run in order, each on what earlier ones gave, all tensors of it one argument each.

    Args:
        parts: In running order.
        reads: Places of what each part reads: numbers of earlier parts, or ``IMAGE`` for what goes in.
    """

    def __init__(self, parts: Sequence[nn.Module], reads: Reads) -> None:
        super().__init__(*parts)
        self.reads = tuple(reads)
        self._done = read_last(self.reads)

    def forward(self, *images: torch.Tensor) -> Value:
        """Shape (n, c, h, w) each in; out what the last part gives."""
        return self.ending(*images)[0]

    def ending(self, *images: torch.Tensor) -> tuple[Value, tuple[torch.Tensor, ...]]:
        """What the last part gives, and what it reads: of a decoder, features of several sizes."""
        values: dict[int, Value] = {IMAGE: images}
        made: Value = images
        read = images
        for number, (part, places) in enumerate(zip(self, self.reads, strict=True)):
            read = tuple(tensor for place in places for tensor in tensors(values[place]))
            made = part(*read)
            for place in self._done[number]:
                del values[place]  # features are large
            values[number] = made
        return made, read


def recorded(module: nn.Module, inputs: int = 1) -> tuple[nn.Module, fx.Graph]:
    """What a module computes, call by call.

    Args:
        module: It must not branch on what it is given.
        inputs: How many tensors that are; each is a placeholder of its own.

    Returns:
        What was recorded, whose part "0" is the module, so that the module itself may be a leaf; and its
        calls.
    """
    root = Wired([module], ((IMAGE,),))
    return root, Tracer().trace(root, (PH,) * inputs)  # type: ignore[arg-type]


def tensors(value: Value) -> tuple[torch.Tensor, ...]:
    """One or several tensors, always as a tuple of them."""
    return value if isinstance(value, tuple) else (value,)


def mapped(change: Callable[[torch.Tensor], torch.Tensor], value: Value) -> Value:
    """One or several tensors with each of them changed."""
    return tuple(map(change, value)) if isinstance(value, tuple) else change(value)
