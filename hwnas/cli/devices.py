"""``hwnas devices``: what can be measured on, what is attached, and whether it is ready."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from hwnas import device, shelf
from hwnas.cli import _usage
from hwnas.cli._app import App, Json, app, emit_json, out, print_table
from hwnas.cli._checks import show_check
from hwnas.cli._serving import Host, Port, not_installed, told
from hwnas.errors import DeviceError
from hwnas.web import tokens

devices = App(no_args_is_help=True, help="Devices that can be measured on.")
app.add_typer(devices, name="devices")

Name = Annotated[str, typer.Argument(help="Device, as in `hwnas devices list`.", callback=_usage.device)]
Serial = Annotated[
    str | None, typer.Option(help="Which one: serial number, HOST:PORT, or USER@HOST for boards.")
]


@devices.command("list")
def list_(as_json: Json = False) -> None:
    """List the devices that are described, and the phones that are attached."""
    from hwnas.transport import adb

    known = device.load_all()
    phones = adb.attached()
    matches = {phone.serial: adb.best_match(phone.facts, known.values()) for phone in phones}
    if as_json:
        described = [
            {
                "name": d.name,
                "title": d.title,
                "transport": d.transport,
                "runtimes": d.runtimes,
                "also": d.also,
            }
            for d in known.values()
        ]
        found = [
            {"serial": p.serial, "state": p.state, "title": p.title, "matches": m.name if m else None}
            for p, m in ((p, matches[p.serial]) for p in phones)
        ]
        emit_json({"devices": described, "attached": found})
        return
    table = Table("device", "what it is", "reached by", "runtimes")
    for item in known.values():
        also = [f"({name})" for name in item.also]  # where they are installed
        table.add_row(item.name, item.title, item.transport, ", ".join([*item.runtimes, *also]))
    print_table(table)
    attached = Table("attached", "what it says it is", "use --device", "what to do")
    for phone in phones:
        match = matches[phone.serial]
        attached.add_row(phone.serial, phone.title, match.name if match else "", phone.remedy)
    if phones:
        print_table(attached)
    elif not adb.installed():
        out.print(
            "No phone is looked for: the adb program (Android's platform tools) is not installed. "
            "With the package adb-shell, one can be reached by --serial HOST:PORT."
        )
    else:
        out.print(f"No phone is attached: {adb.ATTACH}.")


@devices.command()
def doctor(
    name: Name,
    serial: Serial = None,
    agent_path: Annotated[
        Path | None, typer.Option(help="Google's benchmark_model for that device, instead of hwnas's agent.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check step by step that a device can be measured on, and say what to do where it cannot."""
    from hwnas.transport.doctor import FAILED, examine

    checks = []
    described = device.load(name).with_options(agent_path=None if agent_path is None else str(agent_path))
    for check in examine(described, serial):
        checks.append(check)
        if not as_json:
            show_check(check)
    if as_json:
        emit_json([asdict(check) for check in checks])
    if any(check.state == FAILED for check in checks):
        raise typer.Exit(1)


ShelfFile = Annotated[
    Path, typer.Argument(help="File of a shelf: a [[unit]] with device and serial for each.")
]


@devices.command("shelf")
def shelf_(path: ShelfFile, as_json: Json = False) -> None:
    """List the units of a shelf, what adb says of phones, and who has them."""
    from hwnas.transport import adb

    holdings = shelf.opened(shelf.read(path)).holdings()
    states = {phone.serial: phone.state for phone in adb.attached()}
    if as_json:
        found = [(each, states.get(each.unit.serial)) for each in holdings]
        emit_json([{**asdict(each.unit), "adb": state, "holder": each.holder} for each, state in found])
        return
    table = Table("device", "which", "adb says", "in use by")
    for each in holdings:
        table.add_row(each.unit.device, each.unit.serial, states.get(each.unit.serial, ""), each.holder)
    print_table(table)


@devices.command()
def borrow(
    path: ShelfFile,
    name: Annotated[
        str, typer.Option("--device", help="Device of which one is taken.", callback=_usage.device)
    ],
    command: Annotated[list[str], typer.Argument(help="After --: the command, and what it is given.")],
) -> None:
    """Run a command with one unit of a shelf, which nobody else gets meanwhile; exits as the command does.

    Its environment says which: hwnas and adb find it there.
    """
    from hwnas.shelf.borrowing import run

    raise typer.Exit(run(shelf.read(path), name, command))


@devices.command()
def serve(
    path: ShelfFile,
    token_file: Annotated[
        Path, typer.Option(help="File of the token that borrowers show; made where it is not there.")
    ],
    host: Host = "127.0.0.1",
    port: Port = 8750,
    lease_s: Annotated[
        float,
        typer.Option(min=1, max=86400, help="Seconds that a lease lasts which its holder does not renew."),
    ] = 60.0,
) -> None:
    """Give the units of a shelf out to others, over HTTP, until Ctrl-C."""
    from hwnas.shelf.desk import Desk

    try:
        from hwnas.shelf import service
    except ImportError as error:
        raise not_installed("the service of a shelf", "shelf") from error
    stand = shelf.read(path)
    if stand.service:
        raise DeviceError(f"a service must have units to give out, but {path} borrows from {stand.service}")
    token = tokens.made_in(token_file)
    said = f"{len(stand.units)} units are given out at http://{host}:{port}; token in {token_file}"
    service.serve(Desk(stand, lease_s), token, host, port, lambda: told(said))


@devices.command()
def clean(name: Name, serial: Serial = None) -> None:
    """Remove everything that hwnas keeps on a phone or board."""
    from hwnas.transport import connect
    from hwnas.transport.remote import RemoteTransport

    with connect(device.load(name), serial) as transport:
        if not isinstance(transport, RemoteTransport):
            raise DeviceError(f"files must be kept on the device to be removed, but {name} is this machine")
        transport.clean()
        out.print(f"{transport.folder} is removed from {name}")
