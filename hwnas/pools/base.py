"""What workers do: they take tasks, and say which are done, in whatever order."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.reduction import ForkingPickler
from typing import Any, Protocol, TypeVar

from hwnas.errors import HwnasError, TaskLost

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

ATTEMPTS = 3
"""How often a task is begun whose worker is lost, before it is taken to be what ends its workers."""


@dataclass(frozen=True)
class Submitted:
    """A task as a pool has it: ``function(item)``, under the number of whoever gave it."""

    number: int
    function: Callable[[Any], Any]
    item: Any


class WorkerPool(Protocol):
    """Workers. Tasks are numbered by who gives them; each is answered once."""

    @property
    def size(self) -> int:
        """How many tasks are worked on at the same time, as of now; at least 1."""

    @property
    def is_elsewhere(self) -> bool:
        """Whether tasks are sent to another process, so that function and item must be what can be sent."""

    @property
    def has_files(self) -> bool:
        """Whether workers are sure to see the files of this process under the same names."""

    def submit(self, number: int, function: Callable[[Any], Any], item: Any) -> None:
        """Give a task. More than ``size`` wait for each other, the first one first."""

    def next(self) -> tuple[int, Any]:
        """Number and answer of a task that is done; waits for one.

        Raises:
            TaskLost: Its worker was lost as often as it was begun.
            BaseException: What the function raised.
        """

    def abandon(self) -> None:
        """Give up whatever was given and is not answered; the pool can be used again."""


def ordered(
    pool: WorkerPool, function: Callable[[Asked], Answer], items: Iterable[Asked]
) -> Iterator[Answer]:
    """Like ``map``: the answers in the order of the items, each as soon as those before it are there."""
    found: dict[int, Answer] = {}
    following = 0
    for number, answer in _each(pool, function, items):
        found[number] = answer
        while following in found:
            yield found.pop(following)
            following += 1


def unordered(
    pool: WorkerPool, function: Callable[[Asked], Answer], items: Iterable[Asked]
) -> Iterator[Answer]:
    """The answers, each as soon as it is there."""
    for _, answer in _each(pool, function, items):
        yield answer


def _each(
    pool: WorkerPool, function: Callable[[Asked], Answer], items: Iterable[Asked]
) -> Iterator[tuple[int, Answer]]:
    count = 0
    for count, item in enumerate(items, start=1):
        pool.submit(count - 1, function, item)
    try:
        for _ in range(count):
            yield pool.next()
    finally:
        pool.abandon()


def replied(function: Callable[[Asked], Answer], item: Asked) -> tuple[bool, Any]:
    """Whether a function gave an answer, and that or what it raised, with where."""
    try:
        return True, function(item)
    except HwnasError as error:
        return False, error
    except Exception as error:  # noqa: BLE001  (raised where the task came from)
        error.add_note(f"in a process that had {named(item)}:\n{traceback.format_exc()}")
        return False, sendable(error)


def sendable(error: Exception) -> Exception:
    """The error itself, or what it says where it would not arrive as it is."""
    try:
        ForkingPickler.loads(ForkingPickler.dumps(error))
    except Exception:  # noqa: BLE001  (it holds a lock, or is made of other arguments than it keeps)
        said = RuntimeError(f"{type(error).__name__}: {error}")
        for note in getattr(error, "__notes__", ()):
            said.add_note(note)
        return said
    return error


def answered(reply: tuple[bool, Any]) -> Any:
    """The answer of a reply; raises what the function raised."""
    good, value = reply
    if not good:
        raise value
    return value


def lost(number: int, item: object, how: str, remedy: str) -> TaskLost:
    """The error of a task whose worker was lost as often as it was begun."""
    return TaskLost(
        f"a task must run to its end, but the process that had {named(item)} {how}, {ATTEMPTS} times in a "
        f"row: {remedy}; what was finished before is kept, and the same command goes on from there",
        number=number,
    )


def named(item: object) -> str:
    """An architecture, or its indices, as users know it: ``0.3.1``."""
    indices = getattr(item, "indices", item)
    return ".".join(map(str, indices)) if isinstance(indices, tuple | list) else str(indices)
