"""The channels of most importance that fit into the budget: a knapsack (the idea of arXiv:2110.10811)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwnas.adapt.strategies.base import Indices, Tell, within
from hwnas.adapt.subject import Subject
from hwnas.latency.base import Cost, FloatArray
from hwnas.search.decode import decode
from hwnas.widths.importance import kept


@dataclass(frozen=True)
class ChannelKnapsack:
    """Widths that keep most of what the channels matter in all, to first order of the loss.

    Attributes:
        subject: The network.
        costs: Of its widths, in ms.
        tell: Told what is being done.
    """

    subject: Subject
    costs: Cost
    tell: Tell

    @cached_property
    def _scores(self) -> list[FloatArray]:
        self.tell("weighing channels")
        space, importance = self.subject.space, self.subject.importance
        pairs = zip(space.groups, space.widths, strict=True)
        return [np.array(kept(importance, group.name, widths)) for group, widths in pairs]

    def propose(self, limit_ms: float) -> Indices:
        """As of ``WidthStrategy``."""
        return decode(self._scores, within(self.subject, self.costs, limit_ms)).indices
