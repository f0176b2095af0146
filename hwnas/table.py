"""Latency tables: raw samples in, estimates derived. One JSON line a finished round.

File format ``hwnas-table/1``. The first line is the header: schema, target, environment.
Every other line is one *round* of one key: its raw samples, the anchor's samples taken beside
it, and the conditions; or a failure with its reason; or it is a *note* on the machine. Lines are
only ever appended, so a run that is cut off loses nothing that was finished; a torn last line is
dropped when reading.
Estimates (median, interval, ...) are never stored: they are derived from the raw samples.
"""

from __future__ import annotations

import difflib
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

from hwnas import files
from hwnas.device import Target
from hwnas.errors import MissingEntry, SchemaMismatch, TableError
from hwnas.space import Workload

SCHEMA = "hwnas-table/1"
KINDS = ("block", "calibration", "heldout", "finalist")


@dataclass(frozen=True)
class Round:
    """The samples of one key in one round of one session.

    Attributes:
        key: Workload or network.
        kind: What it was measured for: one of ``KINDS``.
        session: Identifier of the profiling run.
        number: Round number within the session.
        samples_ms: Raw samples, milliseconds per inference; empty for a failure.
        anchor_ms: Raw samples of the anchor model taken just before and after; may be empty
            for imported numbers.
        conditions: What the agent saw: CPU, frequencies, inner loops, hashes.
        failed: Why there are no samples; empty otherwise.
    """

    key: str
    kind: str
    session: str
    number: int
    samples_ms: tuple[float, ...]
    anchor_ms: tuple[float, ...] = ()
    conditions: Mapping[str, Any] = field(default_factory=dict)
    failed: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise TableError(
                f"the kind of a row must be one of {KINDS}, but got {self.kind!r} for {self.key}"
            )
        for value in (*self.samples_ms, *self.anchor_ms):
            if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
                raise TableError(f"a latency must be finite and positive, but got {value} for {self.key}")
        if bool(self.samples_ms) == bool(self.failed):
            raise TableError(f"a row must hold samples or a failure, but {self.key} holds both or neither")

    @property
    def ratio(self) -> float:
        """Median over the anchor's median; over 1 ms where there is no anchor."""
        return median(self.samples_ms) / (median(self.anchor_ms) if self.anchor_ms else 1.0)

    def to_json(self) -> dict[str, Any]:
        """The JSON object that is one line of the file."""
        data: dict[str, Any] = {
            "key": self.key,
            "kind": self.kind,
            "session": self.session,
            "round": self.number,
            "samples_ms": list(self.samples_ms),
            "anchor_ms": list(self.anchor_ms),
            "conditions": dict(self.conditions),
        }
        return data | ({"failed": self.failed} if self.failed else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Round:
        """Rebuild a round; raises TableError where a field is missing or of the wrong type."""
        try:
            return cls(
                key=str(data["key"]),
                kind=str(data["kind"]),
                session=str(data["session"]),
                number=int(data["round"]),
                samples_ms=tuple(data["samples_ms"]),
                anchor_ms=tuple(data["anchor_ms"]),
                conditions=dict(data["conditions"]),
                failed=str(data.get("failed", "")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TableError(
                f"a row must have all fields of {SCHEMA}, but one does not: {error!r}"
            ) from error


@dataclass(frozen=True)
class Note:
    """What was seen of the machine in a session, beside the rounds.

    Attributes:
        session: Identifier of the profiling run.
        moment: "begin" or "end" of the session, or "span" for one run of the agent within it.
        facts: What was seen.
    """

    session: str
    moment: str
    facts: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The JSON object that is one line of the file."""
        return {"note": self.moment, "session": self.session, "facts": dict(self.facts)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Note:
        """Rebuild a note; raises TableError where a field is missing or of the wrong type."""
        try:
            return cls(str(data["session"]), str(data["note"]), dict(data["facts"]))
        except (KeyError, TypeError, ValueError) as error:
            raise TableError(
                f"a note must have all fields of {SCHEMA}, but one does not: {error!r}"
            ) from error


@dataclass(frozen=True)
class Measurement:
    """All good rounds of one key, and what follows from them.

    Attributes:
        key: Workload or network.
        kind: What it was measured for.
        rounds: At least one round with samples.
        reference_ms: The anchor's latency that ratios are scaled by; 1.0 without anchors.
    """

    key: str
    kind: str
    rounds: tuple[Round, ...]
    reference_ms: float

    @cached_property
    def ratios(self) -> tuple[float, ...]:
        """Ratio to the anchor beside it, one a round."""
        return tuple(r.ratio for r in self.rounds)

    @cached_property
    def latency_ms(self) -> float:
        """Median ratio to the anchor, times the anchor's reference latency."""
        return median(self.ratios) * self.reference_ms

    @cached_property
    def raw_median_ms(self) -> float:
        """Median of all raw samples, drift and all."""
        return median(s for r in self.rounds for s in r.samples_ms)

    @cached_property
    def mad_ms(self) -> float:
        """Median absolute deviation of the rounds from ``latency_ms``."""
        centre = median(self.ratios)
        return median(abs(r - centre) for r in self.ratios) * self.reference_ms

    @cached_property
    def p90_ms(self) -> float:
        """90th percentile of all raw samples."""
        samples = sorted(s for r in self.rounds for s in r.samples_ms)
        return samples[min(len(samples) - 1, math.ceil(0.9 * len(samples)) - 1)]

    @cached_property
    def ci_ms(self) -> tuple[float, float]:
        """Interval for ``latency_ms``: order statistics of the rounds, at least 95 % from six on.

        With fewer than six rounds it is their whole range, which covers less.
        """
        ordered = sorted(self.ratios)
        low = _order_statistic(len(ordered))
        return ordered[low] * self.reference_ms, ordered[-1 - low] * self.reference_ms

    @property
    def relative_ci(self) -> float:
        """Half the width of the interval over the latency."""
        low, high = self.ci_ms
        return (high - low) / 2 / self.latency_ms

    def scaled(self, reference_ms: float) -> Measurement:
        """The same rounds with another latency of the anchor as the scale."""
        return replace(self, reference_ms=reference_ms)


def _order_statistic(count: int) -> int:
    """Largest ``k`` for which [x(k), x(n-1-k)] covers the median with at least 95 %."""
    tail, k = 0.5**count, 0
    while 2 * (tail + math.comb(count, k + 1) * 0.5**count) <= 0.05:
        k += 1
        tail += math.comb(count, k) * 0.5**count
    return k


class LatencyTable:
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
        self.environment = dict(environment)
        self.notes = list(notes)
        self._rounds: dict[tuple[str, str, int], Round] = {}
        for item in rounds:
            self.add(item)

    def add(self, item: Round) -> None:
        """Take in a round; raises TableError where it is there already."""
        identity = (item.key, item.session, item.number)
        if identity in self._rounds:
            raise TableError(f"a round must be unique, but {identity} is there twice")
        self._rounds[identity] = item
        self.__dict__.pop("measurements", None)

    @property
    def rounds(self) -> tuple[Round, ...]:
        """Every round, failures included, in the order of the file."""
        return tuple(self._rounds.values())

    @property
    def reference_ms(self) -> float:
        """Long-run anchor latency: the median over sessions of each session's median."""
        by_session: dict[str, list[float]] = {}
        for item in self._rounds.values():
            by_session.setdefault(item.session, []).extend(item.anchor_ms)
        medians = [median(values) for values in by_session.values() if values]
        return median(medians) if medians else 1.0

    @cached_property
    def measurements(self) -> Mapping[str, Measurement]:
        """One measurement a key that has at least one good round."""
        good: dict[str, list[Round]] = {}
        for item in self._rounds.values():
            if not item.failed:
                good.setdefault(item.key, []).append(item)
        reference = self.reference_ms
        return {k: Measurement(k, r[0].kind, tuple(r), reference) for k, r in good.items()}

    def of_kind(self, kind: str) -> dict[str, Measurement]:
        """The measurements of one kind."""
        return {k: m for k, m in self.measurements.items() if m.kind == kind}

    def lookup_ms(self, workload: Workload) -> float:
        """Measured latency of a workload; 0 for an identity; never interpolates.

        Raises:
            MissingEntry: The workload was not profiled on this target.
        """
        if workload.block.is_identity:
            return 0.0
        return self.latency_ms(workload.key())

    def latency_ms(self, key: str) -> float:
        """Measured latency of a key; raises MissingEntry with the nearest keys."""
        found = self.measurements.get(key)
        if found is None:
            near = tuple(difflib.get_close_matches(key, list(self.measurements), n=3, cutoff=0.0))
            raise MissingEntry(
                f"a latency must have been measured on {self.target}, but {key} was not; nearest: "
                f"{', '.join(near) or 'none'}: run `hwnas profile --device {self.target.device} "
                f"--runtime {self.target.runtime} --precision {self.target.precision}` for its space",
                key=key,
                nearest=near,
            )
        return found.latency_ms

    def header(self) -> dict[str, Any]:
        """First line of the file."""
        return {"schema": SCHEMA, "target": self.target.to_json(), "environment": self.environment}

    def save(self, path: Path) -> None:
        """Write the whole table at once."""
        lines = [self.header(), *(item.to_json() for item in (*self._rounds.values(), *self.notes))]
        files.write_atomic(path, "".join(_line(item) for item in lines))

    @classmethod
    def load(cls, path: Path) -> LatencyTable:
        """Read a table; a torn last line is dropped, any other damage is an error.

        Raises:
            TableError: The file is not there, or a line is damaged (its number is named).
            SchemaMismatch: The file is of another schema.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TableError(f"a latency table must be readable, but {path} is not: {error}") from error
        lines = text.split("\n")[:-1]  # what follows the last newline was never finished
        objects = [_parse(line, path, number) for number, line in enumerate(lines, start=1)]
        if not objects or objects[0].get("schema") != SCHEMA:
            found = objects[0].get("schema") if objects else None
            raise SchemaMismatch(
                f"a latency table must be of schema {SCHEMA}, but {path} is of {found!r}", field="schema"
            )
        target = Target.from_json(objects[0].get("target", {}))
        table = cls(target, objects[0].get("environment", {}))
        for number, data in enumerate(objects[1:], start=2):
            try:
                if "note" in data:
                    table.notes.append(Note.from_json(data))
                else:
                    table.add(Round.from_json(data))
            except TableError as error:
                raise TableError(f"line {number} of {path}: {error}") from error
        return table


def append(path: Path, *items: Round | Note) -> None:
    """Append lines and flush them to disk: all of them or none.

    Raises:
        TableError: They cannot be written whole, for example because the disk is full.
    """
    data = "".join(_line(item.to_json()) for item in items).encode()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        size = os.fstat(handle).st_size
        try:
            written = os.write(handle, data)
            os.fsync(handle)
            if written != len(data):
                raise OSError(f"only {written} of {len(data)} bytes fitted")
        except OSError as error:
            os.ftruncate(handle, size)
            raise TableError(
                f"a row must be written whole, but {path} did not take it: {error}: free some space "
                "and start again; what was finished before is kept"
            ) from error
    finally:
        os.close(handle)


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


def _parse(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise TableError(f"line {number} of {path} must be JSON, but is not: {error}") from error
    if not isinstance(data, dict):
        raise TableError(f"line {number} of {path} must be a JSON object, but got {type(data).__name__}")
    return data
