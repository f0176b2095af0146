"""Candidates that learn layer by layer are taught by the workers of a pool: those of one choice a task.

No choice depends on another one (``supernet.distillation``), and batches follow from the number of a step:
so the weights are, to the bit, those of one process with as many threads, whoever taught which choice. A
worker makes the same supernet, takes the weights that all begin with, and runs the teacher as far as its
choice. What it sends back is kept as it comes, so that a search that is killed teaches only what is missing.

Where there are fewer workers than half of the choices, a task is of several neighbours, which share the
teacher. Around EfficientNet-Lite0 (15 choices, 96 px, 32 images) a step takes 1.4 to 1.5 CPU seconds of all
together, 1.7 in four tasks, 2.0 in eight, and 2.5 to 3.0 of each by itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas import files
from hwnas.data import Dataset
from hwnas.errors import SchemaMismatch
from hwnas.evaluators.base import Live
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.evaluators.supernet.oneshot import SCHEMA
from hwnas.pools import PoolSpec, opened, unordered
from hwnas.space import SearchSpace
from hwnas.train import checkpoint, optim
from hwnas.train.training import dataset_of

if TYPE_CHECKING:
    from hwnas.evaluators.blockwise import Blockwise

LAYERS = "hwnas-layers/1"
_EACH = 2  # tasks that a worker has, one after the other
_BACKWARD = 3  # multiply-adds of a training step over those of the network


@dataclass(frozen=True)
class Teaching:
    """Who teaches, and where what has been learnt is kept.

    Attributes:
        pool: The workers.
        threads: Of PyTorch in each task.
        kept: Folder with the weights that all begin with and a file a task.
    """

    pool: PoolSpec
    threads: int
    kept: Path

    @property
    def start(self) -> Path:
        """The weights that all begin with."""
        return self.kept / "start.safetensors"

    def part(self, numbers: Sequence[int]) -> Path:
        """The candidates of some choices that have learnt."""
        return self.kept / f"{numbers[0]}.safetensors"

    @property
    def parts(self) -> list[Path]:
        """Those that are there."""
        return sorted(self.kept.glob("[0-9]*.safetensors"))

    @property
    def remedy(self) -> str:
        """What to do where it holds something else: the end of a sentence."""
        return f"delete {self.kept} to start anew"


@dataclass(frozen=True)
class _Learnt:
    """Candidates of some choices that have learnt: how many, and their mean loss in the end."""

    numbers: list[int]
    tensors: checkpoint.Tensors
    candidates: int
    loss: float


@dataclass(frozen=True)
class Lesson:
    """What workers are given, that read the files of this machine: called with the numbers of choices.

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

    def __call__(self, numbers: tuple[int, ...]) -> tuple[tuple[int, ...], bytes]:
        """Teach the candidates of some choices: their numbers, and they as a file."""
        return numbers, self.taught(numbers, _read(self.data), self.start)

    def taught(self, numbers: tuple[int, ...], images: Dataset, start: Path) -> bytes:
        """Teach them on these images, from these weights."""
        from hwnas.evaluators.blockwise import Blockwise

        with optim.threads(self.threads):
            evaluator = Blockwise(self.space, images, self.config)
            evaluator.resume(start)
            losses = evaluator.learn_apart(numbers, self.steps)
        candidates = sum(evaluator.pupils[number] for number in numbers)
        found = {"numbers": list(numbers), "candidates": candidates, "losses": losses}
        return checkpoint.packed(evaluator.pupils_of(numbers), {"schema": LAYERS, **self.made, **found})

    @property
    def made(self) -> dict[str, Any]:
        """What must be the same for candidates to be taken over."""
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

    def __call__(self, numbers: tuple[int, ...]) -> tuple[tuple[int, ...], bytes]:
        """As of ``Lesson``."""
        with TemporaryDirectory(prefix="hwnas-") as folder:
            start = Path(folder) / "start.safetensors"
            start.write_bytes(self.start)
            return numbers, self.lesson.taught(numbers, self.images, start)


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
    done = [_learnt(path, lesson, teaching) for path in teaching.parts]
    missing = sorted(set(evaluator.pupils).difference(*(part.numbers for part in done)))
    began, count = time.monotonic(), len(missing)
    with opened(teaching.pool) as pool:
        function = lesson if pool.has_files else _moved(lesson, evaluator.batches.data)
        tasks = _tasks(evaluator, missing, _EACH * pool.size)
        for numbers, content in unordered(pool, function, tasks):
            files.write_atomic(teaching.part(numbers), content)
            done.append(_learnt(teaching.part(numbers), lesson, teaching))
            told = _told(done, len(evaluator.pupils))
            left = told["steps"] - told["step"]
            on_step(told | {"eta_s": (time.monotonic() - began) / (count - left) * left})
    for part in done:
        evaluator.put(part.tensors)
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


def _learnt(path: Path, lesson: Lesson, teaching: Teaching) -> _Learnt:
    tensors, found = checkpoint.read_tensors(path, LAYERS, teaching.remedy)
    _require_same(lesson.made, found, path, teaching.remedy)
    return _Learnt(found["numbers"], tensors, found["candidates"], found["losses"][-1])


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


def _tasks(evaluator: Blockwise, missing: Sequence[int], most: int) -> list[tuple[int, ...]]:
    """So many tasks at most, of neighbours; the costliest first, so that none is waited for in the end."""
    fixed, macs = evaluator.proxy.macs_table()
    teacher = np.cumsum([part[best] for part, best in zip(macs, evaluator.paths.anchor, strict=True)])
    parts = np.array_split(np.array(missing, int), max(1, min(len(missing), most)))
    tasks = [tuple(map(int, part)) for part in parts if len(part)]
    costs = {t: fixed + teacher[t[-1]] + _BACKWARD * sum(int(macs[n].sum()) for n in t) for t in tasks}
    return sorted(tasks, key=lambda task: -costs[task])


def _told(done: Sequence[_Learnt], count: int) -> dict[str, Any]:
    loss = float(np.average([part.loss for part in done], weights=[part.candidates for part in done]))
    return {"phase": "layers", "step": sum(len(p.numbers) for p in done), "steps": count, "loss": loss}


@lru_cache(maxsize=1)
def _read(described: str) -> Dataset:
    """The images, once for all tasks of a process."""
    return dataset_of(json.loads(described))
