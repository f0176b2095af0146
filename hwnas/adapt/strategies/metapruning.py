"""A small network gives the weights of any width, evolution finds the width: MetaPruning (arXiv:1903.10258).

As in the paper, a *pruning network* is given a vector of widths, and only it learns, from widths drawn
uniformly batch by batch; then widths evolve by what a fixed part of the validation images says of the weights
that it gives, with batch norms estimated anew and the limit as a hard constraint. Unlike there, it does not
make whole weights from nothing, which takes many epochs of many images: what is pruned is trained already, so
it changes those weights, by a scale for each channel and by a change of rank one of each layer that makes
channels. It begins as no change,
channels stay by importance, not by their number, and it learns the whole network's answers, not labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import nn

from hwnas.adapt.glance import Glance
from hwnas.adapt.strategies.base import Indices, Tell, nearest, within
from hwnas.adapt.subject import Subject
from hwnas.latency.base import Cost, IntArray
from hwnas.search.feasible import FeasibleSampler, near_budget
from hwnas.search.problem import Problem
from hwnas.seeding import Seeded
from hwnas.train import optim
from hwnas.train.loss import TrainingLoss
from hwnas.widths.gated import Gated, masks
from hwnas.widths.groups import ChannelGroup, Prunable

_HIDDEN = 32
_RATE = 1e-3
_BATCH = 32
_PARENTS = 0.25
"""Share of a population whose children are the next one."""
_MUTATED = 0.1
"""Chance that a width of a child is another, as in the paper."""
_TRIES = 10
"""Children that are thought of for one that is scored."""
_LEAST_USE = 0.9
"""Of the limit, by founders, where there are such widths."""


@dataclass
class MetaPruning:
    """The widths that survive.

    Attributes:
        subject: The network.
        costs: Of its widths, in ms.
        tell: Told now and then.
        steps: Batches that the pruning network learns from, once.
        population: Widths that are scored a generation.
        generations: For a limit. For one close to an earlier one, whose best are its founders, as many
            children as parents.
        images: Validation images that widths are scored by.
    """

    subject: Subject
    costs: Cost
    tell: Tell
    steps: int = 150
    population: int = 12
    generations: int = 5
    images: int = 256
    _answers: dict[float, Indices] = field(default_factory=dict, repr=False)
    _worth: dict[Indices, float] = field(default_factory=dict, repr=False)

    def propose(self, limit_ms: float) -> Indices:
        """As of ``WidthStrategy``."""
        problem = within(self.subject, self.costs, limit_ms)
        if limit_ms not in self._answers:
            self._answers[limit_ms] = self._evolved(problem, limit_ms)
        return self._answers[limit_ms]

    def _evolved(self, problem: Problem, limit_ms: float) -> Indices:
        rng = np.random.default_rng([self.subject.seed, len(self._answers)])
        parents = max(2, round(_PARENTS * self.population))
        sampler = FeasibleSampler(problem)
        near = nearest(self._answers, limit_ms)
        if near is None:
            founders = FeasibleSampler(near_budget(problem, _LEAST_USE)).sample(self.population, rng)
        else:
            founders = np.array([sampler.repair(np.array(each)) for each in self._best(parents)])
        best = self._score(founders, problem, parents)
        generations, count = (self.generations, self.population) if near is None else (1, parents)
        for number in range(generations):
            best = self._score(self._children(count, best, sampler, rng), problem, parents)
            self.tell(f"metapruning: generation {number + 1}, best {self._worth[best[0]]:.4f}")
        return best[0]

    def _children(
        self, count: int, parents: list[Indices], sampler: FeasibleSampler, rng: np.random.Generator
    ) -> IntArray:
        """Widths that keep the limit, as many of them new as are soon found."""
        found: dict[Indices, None] = {}
        for _ in range(_TRIES * count):
            child = tuple(int(index) for index in sampler.repair(self._child(parents, rng)))
            if child not in self._worth:
                found[child] = None
            if len(found) == count:
                break
        return np.array(list(found) or parents)

    def _score(self, rows: IntArray, problem: Problem, count: int) -> list[Indices]:
        """Score widths that were not yet, and the best of all that keep the limit."""
        for row in rows:
            indices = tuple(int(index) for index in row)
            if indices not in self._worth:
                self._trained.choose(indices)
                self._worth[indices] = self._glance.merit(self._trained.network)
        known = np.array(list(self._worth))
        return self._best(count, problem.feasible(known))

    def _best(self, count: int, allowed: Iterable[bool] | None = None) -> list[Indices]:
        """The best widths that were scored, the best one first."""
        marked = zip(self._worth, allowed if allowed is not None else [True] * len(self._worth), strict=True)
        return sorted((w for w, keeps in marked if keeps), key=lambda w: -self._worth[w])[:count]

    def _child(self, parents: list[Indices], rng: np.random.Generator) -> IntArray:
        """Widths of either of two parents, a few of them others; they may exceed the limit."""
        first, second = (np.array(parents[int(rng.integers(len(parents)))]) for _ in range(2))
        sizes = np.array(self.subject.space.sizes)
        child = np.where(rng.random(len(sizes)) < 0.5, first, second)
        return np.where(rng.random(len(sizes)) < _MUTATED, rng.integers(sizes), child)

    @cached_property
    def _glance(self) -> Glance:
        return Glance(self.subject, self.images)

    @cached_property
    def _trained(self) -> _AnyWidth:
        """The network with a pruning network that has learnt."""
        subject, made = self.subject, _AnyWidth(self.subject)
        loss = TrainingLoss(subject.criterion, subject.teacher.network.eval(), 1.0)
        learning = torch.optim.Adam(made.pruning.parameters(), _RATE)
        rng, sizes = np.random.default_rng(subject.seed), subject.space.sizes
        for step in range(self.steps):
            optim.set_learning_rate(learning, _RATE * optim.cosine(step, self.steps))
            images, targets = subject.batches.step("train", _BATCH, subject.seed, step)
            made.choose(rng.integers(sizes).tolist())
            lost = loss(made.network.train(), images, targets, rng).loss
            learning.zero_grad()
            lost.backward()  # type: ignore[no-untyped-call]
            learning.step()
            if (step + 1) % max(1, self.steps // 4) == 0:
                told = optim.check_finite(lost, "of a pruning network")
                self.tell(f"metapruning: {step + 1} of {self.steps} steps, distance {told:.4f}")
        return made.requires_grad_(False)


class _AnyWidth(nn.Module):
    """A network that has any widths by its gates, with the weights that a pruning network gives for them."""

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self.space = subject.space
        self.network = Gated(subject.found).requires_grad_(False)
        self.pruning = PruningNet(subject.found, subject.seed)
        self.open_at = [
            masks(subject.importance[group.name], widths)
            for group, widths in zip(self.space.groups, self.space.widths, strict=True)
        ]

    def choose(self, indices: Iterable[int]) -> None:
        """Take on widths."""
        chosen = list(indices)
        shares = [widths[index] / widths[-1] for widths, index in zip(self.space.widths, chosen, strict=True)]
        scales, changes = self.pruning(torch.tensor(shares))
        self.network.gates = {
            group.name: scales[group.name] * table[index]
            for group, table, index in zip(self.space.groups, self.open_at, chosen, strict=True)
        }
        own = dict(self.network.network.named_parameters())
        self.network.changed = {
            name: own[name] * change.view(*change.shape, *[1] * (own[name].ndim - 2))
            for name, change in changes.items()
        }


class PruningNet(nn.Module):
    """Of a vector of widths, the scale of each channel and the change of each layer that makes channels.

    Args:
        found: The network.
        seed: Of the first weights, with which nothing changes.
    """

    def __init__(self, found: Prunable, seed: int) -> None:
        super().__init__()
        self.groups, self.reads = found.groups, _reads(found)
        with Seeded(seed):
            self.parts = nn.ModuleList(self._part(group) for group in found.groups)

    def _part(self, group: ChannelGroup) -> nn.Module:
        read = [self.reads[path] for path in group.makers]
        last = nn.Linear(_HIDDEN, group.channels * (1 + len(read)) + sum(read))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        nn.init.normal_(last.bias[len(last.bias) - sum(read) :])  # one factor of a product that is 0
        return nn.Sequential(nn.Linear(len(self.groups), _HIDDEN), nn.ReLU(), last)

    def forward(self, shares: torch.Tensor) -> tuple[Mapping[str, torch.Tensor], Mapping[str, torch.Tensor]]:
        """What stands for a network of other widths.

        Args:
            shares: Of the channels of each group that stay, shape (groups,).

        Returns:
            Scales of the channels by group, each of shape (channels,); and, by the name of a weight, what it
            is multiplied by, shape (out channels, in channels).
        """
        scales, changes = {}, {}
        for group, part in zip(self.groups, self.parts, strict=True):
            read = [self.reads[path] for path in group.makers]
            scale, *factors = part(shares).split([group.channels] * (1 + len(read)) + read)
            scales[group.name] = 1 + scale
            for path, rows, columns in zip(group.makers, factors, factors[len(read) :], strict=False):
                changes[f"{path}.weight"] = 1 + rows[:, None] * columns
        return scales, changes


def _reads(found: Prunable) -> dict[str, int]:
    """Input channels of the layers that make groups."""
    paths = [path for group in found.groups for path in group.makers]
    return {path: int(found.module.get_parameter(f"{path}.weight").shape[1]) for path in paths}
