"""RENAS (arXiv:1808.00193): evolution whose mutations a policy chooses that learns from the children.

Of a random few individuals the best becomes the parent and the worst dies. A controller reads the parent and
picks what changes, first the place and then the candidate; it goes up the policy gradient of what the child
scores.

Other than in the paper:

- It mutates cells, an input or an operation in each block; here a child differs in one choice, as in
  ``evolution``, and only mutations to new networks are drawn (the probability of others is shared out).
- It knows no budget. A mutation that breaks one is followed by a second one, which the controller picks
  among those that make up for it; both are learnt from. Where that fails, the child is born as in
  ``evolution``, and nothing is learnt from it.
- Children inherit weights and are tuned a little. Here the evaluator decides that: one that scores by a
  supernet shares weights anyway, and from scratch there are none to inherit.
- The reward is tan(accuracy x pi / 2), so that a point counts the more the fewer are left (arXiv:1707.04873),
  and by default over that of the parent: a baseline that tells a good mutation from a good parent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hwnas.runs.trial import Trial
from hwnas.search.problem import Problem
from hwnas.search.sampling.loop import Sampler, SamplingStrategy, require
from hwnas.search.sampling.neighbours import Births, every_change
from hwnas.train.config import HIGHEST_RATE

if TYPE_CHECKING:
    from hwnas.search.sampling.mutator import Allowed, Mutation

CREDITS = ("gain", "accuracy")

HIGHEST = 0.999
"""Accuracies above are rewarded like this one: the tangent has no end."""

TRIES = 10
"""Mutations of a parent that are tried before its child is born without the controller."""


def reward(kind: str, quality: float, parent: float) -> float:
    """What the controller is rewarded for a child.

    Args:
        kind: "accuracy": tan(quality x pi / 2); "gain": by how much that is more than the parent's.
        quality: Of the child, in [0, 1].
        parent: Of the parent.
    """
    own, before = (math.tan(min(q, HIGHEST) * math.pi / 2) for q in (quality, parent))
    return own - before if kind == "gain" else own


@dataclass(frozen=True, kw_only=True)
class RENAS(SamplingStrategy):
    """Evolution with a learned mutation.

    Attributes:
        population: Individuals alive; as in ``evolution``, for a hundred queries.
        tournament: Individuals of which the best becomes the parent and the worst dies.
        credit: What the controller is rewarded for: "gain" over the parent, or "accuracy" of the child.
        learning_rate: Of Adam, one step a child: as far a query as ``reinforce`` goes. Five times as fast
            the controller settles on what the first children happened to show.
    """

    name: ClassVar[str] = "renas"
    is_anytime: ClassVar[bool] = True

    population: int = 10
    tournament: int = 5
    credit: str = "gain"
    learning_rate: float = 0.001

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.population >= 2, f"population must be at least 2, but got {self.population}")
        require(
            2 <= self.tournament <= self.population,
            f"tournament must be in 2..population, but got {self.tournament} of {self.population}",
        )
        require(self.credit in CREDITS, f"credit must be one of {CREDITS}, but got {self.credit!r}")
        require(
            0 < self.learning_rate <= HIGHEST_RATE,
            f"learning_rate must be over 0 and at most {HIGHEST_RATE:g}, but got {self.learning_rate}",
        )

    def sampler(self, problem: Problem, rng: np.random.Generator) -> Sampler:
        """A population without individuals, and an untrained controller."""
        return _Population(problem, rng, self)


@dataclass(frozen=True)
class _Birth:
    """How a child came about: its parent's score, the mutations, and their log-probability."""

    parent: float
    mutations: tuple[Mutation, ...]
    log: float


class _Population(Sampler):
    def __init__(self, problem: Problem, rng: np.random.Generator, settings: RENAS) -> None:
        import torch

        from hwnas.search.sampling.controller import RewardBaseline
        from hwnas.search.sampling.mutator import Mutator

        super().__init__(problem, rng)
        self.settings = settings
        self.alive: list[Trial] = []
        self.founders = settings.population
        self.births = Births(self.archive, rng)
        self.mutator = Mutator(problem.space.sizes, rng)
        self.optimizer = torch.optim.Adam(self.mutator.parameters(), lr=settings.learning_rate)
        self.baseline = RewardBaseline()
        self.unborn: dict[tuple[int, ...], _Birth] = {}
        self.seen: dict[str, float] = {}

    def ask(self) -> tuple[int, ...] | None:
        """A random founder, later a child of the best of a random few, whose worst dies."""
        if self.founders > 0 or not self.alive:
            self.founders -= 1
            return self.archive.fresh(self.rng)
        parent = self._parent()
        for _ in range(TRIES):
            mutations = self._mutations(parent.indices)
            if mutations and self.archive.claim(mutations[-1].child):
                self.unborn[mutations[-1].child] = self._birth(parent, mutations)
                return mutations[-1].child
        return self.births.child(parent.indices)

    def tell(self, trial: Trial) -> None:
        """The child joins, and the controller learns from it; a network that is scored again does neither."""
        if self.archive.score(trial.indices) is None:
            self.alive.append(trial)
        birth = self.unborn.pop(trial.indices, None)
        if birth is not None:
            self._learn(birth, trial.quality)
        super().tell(trial)

    def state(self) -> Mapping[str, float]:
        """Entropy of the place that the controller picked last."""
        return self.seen

    def _parent(self) -> Trial:
        """The best of a random few; their worst dies where there are enough."""
        count = min(self.settings.tournament, len(self.alive))
        drawn: list[int] = self.rng.choice(len(self.alive), count, replace=False).tolist()
        ranked = sorted(drawn, key=lambda number: self.alive[number].quality)
        parent = self.alive[ranked[-1]]
        if len(self.alive) >= self.settings.population:  # several that are asked at once must not empty it
            del self.alive[ranked[0]]
        return parent

    def _mutations(self, indices: tuple[int, ...]) -> tuple[Mutation, ...]:
        """One mutation to a new feasible network, or two that make up for each other; none where it fails."""
        found: tuple[Mutation, ...] = ()
        for may_break in (True, False):
            allowed = self._allowed(indices, may_break=may_break)
            if not any(part.any() for part in allowed):
                return ()
            found = (*found, self.mutator.sample(indices, allowed, self.rng))
            indices = found[-1].child
            if self.archive.problem.feasible(np.array([indices]))[0]:
                break
        return found

    def _allowed(self, indices: tuple[int, ...], *, may_break: bool) -> Allowed:
        """Changes to new feasible networks, and also those that break a budget where that may be."""
        sizes = self.archive.problem.space.sizes
        rows = every_change(sizes, indices)
        feasible = self.archive.problem.feasible(rows)
        allowed = feasible & self.archive.is_new(rows) | (may_break & ~feasible)
        return tuple(np.split(allowed, np.cumsum(sizes)[:-1]))

    def _birth(self, parent: Trial, mutations: tuple[Mutation, ...]) -> _Birth:
        import torch

        with torch.no_grad():
            log, entropy = self.mutator.score([mutations])
        self.seen = {"entropy": entropy.item()}
        return _Birth(parent.quality, mutations, log.item())

    def _learn(self, birth: _Birth, quality: float) -> None:
        """One step of policy gradient, from how much more a child is worth than those before on average."""
        from hwnas.search.sampling.controller import improve

        worth = reward(self.settings.credit, quality, birth.parent)
        before = worth if self.baseline.value is None else self.baseline.value
        self.baseline.update(worth)
        improve(
            self.mutator,
            self.optimizer,
            [birth.mutations],
            np.array([worth - before]),
            np.array([birth.log]),
            epochs=1,
        )
