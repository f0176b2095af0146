"""``hwnas search --from``: known networks that are adapted to the images before they are searched around."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from hwnas.cli import _found, _usage
from hwnas.cli._app import err
from hwnas.cli._options import Settings
from hwnas.errors import TableError
from hwnas.runs.folder import RunFolder

if TYPE_CHECKING:
    from rich.status import Status

    from hwnas.budget import Budget
    from hwnas.data import Dataset
    from hwnas.known.compound import Compound
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
        strides: Where it stops halving its features; none for what its name says.
        compound: Powers of compound scaling from its own width and resolution; none for no scaling.
    """

    name: str
    weights: Path | None
    has_images: bool
    sides: tuple[int, ...] = ()
    widths: tuple[float, ...] = ()
    strides: tuple[str, ...] = ()
    compound: tuple[float, ...] = ()

    @property
    def has_sizes(self) -> bool:
        """Whether there are several to search on."""
        return max(map(len, self._asked)) > 1

    def sizes(self) -> tuple[Size, ...]:
        """Every width and all strides on every resolution, or all strides of every power of compound scaling.

        None where only the name says them.
        """
        from hwnas import known
        from hwnas.pipeline.sizes import Size

        if not any(self._asked):
            return ()
        said = known.named(self.name) if known.knows(self.name) else None
        widths = self.all_widths or (said.width if said else 1.0,)
        strides = self.strides or (said.strides if said else None,)
        other = [None if each == known.USUAL_STRIDES else each for each in strides]
        sides = self.sides or (self._usual_side(max(widths)),)
        pairs: Iterable[tuple[int, float]] = product(sides, widths)
        if self.compound:
            pairs = zip((scale.pixels(sides[0]) for scale in self._scales), widths, strict=True)
        return tuple(Size(*pair, each) for pair, each in product(pairs, other))

    @property
    def all_widths(self) -> tuple[float, ...]:
        """Those asked for, or those of compound scaling, one a power."""
        from hwnas import known

        if not self.compound:
            return self.widths
        own = known.named(self.name).width if known.knows(self.name) else 1.0
        return tuple(scale.wide(own) for scale in self._scales)

    def at(self, width: float, strides: str | None = None) -> str:
        """The name of the network of a width, with strides where they are not as its name says."""
        from hwnas import known

        if not (self.all_widths or self.strides) or not known.knows(self.name):
            return self.name
        return known.named(self.name).at(width, strides if self.strides else None)

    @property
    def _asked(self) -> tuple[tuple[object, ...], ...]:
        return self.sides, self.widths, self.strides, self.compound

    @property
    def _scales(self) -> list[Compound]:
        from hwnas.known.compound import EFFICIENTNET

        return [EFFICIENTNET.to_the(power) for power in self.compound]

    def _usual_side(self, width: float) -> int:
        """Pixels that the network of a width was trained on."""
        from hwnas.train.sources import weights_of

        return weights_of(self.at(width), self.weights).architecture.space.input_shape[1]


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

    def adapt(self, tell: Callable[[str], None]) -> None:
        """Train it on the images, where it was not, and tell how far that is."""
        from hwnas.train.config import in_steps
        from hwnas.train.training import train_run

        if self.config is None or RunFolder(self.run).train.exists():
            return
        train_run(
            self.run,
            self.config,
            dataset=self.dataset,
            start=self.start,
            on_epoch=self._show,
            on_step=in_steps(tell, f"adapting {self.name}"),
        )

    def _show(self, record: EpochRecord) -> None:
        value = record.metric.text(record.val_value, 2)
        said = f"adapting {self.name}: epoch {record.epoch}/{record.epochs}  validation {value}"
        err.tell(err.pace.told(said))


def require(context: typer.Context, known: Known) -> None:
    """Refuse what does not go together with a known network."""
    _usage.no_effect(context, "space", "evaluate", "teacher", needs="without --from, which says it")
    if known.has_sizes:
        needs = "for one size of network and images, as each has latencies and blocks of its own"
        _usage.no_effect(context, "latency", "supernet", needs=needs)
    if known.compound:
        _usage.no_effect(context, "width", needs="without --compound, which scales it with the resolution")
        if len(known.sides) > 1:
            raise typer.BadParameter(
                "--resolution must be the one that --compound scales, but got "
                f"{','.join(map(str, known.sides))}: leave out all but the largest"
            )
    if known.has_images:
        return
    if not Path(known.name).is_dir() or RunFolder(Path(known.name)).is_imported:
        raise typer.BadParameter(
            f"--from must have images to adapt {known.name} to, but got none: give --data"
        )
    _usage.no_effect(
        context,
        *("weights", "resolution", "width", "strides", "compound"),
        needs="with --data, to adapt the network to it",
    )


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
    from hwnas.train import TrainConfig
    from hwnas.train.adapting import begun, space_of

    if not known.has_images:
        return Teacher(Path(known.name))
    run = RunFolder(to).teacher
    config = TrainConfig(**_training(settings), class_weights=_class_weights(whole))
    name = known.name if size is None else known.at(size.width, size.strides)
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

    asked = known.sizes()
    if not known.has_sizes:
        one = teacher_of(known, settings, next(iter(asked), None), to, budgets, tables, config)
        one.adapt(status.update)
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
        one.adapt(status.update)
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
