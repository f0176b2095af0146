"""The checks must be able to fail: planted faults are found and named."""

from __future__ import annotations

import copy
import re
import warnings

import numpy as np
import pytest
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import nn

from hwnas.blocks import MBConv
from hwnas.errors import ExportError, ParityError
from hwnas.export import _trace, lower, onnx, parity, random_calibration, random_module, tflite
from hwnas.runtimes import litert

SHAPE = (16, 10, 12)
RUNTIMES = ("litert", "onnxruntime")


@pytest.fixture(scope="module")
def module():
    return random_module([MBConv(16, 16, 3, 1, 3)], 0)


@pytest.fixture(scope="module")
def images():
    return random_calibration(SHAPE, 4, 1)


def layers(module, kind):
    return [layer for layer in module.modules() if isinstance(layer, kind)]


@pytest.mark.parametrize("runtime_name", RUNTIMES)
@pytest.mark.parametrize("which", range(3))
def test_one_wrong_float_weight_is_found(module, images, runtime_name, which):
    model = lower(module, SHAPE, runtime_name, "fp32").model
    wrong = copy.deepcopy(module)
    with torch.no_grad():
        layers(wrong, nn.Conv2d)[which].weight.view(-1)[3] += 0.1
    parity.check(module, model, runtime_name, "fp32", images)
    with pytest.raises(ParityError, match="within"):
        parity.check(wrong, model, runtime_name, "fp32", images)


@pytest.mark.parametrize("runtime_name", RUNTIMES)
def test_one_wrong_channel_is_found_in_int8(module, images, runtime_name):
    model = lower(module, SHAPE, runtime_name, "int8", calibration=images).model
    wrong = copy.deepcopy(module)
    with torch.no_grad():
        layers(wrong, nn.BatchNorm2d)[2].bias[5] += 1
    parity.check(module, model, runtime_name, "int8", images)
    with pytest.raises(ParityError, match="signal-to-noise"):
        parity.check(wrong, model, runtime_name, "int8", images)


def test_ranges_from_other_images_are_found(module, images):
    model = lower(module, SHAPE, "litert", "int8", calibration=images * 1e-3, check=False).model
    with pytest.raises(ParityError, match="signal-to-noise"):
        parity.check(module, model, "litert", "int8", images)


def test_a_lost_batch_norm_is_found(images):
    module = random_module([MBConv(16, 16, 3, 1, 3)], 0)
    bare = copy.deepcopy(module)
    for norm in layers(bare, nn.BatchNorm2d):
        norm.reset_running_stats()
    model = lower(bare, SHAPE, "litert", "fp32").model
    with pytest.raises(ParityError, match="within"):
        parity.check(module, model, "litert", "fp32", images)


def test_a_float_operator_in_tflite_is_found_and_named(module, images):
    from litert_quantizer import quantizer, recipe
    from litert_quantizer.algorithm_manager import AlgorithmName
    from litert_quantizer.qtyping import TFLOperationName

    float_model = tflite.write(_trace.trace(module, (1, *SHAPE), native_hswish=False))
    tool = quantizer.Quantizer(float_model, recipe.static_wi8_ai8())
    tool.update_quantization_recipe(
        ".*", TFLOperationName.DEPTHWISE_CONV_2D, algorithm_key=AlgorithmName.NO_QUANTIZE
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tool's own
        ranges = tool.calibrate({"serving_default": [{"x": images[:1].transpose(0, 2, 3, 1)}]})
        model = bytes(tool.quantize(ranges, enable_progress_report=False).quantized_model)
    with pytest.raises(ParityError, match=re.escape("DEPTHWISE_CONV_2D")):
        parity.check(module, model, "litert", "int8", images[:1])


def test_a_float_operator_in_onnx_is_found_and_named(module, images, tmp_path):
    class Reader(CalibrationDataReader):
        def __init__(self):
            self.images = iter(images)

        def get_next(self):
            image = next(self.images, None)
            return None if image is None else {"x": image[None]}

    model = onnx.write(_trace.trace(module, (1, *SHAPE), native_hswish=False))
    path = tmp_path / "mixed.onnx"
    quantize_static(
        model,
        path,
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    with pytest.raises(ParityError, match="Add"):
        parity.check(module, path.read_bytes(), "onnxruntime", "int8", images)


def test_a_second_partition_is_found_and_what_splits_it_is_named(images):
    module = random_module([MBConv(16, 16, 3, 1, 3, activation="hswish")], 0)
    model = lower(module, SHAPE, "litert", "int8", calibration=images, hswish="native").model
    with pytest.raises(ParityError, match=r"there are 3, and it leaves out HARD_SWISH"):
        parity.check(module, model, "litert", "int8", images)
    execution = litert.execution(model)
    assert [label.split(" ")[0] for label in execution.undelegated] == ["HARD_SWISH", "HARD_SWISH"]


def test_answers_that_should_be_zero_must_be(images):
    module = random_module([MBConv(16, 8, 3, 1, 3)], 0)
    dead = copy.deepcopy(module)
    with torch.no_grad():
        layers(dead, nn.BatchNorm2d)[2].weight.zero_()
        layers(dead, nn.BatchNorm2d)[2].bias.zero_()
    for runtime_name in RUNTIMES:
        lower(dead, SHAPE, runtime_name, "int8", calibration=images)
        model = lower(module, SHAPE, runtime_name, "int8", calibration=images).model
        with pytest.raises(ParityError, match="must be zero"):
            parity.check(dead, model, runtime_name, "int8", images)


def test_a_network_that_overflows_is_refused(images):
    module = random_module([MBConv(16, 16, 3, 1, 3)] * 2, 0)
    with torch.no_grad():
        for norm in layers(module, nn.BatchNorm2d):
            norm.weight.mul_(1e10)
    with pytest.raises(ExportError, match="must be finite"):
        lower(module, SHAPE, "litert", "fp32")
    with pytest.raises(ExportError, match="must be finite"):
        lower(module, SHAPE, "litert", "int8", calibration=images)


def test_differences_have_known_answers():
    expected = np.array([[3.0, -4.0]], np.float32)
    assert parity.differences(expected, expected) == (0.0, None)
    error, ratio = parity.differences(expected, expected + np.float32([[0.0, 0.5]]))
    assert error == pytest.approx(0.125)
    assert ratio == pytest.approx(20)  # 25 over 0.25
    with pytest.raises(ParityError, match="shape"):
        parity.differences(expected, expected[0])


def test_the_demand_falls_by_one_and_a_half_db_when_the_depth_doubles():
    assert parity.least_sqnr_db(3) == parity.least_sqnr_db(4) == parity.SQNR_DB["int8"]
    assert parity.least_sqnr_db(4) - parity.least_sqnr_db(64) == pytest.approx(4 * 1.5)


class Levels(nn.Module):
    """Two convolutions of the same input, as a detector's levels."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(16, 4, 1), nn.Conv2d(16, 4, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.fine(x), self.coarse(x)


@pytest.mark.parametrize("runtime_name", RUNTIMES)
def test_what_hardly_counts_may_be_noisy_but_not_wrong(images, runtime_name):
    torch.manual_seed(0)
    module = Levels()
    model = lower(module, SHAPE, runtime_name, "int8", calibration=images).model

    def judge(answers):
        return {"boxes": {0: np.full((1, 1, 1, 1), 0.01), 1: np.ones(answers[1].shape)}}

    def spoiled(level, share):
        wrong = copy.deepcopy(module)
        with torch.no_grad():
            weight = getattr(wrong, level).weight
            weight += share * weight.std() * torch.randn(weight.shape)
        return wrong

    def checked(wrong, **options):
        parity.check(wrong, model, runtime_name, "int8", images, **options)

    noisy = spoiled("fine", 0.2)
    with pytest.raises(ParityError, match=r"output 0 have 1\d\.\d dB"):
        checked(noisy)
    checked(noisy, judge=judge)
    with pytest.raises(ParityError, match="boxes have"):
        checked(spoiled("coarse", 0.3), judge=judge)
    with pytest.raises(ParityError, match=r"of 6\.0 dB, but those of .* output 0"):
        checked(spoiled("fine", 3), judge=judge)
