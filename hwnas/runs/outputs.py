"""Places that results go to: tried before work begins, and for one process at a time."""

from __future__ import annotations

import inspect
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import filelock

from hwnas import torchrun
from hwnas.errors import HwnasError
from hwnas.runs.folder import RunFolder

_Function = TypeVar("_Function", bound=Callable[..., Any])
_PROBE = b"\0" * 16384  # a disk with less room than this is full for our purposes
_PAGE = b"<!doctype html"  # that every page of ours begins with
_held: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())


def require_file(path: Path, what: str) -> None:
    """Try that a file can be written, or replaced, at a place; leaves nothing behind.

    Args:
        path: Where it is going to be.
        what: What it is, for the message.

    Raises:
        HwnasError: It cannot: something is in the way, there is no permission, no space, …
    """
    try:
        if path.is_symlink():
            path = path.resolve()
        if path.is_dir():
            raise IsADirectoryError("a folder is there")
        if path.exists():
            if not path.is_file():
                raise OSError("something is there that is not a regular file")
            if not os.access(path, os.W_OK):
                raise PermissionError("the file that is there may not be written")
        _try(path.parent, path.name)
    except OSError as error:
        raise _refusal(what, path, error) from error


def require_page(path: Path, what: str) -> None:
    """The same of a page, which may replace an earlier one and nothing else.

    Raises:
        HwnasError: It cannot be written, or another file is there.
    """
    require_file(path, what)
    if path.exists():
        with path.open("rb") as file:
            start = file.read(len(_PAGE)).lower()
        if start and start != _PAGE:
            raise HwnasError(
                f"{what} may only replace an earlier one, but {path} is another file: give another place"
            )


def require_folder(folder: Path, what: str) -> None:
    """The same of a folder that files are going to be written into; it is not made."""
    try:
        _try(folder, "")
    except OSError as error:
        raise _refusal(what, folder, error) from error


def _refusal(what: str, path: Path, error: OSError) -> HwnasError:
    reason = error.strerror or str(error)
    where = f" ({error.filename})" if error.filename and Path(error.filename) == path.parent else ""
    return HwnasError(
        f"{what} must be writable, but {path} is not: {reason}{where}: give another place, or mend that"
    )


def _try(folder: Path, name: str) -> None:
    """Write a file of this name, or one much like it, and take it away again."""
    missing = []
    while not folder.exists() and not folder.is_symlink():
        missing.append(folder)
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder")
    made: list[Path] = []
    try:
        for inner in reversed(missing):
            inner.mkdir()
            made.append(inner)
            folder = inner
        if len(os.fsencode(name)) > _longest_name(folder):
            raise OSError("its name is too long")
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".hwnas-probe-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_PROBE)
                file.flush()
                os.fsync(file.fileno())
        finally:
            Path(temporary).unlink()
    finally:
        for inner in reversed(made):
            inner.rmdir()


def _longest_name(folder: Path) -> int:
    """In bytes; where the system does not say, what it is nearly everywhere."""
    asked = getattr(os, "pathconf", None)  # Windows has none
    return 255 if asked is None else int(asked(folder, "PC_NAME_MAX"))


@contextmanager
def claimed(folder: Path, what: str = "a run") -> Iterator[None]:
    """Have a folder to oneself; it is made if it must be, and goes again if nothing was put into it.

    A thread may claim what it holds already. A process that dies gives back what it held.

    Args:
        folder: To be written into.
        what: Whose folder it is, for messages.

    Raises:
        HwnasError: Another process, or thread, works in the folder, or it cannot be written.
    """
    place = Path(os.path.abspath(folder))  # noqa: PTH100  (not resolved where it is not there)
    if place in _held.get() or torchrun.number() != 0:  # of the processes of torchrun, one claims
        yield
        return
    require_folder(folder, f"the folder of {what}")
    made = [each for each in (place, *place.parents) if not each.exists()]
    place.mkdir(parents=True, exist_ok=True)
    try:
        lock = RunFolder(place).lock
        with hold(lock, f"{what} must have its folder to itself", str(folder), HwnasError):
            token = _held.set(_held.get() | {place})
            try:
                yield
            finally:
                _held.reset(token)
                with suppress(PermissionError):  # of Windows, where releasing it does that
                    lock.unlink(missing_ok=True)  # while it is held: nobody can be waiting for it
    finally:
        for each in made:
            with suppress(OSError):
                each.rmdir()


def alone_in(name: str, what: str, *, new: bool = False) -> Callable[[_Function], _Function]:
    """Make a function have the folder of one of its arguments to itself while it runs.

    Args:
        name: Of the argument.
        what: Whose folder it is, for messages.
        new: Whether the function makes the folder; else it has its own words where there is none.
    """

    def decorate(function: _Function) -> _Function:
        signature = inspect.signature(function)

        @wraps(function)
        def alone(*args: Any, **kwargs: Any) -> Any:
            folder = signature.bind(*args, **kwargs).arguments[name]
            with claimed(folder, what) if new or folder.is_dir() else nullcontext():
                return function(*args, **kwargs)

        return cast("_Function", alone)

    return decorate


@contextmanager
def hold(lock: Path, invariant: str, name: str, kind: type[HwnasError]) -> Iterator[None]:
    """Hold a lock, and say in it who does.

    Args:
        lock: The file; its folder is there.
        invariant: What must hold, for the message.
        name: What is locked, for the message.
        kind: Of the error.

    Raises:
        HwnasError: Of that kind; another process holds it, which is named.
    """
    held = filelock.FileLock(lock)
    try:
        held.acquire(timeout=0)
    except filelock.Timeout as error:
        raise kind(
            f"{invariant}, but {_holder(lock)} works on {name}: wait for it, stop it, or give another place"
        ) from error
    try:
        with suppress(OSError):
            lock.write_text(json.dumps(_self()), encoding="utf-8")
        yield
    finally:
        held.release()


def _self() -> dict[str, object]:
    words = [Path(sys.argv[0]).name, *sys.argv[1:2]]
    began = datetime.now().astimezone().isoformat(timespec="seconds")
    return {"pid": os.getpid(), "program": " ".join(words), "since": began}


def _holder(lock: Path) -> str:
    try:
        found = json.loads(lock.read_text(encoding="utf-8"))
        return f"process {found['pid']} ({found['program']}, since {found['since']})"
    except (OSError, ValueError, LookupError, TypeError):
        return "another process"
