"""``hwnas export``, ``hwnas verify``, ``hwnas report``: from trained weights to a proven model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from hwnas import device as devices
from hwnas.cli import _usage
from hwnas.cli._app import (
    AcceptNoise,
    Json,
    app,
    coloured,
    emit_json,
    err,
    leave,
    out,
    print_quality,
    print_table,
)
from hwnas.cli._options import Settings, settings
from hwnas.errors import typed
from hwnas.runs import outputs, records
from hwnas.runs.folder import RunFolder, ShippingFolder
from hwnas.settings.options import of_section
from hwnas.statistics import use
from hwnas.statistics.bounds import decimals
from hwnas.tables import places

if TYPE_CHECKING:
    from hwnas.statistics.metric import Metric
    from hwnas.statistics.verdict import Verdict
    from hwnas.verify import VariantCheck, Verification

Run = Annotated[Path, typer.Argument(help="Folder of the run.")]
Data = Annotated[str | None, typer.Option("--data", help="Where the training data are now, if they moved.")]


@app.command()
@settings(*of_section("export"))
def export(
    context: typer.Context,
    run: Run,
    settings: Settings,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Export the trained network to TFLite and ONNX, fp32 and int8."""
    from hwnas import release

    if settings["qat_if_worse"] is None:
        _usage.no_effect(context, "qat_epochs", needs="with --qat-if-worse")
    dataset = release.load_data(records.trained(run)["data"], data, run)
    with err.status("exporting") as status:
        manifest = release.export_run(
            run,
            dataset,
            **settings,
            on_variant=lambda name: status.update(f"exporting {name}"),
        )
    content = release.read_manifest(manifest.parent)
    if as_json:
        _say_unfinished(run)
        emit_json(content)
        return
    table = Table("file", "size")
    for entry in content["variants"]:
        table.add_row(entry["file"], f"{entry['bytes'] / 1024:.0f} KiB")
    print_table(table)
    if rounding := content["int8"]:
        _show_rounding(rounding, records.metric_of(content))
    for item in content["int8_costs"]:
        colour = "yellow" if item["drop"] > 0.01 else "default"
        out.print(f"[{colour}]{escape(item['said'])}[/]", highlight=False)
    out.print(f"each computes what PyTorch computes; written to {manifest.parent}", highlight=False)
    _say_unfinished(run)
    page = RunFolder(run).report
    if page.exists():
        made = f"{typed('verify', run)}, then {typed('report', run)}, make it new"
        err.print(f"{page} is of what was exported before: {escape(made)}", soft_wrap=True, highlight=False)


def _say_unfinished(run: Path) -> None:
    from hwnas import release

    for text in release.unfinished(run):
        err.print(f"[yellow]{escape(text)}[/]", soft_wrap=True, highlight=False)


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


@app.command()
@settings(*(option for option in of_section("verify") if option.name != "accept_noise"))
def verify(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Shipping folder, wherever it is now, or folder of a run.")],
    settings: Settings,
    device: Annotated[
        str | None,
        typer.Option(help="Device to measure on; by default the one of the budgets.", callback=_usage.device),
    ] = None,
    tables: Annotated[
        Path | None, typer.Option(help="Folder of the device's latency tables, if not its own.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", help="Where the training data are now, or a further test set of the same labels."
        ),
    ] = None,
    skip_accuracy: Annotated[bool, typer.Option("--skip-accuracy", help="Do not look for the data.")] = False,
    record: Annotated[
        bool, typer.Option("--record/--no-record", help="Write the result into the manifest.")
    ] = True,
    accept_noise: AcceptNoise = False,
    as_json: Json = False,
) -> None:
    """Check again all that ships: files, answers, accuracy (or another task's metric), latency, budget.

    PASS is proven: the whole 95 % interval of the latency is within the budget. Exits with 1 where a
    promise is broken (FAIL) and with 3 where nothing can be said (NOT PROVEN). Needs nothing but the
    folder. Other data of the same labels are a further test set, stated beside the network's own.
    """
    from hwnas import release
    from hwnas.settings import requests
    from hwnas.verify import images, verify_on
    from hwnas.verify.folder import read

    if skip_accuracy:
        _usage.no_effect(context, "data", needs="without --skip-accuracy")
    folder = release.shipping_of(folder)
    path, own = ShippingFolder(folder).manifest, release.owner_of(folder)
    if record and path.exists():
        outputs.require_file(path, "the manifest (without --no-record)")
    alone = outputs.claimed(own, "a verification") if record and folder.is_dir() else nullcontext()
    with alone, err.status("reading the folder and the data") as status:
        checked = read(folder)
        described = devices.load(device or checked.manifest["device"])
        seen = images.VerifiedImages() if skip_accuracy else images.find(checked, data)
        (found,) = verify_on(
            checked,
            [(described, tables or places.of_device(described.name))],
            seen.own,
            further=seen.further,
            options=requests.verifying(settings),
            accept_noise=accept_noise,
            record=record,
            on_step=lambda step: status.update(f"verifying: {step}"),
        )
    if as_json:
        emit_json(found.to_json())
    else:
        show_verifications((found,))
    if seen.said:
        err.print(f"[yellow]{escape(seen.said)}[/]", highlight=False)
    if record and release.REPORT in checked.manifest["files"]:
        where = typed("report", own) if own != folder else "`hwnas report`, in the folder of its run,"
        said = f"the report beside the models shows what was verified before: {where} writes it again"
        err.print(escape(said), soft_wrap=True, highlight=False)
    leave(found.verdict, accept_noise=accept_noise)


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
    from hwnas import release
    from hwnas import report as reports

    for text in reports.damaged(run):
        err.print(f"[yellow]warning:[/] {escape(text)}", highlight=False, soft_wrap=True)
    path = reports.write(run, latencies=tuple(latency or ()), tables=tables, baseline=baseline)
    shipping = RunFolder(run).shipping
    if shipping.manifest.exists():
        release.add_file(shipping.path, release.REPORT, path.read_bytes())
    _say_unfinished(run)
    if as_json:
        emit_json({"report": str(path)})
    else:
        out.print(f"written to {path}", highlight=False)


def show_verifications(found: Sequence[Verification], why_little: str = "") -> None:
    """Print what was found about each variant on each device, and how much of the tightest budget is used.

    Args:
        found: What was found on each device.
        why_little: Why the search could not use more of the budgets, where that is known.
    """
    from hwnas.release.verification import shares_of

    for item in found:
        if len(found) > 1:
            out.print(f"[bold]on {escape(item.device)}[/]", highlight=False)
        _show_verification(item)
    shares = shares_of(found)
    if shares:
        out.print(use.said(shares), highlight=False)
    if little := use.warning(shares, why_little):
        err.print(f"[yellow]warning:[/] {escape(little)}", highlight=False, soft_wrap=True)
    for item in found:
        accepted = " (accepted: --accept-noise)" if item.accepted_noise and _is_open(item.verdict) else ""
        word = coloured(item.verdict, f"no verdict on latency: no budget was asked for on {item.device}")
        where = f"on {escape(item.device)}: " if len(found) > 1 else ""
        out.print(f"{where}{word}{accepted}", highlight=False)


def _show_verification(found: Verification) -> None:
    """Print what was found on a device, why it is not PASS, and what was left out."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("variant", found.metric.name, "ms", "95 % interval", "predicted", "budget", "used", ""):
        table.add_column(column, no_wrap=True)
    for item in found.variants:
        table.add_row(
            item.name,
            "–" if item.value is None else found.metric.text(item.value, 2),
            _number(item.measured_ms),
            _interval(item),
            _number(item.predicted_ms),
            _number(item.budget_ms),
            f"{found.shares[item.name]:.0%}" if item.name in found.shares else "–",
            coloured(item.verdict, "no budget"),
        )
    print_table(table)
    for line in _estimates(found):
        out.print(line, highlight=False)
    for reason, names in _reasons(found).items():
        out.print(f"[bold]{escape(', '.join(names))}[/]: {escape(reason)}", highlight=False)
    for item in found.variants:
        if item.session:
            found_there = {name: getattr(item.session, name) for name in ("word", "reasons", "notes")}
            print_quality(found_there, item.name)
    for note in found.notes:
        err.print(f"[yellow]{escape(note)}[/]", highlight=False)


def _is_open(found: Verdict | None) -> bool:
    return found is not None and not found.is_pass and not found.is_fail


def _estimates(found: Verification) -> Iterator[str]:
    """Intervals of the metric, of all variants together where they are near each other."""
    from hwnas import tasks

    task = tasks.get(found.task)
    name, metric = task.metric.name, task.metric
    for title, known in (
        (f"test {name}", [item.estimate for item in found.variants]),
        (f"{name} on {(found.further or {}).get('name')}", [item.further for item in found.variants]),
    ):
        there = [item for item in known if item is not None]
        if not there:
            continue
        best = max(there, key=lambda item: metric.better(item.value))
        worst = min(there, key=lambda item: metric.better(item.value))
        values = metric.text(worst.value, 2)
        values += "" if worst.value == best.value else f" to {metric.text(best.value, 2)}"
        ends = sorted((*worst.interval, *best.interval))
        remark = task.remark(worst.details)
        text = f"{title} {values} on {worst.images:,} images (95 %: {metric.within((ends[0], ends[-1]))})"
        yield escape(f"{text}; {remark}" if remark else text)


def _reasons(found: Verification) -> dict[str, list[str]]:
    """Why it is not PASS, each reason with the variants that it is of."""
    reasons = {reason: ["the folder"] for item in found.of_folder for reason in item.reasons}
    for item in found.variants:
        for reason in item.reasons:
            reasons.setdefault(reason, []).append(item.name)
    return reasons


def _interval(item: VariantCheck) -> str:
    if item.measured_ms is None:
        return "–"
    if item.interval_ms is None:
        return "too few rounds"
    low, high = item.interval_ms
    return f"{_number(low)}–{_number(high)}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.{max(3, decimals(value))}f}"
