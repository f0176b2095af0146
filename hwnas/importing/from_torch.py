"""Reads a PyTorch module through ``torch.export``."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hwnas.errors import ExportError
from hwnas.export._graph import Concat, Linear, Resize, Shuffle, Tensor
from hwnas.importing._layout import Recorder
from hwnas.importing.raw import ONE_TENSOR, Pad, RawGraph, Reshape, Transpose, unknown
from hwnas.quiet import quiet

if TYPE_CHECKING:
    from torch import fx, nn

    from hwnas.space import Shape

SOURCE = "x"


def read(module: nn.Module, input_shape: Shape) -> RawGraph:
    """What a module computes in eval mode.

    Args:
        module: It takes one image and gives one tensor; left as it is, but for its mode.
        input_shape: Of one image.

    Raises:
        ExportError: ``torch.export`` refuses it, or it computes something that is not read.
    """
    try:
        with _silence():
            program = torch.export.export(module.eval(), (torch.zeros(1, *input_shape),))
            program = program.run_decompositions({})
    except Exception as error:  # whatever the module or the exporter raises
        said = str(error).strip().split("\n")[0]
        raise ExportError(
            f"a module must be one that torch.export takes with an image of shape {tuple(input_shape)}, but "
            f"{type(module).__name__} is not: {said}: mend that, or give an .onnx or .tflite file of it"
        ) from error
    return _Reader(program).run((1, *input_shape))


@contextmanager
def _silence() -> Iterator[None]:
    """What ``torch.export`` prints of a module that it refuses is for its authors."""
    with quiet(), redirect_stderr(StringIO()):
        yield


class _Reader:
    """Walks the operators of an exported program."""

    def __init__(self, program: Any) -> None:
        self._program = program
        self._out = Recorder()
        self._values: dict[fx.Node, Any] = {}

    def run(self, shape: tuple[int, ...]) -> RawGraph:
        source = Tensor(SOURCE, shape)
        signature, constants = self._program.graph_signature, self._constants()
        result = None
        for node in self._program.graph.nodes:
            if node.op == "placeholder":
                is_input = node.name in signature.user_inputs
                self._values[node] = source if is_input else constants[node.name]
            elif node.op == "output":
                result = self._result(node, signature)
            elif node.op == "call_function":
                self._values[node] = self._call(node)
            else:
                raise unknown(node.op, node.name)
        if not isinstance(result, Tensor):
            raise ExportError("a module must give one tensor that it computes, but it does not")
        return self._out.finish(source, result, has_norms=True)

    def _constants(self) -> dict[str, np.ndarray]:
        """Parameters, buffers and other constants by the names of their placeholders."""
        signature, program = self._program.graph_signature, self._program
        tensors = {**program.state_dict, **program.constants}
        named = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        return {place: _array(tensors[name]) for place, name in named.items()}

    def _result(self, node: fx.Node, signature: Any) -> Any:
        answers: list[Any] = [part for part in node.args[0] if part.name in signature.user_outputs]  # type: ignore[union-attr]
        if len(answers) != 1:
            raise ExportError(
                f"a network must give one tensor to be imported, but this gives {len(answers)}: {ONE_TENSOR}"
            )
        return self._values[answers[0]]

    def _call(self, node: fx.Node) -> Any:
        if node.target is operator.getitem:
            parts, number = (self._given(each) for each in node.args)
            return parts[number]
        name = str(getattr(getattr(node.target, "_schema", None), "name", node.target)).rpartition("::")[2]
        handler = _HANDLERS.get(name.removesuffix("_"))
        if handler is None:
            raise unknown(name, self._place(node))
        arguments = dict(zip((a.name for a in node.target._schema.arguments), node.args, strict=False))  # type: ignore[union-attr]
        given = {key: self._given(value) for key, value in {**arguments, **node.kwargs}.items()}
        if name in _OF_TENSORS:
            return handler(self, self._place(node), node, given)
        if not isinstance(given.get("self", given.get("input")), Tensor):
            raise unknown(name, self._place(node), "it is computed from constants")
        return handler(self, self._place(node), node, given)

    def _given(self, value: Any) -> Any:
        if isinstance(value, torch.fx.Node):
            return self._values[value]
        return [self._given(each) for each in value] if isinstance(value, list | tuple) else value

    def _place(self, node: fx.Node) -> str:
        """Path of the module that an operator is of, and the operator's own name."""
        stack = list(node.meta.get("nn_module_stack", {}).values())
        path = str(stack[-1][0]) if stack else ""
        return f"{path}/{node.name}" if path else node.name

    # One method an operator: its name, what it is called with

    def _conv(self, name: str, _: fx.Node, given: dict[str, Any]) -> Tensor:
        padding, weight = given.get("padding", [0, 0]), given["weight"]
        stride, dilation = given.get("stride", [1, 1]), given.get("dilation", [1, 1])
        if isinstance(padding, str):
            windows = [(k - 1) * d for k, d in zip(weight.shape[2:], _pair(dilation), strict=True)]
            total = windows if padding == "same" else [0, 0]
            pads = tuple((each // 2, each - each // 2) for each in total)
        else:
            pads = tuple((each, each) for each in _pair(padding))
        return self._out.convolve(
            name, given["input"], weight, given.get("bias"), _pair(stride), pads, _pair(dilation),  # type: ignore[arg-type]
            given.get("groups", 1),
        )  # fmt: skip

    def _norm(self, name: str, _: fx.Node, given: dict[str, Any]) -> Any:
        if given.get("running_mean") is None or given.get("training", False):
            raise unknown("batch_norm", name, "it has no running statistics")
        variance = given["running_var"] + given["eps"]
        made = self._out.norm(
            name, given["input"], given["running_mean"], variance, given["weight"], given["bias"]
        )
        return (made, None, None)

    def _norm_whole(self, name: str, node: fx.Node, given: dict[str, Any]) -> Tensor:
        found: Tensor = self._norm(name, node, given)[0]
        return found

    def _clamp(self, name: str, node: fx.Node, given: dict[str, Any]) -> Tensor:
        low, high = given.get("min_val", given.get("min", -1.0)), given.get("max_val", given.get("max"))
        return self._out.clip(name, str(node.target), given["self"], low, high)

    def _arithmetic(self, name: str, node: fx.Node, given: dict[str, Any]) -> Tensor:
        if given.get("alpha", 1) != 1 or given.get("rounding_mode"):
            raise unknown(str(node.target), name, "it scales or rounds")
        sides = [
            value if isinstance(value, Tensor) else np.asarray(value, np.float64)
            for value in (given["self"], given["other"])
        ]
        op = str(node.target._schema.name).rpartition("::")[2].removesuffix("_")  # type: ignore[union-attr]
        return self._out.combine(name, op, *sides)

    def _mean(self, name: str, _: fx.Node, given: dict[str, Any]) -> Tensor:
        x, axes = given["self"], given.get("dim")
        if len(x.shape) != 4 or axes is None or {axis % 4 for axis in axes} != {2, 3}:
            raise unknown("mean", name, f"it is over the axes {axes}, not over height and width")
        return self._out.average(name, x, keeps=bool(given.get("keepdim", False)))

    def _adaptive(self, name: str, _: fx.Node, given: dict[str, Any]) -> Tensor:
        if list(given["output_size"]) != [1, 1]:
            raise unknown("adaptive_avg_pool2d", name, f"it is to {tuple(given['output_size'])}, not to 1x1")
        return self._out.average(name, given["self"])

    def _average(self, name: str, node: fx.Node, given: dict[str, Any]) -> Tensor:
        x, kernel, padding = given["self"], _pair(given["kernel_size"]), _pair(given.get("padding", 0))
        if given.get("divisor_override") or (any(padding) and not given.get("count_include_pad", True)):
            raise unknown("avg_pool2d", name, "it does not divide by the pixels of its window")
        stride, size = _pair(given.get("stride") or kernel), tuple(node.meta["val"].shape[2:])
        pads = (padding[0], padding[0]), (padding[1], padding[1])
        return self._out.average_of(name, "avg_pool2d", x, kernel, stride, pads, size)

    def _max_pool(self, name: str, node: fx.Node, given: dict[str, Any]) -> Tensor:
        if any(step != 1 for step in _pair(given.get("dilation", 1))):
            raise unknown("max_pool2d", name, "it is dilated")
        kernel = _pair(given["kernel_size"])
        stride = _pair(given.get("stride") or kernel)
        pads = tuple((each, each) for each in _pair(given.get("padding", 0)))
        size = tuple(node.meta["val"].shape[2:])
        return self._out.max_pool(name, given["self"], kernel, stride, pads, size)  # type: ignore[arg-type]

    def _view(self, name: str, node: fx.Node, given: dict[str, Any]) -> Tensor:
        return self._out.add(Reshape(given["self"], Tensor(name, tuple(node.meta["val"].shape))))

    def _transpose(self, name: str, node: fx.Node, given: dict[str, Any]) -> Tensor:
        x = given["self"]
        order = list(range(len(x.shape)))
        if "dims" in given:
            order = [axis % len(x.shape) for axis in given["dims"]]
        else:
            one, two = (given[key] % len(x.shape) for key in ("dim0", "dim1"))
            order[one], order[two] = two, one
        return self._out.add(Transpose(x, Tensor(name, tuple(x.shape[n] for n in order)), tuple(order)))

    def _linear(self, name: str, node: fx.Node, given: dict[str, Any]) -> Tensor:
        x, weight = given["input"], given["weight"]
        bias = np.zeros(len(weight)) if given.get("bias") is None else given["bias"]
        return self._out.add(Linear(x, Tensor(name, tuple(node.meta["val"].shape)), weight, bias))

    def _cat(self, name: str, node: fx.Node, given: dict[str, Any]) -> Tensor:
        parts, axis = given["tensors"], given.get("dim", 0) % len(node.meta["val"].shape)
        if axis != 1 or not all(isinstance(part, Tensor) for part in parts):
            raise unknown("cat", name, "it does not join the channels of what is computed")
        return self._out.add(Concat(tuple(parts), Tensor(name, tuple(node.meta["val"].shape))))

    def _split(self, name: str, node: fx.Node, given: dict[str, Any]) -> list[Tensor]:
        x, sizes = given["self"], [part.shape for part in node.meta["val"]]
        if given.get("dim", 0) % len(x.shape) != 1:
            raise unknown(str(node.target), name, "it does not divide channels")
        ends = np.cumsum([0, *(size[1] for size in sizes)])
        return [
            self._out.cut(f"{name}.{n}", x, int(start), int(stop))
            for n, (start, stop) in enumerate(pairwise(ends))
        ]

    def _slice(self, name: str, node: fx.Node, given: dict[str, Any]) -> Tensor:
        x, shape = given["self"], tuple(node.meta["val"].shape)
        if shape == x.shape and given.get("step", 1) == 1:
            return x  # type: ignore[no-any-return]
        if given.get("dim", 0) % len(x.shape) != 1 or given.get("step", 1) != 1:
            raise unknown("slice", name, "it does not take channels in a row")
        start = given.get("start") or 0
        start += x.shape[1] if start < 0 else 0
        return self._out.cut(name, x, start, start + shape[1])

    def _shuffle(self, name: str, _: fx.Node, given: dict[str, Any]) -> Tensor:
        x = given["self"]
        return self._out.add(Shuffle(x, Tensor(name, x.shape), given["groups"]))

    def _pad(self, name: str, node: fx.Node, given: dict[str, Any]) -> Tensor:
        if given.get("mode", "constant") != "constant" or given.get("value") not in (None, 0, 0.0):
            raise unknown("pad", name, "it does not pad with zeros")
        left, right, top, bottom = (*given["pad"], 0, 0, 0, 0)[:4]
        if any(given["pad"][4:]) or min(given["pad"]) < 0:
            raise unknown("pad", name, "it pads others than height and width, or cuts off")
        result = Tensor(name, tuple(node.meta["val"].shape))
        return self._out.add(Pad(given["self"], result, ((top, bottom), (left, right))))

    def _resize(self, name: str, node: fx.Node, given: dict[str, Any]) -> Tensor:
        x, shape = given["input"], tuple(node.meta["val"].shape)
        factors = {shape[2] / x.shape[2], shape[3] / x.shape[3]}
        if given.get("align_corners") or len(factors) != 1 or not all(f.is_integer() for f in factors):
            raise unknown("upsample_bilinear2d", name, "it is not by a whole number between pixel centres")
        return self._out.add(Resize(x, Tensor(name, shape)))

    def _softmax(self, name: str, node: fx.Node, given: dict[str, Any]) -> Tensor:
        if any(user.op != "output" for user in node.users):
            raise unknown("softmax", name, "it is not at the end")
        return self._out.leave_softmax(given["self"])

    def _same(self, _name: str, _: fx.Node, given: dict[str, Any]) -> Tensor:
        return given.get("self", given.get("input"))  # type: ignore[return-value]

    def _function(self, name: str, node: fx.Node, given: dict[str, Any]) -> Tensor:
        op = str(node.target._schema.name).rpartition("::")[2].removesuffix("_")  # type: ignore[union-attr]
        function = {"hardswish": "hswish", "hardsigmoid": "hsigmoid"}.get(op, op)
        return self._out.apply(name, given["self"], function)


_OF_TENSORS = ("cat", "add", "mul", "sub", "div")
_HANDLERS: dict[str, Callable[[_Reader, str, Any, dict[str, Any]], Any]] = {
    "conv2d": _Reader._conv,
    "batch_norm": _Reader._norm_whole,
    "_native_batch_norm_legit_no_training": _Reader._norm,
    **dict.fromkeys(("relu", "relu6", "hardswish", "hardsigmoid", "sigmoid", "silu"), _Reader._function),
    **dict.fromkeys(("hardtanh", "clamp", "clamp_min"), _Reader._clamp),
    **dict.fromkeys(("add", "sub", "mul", "div"), _Reader._arithmetic),
    "mean": _Reader._mean,
    "adaptive_avg_pool2d": _Reader._adaptive,
    "avg_pool2d": _Reader._average,
    "max_pool2d": _Reader._max_pool,
    **dict.fromkeys(
        ("view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze"), _Reader._view
    ),
    **dict.fromkeys(("transpose", "permute"), _Reader._transpose),
    "linear": _Reader._linear,
    "cat": _Reader._cat,
    **dict.fromkeys(("chunk", "split", "split_with_sizes"), _Reader._split),
    **dict.fromkeys(("slice", "narrow"), _Reader._slice),
    **dict.fromkeys(("channel_shuffle", "native_channel_shuffle"), _Reader._shuffle),
    **dict.fromkeys(("pad", "constant_pad_nd"), _Reader._pad),
    "upsample_bilinear2d": _Reader._resize,
    **dict.fromkeys(("softmax", "_softmax"), _Reader._softmax),
    **dict.fromkeys(("dropout", "clone", "contiguous", "alias", "detach", "feature_dropout"), _Reader._same),
}
"""By the name of an operator of ATen, in its form that changes nothing in place."""


def _pair(value: Any) -> list[int]:
    """Of height and width."""
    several = list(value) if isinstance(value, list | tuple) else [value]
    return several * 2 if len(several) == 1 else several


def _array(tensor: torch.Tensor) -> np.ndarray:
    values: np.ndarray = tensor.detach().cpu().double().numpy()
    if not np.isfinite(values).all():
        raise ExportError("weights must be finite, but some are not: repair the file")
    return values
