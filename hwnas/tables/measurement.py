"""The estimates that follow from raw samples: what a latency table says of one key.

Estimates are never stored: they are derived from raw samples, so that any of them can be computed
again, or in another way.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean, median

from hwnas.statistics.intervals import MAD_NORMAL, NORMAL_95
from hwnas.tables.clock import SAME, Scale
from hwnas.tables.rounds import KINDS, Note, Round

CONFIDENCE = 0.95
MIN_ROUNDS = 6
"""Rounds that carry a 95 % interval of a median: the range of five holds it with 94 % at best."""

_SHARE = 0.25  # of the rounds of one state that must be quiet for the others to be left out
_DEPENDENCE = 2.0
"""Rounds that tell as much as one independent one: the integrated autocorrelation time of successive
rounds. Between 1.4 and 2.4 in sessions of FBNet blocks and networks on a virtual machine;
``tools/bench_measurement.py`` checks the coverage that follows."""
_HEAVIER = 1.2  # the heavy anchor takes longer than the light one by more than this, or is not used
_MEDIAN = math.pi / 2  # variance of a median over that of a mean, of a normal distribution
_ROUND = 0.02
"""Standard deviation of log(ratio) of one round, at least, where too few of a state can tell."""


@dataclass(frozen=True)
class Measurement:
    """All good rounds of one key, and what follows from them.

    Attributes:
        key: Workload or network.
        kind: What it was measured for.
        rounds: At least one round with samples.
        scale: The clock's fast state, that ratios are scaled by.
        quiet: Which rounds the anchors found quiet, see ``clock.read``; all where it is not given.
        slow: Which rounds are of a slower state; none where it is not given.
    """

    key: str
    kind: str
    rounds: tuple[Round, ...]
    scale: Scale
    quiet: tuple[bool, ...] = ()
    slow: tuple[bool, ...] = ()

    @cached_property
    def _is_slow(self) -> tuple[bool, ...]:
        """Which rounds are of another state than the scale's.

        A session that never saw the fast state shows one state: a slow one, on the scale. Where a
        session has two, or another one, each round is held against the scale.
        """
        slow = list(self.slow or (False,) * len(self.rounds))
        for session in {item.session for item in self.rounds}:
            mine = [n for n, item in enumerate(self.rounds) if item.session == session]
            away = median(self._slowness(self.rounds[n], 0.0) for n in mine)
            if any(slow[n] for n in mine) or abs(away) > math.log1p(SAME):
                for number in mine:
                    slow[number] = not self._shows_scale(self.rounds[number])
        return tuple(slow)

    def _shows_scale(self, item: Round) -> bool:
        """Whether both anchors, before and after, are as fast as the scale says."""
        pairs = [(half, self.scale.light_ms) for half in item.anchor_halves_ms]
        if self.scale.heavy_ms is not None:
            pairs += [(half, self.scale.heavy_ms) for half in item.heavy_halves_ms]
        return all(1 / (1 + SAME) <= half / known <= 1 + SAME for half, known in pairs)

    def _slowness(self, item: Round, heavy_share: float) -> float:
        """Logarithm of the anchors beside a round over those of the scale; 0 without anchors."""
        if not item.anchor_ms:
            return 0.0
        return math.log(item.level_ms / item.ratio(heavy_share) / self.scale.at(heavy_share))

    @cached_property
    def fast(self) -> tuple[Round, ...]:
        """The rounds in the state of the scale."""
        return tuple(item for item, slow in zip(self.rounds, self._is_slow, strict=True) if not slow)

    @cached_property
    def is_mixed(self) -> bool:
        """Whether rounds of a slower state must help, because too few are of the fast one."""
        return len(self.fast) < min(MIN_ROUNDS, len(self.rounds))

    @cached_property
    def used(self) -> tuple[Round, ...]:
        """The quiet rounds in the fast state; those less quiet where too few of them were."""
        if self.is_mixed:
            return self.rounds
        flags = self.quiet or (True,) * len(self.rounds)
        chosen = tuple(
            item
            for item, is_quiet, slow in zip(self.rounds, flags, self._is_slow, strict=True)
            if is_quiet and not slow
        )
        return chosen if len(chosen) >= max(MIN_ROUNDS, _SHARE * len(self.fast)) else self.fast

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
        """Ratio to the weighted anchors, one for each round that is used.

        To those beside it as far as their changes are followed, else to the scale. Of a round in a slower
        state: what it would be in the fast one, as far as is known.
        """
        share, response = self.heavy_share, self.scale.response(self.heavy_share)
        slow = dict(zip(map(id, self.rounds), self._is_slow, strict=True))
        responds = {True: response.mean, False: self.scale.follow - 1}
        return tuple(
            r.ratio(share) * math.exp(-responds[slow[id(r)]] * self._slowness(r, share)) for r in self.used
        )

    @cached_property
    def wandering(self) -> tuple[tuple[float, float], ...]:
        """Of each round that is used, how far the anchors and itself are from usual: logarithms.

        Nothing where rounds are of several sessions or states, or too few to tell.
        """
        if self.is_mixed or len(self.used) < MIN_ROUNDS or len({item.session for item in self.used}) > 1:
            return ()
        own = [math.log(item.level_ms) for item in self.used]
        beside = [self._slowness(item, self.heavy_share) for item in self.used]
        return tuple(zip((x - fmean(beside) for x in beside), (y - fmean(own) for y in own), strict=True))

    @cached_property
    def latency_ms(self) -> float:
        """Median ratio to the weighted anchors, times their latency on the scale."""
        centre = math.exp(self._mixture[0]) if self.is_mixed else median(self.ratios)
        return centre * self.reference_ms

    @cached_property
    def _mixture(self) -> tuple[float, float]:
        """Mean and standard deviation of log(ratio) from rounds of both states.

        Each state's median, weighted by what is known of it: that of the slow one has the error
        of how this key responds to a slow clock as well.
        """
        share, parts = self.heavy_share, []
        for is_slow in (False, True):
            pairs = zip(self.ratios, self.rounds, self._is_slow, strict=True)
            chosen = [(math.log(ratio), item) for ratio, item, slow in pairs if slow == is_slow]
            if not chosen:
                continue
            logs = [value for value, _ in chosen]
            spread = max(_ROUND, _deviation(logs)) if len(logs) < MIN_ROUNDS else _deviation(logs)
            away = median(self._slowness(item, share) for _, item in chosen) if is_slow else 0.0
            of_state = self.scale.response(share).std * away
            variance = _MEDIAN * _DEPENDENCE * spread**2 / len(logs) + of_state**2
            parts.append((median(logs), max(variance, 1e-12)))
        weight = sum(1 / variance for _, variance in parts)
        return sum(mean / variance for mean, variance in parts) / weight, weight**-0.5

    @cached_property
    def response(self) -> tuple[float, float] | None:
        """How much more than the anchors this slowed, see ``clock.Response``, and its variance.

        None where no round, or none of the fast state, tells.
        """
        share = self.heavy_share
        states: dict[bool, list[float]] = {False: [], True: []}
        away = []
        for item, slow in zip(self.rounds, self._is_slow, strict=True):
            states[slow].append(math.log(item.ratio(share)))
            if slow:
                away.append(self._slowness(item, share))
        if not all(states.values()) or median(away) < math.log1p(SAME):
            return None
        shift = median(states[True]) - median(states[False])
        variance = sum(max(_ROUND, _deviation(logs)) ** 2 / len(logs) for logs in states.values())
        return shift / median(away), _MEDIAN * variance / median(away) ** 2

    @cached_property
    def raw_median_ms(self) -> float:
        """Median of all raw samples, drift and all."""
        return median(s for r in self.rounds for s in r.samples_ms)

    @cached_property
    def mad_ms(self) -> float:
        """Median absolute deviation of the rounds from their median."""
        centre = median(self.ratios)
        return median(abs(r - centre) for r in self.ratios) * self.reference_ms

    @cached_property
    def p90_ms(self) -> float:
        """90th percentile of all raw samples."""
        samples = sorted(s for r in self.rounds for s in r.samples_ms)
        return samples[min(len(samples) - 1, math.ceil(0.9 * len(samples)) - 1)]

    @cached_property
    def ci_ms(self) -> tuple[float, float]:
        """Interval that holds the latency with 95 %, as far as the rounds themselves can tell.

        See ``interval_of_rounds``.
        """
        if self.is_mixed:
            centre, error = self._mixture
            return (
                math.exp(centre - NORMAL_95 * error) * self.reference_ms,
                math.exp(centre + NORMAL_95 * error) * self.reference_ms,
            )
        low, high = interval_of_rounds(self.ratios)
        return low * self.reference_ms, high * self.reference_ms

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
        between = NORMAL_95 * self.scale.between / math.sqrt(sessions) * self.latency_ms
        low = self.latency_ms - math.hypot(self.latency_ms - low, between)
        high = self.latency_ms + math.hypot(high - self.latency_ms, between)
        return max(0.0, low), high

    @property
    def relative_ci(self) -> float:
        """Half the width of ``ci_ms`` over the latency."""
        low, high = self.ci_ms
        return (high - low) / 2 / self.latency_ms

    @property
    def relative_interval(self) -> float | None:
        """Half the width of ``interval_ms`` over the latency; None where there is none."""
        if self.interval_ms is None:
            return None
        low, high = self.interval_ms
        return (high - low) / 2 / self.latency_ms

    @cached_property
    def slow_ms(self) -> float | None:
        """What this takes while the clock is slow, as it was; None where that was not seen."""
        slow = [item.level_ms for item, flag in zip(self.rounds, self._is_slow, strict=True) if flag]
        return median(slow) if slow else None

    def of(self, sessions: Collection[str]) -> Measurement | None:
        """What some sessions say alone; None where none of their rounds is here."""
        chosen = [n for n, item in enumerate(self.rounds) if item.session in sessions]
        if not chosen:
            return None
        return replace(
            self,
            rounds=tuple(self.rounds[n] for n in chosen),
            quiet=tuple(self.quiet[n] for n in chosen) if self.quiet else (),
            slow=tuple(self.slow[n] for n in chosen) if self.slow else (),
        )

    def scaled(self, scale: Scale) -> Measurement:
        """The same rounds with other latencies of the anchors as the scale."""
        return replace(self, scale=scale)


def _deviation(values: Sequence[float]) -> float:
    """Robust standard deviation."""
    centre = median(values)
    return MAD_NORMAL * median(abs(value - centre) for value in values)


def interval_of_rounds(values: Sequence[float]) -> tuple[float, float]:
    """``median_interval`` of successive rounds, widened because these resemble each other.

    The machine drifts more slowly than rounds follow on each other.
    """
    low, high = median_interval(values)
    centre, wider = median(values), math.sqrt(_DEPENDENCE)
    return max(min(values) / 2, centre - wider * (centre - low)), centre + wider * (high - centre)


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


__all__ = [
    "CONFIDENCE",
    "KINDS",
    "MIN_ROUNDS",
    "Measurement",
    "Note",
    "Round",
    "Scale",
    "interval_of_rounds",
    "median_interval",
]
