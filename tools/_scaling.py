"""What a project on many devices and many machines takes, in closed form; ``_simulated`` draws the same.

Two things are modelled: one table that units of a device fill together (``profiled_s``), and evaluations that
one driver gives to workers (``asynchronous_s``, ``synchronous_s``). All durations are log-normal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from scipy.special import ndtr

Cost = Callable[[float], float]
"""Seconds of the driver for the n-th evaluation: to ask for it, hand it out, and be told."""


@dataclass(frozen=True)
class Duration:
    """A log-normal duration.

    Attributes:
        mean_s: Its mean.
        cv: Its standard deviation over its mean.
    """

    mean_s: float
    cv: float

    @property
    def shape(self) -> float:
        """Standard deviation of its logarithm."""
        return math.sqrt(math.log1p(self.cv**2)) or 1e-9

    @property
    def middle(self) -> float:
        """Mean of its logarithm."""
        return math.log(self.mean_s) - self.shape**2 / 2

    @property
    def rest_s(self) -> float:
        """What is left on average of one that is met at a random moment."""
        return self.mean_s * (1 + self.cv**2) / 2

    def times(self, count: int) -> Duration:
        """The sum of so many."""
        return Duration(self.mean_s * count, self.cv / math.sqrt(count))

    def at_least(self, bound_s: float) -> Duration:
        """The longer of it and a bound, with the same two moments."""
        first, second = (
            bound_s**power * float(ndtr(z))
            + math.exp(power * self.middle + (power * self.shape) ** 2 / 2)
            * float(ndtr(power * self.shape - z))
            for power, z in ((p, (math.log(bound_s) - self.middle) / self.shape) for p in (1, 2))
        )
        return Duration(first, math.sqrt(max(second / first**2 - 1, 0.0)))

    @lru_cache(maxsize=1024)  # noqa: B019  (a few hundred of them)
    def longest_s(self, count: int) -> float:
        """Expected longest of so many."""
        return self.expected_s(lambda x: ndtr((np.log(x) - self.middle) / self.shape) ** count)

    @lru_cache(maxsize=1024)  # noqa: B019
    def longest_rest_s(self, count: int) -> float:
        """Expected longest of what is left of so many that are met at a random moment."""

        def rest(x: np.ndarray) -> np.ndarray:
            z = (np.log(x) - self.middle) / self.shape
            return (ndtr(z - self.shape) + x / self.mean_s * ndtr(-z)) ** count

        return self.expected_s(rest)

    def expected_s(self, cdf: Callable[[np.ndarray], np.ndarray]) -> float:
        """Mean of what has a distribution, as long as that is of its order."""
        x = self.mean_s * np.concatenate([np.linspace(1e-9, 4, 4001), np.geomspace(4, 400, 4000)[1:]])
        return float(np.trapezoid(1 - cdf(x), x) + x[0])

    def moment(self, power: int) -> float:
        """Mean of a power of it."""
        return self.mean_s**power * (1 + self.cv**2) ** (power * (power - 1) / 2)

    def retried(self, per_s: float) -> Duration:
        """With what is lost where its worker dies so often a second, which is rare, and it begins anew."""
        first = self.mean_s + per_s * self.moment(2) / 2
        second = self.moment(2) + per_s * self.moment(3) * (1 + 1 / 3) + per_s**2 * self.moment(4) / 4
        return Duration(first, math.sqrt(second / first**2 - 1))


@dataclass(frozen=True)
class Shelf:
    """Units of one device.

    Attributes:
        units: How many.
        start_s: For an agent to start on one.
        row_s: A row in a round, with the anchors before it; and how uneven that is.
        min_round_s: As of ``ProfileOptions``: no run of a unit begins sooner after the one before it.
        connect_s: To be connected with one; they are connected one after the other.
        hot_after_s: Work after which a unit is hot, on average.
        cools_s: Until it is fit again, on average.
        lost_after_s: Time after which a unit is gone, on average; the first one stays.
        looks: Rounds of the anchors until units are proven to be alike.
    """

    units: int
    start_s: float
    row_s: Duration
    min_round_s: float
    connect_s: float
    hot_after_s: float
    cools_s: float
    lost_after_s: float
    looks: int

    def run(self, rows: int) -> Duration:
        """One run of the agent for so many rows, until the same unit may begin another."""
        own = self.row_s.times(rows)
        spread = own.cv * own.mean_s / (own.mean_s + self.start_s)
        return Duration(own.mean_s + self.start_s, spread).at_least(self.min_round_s)


def shares(rows: int, rounds: int, units: int) -> list[int]:
    """Rows of each share that units take, as ``SpreadSession`` deals them: of one round, as much to each."""
    size = math.ceil(rows / units)
    whole, rest = divmod(rows, size)
    return ([size] * whole + [rest] * bool(rest)) * rounds


def profiled_s(shelf: Shelf, waves: list[tuple[int, int]]) -> dict[str, float]:
    """Seconds of each part of filling a table.

    Args:
        shelf: The units.
        waves: Rows and rounds: first all rows, then those whose interval is still too wide, again and again.
            No wave begins before the one before it has ended.
    """
    parts = {"connect": shelf.connect_s * shelf.units, "greet": shelf.start_s, "prove": 0.0, "measure": 0.0}
    if shelf.units > 1:
        parts["prove"] = shelf.looks * shelf.run(1).longest_s(shelf.units)
    began = parts["prove"]
    for rows, rounds in waves:
        parts["measure"] += _wave_s(shelf, shares(rows, rounds, shelf.units), began + parts["measure"])
    return parts | {"total": sum(parts.values())}


def _wave_s(shelf: Shelf, dealt: list[int], began_s: float) -> float:
    """Seconds of a wave that begins so long after units began to work."""
    runs = [shelf.run(size) for size in dealt]
    mean = sum(run.mean_s for run in runs) / len(runs)
    second = sum(run.mean_s**2 * (1 + run.cv**2) for run in runs) / len(runs)
    one = Duration(mean, math.sqrt(max(second / mean**2 - 1, 0.0)))
    wanted = len(dealt) * mean / shelf.units
    if one.cv * math.sqrt(len(dealt) / shelf.units) < _IN_STEP:  # all take their shares at the same moments
        turns = math.ceil(len(dealt) / shelf.units)
        last = len(dealt) - (turns - 1) * shelf.units
        return _elapsed_s(shelf, began_s, one.times(turns).longest_s(last))
    busy = min(shelf.units, len(dealt))
    work = max(wanted - one.rest_s, 0.0)
    return _elapsed_s(shelf, began_s, work) + one.longest_rest_s(busy)


LOOK_S = 5.0
"""Between two looks at a unit that is hot, as of ``hwnas.measure.spread``."""

_IN_STEP = 0.25  # of a run, by which units may be apart


def _elapsed_s(shelf: Shelf, began_s: float, work_s: float) -> float:
    """How long it takes until a unit has done so much work on average, with those that are hot or gone."""
    cools_s = LOOK_S / -math.expm1(-LOOK_S / shelf.cools_s)
    if shelf.units == 1:  # nobody goes on while it cools
        return work_s * (1 + cools_s / shelf.hot_after_s)
    fit = shelf.hot_after_s / (shelf.hot_after_s + cools_s)
    rate = 1 / shelf.hot_after_s + 1 / cools_s
    time_s = began_s + work_s
    for _ in range(50):  # the mean share of units that work falls while one waits: a few steps settle it
        t = np.linspace(began_s, time_s, 201)
        there = (1 + (shelf.units - 1) * np.exp(-t / shelf.lost_after_s)) / shelf.units
        working = (fit + (1 - fit) * np.exp(-rate * t)) * there
        time_s = began_s + work_s / max(float(working.mean()), 1e-9)
    return time_s - began_s


@dataclass(frozen=True)
class Cluster:
    """Workers that one driver gives evaluations to.

    Attributes:
        workers: How many.
        evaluation: How long one takes.
        lost_after_s: Time after which a worker dies, on average; what it had begins anew.
    """

    workers: int
    evaluation: Duration
    lost_after_s: float = math.inf

    @property
    def whole(self) -> Duration:
        """An evaluation with what is done twice."""
        return self.evaluation.retried(1 / self.lost_after_s)

    def longest_s(self, count: int) -> float:
        """Expected longest of so many; one that dies, as long ones do more, takes up to twice as long."""
        one, again = self.evaluation, 1 + (np.arange(20) + 0.5) / 20
        dies = -math.expm1(-one.mean_s / self.lost_after_s)

        def whole(x: np.ndarray) -> np.ndarray:
            z = (np.log(x) - one.middle) / one.shape
            late = ndtr(z[:, None] - np.log(again) / one.shape - one.shape).mean(axis=1)
            return ((1 - dies) * ndtr(z) + dies * late) ** count

        return one.expected_s(whole)


def asynchronous_s(cluster: Cluster, evaluations: int, cost: Cost) -> float:
    """Seconds of so many evaluations where each worker gets the next one as soon as it is free.

    Workers wait for a driver that serves one after the other (mean value analysis of a closed network). In
    the end all wait for the longest rest of those that are at work.
    """
    one, workers = cluster.whole, min(cluster.workers, evaluations)
    ramp = workers * cost(1) / 2
    if evaluations <= workers:
        return cluster.longest_s(workers) + ramp
    numbers = np.linspace(0.5, evaluations - 0.5, min(evaluations, 60))
    served = evaluations * float(np.mean([1 / _throughput(one.mean_s, cost(n), workers) for n in numbers]))
    rate = _throughput(one.mean_s, cost(evaluations), workers)
    begins = max(
        0.0, 1 - workers * cost(1) / one.mean_s
    )  # share of the time that the driver is idle at first
    ends = max(0.0, 1 - rate * cost(evaluations))
    in_hand = max(1, round(rate * one.mean_s))
    return served + ramp * begins - one.rest_s * ends + one.longest_rest_s(in_hand)


def _throughput(mean_s: float, cost_s: float, workers: int) -> float:
    """Evaluations a second of workers that are served by one driver."""
    queue = 0.0
    for count in range(1, workers + 1):
        waits = cost_s * (1 + queue)
        rate = count / (mean_s + waits)
        queue = rate * waits
    return rate


def synchronous_s(cluster: Cluster, evaluations: int, cost: Cost) -> float:
    """Seconds of the same where as many as there are workers are asked for together, and all waited for."""
    total, done, longest_s = 0.0, 0, cache(cluster.longest_s)
    while done < evaluations:
        batch = min(cluster.workers, evaluations - done)
        total += longest_s(batch) + batch * cost(done + batch / 2)
        done += batch
    return total


def saturates_at(cluster: Cluster, evaluations: int, cost: Cost) -> int | None:
    """Evaluations after which workers ask faster than the driver answers; None where that never happens."""
    pace = cluster.whole.mean_s / cluster.workers
    return next((n for n in range(1, evaluations + 1) if cost(n) > pace), None)
