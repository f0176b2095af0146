"""Equalisation and bias correction: the function stays, and int8 gets better where they are for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hwnas import runtimes
from hwnas.blocks import Head, MBConv
from hwnas.errors import ExportError
from hwnas.export import _trace, lower, parity, random_calibration, random_module, tflite
from hwnas.export._biases import corrected
from hwnas.export._equalised import equalised
from hwnas.export._graph import Conv

SHAPE = (16, 12, 12)
RUNTIMES = ("litert", "onnxruntime")


def network(activation):
    blocks = [MBConv(16, 24, 3, 1, 3, activation=activation), MBConv(24, 24, 5, 2, 3, activation=activation)]
    return random_module([*blocks, Head(24, 32, 10)], 1)


@torch.no_grad()
def made_hostile(module, seed=0):
    """The same function, with channels of every expansion up to a hundred times as large as others."""
    rng = np.random.default_rng(seed)
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    convs = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    for norm, after in zip(norms, convs[1:], strict=False):
        if after.groups == 1 or after.groups != norm.num_features:
            continue
        factors = torch.from_numpy(10 ** rng.uniform(-1, 1, norm.num_features).astype(np.float32))
        norm.weight.mul_(factors)
        norm.bias.mul_(factors)
        after.weight.div_(factors.reshape(-1, 1, 1, 1))
    return module


def batches(images):
    return (images[:, None],)


def answers(graph, images):
    return runtimes.run(tflite.write(graph), "litert", images)


def sqnr_db(module, model, runtime, images):
    found = parity.differences(parity.answers(module, images), runtimes.run(model, runtime, images))[1]
    assert found is not None
    return found


@pytest.mark.parametrize("activation", ["relu", "relu6", "hswish"])
@pytest.mark.parametrize("hostile", [False, True])
def test_equalisation_leaves_the_function_as_it_was(activation, hostile):
    module, images = network(activation), random_calibration(SHAPE, 8, 2)
    if hostile and activation == "relu":
        made_hostile(module)
    graph = _trace.trace(module, (1, *SHAPE), native_hswish=False)
    other = equalised(graph, batches(images))
    assert any(
        not np.array_equal(one.weight, two.weight)
        for one, two in zip(graph.nodes, other.nodes, strict=True)
        if isinstance(one, Conv)
    )
    unseen = random_calibration(SHAPE, 8, 3)
    for given in (images, unseen):
        before, after = answers(graph, given), answers(other, given)
        assert np.abs(after - before).max() <= 1e-5 * np.abs(before).max()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_equalisation_heals_channels_of_unlike_size(runtime):
    images = random_calibration(SHAPE, 8, 2)
    module = made_hostile(network("relu"))
    plain, healed = (
        lower(module, SHAPE, runtime, "int8", calibration=images, remedies=remedies, check=False).model
        for remedies in ((), ("equalise",))
    )
    assert sqnr_db(module, healed, runtime, images) > sqnr_db(module, plain, runtime, images) + 6


def test_relu6_is_left_alone_where_its_cap_is_near():
    module, images = network("relu6"), 30 * random_calibration(SHAPE, 4, 2)
    graph = _trace.trace(module, (1, *SHAPE), native_hswish=False)
    first = next(node for node in equalised(graph, batches(images)).nodes if isinstance(node, Conv))
    assert np.array_equal(first.weight, graph.nodes[0].weight), "all of its channels reach 6"


def test_a_bias_takes_off_what_rounded_weights_add():
    module, images = network("relu"), np.abs(random_calibration(SHAPE, 8, 2)) + 1
    graph = _trace.trace(module, (1, *SHAPE), native_hswish=False)
    other = corrected(graph, batches(images), {graph.nodes[1].result.name})
    moved = [
        not np.array_equal(one.bias, two.bias)
        for one, two in zip(graph.nodes, other.nodes, strict=True)
        if isinstance(one, Conv)
    ]
    assert moved[0]
    assert not moved[1]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_bias_correction_centres_the_answers(runtime):
    """Images far off zero: there, what rounding adds has one sign."""
    module, images = network("relu"), np.abs(random_calibration(SHAPE, 16, 2)) + 3
    expected = parity.answers(module, images)
    off = []
    for remedies in ((), ("bias",)):
        model = lower(
            module, SHAPE, runtime, "int8", calibration=images, remedies=remedies, check=False
        ).model
        error = runtimes.run(model, runtime, images) - expected
        off.append(np.abs(error.mean(axis=0)).mean())
    assert off[1] < 0.8 * off[0]


def test_an_unknown_remedy_is_refused():
    images = random_calibration(SHAPE, 2, 2)
    with pytest.raises(ExportError, match="a remedy must be one of"):
        lower(network("relu"), SHAPE, "litert", "int8", calibration=images, remedies=("pills",))
