"""The blocks that networks are made of, one kind a file.

A new kind is one file with a frozen dataclass that satisfies ``hwnas.space.Block``, and one
line in ``KINDS``; the contract tests pick it up from there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hwnas.blocks._key import decode
from hwnas.blocks.conv import Conv
from hwnas.blocks.convpool import ConvPool
from hwnas.blocks.head import Head
from hwnas.blocks.latehead import LateHead
from hwnas.blocks.mbconv import MBConv
from hwnas.blocks.mbstage import MBStage
from hwnas.blocks.shuffleunit import ShuffleUnit
from hwnas.blocks.skip import Skip
from hwnas.errors import SpaceError
from hwnas.space import Block

if TYPE_CHECKING:
    from torch import nn

KINDS: dict[str, type[Block]] = {
    kind.kind: kind for kind in (Conv, ConvPool, MBConv, MBStage, ShuffleUnit, Skip, Head, LateHead)
}


def parse(key: str) -> Block:
    """The block that a key describes; ``parse(block.key()) == block``.

    Raises:
        SpaceError: The kind is unknown, or the fields are not its own.
    """
    kind = key.split("_", 1)[0]
    if kind not in KINDS:
        raise SpaceError(f"a block key must start with one of {sorted(KINDS)}, but got {key!r}")
    return decode(KINDS[kind], key)


def build(blocks: Iterable[Block]) -> nn.Sequential:
    """One module that runs the blocks in order, with fresh weights; input is NCHW."""
    from torch import nn

    return nn.Sequential(*(block.build() for block in blocks))


def shut_residuals(module: nn.Module) -> None:
    """Lets every residual branch inside add nothing at first (arXiv:1706.02677, section 5.1)."""
    from hwnas.blocks import _layers

    for part in module.modules():
        if isinstance(part, _layers.Residual):
            part.shut()


__all__ = [
    "KINDS",
    "Conv",
    "ConvPool",
    "Head",
    "LateHead",
    "MBConv",
    "MBStage",
    "ShuffleUnit",
    "Skip",
    "build",
    "parse",
    "shut_residuals",
]
