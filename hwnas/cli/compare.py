"""``hwnas compare``: the found network beside known ones, trained and measured alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from hwnas import device as devices
from hwnas import files
from hwnas.cli._app import Json, app, emit_json, err, out

Run = Annotated[Path, typer.Argument(help="Folder of a run with a trained network.")]
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
    str | None, typer.Option("--device", help="Device to measure on; that of the run's budget.")
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
    from hwnas import compare as comparison
    from hwnas.profile import ProfileOptions

    with err.status("comparing") as status:
        found = comparison.compare(
            run,
            devices.load(device or _device_of(run)),
            against=_names(against),
            match_latency=_names(match_latency),
            seeds=seeds,
            variants=_names(variants),
            source=data,
            options=ProfileOptions(rounds=rounds),
            tell=lambda text: status.update(text),
        )
    if as_json:
        emit_json(found)
        return
    show_comparison(found)
    out.print(f"written to {run / 'compare.json'}", highlight=False)


def show_comparison(found: Mapping[str, Any]) -> None:
    """Print one table a variant: accuracy over the seeds against latency of one session."""
    from hwnas.compare.run import rows

    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("variant", "network", "M MACs", "accuracy", "ms", "95 % interval", "found is"):
        table.add_column(column, no_wrap=True)
    last = ""
    for network, variant in rows(found):
        if last and variant["name"] != last:
            table.add_section()
        table.add_row(
            variant["name"] if variant["name"] != last else "",
            network["name"],
            f"{network['macs'] / 1e6:.1f}",
            _share(variant["accuracy"]),
            f"{variant['latency_ms']:.3f}",
            "–".join(f"{bound:.3f}" for bound in variant["interval_ms"]),
            "" if network["name"] == found["found"] else _against(variant),
        )
        last = variant["name"]
    out.print(table)
    for match in found["matches"]:
        out.print(
            f"{match['chosen']} is the {match['family']} that was measured nearest to the found network: "
            f"{match['ratio']:.3f} times its latency",
            highlight=False,
        )
    for note in found["notes"]:
        err.print(f"[yellow]{note}[/]", highlight=False)


def _against(variant: Mapping[str, Any]) -> str:
    """How the found network compares: points of accuracy with their spread, and time."""
    difference = variant["found_minus_this"]
    spread = "" if difference["std"] is None else f" ± {difference['std'] * 100:.2f}"
    return f"{difference['mean'] * 100:+.2f}{spread} points, {variant['latency_ratio']:.2f} × the time"


def _share(accuracy: Mapping[str, Any]) -> str:
    spread = "" if accuracy["std"] is None else f" ± {accuracy['std']:.2%}"
    return f"{accuracy['mean']:.2%}{spread}"


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _device_of(run: Path) -> str:
    """The device of the run's first budget; this machine where it has none."""
    constraints = files.read_json(run / "search.json", "the record of the search")["constraints"]
    return str(constraints[0]["target"]["device"]) if constraints else "host"
