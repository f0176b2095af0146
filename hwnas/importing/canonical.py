"""From a network as its file has it to one graph for each function: what blocks are compared with.

The forms are those that ``hwnas.export`` traces our own blocks to: batch norms and padding are part of their
convolutions, ReLUs of what they follow, a hard swish is one operator however it was written, and what lies
between global pooling and a flattening are linear layers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import singledispatchmethod
from typing import Any

import numpy as np

from hwnas.export._graph import (
    Arithmetic,
    Concat,
    Conv,
    Graph,
    HardSwish,
    Linear,
    MaxPool,
    Node,
    Pool,
    Shuffle,
    Sigmoid,
    Tensor,
)
from hwnas.importing._making import Making, Viewed
from hwnas.importing.raw import Applied, Norm, Pad, RawGraph, Reshape, Transpose, unknown

_MOST_JOINED = 4
_CLOSE = 1e-6  # of a third or a sixth that was written in float32


@dataclass(frozen=True, eq=False)
class Unfolded:
    """What a convolution was before its batch norm was folded into it.

    Attributes:
        weight: Of the convolution.
        bias: Of the convolution.
        norm: Behind it.
    """

    weight: np.ndarray
    bias: np.ndarray
    norm: Norm


@dataclass(frozen=True)
class FoldedNetwork:
    """A network of the exporter's operators.

    Attributes:
        graph: The operators; its tensors are called as the source called them.
        unfolded: By the result of a convolution; empty where the file had folded them before.
        notes: What was left out or changed on the way.
        has_norms: Whether the source would have batch norms, had it any.
        names: What the source calls the results in their last form, by the names that they have here.
    """

    graph: Graph
    unfolded: Mapping[str, Unfolded]
    notes: tuple[str, ...]
    has_norms: bool
    names: Mapping[str, str]

    @property
    def normed(self) -> Collection[str] | None:
        """Results of the convolutions that had a batch norm; None where they may have been folded before."""
        return self.unfolded.keys() if self.has_norms or self.unfolded else None


def canonical(raw: RawGraph) -> FoldedNetwork:
    """The canonical form of a network.

    Raises:
        ExportError: An operator has no place in it.
    """
    folding = _Folding(raw)
    for node in raw.nodes:
        folding.take(node)
    return folding.finish()


class _Folding:
    """Takes nodes in running order, and folds each into its producer where it can."""

    def __init__(self, raw: RawGraph) -> None:
        self._raw = raw
        self._made = Making(raw)
        self._unfolded: dict[str, Unfolded] = {}

    def finish(self) -> FoldedNetwork:
        graph = self._made.finish()
        names = self._made.names()
        return FoldedNetwork(graph, self._unfolded, self._raw.notes, self._raw.has_norms, names)

    # One kind of node each

    @singledispatchmethod
    def take(self, node: Any) -> None:
        """Add any other node as it is."""
        self._made.put(node.result, replace(node, source=self._made.read(node.source, node.result.name)))

    @take.register
    def _(self, node: Conv) -> None:
        source, padding = self._padded(node)
        self._made.put(node.result, replace(node, source=source, padding=padding))

    @take.register
    def _(self, node: MaxPool) -> None:
        source, padding = self._padded(node)
        self._made.put(node.result, replace(node, source=source, padding=padding))

    def _padded(self, node: Conv | MaxPool) -> tuple[Tensor, Any]:
        """What a window slides over, and the zeros around it."""
        value, padding = self._made.values[node.source.name], node.padding
        while isinstance(value, Viewed) and isinstance(step := value.steps[-1], Pad):
            before = step.padding
            padding = tuple((p[0] + q[0], p[1] + q[1]) for p, q in zip(before, padding, strict=True))  # type: ignore[assignment]
            value = replace(value, steps=value.steps[:-1]) if len(value.steps) > 1 else value.base
        if isinstance(value, Viewed):
            raise unknown(type(value.steps[-1]).__name__, value.steps[-1].result.name)
        return value, padding

    @take.register
    def _(self, node: Norm) -> None:
        value = self._made.read(node.source, node.result.name)
        scale = node.weight / np.sqrt(node.variance)
        maker = self._made.maker(value)
        if isinstance(maker, Conv | Linear) and maker.fused == "none" and value.name not in self._unfolded:
            if isinstance(maker, Conv):
                self._unfolded[value.name] = Unfolded(maker.weight, maker.bias, node)
            weight = maker.weight * scale.reshape(-1, *(1,) * (maker.weight.ndim - 1))
            bias = (maker.bias - node.mean) * scale + node.bias
            self._made.put(node.result, replace(maker, weight=weight, bias=bias))
            return
        if len(value.shape) != 4:
            raise unknown("BatchNorm", node.result.name, "it does not follow a convolution or linear layer")
        channels = value.shape[1]
        ones, zeros = np.ones((channels, 1, 1, 1)), np.zeros(channels)
        alone = Conv(
            value,
            node.result,
            scale.reshape(ones.shape),
            node.bias - node.mean * scale,
            (1, 1),
            ((0, 0), (0, 0)),
            channels,
        )
        self._unfolded[node.result.name] = Unfolded(ones, zeros, node)
        self._made.put(node.result, alone)

    @take.register
    def _(self, node: Applied) -> None:
        value, name = self._made.read(node.source, node.result.name), node.result.name
        maker = self._made.maker(value)
        if node.function in ("relu", "relu6"):
            kind: Any = node.function
            folding = maker if isinstance(maker, Conv | Linear | Arithmetic) else None
            if folding is not None and folding.fused == "none":
                self._made.put(node.result, replace(folding, fused=kind))
            elif folding is not None and folding.fused in (kind, "relu6"):  # once more, it does nothing
                self._made.same(node.result, value)
            else:
                self._made.put(node.result, Arithmetic("mul", value, 1.0, node.result, kind))
        elif node.function == "hswish":
            self._made.put(node.result, HardSwish(value, node.result))
        elif node.function == "hsigmoid":
            if isinstance(maker, Conv | Linear) and maker.fused == "none":
                clipped: Node = replace(maker, bias=maker.bias + 3, fused="relu6")
            else:
                clipped = Arithmetic("add", value, 3.0, Tensor(f"{name}.clip", value.shape), "relu6")
            self._made.put(node.result, Arithmetic("mul", self._made.between(clipped), 1 / 6, node.result))
        elif node.function == "sigmoid":
            self._made.put(node.result, Sigmoid(value, node.result))
        else:
            gate = self._made.between(Sigmoid(value, Tensor(f"{name}.gate", value.shape)))
            self._made.uses[value.name] += 1
            self._made.put(node.result, Arithmetic("mul", value, gate, node.result))

    @take.register
    def _(self, node: Arithmetic) -> None:
        value = self._made.read(node.source, node.result.name)
        if isinstance(node.other, Tensor):
            self._of_two(node, value, self._made.read(node.other, node.result.name))
            return
        maker, number = self._made.maker(value), node.other
        is_nothing = number == (1.0 if node.op == "mul" else 0.0)
        if is_nothing and node.fused == "none":
            self._made.same(node.result, value)
        elif is_nothing and isinstance(maker, Conv | Linear | Arithmetic) and maker.fused == "none":
            self._made.put(node.result, replace(maker, fused=node.fused))
        elif isinstance(maker, Conv | Linear) and maker.fused == "none":
            self._unfolded.pop(value.name, None)
            if node.op == "add":
                self._made.put(node.result, replace(maker, bias=maker.bias + number, fused=node.fused))
            else:
                weight, bias = maker.weight * number, maker.bias * number
                self._made.put(node.result, replace(maker, weight=weight, bias=bias, fused=node.fused))
        elif node.op == "mul" and node.fused == "none" and self._is_sixth(number):
            self._of_sixth(node, value)
        else:
            self._made.put(node.result, replace(node, source=value))

    def _of_sixth(self, node: Arithmetic, value: Tensor) -> None:
        """A product with a sixth: of x and relu6(x + 3), which is a hard swish, or of something else."""
        maker = self._made.maker(value)
        if isinstance(maker, Arithmetic) and maker.op == "mul" and isinstance(maker.other, Tensor):
            for clip, x in ((maker.source, maker.other), (maker.other, maker.source)):
                if self._is_clip(clip, x):
                    self._hard_swish(node.result, x, clip.name, value.name)
                    return
        self._made.put(node.result, replace(node, source=value, other=1 / 6))

    def _of_two(self, node: Arithmetic, left: Tensor, right: Tensor) -> None:
        """A sum or product of two tensors, of which one form is a hard swish."""
        if node.op == "mul" and node.fused == "none":
            for gate, x in ((left, right), (right, left)):
                made = self._made.maker(gate)
                if (
                    isinstance(made, Arithmetic)
                    and made.op == "mul"
                    and isinstance(made.other, float)
                    and self._is_sixth(made.other)
                    and self._is_clip(made.source, x)
                ):
                    self._hard_swish(node.result, x, made.source.name, gate.name)
                    return
        if len(left.shape) != len(right.shape):
            shapes = f"{left.shape} and {right.shape}"
            raise unknown(node.op, node.result.name, f"its operands are of shapes {shapes}")
        self._made.put(node.result, replace(node, source=left, other=right))

    def _is_clip(self, clip: Tensor, x: Tensor) -> bool:
        made = self._made.maker(clip)
        return (
            isinstance(made, Arithmetic)
            and (made.op, made.source, made.fused) == ("add", x, "relu6")
            and isinstance(made.other, float)
            and math.isclose(made.other, 3.0, rel_tol=_CLOSE)
        )

    @staticmethod
    def _is_sixth(number: float) -> bool:
        return math.isclose(number, 1 / 6, rel_tol=_CLOSE)

    def _hard_swish(self, given: Tensor, x: Tensor, *gone: str) -> None:
        for name in gone:
            del self._made.nodes[name]
        self._made.uses[x.name] -= 1
        self._made.put(given, HardSwish(x, given))

    @take.register
    def _(self, node: Concat) -> None:
        parts = [self._made.read(part, node.result.name) for part in node.sources]
        number = 0
        while len(parts) > _MOST_JOINED:  # runtimes take no more at once
            first, number = parts[:_MOST_JOINED], number + 1
            channels = sum(part.shape[1] for part in first)
            shape = (first[0].shape[0], channels, *first[0].shape[2:])
            some = Concat(tuple(first), Tensor(f"{node.result.name}.{number}", shape))
            parts[:_MOST_JOINED] = [self._made.between(some)]
        if len(parts) == 1:
            self._made.same(node.result, parts[0])
        else:
            self._made.put(node.result, Concat(tuple(parts), node.result))

    @take.register
    def _(self, node: Linear) -> None:
        value = self._made.read(node.source, node.result.name)
        if len(value.shape) != 2:
            raise unknown("Linear", node.result.name, f"what it reads is of shape {value.shape}")
        self._made.put(node.result, replace(node, source=value))

    # What only looks at elements otherwise

    @take.register
    def _(self, node: Pad) -> None:
        self._look(node)

    @take.register
    def _(self, node: Transpose) -> None:
        self._look(node)

    @take.register
    def _(self, node: Reshape) -> None:
        self._look(node)

    def _look(self, node: Pad | Reshape | Transpose) -> None:
        value = self._made.values[node.source.name]
        view = value if isinstance(value, Viewed) else Viewed(value, ())
        view = replace(view, steps=(*view.steps, node))
        base, shape, kinds = view.base, node.result.shape, [type(step) for step in view.steps]
        if shape == base.shape and Pad not in kinds and Transpose not in kinds:
            self._made.same(node.result, base)
        elif kinds == [Reshape] and base.shape == (*shape, 1, 1):
            self._flatten(node.result, base)
        elif (
            kinds == [Reshape]
            and shape == (*base.shape, 1, 1)
            and isinstance(pool := self._made.maker(base), Pool)
        ):
            self._made.put(node.result, replace(pool, result=Tensor(base.name, shape)))
        elif kinds == [Reshape, Transpose, Reshape] and (groups := _shuffled(view)):
            self._made.put(node.result, Shuffle(base, node.result, groups))
        else:
            self._made.values[node.result.name] = view

    def _flatten(self, given: Tensor, value: Tensor) -> None:
        flat = self._flat(value)
        if flat is None:
            raise unknown("Flatten", given.name, "it does not follow global pooling")
        self._made.put(given, self._made.nodes[flat.name])

    def _flat(self, value: Tensor) -> Tensor | None:
        """A value of one pixel made one without height and width, with all that is between it and pooling."""
        made = self._made.maker(value)
        result = Tensor(value.name, value.shape[:2])
        if isinstance(made, Pool):
            self._made.nodes[value.name] = replace(made, result=result)
            return result
        if isinstance(made, Conv) and (made.groups > 1 or made.weight.shape[2:] != (1, 1)):
            return None
        if isinstance(made, Arithmetic) and isinstance(made.other, Tensor):
            return None
        if not isinstance(made, Conv | Arithmetic | HardSwish):
            return None
        source = self._flat(made.source)
        if source is None:
            return None
        if isinstance(made, Conv):
            weight = made.weight[:, :, 0, 0]
            self._made.nodes[value.name] = Linear(source, result, weight, made.bias, made.fused)
        else:
            self._made.nodes[value.name] = replace(made, source=source, result=result)
        return result


def _shuffled(view: Viewed) -> int:
    """How many groups of channels are interleaved; 0 where something else is done."""
    (n, c, *size), (split, turn, joined) = view.base.shape, view.steps
    groups, *rest = split.result.shape[1:]
    order = turn.order if isinstance(turn, Transpose) else ()
    is_swap = order[:3] == (0, 2, 1) and order[3:] == tuple(range(3, len(order)))
    fits = split.result.shape[0] == n and rest[:1] == [c // groups] and c % groups == 0
    keeps = math.prod(rest[1:]) == math.prod(size)
    return groups if is_swap and fits and keeps and joined.result.shape == view.base.shape else 0
