"""``hwnas compare``: the found network beside known ones, trained and measured alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from hwnas import device as devices
from hwnas.cli import _runlog, _usage
from hwnas.cli._app import Json, app, coloured, emit_json, err, out, print_quality, print_table
from hwnas.cli._shipping import run_folder
from hwnas.runs import records
from hwnas.runs.compared import ComparedVariant, SeedSpread
from hwnas.runs.comparison import ComparisonRecord
from hwnas.runs.folder import RunFolder
from hwnas.statistics import use
from hwnas.statistics.intervals import arm
from hwnas.statistics.metric import Metric

Run = Annotated[Path, typer.Argument(help="Folder of a run with a trained network.", callback=run_folder)]
Against = Annotated[
    str, typer.Option(help="Baselines, joined by commas: mobilenetv2-0.5,mobilenetv3-small,…")
]
Match = Annotated[
    str,
    typer.Option(
        "--match-latency",
        help="Families, joined by commas, whose width is chosen so that it is measured to be as fast.",
    ),
]
Seeds = Annotated[int, typer.Option(min=1, help="Trainings of each network, the found one included.")]
Variants = Annotated[str, typer.Option(help="Variants to measure, joined by commas; all.")]
DeviceName = Annotated[
    str | None,
    typer.Option("--device", help="Device to measure on; that of the run's budget.", callback=_usage.device),
]
Data = Annotated[str | None, typer.Option(help="Where the training data are now, if they moved.")]
Rounds = Annotated[int, typer.Option(min=1, help="Rounds of measurement.")]


@app.command()
def compare(
    run: Run,
    against: Against = "",
    match_latency: Match = "",
    seeds: Seeds = 1,
    device: DeviceName = None,
    variants: Variants = "",
    data: Data = None,
    rounds: Rounds = 9,
    as_json: Json = False,
) -> None:
    """Train known networks with the run's recipe and measure all together; continues what was cut off."""
    from hwnas.compare import compare as compare_run
    from hwnas.compare import require_known
    from hwnas.measure import ProfileOptions

    with _usage.usage():
        require_known(_names(against), _names(match_latency), _names(variants))
    _runlog.into(RunFolder(run))
    with err.status("comparing") as status:
        found = compare_run(
            run,
            devices.load(device or records.search(run).device),
            against=_names(against),
            match_latency=_names(match_latency),
            seeds=seeds,
            variants=_names(variants),
            source=data,
            options=ProfileOptions(rounds=rounds),
            tell=lambda text: status.update(text),
        )
    if as_json:
        emit_json(found.to_json())
        return
    show_comparison(found)
    out.print(f"written to {RunFolder(run).comparison}", highlight=False)


def show_comparison(found: ComparisonRecord) -> None:
    """Print one table a variant: the metric over the seeds against latency, and what is real of it."""
    metric = found.metric
    title = f"{metric.name} %" if metric.is_share else metric.name
    better = metric.unit.strip() or "better by"
    for number, variant in enumerate(found.networks[0].variants):
        table = Table(title=variant.name, title_justify="left", box=None, padding=(0, 1, 0, 0))
        for column in ("network", "M MACs", title, "ms", better, "time"):
            table.add_column(column, no_wrap=True, justify="left" if column == "network" else "right")
        for network in found.networks:
            row = network.variants[number]
            interval = row.interval_ms
            half = f" ±{arm(row.latency_ms, interval):.3f}" if interval else ""
            is_found = network.name == found.found
            table.add_row(
                network.name,
                f"{network.macs / 1e6:.1f}",
                _spread(row.quality.metric, metric),
                f"{row.latency_ms:.3f}{half}",
                "" if is_found else _spread(row.quality.gain, metric, "+"),
                "" if is_found else f"{row.latency_ratio:.2f}×",
            )
        print_table(table)
        for network in found.networks:
            said = _said(network.variants[number], metric, is_found=network.name == found.found)
            if said:
                out.print(f"{escape(network.name)}: {said}", highlight=False)
        if variant.name in found.sessions:
            print_quality(found.sessions[variant.name])
    if metric.is_higher_better:
        out.print(f"{better}, time: the found network's {metric.name} minus, and latency over, this one's")
    else:
        out.print(f"{better}, time: how much better the found network is, and its latency over this one's")
    if used := found.used:
        out.print(escape(use.said(used)), highlight=False)
        if little := use.warning(used):
            err.print(f"[yellow]warning:[/] {escape(little)}", highlight=False, soft_wrap=True)
    for match in found.matches:
        out.print(
            f"{match.chosen} was measured nearest: {match.ratio:.3f}× the found network's latency",
            highlight=False,
        )
    for note in found.notes:
        err.print(f"[yellow]{note}[/]", highlight=False)


def _said(row: ComparedVariant, metric: Metric, *, is_found: bool) -> str:
    """Which differences are real, and what may be said of the budget."""
    parts, difference, ratio = [], row.quality.difference, row.ratio_interval
    if not is_found and difference is not None:
        values = (row.quality.gain.mean, *difference.interval)
        mean, low, high = (metric.gap(value, 2, "+") for value in values)
        parts.append(f"{mean}{metric.unit} (95 %: {low} to {high}): {difference.said}")
    if not is_found and ratio:
        is_real = "" if not ratio[0] <= 1 <= ratio[1] else ": no difference shown"
        parts.append(f"{row.latency_ratio:.2f}× the time (95 %: {ratio[0]:.2f} to {ratio[1]:.2f}){is_real}")
    if kept := row.on_budget:
        reasons = f", {escape('; '.join(kept.reasons))}" if is_found and kept.reasons else ""
        parts.append(f"budget of {row.budget_ms:.3g} ms: {coloured(kept)}{reasons}")
    if (counted := row.energy) and (limited := row.on_limit):
        reasons = f", {escape('; '.join(limited.reasons))}" if is_found and limited.reasons else ""
        parts.append(f"{escape(counted.said)}: {coloured(limited)}{reasons}")
    return "; ".join(parts)


def _spread(values: SeedSpread, metric: Metric, sign: str = "") -> str:
    """Mean and standard deviation over the seeds."""
    spread = "" if values.std is None else f" ±{metric.gap(values.std, 2)}"
    return f"{metric.gap(values.mean, 2, sign)}{spread}"


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
