"""From the architecture of a search, or a known network, to a trained one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import plugins, tasks
from hwnas.annotations import require_types
from hwnas.api.given import AnyPath, typed
from hwnas.errors import HwnasError, TrainingError
from hwnas.runs.parts import metric_of
from hwnas.shown import Display, ShownTable, cell
from hwnas.tracking.following import TRAIN, followed, usable

if TYPE_CHECKING:
    from hwnas.runs.training import TrainingRecord
    from hwnas.tracking import Tracker
    from hwnas.train import EpochRecord, TrainConfig
    from hwnas.train.training import Begins


@dataclass(frozen=True, repr=False)
class Trained(ShownTable):
    """What came of a training.

    Attributes:
        run: Its folder.
        metric: What ``value`` is of, for example "accuracy".
        value: On the test images.
        interval: 95 % interval of it.
        images: How many test images there are.
        record: All that ``train.json`` says.
    """

    run: Path
    metric: str
    value: float
    interval: tuple[float, float]
    images: int
    record: Mapping[str, Any]

    def flat(self) -> list[dict[str, Any]]:
        """One flat object an epoch, as for a data frame, by the names of ``train.json``."""
        return [dict(epoch) for epoch in self.record["history"]]

    def view(self) -> Display:
        """What it came to on test images, and the last epochs."""
        metric = metric_of(self.record)
        said = f"{metric.name} {metric.text(self.value)} on {self.images:,} test images"
        rows = [
            (
                str(epoch["epoch"]),
                cell(epoch.get("loss")),
                metric.text(epoch.get(f"val_{metric.key}", math.nan)),
                cell(epoch.get("learning_rate")),
                cell(epoch.get("seconds"), "s"),
            )
            for epoch in self.record["history"]
        ]
        columns = ("epoch", "loss", f"validation {metric.name}", "learning rate", "took")
        return Display(f"{said} (95 %: {metric.within(self.interval)}); in {self.run}", columns, rows)


@typed
def train(
    run: AnyPath,
    config: TrainConfig | None = None,
    *,
    data: str | Path | None = None,
    pretrained: str | Path | None = None,
    weights: AnyPath | None = None,
    resolution: int | None = None,
    task: str | None = None,
    teacher: AnyPath | None = None,
    from_supernet: bool | None = None,
    from_seed: bool = False,
    progress: Callable[[EpochRecord], None] | None = None,
    track: Sequence[str | Tracker] = (),
    **settings: Any,
) -> Trained:
    """Train the architecture of a run; called again, it goes on where it stopped.

    In a program that ``torchrun`` starts, the processes share every batch, and the first one writes.

    Args:
        run: Folder of a search; with ``pretrained`` a new one.
        config: Settings; by default those of ``TrainConfig``.
        data: Other data than those of the search; with ``pretrained`` those to adapt it to.
        pretrained: A known network that others trained, as "efficientnet-lite0", or a run folder: it is
            adapted, first its last layer, then all.
        weights: File of its weights, instead of what its publisher has.
        resolution: Pixels that it shall see.
        task: What a known network is to do with the images; by default "classification".
        teacher: Run folder of a trained network to learn from, of the same data; by default the one that
            the search's candidates learned from, if they did.
        from_supernet: Whether the first weights are those of the search's supernet, at full width; by
            default where its candidates learned from a teacher.
        from_seed: Whether a known network begins with random weights, as where those of others cannot be had.
        progress: Called after every epoch, in the first process, with what prints as a line.
        track: Where to log as well, as "mlflow:URI", "tensorboard" or "wandb", or objects that satisfy
            ``hwnas.tracking.Tracker``.
        settings: Fields of ``TrainConfig``, instead of ``config``: ``epochs=20``.

    Returns:
        How well it does on test images.

    Raises:
        DataError: The data do not fit the network, or changed since the search.
        TrainingError: Training cannot go on, or a setting is not known.
    """
    from hwnas.search.oneshot.inherit import inherited
    from hwnas.settings import usual
    from hwnas.train import TrainConfig, adapting, ranks
    from hwnas.train.optim import pick_device
    from hwnas.train.teacher import require_teacher
    from hwnas.train.training import train_run

    plugins.ready()
    known = {item.name for item in fields(TrainConfig)}
    if settings and config is not None:
        raise TrainingError(f"settings must be given by config or by name, but got both: {sorted(settings)}")
    if odd := sorted(set(settings) - known):
        raise TrainingError(f"settings must be fields of TrainConfig, but got {', '.join(odd)}")
    require_types(settings, TrainConfig)
    settings["device"] = pick_device(settings.get("device", usual("train")["device"])).type
    run = Path(run)
    if pretrained is None and (from_seed or any(each is not None for each in (weights, resolution, task))):
        raise HwnasError(
            "weights, resolution, task and from_seed must be of a known network, but got none: give "
            "pretrained"
        )
    if pretrained is not None and from_supernet:
        raise HwnasError(f"first weights must be of one origin, but got {pretrained} and those of a supernet")
    if pretrained is None and from_supernet is None:
        adapting.require_begun(run)
    taught = None
    if pretrained is None and from_supernet is not False and (config is None or config.distill_weight):
        taught = adapting.teacher_of(run)
    teacher = taught if teacher is None else Path(teacher)
    if teacher is not None:
        require_teacher(teacher)
        settings.setdefault("distill_weight", usual("train")["distill_weight"])
    inherits = taught is not None if from_supernet is None else from_supernet
    start: Begins | None = partial(inherited, run) if inherits else None
    config, dataset = config or TrainConfig(**settings), None
    if pretrained is not None and data is None:
        raise HwnasError(f"there must be images to adapt {pretrained} to, but got none: give data")
    trackers = usable(track, run)
    with ranks.joined(pick_device(config.device)):
        if pretrained is not None:
            begin = partial(
                adapting.begun,
                run,
                str(pretrained),
                str(data),
                config,
                file=None if weights is None else Path(weights),
                resolution=resolution,
                task=task or tasks.DEFAULT,
                from_seed=from_seed,
            )
            dataset, start = ranks.first_then_others(begin)
        with followed(run, trackers, TRAIN) as following:

            def on_epoch(epoch: EpochRecord) -> None:
                following.epoch(epoch.to_json())
                if progress is not None:
                    progress(epoch)

            record = train_run(
                run,
                config,
                source=None if data is None or pretrained else str(data),
                dataset=dataset,
                teacher=teacher,
                start=start,
                on_epoch=on_epoch,
            )
    return _trained(run, record)


def _trained(run: Path, record: TrainingRecord) -> Trained:
    low, high = record.test["interval"]
    interval, images = (float(low), float(high)), int(record.test["images"])
    return Trained(run, record.metric.name, float(record.test_value), interval, images, record.to_json())
