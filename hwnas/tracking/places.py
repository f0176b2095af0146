"""Where a tracker keeps runs, as text that may be shown: without anybody's password."""

from __future__ import annotations

import re

_USER = re.compile(r"://\S*@")
_LONGEST = 200  # characters of what a foreign error says
_QUERY = re.compile(r"([?&;][^=\s&;#]+=)[^\s&;#]*")


def masked(text: str) -> str:
    """A text in which addresses have neither user, password nor values of a query."""
    return _QUERY.sub(r"\1***", _USER.sub("://***@", text))


def reason(error: BaseException) -> str:
    """The first sentence of a foreign error, which names no password."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = masked(re.split(r"(?<=[a-z)'\"])\. ", lines[0])[0]) if lines else ""
    short = first if len(first) <= _LONGEST else f"{first[:_LONGEST]}…"
    return f"{type(error).__name__}: {short}" if short else type(error).__name__
