"""LiteRT, formerly TensorFlow Lite, with XNNPACK on the CPU."""

from __future__ import annotations

import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.errors import ExportError
from hwnas.quiet import ALONE
from hwnas.runtimes._tflite_file import describe
from hwnas.runtimes.base import TFLITE, Batch, Execution, Host, Runtime, Values, content_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CONVERTING = {"QUANTIZE", "DEQUANTIZE"}


def interpreter(model: bytes | Path, *, threads: int = 1, keep_tensors: bool = False) -> Any:
    """An interpreter with its tensors allocated and XNNPACK applied.

    Args:
        model: A ``.tflite`` file or its content.
        threads: Threads of the interpreter.
        keep_tensors: Whether values between the operators can be read; LiteRT warns that
            this costs memory.

    Raises:
        ExportError: LiteRT refuses the model.
    """
    _greet_quietly()
    return _interpreter(model, threads, keep_tensors)


def execution(model: bytes) -> Execution:
    """How LiteRT executes the model on this machine."""
    import numpy as np

    runner = interpreter(model)
    details = {d["index"]: d for d in runner.get_tensor_details()}
    steps = runner._get_ops_details()  # the one place that knows what was delegated
    operators = [step for step in steps if step["op_name"] != "DELEGATE"]
    delegates = [step for step in steps if step["op_name"] == "DELEGATE"]
    ends = {d["index"] for d in (*runner.get_input_details(), *runner.get_output_details())}

    def label(step: dict[str, Any]) -> str:
        return f"{step['op_name']} ({details[step['outputs'][0]]['name']})"

    def is_float(step: dict[str, Any]) -> bool:
        touched = {int(i) for i in (*step["inputs"], *step["outputs"]) if i >= 0}
        if step["op_name"] in _CONVERTING and touched & ends:
            return False
        return any(details[i]["dtype"] == np.float32 for i in touched)

    makers = {int(out): step for step in (*operators, *delegates) for out in step["outputs"]}
    left, seen = [], set()
    wanted = [d["index"] for d in runner.get_output_details()]
    while wanted:
        index = int(wanted.pop())
        step = makers.get(index)
        if step is None or step["index"] in seen:
            continue
        seen.add(step["index"])
        if step["op_name"] != "DELEGATE":
            left.append(step)
        wanted += step["inputs"].tolist()
    return Execution(
        dict(sorted(Counter(step["op_name"] for step in operators).items())),
        tuple(label(step) for step in operators if is_float(step)),
        len(delegates),
        tuple(label(step) for step in sorted(left, key=lambda step: step["index"])),
    )


def quantization(model: bytes | Path) -> dict[str, dict[str, Any]]:
    """Data type, scale and zero point at both ends of a model; empty where they are floats."""
    import numpy as np

    runner = interpreter(model)
    found = {}
    for end, tensors in (("input", runner.get_input_details()), ("output", runner.get_output_details())):
        for number, details in enumerate(tensors):
            scale, zero_point = details["quantization"]
            if scale:
                found[f"{end}{number or ''}"] = {
                    "dtype": np.dtype(details["dtype"]).name,
                    "scale": float(scale),
                    "zero_point": int(zero_point),
                }
    return found


def _open(model: bytes | Path, threads: int) -> tuple[tuple[Any, ...], Batch]:
    runner = interpreter(model, threads=threads)
    sources, results = runner.get_input_details(), runner.get_output_details()
    shapes = [tuple(map(int, source["shape"])) for source in sources]

    def answer(*images: NDArray[np.float32]) -> Values:
        for source, given in zip(sources, images, strict=True):
            runner.set_tensor(source["index"], quantized(given.transpose(0, 2, 3, 1), source))
        runner.invoke()
        values = [dequantized(runner.get_tensor(result["index"]), result) for result in results]
        return tuple(each.transpose(0, 3, 1, 2) if each.ndim == 4 else each for each in values)

    return tuple((n, channels, height, width) for n, height, width, channels in shapes), answer


def quantized(values: NDArray[np.float32], details: dict[str, Any]) -> NDArray[Any]:
    """Values in the type of a tensor, rounded to nearest and saturated."""
    import numpy as np

    if details["dtype"] == np.float32:
        return np.ascontiguousarray(values)
    scale, zero_point = details["quantization"]
    limits = np.iinfo(details["dtype"])
    steps = np.rint(values / np.float32(scale)) + zero_point
    result: NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(details["dtype"])
    return result


def dequantized(values: NDArray[Any], details: dict[str, Any]) -> NDArray[np.float32]:
    """What the numbers of a tensor stand for."""
    import numpy as np

    if details["dtype"] == np.float32:
        return values
    scale, zero_point = details["quantization"]
    result: NDArray[np.float32] = (values.astype(np.float32) - zero_point) * np.float32(scale)
    return result


def _interpreter(model: bytes | Path, threads: int, keep_tensors: bool = False) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    content = content_of(model)
    given = {"model_content": content} if isinstance(content, bytes) else {"model_path": content}
    try:
        result = Interpreter(**given, num_threads=threads, experimental_preserve_all_tensors=keep_tensors)
        result.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ExportError(f"LiteRT must be able to load the model, but it answered: {error}") from error
    return result


@cache
def _greet_quietly() -> None:
    """Let LiteRT print its greeting, once a process, where nobody sees it.

    Its native logger knows no level and writes straight to the descriptor.
    """
    with ALONE:
        try:
            stderr = os.dup(2)
        except OSError:  # closed: nobody would see it anyway
            return
        try:
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            _interpreter(_tiny(), 1)
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _tiny() -> bytes:
    """A model that adds a number to itself: enough for XNNPACK to be called."""
    import flatbuffers
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    def tensor(name: str) -> Any:
        made = schema.TensorT()
        made.name, made.shape, made.type = name, np.ones(1, np.int32), schema.TensorType.FLOAT32
        return made

    code, node, graph, model = schema.OperatorCodeT(), schema.OperatorT(), schema.SubGraphT(), schema.ModelT()
    code.version = 1  # of ADD, whose code is 0, as all defaults are
    node.inputs, node.outputs = np.zeros(2, np.int32), np.ones(1, np.int32)
    node.builtinOptionsType, node.builtinOptions = schema.BuiltinOptions.AddOptions, schema.AddOptionsT()
    graph.tensors, graph.operators = [tensor("x"), tensor("y")], [node]
    graph.inputs, graph.outputs = np.zeros(1, np.int32), np.ones(1, np.int32)
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


HOST = Host("litert", _open, execution, quantization, describe, delegate="XNNPACK", delegate_lacks=("16x8",))

LITERT = Runtime(
    name="litert",
    format=TFLITE,
    precisions=("fp32", "int8", "16x8", "fp16"),
    processors=("cpu", "gpu", "npu"),
    agent="litert",
    host=HOST,
    proves_delegation=True,
    proves_precision=("gpu",),
    example="example_litert.py",
    packages=("ai-edge-litert", "litert-quantizer"),
    joins_on_one_scale=True,
    mixes=("fp32", "16x8"),
)
