"""Strategies that learn which widths keep a limit: agents, pruning networks, gates."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from operator import ne

import numpy as np
import pytest
import torch
from torch import nn

from hwnas import blocks, data, device, known
from hwnas.adapt.glance import Glance
from hwnas.adapt.strategies import STRATEGIES
from hwnas.adapt.strategies.amc import Amc
from hwnas.adapt.strategies.base import nearest
from hwnas.adapt.strategies.gates import BudgetedGates
from hwnas.adapt.strategies.metapruning import MetaPruning
from hwnas.adapt.strategies.netadapt import NetAdapt
from hwnas.adapt.subject import Subject
from hwnas.errors import InfeasibleBudget
from hwnas.factors import Pair
from hwnas.latency.base import Cost
from hwnas.search.ddpg import Agent
from hwnas.train.config import TrainConfig
from hwnas.train.fitting import fit
from hwnas.train.teacher import Teacher
from hwnas.widths import prunable, width_space
from hwnas.widths.gated import Gated, masks

TARGET = device.load("host").target("litert", "int8")
USELESS = 2
"""The group that says nothing."""

SMALL = {
    "amc": lambda *given: Amc(*given, episodes=20, images=64),
    "metapruning": lambda *given: MetaPruning(*given, steps=20, population=8, generations=4, images=64),
    "gates": lambda *given: BudgetedGates(*given, steps=160),
}


class Sides(nn.Module):
    """A sum and a concatenation; what stands aside has batch norms that are 0."""

    def __init__(self) -> None:
        super().__init__()

        def conv(i: int, o: int, stride: int = 1) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU())

        self.first, self.down, self.again = conv(3, 8, 4), conv(8, 8, 2), conv(8, 8)
        self.aside, self.last, self.classes = conv(8, 16, 2), conv(24, 16), nn.Linear(16, 10)
        nn.init.zeros_(self.aside[1].weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        y = self.down(x)
        y = torch.cat([y + self.again(y), self.aside(x)], 1)
        return self.classes(self.last(y).mean((2, 3)))


@pytest.fixture(scope="module")
def subject() -> Subject:
    """A network that has learnt digits without those that stand aside; nothing is ever measured."""
    digits = data.load("digits", resolution=32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Sides()
    silent = [*network.aside.parameters()]
    for parameter in silent:
        parameter.requires_grad_(False)
    fit(network, digits, TrainConfig(epochs=3, augment=False, learning_rate=0.1))
    for parameter in silent:
        parameter.requires_grad_(True)
    found = prunable(network.eval(), digits.image_shape)
    space = width_space("sides", found.groups, 4)
    assert space.sizes == (2, 2, 4, 4)
    return Subject(Teacher(network), digits, found, space, TARGET, None, importance_batches=4)


@pytest.fixture(scope="module")
def costs(subject: Subject) -> Cost:
    return _by_hand(subject)


def _by_hand(subject: Subject) -> Cost:
    """Each group as dear as the others, each width in proportion; two cost something together as well."""
    each = tuple(np.array(widths, float) / widths[-1] for widths in subject.space.widths)
    return Cost(1.0, each, pairs=(Pair(0, 1, 0.2 * np.outer(each[0], each[1])),))


def _ms(costs: Cost, indices: tuple[int, ...]) -> float:
    return float(costs.of(np.array([indices]))[0])


@pytest.mark.parametrize("name", [*SMALL, "netadapt"])
@pytest.mark.slow
def test_every_proposal_keeps_its_limit_and_the_same_seed_gives_the_same(
    name: str, subject: Subject, costs: Cost
) -> None:
    fastest, slowest = costs.range
    limits = [0.6 * slowest, 0.57 * slowest, fastest, slowest]
    quick = {
        "amc": lambda: Amc(subject, costs, str, episodes=3, images=32),
        "metapruning": lambda: MetaPruning(
            subject, costs, str, steps=3, population=4, generations=1, images=32
        ),
        "gates": lambda: BudgetedGates(subject, costs, str, steps=6),
        "netadapt": lambda: NetAdapt(subject, costs, str, images=64),
    }[name]
    runs = []
    for _ in range(2):
        strategy = quick()
        runs.append([strategy.propose(limit) for limit in limits])
        assert strategy.propose(limits[0]) == runs[-1][0]
    assert runs[0] == runs[1]
    assert all(_ms(costs, indices) <= limit for indices, limit in zip(runs[0], limits, strict=True))
    assert runs[0][2] == tuple(costs.ends[0].tolist())


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.slow
def test_what_is_useless_is_narrowed_first(name: str, subject: Subject) -> None:
    """The limit is what the useless group saves: all else can stay whole."""
    if name == "amc":  # few episodes: only two groups are narrowed, the useless one and what reads it
        stay = tuple(widths[-1:] for widths in subject.space.widths[:USELESS])
        space = replace(subject.space, widths=(*stay, *subject.space.widths[USELESS:]))
        subject = replace(subject, space=space)
    costs, whole = _by_hand(subject), subject.space.whole
    best = tuple(0 if slot == USELESS else index for slot, index in enumerate(whole))
    assert SMALL[name](subject, costs, str).propose(_ms(costs, best)) == best


def test_a_limit_that_nothing_keeps_is_refused_in_a_sentence(subject: Subject, costs: Cost) -> None:
    for name in SMALL:
        with pytest.raises(InfeasibleBudget, match="must be at least that of the fastest"):
            STRATEGIES[name](subject, costs, str).propose(0.9 * costs.range[0])


@pytest.mark.slow
def test_netadapt_goes_down_step_by_step_on_other_images_each_time(subject: Subject, costs: Cost) -> None:
    said: list[str] = []
    strategy = NetAdapt(subject, costs, said.append, images=64)
    limit = 0.8 * costs.range[1]
    found = strategy.propose(limit)
    spent = [_ms(costs, indices) for indices in strategy.path]
    assert strategy.path[0] == subject.space.whole
    assert found == strategy.path[-1]
    assert spent == sorted(spent, reverse=True)
    assert all(before > limit for before in spent[:-1])
    changed = [sum(map(ne, before, after)) for before, after in pairwise(strategy.path)]
    assert changed == [1] * (len(spent) - 1)  # a group a step
    with pytest.raises(InfeasibleBudget, match="must be kept by the narrowest network"):
        strategy.propose(0.9 * costs.range[0])


def test_limits_close_to_each_other_are_learnt_for_once(subject: Subject, costs: Cost) -> None:
    said: list[str] = []
    strategy = BudgetedGates(subject, costs, said.append, steps=4)
    strategy.propose(0.7 * costs.range[1])
    once = len(said)
    strategy.propose(0.68 * costs.range[1])
    assert len(said) == once > 0
    strategy.propose(0.5 * costs.range[1])
    assert len(said) == 2 * once
    assert nearest([1.0, 2.0], 1.9) == 2.0
    assert nearest([1.0, 2.0], 1.5) is None
    assert nearest([], 1.0) is None


@pytest.mark.parametrize("name", ["sides", "mobilenetv3-small", "mobilenetv4-conv-small"])
def test_a_closed_gate_is_a_channel_that_is_left_out(name: str) -> None:
    shape = (3, 32, 32)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = (
            Sides() if name == "sides" else blocks.network(known.load(name, resolution=32, num_classes=5))
        )
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                for values in (part.weight, part.bias, part.running_mean):
                    nn.init.normal_(values, 0.5, 0.5)
    found = prunable(network.eval(), shape)
    rng = np.random.default_rng(0)
    importance = {group.name: torch.from_numpy(rng.random(group.channels)) for group in found.groups}
    widths = {group.name: int(rng.integers(1, group.channels)) for group in found.groups}
    widths |= {group.name: 0 for group in found.groups[::2] if group.branch}
    gated, images = Gated(found).eval(), torch.rand(2, *shape)
    gated.gates = {name: masks(importance[name], [width])[0] for name, width in widths.items()}
    narrowed = found.narrowed(widths, importance).eval()
    expected = narrowed(images)
    assert torch.allclose(gated(images), expected, atol=1e-4 * float(expected.detach().abs().max()))
    assert not torch.allclose(network(images), expected, atol=1e-2 * float(expected.detach().abs().max()))


@pytest.mark.slow
def test_an_agent_learns_which_action_is_worth_most() -> None:
    """One step, whose reward falls with the distance from .8."""
    agent = Agent(2, np.random.default_rng(0))
    state = np.array([1.0, 0.5])
    for _ in range(160):
        action = agent.act(state, 0.5)
        agent.remember([(state, action)], 1 - abs(action - 0.8))
        agent.learn(2)
    assert agent.act(state) == pytest.approx(0.8, abs=0.1)
    drawn = [agent.act(state, 5.0) for _ in range(100)]
    assert 0 <= min(drawn) < 0.2 < 0.8 < max(drawn) <= 1


def test_a_glance_is_at_the_same_few_validation_images(subject: Subject) -> None:
    whole = subject.space.whole
    glance = Glance(subject, images=64)
    assert glance.of(whole) == glance.of(whole) > 0.8
    assert glance.of(whole) > glance.of((0, 0, 0, 0))
