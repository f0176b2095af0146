"""Candidates that learn layer by layer are taught by the workers of a pool: those of one choice a task.

No choice depends on another one (``supernet.distillation``), and batches follow from the number of a step:
so the weights are, to the bit, those of one process with as many threads, whoever taught which choice. A
worker makes the same supernet, takes the weights that all begin with, and runs the teacher as far as its
choice. What it sends back is kept as it comes, so that a search that is killed teaches only what is missing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hwnas import files
from hwnas.data import Dataset
from hwnas.errors import SchemaMismatch
from hwnas.evaluators.base import Live
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.evaluators.supernet.oneshot import SCHEMA
from hwnas.pools import PoolSpec, opened, unordered
from hwnas.space import SearchSpace
from hwnas.train import checkpoint
from hwnas.train.training import dataset_of

if TYPE_CHECKING:
    from hwnas.evaluators.blockwise import Blockwise

LAYER = "hwnas-layer/1"
_BACKWARD = 3  # multiply-adds of a training step over those of the network


@dataclass(frozen=True)
class Teaching:
    """Who teaches, and where what has been learnt is kept.

    Attributes:
        pool: The workers.
        threads: Of PyTorch in each task.
        kept: Folder with the weights that all begin with and a file a choice.
    """

    pool: PoolSpec
    threads: int
    kept: Path

    @property
    def start(self) -> Path:
        """The weights that all begin with."""
        return self.kept / "start.safetensors"

    def layer(self, number: int) -> Path:
        """The candidates of a choice that have learnt."""
        return self.kept / f"{number}.safetensors"

    @property
    def remedy(self) -> str:
        """What to do where it holds something else: the end of a sentence."""
        return f"delete {self.kept} to start anew"


@dataclass(frozen=True)
class _Learnt:
    """Candidates of a choice that have learnt.

    Attributes:
        tensors: Weights and statistics, by their names in the supernet.
        loss: Mean of the candidates in the last step.
        candidates: How many have learnt.
    """

    tensors: checkpoint.Tensors
    loss: float
    candidates: int


@dataclass(frozen=True)
class Lesson:
    """What workers are given, that read the files of this machine: called with the number of a choice.

    Attributes:
        space: Of the supernet.
        config: Of the supernet.
        data: As of ``Dataset.describe``.
        start: The weights that all begin with.
        digest: Of that file.
        steps: Until which they learn.
        threads: Of PyTorch.
    """

    space: SearchSpace
    config: OneShotConfig
    data: str
    start: Path
    digest: str
    steps: int
    threads: int

    def __call__(self, number: int) -> tuple[int, bytes]:
        """Teach the candidates of a choice: its number, and they as a file."""
        return number, self.taught(number, _read(self.data), self.start)

    def taught(self, number: int, images: Dataset, start: Path) -> bytes:
        """Teach the candidates of a choice on these images, from these weights."""
        from hwnas.evaluators.blockwise import Blockwise

        with _threads(self.threads):
            evaluator = Blockwise(self.space, images, self.config)
            evaluator.resume(start)
            losses = evaluator.learn_alone(number, self.steps)
        tensors = evaluator.pupils_of(number)
        metadata = {"schema": LAYER, **self.made, "losses": losses}
        return checkpoint.packed(tensors, metadata | {"candidates": evaluator.pupils[number]})

    @property
    def made(self) -> dict[str, Any]:
        """What must be the same for a layer to be taken over."""
        return {"start": self.digest, "until": self.steps}


@dataclass(frozen=True)
class MovedLesson:
    """The same for machines that have none of this one's files.

    Attributes:
        lesson: What is to be done.
        images: By which.
        start: Content of the file of that name.
    """

    lesson: Lesson
    images: Dataset
    start: bytes

    def __call__(self, number: int) -> tuple[int, bytes]:
        """As of ``Lesson``."""
        with TemporaryDirectory(prefix="hwnas-") as folder:
            start = Path(folder) / "start.safetensors"
            start.write_bytes(self.start)
            return number, self.lesson.taught(number, self.images, start)


def teach(evaluator: Blockwise, steps: int, teaching: Teaching, on_step: Live) -> None:
    """Let all candidates learn until the supernet has had so many steps.

    Args:
        evaluator: Whose teacher is trained; its weights change as each layer's files say.
        steps: Weight updates in all, the teacher's among them.
        teaching: By whom.
        on_step: Called with each layer that is done.

    Raises:
        SchemaMismatch: What was kept is of another search.
        TaskLost: The process that had a choice was lost several times.
        TrainingError: The loss became NaN.
    """
    _begin(evaluator, steps, teaching)
    data = json.dumps(evaluator.batches.data.describe())
    digest = files.sha256(teaching.start)
    lesson = Lesson(evaluator.space, evaluator.config, data, teaching.start, digest, steps, teaching.threads)
    numbers = _costliest_first(evaluator)
    done = {n: _layer(teaching, lesson, n) for n in numbers if teaching.layer(n).exists()}
    began, missing = time.monotonic(), [n for n in numbers if n not in done]
    with opened(teaching.pool) as pool:
        function = lesson if pool.has_files else _moved(lesson, evaluator.batches.data)
        for count, (number, content) in enumerate(unordered(pool, function, missing), start=1):
            files.write_atomic(teaching.layer(number), content)
            done[number] = _layer(teaching, lesson, number)
            left = (time.monotonic() - began) / count * (len(missing) - count)
            on_step(_told(done, len(numbers)) | {"eta_s": left})
    for layer in done.values():
        evaluator.put(layer.tensors)
    evaluator.steps = steps


def _begin(evaluator: Blockwise, steps: int, teaching: Teaching) -> None:
    """Have the weights that all begin with in a file: from the search that goes on, or as they are now."""
    if teaching.start.exists():
        _, metadata = checkpoint.read_tensors(teaching.start, SCHEMA, teaching.remedy)
        _require_same({"until": steps}, metadata, teaching.start, teaching.remedy)
        evaluator.resume(teaching.start)
    else:
        evaluator.begin(steps)
        evaluator.write(teaching.start, evaluator.tensors(), until=steps)


def _layer(teaching: Teaching, lesson: Lesson, number: int) -> _Learnt:
    path = teaching.layer(number)
    tensors, metadata = checkpoint.read_tensors(path, LAYER, teaching.remedy)
    _require_same(lesson.made, metadata, path, teaching.remedy)
    return _Learnt(tensors, metadata["losses"][-1], metadata["candidates"])


def _require_same(wanted: Mapping[str, Any], found: Mapping[str, Any], path: Path, remedy: str) -> None:
    for field, value in wanted.items():
        if found.get(field) != value:
            raise SchemaMismatch(
                f"what has been learnt must be of the search that goes on, but {path} has {field} "
                f"{found.get(field)} instead of {value}: {remedy}",
                field=field,
            )


def _moved(lesson: Lesson, images: Dataset) -> MovedLesson:
    return MovedLesson(lesson, images, lesson.start.read_bytes())


def _costliest_first(evaluator: Blockwise) -> list[int]:
    """The choices that have pupils, so ordered that none is left for one worker at the end."""
    fixed, macs = evaluator.proxy.macs_table()
    teacher = np.cumsum([part[best] for part, best in zip(macs, evaluator.paths.anchor, strict=True)])
    costs = {n: fixed + teacher[n] + _BACKWARD * sum(macs[n]) for n in evaluator.pupils}
    return sorted(costs, key=lambda number: -costs[number])


def _told(done: Mapping[int, _Learnt], count: int) -> dict[str, Any]:
    weights = [layer.candidates for layer in done.values()]
    loss = float(np.average([layer.loss for layer in done.values()], weights=weights))
    return {"phase": "layers", "step": len(done), "steps": count, "loss": loss}


@lru_cache(maxsize=1)
def _read(described: str) -> Dataset:
    """The images, once for all tasks of a process."""
    return dataset_of(json.loads(described))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
