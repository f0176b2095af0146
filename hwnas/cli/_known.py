"""``hwnas search --from``: known networks that are adapted to the images before they are searched around."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from hwnas.cli import _found, _usage
from hwnas.cli._app import err
from hwnas.cli._options import Settings
from hwnas.errors import HwnasError

if TYPE_CHECKING:
    from rich.status import Status

    from hwnas.budget import Budget
    from hwnas.data import Dataset
    from hwnas.runs.found import SearchRecord
    from hwnas.train import EpochRecord, TrainConfig
    from hwnas.train.training import Begins

    Search = Callable[[Settings, Dataset | None, Path, Sequence[Budget], bool], SearchRecord | None]
    """Searches by settings on images, into a run folder that may hold it already, or must be new."""


@dataclass(frozen=True)
class Known:
    """A known network as the options of a search name it.

    Attributes:
        name: Of a source of weights, a network or a run folder.
        weights: File of its weights, instead of what its publisher has.
        has_images: Whether there are images to adapt it to; else it is a trained run on its own.
    """

    name: str
    weights: Path | None
    has_images: bool


@dataclass(frozen=True)
class Teacher:
    """A network whose blocks candidates are going to learn from.

    Attributes:
        run: Its run folder.
        dataset: Its images, where they were read.
        start: What its training begins with; None where it is a trained run.
        config: How it is trained.
        name: Of the known network.
    """

    run: Path
    dataset: Dataset | None = None
    start: Begins | None = None
    config: TrainConfig | None = None
    name: str = ""

    def settings(self, settings: Settings) -> Settings:
        """Those of a search in the space of all that is cheaper."""
        from hwnas.train.adapting import space_of

        return {**settings, "space": space_of(self.run), "teacher": str(self.run)}

    def adapt(self) -> None:
        """Train it on the images, where it was not."""
        from hwnas.runs.folder import RunFolder
        from hwnas.train.training import train_run

        if self.config is None or RunFolder(self.run).train.exists():
            return
        train_run(self.run, self.config, dataset=self.dataset, start=self.start, on_epoch=self._show)

    def _show(self, record: EpochRecord) -> None:
        value = record.metric.text(record.val_value, 2)
        err.print(
            f"adapting {self.name}: epoch {record.epoch}/{record.epochs}  validation {value}", highlight=False
        )


def resolutions(text: str | None) -> tuple[int, ...]:
    """The resolutions of an option, joined by commas; none where there is no option.

    Raises:
        HwnasError: They are no numbers of pixels, or one is there twice.
    """
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    found = tuple(int(part) for part in parts if part.isdecimal() and part.isascii() and len(part) < 6)
    if len(found) != len(parts) or min(found) < 8:
        raise HwnasError(f"resolutions must be pixels, at least 8, joined by commas, but got {text!r}")
    if len(set(found)) < len(found):
        raise HwnasError(f"resolutions must differ, but got {text!r}")
    return found


def require(context: typer.Context, known: Known, sides: Sequence[int]) -> None:
    """Refuse what does not go together with a known network."""
    _usage.no_effect(context, "space", "evaluate", "teacher", needs="without --from, which says it")
    if len(sides) > 1:
        needs = "with one --resolution, as each has latencies and blocks of its own"
        _usage.no_effect(context, "latency", "supernet", needs=needs)
    if known.has_images:
        return
    if not Path(known.name).is_dir():
        raise typer.BadParameter(
            f"--from must have images to adapt {known.name} to, but got none: give --data"
        )
    _usage.no_effect(context, "weights", "resolution", needs="with --data, to adapt the network to it")


def teacher_of(
    known: Known,
    settings: Settings,
    resolution: int | None,
    to: Path,
    budgets: Sequence[Budget],
    tables: Path | None,
) -> Teacher:
    """The teacher of a search into a run folder; what cannot be is refused before it is trained."""
    from hwnas import spaces
    from hwnas.finalists import models
    from hwnas.runs.folder import RunFolder
    from hwnas.train import TrainConfig
    from hwnas.train.adapting import begun, space_of

    if not known.has_images:
        return Teacher(Path(known.name))
    run, config = RunFolder(to).teacher, TrainConfig(**_training(settings))
    asked = {"file": known.weights, "resolution": resolution, "task": settings["task"]}
    dataset, start = begun(run, known.name, settings["data"], config, **asked)
    models.sources(budgets, spaces.load(space_of(run)), tables)
    return Teacher(run, dataset, start, config, known.name)


def searched_around(
    known: Known,
    sides: Sequence[int],
    settings: Settings,
    to: Path,
    budgets: Sequence[Budget],
    tables: Path | None,
    search_in: Search,
    status: Status,
) -> SearchRecord | None:
    """Search around a known network, on images of one size or of several."""
    from hwnas.pipeline import sizes
    from hwnas.runs.folder import RunFolder

    if len(sides) < 2:
        one = teacher_of(known, settings, next(iter(sides), None), to, budgets, tables)
        one.adapt()
        return search_in(one.settings(settings), one.dataset, to, budgets, True)
    folder = RunFolder(to).resolutions
    teachers = {
        size: teacher_of(known, settings, size, folder / str(size), budgets, tables) for size in sides
    }  # whatever is refused is refused now

    def search_on(size: int, run: Path, within: Sequence[Budget]) -> SearchRecord:
        status.update(f"images of {size} pixels")
        one = teachers[size]
        one.adapt()
        found = search_in(one.settings(settings), one.dataset, run, within, False)
        return cast("SearchRecord", found)  # there is one process

    config = sizes.tuning(**_training(settings))
    return sizes.best_of(sides, budgets, to, search_on, config, tell=status.update, warn=_found.warn)


def _training(settings: Settings) -> Settings:
    """What trainings in a search share with it: the seed, and where its networks are trained."""
    from hwnas.train.optim import pick_device

    return {"seed": settings["seed"], "device": pick_device(settings["train_on"]).type}
