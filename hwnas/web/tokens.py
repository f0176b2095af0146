"""Words that a service is shown: nobody guesses them, and their file is for its owner alone."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from hwnas import files
from hwnas.errors import HwnasError


def new() -> str:
    """A word that nobody can guess."""
    return secrets.token_urlsafe(32)


def is_same(shown: str, token: str) -> bool:
    """Whether what is shown is the token; takes as long wherever they differ."""
    return secrets.compare_digest(shown.encode("utf-8", "surrogateescape"), token.encode())


def made_in(path: Path) -> str:
    """The token in a file, which is made where it is not there, readable by its owner alone.

    Raises:
        HwnasError: It cannot be read or made, or others can read it.
    """
    if not path.exists():
        files.write_private(path, new() + "\n")
    return read(path)


def read(path: Path) -> str:
    """The token in a file.

    Raises:
        HwnasError: It cannot be read, is empty, or others can read it.
    """
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise HwnasError(f"the file of a token must be readable, but {path} is not: {error}") from error
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise HwnasError(f"a token must be one word, but {path} holds none: copy it there")
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise HwnasError(
            f"a token must be readable by its owner alone, but others can read {path}: run `chmod 600 {path}`"
        )
    return text
