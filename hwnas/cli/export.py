"""``hwnas export``: from trained weights to the models that ship."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from hwnas.cli import _runlog, _usage
from hwnas.cli._app import Json, app, emit_json, err, out, print_table
from hwnas.cli._images import read_images
from hwnas.cli._options import Settings, settings
from hwnas.cli._shipping import Run, say_unfinished
from hwnas.cli._tracking import Track
from hwnas.errors import typed
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.settings.options import of_section
from hwnas.tracking.following import followed, usable

if TYPE_CHECKING:
    from hwnas.statistics.metric import Metric

Data = Annotated[str | None, typer.Option("--data", help="Where the training data are now, if they moved.")]


@app.command()
@settings(*of_section("export"))
def export(
    context: typer.Context,
    run: Run,
    settings: Settings,
    data: Data = None,
    track: Track = None,
    as_json: Json = False,
) -> None:
    """Export the trained network to TFLite and ONNX, fp32 and int8; to .pte for budgets on ExecuTorch.

    --layers tells which layer int8 harms; --keep-int8-loss 0.5 keeps as few as it takes in fp32, or those
    that cost least by what hwnas profile --layers-of RUN has measured.

    Of a network that was imported, --data is a file .npy of images as it takes them, for the ranges of int8;
    without it, there are fp32 files alone.
    """
    from hwnas import release

    _runlog.into(RunFolder(run))
    if RunFolder(run).is_imported:
        _usage.no_effect(context, "track", needs="with a network that was trained here")
        _export_imported(context, run, data, settings["also"], as_json)
        return
    if settings["qat_if_worse"] is None:
        _usage.no_effect(context, "qat_epochs", needs="with --qat-if-worse")
    if settings["keep_int8_loss"] is None:
        _usage.no_effect(context, "keep_by", needs="with --keep-int8-loss")
    with _usage.usage():
        release.require_offered(settings["also"])
        release.require_strategy(settings["keep_by"])
    described, loggers = records.trained(run).data, usable(track or (), run)
    dataset = release.load_data(described, data, run)
    with followed(run, loggers), err.status("exporting") as status:
        manifest = release.export_run(
            run,
            dataset,
            **settings,
            on_variant=lambda name: status.update(f"exporting {name}"),
        )
    content = release.read_manifest(manifest.parent)
    if as_json:
        say_unfinished(run)
        emit_json(content.to_json())
        return
    table = Table("file", "size")
    for model in content.models:
        table.add_row(model.file, f"{model.bytes / 1024:.0f} KiB")
    print_table(table)
    if content.int8_layers:
        print_table(_noise(content.int8_layers))
    if content.int8:
        _show_rounding(content.int8, content.metric)
    for item in content.int8_kept:
        out.print(escape(item["said"]), highlight=False)
    for item in content.int8_costs:
        colour = "yellow" if item["drop"] > 0.01 else "default"
        out.print(f"[{colour}]{escape(item['said'])}[/]", highlight=False)
    out.print(f"each computes what PyTorch computes; written to {manifest.parent}", highlight=False)
    say_unfinished(run)
    page = RunFolder(run).report
    if page.exists():
        made = f"{typed('verify', run)}, then {typed('report', run)}, make it new"
        err.print(f"{page} is of what was exported before: {escape(made)}", soft_wrap=True, highlight=False)


def _export_imported(
    context: typer.Context, run: Path, data: str | None, also: list[str], as_json: bool
) -> None:
    from hwnas import release

    names = (
        *("calibration_images", "licence", "qat_if_worse", "qat_epochs", "int8_drop"),
        *("keep_int8_loss", "keep_by", "layers"),
    )
    _usage.no_effect(context, *names, needs="with a network that was trained here")
    with _usage.usage():
        release.require_offered(also)
    images = None if data is None else read_images(Path(data))
    with err.status("exporting") as status:
        written = release.export_imported(
            run, images, also=also, on_variant=lambda name: status.update(f"exporting {name}")
        )
    if as_json:
        emit_json({"files": {path.name: path.stat().st_size for path in written}})
        return
    for path in written:
        out.print(f"{path}  {path.stat().st_size / 1024:.0f} KiB", highlight=False, soft_wrap=True)
    if images is None:
        err.print("[yellow]no int8 files: give images for their ranges with --data FILE.npy[/]")


def _noise(rows: Sequence[Mapping[str, Any]]) -> Table:
    """What int8 does to each layer; those that brought half of the noise are marked."""
    table = Table(
        "layer", "kind", "million MACs", "its output in int8, dB", "answers with it alone in int8, dB"
    )
    shares = sorted((10 ** (-row["own_db"] / 10) for row in rows if row["own_db"] is not None), reverse=True)
    most = next(
        (each for each, so_far in zip(shares, accumulate(shares), strict=True) if 2 * so_far >= sum(shares)),
        0,
    )
    for row in rows:
        whole, own = ("–" if row[key] is None else f"{row[key]:.1f}" for key in ("whole_db", "own_db"))
        is_worst = row["own_db"] is not None and 10 ** (-row["own_db"] / 10) >= most
        style = "yellow" if is_worst else None
        table.add_row(escape(row["layer"]), row["kind"], f"{row['macs'] / 1e6:.2f}", whole, own, style=style)
    return table


def _show_rounding(rounding: Mapping[str, Any], metric: Metric) -> None:
    """One line on what int8 costs, and whether fine-tuning was called for."""

    def worst(values: Mapping[str, float]) -> str:
        return metric.text(min(values.values(), key=metric.better), 2)

    parts = [f"fp32 {metric.text(rounding['fp32'], 2)}", f"int8 {worst(rounding['ptq'])}"]
    if rounding["failure"]:
        err.print(f"[yellow]fine-tuning for int8 was given up:[/] {escape(rounding['failure'])}")
    if rounding["qat"]:
        parts.append(f"int8 after fine-tuning {worst(rounding['qat'])}")
    out.print(f"validation {metric.name}: {', '.join(parts)}; {rounding['shipped']} ships", highlight=False)
    if rounding.get("said"):
        out.print(escape(rounding["said"]), highlight=False)
