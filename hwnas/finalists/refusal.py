"""Why budgets are refused: the proof that no architecture keeps them."""

from __future__ import annotations

from hwnas.errors import InfeasibleBudget
from hwnas.finalists.latencies import Posteriors
from hwnas.statistics.bounds import at_least, at_most


def refusal(posteriors: Posteriors) -> InfeasibleBudget:
    """Which budgets cannot be kept, with the smallest that can."""
    constraints, seen = posteriors.constraints, posteriors.readings
    needs = {indices: posteriors.needs_ms(indices) for indices in seen}
    least = [min(need[number] for need in needs.values()) for number in range(len(constraints))]
    alone = [
        n
        for n, constraint in enumerate(constraints)
        if all(r is None or r.on(constraint.budget_ms).is_fail for r in (rs[n] for rs in seen.values()))
        and least[n] > constraint.budget_ms
    ]
    if not alone:  # each can be kept, but not all of them by one architecture
        least = needs[min(seen, key=posteriors.spent)]
    there = [any(readings[n] is not None for readings in seen.values()) for n in range(len(constraints))]
    named = [
        f"{at_most(constraints[n].budget_ms)} ms on {constraints[n].name} "
        f"({at_least(least[n])} ms can be kept{'' if there[n] else ', as predicted: it was not measured'})"
        for n in alone or range(len(constraints))
    ]
    worst = max(alone or range(len(constraints)), key=lambda n: least[n] / constraints[n].budget_ms)
    return InfeasibleBudget(
        f"budgets must be kept by an architecture that was measured, but none of {len(seen)}, the "
        f"fastest ones included, keeps {', '.join(named)}{'' if alone else ' together'}: "
        "raise the budget or shrink the space",
        budget=constraints[worst].budget_ms,
        least=least[worst],
    )
