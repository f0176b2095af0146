"""``hwnas export``, ``hwnas verify``, ``hwnas report``: from trained weights to a proven model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from hwnas import device as devices
from hwnas import files
from hwnas.cli._app import Json, app, emit_json, err, out

if TYPE_CHECKING:
    from hwnas.verify import Verification

Run = Annotated[Path, typer.Argument(help="Folder of the run.")]
Data = Annotated[str | None, typer.Option("--data", help="Where the training data are now, if they moved.")]


@app.command()
def export(
    run: Run,
    data: Data = None,
    calibration_images: Annotated[
        int, typer.Option(min=1, help="Training images that set int8 ranges.")
    ] = 256,
    qat_if_worse: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Fine-tune for int8 where it loses more validation accuracy than this, such as 0.01.",
        ),
    ] = None,
    qat_epochs: Annotated[int, typer.Option(min=1, help="Passes of that fine-tuning.")] = 3,
    as_json: Json = False,
) -> None:
    """Export the trained network to TFLite and ONNX, fp32 and int8."""
    from hwnas import ship

    dataset = ship.load_data(files.read_json(run / "train.json", "the record of training")["data"], data)
    with err.status("exporting") as status:
        manifest = ship.export_run(
            run,
            dataset,
            calibration_images=calibration_images,
            qat_if_worse=qat_if_worse,
            qat_epochs=qat_epochs,
            on_variant=lambda name: status.update(f"exporting {name}"),
        )
    content = ship.read_manifest(manifest.parent)
    if as_json:
        emit_json(content)
        return
    table = Table("file", "size")
    for entry in content["variants"]:
        table.add_row(entry["file"], f"{entry['bytes'] / 1024:.0f} KiB")
    out.print(table)
    if rounding := content["int8"]:
        _show_rounding(rounding)
    out.print(f"each computes what PyTorch computes; written to {manifest.parent}", highlight=False)


def _show_rounding(rounding: Mapping[str, Any]) -> None:
    """One line on what int8 costs, and whether fine-tuning was called for."""
    parts = [f"fp32 {rounding['fp32']:.2%}", f"int8 {min(rounding['ptq'].values()):.2%}"]
    if rounding["failure"]:
        err.print(f"[yellow]fine-tuning for int8 was given up:[/] {escape(rounding['failure'])}")
    if rounding["qat"]:
        parts.append(f"int8 after fine-tuning {min(rounding['qat'].values()):.2%}")
    out.print(f"validation accuracy: {', '.join(parts)}; {rounding['shipped']} ships", highlight=False)


@app.command()
def verify(
    run: Run,
    device: Annotated[str, typer.Option(help="Device to measure on.")] = "host",
    tables: Annotated[
        Path | None, typer.Option(help="Folder of the device's latency tables, if not its own.")
    ] = None,
    data: Data = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of measurement.")] = 9,
    as_json: Json = False,
) -> None:
    """Measure what ships: accuracy, latency, budget. Exits with 1 where a promise is not kept."""
    from hwnas import ship
    from hwnas import verify as verification
    from hwnas.profile import ProfileOptions

    folder = run / "export" if (run / "export" / ship.MANIFEST).exists() else run
    dataset = ship.load_data(ship.read_manifest(folder)["data"], data)
    with err.status("verifying") as status:
        found = verification.verify(
            folder,
            devices.load(device),
            dataset,
            tables=tables or files.user_data() / "tables" / device,
            options=ProfileOptions(rounds=rounds),
            on_step=lambda step: status.update(f"verifying: {step}"),
        )
    if as_json:
        emit_json(found.to_json())
    else:
        show_verification(found)
    if not found.passed:
        raise typer.Exit(1)


@app.command()
def report(
    run: Run,
    latency: Annotated[
        list[Path] | None, typer.Option(help="Latency model that the search believed; may be repeated.")
    ] = None,
    baseline: Annotated[Path | None, typer.Option(help="Another run to compare with.")] = None,
    as_json: Json = False,
) -> None:
    """Write a self-contained HTML report of a run."""
    from hwnas import report as reports

    path = reports.write(run, latencies=tuple(latency or ()), baseline=baseline)
    if as_json:
        emit_json({"report": str(path)})
    else:
        out.print(f"written to {path}", highlight=False)


def show_verification(found: Verification) -> None:
    """Print what was found about each variant, and why one failed."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("variant", "accuracy", "ms", "95 % interval", "predicted", "budget", ""):
        table.add_column(column, no_wrap=True)
    for item in found.variants:
        table.add_row(
            item.name,
            f"{item.test_accuracy:.2%}",
            f"{item.measured_ms:.3f}",
            f"{item.interval_ms[0]:.3f}–{item.interval_ms[1]:.3f}",
            _number(item.predicted_ms),
            _number(item.budget_ms),
            "[green]PASS[/]" if item.passed else "[red]FAIL[/]",
        )
    out.print(table)
    for item in found.variants:
        for reason in item.failures:
            out.print(f"[red]{item.name}[/]: {reason}", highlight=False)


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:.3f}"
