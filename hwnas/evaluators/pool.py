"""Scoring architectures in worker processes; one that dies is reported with what it trained."""

from __future__ import annotations

import os
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any, TypeVar

from hwnas import plugins
from hwnas.children import out_of_reach
from hwnas.endings import ended, remedy
from hwnas.errors import HwnasError, TrainingError
from hwnas.evaluators.base import Evaluator, fidelities, require_sendable
from hwnas.space import Architecture

Score = Callable[..., Iterable[float]]
"""Scores architectures, in their order; see ``scoring``."""

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

_LAST_BREATH_S = 10.0  # between the end of a process's pipe and that of the process


@contextmanager
def workers(
    count: int,
) -> Iterator[Callable[[Callable[[Asked], Answer], Iterable[Asked]], Iterable[Answer]]]:
    """Answers in so many processes; in this one if 1.

    Yields:
        Like ``map``, in order; the function it is given must be one that can be pickled. It raises
        what the function raises, and TrainingError where a process dies: then what other processes
        have in hand is given up, and what they finished is where the function put it.
    """
    if count <= 1:
        yield map
        return
    pool = _Pool(count)
    try:
        yield pool.map
    finally:
        pool.close()


@contextmanager
def scoring(evaluator: Evaluator, count: int) -> Iterator[Score]:
    """Scores of an evaluator by so many processes, in order; as of ``workers``.

    Yields:
        Scores several architectures after a share of a training, all of it where nothing is said.

    Raises:
        SpaceError: There are to be several, and the evaluator cannot be sent.
    """
    if count > 1:
        require_sendable(evaluator)
    with workers(count) as mapper:

        def score(architectures: Iterable[Architecture], share: float = 1.0) -> Iterable[float]:
            return mapper(evaluator if share == 1 else fidelities(evaluator).at(share), architectures)

        yield score


class _Worker:
    """One process, which answers one question at a time."""

    def __init__(self) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        resource_tracker.ensure_running()  # which would let the signals through that it holds back itself
        with out_of_reach():
            self.process.start()
        theirs.close()  # so that the pipe ends with the process

    def close(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


class _Pool:
    """Processes that are started when they are first needed."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._idle: list[_Worker] = []

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def map(self, function: Callable[[Asked], Answer], items: Iterable[Asked]) -> Iterator[Answer]:
        waiting = deque(enumerate(items))
        busy: dict[Any, tuple[_Worker, int, Asked]] = {}
        found: dict[int, Answer] = {}
        following = 0
        try:
            while waiting or busy:
                while waiting and len(busy) < self._count:
                    number, item = waiting.popleft()
                    worker = self._ask(function, item)
                    busy[worker.connection] = worker, number, item
                for ready in connection.wait(list(busy)):
                    worker, number, item = busy[ready]
                    found[number] = _reply(worker, item)
                    del busy[ready]
                    self._idle.append(worker)
                while following in found:
                    yield found.pop(following)
                    following += 1
        finally:
            for worker, _, _ in busy.values():  # what it would answer, nobody asks any more
                worker.close()

    def _ask(self, function: Callable[[Asked], Answer], item: Asked) -> _Worker:
        while self._idle:
            worker = self._idle.pop()
            try:
                worker.connection.send((function, item))
            except OSError:  # it was ended while it had nothing to do
                worker.close()
            else:
                return worker
        worker = _Worker()
        worker.connection.send((function, item))
        return worker


def _reply(worker: _Worker, item: object) -> Any:
    try:
        good, value = worker.connection.recv()
    except (EOFError, OSError) as error:
        worker.process.join(_LAST_BREATH_S)
        status = worker.process.exitcode
        raise TrainingError(
            f"a training must run to its end, but the process that trained {_name(item)} {ended(status)}: "
            f"{remedy(status)}; what was scored is kept, and the same command goes on from there"
        ) from error
    if not good:
        raise value
    return value


def _name(item: object) -> str:
    """An architecture, or its indices, as users know it: ``0.3.1``."""
    indices = getattr(item, "indices", item)
    return ".".join(map(str, indices)) if isinstance(indices, tuple | list) else str(indices)


def _serve(questions: Connection) -> None:
    """Answer until nobody asks any more."""
    Thread(target=_follow, daemon=True).start()
    plugins.ready()  # before anything is unpickled that is of theirs
    while True:
        try:
            function, item = questions.recv()
        except EOFError:
            return
        try:
            reply = True, function(item)
        except HwnasError as error:
            reply = False, error
        except Exception as error:  # noqa: BLE001  (raised where the question came from)
            error.add_note(f"in a process that trained {_name(item)}:\n{traceback.format_exc()}")
            reply = False, error
        questions.send(reply)


def _follow() -> None:
    """End with the process that started this one."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
