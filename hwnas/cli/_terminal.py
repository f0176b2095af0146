"""Standard streams as they may be: closed, full, cut off, or of an encoding that is not UTF-8."""

from __future__ import annotations

import codecs
import io
import os
import sys
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import TextIO

_PLAIN = {
    "…": "~",
    "–": "-",
    "—": "-",
    "−": "-",
    "±": "+-",
    "×": "x",
    "→": ">",
    "▸": ">",
    "•": "*",
    "✓": "+",
    "≤": "<=",
    "≥": ">=",
}
"""What hwnas itself prints, in ASCII; as wide as before where that says the same."""
_SPINNER = range(0x2800, 0x2900)  # braille patterns, of which rich makes what turns


def prepare() -> None:
    """Let both streams take any text: what an encoding lacks is written in ASCII."""
    codecs.register_error("hwnas", _in_ascii)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started this
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="hwnas")


_hushed: list[TextIO] = []


def hush() -> None:
    """Say nothing from now on, but for what is said through ``voice``."""
    _hushed.append(sys.stderr)
    sys.stdout = sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def voice() -> TextIO:
    """Standard error, also where all else is hushed."""
    return _hushed[0] if _hushed else sys.stderr


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(character: str) -> str:
    if ord(character) in _SPINNER:
        return "."
    if "\udc80" <= character <= "\udcff":  # a byte of a path that is no text here: as $'...' takes it
        return f"\\x{ord(character) - 0xDC00:02x}"
    if character in _PLAIN:
        return _PLAIN[character]
    bare = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return bare or character.encode("ascii", "backslashreplace").decode()


def flush() -> None:
    """Hand over what is still held back; raises OSError where nobody takes it."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def abandon(stream: TextIO) -> None:
    """Write to nowhere from now on, so that the end of the program does not try once more."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
