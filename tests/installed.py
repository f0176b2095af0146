"""Runtimes that come with an extra: tests of them say where they are not installed."""

from __future__ import annotations

import functools
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from hwnas import files, runtimes


def installed(*packages: str) -> tuple[str, ...]:
    """Those of some packages that pip has installed; a folder of an agent of that name is none."""
    return tuple(name for name in packages if any(metadata.distributions(name=name)))


def needs(package: str) -> pytest.MarkDecorator:
    """Skips a test where a package is not installed, and says which extra has it."""
    return pytest.mark.skipif(not installed(package), reason=f"hwnas[{package}] is not installed")


def each_runtime() -> list[ParameterSet]:
    """Every runtime of hwnas; one whose files are made by the package of an extra is skipped without it."""
    return [
        pytest.param(name, marks=[needs(name)] if name in ("openvino", "executorch") else [])
        for name in runtimes.RUNTIMES
    ]


@functools.cache
def works(agent: str) -> bool:
    """Whether an agent says hello on this machine: some want a package, some a processor as well."""
    program = str(files.shipped("profilers") / agent / "agent.py")
    done = subprocess.run([sys.executable, program, "--plan", "-"], input="", capture_output=True, text=True)
    return done.returncode == 0


def need_agent(agent: str) -> None:
    """Skip the test that asks where an agent cannot run; asked in tests, as it takes its time to start."""
    if not works(agent):
        pytest.skip(f"the agent {agent} cannot run here")


def overflows_in_int8() -> bool:
    """Whether sums of int8 products overflow on this processor, as on x86 without VNNI."""
    found = Path("/proc/cpuinfo")
    text = found.read_text() if found.exists() else ""
    return platform.machine() in ("x86_64", "AMD64") and "vnni" not in text
