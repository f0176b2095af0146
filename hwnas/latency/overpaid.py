"""What a sum of costs pays for that does not run, where a space can leave parts out.

Costs add up over decisions, so that a part is paid by whoever may need it: a sum by what it adds, what every
network has by all. Where there is nothing to add to, or nobody reads a part, it does not run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from hwnas.latency.base import FloatArray, IntArray
from hwnas.space import SearchSpace, Workload


def overpaid(space: SearchSpace, indices: IntArray, cost: Callable[[Workload], float]) -> FloatArray:
    """How much less architectures take than the sum of their costs: (n, decisions) to (n,), at least 0."""
    rows = np.atleast_2d(indices)
    if not space.is_tied:
        return np.zeros(len(rows))
    paid = {(number, index): workloads for number, index, workloads in space.grouped()}
    return np.array(
        [sum(cost(w) * count for w, count in _idle(space, paid, row).items()) for row in rows.tolist()]
    )


def _idle(
    space: SearchSpace, paid: dict[tuple[int, int], tuple[Workload, ...]], row: list[int]
) -> Counter[Workload]:
    """Workloads that are paid for and do not run, and how often."""
    found = Counter(space.fixed)
    for number, index in enumerate(space.simplest(tuple(row))):
        found.update(paid[number, index])
    found.subtract(space.architecture(row).workloads)
    return Counter({w: count for w, count in found.items() if count > 0 and not w.block.is_identity})
