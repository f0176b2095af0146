"""The ONNX files themselves."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from hwnas import runtimes
from hwnas.blocks import Head, MBConv
from hwnas.export import lower, random_calibration, random_module

BLOCKS = [MBConv(8, 16, 3, 2, 3, groups=8, se_ratio=0.25, activation="hswish"), Head(16, 24, 5, "relu6")]
SHAPE = (8, 14, 10)


@pytest.mark.parametrize("hswish", ["decomposed", "native"])
def test_float_models_pass_the_full_checker_with_the_batch_as_given(hswish):
    lowered = lower(random_module(BLOCKS, 0), SHAPE, "onnxruntime", "fp32", hswish=hswish, batch=3)
    assert lowered.suffix == ".onnx"
    model = onnx.load_from_string(lowered.model)
    onnx.checker.check_model(model, full_check=True)
    source, result = model.graph.input[0], model.graph.output[0]
    assert (source.name, result.name) == ("x", "y")
    assert [d.dim_value for d in source.type.tensor_type.shape.dim] == [3, *SHAPE]
    assert [d.dim_value for d in result.type.tensor_type.shape.dim] == [3, 5]
    assert ("HardSwish" in {node.op_type for node in model.graph.node}) == (hswish == "native")
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}


def test_int8_models_run_on_integer_kernels_alone():
    module, images = random_module(BLOCKS, 0), random_calibration(SHAPE, 4, 1)
    lowered = lower(module, SHAPE, "onnxruntime", "int8", calibration=images)
    operators = lowered.parity.operators
    assert operators["QLinearConv"] == 6
    assert operators["QGemm"] == 1
    assert operators["QuantizeLinear"] == operators["DequantizeLinear"] == 1
    weights = onnx.load_from_string(lowered.model).graph.initializer
    assert {w.data_type for w in weights if w.name.endswith("weight_quantized")} == {onnx.TensorProto.INT8}


def test_native_hard_swish_is_float_in_int8_models_and_reported():
    module, images = random_module(BLOCKS, 0), random_calibration(SHAPE, 4, 1)
    lowered = lower(module, SHAPE, "onnxruntime", "int8", calibration=images, hswish="native")
    assert any("HardSigmoid" in name for name in lowered.parity.float_operators)
    answers = runtimes.run(lowered.model, "onnxruntime", images)
    assert np.isfinite(answers).all()
