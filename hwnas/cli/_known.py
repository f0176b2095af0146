"""``hwnas search --from``: known networks that are adapted to the images before they are searched around."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from hwnas.cli import _found, _usage
from hwnas.cli._app import err
from hwnas.cli._options import Settings
from hwnas.errors import HwnasError, TableError

if TYPE_CHECKING:
    from rich.status import Status

    from hwnas.budget import Budget
    from hwnas.data import Dataset
    from hwnas.pipeline.sizes import Size
    from hwnas.runs.found import SearchRecord
    from hwnas.settings.config import Config
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
        sides: Pixels that it shall see; none for those that it was trained on.
        widths: Of its channels, as multiples of the published ones; none for what its name says.
    """

    name: str
    weights: Path | None
    has_images: bool
    sides: tuple[int, ...] = ()
    widths: tuple[float, ...] = ()

    @property
    def has_sizes(self) -> bool:
        """Whether there are several to search on."""
        return max(len(self.sides), len(self.widths)) > 1

    def sizes(self) -> tuple[Size, ...]:
        """Every width on every resolution."""
        from hwnas.pipeline.sizes import Size

        return tuple(Size(*pair) for pair in product(self.sides or (self._usual_side(),), self._widths()))

    def at(self, width: float) -> str:
        """The name of the network of a width."""
        from hwnas import known

        return known.named(self.name).at(width) if self.widths and known.knows(self.name) else self.name

    def _widths(self) -> tuple[float, ...]:
        from hwnas import known

        said = known.named(self.name).width if known.knows(self.name) else 1.0
        return self.widths or (said,)

    def _usual_side(self) -> int:
        """Pixels that the widest network was trained on."""
        from hwnas.train.sources import weights_of

        weights = weights_of(self.at(max(self._widths())), self.weights)
        return weights.architecture.space.input_shape[1]


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


def widths(text: str | None) -> tuple[float, ...]:
    """The widths of an option, joined by commas; none where there is no option.

    Raises:
        HwnasError: They are no shares of the channels, or one is there twice.
    """
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    found = tuple(float(part) for part in parts if re.fullmatch(r"[0-9]+(\.[0-9]{1,4})?", part))
    if len(found) != len(parts) or not all(0 < width <= 1 for width in found):
        raise HwnasError(
            f"widths must be of the channels, in (0, 1], joined by commas as 1,0.75, but got {text!r}"
        )
    if len(set(found)) < len(found):
        raise HwnasError(f"widths must differ, but got {text!r}")
    return found


def require(context: typer.Context, known: Known) -> None:
    """Refuse what does not go together with a known network."""
    _usage.no_effect(context, "space", "evaluate", "teacher", needs="without --from, which says it")
    if known.has_sizes:
        needs = "with one --resolution and one --width, as each has latencies and blocks of its own"
        _usage.no_effect(context, "latency", "supernet", needs=needs)
    if known.has_images:
        return
    if not Path(known.name).is_dir():
        raise typer.BadParameter(
            f"--from must have images to adapt {known.name} to, but got none: give --data"
        )
    _usage.no_effect(
        context, "weights", "resolution", "width", needs="with --data, to adapt the network to it"
    )


def require_widths(known: Known) -> None:
    """Refuse widths of what is not known by its width alone, and widths that nobody has weights of.

    Raises:
        HwnasError: The network is a run's or a source's, or its name says a width, or there are none of it.
    """
    from hwnas import known as networks
    from hwnas.known import pretrained

    if not known.widths:
        return
    asked = ",".join(f"{width:g}" for width in known.widths)
    is_named = networks.knows(known.name) and not Path(known.name).expanduser().is_dir()
    if is_named and (said := networks.named(known.name).width) != 1:
        raise HwnasError(
            f"a width must be said once, but got --from {known.name} and --width {asked}: name the network "
            f"without its width {said:g}"
        )
    if set(known.widths) == {1.0}:
        return
    if not is_named:
        raise HwnasError(
            "a network must have a name of hwnas's own to be cut to a width, such as efficientnet-lite0, but "
            f"got --from {known.name} and --width {asked}: leave out --width"
        )
    for width in known.widths:
        pretrained.sources_of(known.at(width))


def teacher_of(
    known: Known,
    settings: Settings,
    size: Size | None,
    to: Path,
    budgets: Sequence[Budget],
    tables: Path | None,
    whole: Config,
) -> Teacher:
    """The teacher of a search into a run folder; what cannot be is refused before it is trained."""
    from hwnas import spaces
    from hwnas.evaluators.supernet.config import OneShotConfig
    from hwnas.finalists import models
    from hwnas.runs.folder import RunFolder
    from hwnas.train import TrainConfig
    from hwnas.train.adapting import begun, space_of

    if not known.has_images:
        return Teacher(Path(known.name))
    run = RunFolder(to).teacher
    config = TrainConfig(**_training(settings), class_weights=_class_weights(whole))
    name = known.name if size is None else known.at(size.width)
    side = None if size is None else size.resolution
    asked = {"file": known.weights, "resolution": side, "task": settings["task"]}
    dataset, start = begun(run, name, settings["data"], config, **asked)
    OneShotConfig(batch_size=whole.values["search.supernet"]["batch_size"]).resolved(len(dataset.train))
    models.require_tables(budgets, spaces.load(space_of(run)), tables)
    return Teacher(run, dataset, start, config, name)


def searched_around(
    known: Known,
    settings: Settings,
    to: Path,
    budgets: Sequence[Budget],
    tables: Path | None,
    search_in: Search,
    status: Status,
    config: Config,
) -> SearchRecord | None:
    """Search around a known network, on one size or on several, which are tuned alike to be compared."""
    from hwnas.finalists import tuning
    from hwnas.pipeline import sizes
    from hwnas.runs.folder import RunFolder

    asked = known.sizes() if known.sides or known.widths else ()
    if not known.has_sizes:
        one = teacher_of(known, settings, next(iter(asked), None), to, budgets, tables, config)
        one.adapt()
        return search_in(one.settings(settings), one.dataset, to, budgets, True)
    folder = RunFolder(to).resolutions
    teachers, missing = {}, []
    for size in asked:  # whatever is refused is refused now
        try:
            teachers[size] = teacher_of(known, settings, size, folder / size.folder, budgets, tables, config)
        except TableError as error:
            missing.append(str(error))
    if missing:
        raise TableError("\n".join(missing))

    def search_on(size: Size, run: Path, within: Sequence[Budget]) -> SearchRecord:
        status.update(f"images of {size}")
        one = teachers[size]
        one.adapt()
        found = search_in(one.settings(settings), one.dataset, run, within, False)
        return cast("SearchRecord", found)  # there is one process

    epochs = config.finalists[1].tuned_epochs
    tuned = tuning.usual(**_training(settings), class_weights=_class_weights(config), epochs=epochs)
    return sizes.best_of(asked, budgets, to, search_on, tuned, tell=status.update, warn=_found.warn)


def _training(settings: Settings) -> Settings:
    """What trainings in a search share with it: the seed, and where its networks are trained."""
    from hwnas.train.optim import pick_device

    return {"seed": settings["seed"], "device": pick_device(settings["train_on"]).type}


def _class_weights(config: Config) -> str:
    """How classes count, in who teaches as in what learns from it."""
    return str(config.values["search.supernet"]["class_weights"])
