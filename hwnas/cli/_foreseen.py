"""What a dry run says: what would be measured, and about how long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from hwnas.cli._app import emit_json, out, print_table
from hwnas.durations import duration

if TYPE_CHECKING:
    from hwnas.measure.foresight import Foreseen, ForeseenModels
    from hwnas.pipeline import ForeseenRun

DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Only say what would be measured, and about how long it takes."),
]
_AT_LEAST = "at least: as the settings have it, without the way to the device and the models' own time"


def show_foreseen(found: Sequence[Foreseen], *, as_json: bool) -> None:
    """What would be measured of the blocks and networks of each target."""
    if as_json:
        emit_json([item.to_json() for item in found])
        return
    table = Table("target", "blocks", "networks", "rounds", "measuring takes")
    for item in found:
        blocks = item.rows.get("block", 0)
        least, most = map(duration, item.seconds)
        takes = f"{least} to {most}" if item.is_known else f"at least {least}"
        rounds = f"{item.fewest} to {item.most}"
        table.add_row(str(item.target), str(blocks), str(sum(item.rows.values()) - blocks), rounds, takes)
    print_table(table)
    if any(item.is_known for item in found):
        out.print("by the last session of each table; models are exported before", highlight=False)
    if not all(item.is_known for item in found):
        _say(f"{_AT_LEAST}; a table that is begun knows better")


def show_foreseen_models(
    found: Sequence[ForeseenModels], notes: Sequence[str] = (), *, as_json: bool
) -> None:
    """What would be measured of whole models on each target.

    Args:
        found: What is measured.
        notes: What else is to be known.
        as_json: Whether it is printed for machines.
    """
    if as_json:
        emit_json({"sessions": [item.to_json() for item in found], "notes": list(notes)})
        return
    table = Table("target", "models", "rounds", "measuring takes")
    for item in found:
        models = ", ".join(item.models) or " to ".join(map(str, dict.fromkeys(item.count)))
        takes = f"at least {duration(item.least_s)}"
        table.add_row(str(item.target), escape(models), f"{item.fewest} to {item.most}", takes)
    print_table(table)
    for text in (_AT_LEAST, *notes):
        _say(text)


def show_foreseen_run(found: ForeseenRun, *, as_json: bool) -> None:
    """Which stages of a run are left, and what is measured in them."""
    if as_json:
        emit_json(found.to_json())
        return
    table = Table("stage", "", "took", "measuring")
    for stage in found.stages:
        state = "[green]done[/]" if stage.is_done else "to do"
        took = "not known" if stage.seconds is None else duration(stage.seconds)
        table.add_row(stage.name, state, took, stage.measures)
    print_table(table)
    if found.profile:
        show_foreseen(found.profile, as_json=False)
    if any(not stage.is_done and stage.seconds is not None for stage in found.stages):
        out.print("took: when the stage was last finished, with what it had then", highlight=False)


def _say(text: str) -> None:
    out.print(escape(text), highlight=False, soft_wrap=True)
