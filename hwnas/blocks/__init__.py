"""The blocks that networks are made of, one kind a file.

A new kind is one file with a frozen dataclass that satisfies ``hwnas.space.Block``, and one
line in ``KINDS``; the contract tests pick it up from there. A plug-in has ``register`` instead, and
``Base``, ``Strided``, ``Classifier``, ``Junction`` and ``tagged`` to build on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from hwnas import plugins
from hwnas.blocks._base import Base, Classifier, Junction, Strided
from hwnas.blocks._key import decode, tagged
from hwnas.blocks.combining import Fallback, Join, Sum, TensorProduct
from hwnas.blocks.conv import Conv
from hwnas.blocks.convpool import ConvPool
from hwnas.blocks.densehead import DenseHead
from hwnas.blocks.fpnsum import FPNSum
from hwnas.blocks.fusedmbconv import FusedMBConv
from hwnas.blocks.head import Head
from hwnas.blocks.latehead import LateHead
from hwnas.blocks.lraspp import LRASPP
from hwnas.blocks.mbconv import MBConv
from hwnas.blocks.mbstage import MBStage
from hwnas.blocks.plainconv import PlainConv
from hwnas.blocks.pooledcontext import PooledContext
from hwnas.blocks.pooling import AveragePool, ChannelPart, Finer, GlobalPool, MaxPool, PooledHead
from hwnas.blocks.pyramid import Pyramid
from hwnas.blocks.randomgraph import RandomGraph
from hwnas.blocks.residuals import ResidualBlock
from hwnas.blocks.separable import SeparableConv
from hwnas.blocks.shuffleunit import ShuffleUnit
from hwnas.blocks.skip import Skip
from hwnas.blocks.switch import Switch
from hwnas.blocks.uib import UniversalInvertedBottleneck
from hwnas.blocks.zero import Zero
from hwnas.errors import SpaceError
from hwnas.space import Architecture, Block, Reads

if TYPE_CHECKING:
    from torch import nn

_OWN = (
    Conv,
    ConvPool,
    MBConv,
    MBStage,
    FusedMBConv,
    UniversalInvertedBottleneck,
    ShuffleUnit,
    Skip,
    Head,
    LateHead,
    LRASPP,
    FPNSum,
    PooledContext,
    Pyramid,
    DenseHead,
    ResidualBlock,
    PlainConv,
    Sum,
    TensorProduct,
    Join,
    GlobalPool,
    MaxPool,
    ChannelPart,
    Finer,
    PooledHead,
    Switch,
    Zero,
    Fallback,
    AveragePool,
    SeparableConv,
    RandomGraph,
)

KINDS: dict[str, type[Block]] = {kind.kind: kind for kind in _OWN}

Kind = TypeVar("Kind", bound=type[Block])


def register(kind: Kind) -> Kind:
    """Add a kind of block of one's own; a decorator of its class.

    Args:
        kind: A frozen dataclass that ``hwnas.testing.check_block`` has nothing against; its fields are
            made by ``tagged``, its name is its class attribute ``kind``.

    Raises:
        PluginError: Its name is taken, or can be none.
    """
    plugins.add(KINDS, getattr(kind, "kind", None), kind, "kind of block", "[a-z][a-z0-9]*")
    return kind


def parse(key: str) -> Block:
    """The block that a key describes; ``parse(block.key()) == block``.

    Raises:
        SpaceError: The kind is unknown, or the fields are not its own.
    """
    kind = key.split("_", 1)[0]
    if kind not in KINDS:
        raise SpaceError(
            f"a block key must start with one of {sorted(KINDS)}, but got {key!r}: one of your own "
            "comes with --plugin"
        )
    return decode(KINDS[kind], key)


def build(blocks: Iterable[Block], reads: Reads = ()) -> nn.Sequential:
    """One module that runs the blocks in order, with fresh weights; input is NCHW.

    Args:
        blocks: From image to output.
        reads: What each of them reads, as of ``Architecture.reads``; by default the one before.
    """
    from torch import nn

    parts = [block.build() for block in blocks]
    if not reads:
        return nn.Sequential(*parts)
    from hwnas.blocks.wired import Wired

    return Wired(parts, reads)


def network(architecture: Architecture) -> nn.Sequential:
    """The network of an architecture with fresh weights; its parts are numbered like its ``blocks``."""
    return build(architecture.blocks, architecture.reads)


def shut_residuals(module: nn.Module) -> None:
    """Lets every residual branch inside add nothing at first (arXiv:1706.02677, section 5.1)."""
    from hwnas.blocks import layers

    for part in module.modules():
        if isinstance(part, layers.Residual):
            part.shut()


__all__ = [
    "KINDS",
    "LRASPP",
    "AveragePool",
    "Base",
    "ChannelPart",
    "Classifier",
    "Conv",
    "ConvPool",
    "DenseHead",
    "FPNSum",
    "Fallback",
    "Finer",
    "FusedMBConv",
    "GlobalPool",
    "Head",
    "Join",
    "Junction",
    "LateHead",
    "MBConv",
    "MBStage",
    "MaxPool",
    "PlainConv",
    "PooledContext",
    "PooledHead",
    "Pyramid",
    "RandomGraph",
    "ResidualBlock",
    "SeparableConv",
    "ShuffleUnit",
    "Skip",
    "Strided",
    "Sum",
    "Switch",
    "TensorProduct",
    "UniversalInvertedBottleneck",
    "Zero",
    "build",
    "network",
    "parse",
    "register",
    "shut_residuals",
    "tagged",
]
