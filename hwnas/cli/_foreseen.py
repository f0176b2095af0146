"""What a dry run says: what would be measured, and about how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from hwnas.cli._app import emit_json, out, print_table
from hwnas.cli._pace import duration

if TYPE_CHECKING:
    from hwnas.measure.foresight import Foreseen


def show_foreseen(found: list[Foreseen], *, as_json: bool) -> None:
    """What would be measured of each target."""
    if as_json:
        emit_json([item.to_json() for item in found])
        return
    table = Table("target", "blocks", "networks", "rounds", "measuring takes")
    for item in found:
        blocks = item.rows.get("block", 0)
        least, most = (duration(seconds) for seconds in item.seconds)
        takes = f"{least} to {most}" if item.is_known else f"at least {least}"
        rounds = f"{item.fewest} to {item.most}"
        table.add_row(str(item.target), str(blocks), str(sum(item.rows.values()) - blocks), rounds, takes)
    print_table(table)
    if any(item.is_known for item in found):
        out.print("by the last session of each table; models are exported before", highlight=False)
    if not all(item.is_known for item in found):
        out.print(
            "at least: as the settings have it, without the way to the device and the models' own time; a "
            "table that is begun knows better",
            highlight=False,
            soft_wrap=True,
        )
