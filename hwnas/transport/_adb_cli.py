"""ADB through the host's ``adb`` program: USB, Wi-Fi pairing and keys are its business."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from hwnas.errors import TransportError
from hwnas.transport import _program
from hwnas.transport._shell import LinkLost

_STATE_S = 15.0  # the first call may have to start adb's server

REMEDIES = {
    "unauthorized": "unlock the phone and accept the dialog 'Allow USB debugging?'",
    "no permissions": "let your user use the phone (on Linux: udev rules, and plug it in again)",
    "offline": "unplug the phone and plug it in again",
    "recovery": "start Android on the phone",
    "sideload": "start Android on the phone",
    "bootloader": "start Android on the phone",
}
"""What the user must do where adb gives a state that is not "device"."""


class AdbProgram:
    """A ``Shell`` on one phone.

    Args:
        serial: The phone's serial number, or host:port.
        program: The adb program.
    """

    def __init__(self, serial: str, program: str = "adb") -> None:
        self._serial = serial
        self._program = program
        self._adb = [program, "-s", serial]

    def connect(self) -> None:
        """Check that the phone answers; connect to it first where it is reached over the network."""
        state = self._state()
        if state != "device" and re.fullmatch(r"[^:]+:\d+|\[.*\]:\d+", self._serial):
            if state:  # a dead connection stays "offline" for ever
                _program.finish([self._program, "disconnect", self._serial], timeout_s=_STATE_S)
            _program.finish([self._program, "connect", self._serial], timeout_s=_STATE_S)
            state = self._state()
        if state == "device":
            return
        if state in ("unauthorized", "no permissions"):
            raise TransportError(
                f"a phone must be ready for adb, but {self._serial} is {state!r}: {REMEDIES[state]}"
            ).see("start/phone.md")
        raise LinkLost(
            f"a phone must be attached, but adb says that {self._serial} is {state or 'not there'}"
        )

    def _state(self) -> str:
        return dict(attached(self._program)).get(self._serial, "")

    def close(self) -> None:
        """Nothing is held between two commands."""

    def stream(self, command: str, *, quiet_s: float) -> Iterator[bytes]:
        """See ``Shell.stream``."""
        return _program.stream([*self._adb, "shell", command], quiet_s=quiet_s)

    def send(self, local: Path, remote: str) -> None:
        """See ``Shell.send``."""
        argv = [*self._adb, "push", str(local), remote]
        status, said = _program.finish(argv, timeout_s=_program.send_s(local))
        if not status:
            return
        refusal = re.search(r"remote .*", said)  # said by the phone, not by adb
        if refusal and "closed" not in refusal[0]:
            raise TransportError(
                f"a phone must take the files that it is sent, but for {local.name} it says: "
                f"{refusal[0].strip()}: free some space on it"
            )
        raise LinkLost(f"adb push says: {said.strip()[-300:]}")


def attached(program: str = "adb") -> list[tuple[str, str]]:
    """Serial number and state of every phone that adb sees.

    Raises:
        TransportError: adb is not there or fails.
    """
    status, said = _program.finish([program, "devices"], timeout_s=_STATE_S)
    if status:
        raise TransportError(f"`adb devices` must work, but says: {said.strip()[-300:]}")
    lines = [line for line in said.splitlines() if "\t" in line and not line.startswith("*")]
    pairs = (line.split("\t", 1) for line in lines)
    return [(serial.strip(), _plain(state)) for serial, state in pairs]


def _plain(state: str) -> str:
    """The state without the explanations that adb adds to some."""
    return (
        "no permissions" if state.startswith("no permissions") else state.split(";")[0].split("(")[0].strip()
    )
