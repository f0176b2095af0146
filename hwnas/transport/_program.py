"""Shells that are programs on this host: ``adb`` and ``ssh``."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO

from hwnas.errors import TransportError
from hwnas.transport._shell import LinkLost

_SEND_S = 60.0  # longest for a small file
_SEND_BYTES_PER_S = 100_000  # slowest link that is waited for


def stream(argv: Sequence[str], *, quiet_s: float) -> Iterator[bytes]:
    """Standard output of a program as it comes; the program is killed when nobody listens any more.

    Raises:
        LinkLost: Nothing came for ``quiet_s``, or the program failed and says why.
    """
    with tempfile.TemporaryFile() as errors:
        process = start(argv, errors)
        try:
            yield from _chunks(process, quiet_s, argv[0])
            said = complaint(errors)
            if process.wait(quiet_s) and said:
                raise LinkLost(f"{argv[0]} says: {said}")
        except subprocess.TimeoutExpired as error:
            raise LinkLost(f"{argv[0]} must end with its output, but did not in {quiet_s:g} s") from error
        finally:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


def start(argv: Sequence[str], errors: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a program; raises TransportError where it is not there."""
    try:
        return subprocess.Popen(list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
    except OSError as error:
        raise TransportError(f"{argv[0]} must be installed, but does not start: {error}") from error


def _chunks(process: subprocess.Popen[bytes], quiet_s: float, name: str) -> Iterator[bytes]:
    if process.stdout is None:
        raise TransportError(f"the output of {name} must be a pipe, but is not")
    read, own = SimpleQueue[bytes](), os.dup(process.stdout.fileno())  # as the other one may be closed first

    def follow() -> None:  # in a thread, as Windows can wait for sockets alone
        with os.fdopen(own, "rb", buffering=0) as pipe:
            while chunk := pipe.read(1 << 16):
                read.put(chunk)
        read.put(b"")

    Thread(target=follow, daemon=True).start()
    while True:
        try:
            chunk = read.get(timeout=quiet_s)
        except Empty:
            raise LinkLost(f"the device must say something within {quiet_s:g} s, but was silent") from None
        if not chunk:
            return
        yield chunk


def complaint(errors: IO[bytes]) -> str:
    """What a program wrote to standard error, its end if that is long."""
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - 1000))
    return errors.read().decode(errors="replace").strip()


def send_s(local: Path) -> float:
    """Longest time that sending a file may take, in seconds."""
    return _SEND_S + local.stat().st_size / _SEND_BYTES_PER_S


def wait_for(
    argv: Sequence[str], said: IO[bytes], *, timeout_s: float, source: IO[bytes] | None = None
) -> int:
    """Run a program that may leave a child in the background; return its status.

    Raises:
        LinkLost: It did not end in time.
        TransportError: It is not there.
    """
    try:
        done = subprocess.run(
            list(argv),
            stdin=source or subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LinkLost(f"{argv[0]} must end within {timeout_s:g} s, but did not") from error
    except OSError as error:
        raise TransportError(f"{argv[0]} must be installed, but does not start: {error}") from error
    return done.returncode


def finish(argv: Sequence[str], *, timeout_s: float, source: IO[bytes] | None = None) -> tuple[int, str]:
    """Run a program to its end; return its status and all that it wrote.

    Raises:
        LinkLost: It did not end in time.
        TransportError: It is not there.
    """
    with tempfile.TemporaryFile() as said:
        status = wait_for(argv, said, timeout_s=timeout_s, source=source)
        said.seek(0)
        return status, said.read().decode(errors="replace")
