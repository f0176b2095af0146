"""Why budgets are refused: the proof that no architecture keeps them."""

from __future__ import annotations

from hwnas.errors import InfeasibleBudget
from hwnas.finalists.latencies import Posteriors
from hwnas.statistics.bounds import at_least, at_most


def refusal(posteriors: Posteriors) -> InfeasibleBudget:
    """Which budgets cannot be kept, with the smallest that can."""
    goals, seen = posteriors.goals, posteriors.readings
    needs = {indices: posteriors.needs_ms(indices) for indices in seen}
    least = [min(need[number] for need in needs.values()) for number in range(len(goals))]
    alone = [
        n
        for n, goal in enumerate(goals)
        if all(r is None or r.on(goal.budget_ms).is_fail for r in (rs[n] for rs in seen.values()))
        and least[n] > goal.budget_ms
    ]
    if not alone:  # each can be kept, but not all of them by one architecture
        least = needs[min(seen, key=posteriors.spent)]
    there = [any(readings[n] is not None for readings in seen.values()) for n in range(len(goals))]
    named = [
        f"{at_most(goals[n].budget_ms)} ms on {goals[n].name} ({at_least(least[n])} ms can be kept"
        f"{'' if there[n] else ', as predicted: it was not measured'})"
        for n in alone or range(len(goals))
    ]
    worst = max(alone or range(len(goals)), key=lambda n: least[n] / goals[n].budget_ms)
    return InfeasibleBudget(
        f"budgets must be kept by an architecture that was measured, but none of {len(seen)}, the "
        f"fastest ones included, keeps {', '.join(named)}{'' if alone else ' together'}: "
        "raise the budget or shrink the space",
        budget=goals[worst].budget_ms,
        least=least[worst],
    )
