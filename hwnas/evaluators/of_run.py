"""What scores architectures after a search, as it did during it: a supernet, training each, or none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas import spaces
from hwnas.evaluators.base import TrainedNetworks
from hwnas.evaluators.blockwise import Blockwise
from hwnas.evaluators.standalone import FromScratch
from hwnas.evaluators.supernet.oneshot import OneShot
from hwnas.evaluators.zero_cost.untrained import Untrained
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.runs.found import SearchRecord
from hwnas.space import SearchSpace

if TYPE_CHECKING:
    from hwnas.data import Dataset


def evaluator_of(training: str) -> type[OneShot]:
    """The kind of evaluator whose supernet is trained in a way: one of ``config.TRAININGS``."""
    return Blockwise if training == "blockwise" else OneShot


def scorer_of(run: Path, record: SearchRecord, space: SearchSpace, dataset: Dataset) -> TrainedNetworks:
    """The scorer of a run.

    Args:
        run: Folder that ``search_run`` wrote.
        record: Its ``search.json``.
        space: What was searched.
        dataset: Its images.
    """
    if record.scratch is not None:
        return FromScratch.of_record(space, record.scratch, record.data, RunFolder(run).trained, dataset)
    if record.untrained is not None:
        return Untrained.of_record(space, record.untrained, dataset)
    described = record.oneshot or {}
    kind = evaluator_of(described.get("training", "paths"))
    return kind.load(RunFolder(run).supernet, space, dataset, device=described.get("device", "cpu"))


def scorer_in(run: Path, dataset: Dataset) -> TrainedNetworks:
    """The scorer of a finished search, read from its folder.

    Args:
        run: Folder that ``search_run`` wrote.
        dataset: Its images.
    """
    space = spaces.architecture_from_json(records.arch(run)).space
    return scorer_of(run, records.search(run), space, dataset)


def scores(scorer: TrainedNetworks, architectures: Sequence[tuple[int, ...]]) -> list[float]:
    """Estimated accuracies; of trainings several at the same time."""
    return scorer.all(map(scorer.space.architecture, architectures))
