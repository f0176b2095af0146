"""The training stage of a run folder: the architecture that was found becomes a trained network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hwnas import files, spaces, tasks
from hwnas.data import Dataset
from hwnas.errors import DataError, Diverged, typed
from hwnas.runs import outputs, records
from hwnas.runs.folder import RunFolder
from hwnas.runs.training import SEED, TrainingRecord
from hwnas.space import Architecture
from hwnas.statistics.verdict import FAIL, PASS
from hwnas.train import optim, ranks
from hwnas.train.checkpoint import copy_into, packed_weights
from hwnas.train.config import EpochRecord, OnStep, TrainConfig
from hwnas.train.convergence import rise
from hwnas.train.fitting import fit, new_network
from hwnas.train.scoring import predictions
from hwnas.train.teacher import load_teacher


@dataclass(frozen=True)
class Start:
    """First weights of a network that were learnt elsewhere.

    Attributes:
        tensors: By the names of the network's own ``state_dict``; what is missing stays random.
        record: Where they come from, as JSON.
        is_pretrained: Whether they know pictures already, so that training only adapts them.
    """

    tensors: Mapping[str, torch.Tensor]
    record: Mapping[str, Any]
    is_pretrained: bool = False


Begins = Callable[[Architecture, Dataset], Start]
"""Says which weights a training of an architecture on images begins with."""


@outputs.alone_in("run", "a training")
def train_run(
    run: Path,
    config: TrainConfig,
    *,
    source: str | None = None,
    dataset: Dataset | None = None,
    teacher: Path | None = None,
    start: Begins | None = None,
    on_epoch: Callable[[EpochRecord], None] = lambda _: None,
    on_step: OnStep = lambda _done, _steps: None,
) -> TrainingRecord:
    """Train the architecture of a run and look at the test split, once.

    Reads ``arch.json`` and ``search.json``; writes ``weights.safetensors`` and ``train.json``.
    A training that was cut off goes on from its checkpoint. Under ``torchrun`` the processes share every
    batch, and the first one writes; they may be as many as they like each time.

    Args:
        run: Folder that ``hwnas search`` wrote.
        config: Settings.
        source: Data to train on instead of those of the search.
        dataset: The data of the search, where they were read before.
        teacher: Run folder of a trained network to learn from, of the same data.
        start: Says which weights to begin with; by default they follow from the seed, but for those that the
            space has of a known network.
        on_epoch: Called after every epoch, in the first process.
        on_step: Called after every step, in the first process.

    Returns:
        What ``train.json`` holds, in every process.

    Raises:
        DataError: The data do not fit the network, or changed since the search.
        TrainingError: Training cannot go on.
    """
    with ranks.joined(optim.pick_device(config.device)):
        record = _trained(run, config, source, dataset, teacher, start, on_epoch, on_step)
        ranks.wait()  # nobody ends before all is written
    return record


def _trained(
    run: Path,
    config: TrainConfig,
    source: str | None,
    dataset: Dataset | None,
    teacher: Path | None,
    start: Begins | None,
    on_epoch: Callable[[EpochRecord], None],
    on_step: OnStep,
) -> TrainingRecord:
    arch = spaces.architecture_from_json(records.arch(run))
    search = records.search(run)
    if source is not None:
        dataset = _load_for(arch, source, search.data)
    dataset = dataset or _of_search(run, search.data)
    model = new_network(arch, config.seed)
    if start is None and arch.space.is_begun:
        from hwnas.train.lent import start_of as start  # is above this module
    begun = None if start is None else start(arch, dataset)
    folder = RunFolder(run)
    checkpoint = folder.train_checkpoint
    try:
        result = fit(
            model,
            dataset,
            config,
            teacher=None if teacher is None else load_teacher(teacher, dataset),
            origin={"start": {"from": SEED} if begun is None else dict(begun.record)},
            fresh=None if begun is None else _begin(model, begun),
            checkpoint=checkpoint,
            on_epoch=on_epoch,
            on_step=on_step,
        )
    except Diverged:  # to go on would only diverge again, and other settings would be refused
        checkpoint.unlink(missing_ok=True)
        raise
    task = tasks.of(dataset)
    test = predictions(model, dataset, "test", precision=config.precision)
    learning = test.learning
    scale = {"mean": list(dataset.mean), "std": list(dataset.std)}
    about = {"architecture": arch.to_json(), "data": dataset.fingerprint, **scale}
    weights = packed_weights(model, about)
    record = TrainingRecord(
        architecture=arch.id,
        data=dataset.describe(),
        config=asdict(result.config),
        history=tuple(epoch.to_json() for epoch in result.history),
        kept=asdict(result.kept),
        seconds=result.seconds,
        start=result.origin["start"],
        teacher=result.origin.get("teacher"),
        metric=task.metric,
        rising=rise(result.history, len(dataset.val), task),
        val=result.seen.to_json(),
        val_value=result.val.value,
        learnt={PASS: True, FAIL: False}.get(learning.word),
        learning=learning,
        test_value=test.score.value,
        test=test.to_json(),
        weights_sha256=sha256(weights).hexdigest(),
    )
    if ranks.rank() == 0:
        _write(folder, weights, record, task.mistakes(test, dataset, "test"))
    return record


def _write(
    folder: RunFolder, weights: bytes, record: TrainingRecord, mistakes: Mapping[str, Any] | None
) -> None:
    """Leave what came of a training in its run; the checkpoint is of no more use."""
    files.write_atomic(folder.weights, weights)
    if mistakes is not None:
        files.write_json(folder.mistakes, {**mistakes, "weights_sha256": record.weights_sha256})
    else:
        folder.mistakes.unlink(missing_ok=True)
    files.write_json(folder.train, record.to_json())
    folder.train_checkpoint.unlink(missing_ok=True)


def _begin(model: nn.Module, start: Start) -> frozenset[str] | None:
    """Put first weights into a network; the parameters that stay random, where others are pretrained."""
    own = model.state_dict()
    copy_into(model, {**own, **start.tensors}, str(start.record.get("from", "")))
    if not start.is_pretrained:
        return None
    return frozenset(name for name, _ in model.named_parameters() if name not in start.tensors)


def dataset_of(described: Mapping[str, Any], remedy: str = "search into another folder") -> Dataset:
    """The dataset that ``Dataset.describe`` described, read again.

    Args:
        described: What a record says of the data.
        remedy: What to do where they are others now: the end of a sentence.

    Raises:
        DataError: The source changed since.
    """
    dataset = tasks.of_record(described).load(
        described["source"],
        resolution=described["resolution"],
        seed=described["seed"],
        val_share=described["val_share"],
        test_share=described["test_share"],
        flip=described["flip"],
    )
    if dataset.fingerprint != described["fingerprint"]:
        raise DataError(
            f"data must not change between stages, but {described['source']} has the fingerprint "
            f"{dataset.fingerprint}, and {described['fingerprint']} before (or another version of hwnas read "
            f"them otherwise): {remedy}"
        )
    return _as_described(dataset, described)


def _as_described(dataset: Dataset, described: Mapping[str, Any]) -> Dataset:
    """The images as the network of a run expects them."""
    if "mean" not in described:
        return dataset
    return dataset.standardized(described["mean"], described["std"])


def _of_search(run: Path, described: Mapping[str, Any]) -> Dataset:
    command = typed("train", run, "--data", described["source"])
    return dataset_of(described, f"{command} trains on what is there now")


def _load_for(arch: Architecture, source: str, described: Mapping[str, Any]) -> Dataset:
    task = tasks.of_record(described)
    dataset = task.load(source, resolution=arch.space.input_shape[1], seed=described["seed"])
    if task.outputs(dataset) != arch.space.num_classes:
        raise DataError(
            f"the data must have as many classes as the network, but {source} has "
            f"{task.outputs(dataset)} and {arch.space.name} has {arch.space.num_classes}"
        )
    tasks.require_channels(dataset, arch.space)
    return _as_described(dataset, described)
