"""NSGA-II through optuna: a front of feasible networks, the same in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sampling_helpers import task_in, two_budgets
from task_helpers import searched

from hwnas.errors import HwnasError, SpaceError
from hwnas.search.sampling.nsga2 import NSGA2
from hwnas.search.sampling.random import Random

SCRIPT = """
import numpy as np
from sampling_helpers import task_in
from task_helpers import searched
from hwnas.search.sampling.nsga2 import NSGA2
result = searched(NSGA2(queries=50, population=8), task_in("macro"), np.random.default_rng(5))
print([t.indices for t in result.trials])
"""


@pytest.mark.slow
def test_the_same_in_another_process():
    result = searched(NSGA2(queries=50, population=8), task_in("macro"), np.random.default_rng(5))
    other = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == str([t.indices for t in result.trials])
    assert other.stderr == ""


def test_every_query_is_feasible_under_two_budgets():
    task = two_budgets()
    result = searched(NSGA2(queries=40, population=10), task, np.random.default_rng(0))
    assert task.feasible(np.array([t.indices for t in result.trials])).all()


@pytest.mark.slow
def test_its_front_is_better_than_that_of_random_search():
    """Area below the front of accuracy over latency, summed over seeds."""
    task = task_in("fbnet", 0.8)

    def area(result):
        front = result.pareto()
        edges = [*(t.latencies_ms[0] for t in front), task.constraints[0].usable]
        return sum(t.quality * (b - a) for t, a, b in zip(front, edges, edges[1:], strict=False))

    seeds = range(4)
    ours = [area(searched(NSGA2(queries=150, population=20), task, np.random.default_rng(s))) for s in seeds]
    random = [area(searched(Random(queries=150), task, np.random.default_rng(s))) for s in seeds]
    assert np.mean(ours) > np.mean(random)


def test_the_front_is_not_dominated():
    result = searched(NSGA2(queries=60), task_in("macro", 0.8), np.random.default_rng(0))
    front = result.pareto()
    assert len(front) > 3
    for member in front:
        assert not any(
            t.quality >= member.quality and t.latencies_ms[0] < member.latencies_ms[0] for t in result.trials
        )


def test_without_optuna_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(HwnasError, match=r"pip install 'hwnas\[search\]'"):
        searched(NSGA2(), task_in("macro"), np.random.default_rng(0))


def test_a_population_of_one_is_refused():
    with pytest.raises(SpaceError, match="population"):
        NSGA2(population=1)
