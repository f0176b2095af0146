"""One session: the rounds that one run of the profiler adds to the table of one target."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hwnas import __version__
from hwnas.device import Target
from hwnas.measure import adaptive
from hwnas.measure.engine import Engine, greet
from hwnas.measure.models import Exporter, ModelFile
from hwnas.measure.options import OnProgress, ProfileOptions, Progress
from hwnas.measure.plan import ANCHORS, Item
from hwnas.measure.store import TableStore
from hwnas.tables import conditions, scales
from hwnas.tables.table import Note, Round
from hwnas.transport import Transport

_PASSING = (
    "traits",
    "conditions",
    "processors",
    "no_gpu",
    "refuses",
    "takes",
    "energy",
)  # of a hello: what numbers are not true of


def new_id() -> str:
    """Identifier of a session: when it began, and something random."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def environment(hello: Mapping[str, Any], device: Mapping[str, Any]) -> dict[str, Any]:
    """What the numbers of a session are true of, beside the target."""
    facts = {name: value for name, value in hello.items() if name not in _PASSING}
    return {
        **facts,
        "device": dict(device),
        "anchor": "+".join(anchor.key for anchor in ANCHORS),
        "hwnas": __version__,
    }


class ProfilingSession:
    """Profiles one target into one table.

    Args:
        transport: An open way to the device.
        exporter: Makes the model files.
        store: The table, held by this process.
        target: What is measured.
        options: How much, and how well.
        progress: Told where the run is.
    """

    def __init__(
        self,
        transport: Transport,
        exporter: Exporter,
        store: TableStore,
        target: Target,
        options: ProfileOptions,
        progress: OnProgress,
    ) -> None:
        self._transport = transport
        self._exporter = exporter
        self._store = store
        self._target = target
        self._options = options
        self._progress = progress
        self._id = new_id()
        self._began = time.monotonic()
        self._seconds: dict[str, float] = {}

    def run(self, items: Sequence[Item]) -> None:
        """Measure what the table lacks of these items; nothing where it lacks nothing."""
        self._items = {item.key: item for item in items}
        self._settled = set() if self._options.retry_failed else self._store.failed()
        wanted = [self._items[key] for key in dict.fromkeys(key for key, _ in self._todo())]
        if not wanted:
            return
        hello = greet(self._transport, self._target, self._options)
        self._store.begin(environment(hello, self._transport.describe()))
        with self._folder() as folder:
            exported = self._export(wanted, folder)
            with self._clock("push"):
                paths = {e.sha256: self._transport.push(e.path) for e in exported.values() if not e.failed}
            anchors = {anchor.key: exported.pop(anchor.key).sha256 for anchor in ANCHORS}
            beside = [paths[sha256] for sha256 in anchors.values()]
            engine = Engine(self._transport, self._target, beside, self._options)
            self._store.note(Note(self._id, "begin", self._asked(anchors)))
            self._store.add(*self._refused(exported))
            try:
                with self._clock("measure"):
                    self._measure(engine, exported, paths)
            finally:
                lost = self._transport.take_losses().facts()
                facts = {"seconds": self._seconds, "missing": len(self._todo()), **lost}
                self._store.note(Note(self._id, "end", facts))
                if self._store.table is not None:
                    scales.remember(self._store.table)

    def _todo(self) -> list[adaptive.Pair]:
        """What to measure next; what has failed is settled."""
        settled = self._settled | self._store.failed({self._id})
        keys = [key for key in self._items if key not in settled]
        return adaptive.due(self._store.table, keys, self._options)

    def _export(self, items: Sequence[Item], folder: Path) -> dict[str, ModelFile]:
        total = len(items) + len(ANCHORS)

        def done(count: int) -> None:
            self._progress(Progress(self._target, "export", count, total))

        done(0)
        with self._clock("export"):
            return self._exporter.export([*ANCHORS, *items], self._target, folder, done)

    def _asked(self, anchors: Mapping[str, str]) -> dict[str, Any]:
        """What this session was asked for; what it saw is in its rows and spans."""
        options = self._options
        return {
            "anchors_sha256": dict(anchors),
            "seed": options.seed,
            "rounds": options.rounds,
            "max_rounds": options.max_rounds,
            "target_ci": options.target_ci,
            "samples": options.samples,
            "calibration_networks": options.calibration_networks,
            "heldout_networks": options.heldout_networks,
            "cpus": None if options.cpus is None else list(options.cpus),
            **({"energy": True} if options.energy else {}),
        }

    def _refused(self, exported: Mapping[str, ModelFile]) -> Iterator[Round]:
        """Rows for what cannot be lowered."""
        for key, item in exported.items():
            if item.failed:
                yield Round(key, self._items[key].kind, self._id, 0, (), failed=f"export: {item.failed}")

    def _measure(self, engine: Engine, exported: Mapping[str, ModelFile], paths: Mapping[str, str]) -> None:
        """Measure until nothing is missing or wide, or the time is up."""
        limit = self._options.max_minutes
        models = {key: item.sha256 for key, item in exported.items() if not item.failed}
        done = 0
        while todo := [pair for pair in self._todo() if pair[0] in models]:
            if limit is not None and time.monotonic() - self._began > limit * 60:
                return
            total = done + len(todo)
            self._progress(Progress(self._target, "measure", done, total))
            for outcome in engine.run(adaptive.batch(todo, models, paths, self._options.seed)):
                keys = {
                    key for key, n in todo if n == outcome.job.number and models[key] == outcome.job.model
                }
                self._store.add(
                    *(outcome.round(key, self._items[key].kind, self._id) for key in sorted(keys))
                )
                done += len(keys)
                self._progress(Progress(self._target, "measure", done, total))
            self._store.note(
                *(Note(self._id, "span", conditions.span(*ends)) for ends in engine.take_spans())
            )

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        """Where the models are while they are needed; under the same lock as the table."""
        folder = self._store.path.with_name(f".{self._store.path.stem}.models")
        shutil.rmtree(folder, ignore_errors=True)  # what a killed run has left
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _clock(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self._seconds[name] = round(time.monotonic() - began, 2)
