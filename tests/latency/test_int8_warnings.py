"""Traits that int8 does not like are named where tables say so, and only there."""

from __future__ import annotations

import pytest

from hwnas import spaces
from hwnas.device import Target
from hwnas.latency import slow_in_int8
from hwnas.tables.table import LatencyTable, Round

SPACE = spaces.load("mnasnet", resolution=32, num_classes=10, strides="cifar")


def tables(slowdown: float, space=SPACE):
    """int8 is three times as fast, but for squeeze-and-excitation less by this factor."""
    found = []
    for precision in ("int8", "fp32"):
        rounds = []
        for w in space.workloads():
            ms = 0.01 + w.macs / 1e6
            if precision == "int8":
                ms /= 3 / (slowdown if getattr(w.block, "se_ratio", 0) else 1)
            rounds.append(Round(w.key(), "block", "s", 0, (ms,)))
        found.append(LatencyTable(Target("host", "litert", precision), {}, rounds))
    return found


def test_a_trait_that_costs_the_speed_up_is_named():
    (note,) = slow_in_int8(tables(2.0), SPACE)
    assert "squeeze-and-excitation is slow in int8 on host/litert" in note
    assert "50%" in note


@pytest.mark.parametrize("slowdown", [1.0, 0.5])
def test_one_that_does_not_is_not(slowdown):
    assert slow_in_int8(tables(slowdown), SPACE) == ()


def test_without_both_precisions_or_without_the_trait_nothing_is_said():
    assert slow_in_int8(tables(2.0)[:1], SPACE) == ()
    macro = spaces.load("macro-r8-c10")
    assert slow_in_int8(tables(2.0, macro), macro) == ()
