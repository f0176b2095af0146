"""``hwnas fit``: from a latency table to a model that search can believe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from hwnas import device
from hwnas.cli import _usage
from hwnas.cli._app import Json, app, emit_json, err, out
from hwnas.cli._evaluation import show
from hwnas.errors import SchemaMismatch, TableError
from hwnas.measure import energy as counted
from hwnas.runs import outputs
from hwnas.tables import places

if TYPE_CHECKING:
    from hwnas.space import SearchSpace
    from hwnas.tables.table import LatencyTable


@app.command()
def fit(
    space: Annotated[
        str,
        typer.Option(help="Search space, short or full name.", callback=_usage.checked(_usage.space)),
    ],
    device_name: Annotated[
        str, typer.Option("--device", help="Device of the table.", callback=_usage.device)
    ] = "host",
    runtime: Annotated[str | None, typer.Option(help="Runtime of the table; the device's first.")] = None,
    precision: Annotated[str, typer.Option(help="int8, fp32, fp16, bf16 or tf32.")] = "int8",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of the table; those of the device.")
    ] = None,
    table: Annotated[Path | None, typer.Option(help="Table to read instead of the device's own.")] = None,
    model: Annotated[
        str,
        typer.Option(
            help='"posterior", "lookup", "regression", or "transfer" for a new device.',
            callback=_usage.checked(_usage.latency_model),
        ),
    ] = "posterior",
    to: Annotated[Path, typer.Option("--out", help="File to write.")] = Path("latency.json"),
    as_json: Json = False,
) -> None:
    """Fit a latency model and report its errors on held-out networks."""
    from hwnas import latency, spaces
    from hwnas.tables.table import LatencyTable

    with _usage.usage():
        described = device.load(device_name)
        target = described.target(runtime or described.runtimes[0], precision, threads=threads)
    outputs.require_file(to, "a latency model")
    path = table or places.table(places.of_device(target.device), target)
    if not path.exists():
        command = places.profile_command(target, space, None if table is None else path.parent)
        own = places.table(path.parent, target)
        made = "makes it" if path == own else f"makes {own}, which --table can name"
        raise TableError(f"a latency table must be there, but {path} does not exist: {command} {made}")
    loaded, chosen = LatencyTable.load(path), spaces.load(space)
    found = loaded.target
    is_asked = (found.device, found.runtime, found.precision) == (device_name, target.runtime, precision)
    if not is_asked or (threads is not None and found.threads != threads):
        raise SchemaMismatch(
            f"a table must be of the target that was asked for, but {path} is of {found}, not {target}: "
            "give its --device, --runtime, --precision and --threads",
            field="target",
        )
    known = latency.known_devices(chosen, found) if model == "transfer" else None
    fitted = latency.fit(loaded, chosen, model, known=known)
    latency.save(fitted, to)
    summaries = {split: item.summary for split, item in fitted.evaluation.items()}
    of_energy = getattr(fitted.energy, "evaluation", {})
    energy = {split: _in_mj(item.summary) for split, item in of_energy.items()}
    doubts = {"": latency.doubt(fitted.evaluation), "energy: ": latency.doubt(of_energy)}
    warnings = [f"{name}{text}" for name, text in doubts.items() if text]
    warnings += [] if fitted.energy else _without_energy(loaded, chosen, model)
    if as_json:
        emit_json(
            {
                "model": fitted.name,
                "target": fitted.target.to_json(),
                "table": str(path),
                "out": str(to),
                "notes": list(fitted.notes),
                "evaluation": summaries,
                "energy": None if fitted.energy is None else energy,
                "warnings": warnings,
            }
        )
        return
    show(f"{fitted.name} on {fitted.target}", summaries)
    if energy:
        show(f"energy by {fitted.name} on {fitted.target}", energy)
    for note in fitted.notes:
        err.print(f"[yellow]{note}[/]")
    for text in warnings:
        err.print(f"[yellow]warning:[/] {escape(text)}", highlight=False, soft_wrap=True)
    if "heldout" not in summaries:
        err.print("[yellow]the table has no held-out networks: nothing is known about the model's errors[/]")
    out.print(f"written to {to}", highlight=False)


def _in_mj(summary: Mapping[str, float | None]) -> dict[str, float | None]:
    """Errors of a model of energy, by the unit that they have."""
    return {name.removesuffix("_ms") + "_mj" * name.endswith("_ms"): value for name, value in summary.items()}


def _without_energy(table: LatencyTable, space: SearchSpace, model: str) -> list[str]:
    """Why there is no model of energy though it was counted: a sentence, or none where nobody asked."""
    from hwnas import latency

    if model == "transfer" or not any(map(counted.was_asked, table.rounds)):
        return []
    share = latency.measured_share(table.energies, space)
    command = places.profile_command(table.target, space.typed_name, energy=True)
    return [
        f"no model of energy: a table must hold the energies of {latency.energies_needed(model):.0%} of the "
        f"blocks of {space.name} for a {model}, but this one holds {share:.0%}: look why `hwnas profile` "
        f"refused them, mend that, and {command} counts them"
    ]
