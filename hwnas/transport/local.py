"""The machine that hwnas runs on: agents are subprocesses, files stay where they are."""

from __future__ import annotations

import json
import logging
import os
import platform
import re
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

from hwnas import files
from hwnas.device import Device
from hwnas.endings import ended
from hwnas.errors import AgentError, TransportError
from hwnas.runtimes.base import CPU
from hwnas.transport import _bundle
from hwnas.transport.base import Job, Losses, Reply, no_answer, parse_reply

_log = logging.getLogger(__name__)
_TAIL_BYTES = 2000  # of standard error, in messages
_BYE_S = 5.0  # what an agent may take to end after its last line
_NO_MODULE = re.compile(r"ModuleNotFoundError: No module named '([^']+)'")
_LINE_BYTES = 64 * 1024 * 1024  # no reply is longer


class LocalTransport:
    """Runs agents with this Python, each in a process group of its own; on a GPU those that are built from C.

    Args:
        agents: Folder that holds the agents; the shipped ones by default.
        device: The descriptor of this machine; its CPU where it is not given.
    """

    def __init__(self, agents: Path | None = None, device: Device | None = None) -> None:
        self._agents = agents
        self._device = device
        self._running: set[subprocess.Popen[bytes]] = set()
        self._copies = ExitStack()
        self._cache: str | None = None

    def __enter__(self) -> LocalTransport:
        self._cache = self._copies.enter_context(tempfile.TemporaryDirectory(prefix="hwnas-"))
        return self

    def __exit__(self, *exc: object) -> None:
        for process in tuple(self._running):
            self._kill(process)
        self._copies.close()
        self._cache = None

    @property
    def cache(self) -> str | None:
        """See ``Transport.cache``."""
        return self._cache

    def take_losses(self) -> Losses:
        """None: there is no link."""
        return Losses()

    def describe(self) -> Mapping[str, Any]:
        """Operating system, kernel, machine and number of CPUs."""
        return {
            "system": platform.system(),
            "kernel": platform.release(),
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
        }

    def push(self, local: Path) -> str:
        """The file's absolute path, or a copy's where that is no text; TransportError: it is not there."""
        if not local.is_file():
            raise TransportError(f"a file must be there to be used by an agent, but {local} is not")
        path = str(local.resolve())
        try:
            path.encode()
        except UnicodeEncodeError:  # what runtimes refuse; kept until this transport is closed
            folder = Path(self._copies.enter_context(tempfile.TemporaryDirectory(prefix="hwnas-")))
            return str(shutil.copyfile(local, folder / f"model{local.suffix}"))
        return path

    def run(self, agent: str, jobs: Sequence[Job], *, silence_s: float) -> Iterator[Reply]:
        """Run an agent on the jobs; see ``Transport.run``."""
        with (
            tempfile.TemporaryFile() as errors,
            tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".jsonl") as plan,
        ):
            _write(plan, jobs)
            words = self._command(agent, plan.name)
            _log.debug("%d jobs for %s", len(jobs), shlex.join(words))
            process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,  # closes when this process ends in whatever way
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # a group of its own, to be killed whole
            )
            self._running.add(process)
            try:
                yield from self._replies(agent, process, errors, silence_s)
            finally:
                self._kill(process)

    def require_agent(self, agent: str) -> None:
        """Raises AgentError where the agent is not there."""
        self._command(agent, "-")

    def _command(self, agent: str, plan: str) -> list[str]:
        """Words that start an agent on a plan."""
        if (system := platform.system()) != "Linux":
            raise TransportError(
                f"a machine must run Linux to measure itself, but this one runs {system or 'no system'}: "
                "measure on a phone, with --device android, or on a board that ssh reaches"
            )
        folder = (self._agents or files.shipped("profilers")) / agent
        device = self._device
        if device is not None and device.processor != CPU and (folder / "src").is_dir():
            bundle = _bundle.find(agent, _arch(device), device.processor)
            return [*_bundle.words(bundle, str(bundle.folder), device.options), "--plan", plan]
        program = folder / "agent.py"
        if not program.is_file():
            raise AgentError(f"an agent must be a folder with agent.py, but {program} is not there")
        return [sys.executable, str(program), "--plan", plan, "--lifeline"]

    def _replies(
        self, agent: str, process: subprocess.Popen[bytes], errors: IO[bytes], silence_s: float
    ) -> Iterator[Reply]:
        """Every reply; returns only after the goodbye."""
        has_begun = False
        for line in _lines(process, silence_s):
            has_begun = True
            reply = parse_reply(agent, line)
            yield reply
            if "bye" in reply:
                return
        with suppress(subprocess.TimeoutExpired):
            process.wait(_BYE_S)
        how, said = f"{agent} {ended(process.returncode)}", _tail(errors)
        if process.returncode == 1 and not has_begun and (own := _own_words(said)):
            raise AgentError(f"{own} (the agent {how})")
        raise AgentError(
            f"an agent must end with its goodbye, but {how}: {said or 'it wrote nothing to standard error'}"
        )

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        """End the whole group and wait for it."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        self._running.discard(process)


def _arch(device: Device) -> str:
    """Name of the bundle that this machine runs."""
    system, machine = platform.system(), platform.machine()
    if system != "Linux" or machine not in _bundle.ARCHITECTURES:
        raise AgentError(
            f"the {device.processor} of {device.name} must be one of Linux on x86_64 or aarch64, but this is "
            f"{system} on {machine}: measure on another machine"
        )
    return _bundle.ARCHITECTURES[machine]


def _write(plan: IO[str], jobs: Sequence[Job]) -> None:
    try:
        plan.writelines(json.dumps(dict(job)) + "\n" for job in jobs)
        plan.flush()
    except OSError as error:
        raise TransportError(
            f"a plan must be written to {plan.name}, but: {error}: free some space"
        ) from error


def _lines(process: subprocess.Popen[bytes], silence_s: float) -> Iterator[bytes]:
    """Lines of standard output; raises TransportTimeout after ``silence_s`` without one."""
    if process.stdout is None:
        raise TransportError("an agent's standard output must be a pipe, but is not")
    handle, rest = process.stdout.fileno(), b""
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_READ)
        while True:
            if not selector.select(silence_s):
                raise no_answer(silence_s)
            chunk = os.read(handle, 1 << 16)
            if not chunk:
                return
            *whole, rest = (rest + chunk).split(b"\n")
            yield from (line for line in whole if line.strip())
            if len(rest) > _LINE_BYTES:
                raise AgentError(f"a reply must be shorter than {_LINE_BYTES} bytes, but one is not")


def _own_words(said: str) -> str:
    """The sentence with which an agent did not begin, or which package it lacks; empty for anything else."""
    *before, last = said.splitlines() or [""]
    if found := _NO_MODULE.fullmatch(last):
        return (
            f"the Python module {found[1]} must be installed for the agent, but is not: install its package"
        )
    return last if not before or "is not installed" in last else ""


def _tail(errors: IO[bytes]) -> str:
    """The end of what the agent wrote to standard error."""
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - _TAIL_BYTES))
    return errors.read().decode(errors="replace").strip()
