"""``hwnas fit``: from a latency table to a model that search can believe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from hwnas import device, files
from hwnas.cli._app import Json, app, emit_json, err, out
from hwnas.device import Target
from hwnas.errors import SchemaMismatch


@app.command()
def fit(
    space: Annotated[str, typer.Option(help="Search space, short or full name.")],
    device_name: Annotated[str, typer.Option("--device", help="Device of the table.")] = "host",
    runtime: Annotated[str, typer.Option(help="Runtime of the table.")] = "litert",
    precision: Annotated[str, typer.Option(help='"int8" or "fp32".')] = "int8",
    table: Annotated[Path | None, typer.Option(help="Table to read instead of the device's own.")] = None,
    model: Annotated[str, typer.Option(help="Latency model.")] = "posterior",
    to: Annotated[Path, typer.Option("--out", help="File to write.")] = Path("latency.json"),
    as_json: Json = False,
) -> None:
    """Fit a latency model and report its errors on held-out networks."""
    from hwnas import latency, spaces
    from hwnas.table import LatencyTable

    target = device.load(device_name).target(runtime, precision)
    path = table or default_table(target)
    loaded = LatencyTable.load(path)
    found = loaded.target
    if (found.device, found.runtime, found.precision) != (device_name, runtime, precision):
        raise SchemaMismatch(
            f"a table must be of the target that was asked for, but {path} is of {found}, not {target}: "
            "give its --device, --runtime and --precision",
            field="target",
        )
    fitted = latency.fit(loaded, spaces.load(space), model)
    latency.save(fitted, to)
    summaries = {split: item.summary for split, item in fitted.evaluation.items()}
    if as_json:
        emit_json(
            {
                "model": fitted.name,
                "target": fitted.target.to_json(),
                "table": str(path),
                "out": str(to),
                "evaluation": summaries,
            }
        )
        return
    _show(f"{fitted.name} on {fitted.target}", summaries)
    if "heldout" not in summaries:
        err.print("[yellow]the table has no held-out networks: nothing is known about the model's errors[/]")
    out.print(f"written to {to}", highlight=False)


def default_table(target: Target) -> Path:
    """Where ``hwnas profile`` keeps the table of a target."""
    return files.user_data() / "tables" / target.device / f"{target.slug}.jsonl"


def _show(title: str, summaries: dict[str, dict[str, float | None]]) -> None:
    shown = Table(
        "measured networks",
        "n",
        "MAPE",
        "±1 %",
        "±5 %",
        "±10 %",
        "Spearman",
        "Kendall",
        "in 90 %",
        title=title,
    )
    for split, item in summaries.items():
        shares = [item[name] for name in ("mape", "within_1", "within_5", "within_10")]
        ranks = [item[name] for name in ("spearman", "kendall")]
        shown.add_row(
            split,
            str(item["networks"]),
            *(f"{share:.1%}" for share in shares),
            *("–" if rank is None else f"{rank:.3f}" for rank in ranks),
            f"{item['coverage_90']:.0%}",
        )
    out.print(shown)
