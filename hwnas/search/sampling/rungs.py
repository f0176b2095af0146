"""Networks on rungs: each is trained a few times as long as the one below, and few of them climb.

What ``asha`` and ``hyperband`` share. Scores are only compared on one rung, and only what reached the top is
returned. A training begins anew on each rung: a learning rate that falls to the end of a short training is
not that of a long one.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hwnas.runs.trial import Trial
from hwnas.search.base import Needs
from hwnas.search.problem import Problem
from hwnas.search.sampling.loop import Sampler, SamplingStrategy, require

_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Promoting(SamplingStrategy, ABC):
    """Settings of strategies that promote networks.

    Attributes:
        reduction: Of so many networks on a rung one climbs to the next, where it is trained so many times as
            long.
        rungs: How many; on the last one a training is whole.
    """

    needs: ClassVar[Needs] = Needs(fidelities=True)

    reduction: int = 3
    rungs: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.reduction >= 2, f"reduction must be at least 2, but got {self.reduction}")
        require(self.rungs >= 1, f"rungs must be at least 1, but got {self.rungs}")
        require(
            self.queries >= self.rungs,
            f"queries must be at least the {self.rungs} whole trainings that one network at the top costs, "
            f"but got {self.queries}",
        )

    def settings(self) -> dict[str, Any]:
        """With the number of queries, which the end depends on: none is gone on from with more of them."""
        return {"queries": self.queries, **super().settings()}

    def share_of(self, rung: int) -> float:
        """What part of a training networks on a rung have."""
        return float(self.reduction) ** (rung - self.rungs + 1)


class Climbing(Sampler, ABC):
    """Who stands on which rung, and with which score.

    Attributes:
        shares: Of a training, on every rung.
        scores: Of every rung the networks that were scored there.
        asked: The rung for which a network was asked last.
        spent: Whole trainings that were asked for so far.
    """

    def __init__(self, problem: Problem, rng: np.random.Generator, settings: Promoting) -> None:
        super().__init__(problem, rng)
        self.settings = settings
        self.shares = [settings.share_of(rung) for rung in range(settings.rungs)]
        self.scores: list[dict[tuple[int, ...], float]] = [{} for _ in range(settings.rungs)]
        self.asked: dict[tuple[int, ...], int] = {}
        self.spent = 0.0

    def share(self, indices: tuple[int, ...]) -> float:
        """That of the rung which it climbs to."""
        return self.shares[self.asked[indices]]

    def tell(self, trial: Trial) -> None:
        """Learn a score on a rung; what is only told of whole trainings are those of the top."""
        self.scores[self.shares.index(trial.share)][trial.indices] = trial.quality
        if trial.share == 1:
            super().tell(trial)
        else:
            self.archive.trials.append(trial)

    def report(self) -> Mapping[str, Any]:
        """How many networks were scored on each rung, from the lowest."""
        return {"rungs": [len(each) for each in self.scores]}

    @property
    def left(self) -> float:
        """Whole trainings that may still be asked for."""
        return self.settings.explored - self.spent

    def affords(self, rung: int) -> bool:
        """Whether a training on a rung is left."""
        return self.shares[rung] <= self.left + _ROUNDING

    def placed(self, indices: tuple[int, ...] | None, rung: int) -> tuple[int, ...] | None:
        """Say that a network is asked for on a rung."""
        if indices is not None:
            self.asked[indices] = rung
            self.spent += self.shares[rung]
        return indices

    def leaders(self, rung: int, count: int) -> list[tuple[int, ...]]:
        """The best of a rung, the earlier one of equals first."""
        found = self.scores[rung]
        return sorted(found, key=found.__getitem__, reverse=True)[:count]

    def last(self) -> tuple[int, ...] | None:
        """The best of the highest rung, to the top, where no more than that whole training is left."""
        top = self.settings.rungs - 1
        next_share = self.shares[max(top - 1, 0)]
        if any(rung == top for rung in self.asked.values()) or self.left >= 1 + next_share - _ROUNDING:
            return None
        rung = max((number for number, each in enumerate(self.scores) if each), default=None)
        return None if rung is None else self.placed(self.leaders(rung, 1)[0], top)
