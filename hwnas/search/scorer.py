"""What scores architectures after a search, as it did during it: a supernet, or training each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hwnas import spaces
from hwnas.evaluators.standalone import FromScratch
from hwnas.evaluators.supernet.oneshot import OneShot
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.space import Architecture, SearchSpace

if TYPE_CHECKING:
    import torch
    from torch import nn

    from hwnas.data import Dataset
    from hwnas.tasks import Task


class Scorer(Protocol):
    """Estimates what networks are worth."""

    @property
    def scored_images(self) -> int:
        """Validation images that an architecture is scored on."""

    @property
    def task(self) -> Task:
        """What networks are trained for."""

    @property
    def class_weights(self) -> str:
        """How classes are weighed, as of ``tasks.base.LossSettings``."""

    @property
    def effective_images(self) -> int:
        """As many images as an estimate is as certain as."""

    def __call__(self, arch: Architecture, /) -> float:
        """Estimate of ``Task.merit``, in [0, 1]."""

    def subnetwork(self, indices: Sequence[int], /) -> nn.Module:
        """The network that the estimate is of."""

    def some(self, split: str, count: int, /) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Batches of so many random images of a split, with targets."""

    @property
    def space(self) -> SearchSpace:
        """Where architectures are from."""

    @property
    def proxy(self) -> SearchSpace:
        """Where the networks are from that stand for them."""


def scorer_of(run: Path, record: Mapping[str, Any], space: SearchSpace, dataset: Dataset) -> Scorer:
    """The scorer of a run.

    Args:
        run: Folder that ``search_run`` wrote.
        record: Its ``search.json``.
        space: What was searched.
        dataset: Its images.
    """
    if "scratch" in record:
        return FromScratch.of_record(space, record, RunFolder(run).trained, dataset)
    return OneShot.load(RunFolder(run).supernet, space, dataset, device=record["oneshot"]["device"])


def scorer_in(run: Path, dataset: Dataset) -> Scorer:
    """The scorer of a finished search, read from its folder.

    Args:
        run: Folder that ``search_run`` wrote.
        dataset: Its images.
    """
    space = spaces.architecture_from_json(records.arch(run)).space
    return scorer_of(run, records.search(run), space, dataset)


def scores(scorer: Scorer, architectures: Sequence[tuple[int, ...]]) -> list[float]:
    """Estimated accuracies; of trainings several at the same time."""
    found = map(scorer.space.architecture, architectures)
    return scorer.all(found) if isinstance(scorer, FromScratch) else list(map(scorer, found))
