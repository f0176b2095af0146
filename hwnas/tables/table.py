"""Latency tables: raw samples in, estimates derived. One JSON line a finished round.

File format ``hwnas-table/1``. The first line is the header: schema, target, environment.
Every other line is one *round* of one key: its raw samples, the anchor's samples taken beside
it, and the conditions, where it was asked for also the energy of both; or a failure with its reason; or
it is a *note* on the machine. Lines are
only ever appended, so a run that is cut off loses nothing that was finished; a torn last line is
dropped when reading.
Estimates (median, interval, ...) are never stored: they are derived from the raw samples.
"""

from __future__ import annotations

import codecs
import difflib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hwnas import files
from hwnas.device import Target
from hwnas.errors import MissingEntry, SchemaMismatch, TableError, in_words, typed
from hwnas.shown import Display, ShownTable, cell, ends, low_high
from hwnas.space import Workload
from hwnas.tables import places
from hwnas.tables.clock import Clock, ClockReading, Scale, read
from hwnas.tables.measurement import KINDS, Measurement, Note, Round
from hwnas.tables.scale import fastest, learned

SCHEMA = "hwnas-table/1"


@dataclass(frozen=True)
class Reference:
    """The milliseconds of a table, without the table: what its anchors took, and on what.

    Attributes:
        target: What the table is of.
        environment: Runtime, library, processor and so on.
        scale: Long-run latency of the anchors.
    """

    target: Target
    environment: Mapping[str, Any]
    scale: Scale

    def to_json(self) -> dict[str, Any]:
        """A JSON object that ``from_json`` turns back."""
        environment = dict(self.environment)
        return {"target": self.target.to_json(), "environment": environment, "scale": self.scale.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Reference:
        """Rebuild a reference; raises SchemaMismatch where a field is missing or odd."""
        try:
            scale = Scale.from_json(data["scale"])
            target, environment = Target.from_json(data["target"]), dict(data["environment"])
        except (KeyError, TypeError, ValueError) as error:
            raise SchemaMismatch(
                f"a reference must have target, environment and a positive scale, but: {in_words(error)}",
                field="scale",
            ) from error
        return cls(target, environment, scale)


class LatencyTable(ShownTable):
    """The rounds of one target, read from a file or made in memory.

    Raises:
        TableError: A round is there twice.
    """

    def __init__(
        self,
        target: Target,
        environment: Mapping[str, Any],
        rounds: Iterable[Round] = (),
        notes: Iterable[Note] = (),
    ) -> None:
        self.target = target
        self.environment: dict[str, Any] = dict(environment)
        self.notes: list[Note] = list(notes)
        self._rounds: dict[tuple[str, str, int], Round] = {}
        for item in rounds:
            self.add(item)

    def add(self, item: Round) -> None:
        """Take in a round; raises TableError where it is there already."""
        identity = _identity(item)
        if identity in self._rounds:
            raise TableError(f"a round must be unique, but {identity} is there twice")
        self._rounds[identity] = item
        for derived in ("measurements", "scale", "clocks", "energies", "_readings"):
            self.__dict__.pop(derived, None)

    @property
    def rounds(self) -> tuple[Round, ...]:
        """Every round, failures included, in the order of the file."""
        return tuple(self._rounds.values())

    def flat(self) -> list[dict[str, Any]]:
        """One flat object a key, as for a data frame; those that failed have no latency but the reason."""
        measured = [
            {
                "key": key,
                "kind": item.kind,
                "latency_ms": item.latency_ms,
                **low_high(item.interval_ms, "_ms"),
                "p90_ms": item.p90_ms,
                "rounds": len(item.rounds),
                "failed": "",
            }
            for key, item in self.measurements.items()
        ]
        return measured + [{"key": key, "failed": why} for key, why in self._failed.items()]

    def view(self) -> Display:
        """What was measured on which target, the first rows of it, and what failed."""
        rows = [
            (key, item.kind, cell(item.latency_ms, "ms"), ends(item.interval_ms))
            for key, item in self.measurements.items()
        ]
        title = f"{self.target}: {len(rows)} keys in {len(self._rounds)} rounds"
        failed = tuple(f"{key}: {why}" for key, why in self._failed.items())
        return Display(title, ("key", "kind", "latency", "95 % interval"), rows, failed)

    @property
    def _failed(self) -> dict[str, str]:
        """Why keys have no good round."""
        return {item.key: item.failed for item in self._rounds.values() if item.key not in self.measurements}

    @cached_property
    def energies(self) -> LatencyTable:
        """What it says of energy: the same rounds with millijoules wherever a name says milliseconds.

        What holds of latencies holds of them: what disturbs only ever adds, and the anchors beside a round
        tell by how much. Of several counters, the one that was read last.
        """
        counted = [item for item in self._rounds.values() if item.energy is not None]
        last = counted[-1].energy.source if counted and counted[-1].energy else ""
        own = (item.of_energy() for item in counted if item.energy and item.energy.source == last)
        return LatencyTable(self.target, self.environment, [item for item in own if item is not None])

    @cached_property
    def _readings(self) -> dict[str, tuple[list[Round], ClockReading]]:
        """The good rounds of each session, and what their anchors show."""
        sessions: dict[str, list[Round]] = {}
        for item in self._rounds.values():
            if not item.failed:
                sessions.setdefault(item.session, []).append(item)
        return {session: (rounds, read(rounds)) for session, rounds in sessions.items()}

    @cached_property
    def clocks(self) -> Mapping[str, Clock]:
        """The clock in each session that has anchors."""
        return {
            session: reading.clock
            for session, (_, reading) in self._readings.items()
            if reading.clock is not None
        }

    @property
    def reference(self) -> Reference:
        """What its milliseconds are relative to."""
        return Reference(self.target, self.environment, self.scale)

    @cached_property
    def scale(self) -> Scale:
        """The fast state of the clock over its sessions, and how rows respond to a slow one."""
        scale = fastest(self.clocks.values())
        return learned(scale, self._on(scale).values())

    @cached_property
    def measurements(self) -> Mapping[str, Measurement]:
        """One measurement a key that has at least one good round."""
        return {key: measured.scaled(self.scale) for key, measured in self._on(Scale()).items()}

    def _on(self, scale: Scale) -> dict[str, Measurement]:
        """The measurements on a scale."""
        good: dict[str, list[tuple[Round, bool, bool]]] = {}
        for rounds, reading in self._readings.values():
            for item, quiet, slow in zip(rounds, reading.quiet, reading.slow, strict=True):
                good.setdefault(item.key, []).append((item, quiet, slow))
        return {
            key: Measurement(
                key,
                rows[0][0].kind,
                tuple(item for item, _, _ in rows),
                scale,
                tuple(quiet for _, quiet, _ in rows),
                tuple(slow for _, _, slow in rows),
            )
            for key, rows in good.items()
        }

    def of_kind(self, kind: str) -> dict[str, Measurement]:
        """The measurements of one kind."""
        return {k: m for k, m in self.measurements.items() if m.kind == kind}

    def lookup_ms(self, workload: Workload, space: str = "") -> float:
        """Measured latency of a workload; 0 for an identity; never interpolates.

        Args:
            workload: Which one.
            space: What it is of, for the remedy.

        Raises:
            MissingEntry: The workload was not profiled on this target.
        """
        if workload.block.is_identity:
            return 0.0
        return self.latency_ms(workload.key(), space)

    def latency_ms(self, key: str, space: str = "") -> float:
        """Measured latency of a key; raises MissingEntry with the nearest keys."""
        found = self.measurements.get(key)
        if found is None:
            near = tuple(difflib.get_close_matches(key, list(self.measurements), n=3, cutoff=0.0))
            raise MissingEntry(
                f"a latency must have been measured on {self.target}, but {key} was not; nearest: "
                f"{', '.join(near) or 'none'}: "
                + (f"{places.profile_command(self.target, space)} does" if space else "profile its space"),
                key=key,
                nearest=near,
            )
        return found.latency_ms

    def header(self) -> dict[str, Any]:
        """First line of the file."""
        return {"schema": SCHEMA, "target": self.target.to_json(), "environment": self.environment}

    def save(self, path: Path) -> None:
        """Write the whole table at once."""
        items: list[Round | Note] = [*self._rounds.values(), *self.notes]
        lines = [self.header(), *(item.to_json() for item in items)]
        files.write_atomic(path, "".join(_line(item) for item in lines))

    @classmethod
    def load(cls, path: Path) -> LatencyTable:
        """Read a table; a torn last line is dropped, any other damage is an error.

        Raises:
            TableError: The file is not there, or a line is damaged (its number is named).
            SchemaMismatch: The file is of another schema.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            reason = error.strerror or error
            raise TableError(f"a latency table must be readable, but {path} is not: {reason}") from error
        whole = content.split(b"\n")[:-1]  # what follows the last newline was never finished
        header, *lines = whole or [b""]
        table = cls.of_header(header, path)
        for number, line in enumerate(lines, start=2):
            try:
                table.take(line)
            except TableError as error:
                raise TableError(
                    f"line {number} of {path}: {error}: {typed('table', 'repair', path)} drops what is "
                    "damaged and keeps a copy"
                ) from error
        return table

    @classmethod
    def of_header(cls, line: bytes, path: Path) -> LatencyTable:
        """A table without rows, from the first line of a file; raises SchemaMismatch where it is none."""
        try:
            data = _parse(line.removeprefix(codecs.BOM_UTF8))
        except TableError:
            data = {}
        if data.get("schema") != SCHEMA:
            start = line[:40].decode(errors="backslashreplace")
            what = f"begins with {start!r}" if start else "is empty"
            raise SchemaMismatch(
                f"a latency table must say in its first line that it is of schema {SCHEMA}, and what was "
                f"measured, but {path} {what}: put the first line of a copy of it there, or profile into "
                "another file",
                field="schema",
            )
        environment = data.get("environment", {})
        if not isinstance(environment, dict):
            raise SchemaMismatch(
                f"the environment of a table must be an object, but {path} has {environment!r}",
                field="environment",
            )
        return cls(Target.from_json(data.get("target", {})), environment)

    def take(self, line: bytes) -> None:
        """Take in a line of a file; raises TableError where it is damaged."""
        data = _parse(line)
        if "note" in data:
            self.notes.append(Note.from_json(data))
        else:
            self.add(Round.from_json(data))


def _identity(item: Round) -> tuple[str, str, int]:
    return item.key, item.session, item.number


def append(path: Path, *items: Round | Note) -> None:
    """Append lines and flush them to disk: all of them or none.

    Raises:
        TableError: They cannot be written whole, for example because the disk is full.
    """
    try:
        files.append_whole(path, "".join(_line(item.to_json()) for item in items))
    except OSError as error:
        raise TableError(
            f"a row must be written whole, but {path} did not take it: {error}: free some space "
            "and start again; what was finished before is kept"
        ) from error


def recover(path: Path) -> None:
    """Cut off a last line that was never finished, so that the next one does not join it."""
    with path.open("r+b") as file:
        data = file.read()
        end = data.rfind(b"\n") + 1
        if end != len(data):
            file.truncate(end)
            os.fsync(file.fileno())


def _line(data: Mapping[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"), allow_nan=False) + "\n"


def _parse(line: bytes) -> dict[str, Any]:
    try:
        data = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise TableError(f"a line must be JSON, but is not: {error}") from error
    if not isinstance(data, dict):
        raise TableError(f"a line must be a JSON object, but got {type(data).__name__}")
    return data


__all__ = [
    "KINDS",
    "SCHEMA",
    "LatencyTable",
    "Measurement",
    "Note",
    "Reference",
    "Round",
    "append",
    "recover",
]
