"""From float32 models to int8 ones: static ranges, per-channel weights, int8 throughout."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.export import _flatbuffer


def quantize_tflite(model: bytes, batches: np.ndarray) -> bytes:
    """An int8 TFLite model, input and output included.

    Args:
        model: A float32 model of ``tflite.write``.
        batches: Calibration images, shape (batches, n, channels, height, width), float32.
    """
    from litert_quantizer import model_modifier, params_generator, recipe, recipe_manager
    from litert_quantizer.utils import tfl_flatbuffer_utils

    # What quantizer.Quantizer does, without its progress bars and its moving average: of few
    # images, that takes the ranges from the first.
    manager = recipe_manager.RecipeManager()
    manager.load_quantization_recipe(recipe.static_wi8_ai8())
    with _quiet():
        float_model = tfl_flatbuffer_utils.read_model(model)
        parameters = params_generator.ParamsGenerator(float_model).generate_quantization_parameters(
            manager, _ranges(model, batches), enable_progress_bar=False
        )
        modifier = model_modifier.ModelModifier(float_model)
        quantized = modifier.modify_model(parameters, enable_progress_bar=False)
    return _flatbuffer.repack(bytes(quantized))


def _ranges(model: bytes, batches: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """Smallest and largest value of every run-time tensor over all calibration images."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=model, num_threads=1, experimental_preserve_all_tensors=True)
    runner.allocate_tensors()
    source = runner.get_input_details()[0]["index"]
    names = _flatbuffer.computed_tensors(model)
    low = dict.fromkeys(names.values(), np.inf)
    high = dict.fromkeys(names.values(), -np.inf)
    for batch in batches:
        runner.set_tensor(source, np.ascontiguousarray(batch.transpose(0, 2, 3, 1), np.float32))
        runner.invoke()
        for index, name in names.items():
            values = runner.get_tensor(index)
            low[name] = min(low[name], float(values.min()))
            high[name] = max(high[name], float(values.max()))
    return {name: {"min": np.array([low[name]]), "max": np.array([high[name]])} for name in low}


def quantize_onnx(model: Any, batches: np.ndarray) -> bytes:
    """An int8 ONNX model in QDQ form with float32 input and output.

    Activations are unsigned: for signed ones ONNX Runtime on x86 has no depthwise kernel.

    Args:
        model: A ModelProto of ``onnx.write``.
        batches: Calibration images, shape (batches, n, channels, height, width), float32.
    """
    from onnx import ModelProto, helper
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches = iter(batches)

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self._batches, None)
            return None if batch is None else {"x": np.ascontiguousarray(batch, np.float32)}

    prepared = ModelProto()
    prepared.CopyFrom(model)
    # There is nothing to prepare: shapes are there, batch norm is folded. Says so.
    helper.set_model_props(prepared, {"onnx.quant.pre_process": "onnxruntime.quant"})
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "int8.onnx"
        quantize_static(
            prepared,
            path,
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return path.read_bytes()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantisers' warnings and their talk on the root logger to themselves."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.addHandler(logging.NullHandler())  # or their first message would configure logging
    root.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
