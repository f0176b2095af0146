"""Every file and folder of a run: its name stands here, once.

An ``Entry`` is a name on the class and a path on a folder::

    RunFolder.weights                 # "weights.safetensors"
    RunFolder(Path("run")).weights    # Path("run/weights.safetensors")
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, overload


class Place(Protocol):
    """What a file of a target is named by: ``hwnas.device.Target`` is one."""

    @property
    def device(self) -> str:
        """Name of the device."""

    @property
    def slug(self) -> str:
        """Runtime, precision and whatever is not usual."""


class LoggedFolder(Protocol):
    """A folder with a log of the commands that worked in it."""

    @property
    def path(self) -> Path:
        """The folder."""

    @property
    def log(self) -> Path:
        """The log."""


class Entry:
    """A file or a folder: its name on the class, its path on a folder."""

    def __init__(self, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, folder: None, owner: type[Any]) -> str: ...
    @overload
    def __get__(self, folder: object, owner: type[Any]) -> Path: ...
    def __get__(self, folder: Any, owner: type[Any]) -> str | Path:
        """The name of a class's entry, the path of a folder's."""
        return self.name if folder is None else folder.path / self.name


@dataclass(frozen=True)
class ShippingFolder:
    """What is exported, wherever it lies; the models' names stand in its manifest.

    Attributes:
        path: The folder.
    """

    path: Path

    manifest = Entry("manifest.json")
    labels = Entry("labels.txt")
    preprocessing = Entry("preprocessing.json")
    probes = Entry("probes.json")
    report = Entry("report.html")


@dataclass(frozen=True)
class RunFolder:
    """One network: how it was found, trained, exported, compared.

    Attributes:
        path: The folder.
    """

    path: Path

    lock = Entry(".lock")  # as long as a process works in the folder
    log = Entry("hwnas.log")  # what commands said here; never the first file

    arch = Entry("arch.json")
    imported = Entry("import.json")  # where a network of one's own came from
    adapting = Entry("adapt.json")  # what was tried to make a network keep a budget
    adapted_weights = Entry("adapt-weights.safetensors")  # what was taken, until it is trained
    sessions = Entry("sessions")  # what an adaptation measured, until it is known what came of it
    search = Entry("search.json")
    history = Entry("history.jsonl")
    teacher = Entry("teacher")  # run folder of the network that candidates learn from
    supernet = Entry("supernet.safetensors")
    search_checkpoint = Entry("search-checkpoint.safetensors")
    layers = Entry("layers")  # candidates of choices that a pool has taught, until all have learnt
    trained = Entry("trained")  # networks of a search that trains each from scratch
    latency = Entry("latency")  # models, one a target
    runtimes = Entry("runtimes.json")  # what each took, where one was chosen
    ranges = Entry("ranges.json")
    finalists = Entry("finalists")  # tables, one a target
    tuned = Entry("tuned")  # networks of a search that are tuned to be compared, while they are
    resolutions = Entry(
        "resolutions"
    )  # run folders of searches on other sizes, and on its own: 96, 96-0.75-os16
    gallery = Entry("gallery.json")

    train = Entry("train.json")
    weights = Entry("weights.safetensors")
    train_checkpoint = Entry("train-checkpoint.safetensors")
    mistakes = Entry("mistakes.json")
    int8_weights = Entry("weights.int8.safetensors")
    int8_checkpoint = Entry("int8-checkpoint.safetensors")

    export = Entry("export")
    report = Entry("report.html")
    against = Entry("against.json")
    tracking = Entry("tracking.json")  # which runs of trackers are of this folder, and what they know
    tensorboard = Entry("tensorboard")
    comparison = Entry("compare.json")
    compared = Entry("compare")  # run folders of the other networks, and what is kept between comparisons
    answers = Entry("compare/answers.json")

    @property
    def is_imported(self) -> bool:
        """Whether its network is one of somebody's own that was not trained since."""
        return self.imported.exists() and not self.train.exists()

    @property
    def shipping(self) -> ShippingFolder:
        """What is exported."""
        return ShippingFolder(self.export)

    def latency_model(self, target: Place) -> Path:
        """The latency model of a target."""
        return self.latency / model_name(target)

    @property
    def latency_models(self) -> tuple[Path, ...]:
        """Those that are there."""
        return tuple(sorted(self.latency.glob("*.json")))

    def finalists_table(self, target: Place) -> Path:
        """What was measured of finalists on a target."""
        return self.finalists / f"{target.device}-{target.slug}.jsonl"

    def contender(self, network: str, seed: int) -> RunFolder:
        """The run folder of a network that this one is compared with."""
        return RunFolder(self.compared / f"{network}-seed{seed}")

    def match(self, family: str, target: Place) -> Path:
        """Which width of a family was found to be as fast on a target."""
        return self.compared / f"match-{family}-{target.device}-{target.slug}.json"


@dataclass(frozen=True)
class ChainFolder:
    """Where ``hwnas run`` and ``hwnas quickstart`` work: tables, models, and a run folder a strategy.

    Attributes:
        path: The folder.
    """

    path: Path

    log = Entry(RunFolder.log)
    state = Entry("chain.json")
    quickstart = Entry("quickstart.json")
    latency = Entry("latency")
    tables = Entry("tables")
    asked = Entry("asked.json")  # what a search around a network that is adapted was to find

    def run(self, strategy: str) -> RunFolder:
        """The folder of what a strategy finds."""
        return RunFolder(self.path / strategy)

    @property
    def runs(self) -> tuple[RunFolder, ...]:
        """The folders of runs that are there; first what came furthest."""
        found = [RunFolder(path.parent) for path in sorted(self.path.glob(f"*/{RunFolder.arch}"))]
        found.sort(key=lambda run: run.train.exists() + run.shipping.manifest.exists(), reverse=True)
        return tuple(found)

    def latency_model(self, target: Place, among: bool = False) -> Path:
        """The latency model of a target.

        Args:
            target: What it is of.
            among: Whether there are those of several devices.
        """
        return self.latency / (model_name(target) if among else f"{target.slug}.json")

    def latency_models(self, targets: Iterable[Place]) -> tuple[Path, ...]:
        """Those of some targets that are there, in their order."""
        places = ([self.latency_model(target, among) for among in (True, False)] for target in targets)
        return tuple(path for of in places for path in [p for p in of if p.is_file()][:1])


@dataclass(frozen=True)
class BenchFolder:
    """Where ``hwnas bench`` works.

    Attributes:
        path: The folder.
    """

    path: Path

    log = Entry(RunFolder.log)
    jobs = Entry("jobs.jsonl")  # a line a finished search
    result = Entry("bench.json")
    page = Entry("bench.html")


def is_begun(folder: LoggedFolder) -> bool:
    """Whether anything is there that makes a folder what it is: neither the log nor the lock does."""
    names = {entry.name for entry in vars(type(folder)).values() if isinstance(entry, Entry)}
    return any((folder.path / name).exists() for name in names - {RunFolder.lock, RunFolder.log})


def model_name(target: Place) -> str:
    """Name of the file of a target's latency model, among those of several devices."""
    return f"{target.device}-{target.slug}.json"
