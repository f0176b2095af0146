"""A phone that is none: a real ADB daemon on loopback, a sandbox folder, and commands that answer."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import programs

from hwnas.device import Device
from hwnas.transport import _bundle

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]

PROPERTIES = {
    "ro.product.manufacturer": "Hwnas",
    "ro.product.model": "Test Phone",
    "ro.build.version.sdk": "34",
    "ro.build.version.release": "14",
    "ro.product.cpu.abilist": "x86_64",
}

BATTERY = (
    "Current Battery Service state:\n  AC powered: false\n  USB powered: true\n"
    "  level: 83\n  temperature: 285\n"
)
THERMAL = (
    "IsStatusOverride: false\nThermal Status: 0\nCached temperatures:\n"
    "\tTemperature{mValue=99.0, mType=0, mName=OLD, mStatus=0}\n"
    "Current temperatures from HAL:\n"
    "\tTemperature{mValue=33.1, mType=3, mName=VIRTUAL-SKIN, mStatus=0}\n"
    "\tTemperature{mValue=41.0, mType=0, mName=BIG, mStatus=0}\n"
)
POWER = "  mWakefulness=Awake\nDisplay Power: state=ON\n"


class Phone:
    """A test phone: its folder, its daemon, and a descriptor that reaches it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = 0
        self._daemon: subprocess.Popen[str] | None = None
        self._arguments: list[str] = []
        (root / "bin").mkdir(parents=True)
        self.command("getprop", "".join(f"[ $1 != {k} ] || echo '{v}'\n" for k, v in PROPERTIES.items()))
        self.command("settings", "echo 0")
        self.says(battery=BATTERY, thermalservice=THERMAL, power=POWER)

    def command(self, name: str, script: str) -> None:
        """Put a command into the phone's PATH."""
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def says(self, **services: str) -> None:
        """What ``dumpsys`` prints for each service."""
        for name, text in services.items():
            (self.root / f"dumpsys.{name}").write_text(text)
        self.command("dumpsys", f"cat {self.root}/dumpsys.$1 2>/dev/null")

    def start(self, *arguments: str) -> Phone:
        """Start the daemon; on the port of the last time, if there was one."""
        self._arguments = list(arguments)
        program = [sys.executable, str(HERE / "adbd.py"), "--root", str(self.root)]
        self._daemon = subprocess.Popen(
            [*program, "--port", str(self.port), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._daemon.stdout
        self.port = int(self._daemon.stdout.readline())
        return self

    def stop(self) -> None:
        """The daemon dies, and with it every connection."""
        daemon, self._daemon = self._daemon, None  # a timer may stop it while a fixture does
        if daemon:
            daemon.kill()
            daemon.communicate()

    def freeze(self) -> None:
        """The daemon says nothing any more, but its connections stay open."""
        assert self._daemon
        self._daemon.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """The daemon goes on."""
        assert self._daemon
        self._daemon.send_signal(signal.SIGCONT)

    def cut_after(self, *counts: int) -> None:
        """Close a connection after each such number of bytes that the phone sends from now on."""
        beside = self.root / "cuts.new"
        beside.write_text(" ".join(map(str, counts)))
        beside.rename(self.root / "cuts")

    @property
    def serial(self) -> str:
        """Its address."""
        return f"127.0.0.1:{self.port}"

    @property
    def folder(self) -> Path:
        """Where hwnas keeps its files on it."""
        return self.root / "data" / "hwnas"

    def device(self, back_end: str = "tcp", **options: object) -> Device:
        """A descriptor that reaches it."""
        known = {"folder": str(self.folder), "back_end": back_end, "serial": self.serial, "patience_s": 10}
        return Device(
            name="testphone",
            title="A phone for tests",
            transport="adb",
            match={"ro.product.model": "Test*"},
            options={**known, **options},
        )

    def agents(self) -> list[str]:
        """Command lines of agents that run on this phone."""
        return self.processes("/agent --library")

    def gone(self, word: str = "/agent --library") -> bool:
        """Whether no such process is there, or the last one ends soon."""
        deadline = time.monotonic() + 30
        while self.processes(word) and time.monotonic() < deadline:
            time.sleep(0.02)
        return not self.processes(word)

    def processes(self, word: str) -> list[str]:
        """Command lines on this machine that hold a word and this phone's folder."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if word in text and str(self.root) in text:
                found.append(text)
        return found


_PLAYED = """
name = "played"
title = "Phones that are none"
transport = "adb"
[match]
"ro.product.model" = "Test*"
[options]
folder = "hwnas"
back_end = "tcp"
"""


def describe_played(folder: Path, **options: Any) -> None:
    """Put a descriptor of phones into a user's folder whose agent times nothing: ``played_agent``."""
    folder.mkdir(parents=True, exist_ok=True)
    options |= {"launcher": [sys.executable, str(HERE / "played_agent.py")]}
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in options.items())
    (folder / "played.toml").write_text(_PLAYED + lines)


def build_cross(arch: str, folder: Path) -> Path:
    """The bundle as users get it, built from downloads; skips where there is no Debian to take it from."""
    for program in ("apt-get", "dpkg-deb"):
        programs.need(program)
    command = [sys.executable, str(REPOSITORY / "tools" / "build_agent.py"), arch, "--out", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "apt-get update" in done.stderr:
        programs.missing("the package list is empty")
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def job(name: str, model: str, /, **changes: Any) -> dict[str, Any]:
    """A short job."""
    plain = {
        "job": name,
        "model": model,
        "threads": 1,
        "cpus": None,
        "samples": 3,
        "min_sample_ns": 0,
        "warmup_min_ns": 0,
        "warmup_max_ns": 0,
    }
    return plain | changes


def run_agent(bundle: _bundle.Bundle, jobs: Sequence[Mapping[str, Any]], *more: str) -> list[dict[str, Any]]:
    """Replies of the agent of a bundle to a plan, on this machine."""
    words = [word.replace(_bundle.HERE, str(bundle.folder)) for word in bundle.command]
    plan = "".join(json.dumps(line) + "\n" for line in jobs)
    done = subprocess.run(
        [*words, "--plan", "-", *more], input=plan.encode(), capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
