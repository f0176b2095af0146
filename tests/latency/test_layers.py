"""Layers of any width: the staircase is found, and sums corrected by whole networks foretell others."""

from __future__ import annotations

import numpy as np
import pytest
from layered_device import TARGET, Device, at, lite_layers, random_widths

from hwnas import blocks
from hwnas.budget import Budget
from hwnas.errors import LatencyModelError
from hwnas.latency.bayes.layered import Layered
from hwnas.latency.layers import BlockLayer, LayerRows
from hwnas.latency.nearby import Nearby
from hwnas.latency.workloads import parse_workload
from hwnas.search.decode import decode
from hwnas.search.problem import Constraint, Problem, relative_budget
from hwnas.space import Workload
from hwnas.tables.rounds import Round
from hwnas.tables.table import LatencyTable


@pytest.fixture(scope="module")
def setting():
    layers, full = lite_layers()
    device, rng = Device(), np.random.default_rng(1)
    table = device.table(layers, full, 4)
    channels = np.array([random_widths(rng, full) for _ in range(60)])
    taken = np.array([device.network_ms(layers, row) for row in channels])
    return layers, full, table, channels, taken, device


@pytest.fixture(scope="module")
def model(setting):
    layers, _, table, channels, taken, _ = setting
    return Layered.fit(table, layers, channels[:20], taken[:20])


def test_the_steps_of_the_device_are_found(model):
    stairs = model.rows.staircase
    assert (stairs.inward, stairs.outward, stairs.depthwise) == (8, 16, 16)
    assert model.rows.error < 0.06


def test_other_networks_are_foretold_within_two_and_a_half_percent(setting, model):
    _, _, _, channels, taken, _ = setting
    found = model.predict(channels[20:])
    off = np.abs(found.mean_ms / taken[20:] - 1)
    assert off.mean() <= 0.025
    inside = np.abs(found.mean_ms - taken[20:]) <= 1.645 * found.std_ms
    assert inside.mean() >= 0.75  # 90 % are meant
    uncorrected = sum(alone for alone, _ in model._alone(channels[20:]))
    assert np.abs(uncorrected / taken[20:] - 1).mean() > 3 * off.mean()


def test_costs_of_pairs_are_the_predictions(setting, model):
    _, full, _, _, _, _ = setting
    widths = [sorted({max(4, int(n * share) // 4 * 4) for share in (0.3, 0.6, 1.0)}) for n in full]
    cost = model.costs(widths)
    assert cost.sizes == tuple(map(len, widths))
    assert not cost.is_additive
    indices = np.stack([np.random.default_rng(2).integers(0, size, 50) for size in cost.sizes], axis=1)
    channels = np.array([[own[i] for own, i in zip(widths, row, strict=True)] for row in indices])
    assert cost.of(indices) == pytest.approx(model.predict(channels).mean_ms)


def test_the_best_widths_under_a_budget_are_decoded(setting, model):
    class Widths:
        name = "widths"
        sizes: tuple[int, ...]

    _, full, _, _, _, _ = setting
    widths = [sorted({max(4, int(n * share) // 4 * 4) for share in (0.3, 0.5, 0.75, 1.0)}) for n in full]
    cost, space = model.costs(widths), Widths()
    space.sizes = cost.sizes
    problem = Problem(space, (Constraint(Budget("host", relative_budget(cost, 0.5)), cost),))
    found = decode([np.sqrt(own) for own in widths], problem)
    assert found.gap == 0
    assert problem.feasible(np.array([found.indices]))[0]


def test_rows_stand_as_they_were_measured(setting, model):
    layers, full, table, _, _, _ = setting
    workloads = [at(layer, full) for layer in layers]
    assert model.rows.latency_ms(workloads) == pytest.approx([table.lookup_ms(w) for w in workloads])
    assert all(map(model.rows.is_measured, workloads))
    assert model.rows.latency_ms([Workload(blocks.Skip(8, 8), (8, 4, 4))])[0] == 0


@pytest.mark.slow
def test_what_is_wrong_of_some_widths_is_taken_from_others_of_the_same_layer(setting):
    """A kernel that is slow on one shape: a regression over all layers cannot know."""
    layers, full, _, _, _, device = setting

    def slow(*widths):
        return {w.key(): 3 * device.alone_ms(w) for w in (layers[1].workload_at(n, n) for n in widths)}

    others = device.table(layers, full, 4).of_kind("block").items()
    odd, hidden = slow(8, 16, 24, 32), slow(12, 20, 28)
    taken = {key: m.latency_ms for key, m in others if key not in hidden} | odd
    rounds = (Round(key, "block", "s", 0, (ms,)) for key, ms in taken.items())
    rows = LayerRows.fit(LatencyTable(TARGET, {}, rounds))
    found = rows.latency_ms([parse_workload(key) for key in hidden])
    assert np.abs(found / list(hidden.values()) - 1).mean() < 0.2  # without: 2/3
    assert rows.error < 0.1


def test_layers_of_another_shape_say_nothing():
    known = tuple(Workload(blocks.PlainConv(n, n), (n, 8, 8)) for n in (8, 16, 32))
    near = Nearby(known, np.log([1.5, 1.5, 1.5]), 1, 2.0)
    there, elsewhere = (
        Workload(blocks.PlainConv(24, 24), (24, 8, 8)),
        Workload(blocks.PlainConv(24, 24), (24, 9, 9)),
    )
    assert near.at([there, elsewhere]) == pytest.approx([np.log(1.5), 0.0], abs=0.02)


@pytest.mark.slow
def test_without_networks_the_sum_stands(setting):
    layers, full, table, channels, _, _ = setting
    model = Layered.fit(table, layers, channels[:0], np.zeros(0))
    alone = sum(table.lookup_ms(at(layer, full)) for layer in layers)
    assert model.predict(full).mean_ms[0] == pytest.approx(alone)


def test_a_layer_is_one_block_with_other_channels():
    plain = BlockLayer(Workload(blocks.PlainConv(8, 8, groups=8), (8, 12, 12)), 0, 0)
    assert plain.workload_at(6, 6).key() == blocks.PlainConv(6, 6, groups=6).key() + "@6x12x12"
    dense = BlockLayer(Workload(blocks.PlainConv(8, 4), (8, 12, 12)), 0, 1)
    assert (dense.in_channels, dense.out_channels) == (8, 4)
    summed = BlockLayer(Workload(blocks.Sum((8, 8)), ((8, 12, 12), (8, 12, 12))), 0, 0)
    assert summed.workload_at(6, 6) == Workload(blocks.Sum((6, 6)), ((6, 12, 12), (6, 12, 12)))
    assert dense.workload_at(6, 2).block == blocks.PlainConv(6, 2)


def test_what_cannot_be_fitted_is_refused(setting):
    layers, full, table, channels, taken, device = setting
    with pytest.raises(LatencyModelError, match="positive latency each"):
        Layered.fit(table, layers, channels[:3], taken[:2])
    with pytest.raises(LatencyModelError, match="at least 20 measured ones"):
        LayerRows.fit(device.table(layers[:3], full, 1))
