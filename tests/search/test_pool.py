"""Worker processes that score, and what is said where one dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
from pool_helpers import DiesOnce, broken, ends, process_of, refused, squared
from sampling_helpers import macs_costs
from task_helpers import Task, searched

from hwnas import spaces
from hwnas.budget import Budget
from hwnas.errors import InfeasibleBudget, TrainingError
from hwnas.evaluators.pool import _Worker, workers
from hwnas.search.problem import Constraint
from hwnas.search.result import to_json
from hwnas.search.sampling.random import Random


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_answers_come_in_order_from_other_processes_that_end():
    with workers(2) as mapper:
        assert list(mapper(squared, range(7))) == [n**2 for n in range(7)]
        processes = set(mapper(process_of, range(4)))
    assert 1 <= len(processes) <= 2
    assert os.getpid() not in processes
    assert not any(map(is_running, processes))


def test_one_worker_is_this_process():
    with workers(1) as mapper:
        assert list(mapper(process_of, [0])) == [os.getpid()]


def test_what_a_worker_raises_is_raised_here_with_its_facts():
    with workers(2) as mapper:
        with pytest.raises(InfeasibleBudget, match="no") as raised:
            list(mapper(refused, range(4)))
        assert raised.value.least == 2.0
        with pytest.raises(ZeroDivisionError) as failed:
            list(mapper(broken, [1, 0]))
        assert "in a process that trained 0" in failed.value.__notes__[0]
        assert list(mapper(squared, [5])) == [25]  # and those that are left go on


def test_a_worker_does_not_see_ctrl_c_while_it_loads_nor_later(capfd):
    worker = _Worker()
    for _ in range(2):
        os.kill(worker.process.pid, signal.SIGINT)
        worker.connection.send((squared, 3))
        assert worker.connection.recv() == (True, 9)
    worker.close()
    assert capfd.readouterr().err == ""


def test_a_worker_that_ends_without_an_answer_is_reported():
    with workers(2) as mapper, pytest.raises(TrainingError, match="that trained 1 ended with status 3"):
        list(mapper(ends, range(3)))


def test_a_worker_that_died_while_it_was_idle_is_replaced():
    with workers(1 + 1) as mapper:
        for pid in set(mapper(process_of, range(2))):
            os.kill(pid, signal.SIGKILL)
            while pid in {child.pid for child in multiprocessing.active_children()}:
                time.sleep(0.01)  # its pipe stays open as long as any of its threads is there
        assert list(mapper(squared, [3, 4])) == [9, 16]


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGKILL"])
def test_a_search_whose_training_dies_names_it_and_goes_on_when_started_again(tmp_path, name):
    space = spaces.load("macro-r16-c4")
    costs = macs_costs(space)
    budget = Constraint(Budget("macs", costs.range[1]), costs)

    def search(folder, fatal):
        folder.mkdir(exist_ok=True)
        task = Task(space, (budget,), DiesOnce(folder, fatal, signal.Signals[name]))
        files = {"history": folder / "history.jsonl"}
        return searched(Random(queries=6, parallel=2), task, np.random.default_rng(0), workers=2, **files)

    whole = search(tmp_path / "whole", ())
    fatal = whole.trials[3].indices
    label = ".".join(map(str, fatal))
    with pytest.raises(TrainingError, match=f"the process that trained {label} was killed by {name}") as died:
        search(tmp_path / "cut", fatal)
    assert ("memory" if name == "SIGKILL" else "hwnas doctor") in str(died.value)
    kept = (tmp_path / "cut" / "history.jsonl").read_text().count('"indices"')
    assert 2 <= kept <= 3
    resumed = search(tmp_path / "cut", fatal)
    assert to_json(resumed)["trials"] == to_json(whole)["trials"]
    again = (tmp_path / "cut" / "scored").read_text().splitlines()
    assert len(set(again)) == 6
    assert len(again) <= 7, "what was scored before the crash is not scored again, but for one in hand"
