"""The scale of a device: the fast state of its clock, over all sessions that are known.

Beside it stands what was learned on the way: how blocks and networks respond to a slow clock, and by
how much sessions differ beyond what the rounds of each show.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations
from statistics import median

from hwnas.statistics.intervals import MAD_NORMAL, NORMAL_95
from hwnas.tables.clock import Clock, Response, Scale
from hwnas.tables.measurement import MIN_ROUNDS, Measurement

_DRIFT = 0.15  # sessions whose fast states are within this of the fastest are of one state
_GLIMPSE = 3  # rounds in which a clock shows that it has a state
_FEWEST = 3  # keys of which the spread of responses can be told
_LEAST = 0.05  # a response is not known better than this
_UNFOLLOWED = 0.3  # part of the anchors' changes that measurements follow, under which they do not
_WANDERING = 0.015  # standard deviation of log(anchors) from round to round, over which that matters
_KEYS = 12  # keys that can tell
_PAIRS = 10  # repeats that weigh as much as what is known beforehand of the error between sessions


def fastest(clocks: Iterable[Clock]) -> Scale:
    """The fast state over sessions: the median of those that saw it, and never of slow ones.

    A session that saw it for a few rounds only has seen it all the same: nothing but a faster
    clock makes anchors faster. Where others saw it for longer, theirs is the better estimate.
    """
    known = list(clocks)
    if not known:
        return Scale()
    known = [clock for clock in known if clock.rounds >= _GLIMPSE] or known
    best = min(clock.light_ms for clock in known)
    same = [clock for clock in known if clock.light_ms <= best * (1 + _DRIFT)]
    same = [clock for clock in same if clock.rounds >= MIN_ROUNDS] or same
    heavy = [clock.heavy_ms for clock in same if clock.heavy_ms is not None]
    return Scale(median(clock.light_ms for clock in same), median(heavy) if heavy else None)


def learned(scale: Scale, measurements: Iterable[Measurement]) -> Scale:
    """The scale with the responses that measurements on it show, and the error between sessions."""
    sides: tuple[list[tuple[float, float]], ...] = ([], [])
    repeats, wandering = [], []
    for measured in measurements:
        if measured.wandering:
            wandering.append(measured.wandering)
        if measured.response is not None:
            sides[measured.heavy_share > 0.5].append(measured.response)
        repeats += _repeats(measured)
    light, heavy = (_response(side) for side in sides)
    return replace(scale, light=light, heavy=heavy, between=_between(repeats), follow=_followed(wandering))


def _followed(wandering: Sequence[Sequence[tuple[float, float]]]) -> float:
    """Whether measurements follow the anchors beside them from round to round: 1 or 0.

    Where they do not, dividing by the anchors only adds what these do by themselves. That is decided for all
    keys together, so that no key's interval is the better of two.
    """
    pairs = [pair for key in wandering for pair in key]
    squares = sum(beside**2 for beside, _ in pairs)
    if len(wandering) < _KEYS or squares < len(pairs) * _WANDERING**2:
        return Scale.follow
    return float(sum(beside * own for beside, own in pairs) / squares >= _UNFOLLOWED)


def _response(found: Sequence[tuple[float, float]]) -> Response:
    """Mean and spread over keys of noisy responses, beginning from what is known beforehand."""
    prior = Response()
    if len(found) < _FEWEST:
        return prior
    values = [value for value, _ in found]
    centre = median(values)
    spread = (MAD_NORMAL * median(abs(value - centre) for value in values)) ** 2
    own = max(_LEAST**2, spread - median(variance for _, variance in found))
    weights = [1 / (variance + own) for _, variance in found]
    total = sum(weights) + prior.std**-2
    mean = (sum(w * v for w, v in zip(weights, values, strict=True)) + prior.mean * prior.std**-2) / total
    return Response(mean, math.sqrt(1 / total + own))


def _repeats(measured: Measurement) -> list[tuple[float, float]]:
    """Squared difference of log(latency) of each two sessions of a key, and what rounds explain of it."""
    sessions = dict.fromkeys(item.session for item in measured.rounds)
    if len(sessions) < 2:
        return []
    parts = [measured.of([session]) for session in sessions]
    whole = [part for part in parts if part and not part.is_mixed and len(part.used) >= MIN_ROUNDS]
    found = []
    for one, other in combinations(whole, 2):
        errors = [math.log(part.ci_ms[1] / part.ci_ms[0]) / 2 / NORMAL_95 for part in (one, other)]
        found.append((math.log(one.latency_ms / other.latency_ms) ** 2, sum(e**2 for e in errors)))
    return found


def _between(repeats: Sequence[tuple[float, float]]) -> float:
    """Standard deviation of one session; what is known beforehand weighs as much as ``_PAIRS`` repeats."""
    prior = Scale.between
    if not repeats:
        return prior
    seen = median(squared for squared, _ in repeats) * MAD_NORMAL**2  # of a squared normal variable
    excess = max(prior**2, (seen - median(explained for _, explained in repeats)) / 2)
    return math.sqrt((_PAIRS * prior**2 + len(repeats) * excess) / (_PAIRS + len(repeats)))
