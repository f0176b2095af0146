"""What works where there is no Linux: everything is imported, and what cannot work says so."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hwnas import device
from hwnas.errors import TransportError
from hwnas.transport.local import LocalTransport

ELSEWHERE = """
import os, signal, sys

for name in ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty"):
    sys.modules[name] = None
for name in ("SIGHUP", "SIGKILL", "SIGBUS", "SIGALRM", "SIGCHLD", "SIGPIPE", "SIGSTOP", "SIGQUIT"):
    delattr(signal, name)
for name in ("sched_getaffinity", "sched_setaffinity", "killpg", "setsid", "statvfs", "fork"):
    delattr(os, name)


def hidden(event, arguments):
    if event == "open" and str(arguments[0]).startswith(("/proc", "/sys/")):
        raise FileNotFoundError(arguments[0])


sys.addaudithook(hidden)
"""
"""What Windows and macOS have not, one or the other."""


def elsewhere(program: str) -> str:
    words = [sys.executable, "-W", "ignore", "-c", ELSEWHERE + program]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_everything_is_imported_without_linux():
    found = elsewhere(
        """
import importlib, pkgutil
import hwnas

programs = ("hwnas.__main__", "hwnas.release.examples.")  # which run, or ship, as they are
names = [module.name for module in pkgutil.walk_packages(hwnas.__path__, "hwnas.")]
for name in names:
    if not name.startswith(programs):
        importlib.import_module(name)
print(len(names))
"""
    )
    assert int(found) > 400


def test_commands_begin_without_linux():
    said = elsewhere("sys.argv[1:] = ['spaces', 'list']\nfrom hwnas.cli import main\nmain()")
    assert "mobilenetv3" in said


def test_a_machine_without_linux_does_not_measure_itself(monkeypatch):
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with LocalTransport(device=device.load("host")) as transport:
        with pytest.raises(TransportError, match="to measure itself, but this one runs Darwin"):
            transport.require_agent("litert")
        with pytest.raises(TransportError, match="--device android"):
            list(transport.run("litert", [], silence_s=1.0))
