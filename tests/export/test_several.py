"""Models of several inputs or outputs, and what decoders are made of, against PyTorch on each runtime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from installed import needs, overflows_in_int8
from torch import nn

from hwnas import runtimes
from hwnas.blocks import LRASPP, Conv, FPNSum, MBConv, PooledContext, layers
from hwnas.errors import ExportError, ParityError
from hwnas.export import lower, parity, random_calibration, random_module
from hwnas.export import onnx as onnx_writer
from hwnas.export._trace import trace
from hwnas.runtimes import litert
from hwnas.space import IMAGE

EACH = ("litert", "onnxruntime", pytest.param("executorch", marks=needs("executorch")))
ALL = (*EACH, pytest.param("openvino", marks=needs("openvino")))  # which compiles for long
DELEGATING = ("litert", "executorch")
FLOATS = {"litert": set(), "executorch": set(), "onnxruntime": {"Resize"}}
"""What may be computed in float in an int8 model."""
DECODERS = [
    (LRASPP((8, 24), 16, 5, 2), ((8, 8, 12), (24, 4, 6))),
    (LRASPP((8, 24), 16, 2, 4, 2, "relu"), ((8, 8, 8), (24, 2, 2))),
    (FPNSum((8, 16, 24), 16, 3), ((8, 8, 12), (16, 4, 6), (24, 2, 3))),
    (PooledContext(24, 16, 3), (24, 5, 4)),
    (PooledContext(24, 16, 3, 4, "hswish"), (24, 3, 4)),
]


def keyed(value):
    return value.key() if hasattr(value, "key") else None


def images_of(shape):
    return random_calibration(shape, 6, 2)


def float_and_int8(module, shape, runtime_name):
    """Reports on both; raises where the answers of one are not PyTorch's."""
    exact = lower(module, shape, runtime_name, "fp32")
    small = lower(module, shape, runtime_name, "int8", calibration=images_of(shape))
    return exact.parity, small.parity


@pytest.mark.parametrize("runtime_name", EACH)
@pytest.mark.parametrize(("block", "shape"), DECODERS, ids=keyed)
def test_decoders_compute_what_pytorch_computes(block, shape, runtime_name):
    module = random_module([block], 1, ((IMAGE,),))
    exact, small = float_and_int8(module, shape, runtime_name)
    assert exact.max_error < 1e-5
    assert small.sqnr_db > 25
    assert {name.split()[0] for name in small.float_operators} <= FLOATS[runtime_name]
    assert small.partitions == (1 if runtime_name in DELEGATING else None)


@pytest.mark.parametrize(("block", "shape"), DECODERS, ids=keyed)
def test_decoders_keep_more_in_16_bits(block, shape):
    module = random_module([block], 1, ((IMAGE,),))
    found = lower(module, shape, "litert", "16x8", calibration=images_of(shape))
    assert found.parity.float_operators == ()
    assert found.parity.sqnr_db > 36


SEGMENTER = (
    [Conv(3, 8, 3, 2), MBConv(8, 16, 3, 2, 3), LRASPP((8, 16), 16, 5, 2)],
    ((IMAGE,), (0,), (0, 1)),
)


@pytest.mark.parametrize("runtime_name", ALL)
def test_a_decoder_in_a_network_reads_what_it_must(runtime_name):
    parts, reads = SEGMENTER
    exact, small = float_and_int8(random_module(parts, 1, reads), (3, 16, 24), runtime_name)
    assert exact.max_error < 1e-5
    assert small.sqnr_db > 20


class Heads(nn.Module):
    """Two inputs; outputs of two sizes, of which one is read on, and one is as large as a hundred of it."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(3, 6, 1)
        self.large = nn.Conv2d(6, 4, 1)
        self.resize, self.pool = layers.Resize(2), nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
        with torch.no_grad():
            self.large.weight.mul_(100)

    def forward(self, fine, coarse):
        joined = self.left(fine) + self.resize(self.right(coarse))
        return joined, self.large(joined), self.pool(joined)


HEADS = ((4, 8, 6), (3, 4, 3))


@pytest.fixture(scope="module")
def heads():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Heads().eval()


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("runtime_name", ALL)
def test_each_output_is_what_pytorch_answers(heads, runtime_name, precision, batch):
    if (runtime_name, precision) == ("openvino", "int8") and overflows_in_int8():
        with pytest.raises(ParityError, match="those of openvino's output 0 have"):  # it is not shipped
            lower(heads, HEADS, runtime_name, precision, calibration=images_of(HEADS), batch=batch)
        return
    images = images_of(HEADS)
    lowered = lower(heads, HEADS, runtime_name, precision, calibration=images, batch=batch)
    found, expected = runtimes.run(lowered.model, runtime_name, images), parity.answers(heads, images)
    assert [each.shape for each in found] == [(6, 6, 8, 6), (6, 4, 8, 6), (6, 6)]
    least = 100 if precision == "fp32" else 30
    assert all(parity.differences(*pair)[1] > least for pair in zip(expected, found, strict=True))
    assert lowered.parity.partitions == (1 if runtime_name in DELEGATING else None)


def test_ends_have_names_in_their_order(heads):
    model = lower(heads, HEADS, "litert", "int8", calibration=images_of(HEADS)).model
    signature = litert.interpreter(model).get_signature_list()["serving_default"]
    assert signature == {"inputs": ["x", "x1"], "outputs": ["y", "y1", "y2"]}
    assert list(litert.quantization(model)) == ["input", "input1", "output", "output1", "output2"]
    graph = onnx.load_from_string(lower(heads, HEADS, "onnxruntime", "fp32").model).graph
    assert [[end.name for end in ends] for ends in (graph.input, graph.output)] == [
        ["x", "x1"],
        ["y", "y1", "y2"],
    ]


@pytest.mark.parametrize("runtime_name", ["litert", "onnxruntime"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_fault_in_one_output_is_found_and_told(heads, runtime_name, precision):
    """However large the others are."""
    images = images_of(HEADS)
    model = lower(heads, HEADS, runtime_name, precision, calibration=images).model

    class Wrong(nn.Module):
        def forward(self, fine, coarse):
            first, second, third = heads(fine, coarse)
            return first, second, third.flip(1)

    with pytest.raises(ParityError, match=f"{runtime_name}'s output 2"):
        parity.check(Wrong(), model, runtime_name, precision, images)


def test_outputs_of_other_number_or_shape_are_told():
    one, other = np.ones((2, 3), np.float32), np.ones((2, 4), np.float32)
    assert parity.differences((one, other), (one, other + 0.5)) == (0.5, pytest.approx(6.02, abs=0.01))
    with pytest.raises(ParityError, match="must be 2 outputs, but there are 1"):
        parity.differences((one, one), one)
    with pytest.raises(ParityError, match=r"must be of shape \(2, 3\), but got \(2, 4\)"):
        parity.differences((one, one), (one, other))


class Unchanged(nn.Module):
    """What goes in comes out, twice."""

    def forward(self, x):
        return x, x


@pytest.mark.parametrize("runtime_name", EACH)
def test_what_goes_in_may_come_out(runtime_name):
    images = images_of((3, 4, 4))
    model = lower(Unchanged(), (3, 4, 4), runtime_name, "fp32").model
    for found in runtimes.run(model, runtime_name, images):
        np.testing.assert_allclose(found, images, atol=1e-6)


class Joining(nn.Module):
    """Channels of several convolutions side by side, some of which others read as well."""

    def __init__(self, parts):
        super().__init__()
        self.parts = nn.ModuleList(nn.Conv2d(3, 2 + n, 1) for n in range(parts))
        self.behind = nn.Conv2d(sum(2 + n for n in range(parts)), 4, 1)

    def forward(self, x):
        made = [part(x) for part in self.parts]
        return self.behind(torch.cat(made, 1)), made[0] * made[0]


@pytest.mark.parametrize("runtime_name", EACH)
@pytest.mark.parametrize("parts", [3, 4])
def test_two_to_four_tensors_are_joined(runtime_name, parts):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        exact, small = float_and_int8(Joining(parts).eval(), (3, 6, 5), runtime_name)
    assert exact.max_error < 1e-5
    assert small.partitions == (1 if runtime_name in DELEGATING else None)
    assert small.float_operators == ()


def test_more_are_not():
    with pytest.raises(ExportError, match="of two to 4 tensors"):
        lower(Joining(5), (3, 6, 5), "litert", "fp32")


@pytest.mark.parametrize("runtime_name", EACH)
@pytest.mark.parametrize(("factor", "size"), [(2, (1, 1)), (2, (3, 5)), (3, (4, 2)), (8, (1, 2))])
def test_resizing_looks_between_centres_of_pixels(factor, size, runtime_name):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = nn.Sequential(nn.Conv2d(3, 5, 1), layers.Resize(factor)).eval()
    exact, small = float_and_int8(module, (3, *size), runtime_name)
    assert exact.max_error < 1e-5
    assert small.sqnr_db > 28


@pytest.mark.parametrize("runtime_name", EACH)
def test_a_dead_branch_is_resized_and_added(runtime_name):
    """Its levels are widened to what the sum can take, on both sides of the resizing."""
    decoder = random_module([FPNSum((8, 16), 16, 3)], 1, ((IMAGE,),))
    shape = ((8, 8, 6), (16, 4, 3))
    with torch.no_grad():
        for layer in decoder[0].project[1]:
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.mul_(1e-6)
                layer.bias.mul_(1e-6)
    _, small = float_and_int8(decoder, shape, runtime_name)
    assert small.partitions == (1 if runtime_name in DELEGATING else None)
    assert small.sqnr_db > 25


@pytest.mark.parametrize(("precision", "version"), [("fp32", 3), ("int8", 3), ("16x8", 4)])
def test_resizing_is_written_as_runtimes_want_it(precision, version):
    module, shape = nn.Sequential(nn.Conv2d(3, 5, 1), layers.Resize(2)).eval(), (3, 4, 6)
    content = lower(module, shape, "litert", precision, calibration=images_of(shape)).model
    model = schema.ModelT.InitFromPackedBuf(content)
    codes = {code.builtinCode: code.version for code in model.operatorCodes}
    assert codes[schema.BuiltinOperator.RESIZE_BILINEAR] == version
    graph = model.subgraphs[0]
    resize = next(
        op for op in graph.operators if op.builtinOptionsType == schema.BuiltinOptions.ResizeBilinearOptions
    )
    assert resize.builtinOptions.halfPixelCenters
    assert not resize.builtinOptions.alignCorners
    ends = [graph.tensors[index].quantization for index in (resize.inputs[0], resize.outputs[0])]
    if precision != "fp32":
        assert ends[0].scale == ends[1].scale
        assert ends[0].zeroPoint == ends[1].zeroPoint
    written = onnx_writer.write(trace(module, (1, *shape), native_hswish=False))
    onnx.checker.check_model(written, full_check=True)


@pytest.mark.parametrize(
    ("shape", "given", "message"),
    [
        (HEADS, images_of(HEADS)[0], r"as many for each of 2 inputs, but got \[6\]"),
        (
            HEADS,
            (images_of(HEADS)[0], images_of(HEADS)[1][:3]),
            r"as many for each of 2 inputs, but got \[6, 3\]",
        ),
        (HEADS, images_of(HEADS)[::-1], r"must be of shape \(n, \(4, 8, 6\)\), but got \(6, 3, 4, 3\)"),
        (HEADS, (), "must have calibration images"),
        (HEADS[0], images_of(HEADS[0]), "must take 1 tensors here and not branch on them, but Heads"),
    ],
)
def test_what_does_not_fit_the_inputs_is_refused(heads, shape, given, message):
    with pytest.raises(ExportError, match=message):
        lower(heads, shape, "litert", "int8", calibration=given)


def test_images_must_be_as_the_inputs_of_the_file(heads):
    model, images = lower(heads, HEADS, "litert", "fp32").model, images_of(HEADS)
    for wrong in (images[0], images[::-1], (images[0], images[1][:3])):
        with pytest.raises(ExportError, match="images must be as many of each of the shapes"):
            runtimes.run(model, "litert", wrong)
