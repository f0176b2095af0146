"""Reinforcement learning towards the structure of a known network: IRLAS (arXiv:1812.05285).

The paper rewards an agent for how much the topology of a network is like that of one that people designed,
the expert, beside how accurate it is: its *mirror stimuli function* reads state features of the topology
and is trained by inverse reinforcement learning, so that it guides the search and does not restrict it.

That much its abstract and reviews say; its formulas and constants were not at hand. What follows is ours,
by the apprenticeship learning of Abbeel & Ng (2004), whose rewards are linear in discounted counts of
features:

- A state is a block in its place. Its features are its sort (kind, kernel, expansion, groups, squeezing;
  skips are a sort too), and how far back each of the choices is that it reads. Counts of them are
  discounted by place.
- The unit weights under which an expert surpasses one network the most point from that one's counts to the
  expert's; their margin is the distance of both. The stimulus is that margin, turned around and scaled: 1
  for the expert, 0 for what random networks within the budgets have on average.
- The expert need not keep the budgets. ``weight`` balances the stimulus with accuracy. What is found is the
  most accurate network that was scored, whatever it is like.
- The policy, and how it learns and draws only what keeps the budgets, are those of ``reinforce``; the paper
  says that its function goes with other ways to search than its own.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hwnas.latency.base import FloatArray, IntArray
from hwnas.search.feasible import FeasibleSampler
from hwnas.search.problem import Problem
from hwnas.search.sampling.features import sort_of
from hwnas.search.sampling.loop import Sampler, require
from hwnas.search.sampling.reinforce import PolicyLearner, Reinforce
from hwnas.space import SearchSpace
from hwnas.spaces.canonical import Canonical

DISCOUNT = 0.9
"""How much less a place counts than the one before it; ours."""

RANDOM = 256
"""Random networks whose mean margin is a stimulus of 0."""


@dataclass(frozen=True, kw_only=True)
class IRLAS(Reinforce):
    """Policy gradient of accuracy and of likeness to an expert, within the budgets.

    Attributes:
        expert: Indices of the network to be like, as "2.0.1", one a choice; None takes that which all
            others of the space are versions of.
        weight: Of likeness beside accuracy; 0 is ``reinforce``.
    """

    name: ClassVar[str] = "irlas"

    expert: str | None = None
    weight: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.expert is None or re.fullmatch(r"[0-9]+(\.[0-9]+)*", self.expert) is not None,
            f'expert must be indices joined by dots, as "2.0.1", but got {self.expert!r}',
        )
        require(0 <= self.weight < math.inf, f"weight must be finite and not negative, but got {self.weight}")

    def sampler(self, problem: Problem, rng: np.random.Generator) -> Sampler:
        """An untrained controller, and the likeness that it is rewarded for.

        Raises:
            LatencyModelError: Two choices have costs together.
            SpaceError: The expert is no network of the space.
        """
        return _Imitator(problem, rng, self)


class TopologyCounts:
    """Discounted counts of state features of the networks of a space.

    Args:
        space: Where they are from.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.canonical = Canonical(space)
        states = [
            [
                (sort_of(block), *(number - read for read in reads))
                for block, reads in zip(choice.candidates, every, strict=True)
            ]
            for number, (choice, every) in enumerate(zip(space.choices, space.choice_reads, strict=True))
        ]
        names = {feature: 0 for choice in states for state in choice for feature in state}
        column = {feature: number for number, feature in enumerate(names)}
        self.tables = [np.zeros((size, len(column))) for size in space.sizes]
        for number, (decision, choice) in enumerate(zip(space.decision_numbers, states, strict=True)):
            if decision is None:
                continue
            for index, state in enumerate(choice):
                for feature in state:
                    self.tables[decision][index, column[feature]] += DISCOUNT**number

    def __call__(self, indices: IntArray) -> FloatArray:
        """Of networks, the same for all indices of one: shape (n, choices) to (n, features)."""
        columns = self.canonical(indices).T
        return np.asarray(sum(table[column] for table, column in zip(self.tables, columns, strict=True)))


@dataclass(frozen=True)
class MirrorStimuli:
    """How much networks are like an expert.

    Attributes:
        counts: Of the features of networks.
        expert: Counts of the expert, shape (features,).
        usual: Margin by which the expert surpasses random networks on average.
    """

    counts: TopologyCounts
    expert: FloatArray
    usual: float

    @classmethod
    def of(cls, problem: Problem, expert: tuple[int, ...], rng: np.random.Generator) -> MirrorStimuli:
        """That of an expert among the networks that keep the budgets."""
        counts = TopologyCounts(problem.blocks)
        wanted = counts(np.array([expert]))[0]
        drawn = FeasibleSampler(problem).sample(RANDOM, rng)
        return cls(counts, wanted, float(_margins(counts(drawn), wanted).mean()))

    def __call__(self, indices: IntArray) -> FloatArray:
        """1 for the expert, 0 where random ones are on average: shape (n, choices) to (n,)."""
        margins = _margins(self.counts(indices), self.expert)
        return 1.0 - margins / self.usual if self.usual else np.ones_like(margins)


def _margins(counts: FloatArray, expert: FloatArray) -> FloatArray:
    """By how much the expert surpasses each network under the unit weights that show it best, shape (n,)."""
    return np.asarray(np.linalg.norm(expert - counts, axis=1))


class _Imitator(PolicyLearner):
    def __init__(self, problem: Problem, rng: np.random.Generator, settings: IRLAS) -> None:
        super().__init__(problem, rng, settings)
        space = problem.blocks
        expert = space.reference if settings.expert is None else _typed(space, settings.expert)
        self.weight = settings.weight
        self.stimuli = MirrorStimuli.of(problem, expert, rng)

    def reward(self, indices: tuple[int, ...], quality: float) -> float:
        """That of accuracy, and likeness to the expert."""
        return super().reward(indices, quality) + self.weight * self._likeness(indices)

    def described(self, indices: tuple[int, ...]) -> dict[str, Any]:
        """With how much it is like the expert."""
        return {**super().described(indices), "likeness": self._likeness(indices)}

    def _likeness(self, indices: tuple[int, ...]) -> float:
        return float(self.stimuli(np.array([indices]))[0])


def _typed(space: SearchSpace, text: str) -> tuple[int, ...]:
    """The indices that a setting names; raises SpaceError where the space has no such network."""
    return space.architecture([int(part) for part in text.split(".")]).indices
