"""What was taken becomes a run like any other: its architecture, its record, its training."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas import files
from hwnas.adapt.rungs import Tried
from hwnas.adapt.subject import Subject
from hwnas.importing import in_blocks
from hwnas.runs.adapting import AdaptRecord
from hwnas.runs.budgets import BudgetRecord
from hwnas.runs.folder import RunFolder
from hwnas.runs.found import SCHEMA, SearchRecord
from hwnas.search.oneshot.inherit import inherited
from hwnas.space import Architecture
from hwnas.train.config import TAUGHT, EpochRecord, TrainConfig
from hwnas.train.training import Start, train_run

if TYPE_CHECKING:
    from hwnas.data import Dataset

STRATEGY = "adapt"


def settle(
    run: Path,
    taken: Tried,
    subject: Subject,
    teacher: Path,
    record: AdaptRecord,
    epochs: int | None,
    on_epoch: Callable[[EpochRecord], None],
) -> None:
    """Write the run of the network that was taken, and train it, with the whole one as its teacher.

    What ships as it was is not trained again.

    Args:
        run: The folder.
        taken: The network.
        subject: What it was made of.
        teacher: Run folder of the whole network.
        record: Of the adaptation.
        epochs: Of the training; as of ``hwnas train`` by default.
        on_epoch: Called after every epoch.
    """
    if taken.search is not None:
        shutil.copytree(taken.search, run, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".lock"))
        train_run(
            run,
            TrainConfig(epochs=epochs, seed=record.seed, distill_weight=TAUGHT),
            dataset=subject.data,
            teacher=teacher,
            start=partial(inherited, run),
            on_epoch=on_epoch,
        )
        return
    data = taken.data or subject.data
    whole = subject.teacher.architecture
    if taken.network is None and whole is not None:
        _write(run, whole, taken, data, record)
        if run.resolve() != teacher.resolve():
            for name in (RunFolder.weights, RunFolder.train, RunFolder.mistakes):
                if (teacher / name).exists():
                    shutil.copyfile(teacher / name, run / name)
        return
    arch, network = in_blocks(taken.network, data.image_shape)  # type: ignore[arg-type]
    _write(run, arch, taken, data, record)
    tensors = dict(network.state_dict())
    about = {"from": f"run:{teacher.name}", "network": record.model, "narrowed": taken.step.what}
    is_taught = taken.data is None
    train_run(
        run,
        TrainConfig(epochs=epochs, seed=record.seed, distill_weight=TAUGHT if is_taught else 0.0),
        dataset=data,
        teacher=teacher if is_taught else None,
        start=lambda _arch, _data: Start(tensors, about, is_pretrained=True),
        on_epoch=on_epoch,
    )


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
