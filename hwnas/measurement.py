"""Raw samples, and the estimates that follow from them: the rows of a latency table.

Nothing here touches a file. Estimates are never stored: they are derived from raw samples, so
that any of them can be computed again, or in another way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import median
from typing import Any

from hwnas.errors import TableError
from hwnas.intervals import NORMAL_95

KINDS = ("block", "calibration", "heldout", "finalist")
CONFIDENCE = 0.95
MIN_ROUNDS = 6
"""Rounds that carry a 95 % interval of a median: the range of five holds it with 94 % at best."""
BETWEEN_SESSIONS = 0.005
"""Standard deviation, relative, of one session's estimate around the mean of many."""

_WINDOW = 100  # rows before and after that the anchor is compared with
_SLOWER = 0.05  # an anchor that is slower than its best by more than this was disturbed
_FEW = 6  # quiet rounds that it takes to leave the others out: as many as an interval needs
_SHARE = 0.25
_DEPENDENCE = 2.0
"""Rounds that tell as much as one independent one: the integrated autocorrelation time of successive
rounds. Between 1.4 and 2.4 in sessions of FBNet blocks and networks on a virtual machine;
``tools/bench_measurement.py`` checks the coverage that follows."""
_HEAVIER = 1.2  # the heavy anchor takes longer than the light one by more than this, or is not used


@dataclass(frozen=True)
class Round:
    """The samples of one key in one round of one session.

    Attributes:
        key: Workload or network.
        kind: What it was measured for: one of ``KINDS``.
        session: Identifier of the profiling run.
        number: Round number within the session.
        samples_ms: Raw samples, milliseconds per inference; empty for a failure.
        anchor_ms: Raw samples of the light anchor taken just before and after; may be empty
            for imported numbers.
        conditions: What the agent saw: CPU, frequencies, inner loops, hashes.
        failed: Why there are no samples; empty otherwise.
        heavy_ms: Raw samples of the heavy anchor taken just before and after; may be empty.
    """

    key: str
    kind: str
    session: str
    number: int
    samples_ms: tuple[float, ...]
    anchor_ms: tuple[float, ...] = ()
    conditions: Mapping[str, Any] = field(default_factory=dict)
    failed: str = ""
    heavy_ms: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise TableError(
                f"the kind of a row must be one of {KINDS}, but got {self.kind!r} for {self.key}"
            )
        for value in (*self.samples_ms, *self.anchor_ms, *self.heavy_ms):
            if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
                raise TableError(f"a latency must be finite and positive, but got {value} for {self.key}")
        if bool(self.samples_ms) == bool(self.failed):
            raise TableError(f"a row must hold samples or a failure, but {self.key} holds both or neither")

    @cached_property
    def clean_ms(self) -> tuple[float, ...]:
        """The samples without what other processes took; see ``_clean``."""
        return _clean(self.samples_ms, self.conditions, "")

    @cached_property
    def clean_anchor_ms(self) -> tuple[float, ...]:
        """The same of the anchor's samples."""
        return _clean(self.anchor_ms, self.conditions, "anchor_")

    @cached_property
    def level_ms(self) -> float:
        """Lower quartile of the samples: disturbances only ever add time."""
        return _lower_quartile(self.clean_ms)

    @cached_property
    def anchor_level_ms(self) -> float:
        """The same of the anchor; 1 ms where there is none, so that the ratio is the latency."""
        return _lower_quartile(self.clean_anchor_ms) if self.anchor_ms else 1.0

    @cached_property
    def heavy_level_ms(self) -> float | None:
        """The same of the heavy anchor; None where there is none."""
        return _lower_quartile(_clean(self.heavy_ms, self.conditions, "heavy_")) if self.heavy_ms else None

    def ratio(self, heavy_share: float = 0.0) -> float:
        """How many times as long as the anchors beside it this took.

        Args:
            heavy_share: Weight of the heavy anchor in the geometric mean of the two, in [0, 1].
        """
        if not heavy_share or self.heavy_level_ms is None:
            return self.level_ms / self.anchor_level_ms
        return self.level_ms / Scale(self.anchor_level_ms, self.heavy_level_ms).at(heavy_share)

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
        given = {"failed": self.failed, "heavy_ms": list(self.heavy_ms)}
        return data | {name: value for name, value in given.items() if value}

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
                heavy_ms=tuple(data.get("heavy_ms", ())),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TableError(
                f"a row must have all fields of the format, but one does not: {error!r}"
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
                f"a note must have all fields of the format, but one does not: {error!r}"
            ) from error


@dataclass(frozen=True)
class Scale:
    """Latency of the anchors, that ratios to them are scaled by.

    Attributes:
        light_ms: Of the light anchor; 1 where there are no anchors.
        heavy_ms: Of the heavy anchor; None where there is none.
    """

    light_ms: float = 1.0
    heavy_ms: float | None = None

    def at(self, heavy_share: float) -> float:
        """Weighted geometric mean of the two, in ms."""
        if self.heavy_ms is None:
            return self.light_ms
        return float(self.light_ms ** (1 - heavy_share) * self.heavy_ms**heavy_share)


@dataclass(frozen=True)
class Measurement:
    """All good rounds of one key, and what follows from them.

    Attributes:
        key: Workload or network.
        kind: What it was measured for.
        rounds: At least one round with samples.
        scale: Latency of the anchors that ratios are scaled by.
        quiet: Which rounds the anchor found quiet, see ``quiet``; all where it is not given.
    """

    key: str
    kind: str
    rounds: tuple[Round, ...]
    scale: Scale
    quiet: tuple[bool, ...] = ()

    @cached_property
    def used(self) -> tuple[Round, ...]:
        """The quiet rounds; all rounds where too few of them were quiet."""
        chosen = tuple(r for r, is_quiet in zip(self.rounds, self.quiet, strict=False) if is_quiet)
        return chosen if len(chosen) >= max(_FEW, _SHARE * len(self.rounds)) else self.rounds

    @cached_property
    def heavy_share(self) -> float:
        """Weight of the heavy anchor: like is compared with like.

        What takes as long as the light anchor is compared with it, what takes as long as the
        heavy one with that, and what lies between with their mean, weighted by how near it is
        to each on a logarithmic scale.
        """
        heavier = [r.heavy_level_ms / r.anchor_level_ms for r in self.used if r.heavy_level_ms is not None]
        if self.scale.heavy_ms is None or len(heavier) < len(self.used) or median(heavier) <= _HEAVIER:
            return 0.0
        size = math.log(median(r.ratio() for r in self.used))
        return min(1.0, max(0.0, size / math.log(median(heavier))))

    @property
    def reference_ms(self) -> float:
        """Latency of the weighted anchors on the scale: what a ratio of one stands for."""
        return self.scale.at(self.heavy_share)

    @cached_property
    def ratios(self) -> tuple[float, ...]:
        """Ratio to the weighted anchors beside it, one for each round that is used."""
        return tuple(r.ratio(self.heavy_share) for r in self.used)

    @cached_property
    def latency_ms(self) -> float:
        """Median ratio to the weighted anchors, times their latency on the scale."""
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
        """Interval that holds the latency with 95 %.

        That of the median (see ``median_interval``), widened because successive rounds resemble
        each other: the machine drifts more slowly than rounds follow on each other.
        """
        low, high = median_interval(self.ratios)
        centre, wider = median(self.ratios), math.sqrt(_DEPENDENCE)
        bounds = (centre - wider * (centre - low), centre + wider * (high - centre))
        return max(min(self.ratios) / 2, bounds[0]) * self.reference_ms, bounds[1] * self.reference_ms

    @cached_property
    def interval_ms(self) -> tuple[float, float] | None:
        """Interval that holds, with 95 %, what further sessions find in the long run.

        ``ci_ms`` with the error between sessions added. None where fewer than ``MIN_ROUNDS``
        rounds are used: they carry no interval, and so no verdict.
        """
        if len(self.used) < MIN_ROUNDS:
            return None
        low, high = self.ci_ms
        sessions = len({item.session for item in self.used})
        between = NORMAL_95 * BETWEEN_SESSIONS / math.sqrt(sessions) * self.latency_ms
        low = self.latency_ms - math.hypot(self.latency_ms - low, between)
        high = self.latency_ms + math.hypot(high - self.latency_ms, between)
        return max(0.0, low), high

    @property
    def relative_ci(self) -> float:
        """Half the width of the interval over the latency."""
        low, high = self.ci_ms
        return (high - low) / 2 / self.latency_ms

    def scaled(self, scale: Scale) -> Measurement:
        """The same rounds with other latencies of the anchors as the scale."""
        return replace(self, scale=scale)


def quiet(rounds: Sequence[Round]) -> list[bool]:
    """Which rounds of a session, in the order they were measured, the anchor found quiet.

    A round is quiet where the anchor, before and after it, was about as fast as at its best in
    the rows around. So rounds are judged by their anchors and never by their own samples: to
    pick the fast ones of those would be to pick the answer. The best is a local one, because
    the machine as a whole drifts.
    """
    levels = [item.anchor_level_ms for item in rounds]
    found = []
    for number, item in enumerate(rounds):
        around = sorted(levels[max(0, number - _WINDOW) : number + _WINDOW + 1])
        best = around[len(around) // 10]
        slow = sorted(item.clean_anchor_ms)[len(item.clean_anchor_ms) * 4 // 5 :]
        found.append(not slow or slow[0] <= best * (1 + _SLOWER))
    return found


def _lower_quartile(values: Sequence[float]) -> float:
    ordered = sorted(values)
    position = (len(ordered) - 1) / 4
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Interval for the median of what the values are drawn from, whatever its distribution.

    Two order statistics hold the median with a binomial probability. That jumps from one pair to
    the next, so the pairs just above and just below the asked confidence are interpolated
    (Hettmansperger and Sheather, Statistics & Probability Letters 4, 1986). Fewer than six
    values hold it with less than 95 % at best: then it is their whole range.
    """
    ordered = sorted(values)
    count = len(ordered)
    rank = 1
    while _coverage(rank + 1, count) >= confidence:
        rank += 1
    outer, inner = _coverage(rank, count), _coverage(rank + 1, count)
    if outer <= confidence or rank + 1 > count - rank:
        return ordered[rank - 1], ordered[count - rank]
    share = (outer - confidence) / (outer - inner)
    weight = (count - rank) * share / (rank + (count - 2 * rank) * share)
    low = (1 - weight) * ordered[rank - 1] + weight * ordered[rank]
    high = (1 - weight) * ordered[count - rank] + weight * ordered[count - rank - 1]
    return low, high


def _coverage(rank: int, count: int) -> float:
    """Probability that the ``rank``-th value from below and from above enclose the median."""
    return 1 - 2 * sum(math.comb(count, i) for i in range(rank)) * 0.5**count


def _clean(samples: tuple[float, ...], conditions: Mapping[str, Any], prefix: str) -> tuple[float, ...]:
    """Samples freed of what other processes took while they ran.

    A sample that was preempted counts with the CPU time of its thread where that is known;
    otherwise it is left out, as long as three clean ones remain.
    """
    preempted = conditions.get(f"{prefix}preempted")
    if not preempted:
        return samples
    thread_ms = conditions.get(f"{prefix}thread_ms")
    if thread_ms:
        triples = zip(samples, thread_ms, preempted, strict=True)
        return tuple(busy if flag else sample for sample, busy, flag in triples)
    clean = tuple(sample for sample, flag in zip(samples, preempted, strict=True) if not flag)
    return clean if len(clean) > 2 else samples
