"""What ``_scaling`` says in closed form, drawn event by event."""

from __future__ import annotations

import heapq
import math
from collections import deque

import numpy as np
from _scaling import LOOK_S, Cluster, Cost, Duration, Shelf, shares


def profiled_s(shelf: Shelf, waves: list[tuple[int, int]], seed: int) -> dict[str, float]:
    """Seconds of each part of filling a table, in one course of events."""
    rng = np.random.default_rng(seed)
    parts = {"connect": shelf.connect_s * shelf.units, "greet": shelf.start_s, "prove": 0.0, "measure": 0.0}
    if shelf.units > 1:
        parts["prove"] = sum(max(_run(shelf, 1, rng) for _ in range(shelf.units)) for _ in range(shelf.looks))
    units = [_Unit(shelf, rng) for _ in range(shelf.units)]
    units[0].gone_at = math.inf
    for unit in units:
        unit.work(parts["prove"])
    now = parts["prove"]
    for rows, rounds in waves:
        now = _wave(shelf, deque(shares(rows, rounds, shelf.units)), units, now, rng)
    parts["measure"] = now - parts["prove"]
    return parts | {"total": sum(parts.values())}


class _Unit:
    """One device: how much it may still do before it is hot, and when it is gone."""

    def __init__(self, shelf: Shelf, rng: np.random.Generator) -> None:
        self._shelf, self._rng = shelf, rng
        self.gone_at = rng.exponential(shelf.lost_after_s)
        self.fit_at = 0.0
        self._left = rng.exponential(shelf.hot_after_s)

    def work(self, seconds: float) -> float:
        """Do so much; returns how long it must cool afterwards."""
        self._left -= seconds
        if self._left > 0:
            return 0.0
        self._left = self._rng.exponential(self._shelf.hot_after_s)
        return math.ceil(self._rng.exponential(self._shelf.cools_s) / LOOK_S) * LOOK_S


def _wave(shelf: Shelf, todo: deque[int], units: list[_Unit], now: float, rng: np.random.Generator) -> float:
    """When all shares are measured; what a unit had that disappears is done by others."""
    free = [(max(now, unit.fit_at), number) for number, unit in enumerate(units) if unit.gone_at > now]
    heapq.heapify(free)
    end = now
    while todo:
        begins, number = heapq.heappop(free)
        unit, rows = units[number], todo.popleft()
        took = _run(shelf, rows, rng)
        if begins + took > unit.gone_at:
            done = int(rows * max(0.0, unit.gone_at - begins) / took)
            todo.append(rows - done)
            continue
        end = max(end, begins + took)
        unit.fit_at = begins + took + unit.work(took)
        heapq.heappush(free, (unit.fit_at, number))
    return end


def _run(shelf: Shelf, rows: int, rng: np.random.Generator) -> float:
    return max(shelf.min_round_s, shelf.start_s + sum(_drawn(shelf.row_s, rng, rows)))


def _drawn(duration: Duration, rng: np.random.Generator, count: int = 1) -> list[float]:
    return list(rng.lognormal(duration.middle, duration.shape, count))


def asynchronous_s(cluster: Cluster, evaluations: int, cost: Cost, seed: int) -> float:
    """Seconds of evaluations whose driver serves one worker after the other, whoever came first."""
    rng = np.random.default_rng(seed)
    done = [(0.0, number) for number in range(min(cluster.workers, evaluations))]
    driver = end = 0.0
    for number in range(evaluations):
        came, worker = heapq.heappop(done)
        driver = max(driver, came) + cost(number + 0.5)
        end_s = driver + _evaluated(cluster, rng)
        heapq.heappush(done, (end_s, worker))
        end = max(end, end_s)
    return end


def synchronous_s(cluster: Cluster, evaluations: int, cost: Cost, seed: int) -> float:
    """Seconds of the same in batches that wait for their slowest."""
    rng = np.random.default_rng(seed)
    now, number = 0.0, 0
    while number < evaluations:
        batch = min(cluster.workers, evaluations - number)
        now += sum(cost(number + k + 0.5) for k in range(batch))
        now += max(_evaluated(cluster, rng) for _ in range(batch))
        number += batch
    return now


def _evaluated(cluster: Cluster, rng: np.random.Generator) -> float:
    """One evaluation, begun anew whenever its worker dies."""
    (wanted,) = _drawn(cluster.evaluation, rng)
    spent = 0.0
    while math.isfinite(cluster.lost_after_s):
        survived = rng.exponential(cluster.lost_after_s)
        if survived >= wanted:
            break
        spent += survived
    return spent + wanted
