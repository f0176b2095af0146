"""What is measured, and in what order. Plain data, the same for the same seed.

The items are all distinct workloads of the spaces, whole *calibration* networks that latency
models are fitted to, and *held-out* networks that they are judged by. Beside them stand the
*anchors*: two fixed networks, the same for all spaces and sessions, that are measured between
the jobs, so that what slows the machine for a while slows the anchors as well. There are two
because not everything is slowed alike: a clock that falls slows all, while a neighbour in the
last-level cache slows what has many weights. The light one is like a block, the heavy one like
a network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import TypeVar

import numpy as np

from hwnas.blocks import Conv, Head, MBConv, Switch
from hwnas.errors import SpaceError
from hwnas.measure.options import ProfileOptions
from hwnas.space import IMAGE, Architecture, Block, Reads, SearchSpace, Shape, Shapes, Workload

_ALONE: Reads = ((IMAGE,),)  # what a block by itself reads: all that goes in
_TRIES = 1000  # draws without a new network before a space is taken to hold no more

T = TypeVar("T")


@dataclass(frozen=True)
class Item:
    """Something to measure.

    Attributes:
        key: Its key in the table.
        kind: "block", "switch", "calibration", "heldout"; "anchor" for an anchor.
        blocks: What it is made of, from input to output.
        input_shape: Shape of one input; of several, a tuple of them.
        reads: What each block reads, as of ``Architecture.reads``; by default the one before.
    """

    key: str
    kind: str
    blocks: tuple[Block, ...]
    input_shape: Shape | Shapes
    reads: Reads = ()


ANCHOR = Item(
    key="anchor/1",  # a new number whenever anything below changes: ratios to it change as well
    kind="anchor",
    blocks=(
        Conv(3, 16, kernel_size=3, stride=2),
        MBConv(16, 24, kernel_size=3, stride=2, expansion_ratio=6),
        MBConv(24, 24, kernel_size=5, stride=1, expansion_ratio=6),
        MBConv(24, 48, kernel_size=3, stride=2, expansion_ratio=6),
        MBConv(48, 48, kernel_size=3, stride=1, expansion_ratio=6),
        MBConv(48, 96, kernel_size=5, stride=2, expansion_ratio=6),
        Head(96, 256, 10),
    ),
    input_shape=(3, 96, 96),
)
"""The light anchor: strided, depthwise, pointwise and linear layers, a quarter of a million weights."""

HEAVY = Item(
    key="heavy/1",
    kind="anchor",
    blocks=(
        Conv(3, 16, kernel_size=3, stride=2),
        MBConv(16, 24, kernel_size=3, stride=2, expansion_ratio=6),
        MBConv(24, 32, kernel_size=5, stride=2, expansion_ratio=6),
        MBConv(32, 64, kernel_size=3, stride=2, expansion_ratio=6),
        MBConv(64, 112, kernel_size=5, stride=1, expansion_ratio=6),
        MBConv(112, 184, kernel_size=5, stride=2, expansion_ratio=6),
        MBConv(184, 184, kernel_size=5, stride=1, expansion_ratio=6),
        MBConv(184, 352, kernel_size=3, stride=1, expansion_ratio=6),
        Head(352, 1504, 1000),
    ),
    input_shape=(3, 128, 128),
)
"""The heavy anchor: the outline of an FBNet, with its three and a half million weights."""

ANCHORS = (ANCHOR, HEAVY)


def items(spaces: Iterable[SearchSpace], options: ProfileOptions) -> tuple[Item, ...]:
    """Everything to measure for these spaces, each key once."""
    found: dict[str, Item] = {}
    for space in spaces:
        for item in workload_items(space.workloads()):
            found.setdefault(item.key, item)
        wanted = {"calibration": options.calibration_networks, "heldout": options.heldout_networks}
        if space.num_architectures == 1:  # there is none to hold out
            wanted = {"calibration": min(1, options.calibration_networks)}
        for kind, architectures in networks(space, wanted, options.seed).items():
            for item in network_items(architectures, kind):
                found.setdefault(item.key, item)
    return tuple(found.values())


def workload_items(workloads: Iterable[Workload]) -> tuple[Item, ...]:
    """Blocks alone, each once."""
    return tuple(
        Item(workload.key(), _kind(workload.block), (workload.block,), workload.in_shape, _ALONE)
        for workload in dict.fromkeys(workloads)
    )


def _kind(block: Block) -> str:
    """What its row is measured for: latency models learn nothing about blocks from switches."""
    return "switch" if isinstance(block, Switch) else "block"


def network_items(architectures: Iterable[Architecture], kind: str = "calibration") -> tuple[Item, ...]:
    """Whole networks, and nothing else."""
    return tuple(Item(a.key(), kind, a.blocks, a.space.input_shape, a.reads) for a in architectures)


def networks(space: SearchSpace, wanted: Mapping[str, int], seed: int) -> dict[str, tuple[Architecture, ...]]:
    """Calibration and held-out networks: disjoint, and the first n are the same for every n.

    All come from one stream of distinct networks whose every third pair is held out, so that
    asking for more of either never changes what the other holds. Every second network of the
    stream prefers some candidates over others, which spreads the sizes: networks of uniformly
    drawn candidates are all alike.

    Raises:
        SpaceError: The space does not have so many networks.
    """
    chosen: dict[str, tuple[Architecture, ...]] = {}
    for kind in ("calibration", "heldout"):
        stream = (a for number, a in _stream(space, seed) if (number // 2 % 3 == 2) == (kind == "heldout"))
        chosen[kind] = tuple(islice(stream, wanted.get(kind, 0)))
    return chosen


def _stream(space: SearchSpace, seed: int) -> Iterator[tuple[int, Architecture]]:
    rng = np.random.default_rng(seed)
    seen: set[tuple[Block, ...]] = set()
    for number in count():
        for _ in range(_TRIES):
            architecture = _tilted(space, rng) if number % 2 else space.sample(rng)
            if architecture.blocks not in seen:
                break
        else:
            raise SpaceError(
                f"a space must hold as many networks as are asked for, but {space.name} seems to hold "
                f"{len(seen)}: ask for fewer by --calibration-networks and --heldout-networks"
            )
        seen.add(architecture.blocks)
        yield number, architecture


def _tilted(space: SearchSpace, rng: np.random.Generator) -> Architecture:
    """An architecture that prefers some positions in the lists of candidates over others."""
    weights = rng.exponential(size=max(space.sizes))
    picks = [rng.choice(size, p=weights[:size] / weights[:size].sum()) for size in space.sizes]
    return space.architecture(picks)


def shuffled(jobs: Sequence[T], seed: int, number: int) -> list[T]:
    """The jobs of round ``number`` in an order of its own."""
    order = np.random.default_rng([seed, number]).permutation(len(jobs))
    return [jobs[int(i)] for i in order]
