"""Exporting what is to be measured, in worker processes or on other machines.

All models of a target are exported before its first job is measured. Exporting beside measuring
would save at most that time: 3 to 20 of the 48 to 105 seconds that FBNet's blocks and 40 networks
take on two cores. It would cost more: cores share memory and last-level cache, and one process that
exports shifts fp32 networks by 1 to 5 % (``tools/bench_measurement.py --phases quiet,exporting``).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from hwnas import files, runtimes
from hwnas.children import out_of_reach
from hwnas.device import Target
from hwnas.endings import ended, remedy
from hwnas.errors import ExportError, TaskLost
from hwnas.measure.plan import ANCHOR, ANCHORS, Item
from hwnas.pools import PoolSpec, WorkerPool, opened
from hwnas.pools.spec import RAY

_MAX_WORKERS = 4
_LAST_BREATH_S = 10.0  # between the end of a process's pipe and that of the process
_SEED = 0  # one for all: then networks of the same blocks are the same file, measured once


@dataclass(frozen=True)
class ModelFile:
    """What came of one item.

    Attributes:
        path: The model file; not there where ``failed``.
        sha256: Digest of the file.
        failed: Why there is none.
    """

    path: Path
    sha256: str = ""
    failed: str = ""


class Exporter:
    """Worker processes that export models. A context manager; starts them when first used.

    Args:
        pool: Who exports; by default processes of this machine, one a CPU, at most four.
    """

    def __init__(self, pool: PoolSpec | None = None) -> None:
        self._spec = pool or PoolSpec(count=min(_MAX_WORKERS, os.cpu_count() or 1))
        self._open = ExitStack()
        self._pool: WorkerPool | None = None  # of other machines
        self._workers: list[_Worker] = []
        self._idle: list[_Worker] = []
        self._guard = threading.Lock()

    def __enter__(self) -> Exporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()
        for worker in self._workers:
            worker.close()

    def export(
        self, items: Sequence[Item], target: Target, folder: Path, done: Callable[[int], None]
    ) -> dict[str, ModelFile]:
        """Export items for a target into ``folder``; ``done`` is told how many are finished.

        Returns:
            What came of each, by key. A block that cannot be lowered, or whose lowering takes
            its worker down, is a failure of its own and stops nothing.

        Raises:
            ExportError: An anchor cannot be exported, or no model can be written.
        """
        results: dict[str, ModelFile] = {}
        way = self._elsewhere if self._spec.kind == RAY else self._beside
        with closing(way(_longest_first(items), target, folder)) as found:
            for item, exported in found:
                if item.kind == ANCHOR.kind and exported.failed:
                    raise ExportError(f"an anchor must be exported, but: {exported.failed}")
                results[item.key] = exported
                done(len(results))
        return results

    def _beside(
        self, items: Sequence[Item], target: Target, folder: Path
    ) -> Generator[tuple[Item, ModelFile]]:
        """By processes of this machine."""
        pool = ThreadPoolExecutor(self._spec.count)  # a thread does nothing but wait for its worker
        try:
            futures = {pool.submit(self._one, item, target, folder): item for item in items}
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            self.__exit__(None, None, None)  # what a thread waits for ends, and so does the thread
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _elsewhere(
        self, items: Sequence[Item], target: Target, folder: Path
    ) -> Generator[tuple[Item, ModelFile]]:
        """By machines that have none of this one's files: models come back as bytes."""
        pool = self._pool = self._pool or self._open.enter_context(opened(self._spec))
        for number, item in enumerate(items):
            pool.submit(number, _sent_back, _task(item, target))
        try:
            for _ in items:
                try:
                    number, (reply, model) = pool.next()
                except TaskLost as error:  # a block whose lowering takes its worker down
                    item = items[error.number]
                    yield item, ModelFile(_place(item, folder), failed=str(error))
                    continue
                path = _place(items[number], folder)
                if model:
                    _written(path, model, folder)
                yield items[number], ModelFile(path, reply.get("sha256", ""), reply.get("error", ""))
        finally:
            pool.abandon()

    def export_anchors(self, target: Target, folder: Path) -> list[ModelFile]:
        """Export the anchors alone, the light one first; raises ExportError where that fails."""
        found = self.export(ANCHORS, target, folder, lambda _: None)
        return [found[anchor.key] for anchor in ANCHORS]

    def _one(self, item: Item, target: Target, folder: Path) -> ModelFile:
        path = _place(item, folder)
        worker = self._take()
        reply = worker.ask({**_task(item, target), "path": str(path)})
        if "broken" in reply:
            raise _unwritten(folder, reply["broken"])
        with self._guard:
            if reply.get("died"):
                self._workers.remove(worker)
                worker.close()
            else:
                self._idle.append(worker)
        return ModelFile(path, reply.get("sha256", ""), reply.get("error", ""))

    def _take(self) -> _Worker:
        with self._guard:
            if self._idle:
                return self._idle.pop()
            worker = _Worker()
            self._workers.append(worker)
            return worker


class _Worker:
    """One process; asked by one thread at a time."""

    def __init__(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed in close)
        with out_of_reach():
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hwnas.measure.export_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=True,  # to be ended whole
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )

    def ask(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Send a task and wait for its reply; says so where the process is gone."""
        try:
            stdin, stdout = _pipe(self._process.stdin), _pipe(self._process.stdout)
            stdin.write(json.dumps(task).encode() + b"\n")
            stdin.flush()
            line = stdout.readline()
        except (OSError, ValueError):  # the pipe is broken, or closed by another thread
            line = b""
        if not line:
            self._errors.seek(0)
            tail = self._errors.read().decode(errors="replace")[-2000:].strip()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_LAST_BREATH_S)
            status = self._process.returncode
            return {"died": True, "error": f"the exporting process {ended(status)}: {tail or remedy(status)}"}
        reply: dict[str, Any] = json.loads(line)
        return reply

    def close(self) -> None:
        """End the process; it exits by itself when the host does, as its input closes."""
        self._process.kill()
        self._process.wait()
        for file in (self._process.stdin, self._process.stdout, self._errors):
            if file is not None:
                with suppress(OSError):  # a task that was never sent cannot be flushed
                    file.close()


def _task(item: Item, target: Target) -> dict[str, Any]:
    """What whoever exports is told, but where to."""
    return {
        "blocks": [block.key() for block in item.blocks],
        "reads": item.reads,
        "input_shape": item.input_shape,
        "runtime": runtimes.get(target.runtime).host.runtime,
        "precision": target.file_precision,
        "batch": target.batch,
        "seed": _SEED,
        "check": item.kind == ANCHOR.kind,  # parity is the exporter's own test; here it costs time
    }


def _sent_back(task: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Export one model wherever this runs: the reply, and the model. Whoever sends this needs no torch."""
    from hwnas.measure import export_worker

    with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
        path = Path(folder) / "model"
        reply = export_worker.answer({**task, "path": str(path)})
        if "broken" in reply:
            reply = {"error": f"it could not be written there: {reply['broken']}"}
        return reply, path.read_bytes() if path.exists() else b""


def _place(item: Item, folder: Path) -> Path:
    return folder / sha256(item.key.encode()).hexdigest()[:16]


def _written(path: Path, model: bytes, folder: Path) -> None:
    try:
        files.write_atomic(path, model)
    except OSError as error:
        raise _unwritten(folder, error) from error


def _unwritten(folder: Path, why: object) -> ExportError:
    return ExportError(f"models must be written to {folder}, but: {why}")


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ExportError("a process that exports must have pipes, but has none")
    return pipe


def _longest_first(items: Iterable[Item]) -> list[Item]:
    """The anchors, then big ones first, so that no worker is left with one at the end."""
    return sorted(items, key=lambda item: (item.kind != ANCHOR.kind, -len(item.blocks)))
