"""From float32 models to whole numbers throughout: static ranges, per-channel int8 weights."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from hwnas.errors import ExportError
from hwnas.export import _ranges
from hwnas.export._graph import Graph
from hwnas.export._layers import tensors_in
from hwnas.quiet import quiet

_NOTHING: Mapping[str, str] = MappingProxyType({})
_HEADROOM = {"int8": 1.0, "16x8": 2.0}
"""Times the range of the calibration images: 16 bits can spare one for what other images exceed it by."""


def quantize_tflite(
    graph: Graph, precision: str, batches: Sequence[np.ndarray], kept: Mapping[str, str] = _NOTHING
) -> bytes:
    """A TFLite model in whole numbers, input and output included.

    Args:
        graph: The network.
        precision: "int8", or "16x8" for int8 weights and int16 for all else.
        batches: Calibration images: for each input an array of shape (batches, n, channels, height, width),
            float32.
        kept: Layers that stay in another precision, "fp32" or "16x8", by name.
    """
    return rounded_tflite(graph, precision, ranges_of(graph, batches), kept)


def ranges_of(graph: Graph, batches: Sequence[np.ndarray]) -> dict[str, _ranges.Range]:
    """Ranges of all tensors on calibration images, wide enough to compute with.

    Args:
        graph: The network.
        batches: As of ``quantize_tflite``.
    """
    from hwnas.export import tflite

    return _ranges.usable(graph, measured(tflite.write(graph), batches))


def rounded_tflite(
    graph: Graph, precision: str, ranges: Mapping[str, _ranges.Range], kept: Mapping[str, str] = _NOTHING
) -> bytes:
    """The same as ``quantize_tflite``, of ranges that are known."""
    from litert_quantizer import model_modifier, params_generator
    from litert_quantizer.utils import tfl_flatbuffer_utils

    from hwnas.export import _flatbuffer, tflite

    headroom = _HEADROOM[precision]
    ranges = {name: (headroom * low, headroom * high) for name, (low, high) in ranges.items()}
    model = tflite.write(_ranges.fit_biases(graph, ranges))
    with quiet(logging.ERROR):
        # What quantizer.Quantizer does, without its progress bars and its moving average: of
        # few images, that would take the ranges from the first.
        float_model = tfl_flatbuffer_utils.read_model(model)
        parameters = params_generator.ParamsGenerator(float_model).generate_quantization_parameters(
            _recipe(graph, precision, tensors_in(graph, kept)),
            {name: {"min": np.array([low]), "max": np.array([high])} for name, (low, high) in ranges.items()},
            enable_progress_bar=False,
        )
        modifier = model_modifier.ModelModifier(float_model)
        quantized = modifier.modify_model(parameters, enable_progress_bar=False)
    versions = {name: dict(tflite.VERSIONS[name]) for name in {precision, *kept.values()}}
    return _flatbuffer.repack(bytes(quantized), _latest(versions.values()))


def _recipe(graph: Graph, precision: str, tensors: Mapping[str, str]) -> Any:
    """What the quantiser is told: the precision of all operators, and that of some by what they make."""
    from litert_quantizer import algorithm_manager, qtyping, recipe, recipe_manager

    manager = recipe_manager.RecipeManager()
    manager.load_quantization_recipe(
        {"int8": recipe.static_wi8_ai8, "16x8": recipe.static_wi8_ai16}[precision]()
    )
    names, nothing = qtyping.TFLOperationName, algorithm_manager.AlgorithmName.NO_QUANTIZE

    def keep(made: str, operation: Any, own: str | None) -> None:
        if own == "fp32":
            manager.add_quantization_config(made, operation, algorithm_key=nothing)
        elif own == "16x8":
            manager.add_static_config(made, operation, activation_num_bits=16, weight_num_bits=8)

    for name, own in tensors.items():
        keep(f"^{re.escape(name)}(/[^;]*)?;?$", names.ALL_SUPPORTED, own)
    for end, parts in ((names.INPUT, graph.sources), (names.OUTPUT, graph.results)):
        kinds = {tensors.get(part.name) for part in parts}
        keep(".*", end, kinds.pop() if len(kinds) == 1 else None)
    return manager


def _latest(versions: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The latest version of each operator."""
    found: dict[str, int] = {}
    for table in versions:
        found |= {name: max(version, found.get(name, 1)) for name, version in table.items()}
    return found


def measured(model: bytes, batches: Sequence[np.ndarray]) -> dict[str, _ranges.Range]:
    """Smallest and largest value of every tensor of a TFLite model over all calibration images."""
    from hwnas.export import _flatbuffer
    from hwnas.runtimes.litert import interpreter

    with quiet(logging.ERROR):
        runner = interpreter(model, keep_tensors=True)
    sources = [details["index"] for details in runner.get_input_details()]
    names = _flatbuffer.computed_tensors(model)
    low, high = dict.fromkeys(names, np.inf), dict.fromkeys(names, -np.inf)
    for given in zip(*batches, strict=True):
        for source, batch in zip(sources, given, strict=True):
            runner.set_tensor(source, np.ascontiguousarray(batch.transpose(0, 2, 3, 1), np.float32))
        runner.invoke()
        for index in names:
            values = runner.get_tensor(index)
            low[index] = min(low[index], float(values.min()))
            high[index] = max(high[index], float(values.max()))
            if not np.isfinite(high[index] - low[index]):
                raise ExportError(
                    f"activations must be finite on calibration images, but {names[index]} is not"
                )
    return {name: (low[index], high[index]) for index, name in names.items()}


def quantize_onnx(graph: Graph, batches: Sequence[np.ndarray], kept: Mapping[str, str] = _NOTHING) -> bytes:
    """An int8 ONNX model in QDQ form with float32 input and output.

    Activations are unsigned: for signed ones ONNX Runtime on x86 has no depthwise kernel.

    Args:
        graph: The network.
        batches: Calibration images: for each input an array of shape (batches, n, channels, height, width),
            float32.
        kept: Layers that stay in another precision, which is "fp32", by name.
    """
    from onnx import helper
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    from hwnas.export import _qdq, onnx

    names = [source.name for source in graph.sources]
    given = (
        {name: np.ascontiguousarray(batch, np.float32) for name, batch in zip(names, each, strict=True)}
        for each in zip(*batches, strict=True)
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(given, None)

    model = onnx.write(graph)
    made = tensors_in(graph, kept)
    # Nothing is left to prepare, shapes are known and batch norm is folded; this says so.
    helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    with tempfile.TemporaryDirectory() as folder, quiet(logging.ERROR):
        path = Path(folder) / "int8.onnx"
        quantize_static(
            model,
            path,
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=[node.name for node in model.graph.node if node.name.partition("/")[0] in made],
        )
        return _qdq.left_float(path.read_bytes(), made) if made else path.read_bytes()
