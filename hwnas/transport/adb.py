"""Phones over ADB: which are attached, which descriptor each matches, and the way to one of them."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hwnas.device import Device
from hwnas.errors import DeviceError, TransportError
from hwnas.transport import _adb_cli, _phone
from hwnas.transport._adb_cli import REMEDIES, AdbProgram
from hwnas.transport._shell import Link, Shell
from hwnas.transport.remote import RemoteTransport

BACK_ENDS = ("adb", "tcp")

ATTACH = (
    "switch on USB debugging (Settings > Developer options), plug the phone in with a cable that carries "
    "data, accept the dialog on it, and look whether `adb devices` lists it; over Wi-Fi: `adb pair` and then "
    "`adb connect`"
)
"""What the user must do so that adb sees a phone."""


@dataclass(frozen=True)
class Attached:
    """A phone that the adb program sees.

    Attributes:
        serial: Its serial number, or host:port. Shown to the user, written nowhere.
        state: "device" where it can be used; otherwise what adb says of it.
        facts: What it says of itself; empty where it cannot be used.
    """

    serial: str
    state: str
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """Whether commands can be sent to it."""
        return self.state == "device"

    @property
    def remedy(self) -> str:
        """What the user must do; empty where it can be used."""
        return "" if self.ready else REMEDIES.get(self.state, f"adb says {self.state!r}: see `adb devices`")

    @property
    def title(self) -> str:
        """Maker and model, as it says."""
        names = ("ro.product.manufacturer", "ro.product.model")
        return " ".join(self.facts[name] for name in names if name in self.facts)


def installed() -> bool:
    """Whether the host has the adb program."""
    return shutil.which("adb") is not None


def attached() -> tuple[Attached, ...]:
    """Every phone that the adb program sees; none where there is no such program.

    Raises:
        TransportError: adb fails.
    """
    program = shutil.which("adb")
    if program is None:
        return ()
    return tuple(_look(program, serial, state) for serial, state in _adb_cli.attached(program))


def _look(program: str, serial: str, state: str) -> Attached:
    if state != "device":
        return Attached(serial, state)
    try:
        text = Link(AdbProgram(serial, program), patience_s=1.0).call(_phone.FACTS, quiet_s=10.0)
    except TransportError:
        return Attached(serial, "offline")
    return Attached(serial, state, _phone.facts(text))


def best_match(facts: Mapping[str, str], devices: Iterable[Device]) -> Device | None:
    """The phone's descriptor: of those whose rules all hold, the one with the most rules."""
    matching = [d for d in devices if d.transport == "adb" and d.matches(facts)]
    return max(matching, key=lambda d: len(d.match), default=None)


def open_phone(device: Device, serial: str | None = None) -> RemoteTransport:
    """The way to the phone that a descriptor means.

    Args:
        device: Its options may hold ``address`` (host:port) and ``back_end`` ("adb", the program, or
            "tcp", the package adb-shell); the program is taken where it is installed.
        serial: Which phone, where several match; a serial number or host:port.

    Raises:
        TransportError: No phone or several phones match, or the one that does is not ready.
        DeviceError: The back end is unknown.
    """
    wanted = serial or device.options.get("address")
    program = shutil.which("adb")
    back_end = device.options.get("back_end") or ("adb" if program else "tcp")
    if back_end not in BACK_ENDS:
        raise DeviceError(f"the option back_end must be one of {BACK_ENDS}, but got {back_end!r}")
    shell: Shell
    if back_end == "tcp":
        if not wanted:
            raise TransportError(
                f"{device.name} must be reached by the adb program or by its address, but neither is here: "
                "install Android's platform tools, or give it with --serial HOST:PORT, or as `address` in "
                "the [options] of its descriptor"
            ).see("start/phone.md")
        shell = _tcp_shell(device, str(wanted))
    else:
        wanted = wanted or choose(device, attached()).serial
        shell = AdbProgram(str(wanted), program or "adb")
    return RemoteTransport(shell, device, identity=str(wanted))


def _tcp_shell(device: Device, address: str) -> Shell:
    try:
        module = importlib.import_module("hwnas.transport._adb_tcp")
    except ImportError as error:
        raise TransportError(
            f"{device.name} must be reached by the adb program or the package adb-shell, but neither is "
            "here: install Android's platform tools, or `pip install 'hwnas[phone]'`"
        ).see("start/phone.md") from error
    shell: Shell = module.AdbTcp(address)
    return shell


def choose(device: Device, phones: Sequence[Attached]) -> Attached:
    """The one phone that is ready and matches; raises TransportError where there is not exactly one."""
    ready = [phone for phone in phones if phone.ready]
    matching = [phone for phone in ready if not device.match or device.matches(phone.facts)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        serials = ", ".join(f"{phone.serial} ({phone.title})" for phone in matching)
        raise TransportError(
            f"one phone must match {device.name}, but several do: {serials}: name one with --serial "
            "(profile, measure, devices doctor), or by the option serial in a copy of its descriptor"
        ).see("start/phone.md")
    waiting = [phone for phone in phones if not phone.ready]
    if waiting:
        seen = "; ".join(f"{p.serial} is {p.state!r}: {p.remedy}" for p in waiting)
    else:
        others = ", ".join(phone.title or phone.serial for phone in phones)
        seen = f"adb sees {others or 'none'} (`hwnas devices list` shows what each matches)"
    raise TransportError(f"a phone that matches {device.name} must be attached, but {seen}").see(
        "start/phone.md"
    )
