"""The log of a run: what was typed, told and found wrong there, and how each command ended.

Whole lines are added to the end of ``hwnas.log``, so that processes which write at once mix none. It is
never the first file of a folder: until one of the run's own is there, lines wait. One that cannot be
written is given up, as no command may fail of it.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from hwnas import __version__, torchrun
from hwnas.runs.folder import LoggedFolder, is_begun

try:
    import fcntl
except ImportError:  # no POSIX
    fcntl = None  # type: ignore[assignment]

_WAITING = 1000  # lines at most, of which the oldest go
_HIDDEN = "…"
_SECRET = r"(?:token|passw(?:or)?d|passphrase|secret|credential|api[-_]?key)"  # noqa: S105  (a pattern)
_OPTION = re.compile(rf"--[\w-]*{_SECRET}[\w-]*", re.IGNORECASE)
_VARIABLE = re.compile(_SECRET, re.IGNORECASE)
_LEAST = 6  # characters of a value of the environment that can be a secret
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")
_IN_TEXT = (
    re.compile(r"(?<=://)[^/\s'\"]+(?=@)"),
    re.compile(rf"(?<=[?&;\s])[\w-]*{_SECRET}[\w-]*=[^&\s'\"]+", re.IGNORECASE),
    re.compile(rf"[\"'][\w-]*{_SECRET}[\w-]*[\"']\s*:\s*[\"'][^\"']*[\"']", re.IGNORECASE),
    re.compile(r"(?<=\bBearer )\S+", re.IGNORECASE),
)


class _CommandLog:
    """What is to be kept of one command.

    Args:
        words: What was typed after the program's name.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._process, self._began = os.getpid(), time.monotonic()
        self._rank = torchrun.number()
        self._lines: deque[str] = deque(maxlen=_WAITING)
        self._guard = threading.RLock()  # agents and exporters are told of by threads
        self._folder: LoggedFolder | None = None
        self._is_begun = False
        self._secrets = _of_the_environment()
        typed = shlex.join(["hwnas", *_without_secrets(words)])
        self.add(f"began: {typed} (hwnas {__version__}, in {_here()})")

    def into(self, folder: LoggedFolder) -> None:
        """Write into the log of a folder from now on."""
        self._folder, self._is_begun = folder, False
        self._write()

    def add(self, text: str, *, by_all: bool = True) -> None:
        """Add a text, which may be of several lines.

        Args:
            text: What there is to say.
            by_all: Whether each process of torchrun adds it, or the first alone.
        """
        if os.getpid() != self._process or (self._rank and not by_all):
            return
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        head = f"{now} {self._process}{f' rank {self._rank}' if self._rank else ''}: "
        with self._guard:
            self._lines += [f"{head}{line}\n" for line in self._bare(text).splitlines()]
            self._write()

    def end(self, code: object) -> None:
        """Add how it ended."""
        self.add(f"ended with exit code {code} after {time.monotonic() - self._began:.1f} s")

    def _bare(self, text: str) -> str:
        """A text without secrets, and without what would move a terminal's cursor."""
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        for pattern in _IN_TEXT:
            text = pattern.sub(lambda found: _hidden(found[0]), text)
        return _CONTROL.sub("?", text)

    def _write(self) -> None:
        if self._folder is None or not self._lines:
            return
        try:
            self._is_begun = self._is_begun or is_begun(self._folder)
            if not self._is_begun:
                return
            _append(self._folder.log, "".join(self._lines).encode("utf-8", "backslashreplace"))
        except OSError:  # a full disk, a folder of somebody else: the command goes on without
            self._folder = None
        self._lines.clear()


_current: _CommandLog | None = None


@contextmanager
def command(words: Sequence[str]) -> Iterator[None]:
    """Keep in mind what a command says, until its end.

    Args:
        words: What was typed after the program's name.
    """
    global _current
    _current = log = _CommandLog(words)
    code: object = 0
    try:
        yield
    except SystemExit as stop:
        code = 0 if stop.code is None else stop.code
        raise
    except BaseException as error:
        code = 130 if isinstance(error, KeyboardInterrupt) else 1
        failed(error)
        raise
    finally:
        log.end(code)
        _current = None


def into(folder: LoggedFolder) -> None:
    """Write what this command said, and says from now on, into the log of a folder."""
    if _current is not None:
        _current.into(folder)


def path() -> Path | None:
    """The log that this command writes, if any."""
    folder = None if _current is None else _current._folder
    return folder.log if folder is not None and folder.log.exists() else None


def note(text: str) -> None:
    """Take note of what was said."""
    if _current is not None and text.strip():
        _current.add(text, by_all=False)


def failed(error: BaseException) -> None:
    """Take note of an error, with where it was raised."""
    if _current is not None:
        _current.add("".join(_own_part(error).format()))


def _own_part(error: BaseException) -> traceback.TracebackException:
    """Of an error's way, what is below the library that reads the command line."""
    found = traceback.TracebackException.from_exception(error)
    reading = [number for number, frame in enumerate(found.stack) if "typer" in Path(frame.filename).parts]
    found.stack = traceback.StackSummary.from_list(found.stack[max(reading, default=-1) + 1 :])
    return found


def _here() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return "a folder that is no more"


def _append(file: Path, data: bytes) -> None:
    """Add to a regular file, which is made where it is not there; never through a link."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    handle = os.open(file, flags | getattr(os, "O_BINARY", 0), 0o666)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError("the log is no regular file")
        if fcntl is not None:  # or the end of what another process is just writing looks cut off
            fcntl.flock(handle, fcntl.LOCK_EX)
        if (size := os.fstat(handle).st_size) and _last(handle, size) != b"\n":  # cut off on a full disk
            data = b"\n" + data
        os.write(handle, data)
    finally:
        os.close(handle)


def _last(handle: int, size: int) -> bytes:
    os.lseek(handle, size - 1, os.SEEK_SET)
    return os.read(handle, 1)


def _of_the_environment() -> list[str]:
    """Values of variables that are called like secrets."""
    named = (value for name, value in os.environ.items() if _VARIABLE.search(name))
    return sorted((value for value in named if len(value) >= _LEAST), key=len, reverse=True)


def _without_secrets(words: Sequence[str]) -> Iterator[str]:
    """Words of a command, without the values of options that are called like secrets."""
    is_secret = False
    for word in words:
        name, equals, _ = word.partition("=")
        is_named = _OPTION.fullmatch(name) is not None
        yield _HIDDEN if is_secret else f"{name}={_HIDDEN}" if is_named and equals else word
        is_secret = is_named and not equals


def _hidden(found: str) -> str:
    """What is left of a part of a text that holds a secret: its name."""
    for sign in ("=", ":"):
        name, there, _ = found.partition(sign)
        if there and _VARIABLE.search(name):
            return f"{name}{sign}{_HIDDEN}"
    return _HIDDEN
