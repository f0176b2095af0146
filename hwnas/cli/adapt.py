"""``hwnas adapt``: a network of one's own, or a known one, made to keep a budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from hwnas.cli import _runlog, _usage
from hwnas.cli._app import AcceptNoise, Json, app, emit_json, err, leave, out, print_table, show_epoch
from hwnas.cli._imported import ImageShape, Mean, ModuleWeights, Std, image_scale, image_shape
from hwnas.errors import HwnasError
from hwnas.statistics.bounds import at_most

if TYPE_CHECKING:
    from hwnas.runs.adapting import AdaptRecord, AdaptStep


@app.command()
def adapt(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A known network (efficientnet-lite0), the folder of a trained run or of an imported "
            "network, a file .onnx or .tflite, or a function package.module:name that makes a module.",
        ),
    ],
    device: Annotated[
        str,
        typer.Option(
            help="NAME=BUDGET or NAME/RUNTIME-PRECISION=BUDGET, in ms or as 50% of what the network takes "
            "itself. Where no runtime is named, others of the device are tried as well.",
        ),
    ],
    to: Annotated[Path, typer.Option("--out", help="Folder of the run; a new one.")],
    data: Annotated[
        str | None, typer.Option(help="Pictures to keep it good at; those of a trained run by default.")
    ] = None,
    precision: Annotated[str, typer.Option(help="Where --device names none.")] = "int8",
    weights: ModuleWeights = None,
    shape: ImageShape = None,
    mean: Mean = None,
    std: Std = None,
    resolution: Annotated[int | None, typer.Option(min=8, help="Pixels that it shall see.")] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="What it does with the images: that of a trained run, or else classification, by default."
        ),
    ] = None,
    rungs: Annotated[
        str, typer.Option("--try", help="What may be changed, joined by commas; cheapest first, as here.")
    ] = "runtime,resolution,widths,blocks",
    strategy: Annotated[
        str, typer.Option(help="How channels are chosen: gates, netadapt, knapsack or another.")
    ] = "gates",
    accept: Annotated[
        float,
        typer.Option(
            min=0, max=100, help="Points that may be lost on validation images for that to be enough."
        ),
    ] = 1.0,
    step: Annotated[
        int | None,
        typer.Option(min=1, help="Channels that widths are multiples of; as the device's latency moves."),
    ] = None,
    short_epochs: Annotated[
        int, typer.Option(min=1, help="Passes over the images before a network is looked at.")
    ] = 2,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Of the training of what ships; as of `hwnas train`.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all randomness.")] = 0,
    accept_noise: AcceptNoise = False,
    as_json: Json = False,
) -> None:
    """Make a network keep a budget on a device: what costs least is tried first, and measured.

    The network is brought in and adapted to the pictures, unless it is a trained run. Other runtimes and
    threads, smaller images and fewer channels follow, until one keeps the budget and loses no more than is
    accepted; the best of those that keep it is trained with the whole network as its teacher, exported and
    verified. Exits with 3 where noise does not let it be proven.
    """
    from hwnas import device as devices
    from hwnas import release, tasks
    from hwnas.adapt import RUNGS, AdaptOptions, GivenModel, one_budget
    from hwnas.adapt import adapt as made_to_keep
    from hwnas.adapt.ladder import require_kept
    from hwnas.cli._verifications import show_verifications
    from hwnas.runs import outputs, records
    from hwnas.runs.folder import RunFolder
    from hwnas.verify import verify

    with _usage.usage():
        if task is not None:
            tasks.require(task)
        budget = one_budget(device, precision)
        options = AdaptOptions(
            rungs=tuple(rung for rung in RUNGS if rung in _parts(rungs, RUNGS)),
            strategy=strategy,
            accept=accept / 100,
            step=step,
            short_epochs=short_epochs,
            epochs=epochs,
            seed=seed,
        )
        means, stds = image_scale(mean, std)
        given = GivenModel(model, data, weights, image_shape(shape), means, stds, resolution, task)

    _runlog.into(RunFolder(to))
    alone = outputs.claimed(to, "an adaptation")
    with alone, err.status("reading the network") as status:
        record = made_to_keep(
            given, to, budget, options, is_open="/" not in device, tell=status.update, on_epoch=show_epoch
        )
        if not as_json:
            _show(record)
        require_kept(record)
        status.update("exporting")
        dataset = release.load_data(records.trained(to).data, None, to)
        manifest = release.export_run(to, dataset, on_variant=lambda name: status.update(f"exporting {name}"))
        found = verify(
            manifest.parent,
            devices.load(record.target.device),
            dataset,
            on_step=lambda text: status.update(f"verifying: {text}"),
        )
    if as_json:
        emit_json({**record.to_json(), "verification": found.to_json()})
    else:
        show_verifications((found,))
        out.print(f"models: {manifest.parent}", highlight=False)
    leave(found.verdict, accept_noise=accept_noise)


def _parts(text: str, known: tuple[str, ...]) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if odd := [part for part in parts if part not in known]:
        raise HwnasError(f"what may be changed must be of {', '.join(known)}, but got {odd[0]!r}")
    return parts


def _show(record: AdaptRecord) -> None:
    """The rungs as a table."""
    whole = record.steps[0]
    known = "" if whole.interval_ms is None else " (95 %: {:.3f} to {:.3f})".format(*whole.interval_ms)
    out.print(
        f"{escape(record.model)} takes {whole.ms:.3f} ms{known}, {whole.ms / record.budget_ms:.2f} times the "
        f"budget of {at_most(record.budget_ms)} ms",
        highlight=False,
    )
    table = Table(box=None, padding=(0, 2, 0, 0))
    value = f"validation {record.metric.name}"
    for name in ("tried", "", "ms", "95 % interval", value, "95 % interval", "budget", ""):
        table.add_column(name, no_wrap=True)
    for number, step in enumerate(record.steps):
        table.add_row(*_row(step, record), "[bold]ships[/]" if number == record.taken else escape(step.note))
    print_table(table)
    for note in (*record.notes, *record.doubts):
        err.print(f"[yellow]{escape(note)}[/]", highlight=False, soft_wrap=True)


def _row(step: AdaptStep, record: AdaptRecord) -> tuple[str, ...]:
    metric = record.metric
    ends = "–" if step.interval_ms is None else "{:.3f} to {:.3f}".format(*step.interval_ms)
    value = "–" if step.value is None else metric.text(step.value)
    interval = "–" if step.interval is None else metric.within(step.interval)
    kept = "[green]kept[/]" if step.keeps else "not kept"
    return step.rung, escape(step.what), f"{step.ms:.3f}", ends, value, interval, kept
