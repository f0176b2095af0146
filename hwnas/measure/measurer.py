"""Measures given models on one device, as often as asked, while the way to it stays open."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hwnas import files
from hwnas.device import Device, Target
from hwnas.errors import DeviceError, ExportError
from hwnas.measure import adaptive, alone
from hwnas.measure.engine import Engine, Given, greet
from hwnas.measure.models import Exporter
from hwnas.measure.options import OnProgress, ProfileOptions, Progress, silent
from hwnas.measure.plan import network_items
from hwnas.measure.session import environment, new_id
from hwnas.pools import HERE
from hwnas.space import Architecture
from hwnas.tables import conditions, scales
from hwnas.tables.table import LatencyTable, Note, Round
from hwnas.transport import Transport, connect
from hwnas.transport.base import Reply


class Measurer:
    """A device that is ready to measure models. A context manager; entering it connects.

    Args:
        device: Where to measure.
        options: How well to measure; what asks for networks is not used.

    Raises:
        TransportError: The device is not there, or not ready.
    """

    def __init__(self, device: Device, options: ProfileOptions | None = None) -> None:
        self.device = device
        self.options = options or ProfileOptions()
        self._open = ExitStack()
        self._anchors: dict[Target, list[str]] = {}
        self._environments: dict[Target, dict[str, Any]] = {}
        self._takes: dict[Target, list[str]] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hwnas-")))
            self._transport: Transport = stack.enter_context(connect(self.device))
            self._exporter = stack.enter_context(Exporter(HERE))
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def environment(self, target: Target) -> dict[str, Any]:
        """What numbers of this target are true of; see ``table_ops.require_same``.

        Raises:
            DeviceError: The target is of another device, or its agent cannot be used.
        """
        if target.device != self.device.name:
            raise DeviceError(f"a target must be of the device {self.device.name}, but got {target}")
        if target not in self._environments:
            hello = greet(self._transport, target, self.options)
            self._takes[target] = list(hello.get("takes") or ())
            self._environments[target] = environment(hello, self._transport.describe())
        return self._environments[target]

    def export(self, target: Target, architectures: Sequence[Architecture]) -> dict[str, Path]:
        """Lower architectures with random weights, by their keys: latency does not depend on weights.

        Raises:
            ExportError: One cannot be lowered.
        """
        items = network_items(architectures, "finalist")
        exported = self._exporter.export(items, target, self._place(target), lambda _: None)
        for key, found in exported.items():
            if found.failed:
                raise ExportError(f"{key} must be exported for {target}, but: {found.failed}")
        return {key: found.path for key, found in exported.items()}

    def look(
        self, target: Target, model: Path | bytes, *, given: Given | None = None, operations: int = 0
    ) -> Reply:
        """What an agent says of a model alone, in a process of its own; see ``alone.look``.

        Args:
            target: Runtime and processor.
            model: The file, or its content.
            given: What it reads, where that is not random values; the path is this machine's.
            operations: Runs in which each operation is timed, where the agent can; 0 for none.

        Raises:
            DeviceError: The device or the agent cannot be used, or the model does not run there.
        """
        placed = self._given(target, given)
        path = self._transport.push(self._as_file(model))
        return alone.look(self._transport, target, path, placed, self.options, operations)

    def run_on(
        self,
        target: Target,
        model: Path | bytes,
        seconds: float,
        *,
        given: Given | None = None,
        told: Callable[[float], None] = lambda _: None,
    ) -> alone.WithoutPause:
        """Latencies of a model that runs without a pause; see ``alone.run_on``.

        Args:
            target: Runtime and processor.
            model: The file, or its content.
            seconds: How long it runs.
            given: What it reads, where that is not random values; the path is this machine's.
            told: Given the seconds so far.

        Raises:
            DeviceError: The device or the agent cannot be used, or the model does not run there.
        """
        placed = self._given(target, given)
        path = self._transport.push(self._as_file(model))
        return alone.run_on(self._transport, target, path, placed, self.options, seconds, told)

    def measure(
        self,
        target: Target,
        models: Mapping[str, Path | bytes],
        *,
        given: Mapping[str, Given] | None = None,
        on_round: Callable[[Round], None] = lambda _: None,
        on_failed: Callable[[Round], None] | None = None,
        progress: OnProgress = silent,
    ) -> LatencyTable:
        """One session: the models interleaved with the anchors and with each other.

        Args:
            target: Runtime and precision of the models.
            models: Model files, or their content, by key.
            given: What models read, by key, where that is not random values.
            on_round: Given each round when it is in.
            on_failed: Given the round in which a model failed for good; the others are measured. By default
                it is an error.
            progress: Called often.

        Returns:
            The session by itself, on the scale of its own anchors; ``scales.of`` has the device's.

        Raises:
            DeviceError: The device or the agent cannot be used, or a model cannot be measured.
        """
        own = LatencyTable(target, self.environment(target))
        if target not in self._anchors:
            anchors = self._exporter.export_anchors(target, self._place(target))
            self._anchors[target] = [self._transport.push(anchor.path) for anchor in anchors]
        engine = Engine(self._transport, target, self._anchors[target], self.options)
        paths = {key: self._transport.push(self._as_file(model)) for key, model in models.items()}
        placed = {key: self._given(target, item) for key, item in (given or {}).items()}
        for item in rounds(engine, own, paths, self.options, placed):
            if item.failed and on_failed is None:
                raise DeviceError(f"{item.key} must run on {target}, but: {item.failed}")
            (on_failed if item.failed and on_failed else on_round)(item)
            done = len(own.rounds)
            progress(Progress(target, "measure", done, max(done, self.options.rounds * len(models))))
        own.notes.append(Note(own.rounds[0].session, "end", self._transport.take_losses().facts()))
        scales.remember(own)
        return own

    def _place(self, target: Target) -> Path:
        """Where models of a target go: those of another may have the same names."""
        folder = self._folder / target.slug
        folder.mkdir(exist_ok=True)
        return folder

    def _given(self, target: Target, given: Given | None) -> Given:
        """The same with the path that it has on the device; an agent that would leave it aside is refused."""
        if given is None:
            return Given()
        self.environment(target)
        lacking = sorted(set(given.fields()) - set(self._takes[target]))
        if lacking:
            raise DeviceError(
                f"an agent must take the {' and '.join(lacking)} of a model, but that of {target} cannot: "
                "give files without open dimensions and leave --inputs out there"
            )
        return replace(given, inputs=self._transport.push(Path(given.inputs)) if given.inputs else "")

    def _as_file(self, model: Path | bytes) -> Path:
        if isinstance(model, Path):
            return model
        path = self._folder / sha256(model).hexdigest()
        files.write_atomic(path, model)
        return path


def rounds(
    engine: Engine,
    table: LatencyTable,
    paths: Mapping[str, str],
    options: ProfileOptions,
    given: Mapping[str, Given] | None = None,
) -> Iterator[Round]:
    """Measure models into a table in memory; yields each round when it is in.

    Args:
        engine: Measures.
        table: Where the rounds go; a session of its own is begun in it.
        paths: Where each key's model is on the device.
        options: How well to measure.
        given: What models read, by key; paths are the device's.
    """
    session = new_id()
    names = {key: key for key in paths}
    failed: set[str] = set()
    while due := adaptive.due(table, [key for key in paths if key not in failed], options):
        for outcome in engine.run(adaptive.batch(due, names, paths, options.seed, given)):
            item = outcome.round(outcome.job.model, "finalist", session)
            table.add(item)
            if item.failed:
                failed.add(item.key)
            yield item
        table.notes += [Note(session, "span", conditions.span(*ends)) for ends in engine.take_spans()]
