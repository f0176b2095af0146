"""How a contract test claims something."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hwnas.errors import HwnasError


def claim(holds: object, what: str) -> None:
    """Raise AssertionError where something does not hold.

    Args:
        holds: Whether it does.
        what: What must hold, and what was found.
    """
    if not holds:
        raise AssertionError(what)


@contextmanager
def works(what: str) -> Iterator[None]:
    """Anything that is raised in here is a broken contract, other than one that was claimed."""
    try:
        yield
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"{what} must work, but raises {type(error).__name__}: {error}") from error


def refuses(error: type[HwnasError], call: Callable[[], object], what: str) -> None:
    """Claim that a call raises one kind of error, which is told to users."""
    try:
        call()
    except error:
        return
    except Exception as other:
        raise AssertionError(
            f"{what} must raise {error.__name__}, but raises {type(other).__name__}: {other}"
        ) from other
    raise AssertionError(f"{what} must raise {error.__name__}, but raises nothing")
