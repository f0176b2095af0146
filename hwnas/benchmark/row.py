"""What was measured of a file at a place, and of one beside another; in sentences for people as well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from hwnas.benchmark.facts import BenchmarkPlace
from hwnas.statistics.bounds import decimals
from hwnas.statistics.intervals import SIGNIFICANT
from hwnas.statistics.verdict import Verdict

_BUSY = 0.9  # share of the time with a CPU, below which others explain what became of a model
_NEAR = 0.2  # of the latency, by which the operations of a profile may be off without a word


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
        chance: p-value of "both take as long", raised for all pairs that are compared; None without interval.
    """

    first: str
    second: str
    ratio: float
    interval: tuple[float, float] | None
    same_session: bool
    chance: float | None = None

    @property
    def is_shown(self) -> bool:
        """Whether it is not explained by noise, which has as many tries as there are pairs."""
        return self.chance is not None and self.chance < SIGNIFICANT

    @property
    def said(self) -> str:
        """In a sentence."""
        text = f"{self.second} takes {self.ratio_said}× the time of {self.first}"
        if self.interval is None:
            return f"{text}: the rounds are too few to say whether that is real"
        text += f" (95 %: {self.interval_said}{'' if self.same_session else ', from two sessions'})"
        if self.is_shown:
            return text
        is_alone = not self.interval[0] <= 1 <= self.interval[1]
        return f"{text}: no difference shown{' among so many pairs' if is_alone else ''}"

    @property
    def ratio_said(self) -> str:
        """The ratio with three digits that count, or more near 1."""
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
        """Three below 10 where that is enough: 0.998 to 1.002 differ by less than three digits show."""
        least = 3 if self.ratio < 10 else 0
        return max(least, decimals(self.ratio, *(self.interval or ())))
