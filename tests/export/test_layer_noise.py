"""Signal-to-noise ratios by layer, measured through LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hwnas.blocks import Head, MBConv
from hwnas.export import lower, noise, parity, random_calibration, random_module
from hwnas.runtimes import run

SHAPE = (16, 12, 12)


@pytest.fixture(scope="module")
def images():
    return random_calibration(SHAPE, 6, 2)


def network():
    blocks = [MBConv(16, 16, 3, 1, 3, activation="relu"), MBConv(16, 24, 3, 2, 3), Head(24, 32, 10)]
    return random_module(blocks, 1)


@pytest.fixture(scope="module")
def found(images):
    return noise.of_layers(network(), SHAPE, images)


def test_every_layer_is_told_in_running_order(found):
    assert [item.kind for item in found[:3]] == ["conv", "depthwise", "conv"]
    assert [item.layer for item in found[:3]] == ["0.body.0", "0.body.3", "0.body.6"]
    assert found[0].macs == 16 * 48 * 12 * 12
    assert found[-1].layer == "y"
    assert set(found[0].to_json()) == {"layer", "kind", "macs", "whole_db", "own_db"}


def test_noise_adds_up(found, images):
    """Layers that are rounded one by one leave about the noise that they leave together."""
    module = network()
    expected = parity.answers(module, images)
    model = lower(module, SHAPE, "litert", "int8", calibration=images).model
    whole_db = parity.differences(expected, run(model, "litert", images))[1]
    assert found[-1].whole_db == pytest.approx(whole_db, abs=0.5)
    together_db = -10 * np.log10(sum(item.share for item in found))
    assert together_db == pytest.approx(whole_db, abs=3)
    assert all(item.own_db > whole_db - 1 for item in found)


def test_a_layer_that_was_broken_is_the_one_that_is_found(images):
    module = network()
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    convs = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    with torch.no_grad():  # one channel of one tensor is 300 times what it was
        norms[0].weight[0] *= 300
        norms[0].bias[0] *= 300
        convs[1].weight[0] /= 300
    broken = noise.of_layers(module, SHAPE, images)
    worst = min(broken, key=lambda item: item.own_db)
    assert worst.layer == "0.body.0"
    healed = noise.of_layers(module, SHAPE, images, remedies=("equalise",))
    assert healed[0].own_db > worst.own_db + 10


def test_layers_are_named_before_each_is_tried(images):
    seen = []
    told = noise.of_layers(network(), SHAPE, images, on_layer=seen.append)
    assert seen == [f"layer {n} of {len(told)}: {item.layer}" for n, item in enumerate(told, start=1)]
