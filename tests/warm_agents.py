"""Agents of this machine, forked from a process that has loaded what they load.

Each is a process of its own, as ever, and the same program with the same runtime; only loading numpy
and a runtime, which takes it longer than measuring what tests measure, was done once for all.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_CONTEXT = multiprocessing.get_context("forkserver")


class _Agent:
    """A running agent; what ``LocalTransport`` uses of ``subprocess.Popen``."""

    def __init__(
        self, command: list[str], *, stdin: int, stdout: int, stderr: IO[bytes], start_new_session: bool
    ) -> None:
        assert (command[0], stdin, stdout) == (sys.executable, subprocess.PIPE, subprocess.PIPE)
        assert start_new_session
        asked, asking = _CONTEXT.Pipe(duplex=False)
        answers, answering = _CONTEXT.Pipe(duplex=False)
        begun, begins = _CONTEXT.Pipe(duplex=False)
        errors = Connection(os.dup(stderr.fileno()), readable=False)
        ends = (asked, answering, errors)
        self._process = _CONTEXT.Process(target=_run, args=(command[1:], dict(os.environ), ends, begins))
        self._process.start()
        for end in (*ends, begins):
            end.close()
        with begun:
            begun.recv()  # from here on it can be killed with its group
        self.pid = self._process.pid
        self.stdin, self.stdout = (_file(end, mode) for end, mode in ((asking, "wb"), (answers, "rb")))

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, or TimeoutExpired."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("agent", timeout or 0.0)
        return self._process.exitcode

    @property
    def returncode(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self._process.exitcode


def _file(end: Connection, mode: str) -> IO[bytes]:
    with end:
        return os.fdopen(os.dup(end.fileno()), mode)


def _run(
    words: list[str], environment: dict[str, str], ends: tuple[Connection, ...], begins: Connection
) -> None:
    """Be the program that ``words`` begin with."""
    os.setsid()
    for number, end in enumerate(ends):
        os.dup2(end.fileno(), number)
        end.close()
    with begins:
        begins.send(True)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv, sys.path[:0] = words, [str(Path(words[0]).parent)]
    runpy.run_path(words[0], run_name="__main__")


def warm(patch: pytest.MonkeyPatch) -> None:
    """Agents of this machine start warm."""
    from hwnas.transport import local

    _CONTEXT.set_forkserver_preload(["numpy", "ai_edge_litert.interpreter", "onnxruntime", "torch"])
    named = {"PIPE": subprocess.PIPE, "TimeoutExpired": subprocess.TimeoutExpired}
    patch.setattr(local, "subprocess", SimpleNamespace(Popen=_Agent, **named))
