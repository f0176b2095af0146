"""Scoring architectures by training each from scratch for some epochs, by the workers of a pool."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hwnas import files, tasks
from hwnas.data import Dataset
from hwnas.errors import Diverged, SpaceError, TrainingError
from hwnas.evaluators.base import Live, Traits, mean_seconds
from hwnas.evaluators.merits import Merits, OfAnswers, OfMeasure
from hwnas.evaluators.scoring import Scoring
from hwnas.evaluators.zero_cost.config import Likeness
from hwnas.pools import HERE, PoolSpec, opened
from hwnas.runs.trial import quality_of
from hwnas.space import Architecture, SearchSpace
from hwnas.spaces.canonical import Canonical
from hwnas.train.config import TrainConfig

if TYPE_CHECKING:
    import torch
    from torch import nn

    from hwnas.runs.folder import RunFolder
    from hwnas.tasks import Task

SCHEMA = "hwnas-scratch/1"
_ROUNDING = 1e-9
_BATCH_SIZE = 64  # where nothing is said, as in a supernet


@dataclass(frozen=True)
class FromScratch:
    """What a network is worth on validation after a short training: ``evaluators.base.TrainedNetworks``.

    It holds the name of the data, not the images, so that it can be sent to another process.
    The score of a network follows from the seed of ``config``, whichever process trains it.

    Attributes:
        space: Where the architectures are from.
        source: What the task reads images from.
        data_seed: Of the splits.
        config: The training of each; a short one.
        pool: Who trains, where several are to be scored.
        threads: Of PyTorch in the process that trains; None leaves them as they are.
        kept: Folder in which trained networks are kept, so that none is trained twice.
        images: What ``source`` holds, where this process has read it; stays in this process.
        task_name: What the images are for, as of ``hwnas.tasks``.
        alike: Instead of by what the task ranks networks by, they are scored by how alike they see images to
            this one.
        alike_early: The same, but only of networks that were trained for less (``at``).
    """

    space: SearchSpace
    source: str
    data_seed: int = 0
    config: TrainConfig = field(default_factory=lambda: TrainConfig(epochs=2))
    pool: PoolSpec = HERE
    threads: int | None = None
    kept: Path | None = None
    images: Dataset | None = field(default=None, compare=False, repr=False)
    task_name: str = tasks.DEFAULT
    alike: Likeness | None = None
    alike_early: Likeness | None = None
    _spent: list[float] = field(default_factory=list, init=False, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "images": None}

    @property
    def proxy(self) -> SearchSpace:
        """The networks that are trained: those of the space, at their full size."""
        return self.space

    @property
    def scored_images(self) -> int:
        """Validation images that an architecture is scored on."""
        return len(self._data.val)

    @property
    def task(self) -> Task:
        """What the images are for."""
        return tasks.of(self._data)

    @property
    def class_weights(self) -> str:
        """As of ``TrainedNetworks``."""
        return self.config.class_weights

    @cached_property
    def merits(self) -> Merits:
        """Of answers to all validation images; in records "quality" where some scores are likenesses."""
        if self.alike is not None:
            return OfMeasure("likeness")
        images = self.task.effective_images(self._data.val.labels, self.class_weights)
        key = None if self.alike_early is None else OfMeasure.key
        return OfAnswers(self.task, self.class_weights, images, key)

    def __call__(self, arch: Architecture) -> float:
        """What the task ranks networks by, on the validation split; or how alike it sees that to another.

        A network that cannot be trained under these settings is worth nothing: 0.

        Raises:
            TrainingError: What was kept is of another training.
            DataError: The other one's dissimilarities are of other images.
        """
        try:
            network, quality = self._trained(arch)
        except Diverged:
            return 0.0
        if self.alike is None:
            return quality
        from hwnas.evaluators.zero_cost.similarity import likeness

        return likeness(network, self._data, self.alike)

    def all(self, architectures: Iterable[Architecture]) -> list[float]:
        """The scores of several, by the workers of ``pool``."""
        asked = list(architectures)
        with opened(self.pool if len(asked) > 1 else HERE) as pool:
            return Scoring(self, pool).all(asked)

    def moved(self) -> MovedTraining:
        """As of ``Movable``: with its images."""
        return MovedTraining(replace(self, kept=None, images=None), self._data)

    def received(self, arch: Architecture, answer: TrainedElsewhere) -> float:
        """As of ``Movable``: the network that was trained elsewhere is kept here."""
        if self.kept is not None:
            for name, content in answer.networks.items():
                files.write_atomic(self.kept / Path(name).name, content)
        self._spent.append(answer.seconds)
        return answer.score

    def at(self, share: float) -> FromScratch:
        """As of ``Fidelities``: the same recipe in a share of the epochs, from the beginning.

        Raises:
            SpaceError: That is less than an epoch, which would cost more than was asked for.
        """
        if share == 1:
            return self
        whole = self.config.epochs or 1
        epochs = round(share * whole)
        if epochs < 1:
            raise SpaceError(
                f"the shortest training must be at least an epoch, but {share:.3g} of {whole} is less: train "
                f"for at least {ceil(1 / share - _ROUNDING)} epochs, or take fewer rungs"
            )
        kept = self.kept and self.kept / f"epochs-{epochs}"
        alike = self.alike or self.alike_early
        config = replace(self.config, epochs=epochs)
        return replace(self, config=config, kept=kept, alike=alike, alike_early=None)

    def prepare(self, steps: int, *, on_step: Live, checkpoint: Path) -> None:
        """Nothing: each network is trained when it is asked for."""

    def save_into(self, run: RunFolder) -> None:
        """Nothing: networks are kept as they are trained."""

    def subnetwork(self, indices: Sequence[int]) -> nn.Module:
        """One architecture as a network that was trained."""
        return self._trained(self.space.architecture(indices))[0].eval()

    def some(self, split: str, count: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Batches of so many random images of a split, the same for every architecture."""
        from hwnas.data.batches import Batches

        return Batches(self._data).some(split, count, self.config.seed)

    @property
    def traits(self) -> Traits:
        """Repeatable, as the seed is; may be sent, as it holds no images."""
        by = "" if self.alike is None else f", alike in {self.alike.images} images"
        return Traits(
            f"trained from scratch for {self.config.epochs} epochs{by}",
            images=self.merits.images,
            seconds=mean_seconds(self._spent),
            is_sendable=True,
        )

    def identity(self) -> dict[str, Any]:
        """What must be the same for scores to be taken over."""
        found = self._training()
        if self.alike is not None:
            found |= {"alike": self.alike.identity()}
        if self.alike_early is not None:
            found |= {"alike_early": self.alike_early.identity()}
        return found

    def _training(self) -> dict[str, Any]:
        """What must be the same for a network to be taken over."""
        return {
            "space": self.space.fingerprint,
            "data": self._data.fingerprint,
            "config": {k: v for k, v in asdict(self.config).items() if k != "device"},
        }

    def describe(self) -> dict[str, Any]:
        """The settings, as JSON; ``of_record`` turns them back."""
        alike = {"alike": self.alike, "alike_early": self.alike_early}
        return {
            **{"config": asdict(self.config), "pool": str(self.pool), "threads": self.threads},
            **{name: asdict(to) for name, to in alike.items() if to is not None},
        }

    @classmethod
    def of_record(
        cls,
        space: SearchSpace,
        described: Mapping[str, Any],
        source: Mapping[str, Any],
        kept: Path,
        images: Dataset | None = None,
    ) -> FromScratch:
        """The evaluator of a search, by what ``describe`` and its data's said."""
        return cls(
            space,
            source["source"],
            source["seed"],
            TrainConfig.of_record(described["config"]),
            _pool_of(described),
            described.get("threads"),
            kept,
            images,
            tasks.of_record(source).name,
            **{name: Likeness(**described[name]) for name in ("alike", "alike_early") if name in described},
        )

    @property
    def _data(self) -> Dataset:
        return self.images or _loaded(self.task_name, self.source, self.space.input_shape[1], self.data_seed)

    def _trained(self, arch: Architecture) -> tuple[nn.Module, float]:
        """The trained network and its score; from the folder where it is there."""
        from hwnas.train import checkpoint, new_network

        arch = self.space.architecture(Canonical(self.space).key(arch.indices))
        network = new_network(arch, self.config.seed)
        path = self.kept / f"{arch.id}.safetensors" if self.kept else None
        if path is not None and path.exists():
            tensors, metadata = checkpoint.read_tensors(path, SCHEMA)
            if not self._is_own(metadata):
                raise TrainingError(
                    f"a network must be kept by the search that goes on, but {path} is of another training: "
                    "delete its folder"
                )
            checkpoint.copy_into(network, tensors, path)
            return network, float(quality_of(metadata))
        began = time.monotonic()
        quality = self._train(network)
        self._spent.append(time.monotonic() - began)
        if path is not None:
            metadata = {"schema": SCHEMA, **self._training(), self.task.metric.score_key: quality}
            checkpoint.save_tensors(path, network.state_dict(), metadata)
        return network, quality

    def _is_own(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a kept network is of this training; older versions named fewer settings."""
        own = self._training()
        try:
            kept = asdict(TrainConfig.of_record(metadata["config"]))
        except (KeyError, TypeError, TrainingError):
            return False
        same = all(kept[name] == value for name, value in own["config"].items())
        return same and all(metadata.get(name) == own[name] for name in ("space", "data"))

    def _train(self, network: nn.Module) -> float:
        from hwnas.train import fit, optim

        with optim.threads(self.threads):
            batch_size = self.config.batch_size or min(_BATCH_SIZE, len(self._data.train))
            config = replace(self.config, batch_size=batch_size)
            score = fit(network, self._data, config).val
            return self.task.merit(score, self.class_weights)


@dataclass(frozen=True)
class TrainedElsewhere:
    """What comes back from another machine.

    Attributes:
        score: Of the architecture.
        networks: The trained network as a file, by its name; none where it could not be trained.
        seconds: What it took.
    """

    score: float
    networks: Mapping[str, bytes]
    seconds: float


@dataclass(frozen=True)
class MovedTraining:
    """What is sent to a machine that has none of this one's files.

    Attributes:
        evaluator: Which keeps nothing.
        images: That it trains on and scores by.
    """

    evaluator: FromScratch
    images: Dataset

    def __call__(self, arch: Architecture) -> TrainedElsewhere:
        """Train one, and answer with the network itself."""
        began = time.monotonic()
        with TemporaryDirectory(prefix="hwnas-") as folder:
            own = replace(self.evaluator, kept=Path(folder), images=self.images)
            score = own(arch)
            networks = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
        return TrainedElsewhere(score, networks, time.monotonic() - began)


def _pool_of(described: Mapping[str, Any]) -> PoolSpec:
    """Who trained in a search, as recorded; older versions counted processes."""
    return PoolSpec.read(described["pool"] if "pool" in described else f"processes:{described['workers']}")


@lru_cache(maxsize=1)
def _loaded(task: str, source: str, resolution: int, seed: int) -> Dataset:
    return tasks.get(task).load(source, resolution=resolution, seed=seed)
