"""The TFLite files themselves: operators, padding, alignment, signature."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from hwnas import runtimes
from hwnas.blocks import Conv, Head, MBConv
from hwnas.export import lower, random_calibration, random_module
from hwnas.runtimes import litert


def operators(model: bytes) -> list[str]:
    return [step["op_name"] for step in litert.interpreter(model)._get_ops_details()][:-1]


@pytest.fixture(scope="module")
def models():
    block, shape = MBConv(8, 24, 3, 2, 3, se_ratio=0.25, activation="hswish"), (8, 14, 14)
    module, images = random_module([block, Head(24, 40, 7)], 0), random_calibration(shape, 4, 1)
    return [lower(module, shape, "litert", p, calibration=images).model for p in ("fp32", "int8")]


@pytest.mark.parametrize("index", [0, 1], ids=["fp32", "int8"])
def test_every_buffer_lies_at_a_multiple_of_16_bytes(models, index):
    model = models[index]
    start = np.frombuffer(model, np.uint8).ctypes.data
    parsed = schema.Model.GetRootAs(model)
    buffers = [parsed.Buffers(i) for i in range(parsed.BuffersLength())]
    filled = [buffer.DataAsNumpy() for buffer in buffers if buffer.DataLength()]
    assert len(filled) > 10
    assert {(data.ctypes.data - start) % 16 for data in filled} == {0}
    assert buffers[0].DataLength() == 0  # the schema wants it so
    assert all(buffer.Offset() <= 1 for buffer in buffers)  # nothing behind the flatbuffer


@pytest.mark.parametrize("index", [0, 1], ids=["fp32", "int8"])
def test_the_signature_is_serving_default_from_x_to_y(models, index):
    runner = litert.interpreter(models[index])
    assert runner.get_signature_list() == {"serving_default": {"inputs": ["x"], "outputs": ["y"]}}
    source = runner.get_input_details()[0]
    answer = runner.get_signature_runner("serving_default")(x=np.ones(source["shape"], source["dtype"]))
    assert answer["y"].shape == (1, 7)
    assert models[index][4:8] == b"TFL3"


def test_int8_models_are_int8_from_input_to_output(models):
    runner = litert.interpreter(models[1])
    ends = (*runner.get_input_details(), *runner.get_output_details())
    assert [end["dtype"] for end in ends] == [np.int8, np.int8]


def test_int8_operators_have_their_versions_and_per_channel_weights(models):
    model = schema.ModelT.InitFromPackedBuf(models[1])
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    versions = {names[code.builtinCode]: code.version for code in model.operatorCodes}
    assert versions["CONV_2D"] == versions["DEPTHWISE_CONV_2D"] == 3
    assert versions["ADD"] == versions["MUL"] == versions["MEAN"] == versions["PAD"] == 2
    assert versions["FULLY_CONNECTED"] == 4
    tensors = {tensor.name.decode(): tensor for tensor in model.subgraphs[0].tensors}
    weights = [tensor for name, tensor in tensors.items() if name.endswith("weight")]
    assert all(
        len(weight.quantization.scale) == max(weight.shape[0], weight.shape[3]) for weight in weights[:2]
    )


@pytest.mark.parametrize(
    ("block", "shape", "expected"),
    [
        (MBConv(8, 8, 3, 1, 6), (8, 6, 6), ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "ADD"]),
        (MBConv(8, 9, 3, 2, 6), (8, 6, 6), ["CONV_2D", "PAD", "DEPTHWISE_CONV_2D", "CONV_2D"]),
        (MBConv(8, 9, 3, 2, 6), (8, 7, 7), ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D"]),
        (MBConv(8, 9, 3, 2, 6, padding="same"), (8, 6, 6), ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D"]),
        (MBConv(8, 9, 5, 2, 6, padding="same"), (8, 7, 6), ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D"]),
        (MBConv(8, 8, 3, 1, 1, groups=2), (8, 6, 6), ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "ADD"]),
        (Conv(3, 4, activation="hswish"), (3, 6, 6), ["CONV_2D", "ADD", "MUL", "MUL"]),
        (Head(4, 8, 3), (4, 6, 6), ["CONV_2D", "MEAN", "FULLY_CONNECTED"]),
    ],
)
def test_operators_are_as_few_as_can_be(block, shape, expected):
    assert operators(lower(random_module([block], 0), shape, "litert", "fp32").model) == expected


def test_many_groups_keep_their_shuffle():
    block, shape = MBConv(16, 20, 3, 2, 1, groups=4 * 1), (16, 7, 7)
    absorbed = lower(random_module([block], 0), shape, "litert", "fp32")
    assert "TRANSPOSE" not in absorbed.parity.operators
    kept = lower(random_module([MBConv(16, 16, 3, 2, 1, groups=8)], 0), shape, "litert", "fp32")
    assert kept.parity.operators["TRANSPOSE"] == 1
    assert kept.parity.partitions == 1


def test_hard_swish_is_kept_on_request():
    block, shape = MBConv(8, 8, 3, 1, 3, activation="hswish"), (8, 6, 6)
    module, images = random_module([block], 0), random_calibration(shape, 4, 1)
    for precision, partitions in (("fp32", 1), ("int8", 3)):
        native = lower(module, shape, "litert", precision, calibration=images, hswish="native")
        assert native.parity.operators["HARD_SWISH"] == 2
        assert native.parity.partitions == partitions  # reported, not refused: phones may do better
        plain = lower(module, shape, "litert", precision, calibration=images)
        assert "HARD_SWISH" not in plain.parity.operators
        first, second = (runtimes.run(m.model, "litert", images) for m in (native, plain))
        assert np.abs(first - second).max() < (1e-5 if precision == "fp32" else 0.1) * np.abs(first).max()


@pytest.mark.parametrize("size", range(5, 13))
@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
def test_stride_two_pads_like_pytorch(kernel, size):
    shape = (2, size, size + 3)
    lowered = lower(random_module([Conv(2, 3, kernel, 2, "none")], 0), shape, "litert", "fp32")
    assert lowered.parity.max_error < 1e-5
