"""int8 files in which some layers stay in another precision, through LiteRT and ONNX Runtime themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hwnas import runtimes
from hwnas.blocks import Head, MBConv
from hwnas.errors import ExportError, ParityError
from hwnas.export import _trace, lower, parity, random_calibration, random_module
from hwnas.export._layers import Mixed, layers
from hwnas.runtimes import litert

SHAPE = (16, 12, 12)
RUNTIMES = ("litert", "onnxruntime")


@pytest.fixture(scope="module")
def module():
    blocks = [
        MBConv(16, 16, 3, 1, 3, activation="relu6"),
        MBConv(16, 24, 3, 2, 3, se_ratio=0.25, activation="hswish"),
        Head(24, 32, 10),
    ]
    return random_module(blocks, 1)


@pytest.fixture(scope="module")
def images():
    return random_calibration(SHAPE, 8, 2)


def names(module):
    return [layer.name for layer in layers(_trace.trace(module, (1, *SHAPE), native_hswish=False))]


def sqnr_db(module, model, runtime, images):
    found = parity.differences(parity.answers(module, images), runtimes.run(model, runtime, images))[1]
    assert found is not None
    return found


def test_every_node_is_of_one_layer(module):
    graph = _trace.trace(module, (1, *SHAPE), native_hswish=False)
    found = layers(graph)
    assert [node for layer in found for node in layer.nodes] == list(graph.nodes)
    assert len(found) == graph.depth
    assert {layer.kind for layer in found} == {"conv", "depthwise", "linear"}
    assert found[0].macs == 16 * 48 * 12 * 12


def test_layers_need_weights():
    with pytest.raises(ExportError, match="must have weights"):
        layers(_trace.trace(torch.nn.Sigmoid(), (1, *SHAPE), native_hswish=False))


@pytest.mark.parametrize("number", range(10))
def test_litert_computes_a_kept_layer_in_float_and_all_others_whole(module, images, number):
    known = names(module)
    lowered = lower(module, SHAPE, "litert", "int8", calibration=images, kept={known[number]: "fp32"})
    assert lowered.parity.partitions == 1
    floats = {name.partition(" (")[2].removesuffix(")") for name in lowered.parity.float_operators}
    assert floats & set(known) == {known[number]}


@pytest.mark.parametrize("number", range(10))
def test_onnx_runtime_computes_a_kept_layer_in_float_and_all_others_whole(module, images, number):
    """It would round a lone layer's weights by itself, with one step for all channels."""
    known = names(module)
    lowered = lower(module, SHAPE, "onnxruntime", "int8", calibration=images, kept={known[number]: "fp32"})
    count = lowered.parity.operators
    assert sum(count.get(name, 0) for name in ("Conv", "FusedConv", "Gemm", "FusedGemm")) == 1
    assert count.get("QLinearConv", 0) + count.get("QGemm", 0) == len(known) - 1


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_all_layers_kept_are_the_float_network(module, images, runtime):
    kept = dict.fromkeys(names(module), "fp32")
    lowered = lower(module, SHAPE, runtime, "int8", calibration=images, kept=kept)
    assert sqnr_db(module, lowered.model, runtime, images) > 90


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_nothing_kept_is_the_same_file(module, images, runtime):
    files = {
        lower(module, SHAPE, runtime, "int8", calibration=images, kept=kept, check=False).model
        for kept in (None, {})
    }
    assert len(files) == 1


@pytest.mark.parametrize(("chosen", "end"), [(slice(3), "input"), (slice(-1, None), "output")])
def test_an_end_is_float_where_what_reads_or_makes_it_is_kept(module, images, chosen, end):
    """The first block adds what it reads to what it makes: the input has two readers."""
    kept = dict.fromkeys(names(module)[chosen], "fp32")
    model = lower(module, SHAPE, "litert", "int8", calibration=images, kept=kept).model
    assert {"input", "output"} - set(litert.quantization(model)) == {end}


def test_layers_in_16x8_are_whole_and_leave_the_delegate(module, images):
    """XNNPACK has no such kernels: the report says in how many parts the network runs."""
    known = names(module)
    lowered = lower(module, SHAPE, "litert", "int8", calibration=images, kept={known[4]: "16x8"})
    assert lowered.parity.partitions == 2
    assert lowered.parity.float_operators == ()
    finer = lower(module, SHAPE, "litert", "int8", calibration=images, kept=dict.fromkeys(known, "16x8"))
    plain = lower(module, SHAPE, "litert", "int8", calibration=images)
    gained = sqnr_db(module, finer.model, "litert", images) - sqnr_db(module, plain.model, "litert", images)
    assert gained > 1, "what is left is that of int8 weights"


def test_a_layer_that_is_float_and_was_not_kept_is_refused(module, images):
    known = names(module)
    model = lower(
        module, SHAPE, "litert", "int8", calibration=images, kept=dict.fromkeys(known[2:4], "fp32")
    ).model
    graph = _trace.trace(module, (1, *SHAPE), native_hswish=False)
    with pytest.raises(ParityError, match=f"computes? in integers throughout.*{known[3]}"):
        parity.check(
            module, model, "litert", "int8", images, depth=9, mixed=Mixed.of(graph, {known[2]: "fp32"})
        )


@pytest.mark.parametrize(
    ("runtime", "precision", "kept", "said"),
    [
        ("litert", "int8", {"nope": "fp32"}, "kept layers must be of 0.body.0, .* but got nope"),
        ("litert", "int8", {"y": "fp8"}, "the precision of y must be one of"),
        ("onnxruntime", "int8", {"y": "16x8"}, "the precision of y must be one of"),
        ("executorch", "int8", {"y": "fp32"}, "int8 of executorch is none"),
        ("litert", "16x8", {"y": "fp32"}, "16x8 of litert is none"),
    ],
)
def test_what_cannot_be_mixed_is_refused(module, images, runtime, precision, kept, said):
    with pytest.raises(ExportError, match=said):
        lower(module, SHAPE, runtime, precision, calibration=images, kept=kept)


def test_answers_stay_right_with_half_of_the_layers_kept(module, images):
    kept = dict.fromkeys(names(module)[::2], "fp32")
    found = [
        runtimes.run(lower(module, SHAPE, name, "int8", calibration=images, kept=kept).model, name, images)
        for name in RUNTIMES
    ]
    expected = parity.answers(module, images)
    assert all(np.abs(each - expected).max() < 0.06 * np.abs(expected).max() for each in found)
