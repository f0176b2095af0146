"""The latency models that a search for devices believes: one fitted to each budget's table."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from hwnas import latency
from hwnas.budget import Budget
from hwnas.device import AutoTarget, Target
from hwnas.errors import DeviceError, TableError
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


def has_table(target: Target, space: SearchSpace, tables: Path | None) -> bool:
    """Whether there is a latency table of a target."""
    with suppress(TableError):
        return bool(latency.find_table(target, space, tables))
    return False


def require_tables(budgets: Sequence[Budget], space: SearchSpace, tables: Path | None) -> None:
    """Refuse budgets without latency tables; where the runtime is yet to be chosen, one must have a table.

    Raises:
        TableError: There is none.
        DeviceError: A budget is not on a target.
    """
    for budget in budgets:
        target = budget.target
        if not isinstance(target, AutoTarget):
            sources([budget], space, tables)
        elif not any(has_table(one, space, tables) for one in target.candidates):
            sources([replace(budget, target=target.candidates[0])], space, tables)


def fit(found: Sequence[Source], run: Path) -> tuple[Path, ...]:
    """Fit a latency model to each table, into the run's own folder; done once."""
    folder = RunFolder(run)
    return tuple(latency.fitted(source, folder.latency_model(source.table.target)) for source in found)
