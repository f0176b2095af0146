"""What a space must keep."""

from __future__ import annotations

import numpy as np

from hwnas import blocks, spaces
from hwnas.space import shapes_of
from hwnas.testing.claims import claim, works

_CLASSES = 7  # as few spaces have them by default


def check_space(name: str) -> None:
    """Claim that a space can be made again from its name, counts what it computes, and can be built.

    Args:
        name: Short, as "macro", or full, as "macro-r16-c5"; small ones are checked faster.

    Raises:
        AssertionError: Something does not hold.
    """
    with works(f"the space {name!r}"):
        space = spaces.load(name)
        asked = spaces.load(name, num_classes=_CLASSES)
        claim(
            asked.num_classes == _CLASSES,
            f"num_classes must be asked for, but {name} has {asked.num_classes}",
        )
        for each in (space, asked):
            again = spaces.load(each.name)
            claim(
                (again, again.fingerprint) == (each, each.fingerprint),
                f"the full name must make the same space again, but {each.name!r} makes another one: it must "
                "read <key>-r<resolution>-c<classes>[-<strides>]",
            )
        side = spaces.load(name, resolution=space.input_shape[1]).input_shape
        claim(side == space.input_shape, f"resolution must be asked for, but {name} has {side}")
        for workload in space.workloads():
            block = workload.block
            claim(blocks.parse(block.key()) == block, f"blocks must be registered, but {block!r} is not")
        low, high = space.macs_range()
        for seed in range(4):
            arch = space.sample(np.random.default_rng(seed))
            least = 0 if space.is_tied else low  # what nobody reads does not run
            claim(
                least <= arch.macs <= high,
                f"{least} <= MACs <= {high} must hold, but {arch.key()} has {arch.macs}",
            )
        _check_network(space.name)


def _check_network(name: str) -> None:
    """One network runs, and is as large as it says."""
    import torch

    from hwnas.blocks.wired import tensors

    space = spaces.load(name)
    arch = space.sample(np.random.default_rng(1))
    network = blocks.network(arch).eval()
    with torch.no_grad():
        answers = tensors(network(torch.randn(2, *space.input_shape)))
    found = tuple(tuple(answer.shape) for answer in answers)
    shapes = tuple((2, *shape) for shape in shapes_of(space.output_shape))
    wanted = ((2, space.num_classes),), shapes
    claim(found in wanted, f"a network must answer {wanted[0]}, but one of {name} answers {found}")
    count = sum(p.numel() for p in network.parameters())
    claim(count == arch.params, f"params must be {count} for {arch.key()}, but are {arch.params}")
