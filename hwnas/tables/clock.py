"""The clock of a machine, as its anchors show it: one state, or a fast and a slow one.

A neighbour on the same core, heat or a governor slow a machine for seconds or minutes, and not all
models alike: what is right in one state is wrong by some percent in the other. So rounds are sorted
by the state that the anchors beside them show, never by their own samples: to pick the fast ones of
those would be to pick the answer. The *scale* of a device is its fast state.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from hwnas.tables.rounds import Round

SAME = 0.10
"""Anchors within this of the fast state's level show that state."""

_WINDOW = 100  # rounds before and after that an anchor is compared with: the machine as a whole drifts
_STEP = 25  # rounds that are compared with the same ones
_SLOWER = 0.05  # in one state, an anchor that is slower than its best by more than this was disturbed
_LEAST = 12  # halves of anchors that can show two states
_GRID, _WIDTH = 0.01, 0.04  # of log(level): where crowds are looked for, and what is near
_APART = 0.12  # two states are as far apart as this, or further
_FAR = 0.35  # the end of the fast crowd is looked for within this
_REACH = math.log(2)  # what is slower than twice the best was interrupted
_VALLEY, _SURE = 0.4, 3.0  # a valley has at most this share of both crowds, by so many deviations
_RARE, _FEWEST = 0.05, 4  # share and number of anchors that make the fast state, however rare it was


@dataclass(frozen=True)
class Response:
    """How much more than the anchors beside it something slows where the clock is slow.

    Change of log(ratio to the anchors) per log(slowness of the anchors); 0 where ratios survive.

    Attributes:
        mean: Over what takes about as long as an anchor.
        std: How much one model may differ from that. The default covers a slow state in which
            some take 1.5 and others 1.65 times as long; on a Xeon virtual machine with a busy
            neighbour on its core, FBNets had -.10 (int8) and +.20 (fp32), their blocks -.6 to +.2.
    """

    mean: float = 0.0
    std: float = 0.2


@dataclass(frozen=True)
class Scale:
    """Latency of the anchors in the fast state, that ratios to them are scaled by.

    Attributes:
        light_ms: Of the light anchor; 1 where there are no anchors.
        heavy_ms: Of the heavy anchor; None where there is none.
        light: How what is like the light anchor responds to a slow clock.
        heavy: The same of what is like the heavy one.
        between: Standard deviation of log(latency) from session to session, beside what the
            rounds of one session show.
        follow: Which part of the anchors' changes between rounds what is measured follows: 1 where they show
            the clock, 0 where each model is faster or slower by itself whenever it is loaded, as on a GPU.
    """

    light_ms: float = 1.0
    heavy_ms: float | None = None
    light: Response = Response()
    heavy: Response = Response()
    between: float = 0.005
    follow: float = 1.0

    def at(self, heavy_share: float) -> float:
        """Weighted geometric mean of the two, in ms."""
        if self.heavy_ms is None:
            return self.light_ms
        return float(self.light_ms ** (1 - heavy_share) * self.heavy_ms**heavy_share)

    def response(self, heavy_share: float) -> Response:
        """Of what lies between the anchors."""
        parts = ((1 - heavy_share, self.light), (heavy_share, self.heavy))
        return Response(sum(w * r.mean for w, r in parts), sum(w * r.std for w, r in parts))

    def to_json(self) -> dict[str, Any]:
        """A JSON object that ``from_json`` turns back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scale:
        """Rebuild a scale, also one of a version that knew the anchors alone.

        Raises:
            KeyError, TypeError, ValueError: A field is missing or is no latency.
        """
        heavy_ms = data["heavy_ms"]
        scale = cls(
            light_ms=float(data["light_ms"]),
            heavy_ms=None if heavy_ms is None else float(heavy_ms),
            light=Response(**data.get("light", {})),
            heavy=Response(**data.get("heavy", {})),
            between=float(data.get("between", cls.between)),
            follow=float(data.get("follow", cls.follow)),
        )
        numbers = (scale.light_ms, scale.heavy_ms or 1.0, scale.light.std, scale.heavy.std, scale.between)
        if not all(0 < value < math.inf for value in numbers) or heavy_ms == 0 or not 0 <= scale.follow <= 1:
            raise ValueError(f"a scale must be positive, but got {dict(data)}")
        return scale


@dataclass(frozen=True)
class Clock:
    """What the anchors of one session show of the clock.

    Attributes:
        light_ms: Light anchor in the fast state.
        heavy_ms: Heavy anchor in the fast state; None where there is none.
        rounds: Rounds in that state.
        slow_share: Share of the time in a slower state; 0 where there is one state.
        slow_factor: By how much the light anchor is slower there; 1 where there is one state.
    """

    light_ms: float
    heavy_ms: float | None
    rounds: int
    slow_share: float = 0.0
    slow_factor: float = 1.0


@dataclass(frozen=True)
class ClockReading:
    """A clock, and what it says of each round of its session.

    Attributes:
        clock: See there; None without anchors.
        quiet: Whether a round is of the fast state, and undisturbed.
        slow: Whether it is of a slower one.
    """

    clock: Clock | None
    quiet: tuple[bool, ...]
    slow: tuple[bool, ...]


def read(rounds: Sequence[Round]) -> ClockReading:
    """Read the clock of a session from its good rounds, in the order they were measured."""
    if not any(item.anchor_ms for item in rounds):
        return ClockReading(None, (True,) * len(rounds), (False,) * len(rounds))
    light = [half for item in rounds for half in item.anchor_halves_ms]
    threshold = _threshold(light)
    if threshold is None:
        flags = tuple(_undisturbed(rounds))
        return ClockReading(_clock(rounds, flags), flags, (False,) * len(rounds))
    flags = tuple(_fast(rounds, threshold))
    slow = [half for half in light if half > threshold]
    clock = _clock(rounds, flags)
    return ClockReading(
        Clock(
            clock.light_ms,
            clock.heavy_ms,
            sum(flags),
            slow_share=len(slow) / len(light),
            slow_factor=median(slow) / clock.light_ms,
        ),
        flags,
        tuple(not flag for flag in flags),
    )


def _clock(rounds: Sequence[Round], chosen: Sequence[bool]) -> Clock:
    """Median anchors of the chosen rounds; of all where none is."""
    anchored = [item for item, flag in zip(rounds, chosen, strict=True) if flag and item.anchor_ms]
    anchored = anchored or [item for item in rounds if item.anchor_ms]
    heavy = [item.heavy_level_ms for item in anchored if item.heavy_level_ms is not None]
    light_ms = median(item.anchor_level_ms for item in anchored)
    return Clock(light_ms, median(heavy) if heavy else None, len(anchored))


def _undisturbed(rounds: Sequence[Round]) -> list[bool]:
    """Which rounds of a clock with one state the anchor found quiet.

    That is where the anchor, before and after it, was about as fast as at its best in the rows
    around.
    """
    levels = [item.anchor_level_ms for item in rounds]
    found = []
    for number, item in enumerate(rounds):
        around = sorted(levels[max(0, number - _WINDOW) : number + _WINDOW + 1])
        best = around[len(around) // 10]
        slow = sorted(item.clean_anchor_ms)[len(item.clean_anchor_ms) * 4 // 5 :]
        found.append(not slow or slow[0] <= best * (1 + _SLOWER))
    return found


def _fast(rounds: Sequence[Round], threshold: float) -> list[bool]:
    """Which rounds have both anchors in the fast state, before and after them."""
    fast = _within([item.anchor_halves_ms for item in rounds], threshold)
    heavy = [item.heavy_halves_ms for item in rounds]
    beside = [half for halves, flag in zip(heavy, fast, strict=True) if flag for half in halves]
    if not beside:
        return fast
    steady = _within(heavy, median(beside) * (1 + SAME))
    return [light and heavy for light, heavy in zip(fast, steady, strict=True)]


def _within(halves: Sequence[Sequence[float]], threshold: float) -> list[bool]:
    """Whether an anchor shows the fast state, round by round; it drifts as the whole machine does."""
    fast = [[half for half in pair if half <= threshold] for pair in halves]
    everything = median(half for pair in fast for half in pair)
    found: list[bool] = []
    for begin in range(0, len(halves), _STEP):
        window = fast[max(0, begin - _WINDOW) : begin + _STEP + _WINDOW]
        around = [half for pair in window for half in pair]
        level = median(around) if len(around) >= _LEAST else everything
        limit = min(threshold, level * (1 + SAME))
        found += [max(pair, default=0.0) <= limit for pair in halves[begin : begin + _STEP]]
    return found


def _threshold(levels: Sequence[float]) -> float | None:
    """Between the fast state and the others; None where there is one state.

    Slowness comes in steps or in all shades. In steps, the threshold is in the valley between the
    first crowd of levels and the next. Where the bulk is far from the fastest there is, in no steps
    that could be told, or in steps that all are slow, what is near the fastest is the fast state.
    """
    logs = sorted(math.log(level) for level in levels)
    if len(logs) < _LEAST:
        return None
    steps, fastest = _steps(logs), _fastest(logs)
    crowd, threshold = steps or (logs[len(logs) // 2], None)
    if crowd - fastest > _APART:
        return math.exp(fastest) * (1 + SAME)
    return threshold


def _fastest(logs: Sequence[float]) -> float:
    """Middle of the fastest few of sorted values that are near each other."""
    count = max(_FEWEST, math.ceil(_RARE * len(logs)))
    for first in range(len(logs) - count + 1):
        if logs[first + count - 1] - logs[first] <= 2 * _WIDTH:
            return logs[first + count // 2]
    return logs[len(logs) // 2]


def _steps(logs: Sequence[float]) -> tuple[float, float] | None:
    """The first crowd of sorted values from below, and the end of it; None where there are no two.

    It is one after which they thin out and then crowd again, by more than chance makes them: counts
    of values have a standard deviation of about their root.
    """
    steps = int(min(logs[-1] - logs[0], _REACH) / _GRID) + 1
    counts = [_near(logs, logs[0] + _GRID * step) for step in range(steps)]
    apart = round(_APART / _GRID)
    for crowd, count in enumerate(counts):
        if count < max(counts[crowd : crowd + apart]):
            continue
        for valley in range(crowd + 1, min(steps, crowd + round(_FAR / _GRID))):
            beyond = max(counts[max(valley, crowd + apart) :], default=0)
            peak, least = min(count, beyond), counts[valley]
            if least <= _VALLEY * peak and peak - least >= _SURE * math.sqrt(least + 1):
                return logs[0] + _GRID * crowd, math.exp(logs[0] + _GRID * _middle(counts, valley))
    return None


def _near(logs: Sequence[float], centre: float) -> int:
    """How many sorted values are near one."""
    return bisect_right(logs, centre + _WIDTH) - bisect_left(logs, centre - _WIDTH)


def _middle(counts: Sequence[int], begin: int) -> float:
    """Middle of the valley that begins at a step."""
    end = begin
    while end + 1 < len(counts) and counts[end + 1] <= counts[begin]:
        end += 1
    return (begin + end) / 2
