"""Fake quantisation against the real int8 models of the exporter."""

from __future__ import annotations

import dataclasses
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn
from training_helpers import StopAfter, make_int8_hard, same, small_network, state

from hwnas import data, export, known, runtimes, train
from hwnas.blocks import (
    LRASPP,
    Conv,
    ConvPool,
    FPNSum,
    FusedMBConv,
    Head,
    LateHead,
    MBConv,
    MBStage,
    PooledContext,
    ShuffleUnit,
    Skip,
    UniversalInvertedBottleneck,
    layers,
)
from hwnas.errors import TrainingError
from hwnas.export import parity
from hwnas.space import IMAGE
from hwnas.train import qat
from hwnas.train.rounding import Activation

CONFIG = train.TrainConfig(epochs=1, batch_size=64, learning_rate=0.1)
NETWORKS = {
    "same": [Conv(3, 16, 3, 2, padding="same"), MBConv(16, 24, 5, 2, padding="same"), Head(24, 32, 10)],
    "uib": [
        Conv(3, 16, 3, 2),
        UniversalInvertedBottleneck(16, 16, 3, 5, 1, 2),
        LateHead(16, 32, 24, 10, "relu", is_normed=True),
    ],
    "fused": [Conv(3, 16), FusedMBConv(16, 16, 3, 1, 2), FusedMBConv(16, 24, 3, 2, 2), Head(24, 32, 10)],
    "relu6": [Conv(3, 16, activation="relu6"), MBConv(16, 16, activation="relu6"), Head(16, 32, 10)],
    "squeeze": [Conv(3, 16, activation="hswish"), MBConv(16, 24, se_ratio=0.25, stride=2), Head(24, 32, 10)],
    "hswish": [
        Conv(3, 16, activation="hswish"),
        MBConv(16, 16, se_ratio=0.25, activation="hswish"),
        Head(16, 32, 10, activation="hswish"),
    ],
    "shuffle": [Conv(3, 16), MBConv(16, 32, groups=2), MBConv(32, 32, groups=8), Head(32, 32, 10)],
    "unit": [Conv(3, 16), ShuffleUnit(16, 16), ShuffleUnit(16, 32, stride=2), Head(32, 32, 10)],
    "pool": [ConvPool(3, 16, stride=1), ShuffleUnit(16, 32, stride=2), ShuffleUnit(32, 32), Head(32, 32, 10)],
    "skip": [Conv(3, 16), Skip(16, 24, activation="none"), MBStage(24, 24, layers=2), Head(24, 32, 10)],
}


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", resolution=8)


@pytest.fixture(scope="module")
def few(digits):
    """Enough where it does not matter how much is learnt."""
    return dataclasses.replace(digits, train=digits.sample("train", 256))


@pytest.fixture(scope="module")
def images(digits):
    return digits.normalize(digits.sample("train", 128).images)


def answers(network, images):
    with torch.no_grad():
        return network.eval()(torch.from_numpy(images)).numpy()


def rounded(module, images, runtime_name="litert"):
    network = qat.Rounded(module, runtime_name)
    network.calibrate(torch.from_numpy(images))
    return network


@pytest.mark.parametrize("name", NETWORKS)
def test_without_rounding_it_computes_what_the_network_computes(name, images):
    module = export.random_module(NETWORKS[name], seed=1)
    network = qat.Rounded(module)
    for part in network.modules():
        part.exact = True
    np.testing.assert_allclose(answers(network, images), answers(module, images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("runtime_name", export.RUNTIMES)
@pytest.mark.parametrize("name", NETWORKS)
def test_rounding_is_that_of_the_exported_model(name, runtime_name, images):
    """What int8 changes in a feature map, the imitation changes as well, to a step here and there."""
    module = export.random_module(NETWORKS[name][:2], seed=1)
    model = export.lower(module, (3, 8, 8), runtime_name, "int8", calibration=images, check=False).model
    real = runtimes.run(model, runtime_name, images)
    network = rounded(module, images, runtime_name)
    imitated = answers(network, images)
    noise = np.square(real - answers(module, images)).mean()
    assert np.square(real - imitated).mean() < 0.1 * noise
    last = [part for part in network.modules() if isinstance(part, Activation)][-1]
    steps = np.abs(real - imitated) / (float(last.bounds()[1]) / 255)
    assert steps.max() < 3.5
    assert (steps > 0.5).mean() < 0.05


@pytest.mark.parametrize("runtime_name", export.RUNTIMES)
def test_one_concatenation_after_another_is_rounded_as_it_is_there(runtime_name, images):
    """In LiteRT the later ones take over the levels of the earlier ones, in ONNX Runtime they do not."""
    blocks = [ConvPool(3, 16, stride=1), ShuffleUnit(16, 32, stride=2), *(ShuffleUnit(32, 32),) * 2]
    module = export.random_module(blocks, seed=1)
    model = export.lower(module, (3, 8, 8), runtime_name, "int8", calibration=images, check=False).model
    real = runtimes.run(model, runtime_name, images)
    other = next(name for name in export.RUNTIMES if name != runtime_name)
    misses = [
        np.square(real - answers(rounded(module, images, n), images)).mean() for n in (runtime_name, other)
    ]
    assert misses[0] < 0.1 * np.square(real - answers(module, images)).mean()
    assert misses[0] < misses[1] / 3


DECODERS = {
    "lraspp": ([Conv(3, 8, 3, 2), LRASPP((3, 8), 16, 5, 2)], ((IMAGE,), (IMAGE, 0)), 0.2),
    "fpnsum": ([Conv(3, 8, 3, 2), FPNSum((3, 8), 16, 5)], ((IMAGE,), (IMAGE, 0)), 0.6),
    "pooled": ([PooledContext(3, 16, 5, 2)], ((IMAGE,),), 0.1),
}
"""With the share of int8's noise that may differ: what is resized by two lies midway between two levels at
one place of twenty, and is rounded up there by LiteRT, and to the even one here."""


@pytest.mark.parametrize("runtime_name", export.RUNTIMES)
@pytest.mark.parametrize("name", DECODERS)
def test_decoders_are_rounded_as_the_exported_model_is(name, runtime_name, images):
    parts, reads, most = DECODERS[name]
    module = export.random_module(parts, 1, reads)
    model = export.lower(module, (3, 8, 8), runtime_name, "int8", calibration=images, check=False).model
    real, exact = runtimes.run(model, runtime_name, images), answers(module, images)
    network = rounded(module, images, runtime_name)
    imitated = answers(network, images)
    assert np.square(real - imitated).mean() < most * np.square(real - exact).mean()
    last = [part for part in network.modules() if isinstance(part, Activation)][-1]
    assert np.abs(real - imitated).max() < 3.5 * float(last.bounds()[1]) / 255


@pytest.mark.parametrize("activation", ["relu", "hswish"])
def test_what_is_resized_keeps_its_levels(activation, images):
    torch.manual_seed(0)
    module = nn.Sequential(*layers.conv_bn(3, 4, 1, activation=activation), layers.Resize(2))
    network = rounded(module, images)
    before = [part for part in network.modules() if isinstance(part, Activation)][-2]
    steps = answers(network, images) / (float(before.bounds()[1]) / 255)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)


def test_several_outputs_are_rounded_each(images):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)

        def forward(self, x):
            first = self.first(x)
            return first, self.second(first)

    found = rounded(Two().eval(), images)(torch.from_numpy(images))
    assert [tuple(each.shape) for each in found] == [(128, 4, 8, 8), (128, 2, 8, 8)]
    assert all(len(each.unique()) <= 256 for each in found)


@pytest.mark.slow
def test_a_shufflenet_is_fine_tuned_to_what_its_int8_model_gives(digits, images):
    """The whole baseline: its accuracy under rounding is that of the exported model."""
    module = train.new_network(known.load("shufflenetv2-0.5", resolution=8, num_classes=10), 0)
    train.fit(module, digits, dataclasses.replace(CONFIG, epochs=4))
    result = qat.fine_tune(module, digits, qat.recipe(CONFIG, 1), images)
    assert result.val.value > 0.5, "the case must be one where something was learnt"
    assert int8_accuracy(module, digits, images) == pytest.approx(result.val.value, abs=0.02)


def test_parameters_are_shared_learn_and_are_there_once(images):
    module = export.random_module(NETWORKS["hswish"], seed=1)
    network = rounded(module, images)
    assert {id(p) for p in network.parameters()} == {id(p) for p in module.parameters()}
    assert len(network.state_dict()) == len({v.data_ptr() for v in network.state_dict().values()})
    network.train()(torch.from_numpy(images)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


def test_batch_norm_statistics_stay(few, images):
    module = small_network()
    train.fit(module, few, CONFIG)
    before = {name: b.clone() for name, b in module.named_buffers()}
    weights = state(module)
    qat.fine_tune(module, few, qat.recipe(CONFIG, 1), images)
    assert all(torch.equal(before[name], b) for name, b in module.named_buffers())
    assert not same(weights, state(module))


def test_unknown_layers_are_named():
    with pytest.raises(TrainingError, match="every layer, but got Softplus"):
        qat.Rounded(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Softplus()))
    with pytest.raises(TrainingError, match="every layer, but got BatchNorm2d"):
        qat.Rounded(nn.Sequential(nn.BatchNorm2d(3)))


def test_a_resumed_fine_tuning_equals_an_uninterrupted_one_bit_for_bit(few, images, tmp_path):
    start = small_network()
    train.fit(start, few, CONFIG)
    config = qat.recipe(CONFIG, 2)
    whole, cut, resumed = (deepcopy(start) for _ in range(3))
    path = tmp_path / "checkpoint.safetensors"
    qat.fine_tune(whole, few, config, images)
    with pytest.raises(KeyboardInterrupt):
        qat.fine_tune(cut, few, config, images, checkpoint=path, on_epoch=StopAfter(1))
    qat.fine_tune(resumed, few, config, images, checkpoint=path)
    assert same(state(whole), state(resumed))


@pytest.mark.slow
def test_fine_tuning_heals_what_calibration_alone_loses(digits, images):
    module = small_network()
    train.fit(module, digits, dataclasses.replace(CONFIG, epochs=5))
    make_int8_hard(module, factor=40)
    before = train.evaluate(module, digits).value
    calibrated = int8_accuracy(module, digits, images)
    qat.fine_tune(module, digits, qat.recipe(CONFIG, 4), images)
    healed = int8_accuracy(module, digits, images)
    assert calibrated < before - 0.1, "the case must be one where int8 loses visibly"
    assert healed > (calibrated + before) / 2, "at least half of the loss is made good"


def test_what_comes_out_is_on_the_grid_of_int8(digits, images):
    """fp32 then computes with the weights of the int8 model: only activations differ."""
    module = small_network()
    train.fit(module, digits, CONFIG)
    make_int8_hard(module, factor=40)
    model = export.lower(module, (3, 8, 8), "litert", "int8", calibration=images, check=False).model
    _, coarse = parity.differences(answers(module, images), runtimes.run(model, "litert", images))
    qat.fine_tune(module, digits, qat.recipe(CONFIG, 1), images)
    lowered = export.lower(module, (3, 8, 8), "litert", "int8", calibration=images)
    assert lowered.parity.sqnr_db > coarse + 5


def int8_accuracy(module, digits, images):
    model = export.lower(module, (3, 8, 8), "litert", "int8", calibration=images, check=False).model
    logits = runtimes.run(model, "litert", digits.normalize(digits.val.images))
    return (logits.argmax(1) == digits.val.labels).mean()
