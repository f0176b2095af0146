"""Runs an exported model in this process, through the runtime that devices use."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.errors import ExportError

Batch = Callable[[np.ndarray], np.ndarray]


def run(model: bytes | Path, runtime: str, images: np.ndarray, *, threads: int = 1) -> np.ndarray:
    """What the model answers, in float32 and in PyTorch's layout whatever the model uses.

    Args:
        model: A ``.tflite`` or ``.onnx`` file or its content; its batch is kept, the last
            batch is filled up with zeros.
        runtime: "litert" or "onnxruntime".
        images: Shape (n, channels, height, width), float32; int8 models have them quantised.
        threads: Threads of the runtime.

    Returns:
        Shape (n, channels, height, width) or (n, features), dequantised.

    Raises:
        ExportError: The runtime is unknown or refuses the model, or the images do not fit it.
    """
    if runtime not in _OPENERS:
        raise ExportError(f"a runtime must be one of {sorted(_OPENERS)}, but got {runtime!r}")
    shape, answer = _OPENERS[runtime](model, threads)
    if images.ndim != 4 or images.shape[1:] != shape[1:] or not len(images):
        raise ExportError(f"images must be of shape (n, {shape[1:]}), but got {images.shape}")
    batch, answers = shape[0], []
    for start in range(0, len(images), batch):
        chunk = np.asarray(images[start : start + batch], np.float32)
        missing = batch - len(chunk)
        filled = np.pad(chunk, [(0, missing), (0, 0), (0, 0), (0, 0)]) if missing else chunk
        answers.append(answer(filled)[: len(chunk)])
    return np.concatenate(answers)


def interpreter(model: bytes | Path, *, threads: int = 1, keep_tensors: bool = False) -> Any:
    """A LiteRT interpreter with its tensors allocated and XNNPACK applied.

    Args:
        model: A ``.tflite`` file or its content.
        threads: Threads of the interpreter.
        keep_tensors: Whether values between the operators can be read; LiteRT warns that
            this costs memory.
    """
    _greet_quietly()
    return _interpreter(model, threads, keep_tensors)


def session(model: bytes | Path, *, threads: int = 1, optimized: Path | None = None) -> Any:
    """An ONNX Runtime session on the CPU that writes its optimised graph to ``optimized``."""
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    content = model if isinstance(model, bytes) else str(model)
    refusals = (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoSuchFile,
    )
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except (*refusals, state.NotImplemented) as error:
        raise ExportError(f"ONNX Runtime must be able to load the model, but it answered: {error}") from error


def quantization(model: bytes | Path) -> dict[str, dict[str, Any]]:
    """How whole numbers stand for values at the input and output of a TFLite model.

    Returns:
        ``{"input": {"dtype", "scale", "zero_point"}, "output": ...}``, value = scale * (number -
        zero_point); empty where the model reads and answers floats.
    """
    runner = interpreter(model)
    ends = {"input": runner.get_input_details()[0], "output": runner.get_output_details()[0]}
    found = {}
    for name, details in ends.items():
        scale, zero_point = details["quantization"]
        if scale:
            dtype = np.dtype(details["dtype"]).name
            found[name] = {"dtype": dtype, "scale": float(scale), "zero_point": int(zero_point)}
    return found


def _interpreter(model: bytes | Path, threads: int, keep_tensors: bool = False) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    given = {"model_content": model} if isinstance(model, bytes) else {"model_path": str(model)}
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
    try:
        stderr = os.dup(2)
    except OSError:  # closed: nobody would see it anyway
        return
    from hwnas.export import tflite
    from hwnas.export._graph import Arithmetic, Graph, Tensor

    source, result = Tensor("x", (1, 1, 1, 1)), Tensor("y", (1, 1, 1, 1))
    tiny = tflite.write(Graph(source, result, (Arithmetic("add", source, source, result),)))
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        _interpreter(tiny, 1)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _open_litert(model: bytes | Path, threads: int) -> tuple[tuple[int, ...], Batch]:
    runner = interpreter(model, threads=threads)
    source, result = runner.get_input_details()[0], runner.get_output_details()[0]
    n, height, width, channels = source["shape"]

    def answer(images: np.ndarray) -> np.ndarray:
        runner.set_tensor(source["index"], _quantized(images.transpose(0, 2, 3, 1), source))
        runner.invoke()
        values = _dequantized(runner.get_tensor(result["index"]), result)
        return values.transpose(0, 3, 1, 2) if values.ndim == 4 else values

    return (int(n), int(channels), int(height), int(width)), answer


def _open_onnxruntime(model: bytes | Path, threads: int) -> tuple[tuple[int, ...], Batch]:
    runner = session(model, threads=threads)
    source = runner.get_inputs()[0]

    def answer(images: np.ndarray) -> np.ndarray:
        values: np.ndarray = runner.run(None, {source.name: images})[0]
        return values

    return tuple(source.shape), answer


_OPENERS = {"litert": _open_litert, "onnxruntime": _open_onnxruntime}


def _quantized(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    """Values in the type of a tensor, rounded to nearest and saturated."""
    if details["dtype"] == np.float32:
        return np.ascontiguousarray(values)
    scale, zero_point = details["quantization"]
    limits = np.iinfo(details["dtype"])
    steps = np.rint(values / np.float32(scale)) + zero_point
    result: np.ndarray = np.clip(steps, limits.min, limits.max).astype(details["dtype"])
    return result


def _dequantized(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    if details["dtype"] == np.float32:
        return values
    scale, zero_point = details["quantization"]
    result: np.ndarray = (values.astype(np.float32) - zero_point) * np.float32(scale)
    return result
