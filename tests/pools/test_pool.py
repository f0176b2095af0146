"""Worker processes, and what becomes of a task whose worker dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

import pytest
from pool_helpers import (
    answers_a_lock,
    broken,
    by_whom,
    dies_twice,
    ends,
    process_of,
    raises_a_lock,
    raises_two_parts,
    refused,
    slept,
    squared,
)

from hwnas.errors import InfeasibleBudget, TaskLost
from hwnas.pools import PoolSpec, opened, ordered, unordered
from hwnas.pools.processes import _Worker


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def two():
    return opened(PoolSpec(count=2))


def test_answers_come_in_order_from_other_processes_that_end():
    with two() as pool:
        assert list(ordered(pool, squared, range(7))) == [n**2 for n in range(7)]
        processes = set(ordered(pool, process_of, range(4)))
    assert 1 <= len(processes) <= 2
    assert os.getpid() not in processes
    assert not any(map(is_running, processes))


def test_answers_that_nobody_orders_come_as_they_are_there():
    with two() as pool:
        list(ordered(pool, slept, [0, 0]))  # both are there now
        assert list(unordered(pool, slept, [0.4, 0.0, 0.0, 0.0])) == [0.0, 0.0, 0.0, 0.4]


def test_one_worker_is_this_process():
    with opened(PoolSpec()) as pool:
        assert list(ordered(pool, process_of, [0])) == [os.getpid()]


def test_what_a_worker_raises_is_raised_here_with_its_facts():
    with two() as pool:
        with pytest.raises(InfeasibleBudget, match="no") as raised:
            list(ordered(pool, refused, range(4)))
        assert raised.value.least == 2.0
        with pytest.raises(ZeroDivisionError) as failed:
            list(ordered(pool, broken, [1, 0]))
        assert "in a process that had 0" in failed.value.__notes__[0]
        assert list(ordered(pool, squared, [5])) == [25]  # and those that are left go on


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (raises_two_parts, "TwoParts: salt and pepper"),
        (raises_a_lock, "ValueError: .*it is held"),
        (answers_a_lock, "an answer must be what can be sent to another process, but TypeError"),
    ],
)
def test_what_cannot_be_sent_is_told_and_its_worker_goes_on(function, said, capfd):
    with opened(PoolSpec(count=2)) as pool:
        with pytest.raises(RuntimeError, match=said):
            list(unordered(pool, function, [1]))
        assert list(ordered(pool, squared, [3])) == [9]
    assert capfd.readouterr().err == ""


def test_a_worker_does_not_see_ctrl_c_while_it_loads_nor_later(capfd):
    worker = _Worker()
    for _ in range(2):
        os.kill(worker.process.pid, signal.SIGINT)
        worker.connection.send((squared, 3))
        assert worker.connection.recv() == (True, 9)
    worker.close()
    assert capfd.readouterr().err == ""


def test_a_task_whose_workers_all_end_without_an_answer_is_reported():
    with two() as pool, pytest.raises(TaskLost, match="that had 1 ended with status 3, 3 times in a row"):
        list(ordered(pool, ends, range(3)))


def test_a_task_whose_worker_is_killed_is_done_by_another(tmp_path):
    with two() as pool:
        assert list(ordered(pool, dies_twice, [str(tmp_path / "deaths")])) == [str(tmp_path / "deaths")]
    assert len((tmp_path / "deaths").read_text()) == 3


def test_many_tasks_with_workers_killed_at_random_are_answered_once_each():
    answers, killed = [], set()
    with opened(PoolSpec(count=3)) as pool:
        for answer, pid in unordered(pool, by_whom, range(80)):
            answers.append(answer)
            if len(answers) % 16 == 0 and pid not in killed:
                killed.add(pid)
                os.kill(pid, signal.SIGKILL)  # it has the next task by now
    assert len(killed) >= 4
    assert sorted(answers) == list(range(80))


def test_a_worker_that_died_while_it_was_idle_is_replaced():
    with two() as pool:
        for pid in set(ordered(pool, process_of, range(2))):
            os.kill(pid, signal.SIGKILL)
            while pid in {child.pid for child in multiprocessing.active_children()}:
                time.sleep(0.01)  # its pipe stays open as long as any of its threads is there
        assert list(ordered(pool, squared, [3, 4])) == [9, 16]


def test_what_is_abandoned_is_not_answered_later():
    with two() as pool:
        list(ordered(pool, slept, [0, 0]))
        for number in range(4):
            pool.submit(number, slept, 30.0)
        pool.abandon()
        assert list(ordered(pool, squared, [3, 4])) == [9, 16]
