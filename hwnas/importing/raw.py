"""A network as its file has it: operators of ``hwnas.export._graph`` and those that have no place there.

What is here goes into others before anything is made of a network: batch norms and padding into
convolutions, activations into what they follow, reshapes into what they stand for. See ``canonical``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hwnas.blocks.layers import Pads
from hwnas.errors import ExportError
from hwnas.export import _graph
from hwnas.export._graph import Tensor

ONE_TENSOR = (
    "cut it off where it gives one, or begin with a known network of the task (a detector: `hwnas train RUN "
    "--from efficientnet-lite0+fpn64 --task detection --data DIR`), whose run can be adapted"
)
"""What to do about a network that gives several."""

Function = Literal["relu", "relu6", "hswish", "hsigmoid", "sigmoid", "silu"]


@dataclass(frozen=True, eq=False)
class Norm:
    """Batch norm in eval mode, on channels; ``variance`` has its epsilon in it."""

    source: Tensor
    result: Tensor
    mean: np.ndarray
    variance: np.ndarray
    weight: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True, eq=False)
class Applied:
    """One function of each element."""

    source: Tensor
    result: Tensor
    function: Function


@dataclass(frozen=True, eq=False)
class Pad:
    """Zeros around height and width."""

    source: Tensor
    result: Tensor
    padding: Pads


@dataclass(frozen=True, eq=False)
class Reshape:
    """The same elements in another shape."""

    source: Tensor
    result: Tensor


@dataclass(frozen=True, eq=False)
class Transpose:
    """Axes in another order."""

    source: Tensor
    result: Tensor
    order: tuple[int, ...]


RawNode = _graph.Node | Norm | Applied | Pad | Reshape | Transpose


@dataclass(frozen=True)
class RawGraph:
    """Operators in running order between one input and one output; shapes are as of ``_graph``.

    Attributes:
        source: What goes in, one image.
        result: What comes out.
        nodes: The operators.
        notes: What was left out or changed on the way, for people.
        has_norms: Whether batch norms stand in it, had it any; files may have had theirs folded.
        lost_softmax: Whether a softmax at the end was left out.
    """

    source: Tensor
    result: Tensor
    nodes: tuple[RawNode, ...]
    notes: tuple[str, ...] = ()
    has_norms: bool = False
    lost_softmax: bool = False


def operands(node: RawNode) -> tuple[Tensor, ...]:
    """The tensors that a node reads."""
    if isinstance(node, Norm | Applied | Pad | Reshape | Transpose):
        return (node.source,)
    return _graph.operands(node)


def unknown(operator: str, place: str, why: str = "") -> ExportError:
    """The error of what is not understood.

    Args:
        operator: Its name as its format has it.
        place: Where it stands in the network.
        why: What about it is not understood; empty for all of it.
    """
    known = "hwnas reads convolutions, linear layers, batch norms, pooling, sums, products, concatenations, "
    known += "slices, resizes and the usual activations"
    odd = f"must be as hwnas reads it, but {why}" if why else f"is not one that hwnas reads: {known}"
    return ExportError(f"operator {operator} ({place!r}) {odd}").see("start/own-network.md")
