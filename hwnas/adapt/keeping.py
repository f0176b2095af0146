"""From what a strategy proposes to widths that are measured to keep a budget."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwnas.adapt.latencies import Latency
from hwnas.adapt.strategies.base import Indices, Tell, WidthStrategy
from hwnas.adapt.subject import Subject
from hwnas.errors import InfeasibleBudget
from hwnas.latency.base import Cost

_SESSIONS = 4
_SHARES = (1.0, 0.97, 0.93)
"""Of what is believed to fit: proposals that are measured together."""

_ENOUGH = 0.96
"""Use of a budget with which no further session is begun."""


@dataclass(frozen=True)
class KeptWidths:
    """Widths, and the measured proof.

    Attributes:
        indices: The widths.
        latency: What they take.
        measured: How many networks were measured.
    """

    indices: Indices
    latency: Latency
    measured: int


def keep(subject: Subject, strategy: WidthStrategy, costs: Cost, budget_ms: float, tell: Tell) -> KeptWidths:
    """The widest proposal that is measured to keep a budget, its whole interval below it.

    What is predicted is corrected by what was measured, session by session.

    Raises:
        InfeasibleBudget: Nothing that was proposed does.
        DeviceError: The device failed.
    """
    ratio, found = 1.0, dict[Indices, Latency]()
    for session in range(_SESSIONS):
        wanted = _proposed(strategy, budget_ms / ratio, is_needed=not found)
        if all(indices in found for indices in wanted):
            break
        tell(f"measuring {len(wanted)} networks on {subject.target} (session {session + 1})")
        found |= subject.latencies(wanted)
        best = _best(found, budget_ms)
        if best is not None and found[best].ms >= _ENOUGH * budget_ms:
            break
        seen = found[wanted[0]]
        ratio = max(seen.ms, seen.at_most_ms) / float(costs.of(np.array([wanted[0]]))[0])
    best = _best(found, budget_ms)
    if best is None:
        least = min(latency.at_most_ms for latency in found.values())
        raise InfeasibleBudget(
            f"a budget must be kept when it is measured, but none of {len(found)} networks was proven to "
            f"take at most {budget_ms:.3f} ms (the fastest: up to {least:.3f} ms): raise the budget, or make "
            "the device quieter",
            budget=budget_ms,
            least=least,
            unit="ms",
        )
    return KeptWidths(best, found[best], len(found))


def _proposed(strategy: WidthStrategy, limit_ms: float, *, is_needed: bool) -> list[Indices]:
    """Widths for a limit and for a little less of it, as far as there are any.

    Raises:
        InfeasibleBudget: There are none even for the limit, and some are needed.
    """
    wanted: dict[Indices, None] = {}
    for share in _SHARES:
        try:
            wanted[strategy.propose(share * limit_ms)] = None
        except InfeasibleBudget:
            if is_needed and not wanted:
                raise
            break
    return list(wanted)


def _best(found: dict[Indices, Latency], budget_ms: float) -> Indices | None:
    fitting = {indices: latency for indices, latency in found.items() if latency.at_most_ms <= budget_ms}
    return max(fitting, key=lambda indices: fitting[indices].ms, default=None)
