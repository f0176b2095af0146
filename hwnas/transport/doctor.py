"""The preflight: can this device be measured, and if not, what must the user do?

Each check says what it found and, where that will not do, the remedy; there is none without one.
Later checks need the ones before; the first that fails ends the examination.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hwnas import runtimes
from hwnas.device import Device
from hwnas.errors import AgentError, DeviceError, HwnasError, TransportError
from hwnas.runtimes.base import CPU
from hwnas.transport import _bundle, _gate, _phone, adb, connect
from hwnas.transport.base import Transport
from hwnas.transport.local import LocalTransport
from hwnas.transport.remote import RemoteTransport

OK, ABSENT, WARNING, FAILED = "ok", "absent", "warning", "failed"
"""What is absent need not be there."""

TOOLS = ("sha256sum", "setsid", "tail", "dd", "chmod", "mv", "env", "sed", "df")
_SPACE_MB = 200  # the bundle and the models of a large space
_SILENCE_S = 60.0
_PATIENCE_S = 10.0  # somebody is waiting for the answer
_NOT_EXECUTABLE, _FORBIDDEN_CALL = 126, 128 + 31  # statuses that shells give; 31 is SIGSYS

_REACH = "check the cable or the network, and that the device is on"


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        name: What was looked at.
        state: "ok", "absent", "warning" or "failed".
        found: What was found.
        remedy: What the user must do; empty only where the state is "ok".
    """

    name: str
    state: str
    found: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.state != OK and not self.remedy:
            raise DeviceError(f"a check that is not ok must say what to do, but {self.name} does not")


def examine(device: Device, serial: str | None = None) -> Iterator[Check]:
    """Look at a device, step by step.

    Args:
        device: Its descriptor.
        serial: Which one, where several match.
    """
    patience_s = min(_PATIENCE_S, float(device.options.get("patience_s", _PATIENCE_S)))
    try:
        with connect(device.with_options(patience_s=patience_s), serial) as transport:
            if isinstance(transport, RemoteTransport):
                yield from _examine_remote(transport, device)
            else:
                yield from _examine_local(transport, device)
    except HwnasError as error:
        yield Check("connection", FAILED, *split(error, adb.ATTACH if device.transport == "adb" else _REACH))


def _examine_local(transport: Transport, device: Device) -> Iterator[Check]:
    if isinstance(transport, LocalTransport):
        try:
            transport.require_agent(runtimes.get(device.runtimes[0]).agent)
        except DeviceError as error:
            yield Check("agent's files", FAILED, *split(error, _INSTALL))
            return
    yield _agent(transport, device)


def _examine_remote(transport: RemoteTransport, device: Device) -> Iterator[Check]:
    model = " ".join(str(v) for k, v in transport.facts().items() if k in _phone.NAMES) or "connected"
    yield Check("connection", OK, model)
    steps: tuple[Callable[[RemoteTransport, Device], Check], ...] = (
        _architecture,
        _tools,
        _space,
        _bundle_check,
        _agent,
        _cpus,
        _conditions,
        _screen,
    )
    for step in steps:
        check = step(transport, device)
        yield check
        if check.state == FAILED:
            return


def _architecture(transport: RemoteTransport, device: Device) -> Check:
    try:
        return Check("64-bit", OK, transport.arch())
    except AgentError as error:
        return Check("64-bit", FAILED, *split(error, "use another device"))


def _tools(transport: RemoteTransport, device: Device) -> Check:
    wanted = " ".join(TOOLS)
    text = transport.ask(f"for t in {wanted}; do command -v $t >/dev/null 2>&1 || echo $t; done")
    if not text.split():
        return Check("programs", OK, f"all {len(TOOLS)} that are needed")
    lacking = ", ".join(text.split())
    return Check(
        "programs", FAILED, f"{lacking} not there", "use a newer Android (9 or later), or install them"
    )


def _space(transport: RemoteTransport, device: Device) -> Check:
    folder = shlex.quote(transport.folder)
    text = transport.ask(f"mkdir -p {folder} && df -k {folder} | tail -n 1")
    sizes = re.search(r"\s(\d+)\s+(\d+)\s+(\d+)\s+\d+%", text)
    if sizes is None:
        return Check("free space", WARNING, f"df says {text.strip()!r}", f"see that {_SPACE_MB} MB are free")
    free_mb = int(sizes[3]) // 1024
    if free_mb >= _SPACE_MB:
        return Check("free space", OK, f"{free_mb} MB in {transport.folder}")
    remedy = f"free {_SPACE_MB} MB, for example with `hwnas devices clean {device.name}`"
    return Check("free space", FAILED, f"{free_mb} MB in {transport.folder}", remedy)


def _bundle_check(transport: RemoteTransport, device: Device) -> Check:
    agent_path = device.options.get("agent_path")
    try:
        transport.require_agent()
        if agent_path:
            return Check("agent's files", OK, f"benchmark_model from {agent_path}")
        bundle = _bundle.find(runtimes.get(device.runtimes[0]).agent, transport.arch(), device.processor)
        said = transport.ask("getconf PAGE_SIZE 2>/dev/null").strip()
        aligned = _bundle.require_aligned(bundle.folder, bundle.arch, int(said) if said.isdecimal() else 0)
    except DeviceError as error:
        return Check("agent's files", FAILED, *split(error, "build the agent again"))
    fit = f"fit for pages of {min(aligned, _LARGE_PAGE) // 1024} KB"
    return Check("agent's files", OK, f"{bundle.name}, all digests right, {fit}")


def _agent(transport: Transport, device: Device) -> Check:
    """Start the agent without a job."""
    try:
        agent = runtimes.get(device.runtimes[0]).agent
    except DeviceError as error:
        return Check("agent starts", FAILED, *split(error, _INSTALL))
    try:
        replies = list(transport.run(agent, [], silence_s=_SILENCE_S))
    except (DeviceError, TransportError) as error:
        is_remote = isinstance(transport, RemoteTransport)
        remedy = _start_remedy(str(error), device) if is_remote else _INSTALL
        return Check("agent starts", FAILED, str(error), remedy)
    hello: Mapping[str, Any] = next((reply["hello"] for reply in replies if "hello" in reply), {})
    version = f"{hello.get('runtime')} {hello.get('runtime_version') or ''}".strip()
    there = [str(name) for name in hello.get("processors") or [CPU]]
    if device.processor not in there:
        why = f": {hello['no_gpu']}" if hello.get("no_gpu") else ""
        remedy = f"see that the {device.processor} has its driver, and that {hello.get('runtime')} can use it"
        return Check("agent starts", FAILED, f"{version} runs on {', '.join(there)} only{why}", remedy)
    where = hello.get("cpu_model") if device.processor == CPU else _gpu(hello) or f"the {device.processor}"
    return Check("agent starts", OK, f"{hello.get('agent')}: {version} on {where}")


def _gpu(hello: Mapping[str, Any]) -> str:
    """The GPU that is used, and all that are there where the agent lists them."""
    used, listed = (
        _adapter(hello.get("gpu") or {}),
        [_adapter(found) for found in hello.get("adapters") or ()],
    )
    return f"{used} (there are: {'; '.join(listed)})" if len(listed) > 1 else used


def _adapter(said: Mapping[str, Any]) -> str:
    words = (said.get("name"), said.get("driver"), "software, no GPU" if said.get("software") else None)
    return ", ".join(str(word) for word in words if word)


_LARGE_PAGE = 16384  # the largest that Android uses
_INSTALL = "install hwnas again: its runtimes come with it"


def _start_remedy(message: str, device: Device) -> str:
    status = re.search(r"ended with (\d+)", message)
    if status and int(status[1]) == _FORBIDDEN_CALL:
        return "the system forbids a call of the agent's C library: run over adb, not from inside an app"
    if status and int(status[1]) == _NOT_EXECUTABLE:
        return "programs must not run from that folder: name another with the option folder"
    if device.processor != CPU and not device.options.get("agent_path"):
        return (
            "the agent for GPUs uses the system's libraries: glibc 2.34 or later and libstdc++ must be there"
        )
    return "give Google's benchmark_model instead: --agent benchmark_model --agent-path FILE"


def _cpus(transport: RemoteTransport, device: Device) -> Check:
    groups = transport.clusters()
    if not groups:
        return Check("CPUs", WARNING, "the device does not tell", "numbers may mix fast and slow CPUs")
    wanted = str(device.options.get("cluster", "fastest"))
    try:
        chosen = _phone.choose_cpus(groups, wanted, device.threads)
    except DeviceError as error:
        return Check("CPUs", FAILED, *split(error, "change threads or cluster in a descriptor of your own"))
    listing = "; ".join(
        f"{len(g.cpus)} x {g.max_khz / 1e6:.2f} GHz" if g.max_khz else f"{len(g.cpus)}" for g in groups
    )
    found = f"{listing}; runs go to {', '.join(map(str, chosen))} ({wanted})"
    everything = _phone.clusters({k: v for k, v in transport.facts().items() if k != "cpus_allowed"})
    if not set(everything[0].cpus) & {cpu for group in groups for cpu in group.cpus}:
        remedy = (
            "wake the phone and keep its screen on: Android takes fast CPUs away from what is in the dark"
        )
        return Check("CPUs", WARNING, f"the fastest ones may not be used now; {found}", remedy)
    return Check("CPUs", OK, found)


def _conditions(transport: RemoteTransport, device: Device) -> Check:
    found = transport.conditions()
    if not found:
        return Check("heat and battery", WARNING, "the device does not tell", "watch them yourself")
    reasons = _gate.Gate.of(device.options).reasons(found)
    names = {"battery_percent": "{} % charged", "battery_c": "battery {} °C", "thermal_status": "status {}"}
    text = ", ".join(form.format(found[name]) for name, form in names.items() if name in found)
    if reasons:
        remedy = "let the phone cool and charge; a run waits for that by itself, within limits"
        return Check("heat and battery", WARNING, "; ".join(reasons), remedy)
    return Check("heat and battery", OK, text or "nothing against it")


def _screen(transport: RemoteTransport, device: Device) -> Check:
    found = transport.conditions()
    if found.get("power_saver"):
        return Check("screen and power", WARNING, "power saver is on", "switch it off: it limits the clocks")
    if found.get("screen") == "OFF" or found.get("wakefulness") in ("Asleep", "Dozing"):
        remedy = "wake the phone and let it stay awake while it charges (developer options)"
        return Check("screen and power", WARNING, "the screen is off: slow CPUs may be all there is", remedy)
    return Check("screen and power", OK, "awake" if found else "not told")


def split(error: Exception, otherwise: str) -> tuple[str, str]:
    """What was found and the remedy, from a message of the form "invariant, but got values: remedy".

    Args:
        error: Holds the message.
        otherwise: The remedy, where the message has none.
    """
    found, _, remedy = str(error).rpartition(": ")
    return (found, remedy) if found else (str(error), otherwise)
