"""One search for each size of a network and of its images, and which of the networks found is the better one.

Smaller images are the cheapest way to be faster, then fewer channels everywhere; a network with a decoder is
slower and sees finer where it stops halving its features earlier (a path of Auto-DeepLab's trellis,
arXiv:1901.02985). No search around a network of one size can see the others. What is found on each is tuned
alike before it is compared: untuned, a network looks the better the less it was reshaped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from hwnas import files, known, tasks
from hwnas.budget import Budget
from hwnas.device import AutoTarget
from hwnas.errors import HwnasError, InfeasibleBudget
from hwnas.finalists.tuning import settled
from hwnas.runs import outputs, records
from hwnas.runs.folder import RunFolder
from hwnas.runs.found import SearchRecord
from hwnas.runs.training import TrainingRecord
from hwnas.search.beside import said
from hwnas.search.oneshot.inherit import inherited
from hwnas.statistics.verdict import WORDS
from hwnas.tasks.base import Score
from hwnas.train import TrainConfig, ranks
from hwnas.train.adapting import teacher_of
from hwnas.train.training import dataset_of, train_run

_OF_SEARCH = (  # what a run folder has of its search, which is there when search.json is
    *(RunFolder.arch, RunFolder.history, RunFolder.teacher, RunFolder.supernet, RunFolder.latency),
    *(RunFolder.ranges, RunFolder.finalists, RunFolder.gallery, RunFolder.search),
)


@dataclass(frozen=True)
class Size:
    """What networks to search around differ in.

    Attributes:
        resolution: Height and width of their images, in pixels.
        width: Of their channels, as a multiple of the published ones.
        strides: Where those with a decoder stop halving their features, as "os16"; None where as is usual.
    """

    resolution: int
    width: float = 1.0
    strides: str | None = None

    def __str__(self) -> str:
        return said(self.resolution, self.width, self.strides)

    @property
    def folder(self) -> str:
        """Name of the run folder of its search."""
        width = "" if self.width == 1 else f"-{self.width:g}"
        return f"{self.resolution}{width}" + (f"-{self.strides}" if self.strides else "")

    @property
    def order(self) -> tuple[float, int, int]:
        """The more the larger: multiply-adds grow with the square of the first; finer features have more."""
        divisor = known.DIVISORS[self.strides or known.USUAL_STRIDES]
        return self.resolution * self.width, self.resolution, -divisor


Search = Callable[[Size, Path, Sequence[Budget]], SearchRecord]
"""Searches on a size, into a run folder, within budgets; what is done is not done again."""


@dataclass(frozen=True)
class Tuned:
    """What a short training made of a network, on validation images.

    Attributes:
        value: Of the task's metric.
        merit: What networks are ranked by.
        interval: 95 %, of the metric.
        images: How many.
        epochs: Of the training.
    """

    value: float
    merit: float
    interval: Sequence[float] | None
    images: int | None
    epochs: int


@dataclass(frozen=True)
class OnSize:
    """What was found on one size.

    Attributes:
        size: Of network and images.
        run: Folder of its search.
        record: Of its search.
        tuned: What tuning made of it.
    """

    size: Size
    run: Path
    record: SearchRecord
    tuned: Tuned

    @property
    def word(self) -> str | None:
        """Whether the budgets are kept; None where nothing was measured."""
        verdict = self.record.finalists.verdict if self.record.finalists else None
        return verdict.word if verdict else None

    @property
    def order(self) -> tuple[int, float]:
        """The more the better: what is proven comes first, then what validation images say."""
        proven = -WORDS.index(self.word) if self.word else -len(WORDS)
        return proven, self.tuned.merit

    def to_json(self, best: OnSize) -> dict[str, Any]:
        """What the record of the better one says of each."""
        return {
            "resolution": self.size.resolution,
            "width": self.size.width,
            "strides": self.size.strides,
            "taken": self is best,
            "estimated": self.record.quality,
            "tuned": self.tuned.value,
            "merit": self.tuned.merit,
            "interval": self.tuned.interval,
            "images": self.tuned.images,
            "epochs": self.tuned.epochs,
            "verdict": self.word,
            "latencies_ms": {item.name: item.latency_ms for item in self.record.budgets},
        }


@outputs.alone_in("to", "a search", new=True)
def best_of(
    sizes: Iterable[Size],
    budgets: Sequence[Budget],
    to: Path,
    search: Search,
    config: TrainConfig,
    *,
    tell: Callable[[str], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
) -> SearchRecord:
    """Search on several sizes within the same milliseconds, and take the better network.

    Shares are of the range on the largest. Started again, it goes on where it was cut off.

    Args:
        sizes: Of network and images.
        budgets: On targets of devices.
        to: Run folder of the better network; the searches' own are inside.
        search: Does one search.
        config: How networks are tuned before they are compared, where their search did not do it.
        tell: Told what is done.
        warn: Given what the user should know.

    Returns:
        What ``search.json`` of the better network holds; ``extra["resolutions"]`` says what the others
        reached.

    Raises:
        InfeasibleBudget: The budgets are not kept on any size.
        HwnasError: The folder holds a finished search, or there are several processes.
    """
    _require_unfinished(to)
    if (count := ranks.started()) > 1:
        raise HwnasError(
            f"searches on several sizes must be in one process, but got {count} of torchrun: start it without"
        )
    if open_yet := [str(budget) for budget in budgets if isinstance(budget.target, AutoTarget)]:
        raise HwnasError(
            f"searches on several sizes must be on one runtime, but got {', '.join(open_yet)}, for which "
            "each would choose its own: name the runtime"
        )
    found: list[OnSize] = []
    refused: InfeasibleBudget | None = None
    for size in sorted(set(sizes), key=lambda size: size.order, reverse=True):
        run = RunFolder(to).resolutions / size.folder
        try:
            record = search(size, run, budgets)
        except InfeasibleBudget as error:
            if any(budget.unit == "%" for budget in budgets):  # of a range that nobody knows now
                raise
            warn(f"on images of {size}: {error}")
            refused = error
            continue
        budgets = _in_ms(budgets, record)
        tell(f"tuning what was found on images of {size}")
        found.append(OnSize(size, run, record, _tuned(run, record, config)))
    if not found:
        assert refused is not None
        raise refused
    return _taken(max(found, key=lambda item: item.order), found, RunFolder(to))


def _require_unfinished(to: Path) -> None:
    """Refuse a folder whose network was taken already, unless its budgets want more measuring."""
    folder = RunFolder(to)
    if not folder.search.exists():
        return
    finalists = records.search(to).finalists
    if folder.train.exists() or finalists is None or finalists.kept or not folder.resolutions.is_dir():
        raise HwnasError(f"a run folder must be new, but {to} holds a finished search: give another one")


def _in_ms(budgets: Sequence[Budget], record: SearchRecord) -> tuple[Budget, ...]:
    """The budgets as the first search understood them."""
    limits = {item.name: item.budget_ms for item in record.budgets}
    return tuple(replace(budget, limit=limits[budget.name], unit="ms", asked="") for budget in budgets)


def _tuned(run: Path, record: SearchRecord, config: TrainConfig) -> Tuned:
    """A found network after the same short training; what was done, also by its search, is not done again."""
    names = [field.name for field in fields(Tuned)]
    for rival in record.extra.get("tuned", ()):  # it was tuned beside its controls
        if rival["taken"]:
            return Tuned(**{name: rival[name] for name in names})
    training = _trained(run)
    if training is None:
        data = dataset_of(record.data)
        training = train_run(
            run, settled(config, data), dataset=data, teacher=teacher_of(run), start=partial(inherited, run)
        )
    val = training.val
    score = Score(training.val_value, val["loss"], val.get(f"balanced_{training.metric.key}"))
    return Tuned(
        value=training.val_value,
        merit=tasks.of_record(training.data).merit(score, config.class_weights),
        interval=val.get("interval"),
        images=val.get("images"),
        epochs=training.config["epochs"],
    )


def _trained(run: Path) -> TrainingRecord | None:
    """What was tuned before; not where further measuring has led to another network since."""
    if not RunFolder(run).train.exists():
        return None
    training = records.trained(run)
    return training if training.architecture == records.arch(run)["id"] else None


def _taken(best: OnSize, found: Sequence[OnSize], to: RunFolder) -> SearchRecord:
    """Make a folder the run of the best network; its search comes last, as all is there where that is."""
    extra: Mapping[str, Any] = {**best.record.extra, "resolutions": [item.to_json(best) for item in found]}
    record = replace(best.record, extra=extra)
    for name in _OF_SEARCH:
        source, target = best.run / name, to.path / name
        if source.exists() and name != RunFolder.search:
            files.copy_whole(source, target)
    files.write_json(to.search, record.to_json())
    return record
