"""A pool of processes of this machine; what one had in hand that died is done by another."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import connection, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any

from hwnas import plugins
from hwnas.children import out_of_reach
from hwnas.endings import ended, remedy
from hwnas.pools.base import ATTEMPTS, Submitted, answered, lost, replied

_LAST_BREATH_S = 10.0  # between the end of a process's pipe and that of the process


class Processes:
    """So many processes, each started when it is first needed: ``base.WorkerPool``."""

    is_elsewhere = True
    has_files = True

    def __init__(self, count: int) -> None:
        self.size = count
        self._idle: list[_Worker] = []
        self._busy: dict[Any, tuple[_Worker, Submitted]] = {}
        self._waiting: deque[Submitted] = deque()
        self._deaths: Counter[int] = Counter()

    def submit(self, number: int, function: Callable[[Any], Any], item: Any) -> None:
        """As of ``WorkerPool``; begun at once where a process is free."""
        self._waiting.append(Submitted(number, function, item))
        self._begin()

    def next(self) -> tuple[int, Any]:
        """As of ``WorkerPool``."""
        while True:
            self._begin()
            ready = connection.wait(list(self._busy))[0]
            worker, task = self._busy.pop(ready)
            try:
                reply = worker.connection.recv()
            except (EOFError, OSError):
                self._bury(worker, task)
                continue
            self._idle.append(worker)
            self._begin()  # before the answer is looked at: no process waits for that
            self._deaths.pop(task.number, None)
            return task.number, answered(reply)

    def abandon(self) -> None:
        """End the processes that are at work: what they would answer, nobody asks any more."""
        self._waiting.clear()
        self._deaths.clear()
        while self._busy:
            self._busy.popitem()[1][0].close()

    def close(self) -> None:
        """End all processes."""
        self.abandon()
        while self._idle:
            self._idle.pop().close()

    def _begin(self) -> None:
        while self._waiting and len(self._busy) < self.size:
            task = self._waiting.popleft()
            worker = self._sent(task)
            self._busy[worker.connection] = worker, task

    def _sent(self, task: Submitted) -> _Worker:
        """The process that has the task now."""
        while self._idle:
            worker = self._idle.pop()
            try:
                worker.connection.send((task.function, task.item))
            except OSError:  # it was ended while it had nothing to do
                worker.close()
            else:
                return worker
        worker = _Worker()
        with suppress(OSError):  # it died at once, which is seen where its answer is waited for
            worker.connection.send((task.function, task.item))
        return worker

    def _bury(self, worker: _Worker, task: Submitted) -> None:
        """Let another process have the task of one that died; raises TaskLost where too many have had it."""
        worker.process.join(_LAST_BREATH_S)
        status = worker.process.exitcode
        worker.close()
        self._deaths[task.number] += 1
        if self._deaths[task.number] >= ATTEMPTS:
            raise lost(task.number, task.item, ended(status), remedy(status))
        self._waiting.appendleft(task)


class _Worker:
    """One process, which answers one question at a time."""

    def __init__(self) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        if os.name == "posix":  # Windows has none
            resource_tracker.ensure_running()  # which would let the signals through that it holds back itself
        with out_of_reach():
            self.process.start()
        theirs.close()  # so that the pipe ends with the process

    def close(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def _serve(questions: Connection) -> None:
    """Answer until nobody asks any more."""
    Thread(target=_follow, daemon=True).start()
    plugins.ready()  # before anything is unpickled that is of theirs
    while True:
        try:
            function, item = questions.recv()
        except EOFError:
            return
        reply = replied(function, item)
        try:
            questions.send(reply)
        except OSError:  # nobody is there any more
            return
        except Exception as error:  # noqa: BLE001  (an answer that cannot be sent)
            said = (
                f"an answer must be what can be sent to another process, but {type(error).__name__}: {error}"
            )
            questions.send((False, RuntimeError(said)))


def _follow() -> None:
    """End with the process that started this one."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
