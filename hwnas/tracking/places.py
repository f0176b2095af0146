"""Where a tracker keeps runs, as text that may be shown: without anybody's password."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from hwnas.errors import TrackingError

_USER = re.compile(r"://\S*@")
_QUERY = re.compile(r"([?&;][^=\s&;#]+=)[^\s&;#]*")


def masked(text: str) -> str:
    """A text in which addresses have neither user, password nor values of a query."""
    return _QUERY.sub(r"\1***", _USER.sub("://***@", text))


def reason(error: BaseException) -> str:
    """The first sentence of a foreign error, which names no password."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = re.split(r"(?<=[a-z)'\"])\. ", lines[0])[0] if lines else ""
    return masked(f"{type(error).__name__}: {first}" if first else type(error).__name__)[:300]


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
