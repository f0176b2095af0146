"""Networks of two kinds of cells, one that keeps the size of images and one that halves it.

A cell reads the two cells before it (arXiv:1707.07012). Each of its nodes is the sum of two operations, each
on one of the cell's inputs or earlier nodes; all nodes side by side are what it gives. All cells of a kind
are equal: their operations are decided once. What nobody reads does not run, so that a network may take less
than the sum of its costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hwnas.blocks import Conv, Join, MaxPool, PooledHead, Skip, Sum
from hwnas.errors import SpaceError
from hwnas.space import STEM, Block, Choice, SearchSpace, always

MOST_JOINED = 4

_CELLS = 8
_HALVING = (2, 5)
_WIDTH = 16
_STEMS = {"cifar": (1,), "imagenet": (2, 2, 2)}
"""Strides of the convolutions before the first cell."""

Operations = Callable[[int, int], Sequence[Block]]
"""The candidates of an operation, by channels and stride."""


def stacked(
    name: str,
    operations: Operations,
    nodes: int,
    channels: int,
    *,
    resolution: int,
    num_classes: int,
    strides: str,
) -> SearchSpace:
    """Eight cells of 16, 32 and 64 channels a node, the third and the sixth of which halve the image.

    Args:
        name: Of the space, without what follows.
        operations: What may stand in a cell.
        nodes: Of a cell.
        channels: That the stem gives.
        resolution: Height and width of the input.
        num_classes: Classes of the head.
        strides: "cifar" divides the input by 4; "imagenet" by 32.

    Raises:
        SpaceError: There are no such strides.
    """
    if strides not in _STEMS:
        raise SpaceError(f"strides must be one of {sorted(_STEMS)}, but got {strides!r}")
    stack, width = Stack(operations, nodes, channels), _WIDTH
    for number in range(_CELLS):
        halves = number in _HALVING
        width *= 2 if halves else 1
        stack.add("reduction" if halves else "normal", width, halves=halves)
    return SearchSpace(
        name=f"{name}-r{resolution}-c{num_classes}-{strides}",
        input_shape=(3, resolution, resolution),
        stem=_stem(channels, _STEMS[strides]),
        choices=tuple(stack.choices),
        head=(PooledHead(stack.given[1], num_classes=num_classes),),
    )


def _stem(channels: int, strides: tuple[int, ...]) -> tuple[Block, ...]:
    """3x3 convolutions, the last of which gives so many channels."""
    widths = [3, *(channels // 2 ** (len(strides) - 1 - n) for n in range(len(strides)))]
    return tuple(
        Conv(before, after, kernel_size=3, stride=stride)
        for before, after, stride in zip(widths, widths[1:], strides, strict=False)
    )


def max_pool(width: int, side: int, stride: int) -> MaxPool:
    """Where the image is halved the window looks over the edge at its end, as TensorFlow's SAME does."""
    if stride == 1:
        return MaxPool(width, side, margin=side // 2, stride=1)
    return MaxPool(width, side, stride, margin=side // 2 - 1, is_ceiling=True)


@dataclass
class Stack:
    """The cells of a network, from its stem on.

    Attributes:
        operations: What may stand in a cell.
        nodes: Of a cell.
        channels: That the stem gives.
        choices: All parts so far.
    """

    operations: Operations
    nodes: int
    channels: int
    choices: list[Choice] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._before: list[tuple[str, int]] = [(STEM, self.channels)] * 2  # names and channels
        self._is_finer = False  # whether the one before the last is twice as fine
        self._decided: set[str] = set()
        self._cells = 0

    @property
    def given(self) -> tuple[str, int]:
        """Name and channels of what the last cell gives."""
        return self._before[-1]

    def add(self, kind: str, width: int, *, halves: bool) -> None:
        """Put a cell behind all others.

        Args:
            kind: Name of its decisions.
            width: Channels of a node.
            halves: Whether it halves height and width.
        """
        self._cells += 1
        cell = f"cell{self._cells}"
        states = []
        for number, (name, channels) in enumerate(self._before):
            stride = 2 if self._is_finer and number == 0 else 1
            block = Skip(channels, width, stride) if stride > 1 else Conv(channels, width, kernel_size=1)
            states.append(self._always(f"{cell}.in{number}", block, name))
        for node in range(self.nodes):
            pair = [self._operation(cell, kind, node, side, states, width, halves) for side in "ab"]
            states.append(self._always(f"{cell}.node{node}", Sum((width, width)), *pair))
        self._before = [self._before[-1], self._joined(cell, states[2:], width)]
        self._is_finer = halves

    def _operation(
        self, cell: str, kind: str, node: int, side: str, states: Sequence[str], width: int, halves: bool
    ) -> str:
        """One of the two operations of a node; it halves what the cell reads where the cell does."""
        decision = f"{kind}.{node}{side}"
        is_first = decision not in self._decided
        self._decided.add(decision)
        candidates, reads = list[Block](), list[tuple[str, ...]]()
        for number, state in enumerate(states):
            for block in self.operations(width, 2 if halves and number < 2 else 1):
                candidates.append(block)
                reads.append((state,))
        name = decision if is_first else f"{cell}.{decision}"
        follows = "" if is_first else decision
        self.choices.append(Choice(name, tuple(candidates), tuple(reads), follows))
        return name

    def _joined(self, cell: str, nodes: Sequence[str], width: int) -> tuple[str, int]:
        parts = [(name, width) for name in nodes]
        while len(parts) > 1:
            some, parts = parts[:MOST_JOINED], parts[MOST_JOINED:]
            channels = tuple(each for _, each in some)
            name = f"{cell}.out" if not parts else f"{cell}.out{len(parts)}"
            self._always(name, Join(channels), *(each for each, _ in some))
            parts = [(name, sum(channels)), *parts]
        return parts[0]

    def _always(self, name: str, block: Block, *reads: str) -> str:
        """A part that every network of the space has; its name."""
        self.choices.append(always(name, block, *reads))
        return name
