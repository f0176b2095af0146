"""What a search would measure; nothing is trained, measured or written for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hwnas.budget import Budget
from hwnas.device import AutoTarget
from hwnas.finalists.candidates import FinalistsOptions
from hwnas.finalists.models import require_tables, sources
from hwnas.measure import ProfileOptions
from hwnas.measure.foresight import ForeseenModels, of_models
from hwnas.space import SearchSpace


def foreseen(
    budgets: Sequence[Budget],
    space: SearchSpace,
    tables: Path | None = None,
    options: FinalistsOptions | None = None,
    measuring: ProfileOptions | None = None,
) -> list[ForeseenModels]:
    """The finalists of a search: one session of each at least; what is proven sooner is measured less.

    A target whose runtime is chosen by measuring is left out: it is not known before.

    Args:
        budgets: What is asked for.
        space: Where the architectures are from.
        tables: Folder of latency tables, if not the user's own.
        options: Bounds of the loop.
        measuring: How well to measure.

    Raises:
        TableError: A budget has no latency table.
        DeviceError: A budget is not on a target.
    """
    require_tables(budgets, space, tables)
    options, measuring = options or FinalistsOptions(), measuring or ProfileOptions()
    first = options.finalists
    count = (first, first + (options.rounds - 1) * options.batch)
    known = [budget for budget in budgets if not isinstance(budget.target, AutoTarget)]
    return [
        of_models(source.table.target, (), measuring, count=count, table=source.table)
        for source in sources(known, space, tables)
    ]
