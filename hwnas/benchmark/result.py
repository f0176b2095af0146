"""What a benchmark found: files, sessions, a row for each file on each target, and differences.

``to_json`` is schema ``hwnas-measured/1``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from hwnas.device import Target
from hwnas.runtimes.base import CPU, Description
from hwnas.statistics.bounds import decimals
from hwnas.statistics.verdict import Verdict, worst
from hwnas.tables.conditions import SessionQuality

SCHEMA = "hwnas-measured/1"

_BUSY = 0.9  # share of the time with a CPU, below which others explain what became of a model
_NEAR = 0.2  # of the latency, by which the operations of a profile may be off without a word


@dataclass(frozen=True)
class BenchmarkPlace:
    """Where and how a file was run: a target without the precision, which is the file's own.

    Attributes:
        device: Name of the device.
        runtime: Name of the runtime.
        processor: "cpu", "gpu" or "npu".
        threads: Threads of the runtime.
    """

    device: str
    runtime: str
    processor: str
    threads: int

    @classmethod
    def of(cls, target: Target) -> BenchmarkPlace:
        """That of a target."""
        return cls(target.device, target.runtime, target.processor, target.threads)

    def __str__(self) -> str:
        processor = "" if self.processor == CPU else f"-{self.processor}"
        return f"{self.device}/{self.runtime}{processor}" + ("" if self.threads == 1 else f"-t{self.threads}")


@dataclass(frozen=True)
class Failure:
    """What was not measured.

    Attributes:
        file: Name of the file.
        place: Where; None where it cannot be measured anywhere.
        reason: Why, in a sentence.
    """

    file: str
    place: BenchmarkPlace | None
    reason: str


@dataclass(frozen=True)
class FileFacts:
    """A file that was measured.

    Attributes:
        name: By which rows call it.
        path: As it was given; None where it was made of a name, and is no more.
        bytes: Its size.
        sha256: Its digest.
        format: What it is a file of.
        description: What it says of itself.
    """

    name: str
    path: str | None
    bytes: int
    sha256: str
    format: str
    description: Description


@dataclass(frozen=True)
class BenchmarkSession:
    """What was measured together.

    Attributes:
        id: Its identifier.
        place: Where.
        anchors: Precision of the anchors that the files were measured beside.
        quality: Whether it can be believed.
        environment: What its numbers are true of.
    """

    id: str
    place: BenchmarkPlace
    anchors: str
    quality: SessionQuality
    environment: Mapping[str, Any]


@dataclass(frozen=True)
class Placement:
    """Where the operations of a file ran. None is what the agent does not tell.

    Attributes:
        delegate: What was to take them; empty where the runtime has no such thing.
        nodes: Operations of the graph.
        delegated_nodes: Those that it took.
        partitions: Pieces that they fell into.
        undelegated: How often each operation was left outside.
    """

    delegate: str
    nodes: int | None = None
    delegated_nodes: int | None = None
    partitions: int | None = None
    undelegated: Mapping[str, int] | None = None

    @property
    def outside(self) -> int:
        """How many operations were left outside, as far as is told."""
        return (self.nodes or 0) - (self.delegated_nodes or 0) if self.delegated_nodes is not None else 0

    @property
    def short(self) -> str:
        """In a few words."""
        if not self.delegate:
            return "no delegate"
        if self.nodes is None or self.delegated_nodes is None:
            return f"{self.delegate}: not told"
        return f"{self.delegate} {self.delegated_nodes}/{self.nodes}"

    @property
    def said(self) -> str:
        """What was left outside, in a sentence; empty where nothing was."""
        if not self.outside:
            return ""
        pieces = (
            ""
            if self.partitions is None
            else f" in {self.partitions} partition{'s' * (self.partitions != 1)}"
        )
        names = [f"{count} {name}" for name, count in sorted((self.undelegated or {}).items())]
        which = ", ".join(names) or "which ones is not told"
        taken = f"{self.delegate} took {self.delegated_nodes} of {self.nodes} operations"
        return f"{taken}{pieces}; outside: {which}"


@dataclass(frozen=True)
class Operation:
    """One operation in the runtime's own profile.

    Attributes:
        name: As the runtime calls it.
        by: What ran it.
        us: Time of it in one run, microseconds.
    """

    name: str
    by: str
    us: float


@dataclass(frozen=True)
class Endurance:
    """A file that ran without a pause: what a device that grows warm makes of it.

    Attributes:
        points: Seconds since the first run, and milliseconds a run, about once a second.
        energy_mj: What the battery of a phone gave for an inference; None where that is not known.
        no_energy: Why it is not, of what has a battery; empty otherwise.
        busy: Share of the time in which it had its CPU; None where that is not known.
    """

    points: tuple[tuple[float, float], ...]
    energy_mj: float | None = None
    no_energy: str = ""
    busy: float | None = None

    @property
    def seconds(self) -> float:
        """How long it ran."""
        return self.points[-1][0]

    @property
    def first_ms(self) -> float:
        """Median of the first tenth."""
        return median(ms for _, ms in self.points[: self._tenth])

    @property
    def last_ms(self) -> float:
        """Median of the last tenth."""
        return median(ms for _, ms in self.points[-self._tenth :])

    @property
    def said(self) -> str:
        """In a sentence."""
        slowest = max(ms for _, ms in self.points)
        return (
            f"{self.first_ms:.3g} ms in the first tenth of {self.seconds:.0f} s without a pause, "
            f"{self.last_ms:.3g} ms in the last one ({self.last_ms / self.first_ms:.2f}×), "
            f"{slowest:.3g} ms at worst{self._beside}{self._energy}"
        )

    @property
    def _beside(self) -> str:
        """That others took the CPU, which no heat explains; nothing is subtracted here."""
        if self.busy is None or self.busy >= _BUSY:
            return ""
        said = f"it had its CPU for {self.busy:.0%} of that time"
        return f"; {said}: what else ran there slowed it, not heat alone"

    @property
    def _energy(self) -> str:
        if self.energy_mj is not None:
            return (
                f"; {self.energy_mj:.3g} mJ an inference by the gauge of the battery, unplugged and with the "
                "screen off: all of the phone is in it"
            )
        return f"; no energy: {self.no_energy}" if self.no_energy else ""

    @property
    def _tenth(self) -> int:
        return max(1, len(self.points) // 10)


@dataclass(frozen=True)
class Row:
    """A file at a place. None is what the agent does not tell.

    Attributes:
        file: Its name.
        place: Where.
        session: Identifier of the session.
        rounds: That it was measured in.
        latency_ms: On the scale of the device.
        interval_ms: Its 95 % interval; None where the rounds are too few to carry one.
        p90_ms: 90th percentile of all samples, as they were.
        load_ms: Reading and preparing it, in the median of the rounds.
        first_run_ms: The first run after that.
        peak_memory_bytes: What a process takes at most on top of what it had before.
        placement: Where its operations ran.
        operations: In their order; None where there is no profile.
        verdict: On the budget; None without one.
        endurance: How it runs without a pause; None where nobody asked.
    """

    file: str
    place: BenchmarkPlace
    session: str
    rounds: int
    latency_ms: float
    interval_ms: tuple[float, float] | None
    p90_ms: float
    load_ms: float | None
    first_run_ms: float | None
    peak_memory_bytes: int | None
    placement: Placement
    operations: tuple[Operation, ...] | None = None
    verdict: Verdict | None = None
    endurance: Endurance | None = None

    @property
    def name(self) -> str:
        """What it is called in comparisons."""
        return f"{self.file} on {self.place}"

    @property
    def operations_said(self) -> str:
        """How far the profile is from the latency, in a sentence; empty where it is near, or there is none.

        The latency is on the scale of the device, the profile as its few runs were.
        """
        together_ms = sum(item.us for item in self.operations or ()) / 1e3
        if not together_ms or abs(together_ms / self.latency_ms - 1) <= _NEAR:
            return ""
        return (
            f"its operations together take {together_ms:.3g} ms a run in their profile, but its latency is "
            f"{self.latency_ms:.3g} ms: their shares count, not their microseconds"
        )


@dataclass(frozen=True)
class LatencyDifference:
    """A row beside another one.

    Attributes:
        first: Name of the row that others are held against.
        second: Name of the other one.
        ratio: Latency of the second over that of the first.
        interval: Its 95 % interval; None where one has too few rounds.
        same_session: Whether both were measured together.
    """

    first: str
    second: str
    ratio: float
    interval: tuple[float, float] | None
    same_session: bool

    @property
    def is_shown(self) -> bool:
        """Whether it is not explained by noise."""
        return self.interval is not None and not self.interval[0] <= 1 <= self.interval[1]

    @property
    def said(self) -> str:
        """In a sentence."""
        text = f"{self.second} takes {self.ratio_said}× the time of {self.first}"
        if self.interval is None:
            return f"{text}: the rounds are too few to say whether that is real"
        text += f" (95 %: {self.interval_said}{'' if self.same_session else ', from two sessions'})"
        return text if self.is_shown else f"{text}: no difference shown"

    @property
    def ratio_said(self) -> str:
        """The ratio with at least three digits that count."""
        return f"{self.ratio:.{self._decimals}f}"

    @property
    def interval_said(self) -> str:
        """The interval likewise; that it has none in words."""
        if self.interval is None:
            return "too few rounds"
        low, high = self.interval
        return f"{low:.{self._decimals}f} to {high:.{self._decimals}f}"

    @property
    def _decimals(self) -> int:
        """Three where that is enough: 0.998 to 1.002 differ by less than three digits show."""
        return max(3, decimals(self.ratio, *(self.interval or ())))


@dataclass(frozen=True)
class FileBenchmark:
    """All that was found.

    Attributes:
        created: When, as ISO 8601.
        hwnas: Version that measured.
        budget_ms: That was asked for; None without one.
        per_op: Whether operations were asked for.
        files: That can be measured.
        sessions: In the order of measuring.
        rows: Likewise.
        differences: As asked for; empty where they were not.
        failures: What was not measured, and why.
        notes: What else a user should know.
    """

    created: str
    hwnas: str
    budget_ms: float | None
    per_op: bool
    files: tuple[FileFacts, ...]
    sessions: tuple[BenchmarkSession, ...]
    rows: tuple[Row, ...]
    differences: tuple[LatencyDifference, ...]
    failures: tuple[Failure, ...]
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict | None:
        """Of all rows together, each reason with the name of its row; None without a budget."""
        return worst(
            Verdict(row.verdict.word, tuple(f"{row.name}: {reason}" for reason in row.verdict.reasons))
            for row in self.rows
            if row.verdict
        )

    def file(self, name: str) -> FileFacts:
        """The file of a row."""
        return next(item for item in self.files if item.name == name)

    def to_json(self) -> dict[str, Any]:
        """One JSON object."""
        return {
            "schema": SCHEMA,
            "created": self.created,
            "hwnas": self.hwnas,
            "budget_ms": self.budget_ms,
            "files": [asdict(item) for item in self.files],
            "sessions": [_session_json(item) for item in self.sessions],
            "rows": [self._row_json(item) for item in self.rows],
            "differences": [
                asdict(item) | {"is_shown": item.is_shown, "said": item.said} for item in self.differences
            ],
            "failures": [asdict(item) for item in self.failures],
            "notes": list(self.notes),
            "verdict": None if self.verdict is None else self.verdict.to_json(),
        }

    def _row_json(self, row: Row) -> dict[str, Any]:
        facts = self.file(row.file)
        verdict = None if row.verdict is None else row.verdict.to_json()
        return asdict(row) | {
            "precision": facts.description.precision,
            "bytes": facts.bytes,
            "operations_said": row.operations_said,
            "verdict": verdict,
        }


def _session_json(session: BenchmarkSession) -> dict[str, Any]:
    quality = session.quality
    return {
        "id": session.id,
        "place": asdict(session.place),
        "anchors_precision": session.anchors,
        "verdict": quality.word,
        "reasons": list(quality.reasons),
        "notes": list(quality.notes),
        "facts": dict(quality.facts),
        "environment": dict(session.environment),
    }
