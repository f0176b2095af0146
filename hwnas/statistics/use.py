"""How much of its budgets a network uses: the same words wherever a result is shown.

Of several budgets the tightest one binds: the one of which the largest share is used.
"""

from __future__ import annotations

from collections.abc import Mapping

LITTLE = 0.85
"""Share of a budget below which it is said that much of it is left."""

_TRY = (
    "to use more of it, search or adapt again, for longer or with another seed or strategy; a smaller budget "
    "would do for this network"
)


def tightest(shares: Mapping[str, float]) -> str:
    """The name of the budget that binds.

    Args:
        shares: Latency over budget, by the name of the budget; at least one.
    """
    return max(shares, key=lambda name: shares[name])


def said(shares: Mapping[str, float]) -> str:
    """Which share of the tightest budget is used; empty without a budget."""
    if not shares:
        return ""
    name = tightest(shares)
    return f"{shares[name]:.0%} of the tightest budget ({name}) is used"


def warning(shares: Mapping[str, float], why: str = "") -> str:
    """What to know where little of the tightest budget is used; empty where that is not so.

    Args:
        shares: As in ``tightest``; it may be empty.
        why: What the search knows of the reason, with what to do; what can be tried where it is not known.
    """
    if not shares or shares[tightest(shares)] >= LITTLE:
        return ""
    longer = 1 / shares[tightest(shares)]
    means = f"a network that takes {longer:.1f} times as long would still keep every budget"
    return f"only {said(shares)}: {why or f'{means}: {_TRY}'}"


def is_warning(text: str) -> bool:
    """Whether a text is a ``warning``, of which a later measurement makes another."""
    return text.startswith("only ") and " of the tightest budget (" in text
