"""Every block kind and some networks, in both precisions, against PyTorch on each runtime."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from installed import needs
from torch import nn

from hwnas import blocks, runtimes, spaces
from hwnas.blocks import (
    Conv,
    ConvPool,
    FusedMBConv,
    Head,
    LateHead,
    MBConv,
    ShuffleUnit,
    Skip,
    UniversalInvertedBottleneck,
)
from hwnas.errors import ExportError
from hwnas.export import lower, parity, random_calibration, random_module

RUNTIMES = ("litert", "onnxruntime")
EACH = (*RUNTIMES, pytest.param("executorch", marks=needs("executorch")))
DELEGATING = ("litert", "executorch")

WORKLOADS = [
    (Conv(3, 16, 3, 2), (3, 15, 15)),
    (Conv(3, 16, 3, 2, "hswish"), (3, 32, 24)),
    (Conv(6, 8, 5, 1, "none"), (6, 9, 9)),
    (Conv(1, 8, 3, 2, "relu6"), (1, 28, 28)),
    (MBConv(16, 16, 3, 1, 1), (16, 14, 14)),
    (MBConv(16, 24, 5, 2, 3), (16, 7, 7)),
    (MBConv(16, 24, 5, 2, 3), (16, 14, 14)),
    (MBConv(12, 12, 7, 1, 6, activation="relu6"), (12, 9, 13)),
    (MBConv(12, 20, 7, 2, 6), (12, 16, 10)),
    (MBConv(16, 16, 3, 1, 1, groups=2), (16, 14, 14)),
    (MBConv(16, 24, 5, 2, 1, groups=2), (16, 15, 15)),
    (MBConv(16, 16, 3, 1, 3, groups=2, activation="hswish"), (16, 8, 8)),
    (MBConv(16, 16, 3, 1, 3, groups=8), (16, 8, 6)),
    (MBConv(16, 16, 5, 1, 3, se_ratio=0.25), (16, 10, 10)),
    (MBConv(16, 24, 3, 2, 6, se_ratio=0.25, activation="hswish"), (16, 14, 14)),
    (MBConv(16, 16, 3, 1, 1, activation="relu6", has_expansion=False), (16, 8, 8)),
    (Skip(16, 24, 2), (16, 14, 14)),
    (Skip(16, 24, 2, "none"), (16, 7, 7)),
    (Skip(16, 16), (16, 8, 8)),
    (Head(24, 64, 10), (24, 7, 7)),
    (Head(24, 64, 10, "hswish"), (24, 3, 5)),
    (LateHead(24, 64, 48, 10), (24, 3, 5)),
    (LateHead(24, 64, 48, 10, "relu", is_normed=True), (24, 3, 5)),
    (UniversalInvertedBottleneck(16, 16, 3, 5, 1, 3), (16, 10, 9)),
    (UniversalInvertedBottleneck(16, 24, 5, 0, 2, 3, padding="same"), (16, 10, 8)),
    (FusedMBConv(16, 16, 3, 1, 3, "relu6"), (16, 10, 9)),
    (FusedMBConv(16, 24, 5, 2, 2, padding="same"), (16, 10, 8)),
    (ConvPool(3, 16), (3, 32, 32)),
    (ConvPool(3, 16, 5, 1, "relu6"), (3, 15, 12)),
    (ShuffleUnit(16, 16), (16, 8, 8)),
    (ShuffleUnit(16, 40, 3, 2), (16, 10, 9)),
]

MOBILENET_V2 = [  # its strides and expansions, at a third of its widths
    Conv(3, 12, 3, 2, "relu6"),
    MBConv(12, 8, 3, 1, 1, activation="relu6", has_expansion=False),
    MBConv(8, 8, 3, 2 - 1, 6, activation="relu6"),
    MBConv(8, 12, 3, 2, 6, activation="relu6"),
    MBConv(12, 12, 3, 1, 6, activation="relu6"),
    MBConv(12, 20, 3, 2, 6, activation="relu6"),
    MBConv(20, 32, 3, 1, 6, activation="relu6"),
    MBConv(32, 56, 3, 2, 6, activation="relu6"),
    Head(56, 128, 10, "relu6"),
]


def answers(module: nn.Module, images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module(torch.from_numpy(images)).numpy()


def sqnr_db(expected: np.ndarray, actual: np.ndarray) -> float:
    return float(10 * np.log10(np.square(expected).sum() / np.square(expected - actual).sum()))


@pytest.mark.parametrize("runtime_name", EACH)
@pytest.mark.parametrize(("block", "shape"), WORKLOADS, ids=lambda v: v.key() if hasattr(v, "key") else None)
def test_blocks_compute_what_pytorch_computes(block, shape, runtime_name):
    module = random_module([block], seed=1)
    images = random_calibration(shape, 6, seed=2)
    expected = answers(module, images)

    exact = lower(module, shape, runtime_name, "fp32")
    actual = runtimes.run(exact.model, runtime_name, images)
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= 1e-5 * np.abs(expected).max()

    small = lower(module, shape, runtime_name, "int8", calibration=images)
    assert sqnr_db(expected, runtimes.run(small.model, runtime_name, images)) > 25
    assert small.parity.float_operators == ()
    assert small.parity.partitions == (1 if runtime_name in DELEGATING else None)


@pytest.mark.parametrize(
    ("block", "shape"), WORKLOADS[4:16], ids=lambda v: v.key() if hasattr(v, "key") else None
)
def test_both_int8_runtimes_agree_to_one_step(block, shape):
    module = random_module([block], seed=3)
    images = random_calibration(shape, 4, seed=4)
    first, second = (
        runtimes.run(lower(module, shape, name, "int8", calibration=images).model, name, images)
        for name in RUNTIMES
    )
    step = np.diff(np.unique(first)).min()
    assert np.abs(first - second).max() <= 1.01 * step


NETWORKS = {
    "macro": spaces.load("macro").architecture([1, 0, 2, 0, 1, 0, 2, 1]),
    **{  # the seeds are of networks whose answers differ between images, untrained as they are
        name: spaces.load(f"{name}-r32-c10-cifar").sample(np.random.default_rng(seed))
        for name, seed in (("fbnet", 0), ("mobilenetv3", 3), ("ofa", 0))
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("runtime_name", EACH)
@pytest.mark.parametrize("name", [*NETWORKS, "mobilenet_v2"])
def test_networks_compute_what_pytorch_computes(name, runtime_name):
    specification = MOBILENET_V2 if name == "mobilenet_v2" else NETWORKS[name].blocks
    module = random_module(specification, seed=5)
    images = random_calibration((3, 32, 32), 8, seed=6)
    expected = answers(module, images)
    assert np.abs(expected - expected.mean(axis=0)).max() > 1e-2  # the image matters

    exact = lower(module, (3, 32, 32), runtime_name, "fp32")
    assert (
        np.abs(runtimes.run(exact.model, runtime_name, images) - expected).max()
        <= 1e-5 * np.abs(expected).max()
    )

    small = lower(module, (3, 32, 32), runtime_name, "int8", calibration=images)
    assert sqnr_db(expected, runtimes.run(small.model, runtime_name, images)) > 20


def test_trained_networks_in_training_mode_are_lowered_as_in_eval_mode_and_left_alone():
    module = nn.Sequential(random_module(NETWORKS["macro"].blocks[:3], seed=0), nn.Sequential(nn.Identity()))
    module.train()
    module(torch.randn(4, 3, 32, 32))  # moves the running statistics, as training does
    module[0][0].eval()
    modes = [layer.training for layer in module.modules()]
    before = {name: value.clone() for name, value in module.state_dict().items()}

    lowered = lower(module, (3, 32, 32), "litert", "fp32")

    assert [layer.training for layer in module.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    images = random_calibration((3, 32, 32), 2, seed=0)
    expected = answers(module.eval(), images)
    errors = np.abs(runtimes.run(lowered.model, "litert", images) - expected)
    assert errors.max() <= 1e-5 * np.abs(expected).max()


class Entangled(nn.Module):
    """Layers called twice, values read twice, activations that cannot be fused."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.depthwise = nn.Conv2d(4, 8, 3, padding=1, groups=4)
        self.mix = nn.Conv2d(8, 4, 1)
        self.relu, self.relu6 = nn.ReLU(), nn.ReLU6()
        self.gate, self.swish = nn.Hardsigmoid(), nn.Hardswish()
        self.nothing = nn.Identity()

    def forward(self, x):
        first = self.conv(x)
        second = self.conv(self.relu6(self.nothing(first)))
        third = self.relu(self.relu6(second) + first) * self.gate(first)
        third += self.mix(self.swish(self.depthwise(third)))
        return self.relu(third) + self.relu(first)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("runtime_name", RUNTIMES)
def test_reused_layers_and_values(runtime_name, precision):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = Entangled().eval()
    images = random_calibration((4, 6, 5), 4, 1)
    lowered = lower(module, (4, 6, 5), runtime_name, precision, calibration=images)
    actual, expected = runtimes.run(lowered.model, runtime_name, images), answers(module, images)
    assert sqnr_db(expected, actual) > (100 if precision == "fp32" else 25)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("runtime_name", RUNTIMES)
def test_batches_give_what_single_images_give(runtime_name, precision):
    block, shape = WORKLOADS[14]
    module, images = random_module([block], 0), random_calibration(shape, 7, 1)
    one, three = (
        lower(module, shape, runtime_name, precision, calibration=images, batch=batch) for batch in (1, 3)
    )
    expected = runtimes.run(one.model, runtime_name, images)
    actual = runtimes.run(three.model, runtime_name, images)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


HASHES = """
import hashlib
from hwnas.blocks import MBConv
from hwnas.export import lower, random_calibration, random_module
module = random_module([MBConv(8, 8, 3, 1, 3, groups=2, se_ratio=0.25, activation="hswish")], 0)
images = random_calibration((8, 6, 6), 4, 1)
for runtime in ("litert", "onnxruntime"):
    for precision in ("fp32", "int8"):
        model = lower(module, (8, 6, 6), runtime, precision, calibration=images).model
        print(hashlib.sha256(model).hexdigest())
"""


@pytest.mark.slow
def test_same_weights_give_the_same_bytes_in_any_process_without_a_word(capsys):
    exec(HASHES, {})
    here = capsys.readouterr().out
    there = subprocess.run(
        [sys.executable, "-W", "error", "-c", HASHES],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stderr == ""  # no greeting, progress bar, log or warning
    assert there.stdout == here
    assert len(set(here.split())) == 4


def test_random_modules_depend_on_the_seed_alone():
    block = MBConv(8, 8, se_ratio=0.5)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, again, other = (random_module([block], seed).state_dict() for seed in (7, 7, 8))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(first[name], again[name]) for name in first)
    weights = [name for name in first if not name.endswith("num_batches_tracked")]
    random_ones = [name for name in weights if first[name].std() > 0]
    assert not any(torch.equal(first[name], other[name]) for name in random_ones)
    assert len(random_ones) > len(weights) / 2
    np.testing.assert_array_equal(
        random_calibration((3, 4, 4), 5, 0)[:2], random_calibration((3, 4, 4), 2, 0)
    )


@pytest.mark.parametrize(
    ("module", "named"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 1), nn.Tanh()), "Tanh"),
        (nn.Conv2d(3, 4, 3, dilation=2, padding=2), "dilat"),
        (nn.Conv2d(3, 4, 3, padding="same"), "padded"),
        (nn.Sequential(nn.Identity(), nn.BatchNorm2d(3)), "batch norm"),
        (nn.AdaptiveAvgPool2d(2), "pooling"),
        (nn.Flatten(1), "flattening"),
    ],
)
def test_unknown_layers_are_named(module, named):
    with pytest.raises(ExportError, match=named):
        lower(module, (3, 8, 8), "litert", "fp32")


class Exponential(nn.Module):
    def forward(self, x):
        return torch.exp(x)


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else x + x


class Scaled(nn.Module):
    def forward(self, x):
        return torch.add(x, x, alpha=3)


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1))

    def forward(self, x):
        return self.pool(x) + x


class Nested(nn.Module):
    def forward(self, x):
        return x, (x, x)


@pytest.mark.parametrize(
    ("module", "named"),
    [
        (Exponential(), "exp"),
        (Branching(), "branch"),
        (Nested(), "one tensor"),
        (Scaled(), "add"),
        (Mixed(), "shapes"),
    ],
)
def test_unknown_operations_are_named(module, named):
    with pytest.raises(ExportError, match=named):
        lower(module, (3, 8, 8), "onnxruntime", "fp32")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"runtime": "tflite"}, "runtime must be one of"),
        ({"precision": "fp16"}, "precision must be one of"),
        ({"hswish": "exact"}, "hswish must be one of"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"input_shape": (4, 8, 8)}, "must be given 3 channels"),
        ({"precision": "int8"}, "must have calibration images"),
        ({"precision": "int8", "calibration": np.ones((0, 3, 8, 8), np.float32)}, "must have calibration"),
        ({"precision": "int8", "calibration": np.ones((2, 3, 8, 9), np.float32)}, "must be of shape"),
        ({"precision": "int8", "calibration": np.full((2, 3, 8, 8), np.nan, np.float32)}, "must be finite"),
        ({"precision": "int8", "calibration": np.zeros((2, 3, 8, 8), np.float32)}, "not all zero"),
    ],
)
def test_bad_requests_are_refused(changes, message):
    request = {"input_shape": (3, 8, 8), "runtime": "litert", "precision": "fp32", **changes}
    with pytest.raises(ExportError, match=message):
        lower(blocks.build([Conv(3, 4)]), **request)


def test_weights_that_are_not_finite_are_refused():
    module = random_module([Conv(3, 4)], 0)
    with torch.no_grad():
        module[0][0].weight[0, 0, 0, 0] = np.inf
    with pytest.raises(ExportError, match="finite"):
        lower(module, (3, 8, 8), "litert", "fp32")


def test_reports_say_what_runs():
    block = MBConv(8, 8, 3, 1, 3)
    lowered = lower(random_module([block], 0), (8, 6, 6), "litert", "fp32")
    assert lowered.suffix == ".tflite"
    assert lowered.parity.to_json() == {
        "runtime": "litert",
        "precision": "fp32",
        "images": 1,
        "max_error": lowered.parity.max_error,
        "sqnr_db": lowered.parity.sqnr_db,
        "operators": {"ADD": 1, "CONV_2D": 2, "DEPTHWISE_CONV_2D": 1},
        "partitions": 1,
        "float_operators": (),
    }
    assert lowered.parity.max_error < parity.FP32_TOLERANCE
    assert lower(random_module([block], 0), (8, 6, 6), "onnxruntime", "fp32", check=False).parity is None


@pytest.mark.slow
@pytest.mark.parametrize("runtime_name", RUNTIMES)
@pytest.mark.parametrize("seed", range(3))
def test_imagenet_networks(seed, runtime_name):
    architecture = spaces.load("fbnet").sample(np.random.default_rng(seed))
    module, images = random_module(architecture.blocks, seed), random_calibration((3, 224, 224), 4, seed)
    exact = lower(module, (3, 224, 224), runtime_name, "fp32")
    small = lower(module, (3, 224, 224), runtime_name, "int8", calibration=images)
    assert exact.parity.max_error < 1e-5
    assert small.parity.sqnr_db > parity.least_sqnr_db(70)
