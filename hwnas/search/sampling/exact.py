"""The best network under all budgets, solved instead of sought, where every block has an error of its own.

Errors and costs are sums over choices, so that the network of the least error is a knapsack (LANA,
arXiv:2107.10624). The sum is a proposal, not the truth: networks are put together and scored, what is learnt
of them corrects the errors (a Gaussian posterior over the blocks' own, as for latencies), and it is solved
again. The first that are scored are the honest controls, which the answers must beat: the uniformly narrowed
network and random ones, of the same blocks under the same budgets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hwnas.errors import SpaceError
from hwnas.evaluators.base import Evaluator, block_errors
from hwnas.latency.base import FloatArray
from hwnas.runs.trial import Trial
from hwnas.search.base import Needs
from hwnas.search.feasible import FeasibleSampler, near_budget
from hwnas.search.problem import Problem
from hwnas.search.sampling.additive import Additive
from hwnas.search.sampling.knapsack import Knapsack, uniform
from hwnas.search.sampling.loop import Sampler, SamplingStrategy, require

_TRIES = 50
"""Answers that describe a network that was asked before, until there is none left."""

_REFUSED = 1e3
"""Times all errors together: what a candidate costs that an answer is not to have."""

_USE = 0.9
"""Of the tightest budget that random networks spend at least, where they can."""


class ExactSampler(Sampler):
    """The controls first, then answers of the knapsack, each apart from those before it."""

    def __init__(
        self, problem: Problem, rng: np.random.Generator, errors: Sequence[FloatArray], settings: Exact
    ) -> None:
        super().__init__(problem, rng)
        self.additive = Additive(errors)
        self.knapsack, self.settings = Knapsack(problem), settings
        self.uniform = uniform(problem)
        drawn = FeasibleSampler(near_budget(problem, _USE)).sample(4 * settings.random + 1, rng)
        self._random = [tuple(map(int, row)) for row in drawn]
        self.controls: dict[tuple[int, ...], str] = {}
        self._asked: list[tuple[int, ...]] = []
        self._ways = _ways(problem)
        self._has_ways = bool(self._ways)

    def ask(self) -> tuple[int, ...] | None:
        """A control, the best of each way to read features, or the best answer that is new; else None."""
        return self._control() or self._of_each_way() or self._answer()

    def _control(self) -> tuple[int, ...] | None:
        if self.uniform is not None and not self.controls and self.archive.claim(self.uniform):
            return self._noted(self.uniform, "uniform")
        while (
            self._random and sum(name == "random" for name in self.controls.values()) < self.settings.random
        ):
            if self.archive.claim(drawn := self._random.pop()):
                return self._noted(drawn, "random")
        return None

    def _noted(self, indices: tuple[int, ...], name: str) -> tuple[int, ...]:
        self.controls[indices] = name
        return indices

    def _of_each_way(self) -> tuple[int, ...] | None:
        """The best network with a decoder that no answer had yet; those that are too slow are left out."""
        while self._ways:
            number, candidate = self._ways.pop(0)
            errors = [np.array(part) for part in self.additive.posterior()]
            is_other = np.arange(len(errors[number])) != candidate
            errors[number][is_other] += _REFUSED * max(1.0, sum(float(np.abs(e).max()) for e in errors))
            for dropped in self._layers:
                found = self.knapsack.solve(errors, dropped=dropped)
                if found is not None and found[number] == candidate:
                    if self.archive.claim(found):
                        self._asked.append(found)
                        return found
                    break
        return None

    @property
    def _layers(self) -> tuple[int | None, ...]:
        """Layers that a stage may leave out: as few as can be, more where nothing is found so."""
        most = self.settings.dropped
        return (None,) if most is None else (*range(most, len(self.additive.errors)), None)

    def _answer(self) -> tuple[int, ...] | None:
        """Apart from the others, and with few layers left out, as far as that can be."""
        errors, layers = self.additive.posterior(), self._layers
        if self._has_ways and len(self._asked) % 2:  # a good decoder may be worth more than layers
            layers = (None,)
        for apart in range(self.settings.apart, 0, -1):
            refused = list(self._asked)
            for dropped in layers:
                for _ in range(_TRIES):
                    others = np.array(refused, dtype=np.int64).reshape(len(refused), len(errors))
                    found = self.knapsack.solve(errors, others, apart=apart, dropped=dropped)
                    if found is None:
                        break
                    refused.append(found)
                    if self.archive.claim(found):
                        self._asked.append(found)
                        return found
        return None

    def tell(self, trial: Trial) -> None:
        """Learn the score of a network."""
        super().tell(trial)
        self.additive.add(trial.indices, trial.quality)

    def report(self) -> Mapping[str, Any]:
        """How well errors and what was fitted to them foretell what was scored; what the controls reach."""
        best: dict[str, float] = {}
        controls: dict[str, list[list[int]]] = {}
        for trial in self.archive.trials:
            name = self.controls.get(trial.indices, "exact")
            best[name] = max(best.get(name, 0.0), trial.quality)
            if trial.indices in self.controls:
                controls.setdefault(name, []).append(list(trial.indices))
        errors = [part.tolist() for part in self.additive.errors]
        beside = {"best_of": best, "controls": controls}
        alarms = _beaten(best) if "exact" in best else self._unanswered()
        return {"block_errors": errors, **self.additive.told(), **beside, **alarms}

    def _unanswered(self) -> dict[str, Any]:
        """An alarm where only controls were scored, one of which is what is chosen then."""
        if not (count := len(self.archive.trials)):
            return {}
        most = self.settings.random + (self.uniform is not None)
        text = (
            f"all {count} networks that were scored are controls: none is an answer of the exact search, so "
            f"that what was chosen is one of them; queries over {most} leave room for answers"
        )
        return {"alarms": [text]}


def _ways(problem: Problem) -> list[tuple[int, int]]:
    """Every candidate of a choice that reads several places: what it is worth, errors of blocks hardly say.

    They are learnt from nothing and of another size than those of blocks that inherit, so that sums alone may
    never come upon the one decoder that matters.
    """
    return [
        (number, candidate)
        for number, choice in enumerate(problem.blocks.decisions)
        if choice.reads and len(choice.candidates) > 1
        for candidate in range(len(choice.candidates))
    ]


def _beaten(best: Mapping[str, float]) -> dict[str, Any]:
    """An alarm where a control is better than all answers: it is what is chosen then."""
    name = max(best, key=lambda of: best[of])
    if best[name] <= best["exact"]:
        return {}
    text = (
        f"before any tuning, the {name} network of the same blocks scores {best[name]:.2%}, more than the "
        f"best answer of the exact search, {best['exact']:.2%}"
    )
    return {"alarms": [text]}


@dataclass(frozen=True, kw_only=True)
class Exact(SamplingStrategy):
    """The knapsack of block errors, solved exactly and scored, beside its controls.

    Attributes:
        queries: Networks that are put together and scored, controls included.
        random: Random ones among them, which also correct the errors.
        apart: Choices in which an answer differs from all before it, while there are such.
        dropped: Layers that an answer leaves out of a stage at most, while it can: their errors add up worse
            than their sum says. None: as many as it likes; 1 where a trained network teaches.
    """

    name: ClassVar[str] = "exact"
    needs: ClassVar[Needs] = Needs(block_errors=True)

    queries: int = 24
    random: int = 7
    apart: int = 2
    dropped: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.random >= 0, f"random must not be negative, but got {self.random}")
        require(self.apart >= 1, f"apart must be at least 1, but got {self.apart}")
        require(
            self.dropped is None or self.dropped >= 0, f"dropped must not be negative, but got {self.dropped}"
        )

    def begin(self, problem: Problem, evaluator: Evaluator, rng: np.random.Generator) -> ExactSampler:
        """A sampler that knows the blocks' errors."""
        return ExactSampler(problem, rng, block_errors(evaluator).block_errors(), self)

    def sampler(self, problem: Problem, rng: np.random.Generator) -> Sampler:
        """There is none without block errors.

        Raises:
            SpaceError: Always.
        """
        raise SpaceError("an exact search must know the errors of blocks: begin it with their evaluator")
