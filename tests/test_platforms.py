"""What works where there is no Linux: everything is imported, and what cannot work says so."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hwnas
from hwnas import device
from hwnas.errors import TransportError
from hwnas.transport.local import LocalTransport
from hwnas.transport.ssh import SshProgram

ROOT = Path(hwnas.__file__).parent
MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog")
SIGNALS = (
    *(
        "SIGHUP",
        "SIGKILL",
        "SIGBUS",
        "SIGALRM",
        "SIGCHLD",
        "SIGPIPE",
        "SIGSTOP",
        "SIGQUIT",
        "SIGUSR1",
        "SIGUSR2",
    ),
    *("pthread_sigmask", "alarm", "setitimer", "pause", "sigwait", "pthread_kill"),
)
OF_OS = (
    *("sched_getaffinity", "sched_setaffinity", "sched_yield", "nice", "getpriority", "setpriority"),
    *(
        "fork",
        "forkpty",
        "setsid",
        "killpg",
        "getpgid",
        "setpgid",
        "getsid",
        "waitid",
        "wait",
        "wait3",
        "wait4",
    ),
    *("getuid", "geteuid", "getgid", "getegid", "chown", "fchown", "chroot", "uname", "getloadavg"),
    *("statvfs", "fstatvfs", "pathconf", "fpathconf", "sysconf", "confstr", "mkfifo", "mknod"),
    *(
        "pread",
        "pwrite",
        "preadv",
        "pwritev",
        "pipe2",
        "posix_fadvise",
        "posix_fallocate",
        "sync",
        "fdatasync",
    ),
    *(
        "O_NOFOLLOW",
        "O_DIRECTORY",
        "O_CLOEXEC",
        "O_SYNC",
        "O_NONBLOCK",
        "WIFEXITED",
        "WEXITSTATUS",
        "ttyname",
    ),
)
OTHERS = {"select": ("poll", "epoll"), "socket": ("AF_UNIX",), "signal": SIGNALS, "os": OF_OS}
HIDDEN = {
    "signal": (*SIGNALS[:8], "pthread_sigmask"),
    "os": (
        *("sched_getaffinity", "sched_setaffinity", "killpg", "setsid", "statvfs", "fork"),
        *("pathconf", "nice", "getpriority"),
    ),
}
"""Of these, what packages of others do without as well, though they see that this is Linux."""
NAMED = {f"{module}.{name}" for module, names in OTHERS.items() for name in names}
GUARDED = {
    ("children.py", "signal.pthread_sigmask"): "asked for first",
    ("cli/_runlog.py", "fcntl"): "an ImportError is caught",
    ("data/images.py", "os.sysconf"): "an AttributeError is caught",
    ("measure/doctor.py", "os.sysconf"): "only of processes that stand in /proc",
    ("transport/local.py", "os.killpg"): "only of agents, which start on Linux alone",
    ("transport/local.py", "signal.SIGKILL"): "likewise",
}
"""Where a name that only some systems have may stand, and why."""

ELSEWHERE = f"""
import os, signal, sys

for name in {MODULES!r}:
    sys.modules[name] = None
for module, names in {HIDDEN!r}.items():
    for name in names:
        if hasattr(sys.modules[module], name):
            delattr(sys.modules[module], name)


def hidden(event, arguments):
    if event == "open" and str(arguments[0]).startswith(("/proc", "/sys/")):
        raise FileNotFoundError(arguments[0])


sys.addaudithook(hidden)
"""
"""What Windows and macOS have not, one or the other."""


def elsewhere(program: str, *arguments: object) -> str:
    words = [sys.executable, "-W", "ignore", "-c", ELSEWHERE + program, *map(str, arguments)]
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


def test_files_are_written_and_folders_claimed_without_linux(tmp_path):
    program = """
from pathlib import Path
from hwnas import files
from hwnas.children import out_of_reach
from hwnas.runs import outputs

folder = Path(sys.argv[1])
with outputs.claimed(folder / "run"), out_of_reach():
    files.write_private(folder / "run" / "private", "a\\n")
    files.append_whole(folder / "run" / "private", "b\\n")
    outputs.require_file(folder / "run" / "page.html", "a page")
print((folder / "run" / "private").read_bytes(), sorted(path.name for path in folder.rglob("*")))
"""
    assert elsewhere(program, tmp_path / "new") == "b'a\\nb\\n' ['private', 'run']\n"


def uses(path: Path) -> Iterator[str]:
    """What a module imports, or takes by name, that not every system has."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (item.name for item in node.names if item.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = OTHERS.get(str(node.module), ())
            yield from ([str(node.module)] if node.module in MODULES else [])
            yield from (f"{node.module}.{item.name}" for item in node.names if item.name in names)
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in NAMED:
            yield ast.unparse(node)


def test_what_not_every_system_has_is_used_only_where_it_is_there():
    """Elsewhere ``getattr(os, "nice", None)`` asks first, and this does not find it."""
    marks = (
        *(f"import {name}" for name in MODULES),
        *(f"{m}." for m in OTHERS),
        *(f"from {m} " for m in OTHERS),
    )
    found = set()
    for path in ROOT.rglob("*.py"):
        if any(mark in path.read_text("utf-8") for mark in marks):
            found |= {(path.relative_to(ROOT).as_posix(), use) for use in uses(path)}
    assert found == set(GUARDED)


def test_a_use_is_found(tmp_path):
    text = (
        "import fcntl\nimport os\nfrom signal import SIGKILL\nfrom os import path\nos.killpg(1, 2)\nos.name\n"
    )
    (tmp_path / "a.py").write_text(text)
    assert sorted(uses(tmp_path / "a.py")) == ["fcntl", "os.killpg", "signal.SIGKILL"]


def test_a_machine_without_linux_does_not_measure_itself(monkeypatch):
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with LocalTransport(device=device.load("host")) as transport:
        with pytest.raises(TransportError, match="to measure itself, but this one runs Darwin"):
            transport.require_agent("litert")
        with pytest.raises(TransportError, match="--device android"):
            list(transport.run("litert", [], silence_s=1.0))


def test_windows_does_not_reach_boards_by_ssh(monkeypatch):
    monkeypatch.setattr("platform.system", lambda: "Windows")
    with pytest.raises(TransportError, match=r"from Linux or macOS, but this machine runs Windows.*WSL"):
        SshProgram("me@board").connect()
