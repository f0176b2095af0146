"""No network trains a strided 1x1 convolution: oneDNN's kernel writes outside its memory there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from convolutions import Recorder
from torch import nn
from torch.nn import functional

from hwnas import blocks, spaces
from hwnas.blocks import Conv, ConvPool, FusedMBConv, MBConv, MBStage, ShuffleUnit, Skip
from hwnas.blocks.layers import StridedPointwise
from hwnas.evaluators.supernet.network import Supernet, proxy_space
from hwnas.export import lower, random_calibration, random_module
from hwnas.space import Workload
from hwnas.train.qat import Rounded

STRIDED = [
    Workload(Skip(8, 16, 2), (8, 9, 8)),
    Workload(Skip(16, 24, 3, "none"), (16, 7, 7)),
    Workload(Conv(8, 16, 1, 2), (8, 9, 9)),
    Workload(ConvPool(3, 8, 1, 2), (3, 32, 32)),
    Workload(MBConv(8, 16, 1, 2, 2.0, se_ratio=0.25), (8, 9, 8)),
    Workload(MBConv(8, 16, 1, 2, 2.0, groups=2), (8, 9, 8)),
    Workload(FusedMBConv(8, 16, 1, 2, 2.0), (8, 9, 8)),
    Workload(MBStage(8, 16, 2, 1, 2), (8, 9, 9)),
    Workload(ShuffleUnit(8, 16, 1, 2), (8, 9, 8)),
]
IDS = Workload.key


def as_before(module: nn.Module) -> nn.Module:
    """A copy in which every strided 1x1 convolution is the one layer of torch that it stands for."""

    def replaced(layer: nn.Module) -> nn.Module:
        if not isinstance(layer, StridedPointwise):
            for name, child in layer.named_children():
                setattr(layer, name, replaced(child))
            return layer
        plain = nn.Conv2d(
            layer.in_channels, layer.out_channels, 1, layer.step, groups=layer.groups, bias=False
        )
        plain.load_state_dict(layer.state_dict())
        return plain

    return replaced(deepcopy(module))


def ran(arguments: list[str]) -> dict[str, object]:
    program = Path(__file__).with_name("convolutions.py")
    done = subprocess.run(
        [sys.executable, str(program), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # threads wait for each other where CPUs are busy
    )
    assert done.returncode == 0, f"training ended with {done.returncode}: {done.stderr[-2000:]}"
    return json.loads(done.stdout)


@pytest.mark.slow
def test_every_convolution_of_every_space_trains_and_none_is_strided_pointwise():
    found = ran(["2", "4"])
    assert found["refused"] == []
    assert found["ran"] > 300


@pytest.mark.slow
def test_every_convolution_trains_at_the_size_of_real_batches():
    assert ran(["32", "28"])["refused"] == []


def test_the_recorder_sees_what_is_refused():
    """Otherwise the test above could not fail."""
    x, dense, grouped = torch.randn(2, 16, 4, 4), torch.randn(16, 16, 1, 1), torch.randn(16, 2, 1, 1)
    with Recorder() as recorder:
        functional.conv2d(x, dense, None, 2)
        functional.conv2d(x, grouped, None, (1, 2), groups=8)
        functional.conv2d(x, dense)
        functional.conv2d(x, torch.randn(16, 16, 3, 3), None, 2)
    assert sorted(recorder.strided_pointwise) == [((16, 2, 1, 1), (1, 2), 8), ((16, 16, 1, 1), (2, 2), 1)]


@pytest.mark.parametrize("workload", STRIDED, ids=IDS)
def test_picking_pixels_first_changes_nothing(workload: Workload):
    module = random_module([workload.block], seed=0).train()
    plain = as_before(module)
    assert list(module.state_dict()) == list(plain.state_dict())
    assert sum(isinstance(m, StridedPointwise) for m in module.modules()) >= 1
    ours, theirs = (torch.randn(4, *workload.in_shape).requires_grad_() for _ in range(2))
    with torch.no_grad():
        theirs.copy_(ours)
    with Recorder() as recorder:
        out = module(ours)
        out.square().sum().backward()
    assert recorder.strided_pointwise == []
    expected = plain(theirs)
    expected.square().sum().backward()
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(ours.grad, theirs.grad)
    for mine, other in zip(module.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("runtime", ["litert", "onnxruntime"])
@pytest.mark.parametrize("workload", STRIDED[:1] + STRIDED[5:], ids=IDS)
def test_the_exported_model_is_the_same_file(workload: Workload, runtime: str, precision: str):
    module = random_module([workload.block], seed=0)
    images = random_calibration(workload.in_shape, 2, seed=1)
    ours, theirs = (
        lower(m, workload.in_shape, runtime, precision, calibration=images, check=False).model
        for m in (module, as_before(module))
    )
    assert ours == theirs


@pytest.mark.parametrize("workload", STRIDED, ids=IDS)
def test_training_under_rounding_does_not_run_it_either(workload: Workload):
    module = random_module([workload.block], seed=0)
    x = torch.randn(4, *workload.in_shape, generator=torch.Generator().manual_seed(0))
    with Recorder() as recorder:
        rounded = Rounded(module)
        rounded.calibrate(x)
        answer = rounded(x)
        answer.sum().backward()
    assert recorder.found
    assert recorder.strided_pointwise == []
    plain = Rounded(as_before(module))
    plain.calibrate(x)
    off = (answer - plain(x)).abs() > 1e-5
    assert off.float().mean() < 0.01, "sums in another order fall on the other side of a step now and then"


def test_a_supernet_of_narrow_skips_trains():
    space = proxy_space(spaces.load("fbnet-r64-c10"), width=0.5, resolution=32)
    net = Supernet(space, seed=0)
    skips = [len(choice.candidates) - 1 for choice in space.choices]
    rows = np.array([skips, [0] * len(skips)])
    with Recorder() as recorder:
        for row in rows:
            net(torch.randn(2, *space.input_shape), row.tolist()).sum().backward()
    assert recorder.strided_pointwise == []
    kinds = [type(m) for m in blocks.build(space.architecture(skips).blocks).modules()]
    assert StridedPointwise in kinds
