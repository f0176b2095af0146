"""``hwnas devices``: what can be measured on."""

from __future__ import annotations

import typer
from rich.table import Table

from hwnas import device
from hwnas.cli._app import Json, app, emit_json, out

devices = typer.Typer(no_args_is_help=True, help="Devices that can be measured on.")
app.add_typer(devices, name="devices")


@devices.command("list")
def list_(as_json: Json = False) -> None:
    """List the devices that are described."""
    known = device.load_all()
    if as_json:
        emit_json(
            [
                {"name": d.name, "title": d.title, "transport": d.transport, "runtimes": d.runtimes}
                for d in known.values()
            ]
        )
        return
    table = Table("device", "what it is", "reached by", "runtimes")
    for item in known.values():
        table.add_row(item.name, item.title, item.transport, ", ".join(item.runtimes))
    out.print(table)
