"""Step by step the layer whose narrowing costs least accuracy for the same time (arXiv:1804.03230)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from hwnas import tasks
from hwnas.adapt.strategies.base import Indices, Tell
from hwnas.adapt.subject import Subject
from hwnas.errors import InfeasibleBudget
from hwnas.finalists.tuning import settled
from hwnas.latency.base import Cost
from hwnas.statistics.bounds import at_least, at_most
from hwnas.train.config import TrainConfig
from hwnas.widths.importance import kept

if TYPE_CHECKING:
    from hwnas.data import Dataset

_CUT = 0.06
"""Share of the whole network's time that the first step saves."""

_DECAY = 0.96
"""What each further step saves over the one before it, as in the paper."""

_TRIED = 4
"""Narrowings that are tuned a step: those that lose least by their channels' importance. The paper tunes one
a layer, which takes as many times longer as there are layers."""


@dataclass
class NetAdapt:
    """A path from the whole network down.

    Each step takes, of every group of channels, the widest that saves the step's time, tunes the most
    promising shortly, and goes on from the one that validation images like best. The channels that go are
    those that matter least to the whole network, whose weights tuning starts from in every step.

    Attributes:
        subject: The network.
        costs: Of its widths, in ms.
        tell: Told of every step.
        short: How a candidate is tuned.
        images: Training images that it is tuned on, others in each step; all where there are fewer. The
            paper, too, tunes for some steps, not for whole passes over its images.
        path: Widths so far, from the whole network on.
    """

    subject: Subject
    costs: Cost
    tell: Tell
    short: TrainConfig = field(default_factory=lambda: TrainConfig(epochs=1, augment=False))
    images: int = 1024
    path: list[Indices] = field(default_factory=list)

    def propose(self, limit_ms: float) -> Indices:
        """As of ``WidthStrategy``."""
        self.path = self.path or [self.subject.space.whole]
        while self._cost(self.path[-1]) > limit_ms:
            self.path.append(self._next(self.path[-1], limit_ms))
        return next(indices for indices in self.path if self._cost(indices) <= limit_ms)

    def _cost(self, indices: Indices) -> float:
        return float(self.costs.of(np.array([indices]))[0])

    def _next(self, current: Indices, limit_ms: float) -> Indices:
        now, whole = self._cost(current), self._cost(self.path[0])
        saved = _CUT * whole * _DECAY ** (len(self.path) - 1)
        wanted = max(now - saved, limit_ms if now - limit_ms < 1.5 * saved else 0.0)
        found = sorted(self._narrower(current, wanted), key=lambda each: self._lost(current, each))[:_TRIED]
        if not found:
            raise InfeasibleBudget(
                f"a budget must be kept by the narrowest network, but {at_most(limit_ms)} ms is less than "
                f"the {at_least(now)} ms that are left: raise the budget, or lower the resolution",
                budget=limit_ms,
                least=now,
                unit="ms",
            )
        worth, better = {}, tasks.of(self.subject.data).metric.better
        short = settled(self.short, self.subject.data)
        tuning = replace(self.subject, data=self._some())
        for number, indices in enumerate(found, start=1):
            self.tell(f"netadapt: {now:.3f} of {limit_ms:.3f} ms, tuning {number} of {len(found)}")
            network = tuning.tuned(self.subject.narrowed(indices), short)
            score = self.subject.seen(network).score
            worth[indices] = (better(score.value), -score.loss)
        return max(worth, key=worth.__getitem__)

    def _some(self) -> Dataset:
        """The data with the training images of this step."""
        data = self.subject.data
        return replace(data, train=data.sample("train", self.images, self.subject.seed + len(self.path)))

    def _narrower(self, current: Indices, wanted_ms: float) -> Iterator[Indices]:
        """Of each group the widest that is fast enough; where none is, its narrowest if that saves half."""
        now = self._cost(current)
        for slot, index in enumerate(current):
            tried = [(*current[:slot], narrower, *current[slot + 1 :]) for narrower in range(index)]
            fitting = [each for each in tried if self._cost(each) <= wanted_ms]
            if fitting:
                yield fitting[-1]
            elif tried and now - self._cost(tried[0]) >= (now - wanted_ms) / 2:
                yield tried[0]

    def _lost(self, current: Indices, other: Indices) -> float:
        """Importance of what goes."""
        space, importance = self.subject.space, self.subject.importance
        before, after = space.chosen(current), space.chosen(other)
        left = (kept(importance, name, (before[name], width)) for name, width in after.items())
        return sum(had - has for had, has in left)
