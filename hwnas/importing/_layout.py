"""What readers of all formats make of operators that are said in several ways."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwnas.blocks.layers import Pads
from hwnas.export._graph import Arithmetic, Conv, MaxPool, Pool, Slice, Tensor, window_size
from hwnas.importing.raw import Applied, Norm, RawGraph, RawNode, unknown


class Notes(list[str]):
    """What was left out or changed, each kind said once."""

    def say(self, text: str) -> None:
        """Note it, unless it was."""
        if text not in self:
            self.append(text)


class Recorder:
    """Collects the operators of a network; a reader says what each computes, in NCHW."""

    def __init__(self) -> None:
        self.nodes: list[RawNode] = []
        self.notes = Notes()
        self._lost_softmax = False

    def add(self, node: RawNode) -> Tensor:
        """Append an operator; returns what it makes."""
        self.nodes.append(node)
        return node.result

    def finish(self, source: Tensor, result: Tensor, *, has_norms: bool = False) -> RawGraph:
        """The network."""
        return RawGraph(source, result, tuple(self.nodes), tuple(self.notes), has_norms, self._lost_softmax)

    def leave_softmax(self, x: Tensor) -> Tensor:
        """Leave out a softmax that is the last operator."""
        self._lost_softmax = True
        self.notes.say("the softmax at the end was left out: answers are logits")
        return x

    def convolve(
        self,
        name: str,
        x: Tensor,
        weight: np.ndarray,
        bias: np.ndarray | None,
        stride: Sequence[int],
        padding: Pads,
        dilation: Sequence[int],
        groups: int,
    ) -> Tensor:
        """A convolution; ``weight`` is (out, in / groups, kh, kw)."""
        if len(x.shape) != 4 or weight.ndim != 4:
            raise unknown("convolution", name, f"it is of {weight.ndim - 2} dimensions")
        size = window_size(x.shape[2:], weight.shape[2:], stride, padding, dilation)
        result = Tensor(name, (x.shape[0], len(weight), *size))
        shift = np.zeros(len(weight)) if bias is None else bias
        steps, apart = (int(stride[0]), int(stride[1])), (int(dilation[0]), int(dilation[1]))
        return self.add(Conv(x, result, weight, shift, steps, padding, groups, dilation=apart))

    def norm(
        self,
        name: str,
        x: Tensor,
        mean: np.ndarray,
        variance: np.ndarray,
        weight: np.ndarray | None,
        bias: np.ndarray | None,
    ) -> Tensor:
        """Batch norm; the variance has its epsilon in it."""
        scale = np.ones_like(mean) if weight is None else weight
        shift = np.zeros_like(mean) if bias is None else bias
        return self.add(Norm(x, Tensor(name, x.shape), mean, variance, scale, shift))

    def max_pool(
        self,
        name: str,
        x: Tensor,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Pads,
        size: Sequence[int] | None = None,
    ) -> Tensor:
        """Max pooling; of a given size where the last windows may look over the edge."""
        found = size or window_size(x.shape[2:], kernel, stride, padding, (1, 1))
        result = Tensor(name, (*x.shape[:2], *found))
        window, steps = (int(kernel[0]), int(kernel[1])), (int(stride[0]), int(stride[1]))
        return self.add(MaxPool(x, result, window, steps, padding))

    def average_of(
        self,
        name: str,
        operator: str,
        x: Tensor,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Pads = ((0, 0), (0, 0)),
        size: Sequence[int] | None = None,
    ) -> Tensor:
        """The mean of each window: of all pixels pooling, else the depthwise convolution that it is.

        Runtimes have no int8 kernel for it that all of a network can be delegated with.

        Args:
            name: Of what it makes.
            operator: Its name as its format has it.
            x: What it reads.
            kernel: Of the window.
            stride: Of the window.
            padding: Zeros around, which count.
            size: Height and width of what it makes, where the file says.
        """
        has_border = any(map(any, padding))
        if tuple(kernel) == x.shape[2:] and not has_border:
            return self.average(name, x)
        if size is not None and tuple(size) != window_size(x.shape[2:], kernel, stride, padding, (1, 1)):
            raise unknown(operator, name, "its last windows look over the edge")
        self.notes.say("average pooling of windows was read as depthwise convolutions of equal weights")
        channels = x.shape[1]
        weight = np.full((channels, 1, *kernel), 1 / (kernel[0] * kernel[1]))
        return self.convolve(name, x, weight, None, stride, padding, (1, 1), channels)

    def average(self, name: str, x: Tensor, *, keeps: bool = True) -> Tensor:
        """The mean over height and width."""
        return self.add(Pool(x, Tensor(name, (*x.shape[:2], 1, 1) if keeps else x.shape[:2])))

    def apply(self, name: str, x: Tensor, function: str) -> Tensor:
        """A function of each element."""
        return self.add(Applied(x, Tensor(name, x.shape), function))  # type: ignore[arg-type]

    def clip(self, name: str, operator: str, x: Tensor, low: float | None, high: float | None) -> Tensor:
        """Values within bounds, which must be those of a ReLU."""
        if low == 0 and high in (None, float("inf")):
            return self.apply(name, x, "relu")
        if (low, high) == (0, 6):
            return self.apply(name, x, "relu6")
        raise unknown(operator, name, f"it clips to {low} and {high}, not to 0 or to 0 and 6")

    def combine(self, name: str, op: str, left: Tensor | np.ndarray, right: Tensor | np.ndarray) -> Tensor:
        """A sum, difference, product or quotient; at least one of the two is computed at run time."""
        if not isinstance(left, Tensor):
            if op in ("sub", "div"):
                raise unknown(op, name, "a constant comes first")
            left, right = right, left
        if not isinstance(left, Tensor):
            raise unknown(op, name, "both operands are constants")
        if isinstance(right, Tensor):
            if op not in ("add", "mul"):
                raise unknown(op, name, "its operands are both computed")
            rank = max(len(left.shape), len(right.shape))
            shape = np.broadcast_shapes(left.shape, right.shape)
            if len(left.shape) != rank or len(right.shape) != rank or shape[0] != left.shape[0]:
                raise unknown(op, name, f"its operands are of shapes {left.shape} and {right.shape}")
            return self.add(Arithmetic(op, left, right, Tensor(name, shape)))  # type: ignore[arg-type]
        values = {"sub": np.negative, "div": np.reciprocal}.get(op, np.asarray)(right.astype(np.float64))
        return self._by_constant(name, "add" if op in ("add", "sub") else "mul", left, values)

    def _by_constant(self, name: str, op: str, x: Tensor, values: np.ndarray) -> Tensor:
        """A sum or product with a constant: one number, or one of each channel."""
        if values.size == 1:
            result = Tensor(name, x.shape)
            return self.add(Arithmetic(op, x, float(values.reshape(())), result))  # type: ignore[arg-type]
        shape = (1,) * (len(x.shape) - values.ndim) + values.shape
        if shape != (1, x.shape[1], *(1,) * (len(x.shape) - 2)):
            raise unknown(op, name, f"its constant of shape {values.shape} is not one number a channel")
        flat, zeros = values.reshape(-1), np.zeros(x.shape[1])
        ones = zeros + 1
        scale, shift = (flat, zeros) if op == "mul" else (ones, flat)
        return self.norm(name, x, zeros, ones, scale, shift)

    def cut(self, name: str, x: Tensor, start: int, stop: int) -> Tensor:
        """Some of the channels."""
        if (start, stop) == (0, x.shape[1]):
            return x
        return self.add(Slice(x, Tensor(name, (x.shape[0], stop - start, *x.shape[2:])), start, stop))
