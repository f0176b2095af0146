"""All groups of channels by the same share: the control that every other strategy must beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwnas.adapt.strategies.base import Indices, Tell
from hwnas.adapt.subject import Subject
from hwnas.errors import InfeasibleBudget
from hwnas.latency.base import Cost
from hwnas.statistics.bounds import at_least, at_most

_SHARES = 161


@dataclass(frozen=True)
class Uniform:
    """The largest share that is within the limit.

    Attributes:
        subject: The network.
        costs: Of its widths, in ms.
        tell: Not used.
    """

    subject: Subject
    costs: Cost
    tell: Tell

    def propose(self, limit_ms: float) -> Indices:
        """As of ``WidthStrategy``."""
        every = [self.subject.space.at_share(float(share)) for share in np.linspace(1, 0, _SHARES)]
        distinct = list(dict.fromkeys(every))
        predicted = self.costs.of(np.array(distinct))
        fitting = np.flatnonzero(predicted <= limit_ms)
        if not len(fitting):
            raise InfeasibleBudget(
                f"a budget must be kept by the narrowest network, but {at_most(limit_ms)} ms is less than "
                f"its {at_least(float(predicted[-1]))} ms: raise the budget, or lower the resolution",
                budget=limit_ms,
                least=float(predicted[-1]),
                unit="ms",
            )
        return distinct[int(fitting[0])]
