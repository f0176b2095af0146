"""The step of a device is read off the latencies of one layer, noise and all."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas import blocks
from hwnas.errors import LatencyModelError
from hwnas.latency.staircase import STEPS, WORK, Staircase, read_step, rounded_up
from hwnas.space import Workload

WIDTHS = np.arange(16, 193, 4)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("noise", [0.0, 0.01, 0.02])
def test_the_step_is_read_off_noisy_rows(step, noise):
    rng = np.random.default_rng([step, int(100 * noise)])
    for _ in range(5):
        truth = 0.02 + 0.001 * rounded_up(WIDTHS, step) + 0.0002 * WIDTHS
        found = read_step(WIDTHS, truth * np.exp(noise * rng.normal(size=len(WIDTHS))))
        assert found.step == step
        assert set(found.errors) == set(STEPS)


def test_noise_alone_is_no_step():
    rng = np.random.default_rng(0)
    found = [read_step(WIDTHS, np.exp(0.02 * rng.normal(size=len(WIDTHS)))).step for _ in range(40)]
    assert np.mean(np.array(found) == 1) >= 0.9


def test_widths_that_show_no_step_are_refused():
    with pytest.raises(LatencyModelError, match="several within a step"):
        read_step(np.arange(64, 641, 64), np.linspace(1, 2, 10))
    with pytest.raises(LatencyModelError, match="several within a step"):
        read_step([4, 8, 12, 16], [1.0, 1.0, 2.0, 2.0])
    with pytest.raises(LatencyModelError, match="positive latency each"):
        read_step(WIDTHS, np.zeros(len(WIDTHS)))


def test_widths_of_eights_tell_of_longer_steps_only():
    widths = np.arange(8, 257, 8)
    found = read_step(widths, 0.01 + 0.001 * rounded_up(widths, 16))
    assert found.step == 16
    assert 8 not in found.errors


def test_work_counts_channels_that_are_not_there():
    dense = Workload(blocks.PlainConv(9, 17, (3, 3)), (9, 10, 10))
    stairs = Staircase(8, 16, 32).work(dense)
    assert stairs[WORK.index("conv")] == 100 * 9 * 16 * 32
    assert Staircase().work(dense)[WORK.index("conv")] == dense.macs
    depthwise = Workload(blocks.PlainConv(9, 9, (3, 3), groups=9), (9, 10, 10))
    assert Staircase(8, 16, 32).work(depthwise)[WORK.index("depthwise_3")] == 100 * 9 * 32
    whole = Workload(blocks.MBConv(9, 17, kernel_size=3, expansion_ratio=4.0), (9, 10, 10))
    assert Staircase().work(whole)[: WORK.index("elements")].sum() == whole.macs
