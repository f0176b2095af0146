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

KINDS = ("block", "calibration", "heldout", "finalist")
CONFIDENCE = 0.95


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

    @cached_property
    def clean_ms(self) -> tuple[float, ...]:
        """The samples that no other process had a share in; all where those are too few."""
        return _clean(self.samples_ms, self.conditions.get("preempted"))

    @cached_property
    def clean_anchor_ms(self) -> tuple[float, ...]:
        """The same of the anchor's samples."""
        return _clean(self.anchor_ms, self.conditions.get("anchor_preempted"))

    @cached_property
    def ratio(self) -> float:
        """Median over the anchor's median; over 1 ms where there is no anchor."""
        return median(self.clean_ms) / (median(self.clean_anchor_ms) if self.anchor_ms else 1.0)

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
        """Interval that holds the latency with 95 %; see ``median_interval``."""
        low, high = median_interval(self.ratios)
        return low * self.reference_ms, high * self.reference_ms

    @property
    def relative_ci(self) -> float:
        """Half the width of the interval over the latency."""
        low, high = self.ci_ms
        return (high - low) / 2 / self.latency_ms

    def scaled(self, reference_ms: float) -> Measurement:
        """The same rounds with another latency of the anchor as the scale."""
        return replace(self, reference_ms=reference_ms)


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


def _clean(samples: tuple[float, ...], preempted: Sequence[int] | None) -> tuple[float, ...]:
    if not preempted:
        return samples
    clean = tuple(sample for sample, flag in zip(samples, preempted, strict=False) if not flag)
    return clean if 2 * len(clean) >= len(samples) or len(clean) > 2 else samples
