"""``hwnas export``, ``hwnas verify``, ``hwnas report``: from trained weights to a proven model."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from hwnas import device as devices
from hwnas import files, outputs, records
from hwnas.cli._app import Json, app, emit_json, err, out, print_table

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
    licence: Annotated[
        str | None, typer.Option(help="Of the models, which are yours; goes into the manifest.")
    ] = None,
    qat_if_worse: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Fine-tune for int8 where it loses more validation accuracy than this, such as 0.01.",
        ),
    ] = None,
    qat_epochs: Annotated[int, typer.Option(min=1, help="Passes of that fine-tuning.")] = 3,
    int8_drop: Annotated[
        float,
        typer.Option(min=0, max=1, help="Largest drop of validation accuracy by int8; more is an error."),
    ] = 0.05,
    as_json: Json = False,
) -> None:
    """Export the trained network to TFLite and ONNX, fp32 and int8."""
    from hwnas import ship

    dataset = ship.load_data(records.trained(run)["data"], data)
    with err.status("exporting") as status:
        manifest = ship.export_run(
            run,
            dataset,
            calibration_images=calibration_images,
            licence=licence,
            qat_if_worse=qat_if_worse,
            qat_epochs=qat_epochs,
            int8_drop=int8_drop,
            on_variant=lambda name: status.update(f"exporting {name}"),
        )
    content = ship.read_manifest(manifest.parent)
    if as_json:
        emit_json(content)
        return
    table = Table("file", "size")
    for entry in content["variants"]:
        table.add_row(entry["file"], f"{entry['bytes'] / 1024:.0f} KiB")
    print_table(table)
    if rounding := content["int8"]:
        _show_rounding(rounding)
    for item in content["int8_costs"]:
        colour = "yellow" if item["drop"] > 0.01 else "default"
        out.print(f"[{colour}]{escape(item['said'])}[/]", highlight=False)
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
    folder: Annotated[Path, typer.Argument(help="Shipping folder, wherever it is now, or folder of a run.")],
    device: Annotated[
        str | None, typer.Option(help="Device to measure on; by default the one of the budgets.")
    ] = None,
    tables: Annotated[
        Path | None, typer.Option(help="Folder of the device's latency tables, if not its own.")
    ] = None,
    data: Data = None,
    skip_accuracy: Annotated[bool, typer.Option("--skip-accuracy", help="Do not look for the data.")] = False,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of measurement.")] = 9,
    record: Annotated[
        bool, typer.Option("--record/--no-record", help="Write the result into the manifest.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Check again all that ships: files, answers, accuracy, latency, budget.

    Exits with 1 where a promise is not kept. Needs nothing but the folder.
    """
    from hwnas import ship
    from hwnas import verify as verification
    from hwnas.profile import ProfileOptions

    folder = folder / "export" if (folder / "export" / ship.MANIFEST).exists() else folder
    manifest = ship.read_manifest(folder)
    if record:
        outputs.require_file(folder / ship.MANIFEST, "the manifest (without --no-record)")
    described = devices.load(device or manifest["device"])
    dataset = None
    if not skip_accuracy and (data or _at_hand(manifest["data"]["source"])):
        dataset = ship.load_data(manifest["data"], data)
    own = folder.parent if (folder.parent / "arch.json").exists() else folder
    alone = outputs.claimed(own, "a verification") if record else nullcontext()
    with alone, err.status("verifying") as status:
        found = verification.verify(
            folder,
            described,
            dataset,
            tables=tables or files.user_data() / "tables" / described.name,
            options=ProfileOptions(rounds=rounds, max_rounds=3 * rounds),
            record=record,
            on_step=lambda step: status.update(f"verifying: {step}"),
        )
    if as_json:
        emit_json(found.to_json())
    else:
        show_verification(found)
    if not found.passed:
        raise typer.Exit(1)


def _at_hand(source: str) -> bool:
    """Whether the data can be looked for where they were at training."""
    from hwnas import data

    return data.is_embedded(source) or Path(source).exists()


@app.command()
def report(
    run: Run,
    latency: Annotated[
        list[Path] | None, typer.Option(help="Latency model that the search believed; may be repeated.")
    ] = None,
    tables: Annotated[
        Path | None, typer.Option(help="Folder of the device's latency tables, if not its own.")
    ] = None,
    baseline: Annotated[Path | None, typer.Option(help="Another run to compare with.")] = None,
    as_json: Json = False,
) -> None:
    """Write a self-contained HTML report of a run."""
    from hwnas import report as reports
    from hwnas import ship

    path = reports.write(run, latencies=tuple(latency or ()), tables=tables, baseline=baseline)
    if (run / "export" / ship.MANIFEST).exists():
        ship.add_file(run / "export", ship.REPORT, path.read_bytes())
    if as_json:
        emit_json({"report": str(path)})
    else:
        out.print(f"written to {path}", highlight=False)


def show_verification(found: Verification) -> None:
    """Print what was found about each variant, why one failed, and what was left out."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("variant", "accuracy", "ms", "95 % interval", "predicted", "budget", ""):
        table.add_column(column, no_wrap=True)
    for item in found.variants:
        low, high = item.interval_ms or (None, None)
        table.add_row(
            item.name,
            "–" if item.test_accuracy is None else f"{item.test_accuracy:.2%}",
            _number(item.measured_ms),
            "–" if low is None else f"{_number(low)}–{_number(high)}",
            _number(item.predicted_ms),
            _number(item.budget_ms),
            "[green]PASS[/]" if item.passed else "[red]FAIL[/]",
        )
    print_table(table)
    for item in found.variants:
        for reason in item.failures:
            out.print(f"[red]{item.name}[/]: {escape(reason)}", highlight=False)
        if item.session and item.session.reasons:
            said = f"measured in a session that was {item.session.verdict}: {'; '.join(item.session.reasons)}"
            err.print(f"[yellow]{item.name}[/]: {escape(said)}", highlight=False)
    for note in found.notes:
        err.print(f"[yellow]{escape(note)}[/]", highlight=False)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
