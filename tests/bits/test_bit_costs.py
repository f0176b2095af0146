"""Rows of layers and switches add up to whole networks, on a machine whose every part is known."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from hwnas import bits, device
from hwnas.bits import rows
from hwnas.bits.costs import PrecisionRows
from hwnas.blocks import Conv, Head, MBConv, Switch
from hwnas.export import random_module
from hwnas.export.mixed import layers_of
from hwnas.space import Workload
from hwnas.spaces import load
from hwnas.tables import places
from hwnas.tables.table import LatencyTable, Round

SHAPE = (3, 16, 16)
STATES = ("int8", "fp32", "16x8")
RATE = dict(zip(STATES, (1.0, 2.0, 7.0), strict=True))
END = dict(zip(STATES, (0.3, 0.1, 0.0), strict=True))
BETWEEN = ((0.0, 0.2, 0.9), (0.3, 0.0, 0.5), (0.8, 0.4, 0.0))
TARGET = device.Target("host", "litert", "int8")


@pytest.fixture(scope="module")
def layers():
    """With a sum of two tensors, which layers of different precisions may have made."""
    module = random_module([Conv(3, 8, 3, 2), MBConv(8, 8, 3, 1, 2), Head(8, 16, 10)], 0)
    return layers_of(module, SHAPE)


class Machine:
    """Layers, ends of files and switches take times that are known."""

    @staticmethod
    def layer(workload, state):
        return 1e-5 * RATE[state] * (workload.macs + 10)

    @staticmethod
    def end(shape, state):
        return 1e-3 * END[state] * np.prod(shape) + 0.01

    @staticmethod
    def between(shape, first, second):
        return 1e-3 * BETWEEN[STATES.index(first)][STATES.index(second)] * np.prod(shape)

    def row(self, workload, state):
        block, shape = workload.block, workload.in_shapes[0]
        if not isinstance(block, Switch):
            ends = (*workload.in_shapes, *workload.out_shapes)
            return self.layer(workload, state) + sum(self.end(end, state) for end in ends)
        small = Workload(block.layer, shape)
        pair = block.precisions
        within = self.between(shape, *pair) + sum(self.layer(small, each) for each in pair)
        return within + sum(self.end(shape, each) for each in pair)

    def network(self, layers, indices):
        """Each tensor is changed for each layer that reads it in another precision than it was made in."""
        states = [STATES[index] for index in indices]
        total = sum(self.layer(layer.workload, state) for layer, state in zip(layers, states, strict=True))
        for number, layer in enumerate(layers):
            for each in layer.reads:
                total += self.between(each.shape, states[each.maker], states[number])
        first, last = layers[0].workload, layers[-1].workload
        return total + self.end(first.in_shapes[0], states[0]) + self.end(last.out_shapes[0], states[-1])

    def table(self, state, workloads):
        target = device.Target("host", "litert", state)
        rounds = []
        for each in workloads:
            kind = "switch" if isinstance(each.block, Switch) else "block"
            rounds += [Round(each.key(), kind, "s", n, (self.row(each, state),)) for n in range(3)]
        return LatencyTable(target, {}, rounds)

    def tables(self, layers, states=STATES):
        return {state: self.table(state, found) for state, found in rows.wanted(layers, states).items()}


def test_layers_of_a_network_know_what_they_read(layers):
    assert [layer.name for layer in layers] == ["0.0", "1.body.0", "1.body.3", "1.body.6", "2.0", "y"]
    assert [each.maker for each in layers[3].reads] == [2, 0], "the sum reads what the stem made"
    assert [each.is_weighted for each in layers[3].reads] == [True, False]
    assert layers[5].reads[0].shape == (16, 1, 1), "the mean over places belongs to what made them"
    assert layers[1].workload.key().startswith("plainconv_i8_o16_k1-1")
    assert layers[2].workload.block.groups == 16


@pytest.mark.parametrize("states", [STATES, STATES[:2]])
def test_rows_and_switches_are_the_network(layers, states):
    machine = Machine()
    found = PrecisionRows(machine.tables(layers, states))
    assert found.covers(layers)
    costs = found.costs(layers)
    indices = np.random.default_rng(0).integers(len(states), size=(30, len(layers)))
    truth = [machine.network(layers, row) for row in indices]
    np.testing.assert_allclose(costs.of(indices), truth, rtol=1e-6)
    without = found.costs(layers, with_switches=False).of(indices)
    assert np.abs(without / truth - 1).mean() > 0.1, "ends of rows are counted, switches are not"


def test_tensors_that_were_not_measured_are_between_those_that_were(layers, monkeypatch):
    """What a switch takes on this machine goes by elements, which is what is assumed."""
    machine = Machine()
    monkeypatch.setattr(rows, "_SHAPES", 3)
    found = PrecisionRows(machine.tables(layers))
    measured = len([key for key in found.tables["int8"].measurements if key.startswith("switch")])
    assert measured == 3 * len(STATES) ** 2 < len(rows.edge_shapes(layers)) * len(STATES) ** 2
    indices = np.array(list(product(range(3), repeat=2)))
    indices = np.repeat(indices, 3, axis=1)
    truth = [machine.network(layers, row) for row in indices]
    np.testing.assert_allclose(found.costs(layers).of(indices), truth, rtol=1e-6)


def test_switches_of_another_network_that_were_half_measured_do_no_harm(layers):
    machine = Machine()
    tables = machine.tables(layers)
    more = [Workload(Switch(8, *pair), (8, 40, 40)) for pair in product(STATES, STATES)]
    for each in machine.table("int8", more).rounds:
        tables["int8"].add(each)
    every = np.array([[0, 1, 2, 0, 1, 2]])
    np.testing.assert_allclose(
        PrecisionRows(tables).costs(layers).of(every), machine.network(layers, every[0])
    )


def test_one_missing_row_is_seen(layers):
    tables = Machine().tables(layers)
    rounds = [each for each in tables["fp32"].rounds if each.key != layers[0].workload.key()]
    tables["fp32"] = LatencyTable(tables["fp32"].target, {}, rounds)
    assert not PrecisionRows(tables).covers(layers)


def macro():
    space = load("macro", resolution=16)
    arch = space.architecture([1, 0, 1, 0, 0, 1, 0, 0])
    return arch, layers_of(random_module(arch.blocks, 0, arch.reads), space.input_shape)


def test_prices_are_by_the_best_that_tables_hold(tmp_path):
    arch, found = macro()
    for target in (TARGET, None):
        assert bits.of_target(arch, target, [tmp_path])(found).said == bits.by_macs(found).said
    kept = tuple(int(layer.name in ("1.0", "1.6")) for layer in found)
    for precision, latency_ms in (("int8", 1.0), ("fp32", 3.0)):
        target = device.Target("host", "litert", precision)
        keys = {workload.key() for workload in arch.workloads}
        blocks = [Round(key, "block", "s", n, (latency_ms,)) for key in keys for n in range(3)]
        LatencyTable(target, {}, blocks).save(places.table(tmp_path, target))
    by_blocks = bits.of_target(arch, TARGET, [tmp_path])(found)
    assert "rows of blocks" in by_blocks.said
    assert by_blocks.states == ("int8", "fp32")
    of_block = tuple(int(layer.name.startswith("1.")) for layer in found)
    assert by_blocks.added_ms(of_block) == pytest.approx(2.0), "3 ms of the block in fp32, 1 in int8"
    assert 0 < by_blocks.added_ms(kept) < 2.0
    machine, own = Machine(), tmp_path / "own"
    for table in machine.tables(found).values():
        table.save(places.table(own, table.target))
    by_layers = bits.of_target(arch, TARGET, [tmp_path, own])(found)
    assert "layers and switches" in by_layers.said
    assert by_layers.states == STATES[:2], "16x8 is dearer than fp32 for every layer"
    truth = machine.network(found, kept) - machine.network(found, (0,) * len(found))
    assert by_layers.added_ms(kept) == pytest.approx(truth)
    assert bits.by_macs(found).added_ms(kept) is None
