"""Why budgets are refused: the proof that no architecture keeps them."""

from __future__ import annotations

from hwnas.errors import InfeasibleBudget
from hwnas.finalists.latencies import Posteriors
from hwnas.search.objective import ENERGY
from hwnas.statistics.bounds import at_least, at_most


def _energy(posteriors: Posteriors) -> list[str]:
    """A limit on energy that none keeps, with the least that was measured."""
    limit = next((item.budget.limit for item in posteriors.limits if item.name == ENERGY), None)
    found = [energy for indices in posteriors.readings if (energy := posteriors.energy(indices)) is not None]
    if limit is None or not found or not all(energy.on(limit).is_fail for energy in found):
        return []
    return [
        f"{at_most(limit)} mJ of energy (the least that was measured is {min(e.mj for e in found):.4g} mJ)"
    ]


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
    energy = _energy(posteriors)
    if not alone:  # each can be kept, but not all of them by one architecture
        least = needs[min(seen, key=posteriors.spent)]
    there = [any(readings[n] is not None for readings in seen.values()) for n in range(len(constraints))]
    named = [
        f"{at_most(constraints[n].budget_ms)} ms on {constraints[n].name} "
        f"({at_least(least[n])} ms can be kept{'' if there[n] else ', as predicted: it was not measured'})"
        for n in alone or (() if energy else range(len(constraints)))
    ]
    worst = max(alone or range(len(constraints)), key=lambda n: least[n] / constraints[n].budget_ms)
    words = [*(["budget"] if named else []), *(["limit"] if energy else [])]
    together = "" if alone or energy else " together"
    return InfeasibleBudget(
        f"budgets must be kept by an architecture that was measured, but none of {len(seen)}, the "
        f"fastest ones included, keeps {', '.join([*named, *energy])}{together}: "
        f"raise the {' and the '.join(words)} or shrink the space",
        budget=constraints[worst].budget_ms,
        least=least[worst],
    )
