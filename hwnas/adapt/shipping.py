"""What was taken becomes a run like any other: what it begins with is written, then it is trained."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas import files
from hwnas.adapt.rungs import AS_IS, BLOCKS, RESOLUTION, RUNTIME, Tried
from hwnas.adapt.subject import Subject
from hwnas.errors import HwnasError
from hwnas.importing import in_blocks
from hwnas.runs.adapting import AdaptRecord
from hwnas.runs.budgets import BudgetRecord
from hwnas.runs.folder import RunFolder
from hwnas.runs.found import SCHEMA, SearchRecord
from hwnas.search.oneshot.inherit import inherited
from hwnas.space import Architecture
from hwnas.train.checkpoint import read_tensors, save_tensors
from hwnas.train.config import TAUGHT, EpochRecord, TrainConfig
from hwnas.train.training import Start, train_run

if TYPE_CHECKING:
    from torch import nn

    from hwnas.data import Dataset

STRATEGY = "adapt"
_BEGUN = "hwnas-adapt-weights/1"


def settle(run: Path, taken: Tried, subject: Subject, teacher: Path, record: AdaptRecord) -> None:
    """Write the run of the network that was taken, with all that its training begins with.

    Args:
        run: The folder.
        taken: The network.
        subject: What it was made of.
        teacher: Run folder of the whole network.
        record: Of the adaptation.
    """
    data, whole = taken.data or subject.data, subject.teacher.architecture
    if taken.search is not None:
        files.copy_whole(taken.search, run, without=(RunFolder.lock,))
    elif taken.network is None and whole is not None:
        _write(run, whole, taken, data, record)
    else:
        arch, network = _in_blocks(taken, data)
        _write(run, arch, taken, data, record)
        about = {"from": f"run:{teacher.name}", "network": record.model, "narrowed": taken.step.what}
        save_tensors(RunFolder(run).adapted_weights, network.state_dict(), {"schema": _BEGUN, "start": about})


def _in_blocks(taken: Tried, data: Dataset) -> tuple[Architecture, nn.Module]:
    """A network that was tuned, in blocks; one on smaller images has those that it had."""
    if taken.network is None:
        raise HwnasError(
            "what is to ship must be a network, but nothing was found: adapt into another folder"
        )
    if taken.arch is not None:
        return taken.arch, taken.network
    return in_blocks(taken.network, data.image_shape)


def trained(
    run: Path,
    record: AdaptRecord,
    teacher: Path,
    *,
    data: Dataset | None,
    epochs: int | None,
    on_epoch: Callable[[EpochRecord], None],
) -> None:
    """Train what was taken, with the whole network as its teacher; a training that was cut off goes on.

    What ships as it was is not trained again, and smaller images are not those of the teacher.

    Args:
        run: The folder, as ``settle`` left it.
        record: Of the adaptation, in which something was taken.
        teacher: Run folder of the whole network.
        data: The images as the network sees them; None where they are to be read.
        epochs: Of the training; as of ``hwnas train`` by default.
        on_epoch: Called after every epoch.
    """
    folder, rung = RunFolder(run), record.steps[record.taken or 0].rung
    if folder.train.exists():
        return
    if rung in (AS_IS, RUNTIME):
        for name in (RunFolder.weights, RunFolder.mistakes, RunFolder.train):  # which says that it is done
            if (teacher / name).exists():
                files.copy_whole(teacher / name, run / name)
        return
    is_taught = rung != RESOLUTION
    train_run(
        run,
        TrainConfig(epochs=epochs, seed=record.seed, distill_weight=TAUGHT if is_taught else 0.0),
        dataset=data,
        teacher=teacher if is_taught else None,
        start=partial(inherited if rung == BLOCKS else _begun, run),
        on_epoch=on_epoch,
    )
    folder.adapted_weights.unlink(missing_ok=True)


def _begun(run: Path, _arch: Architecture, _data: Dataset) -> Start:
    """The weights of the network as it was tuned when it was taken."""
    remedy = "adapt the network into another folder"
    tensors, metadata = read_tensors(RunFolder(run).adapted_weights, _BEGUN, remedy)
    return Start(tensors, metadata["start"], is_pretrained=True)


def _write(run: Path, arch: Architecture, taken: Tried, data: Dataset, record: AdaptRecord) -> None:
    step = taken.step
    budget = BudgetRecord(
        name=str(step.target),
        target=step.target,
        budget_ms=record.budget_ms,
        asked=record.asked,
        is_looked_at=True,
        measured_ms=step.ms,
        interval_ms=step.interval_ms,
    )
    found = SearchRecord(
        STRATEGY,
        record.seed,
        data.describe(),
        (budget,),
        arch.indices,
        config=dict(record.more),
        space=arch.space.name,
        space_fingerprint=arch.space.fingerprint,
        schema=SCHEMA,
    )
    run.mkdir(parents=True, exist_ok=True)
    folder = RunFolder(run)
    files.write_json(folder.search, found.to_json())
    files.write_json(folder.arch, arch.to_json())
