"""What the reader of ONNX files asks of a file and of its operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from hwnas.blocks.layers import Pads, same_pads
from hwnas.errors import ExportError
from hwnas.export._graph import Tensor
from hwnas.importing.raw import ONE_TENSOR, unknown
from hwnas.space import Shape


def fixed(path: Path, input_shape: Shape | None) -> onnx.ModelProto:
    """The model of a file on one image at a time, with all weights in it.

    Args:
        path: The file.
        input_shape: Of one image, where the file leaves it open.

    Raises:
        ExportError: It is damaged, or takes something else than one image.
    """
    try:
        model = onnx.load(path)
    except (DecodeError, OSError, ValueError, TypeError) as error:
        raise ExportError(f"an .onnx file must be whole, but {path} is not: {error}") from error
    weights = {each.name for each in model.graph.initializer}
    sources = [each for each in model.graph.input if each.name not in weights]
    if len(sources) != 1 or len(model.graph.output) != 1:
        raise ExportError(
            f"a network must take one image and give one tensor to be imported, but {path} takes "
            f"{len(sources)} and gives {len(model.graph.output)}: {ONE_TENSOR}"
        )
    dims = sources[0].type.tensor_type.shape.dim
    said = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in dims]
    wanted = [1, *(input_shape or said[1:])]
    if len(said) != 4 or 0 in wanted or any(a not in (0, b) for a, b in zip(said, wanted, strict=False)):
        sizes = "x".join(str(size or "?") for size in said)
        raise ExportError(
            f"a network must take one image of channels, height and width, but {path} takes {sizes}: "
            "say --input 3x224x224, for example, for what it leaves open, and save it for a batch of 1"
        )
    for dim, size in zip(dims, wanted, strict=True):
        dim.dim_value = size
    del model.graph.value_info[:]  # of the shapes before
    for size in model.graph.output[0].type.tensor_type.shape.dim[:1]:
        size.dim_value = 1
    return model


def dequantised(
    axis: int, values: np.ndarray, scale: np.ndarray, zero: np.ndarray | None = None
) -> np.ndarray:
    """What whole numbers stand for, with one scale or one along an axis."""
    shape = [1] * values.ndim
    if scale.size > 1:
        shape[axis] = -1
    offset = np.zeros_like(scale) if zero is None else zero
    wide = values.astype(np.float64) - offset.reshape(shape if scale.size > 1 else ())
    made: np.ndarray = wide * scale.astype(np.float64).reshape(shape if scale.size > 1 else ())
    return made


class OnnxCall:
    """An operator of an ONNX file with what it is given."""

    def __init__(
        self,
        node: onnx.NodeProto,
        place: str,
        inputs: Sequence[Tensor | np.ndarray | None],
        attributes: Mapping[str, Any],
    ) -> None:
        self.node, self.place, self.inputs, self.attributes = node, place, inputs, attributes
        self.name = str(node.output[0])

    def has(self, number: int) -> bool:
        """Whether there is an input."""
        return len(self.inputs) > number and self.inputs[number] is not None

    def tensor(self, number: int) -> Tensor:
        """An input that is computed."""
        found = self.inputs[number]
        if not isinstance(found, Tensor):
            raise unknown(self.node.op_type, self.place, f"its input {number} is a constant")
        return found

    def array(self, number: int) -> np.ndarray:
        """An input that is constant; floats in float64."""
        found = self.inputs[number]
        if not isinstance(found, np.ndarray | np.generic | list):
            raise unknown(self.node.op_type, self.place, f"its input {number} is no constant")
        values = np.asarray(found)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ExportError(f"weights must be finite, but some of {self.place!r} are not: repair the file")
        return values.astype(np.float64) if values.dtype.kind == "f" else values

    def numbers(self, number: int, name: str) -> list[int] | None:
        """Whole numbers that newer files have as an input and older ones as an attribute."""
        if self.has(number):
            return [int(value) for value in self.array(number).reshape(-1)]
        found = self.attributes.get(name)
        return None if found is None else [int(value) for value in found]

    def ints(self, name: str, count: int) -> list[int]:
        """Whole numbers of height and width, 1 by default."""
        return [int(value) for value in self.attributes.get(name, [1] * count)]

    def pads(self, x: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Pads:
        """Zeros around a sliding window."""
        auto = self.attributes.get("auto_pad", b"NOTSET")
        if auto in (b"SAME_UPPER", b"SAME_LOWER"):
            found = [same_pads(*each) for each in zip(x.shape[2:], kernel, stride, strict=True)]
            height, width = (pad[::-1] if auto == b"SAME_LOWER" else pad for pad in found)
            return (height[0], height[1]), (width[0], width[1])
        top, left, bottom, right = (int(n) for n in self.attributes.get("pads", [0] * 4))
        return (top, bottom), (left, right)
