"""The latency models that a search for devices believes: one fitted to each budget's table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hwnas import latency
from hwnas.budget import Budget
from hwnas.device import Target
from hwnas.errors import DeviceError
from hwnas.latency import Source
from hwnas.runs.folder import RunFolder
from hwnas.space import SearchSpace


def sources(budgets: Sequence[Budget], space: SearchSpace, tables: Path | None) -> list[Source]:
    """The latency table of each.

    Raises:
        TableError: There is none.
        DeviceError: A budget is not on a target.
    """
    found = []
    for budget in budgets:
        if not isinstance(budget.target, Target):
            raise DeviceError(f"a budget must be on a target of a device, but got {str(budget)!r}")
        found.append(latency.find_table(budget.target, space, tables))
    return found


def fit(found: Sequence[Source], run: Path) -> tuple[Path, ...]:
    """Fit a latency model to each table, into the run's own folder; done once."""
    folder = RunFolder(run)
    return tuple(latency.fitted(source, folder.latency_model(source.table.target)) for source in found)
