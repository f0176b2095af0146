"""A study of optuna as a sampler: budgets are kept, no network is asked twice.

A genome that breaks a budget is scored as its repaired network, so that no query is spent on
what could never be used; optuna sees the genome with the objectives of that network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from hwnas.errors import HwnasError
from hwnas.quiet import ALONE
from hwnas.runs.trial import Trial
from hwnas.search.problem import Problem
from hwnas.search.sampling.loop import Sampler

if TYPE_CHECKING:
    import optuna

TRIES = 100
"""Genomes of known networks in a row before a random new network is asked."""


class Study(Sampler):
    """Asks what optuna suggests.

    Args:
        problem: What is searched.
        rng: Gives the seed of optuna's sampler, and what is random here.
        optimizer: optuna's sampler, of a seed.
        first: Random feasible architectures that are suggested first.
        every: Whether optuna is told latencies and other objectives beside accuracy.

    Raises:
        HwnasError: optuna is not installed.
    """

    def __init__(
        self,
        problem: Problem,
        rng: np.random.Generator,
        optimizer: Callable[[int], optuna.samplers.BaseSampler],
        *,
        first: int,
        every: bool,
    ) -> None:
        super().__init__(problem, rng)
        self.objectives = 1 + len(problem.constraints) + len(problem.objectives) if every else 1
        self.study = _study(self.objectives, optimizer, int(rng.integers(2**31)))
        self.names = [f"{n:03d} {choice.name}" for n, choice in enumerate(problem.blocks.decisions)]
        self.open: dict[tuple[int, ...], optuna.trial.Trial] = {}
        for row in self.archive.feasible.sample(first, rng):
            self._enqueue(tuple(int(i) for i in row))

    def ask(self) -> tuple[int, ...] | None:
        """The network of the next genome that was not scored before."""
        for _ in range(TRIES):
            trial, indices = self._next()
            if self.archive.claim(indices):
                self.open[indices] = trial
                return indices
            self._answer(trial, indices)
        fresh = self.archive.fresh(self.rng)
        if fresh is not None:
            self._enqueue(fresh)
            self.open[fresh], _ = self._next()
        return fresh

    def tell(self, trial: Trial) -> None:
        """Learn the score of a network, also on behalf of its genome."""
        super().tell(trial)
        if trial.indices in self.open:
            self._answer(self.open.pop(trial.indices), trial.indices)

    def _next(self) -> tuple[optuna.trial.Trial, tuple[int, ...]]:
        trial = self.study.ask()
        sizes = self.archive.problem.space.sizes
        genome = [
            trial.suggest_categorical(name, range(size)) for name, size in zip(self.names, sizes, strict=True)
        ]
        return trial, tuple(int(i) for i in self.archive.feasible.repair(np.array(genome)))

    def _enqueue(self, indices: tuple[int, ...]) -> None:
        self.study.enqueue_trial(dict(zip(self.names, indices, strict=True)))

    def _answer(self, trial: optuna.trial.Trial, indices: tuple[int, ...]) -> None:
        """Tell optuna the objectives; a network whose score is still awaited counts as failed."""
        import optuna

        score = self.archive.score(indices)
        if score is None:
            self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
            return
        found = self.archive.problem.described(indices, score)
        told = [score, *found.costs, *found.objectives]
        self.study.tell(trial, told[: self.objectives])


def _study(
    objectives: int, optimizer: Callable[[int], optuna.samplers.BaseSampler], seed: int
) -> optuna.Study:
    """Maximises the first objective and minimises the others."""
    try:
        import optuna
    except ImportError as error:
        raise HwnasError(
            "this strategy must have optuna, but it is not installed: run `pip install 'hwnas[search]'`"
        ) from error
    direction = optuna.study.StudyDirection
    with ALONE:
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            return optuna.create_study(
                directions=[direction.MAXIMIZE] + [direction.MINIMIZE] * (objectives - 1),
                sampler=optimizer(seed),
            )
        finally:
            optuna.logging.set_verbosity(verbosity)
