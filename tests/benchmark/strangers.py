"""Model files as other people make them: odd inputs, operators and damages. Small enough to write by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

FLOAT, HALF, INT64, TEXT = (
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.INT64,
    TensorProto.STRING,
)


def write_onnx(
    path: Path,
    nodes: Sequence[Any],
    inputs: Sequence[tuple[str, int, Sequence[int | str] | None]],
    weights: dict[str, np.ndarray] | None = None,
    *,
    kind: int = FLOAT,
    opset: int = 17,
    domains: Sequence[str] = (),
) -> Path:
    """A graph whose last node makes ``y``."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(*item) for item in inputs],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(name, 1) for name in domains)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 8
    path.write_bytes(model.SerializeToString())
    return path


def relu(path: Path, **settings: Any) -> Path:
    """The smallest model there is."""
    return write_onnx(path, [helper.make_node("Relu", ["x"], ["y"])], [("x", FLOAT, [1, 4])], **settings)


def convolution(path: Path, shape: Sequence[int | str] | None, dtype: str = "float32") -> Path:
    """A convolution of images of a shape, which may be open."""
    weights = np.random.default_rng(0).random((8, 3, 3, 3)).astype(dtype)
    node = helper.make_node("Conv", ["image", "w"], ["y"], pads=[1, 1, 1, 1])
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return write_onnx(path, [node], [("image", kind, shape)], {"w": weights}, kind=kind)


def weights_beside(path: Path) -> Path:
    """A convolution whose weights are in a file of their own, ``weights.bin``."""
    model = onnx.load(str(convolution(path, [1, 3, 8, 8])))
    onnx.save(model, str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def tokens(path: Path) -> Path:
    """Rows of a small table by their numbers, times a matrix and a factor: two inputs, one is whole."""
    rng = np.random.default_rng(0)
    weights = {"table": rng.random((50, 16), np.float32), "w": rng.random((16, 4), np.float32)}
    nodes = [
        helper.make_node("Gather", ["table", "tokens"], ["rows"]),
        helper.make_node("MatMul", ["rows", "w"], ["product"]),
        helper.make_node("Mul", ["product", "factor"], ["y"]),
    ]
    return write_onnx(path, nodes, [("tokens", INT64, [1, "length"]), ("factor", FLOAT, [1])], weights)


def weights_alone(path: Path) -> Path:
    """Whole weights that are made floats again, as of a large language model: it computes in floats."""
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["f"]),
        helper.make_node("MatMul", ["r", "f"], ["y"]),
    ]
    weights = {
        "w": np.ones((4, 4), np.int8),
        "scale": np.array(0.1, np.float32),
        "zero": np.array(0, np.int8),
    }
    return write_onnx(path, nodes, [("x", FLOAT, [1, 4])], weights)


def stranger(path: Path) -> Path:
    """An operator that no runtime has."""
    node = helper.make_node("Mystery", ["x"], ["y"], domain="mine")
    return write_onnx(path, [node], [("x", FLOAT, [1, 4])], domains=["mine"])


def text(path: Path) -> Path:
    """Text goes in."""
    return write_onnx(path, [helper.make_node("Identity", ["x"], ["y"])], [("x", TEXT, [1])], kind=TEXT)


def changed(source: Path, path: Path, change: Any) -> Path:
    """A ``.tflite`` file with its model changed by a function."""
    model = schema.ModelT.InitFromPackedBuf(source.read_bytes(), 0)
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def open_sides(model: Any) -> None:
    """The file leaves the batch and the sides of its images open."""
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].shapeSignature = np.array([-1, -1, -1, 3], np.int32)


def flex(model: Any) -> None:
    """Its mean is an operator of TensorFlow's, which LiteRT lacks."""
    builtin = schema.BuiltinOperator
    for code in model.operatorCodes:
        if code.builtinCode == builtin.MEAN:
            code.builtinCode = code.deprecatedBuiltinCode = builtin.CUSTOM
            code.customCode = b"FlexErf"
    for operator in model.subgraphs[0].operators:
        if model.operatorCodes[operator.opcodeIndex].customCode:
            operator.builtinOptions, operator.builtinOptionsType = None, 0


def _append(
    model: Any, code: int, inputs: list[int], made: Any | None, kind: int = 0, options: Any = None
) -> list[int]:
    """One more operator at the end of a graph; its outputs."""
    graph, entry, operator = model.subgraphs[0], schema.OperatorCodeT(), schema.OperatorT()
    entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), 1
    operator.opcodeIndex, operator.inputs = len(model.operatorCodes), inputs
    operator.outputs = [] if made is None else [len(graph.tensors)]
    operator.builtinOptionsType, operator.builtinOptions = kind, options
    model.operatorCodes.append(entry)
    graph.operators.append(operator)
    graph.tensors += [] if made is None else [made]
    return operator.outputs


def _tensor(name: bytes, shape: Any, kind: int) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, kind, 0
    return tensor


def newer(model: Any) -> None:
    """Its first operator is one that no schema knows so far."""
    model.operatorCodes[0].builtinCode, model.operatorCodes[0].deprecatedBuiltinCode = 900, 127


def two_graphs(model: Any) -> None:
    """The same graph once more, which no operator of the first calls."""
    model.subgraphs.append(model.subgraphs[0])


def left_outside(model: Any) -> None:
    """Its last operator is one that XNNPACK does not take."""
    graph = model.subgraphs[0]
    last = graph.tensors[graph.outputs[0]]
    made, options = _tensor(b"normal", last.shape, last.type), schema.BuiltinOptions.L2NormOptions
    inputs, code = [graph.outputs[0]], schema.BuiltinOperator.L2_NORMALIZATION
    graph.outputs = _append(model, code, inputs, made, options, schema.L2NormOptionsT())


def remembering(model: Any) -> None:
    """Its last operator makes nothing: it keeps the answer in a variable."""
    graph, kinds, options = model.subgraphs[0], schema.BuiltinOperator, schema.BuiltinOptions
    handle, named = _tensor(b"handle", [1], schema.TensorType.RESOURCE), schema.VarHandleOptionsT()
    named.container, named.sharedName = b"", b"answer"
    [variable] = _append(model, kinds.VAR_HANDLE, [], handle, options.VarHandleOptions, named)
    inputs = [variable, graph.outputs[0]]
    chosen = schema.AssignVariableOptionsT()
    _append(model, kinds.ASSIGN_VARIABLE, inputs, None, options.AssignVariableOptions, chosen)


def half_weights(model: Any) -> None:
    """One weight tensor says that it is of half precision."""
    graph = model.subgraphs[0]
    convolution = next(item for item in graph.operators if len(item.inputs) == 3)
    graph.tensors[convolution.inputs[1]].type = schema.TensorType.FLOAT16


def network(folder: Path, runtime: str, precision: str) -> Path:
    """A network that hwnas exports."""
    from hwnas import export
    from hwnas.measure.plan import ANCHOR

    module, images = (
        export.random_module(ANCHOR.blocks, 0),
        export.random_calibration(ANCHOR.input_shape, 2, 0),
    )
    lowered = export.lower(module, ANCHOR.input_shape, runtime, precision, calibration=images, check=False)
    path = folder / f"net-{precision}{lowered.suffix}"
    path.write_bytes(lowered.model)
    return path
