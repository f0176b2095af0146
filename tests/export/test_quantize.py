"""Calibration takes true extremes, and degenerate networks stay exact."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from installed import needs
from torch import nn

from hwnas import runtimes
from hwnas.blocks import Head, MBConv
from hwnas.errors import ExportError
from hwnas.export import lower, random_calibration, random_module
from hwnas.export._ranges import usable
from hwnas.export._trace import trace
from hwnas.runtimes import litert

SHAPE = (16, 10, 10)
RUNTIMES = ("litert", "onnxruntime")


@pytest.mark.parametrize("runtime_name", RUNTIMES)
def test_an_atypical_first_image_does_not_decide_the_ranges(runtime_name):
    """A moving average that starts at the first image loses some 20 dB here."""
    module = random_module([MBConv(24, 24, 3, 1, 6, activation="relu6")], 0)
    images = random_calibration((24, 14, 14), 8, 1)
    images[0] *= 0.05
    first, last = (
        lower(module, (24, 14, 14), runtime_name, "int8", calibration=order)
        for order in (images, images[::-1])
    )
    assert first.model == last.model
    rest = images[1:]
    with torch.no_grad():
        expected = module(torch.from_numpy(rest)).numpy()
    noise = expected - runtimes.run(first.model, runtime_name, rest)
    assert 10 * np.log10(np.square(expected).sum() / np.square(noise).sum()) > 30


def test_ranges_are_the_extremes_over_all_images():
    module, images = random_module([MBConv(16, 16, 3, 1, 3)], 0), random_calibration(SHAPE, 5, 1)
    model = lower(module, SHAPE, "litert", "int8", calibration=images).model
    scale, zero_point = litert.interpreter(model).get_input_details()[0]["quantization"]
    assert scale == pytest.approx((images.max() - images.min()) / 255, rel=1e-6)
    assert zero_point == round(-128 - images.min() / scale)


@pytest.mark.parametrize("runtime_name", RUNTIMES)
def test_the_root_logger_is_left_alone(runtime_name):
    root = logging.getLogger()
    before = root.handlers[:], root.level
    module, images = random_module([MBConv(16, 16, 3, 1, 3)], 0), random_calibration(SHAPE, 2, 1)
    lower(module, SHAPE, runtime_name, "int8", calibration=images)
    assert (root.handlers, root.level) == before


def _norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    return [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]


def _scale_all(factor: float):
    def damage(module):
        for norm in _norms(module):
            norm.weight.mul_(factor)
            norm.bias.mul_(factor)

    return damage


def _bias_alone(module):
    for norm in _norms(module):
        norm.weight.zero_()
        norm.bias.uniform_(-1, 1, generator=torch.Generator().manual_seed(0))


def _half_constant(module):
    for norm in _norms(module):
        norm.weight[::2] = 0
        norm.bias[::2] = torch.linspace(-2, 2, len(norm.bias[::2]))


def _half_dead(module):
    for norm in _norms(module):
        norm.weight[::2] = 0
        norm.bias[::2] = 0


def _dead_expansion(module):
    _norms(module)[0].bias.fill_(-100)


def _dead_squeeze(module):
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            layer.bias.fill_(-50 if layer.out_channels < layer.in_channels else 1)


def _silent_classifier(module):
    layer = next(layer for layer in module.modules() if isinstance(layer, nn.Linear))
    layer.weight.zero_()


DAMAGES = {
    "all zero": _scale_all(0),
    "denormal": _scale_all(1e-39),
    "tiny": _scale_all(1e-12),
    "bias alone": _bias_alone,
    "half constant": _half_constant,
    "half dead": _half_dead,
    "dead expansion": _dead_expansion,
    "dead squeeze": _dead_squeeze,
    "silent classifier": _silent_classifier,
}


@pytest.mark.parametrize("runtime_name", [*RUNTIMES, pytest.param("executorch", marks=needs("executorch"))])
@pytest.mark.parametrize("activation", ["relu", "hswish"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_degenerate_networks_stay_exact(damage, activation, runtime_name):
    """Known to abort the process, or to saturate biases, without the care of _ranges."""
    squeeze = 0.25 if damage == "dead squeeze" else 0.0
    network = [
        MBConv(16, 16, 3, 1, 3, se_ratio=squeeze, activation=activation),
        MBConv(16, 24, 3, 2, 3, se_ratio=squeeze, activation=activation),
        Head(24, 32, 10),
    ]
    module, images = random_module(network, 1), random_calibration(SHAPE, 4, 2)
    with torch.no_grad():
        DAMAGES[damage](module)
        expected = module(torch.from_numpy(images)).numpy()
    lowered = lower(module, SHAPE, runtime_name, "int8", calibration=images)
    actual = runtimes.run(lowered.model, runtime_name, images)
    assert np.abs(actual - expected).max() <= 0.05 * np.abs(expected).max()
    assert lowered.parity.partitions in (1, None)


def test_constant_images_are_enough():
    module = random_module([MBConv(16, 16, 3, 1, 3)], 0)
    lower(module, SHAPE, "litert", "int8", calibration=np.full((1, *SHAPE), 3, np.float32))


def test_activations_that_int8_cannot_add_are_refused():
    """LiteRT's kernel would abort the process."""
    module, images = random_module([MBConv(16, 16, activation="hswish")], 0), random_calibration(SHAPE, 2, 0)
    with torch.no_grad():
        _norms(module)[0].weight.mul_(1e7)
    with pytest.raises(ExportError, match="must be comparable to the sum"):
        lower(module, SHAPE, "litert", "int8", calibration=images)


def test_ordinary_ranges_are_not_touched():
    module, images = random_module([MBConv(16, 16, se_ratio=0.25)], 0), random_calibration(SHAPE, 2, 0)
    graph = trace(module, (1, *SHAPE), native_hswish=False)
    ranges = {tensor.name: (-1.0, 2.0) for tensor in (*graph.sources, *(n.result for n in graph.nodes))}
    assert usable(graph, ranges) == ranges
    assert images.std() == pytest.approx(1, abs=0.1)
