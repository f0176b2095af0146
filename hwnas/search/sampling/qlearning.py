"""MetaQNN (arXiv:1611.02167): Q-learning of which candidate follows which, with experience replay.

A state is the number of a choice and the candidate before it, an action a candidate of the choice. The
agent is epsilon-greedy: at random at first, less and less by the paper's schedule. After every score it
replays networks of the past, and the value of each of their actions moves to what the best action after it
is worth; only the last one is rewarded, with the score. Departures from the paper:

* The schedule is spread over the queries; the paper's counts 2,700 networks.
* An action after which not even the cheapest rest keeps a budget is no action there, as the paper leaves
  out layers that no longer fit. So what an action is worth counts the best of those that its network could
  have gone on with.
* Instead of a network that is drawn again another one is drawn; the paper takes its score from the memory.
* Where several budgets leave no action at all, the network is repaired.

At random, too, the agent draws choice after choice among what is affordable. That is not uniform over
feasible networks, but prefers those that spend the budget: on NAS-Bench-Macro most of what is gained over
random search is that.

Since the last action alone is rewarded and a state forgets all but the candidate before, values of early
choices hardly tell how good their candidates are, but what else was chosen after them. ``shaped`` rewards
every action with an equal part of the score, as BlockQNN does (arXiv:1708.05552).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hwnas.runs.trial import Trial
from hwnas.search.problem import Problem
from hwnas.search.sampling.affordable import Affordable
from hwnas.search.sampling.loop import Sampler, SamplingStrategy, require
from hwnas.search.sampling.neighbours import as_tuple

SCHEDULE = (
    (1.0, 1500),
    *((epsilon, 100) for epsilon in (0.9, 0.8, 0.7)),
    *((epsilon, 150) for epsilon in (0.6, 0.5, 0.4, 0.3, 0.2, 0.1)),
)
"""Share of random actions, and for how many of 2,700 networks (the paper's table)."""

WORTH = 0.5
"""What an action is worth before anything is known of it."""

STALE = 100
"""Networks in a row that were asked before, after which a random one is taken."""


def epsilon_at(share: float) -> float:
    """Share of random actions after a share of the queries in [0, 1]."""
    networks = share * sum(count for _, count in SCHEDULE)
    for epsilon, count in SCHEDULE:
        if networks < count:
            return epsilon
        networks -= count
    return SCHEDULE[-1][0]


@dataclass(frozen=True, kw_only=True)
class QLearning(SamplingStrategy):
    """Epsilon-greedy Q-learning; its schedule depends on the number of queries.

    Attributes:
        learning_rate: How far a value moves to what it should be.
        replay: Networks of the past that are learnt from after every score.
        shaped: Whether every action is rewarded with its part of the score; the last one alone in the paper.
    """

    name: ClassVar[str] = "qlearning"

    learning_rate: float = 0.01
    replay: int = 100
    shaped: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            0 < self.learning_rate <= 1,
            f"learning_rate must be over 0 and at most 1, but got {self.learning_rate}",
        )
        require(self.replay >= 1, f"replay must be at least 1, but got {self.replay}")

    def settings(self) -> dict[str, Any]:
        """With the number of queries, on which the course depends: none is gone on from with more of them."""
        return {"queries": self.queries, **super().settings()}

    def sampler(self, problem: Problem, rng: np.random.Generator) -> Sampler:
        """An agent to whom all actions are worth the same.

        Raises:
            LatencyModelError: Two choices have costs together.
        """
        return _Agent(problem, rng, self)


@dataclass(frozen=True)
class _Episode:
    """A scored network, and which actions it could have taken at each choice."""

    indices: tuple[int, ...]
    actions: tuple[np.ndarray, ...]
    reward: float


class _Agent(Sampler):
    def __init__(self, problem: Problem, rng: np.random.Generator, settings: QLearning) -> None:
        super().__init__(problem, rng)
        self.settings = settings
        self.affordable = Affordable.of(problem, "Q-learning, which decides choice after choice,")
        sizes = problem.space.sizes
        self.parts = np.full(len(sizes), 1 / len(sizes)) if settings.shaped else np.eye(len(sizes))[-1]
        to_come = self.parts[::-1].cumsum()[::-1]
        self.values = [
            np.full((before, size), WORTH * part)
            for before, size, part in zip((1, *sizes[:-1]), sizes, to_come, strict=True)
        ]
        self.memory: list[_Episode] = []
        self.asked = 0

    def ask(self) -> tuple[int, ...] | None:
        """The first new network that the policy draws."""
        epsilon = epsilon_at(self.asked / self.settings.explored)
        self.asked += 1
        for _ in range(STALE):
            indices = self._drawn(epsilon)
            if self.archive.claim(indices):
                return indices
        return self.archive.fresh(self.rng)

    def tell(self, trial: Trial) -> None:
        """Remember a score, and learn from networks of the past."""
        super().tell(trial)
        self.memory.append(_Episode(trial.indices, self._actions(trial.indices), trial.quality))
        for number in self.rng.integers(len(self.memory), size=self.settings.replay):
            self._learn(self.memory[number])

    def state(self) -> Mapping[str, float]:
        """The share of actions that are random."""
        return {"epsilon": epsilon_at(max(self.asked - 1, 0) / self.settings.explored)}

    def report(self) -> Mapping[str, Any]:
        """The architecture of the most valuable actions."""
        greedy = self._drawn(0.0)
        return {"greedy": {**self.archive.problem.told(greedy), self.score: self.archive.score(greedy)}}

    def _drawn(self, epsilon: float) -> tuple[int, ...]:
        """An architecture that keeps every budget, by the epsilon-greedy policy."""
        picked, before, spent = [], 0, self.affordable.fixed
        for number, values in enumerate(self.values):
            after = self.affordable.after(number, spent)
            actions = np.flatnonzero(self.affordable.may_follow(number, after))
            if not len(actions):  # several budgets: no rest keeps them together
                actions = np.arange(len(after))
            if self.rng.random() >= epsilon:
                worth = values[before, actions]
                actions = actions[worth == worth.max()]
            before = int(self.rng.choice(actions))
            picked.append(before)
            spent = after[before]
        return as_tuple(self.archive.feasible.repair(np.array(picked)))

    def _actions(self, indices: tuple[int, ...]) -> tuple[np.ndarray, ...]:
        """Which candidates were affordable at each choice of a network, of shape (candidates,) each."""
        found, spent = [], self.affordable.fixed
        for number, index in enumerate(indices):
            after = self.affordable.after(number, spent)
            found.append(self.affordable.may_follow(number, after))
            spent = after[index]
        return tuple(found)

    def _learn(self, episode: _Episode) -> None:
        """Move the value of every action to what follows, from the last one to the first."""
        following = 0.0
        for number in reversed(range(len(self.values))):
            index = episode.indices[number]
            values = self.values[number][episode.indices[number - 1] if number else 0]  # a view
            worth = self.parts[number] * episode.reward + following
            values[index] += self.settings.learning_rate * (worth - values[index])
            following = values[episode.actions[number]].max()
