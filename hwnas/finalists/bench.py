"""Architectures measured on devices, with random weights, beside the anchors; written as they come.

The rounds of a target go to ``finalists/<device>-<runtime>-<precision>.jsonl`` in the run, a
latency table of the kind "finalist". What is in it is not measured again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from hwnas.device import Device
from hwnas.errors import SchemaMismatch, TransportError
from hwnas.finalists.latencies import LatencyConstraint
from hwnas.finalists.reading import EnergyReading, Indices, Reading, Readings
from hwnas.measure import Measurer, ProfileOptions, in_rounds
from hwnas.measure.store import TableStore
from hwnas.runs.folder import RunFolder
from hwnas.space import SearchSpace
from hwnas.statistics.verdict import NOISY, STABLE, UNUSABLE
from hwnas.tables import conditions, scales
from hwnas.tables.clock import Scale
from hwnas.tables.operations import in_what, require_same
from hwnas.tables.table import LatencyTable, Measurement

_WORDS = (STABLE, NOISY, UNUSABLE)


@dataclass(frozen=True)
class _Bench:
    """A constraint whose device is there."""

    measurer: Measurer
    store: TableStore
    model_table: LatencyTable | None


class Bench:
    """The devices of some constraints, ready to measure architectures. A context manager.

    Args:
        space: Where the architectures are from.
        constraints: What is asked for, one a target.
        devices: The devices by name; those that are missing are not measured on.
        tables: By target's name, the table that the model was fitted to: its sessions count for
            the scale of the device, where they are of the same processor and library.
        folder: Of the run.
        options: How well to measure.
        tell: Told how far a session is.

    Attributes:
        constraints: The same constraints, with what is measurable, and notes.
    """

    def __init__(
        self,
        space: SearchSpace,
        constraints: Sequence[LatencyConstraint],
        devices: Mapping[str, Device],
        tables: Mapping[str, LatencyTable],
        folder: Path,
        options: ProfileOptions,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._tell = tell
        self.space, self.constraints = space, tuple(constraints)
        self._devices, self._tables = devices, tables
        self._run, self._options = RunFolder(folder), options
        self._benches: dict[str, _Bench] = {}
        self._open = ExitStack()

    def __enter__(self) -> Bench:
        with ExitStack() as stack:
            self._connect(stack)
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _connect(self, stack: ExitStack) -> None:
        """Connect to what is there; a device that is not makes its constraints predictions."""
        measurers: dict[str, Measurer] = {}
        constraints = []
        for constraint in self.constraints:
            name = constraint.target.device
            if name not in self._devices:
                constraints.append(replace(constraint, measurable=False, note="not measured, as asked"))
                continue
            try:
                if name not in measurers:
                    counted = any(c.counts_energy and c.target.device == name for c in self.constraints)
                    options = replace(self._options, energy=counted or self._options.energy)
                    measurers[name] = stack.enter_context(Measurer(self._devices[name], options))
            except TransportError as error:
                constraints.append(replace(constraint, measurable=False, note=f"not measured: {error}"))
                continue
            constraints.append(self._begin(constraint, measurers[name], stack))
        self.constraints = tuple(constraints)

    def _begin(
        self, constraint: LatencyConstraint, measurer: Measurer, stack: ExitStack
    ) -> LatencyConstraint:
        path = self._run.finalists_table(constraint.target)
        store = stack.enter_context(TableStore(path, constraint.target))
        environment = measurer.environment(constraint.target)
        store.begin(environment)
        table, note = self._tables.get(constraint.name), ""
        try:
            if table is None:
                note = "measured on the device's own scale: the table of the model was not found"
            else:
                require_same(table.target, table.environment, constraint.target, environment)
        except SchemaMismatch as error:
            note = f"measured on the device's own scale: the model's table {in_what(error.field)}"
        self._benches[constraint.name] = _Bench(measurer, store, table)
        return replace(constraint, note=note)

    def measure(self, batch: Sequence[Indices], sessions: int) -> dict[Indices, Readings]:
        """Readings of architectures, each from at least so many sessions on every device.

        Raises:
            DeviceError: A device failed, or an architecture cannot be measured.
            ExportError: An architecture cannot be lowered.
        """
        for constraint in self.constraints:
            if constraint.measurable:
                self._fill(constraint, batch, sessions)
        columns = [self._readings(constraint, batch) for constraint in self.constraints]
        return dict(zip(batch, zip(*columns, strict=True), strict=True))

    def _fill(self, constraint: LatencyConstraint, batch: Sequence[Indices], sessions: int) -> None:
        """Run one session after another until all of the batch have enough of them."""
        bench = self._benches[constraint.name]
        for wanted in range(1, sessions + 1):
            missing = [
                self.space.architecture(i) for i in batch if len(self._sessions(constraint, i)) < wanted
            ]
            if missing:
                models = bench.measurer.export(constraint.target, missing)
                said = in_rounds(self._tell, f"measuring {len(models)} networks on {constraint.name}")
                session = bench.measurer.measure(
                    constraint.target, models, on_round=bench.store.add, progress=said
                )
                bench.store.note(*session.notes)

    def _readings(self, constraint: LatencyConstraint, batch: Sequence[Indices]) -> list[Reading | None]:
        """What all sessions say of architectures, on the scale of the device as it is known now."""
        if not constraint.measurable:
            return [None] * len(batch)
        qualities, scale = conditions.qualities(self._table(constraint)), self._scale(constraint)
        return [self._reading(constraint, indices, qualities, scale) for indices in batch]

    def _reading(
        self,
        constraint: LatencyConstraint,
        indices: Indices,
        qualities: Mapping[str, conditions.SessionQuality],
        scale: Scale,
    ) -> Reading:
        key = self.space.architecture(indices).key()
        sessions = {m.rounds[0].session for m in self._sessions(constraint, indices)}
        usable = {name for name in sessions if qualities[name].word != UNUSABLE} or sessions
        rounds = [item for item in self._table(constraint).rounds if item.session in usable]
        model_table = self._benches[constraint.name].model_table
        pooled = LatencyTable(constraint.target, {}, rounds).measurements[key].scaled(scale)
        share = pooled.heavy_share
        worst = max((qualities[name] for name in usable), key=lambda found: _WORDS.index(found.word))
        low_ms, high_ms = pooled.interval_ms or pooled.ci_ms
        carried = pooled.interval_ms is not None
        return Reading(
            pooled.latency_ms,
            low_ms,
            high_ms,
            len(sessions),
            carried,
            worst.word,
            worst.reasons,
            conditions.notes(worst, pooled),
            scale.at(share) / model_table.scale.at(share) if model_table is not None else 1.0,
            _energy(LatencyTable(constraint.target, {}, rounds), key),
        )

    def _scale(self, constraint: LatencyConstraint) -> Scale:
        """The device's, that all sessions are put to."""
        own, model_table = self._table(constraint), self._benches[constraint.name].model_table
        return scales.of(constraint.target, own.environment, *([model_table] if model_table else []), own)

    def _sessions(self, constraint: LatencyConstraint, indices: Indices) -> list[Measurement]:
        """An architecture's whole sessions; one that was cut off does not count as one."""
        key = self.space.architecture(indices).key()
        rounds = [item for item in self._table(constraint).rounds if item.key == key and not item.failed]
        sessions = {item.session: [i for i in rounds if i.session == item.session] for item in rounds}
        return [
            LatencyTable(constraint.target, {}, items).measurements[key]
            for items in sessions.values()
            if len(items) >= self._options.rounds
        ]

    def _table(self, constraint: LatencyConstraint) -> LatencyTable:
        table = self._benches[constraint.name].store.table
        if table is None:
            raise SchemaMismatch(
                f"the measurements of {constraint.name} must have been begun", field="target"
            )
        return table


def _energy(table: LatencyTable, key: str) -> EnergyReading | None:
    """What some sessions say of an architecture's energy, beside that of the anchors."""
    found = table.energies.measurements.get(key)
    if found is None:
        return None
    low_mj, high_mj = found.interval_ms or found.ci_ms  # of this table, they are mJ
    return EnergyReading(found.latency_ms, low_mj, high_mj, found.interval_ms is not None)


def devices_of(constraints: Iterable[LatencyConstraint]) -> dict[str, Device]:
    """The descriptors of the devices that constraints are about."""
    from hwnas import device

    return {name: device.load(name) for name in {constraint.target.device for constraint in constraints}}
