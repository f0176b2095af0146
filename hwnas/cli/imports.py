"""``hwnas import``: other people's measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli import _usage
from hwnas.cli._app import App, Json, app, emit_json, err, out
from hwnas.cli._evaluation import show
from hwnas.device import Target
from hwnas.runs import outputs

imports = App(no_args_is_help=True, help="Use latencies that were measured elsewhere.")
app.add_typer(imports, name="import")

File = Annotated[Path, typer.Argument(help="CSV or Parquet.")]
DeviceName = Annotated[str, typer.Option("--device", help="Name of the device that was measured.")]
Runtime = Annotated[str, typer.Option(help="Runtime that was measured.")]
Precision = Annotated[str, typer.Option(help="int8, fp32, fp16, bf16 or tf32.")]
Source = Annotated[str, typer.Option(help="Who measured, and where it was published.")]
Licence = Annotated[str, typer.Option(help="Terms under which the numbers may be used.")]


@imports.command()
def networks(
    file: File,
    device: DeviceName,
    runtime: Runtime,
    precision: Precision,
    space: Annotated[str, typer.Option(help="Search space that the architectures are of.")],
    source: Source,
    licence: Licence,
    column: Annotated[str | None, typer.Option(help="Column of the latencies; the device's name.")] = None,
    to: Annotated[Path, typer.Option("--out", help="Model to write.")] = Path("latency.json"),
    as_json: Json = False,
) -> None:
    """Fit a latency model to whole networks: a column "arch" of candidate numbers, and one of ms."""
    from hwnas import latency, spaces
    from hwnas.latency.imports.importers import Provenance, import_networks

    with _usage.usage():
        target, searched = Target(device, runtime, precision), spaces.load(space)
    outputs.require_file(to, "a latency model")
    fitted = import_networks(file, column or device, searched, target, Provenance(source, licence))
    latency.save(fitted, to)
    summaries = {split: item.summary for split, item in fitted.evaluation.items()}
    if as_json:
        emit_json({"target": target.to_json(), "out": str(to), "evaluation": summaries})
        return
    show(f"{fitted.name} on {target}", summaries)
    if "heldout" not in summaries:
        err.print(
            "[yellow]fewer than five distinct networks: none is held out, and nothing is known about the "
            "model's errors[/]"
        )
    out.print(f"written to {to}", highlight=False)


@imports.command()
def blocks(
    file: File,
    device: DeviceName,
    runtime: Runtime,
    precision: Precision,
    source: Source,
    licence: Licence,
    to: Annotated[Path, typer.Option("--out", help="Table to write.")] = Path("table.jsonl"),
    as_json: Json = False,
) -> None:
    """Make a table of single blocks: a column "key" of workloads, and one "latency_ms"."""
    from hwnas.latency.imports.importers import Provenance, import_blocks

    with _usage.usage():
        target = Target(device, runtime, precision)
    outputs.require_file(to, "a latency table")
    table = import_blocks(file, target, Provenance(source, licence))
    table.save(to)
    if as_json:
        emit_json({"target": table.target.to_json(), "out": str(to), "blocks": len(table.rounds)})
        return
    out.print(f"{len(table.rounds)} blocks written to {to}", highlight=False)
