"""The contract tests that others are given find what is broken, and nothing in what comes with hwnas."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from installed import each_runtime

import hwnas
from hwnas import blocks, data, runtimes, search, spaces, tasks, testing
from hwnas.blocks import Conv, Head, MBConv, Skip, ops
from hwnas.device import Device
from hwnas.search.sampling.loop import SamplingStrategy
from hwnas.search.sampling.random import Random, RandomSampler
from hwnas.space import Choice, SearchSpace

MINE = Path(__file__).parents[2] / "examples" / "plugin.py"


@pytest.fixture
def mine():
    hwnas.load_plugins(MINE)
    yield
    hwnas.plugins.forget()


@pytest.fixture(autouse=True)
def _only_here(monkeypatch):
    for table in (blocks.KINDS, spaces.SPACES, tasks.TASKS, runtimes.RUNTIMES, search.STRATEGIES):
        before = dict(table)
        for name in before:
            monkeypatch.setitem(table, name, before[name])
    yield
    hwnas.plugins.forget()


@pytest.mark.usefixtures("mine")
def test_nothing_is_against_a_plugin():
    testing.check_block(blocks.parse("twin_i8_o16_s2"), (8, 9, 7))
    testing.check_space("tiny-r8-c5")
    testing.check_strategy(search.strategy("simple")(queries=8), spaces.load("tiny-r8-c5"))


@pytest.mark.parametrize(
    ("block", "shape"),
    [(MBConv(8, 8, se_ratio=0.25), (8, 7, 7)), (Skip(8, 8), (8, 7, 7)), (Head(8, 16, 10), (8, 4, 4))],
)
def test_blocks_of_hwnas_are_exported_as_well(block, shape):
    testing.check_block(block, shape)


def kind(**members):
    """A kind of block that differs from a convolution in some members."""
    members = {"kind": "odd", "__doc__": "x", "__annotations__": {"kind": ClassVar[str]}, **members}
    made = dataclass(frozen=True)(type("Odd", (Conv,), members))
    blocks.register(made)
    return made(8, 8)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"ops": lambda self, shape: (ops.linear(8, 8),)}, "ops must be those of the module"),
        ({"ops": lambda self, shape: list(Conv(8, 8).ops(shape))}, "ops must be a tuple"),
        ({"ops": lambda self, shape: ()}, "must have operations unless is_identity"),
        ({"macs": lambda self, shape: 1}, "macs must be 2[0-9]+ .*, but are 1"),
        ({"params": lambda self: 1}, "params must be 592 .*, but are 1"),
        ({"out_shape": lambda self, shape: shape}, "must raise SpaceError, but raises nothing"),
        ({"key": lambda self: "odd"}, "the key of .* must work, but raises SpaceError"),
        ({"key": lambda self: "conv_i8_o8_k3_s1_arelu"}, r"must be the block again, but .* gives Conv\("),
        ({"build": lambda self: 1 / 0}, "must work, but raises ZeroDivisionError"),
        ({"build": lambda self: MBConv(8, 8).build()}, "ops must be those of the module"),
    ],
)
def test_a_broken_block_is_found(members, said):
    with pytest.raises(AssertionError, match=said):
        testing.check_block(kind(**members), (8, 6, 6), is_exported=False)


def test_a_layer_that_cannot_be_exported_is_named():
    from torch import nn

    def build(self):
        return nn.Sequential(Conv(8, 8).build(), nn.PReLU())

    with pytest.raises(AssertionError, match=r"to be exported, but 0.1 is a PReLU"):
        testing.check_block(kind(build=build), (8, 6, 6))


def test_a_block_that_nobody_registered_is_found():
    odd = kind()
    del blocks.KINDS["odd"]
    with pytest.raises(AssertionError, match="must be registered, but 'odd' is of None"):
        testing.check_block(odd, (8, 6, 6))


def space(name, head):
    choice = Choice("a", (Conv(3, 8, stride=2), MBConv(3, 8, stride=2)))
    return SearchSpace(name, (3, 8, 8), (), (choice,), (head,))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda r, c: space("macro-r8-c10", Head(8, 8, c)), "must make the same space again"),
        (lambda r, c: space("own", Head(8, 8, c)), "must make the same space again, but 'own'"),
        (
            lambda r, c: space(f"own-r{r}-c10", Head(8, 8, 10)),
            "num_classes must be asked for, but own has 10",
        ),
        (lambda r, c: 1 / 0, "must work, but raises ZeroDivisionError"),
    ],
)
def test_a_broken_space_is_found(make, said):
    def own(resolution: int = 8, num_classes: int = 10):
        return make(resolution, num_classes)

    spaces.register(own)
    with pytest.raises(AssertionError, match=said):
        testing.check_space("own")


class TestStrategies:
    def broken(self, **members):
        made = dataclasses.make_dataclass(
            "Broken", [], bases=(Random,), namespace=members, frozen=True, kw_only=True
        )
        made.name = "broken"
        search.STRATEGIES["broken"] = f"{__name__}:BROKEN"
        globals()["BROKEN"] = made
        return made(queries=6)

    def test_one_of_hwnas(self):
        testing.check_strategy(Random(queries=8))

    def test_one_that_does_not_keep_the_budget_is_found(self):
        def finds_the_largest(self, problem, *rest):
            found = Random.search(Random(queries=4), problem, *rest)
            best = problem.space.architecture([size - 1 for size in problem.space.sizes])
            return dataclasses.replace(found, strategy="broken", best=best)

        with pytest.raises(AssertionError, match="the best must keep every budget"):
            testing.check_strategy(self.broken(search=finds_the_largest))

    def test_one_with_luck_of_its_own_is_found(self):
        class Lucky(RandomSampler):
            def __init__(self, problem, rng):
                super().__init__(problem, np.random.default_rng())

        def sampler(self, problem, rng):
            return Lucky(problem, rng)

        with pytest.raises(AssertionError, match="a seed must find the same again"):
            testing.check_strategy(self.broken(sampler=sampler))

    def test_one_that_refuses_nothing_is_found(self):
        def search_anyway(self, problem, *rest):
            kept = dataclasses.replace(problem, constraints=problem.constraints[:1])
            found = Random.search(Random(queries=4), kept, *rest)
            trials = tuple(kept.described(t.indices, t.quality) for t in found.trials)
            full = tuple(problem.described(t.indices, t.quality) for t in trials)
            return dataclasses.replace(found, strategy="broken", trials=full)

        with pytest.raises(
            AssertionError, match=r"must raise InfeasibleBudget|the best must keep every budget"
        ):
            testing.check_strategy(self.broken(search=search_anyway))


def test_a_sampling_strategy_is_what_a_protocol_says():
    assert issubclass(Random, SamplingStrategy)


@pytest.mark.parametrize("name", each_runtime())
def test_runtimes_of_hwnas(name):
    testing.check_runtime(name)


def test_the_agent_of_a_runtime_is_tried_where_there_is_a_device():
    from hwnas.runtimes.litert import LITERT

    runtimes.register(
        dataclasses.replace(LITERT, name="own", agent="nowhere", example="", precisions=("int8",))
    )
    with pytest.raises(AssertionError, match="the agent of own must be there"):
        testing.check_runtime("own", Device("mine", "here", "local", runtimes=("own",)))


def test_the_task_of_hwnas():
    testing.check_task(data.load("digits", resolution=8))


@pytest.mark.parametrize(
    ("check", "what"), [(testing.check_strategy, "a strategy"), (testing.check_task, "images of a task")]
)
def test_a_name_in_the_place_of_a_thing_is_said(check, what):
    with pytest.raises(AssertionError, match=f"what is checked must be {what}, but got 'mine'"):
        check("mine")
