"""``hwnas train``: the found architecture becomes a trained network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from hwnas import files
from hwnas.cli import _runlog, _usage
from hwnas.cli._app import Json, app, emit_json, err, out, show_epoch
from hwnas.cli._options import Resolution, Settings, Weights, from_network, settings
from hwnas.cli._shipping import run_folder
from hwnas.cli._tracking import Track
from hwnas.errors import HwnasError
from hwnas.runs.folder import RunFolder
from hwnas.runs.training import TrainingRecord
from hwnas.settings.options import of_section
from hwnas.tracking.following import TRAIN, followed, usable

if TYPE_CHECKING:
    from hwnas.data import Dataset
    from hwnas.settings.kinds import Origin
    from hwnas.statistics.metric import Metric
    from hwnas.train import TrainConfig
    from hwnas.train.config import EpochRecord
    from hwnas.train.training import Begins

_PANELS = {
    **dict.fromkeys(("augment", "crop", "flip", "erasing", "mixup", "cutmix"), "What images go through"),
    **dict.fromkeys(("teacher", "distill_weight", "temperature"), "Learning from a trained network"),
}


@app.command()
@settings(*of_section("train"), panels=_PANELS)
def train(
    context: typer.Context,
    run: Annotated[
        Path,
        typer.Argument(help="Folder that `hwnas search` wrote; with --from a new one.", callback=run_folder),
    ],
    settings: Settings,
    data: Annotated[str | None, typer.Option(help="Other data than those of the search.")] = None,
    known: Annotated[
        str | None,
        from_network(
            "A known network that others trained, such as efficientnet-lite0, or the run folder of one; with "
            "--init seed any known network, which begins with random weights.",
            _usage.network,
        ),
    ] = None,
    weights: Weights = None,
    resolution: Resolution = None,
    task: Annotated[
        str | None,
        typer.Option(
            help='What a known network is to do with the images: "classification", where it is not set, '
            '"segmentation" of images with masks, or "detection" of images with boxes.'
        ),
    ] = None,
    track: Track = None,
    as_json: Json = False,
) -> None:
    """Train the architecture of a run; started again, it goes on where it stopped.

    With --from no run is needed: a network that knows pictures already is adapted to those of --data,
    first its last layer, then all of it. With --init seed as well, a known network learns them from nothing.

    The same seed gives the same weights on a CPU, also after an interruption. Everything that is
    set here is kept in train.json. Several processes share every batch where torchrun starts them.
    """
    from hwnas.settings import requests
    from hwnas.settings.kinds import Origin
    from hwnas.train import optim, ranks

    if not settings["augment"]:
        _usage.no_effect(context, "crop", "flip", "erasing", needs="without --no-augment")
    with _usage.usage():
        Origin(settings["init"], settings["teacher"])
        requests.training(settings)  # refused before any file is looked at
    _runlog.into(RunFolder(run))
    with ranks.joined(optim.pick_device(settings["device"])), err.status("reading the folder and the data"):
        asked = {"file": weights, "resolution": resolution, "task": task}
        record = _trained(context, run, settings, data, known, asked, track or ())
        if ranks.rank() != 0:
            return  # of the processes of torchrun, one tells
    _tell(record, run, as_json=as_json)


def _trained(
    context: typer.Context,
    run: Path,
    settings: Settings,
    data: str | None,
    known: str | None,
    asked: Settings,
    track: Sequence[str],
) -> TrainingRecord:
    """Train the network of a run, or a known one as is asked for."""
    from hwnas.search.oneshot.inherit import inherited
    from hwnas.settings import requests
    from hwnas.settings.kinds import Origin
    from hwnas.train.adapting import require_begun, teacher_of
    from hwnas.train.config import in_steps
    from hwnas.train.teacher import require_teacher
    from hwnas.train.training import train_run

    origin = Origin(settings["init"], settings["teacher"])
    from_seed = origin.init == "seed"
    pupils_of = None if known or from_seed else teacher_of(run)
    teacher = Path(origin.teacher) if origin.teacher else pupils_of
    if teacher is not None:
        require_teacher(teacher)
    inherits = origin.inherits(is_taught=pupils_of is not None)
    if teacher is None:
        _usage.no_effect(context, "distill_weight", "temperature", needs="with --teacher")
    with _usage.usage():
        config = requests.training(settings, is_taught=teacher is not None)
    loggers = usable(track, run)
    start: Begins | None = partial(inherited, run) if inherits else None
    dataset = None
    if known is not None:
        dataset, start = _begun(run, known, data, config, asked, origin)
    else:
        _usage.no_effect(context, "weights", "resolution", "task", needs="with --from")
        if not from_seed:
            require_begun(run)
    with followed(run, loggers, TRAIN) as following, err.status("training") as status:

        def on_epoch(epoch: EpochRecord) -> None:
            show_epoch(epoch)
            following.epoch(epoch.to_json())

        return train_run(
            run,
            config,
            source=None if known else data,
            dataset=dataset,
            teacher=teacher,
            start=start,
            on_epoch=on_epoch,
            on_step=in_steps(status.update, "training"),
        )


def _begun(
    run: Path, known: str, data: str | None, config: TrainConfig, asked: Settings, origin: Origin
) -> tuple[Dataset, Begins | None]:
    """The run of a known network, ready to be trained; the first process may have weights to fetch."""
    from hwnas import tasks
    from hwnas.train import ranks
    from hwnas.train.adapting import begun

    from_seed, task = origin.init == "seed", asked["task"] or tasks.DEFAULT
    with _usage.usage():
        _require_alone(known, origin.init, data)
        if not from_seed:
            _usage.known_network(known)
        tasks.require(task)
    given: Settings = {**asked, "task": task, "from_seed": from_seed}
    return ranks.first_then_others(lambda: begun(run, known, str(data), config, **given))


def _tell(record: TrainingRecord, run: Path, *, as_json: bool) -> None:
    """What came of it, and what in the run is of something that is no more."""
    from hwnas.release import stale

    for text in stale(run):
        err.print(f"[yellow]{escape(text)}[/]", soft_wrap=True, highlight=False)
    if as_json:
        emit_json(record.to_json())
    else:
        _show(record, run)


def _require_alone(known: str, init: str | None, data: str | None) -> None:
    if init == "supernet":
        raise HwnasError(f"first weights must be of one origin, but got --from {known} and --init {init}")
    if data is None:
        raise HwnasError(f"--from must have images to adapt {known} to, but got none: give --data")


def _show(record: TrainingRecord, run: Path) -> None:
    """What was learned, with intervals; what else the task says of it; what to do better."""
    from hwnas import tasks

    task, kept = tasks.of_record(record.data), record.kept or {}
    metric, path = task.metric, RunFolder(run).mistakes
    out.print(
        f"test {metric.name} [bold]{_value(record.test, metric)}[/], "
        f"validation {_value(record.val, metric)}; {record.seconds:.0f} s",
        highlight=False,
    )
    mistakes = files.read_json(path, "the mistakes") if path.exists() else None
    for line in task.told(record.test, mistakes):
        out.print(escape(line), highlight=False)
    what = "its batch-norm statistics estimated anew" if kept["recalibrated"] else "as it was"
    epochs = record.config["epochs"]
    out.print(f"epoch {kept['epoch']} of {epochs} was kept, {what}; weights in {RunFolder(run).weights}")
    if record.learning and record.learning.reasons:
        err.print(f"[yellow]{escape('; '.join(record.learning.reasons))}[/]", highlight=False)
    if record.rising is not None:
        err.print(
            f"[yellow]validation {metric.name} was still "
            f"{'rising' if metric.is_higher_better else 'falling'}, by {metric.gap(record.rising)}"
            f"{metric.unit} over the last quarter of the epochs: train longer, for example with --epochs "
            f"{2 * epochs}[/]",
            highlight=False,
        )


def _value(found: Mapping[str, Any], metric: Metric) -> str:
    text = metric.text(found[metric.key], 2)
    return f"{text} (95 %: {metric.within(found['interval'])} on {found['images']:,} images)"
