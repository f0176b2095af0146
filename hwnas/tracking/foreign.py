"""Packages of others that trackers need: imported when they are used, and quiet."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from hwnas.errors import TrackingError
from hwnas.quiet import quiet as hushed


def package(name: str, title: str, extra: str) -> Any:
    """A package that comes with an extra.

    Args:
        name: Of its module.
        title: What it is called.
        extra: Of hwnas.

    Raises:
        TrackingError: It is not installed, or does not load.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise TrackingError(
            f"{title} must be installed to track a run with it, but {error.name or name} is not: "
            f"pip install 'hwnas[{extra}]'"
        ) from error


@contextmanager
def quiet(environment: Mapping[str, str]) -> Iterator[None]:
    """Call a package of others: its warnings and news are not the user's.

    Args:
        environment: Variables that it reads; those that the user has set stay, the others go again.
    """
    with hushed():
        own = {name: value for name, value in environment.items() if name not in os.environ}
        os.environ.update(own)
        try:
            yield
        finally:
            for name in own:
                os.environ.pop(name, None)
