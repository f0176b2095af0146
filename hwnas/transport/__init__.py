"""Ways to a device, one a file."""

from __future__ import annotations

import json
import os

from hwnas.device import TRANSPORTS, Device
from hwnas.errors import DeviceError
from hwnas.transport.base import Transport

SERIALS = "HWNAS_SERIALS"
"""Environment variable: a JSON object that says which unit of a device is meant, where nothing else does."""


def serials() -> dict[str, str]:
    """What the environment says, by the name of a device.

    Raises:
        DeviceError: It is no such object.
    """
    text = os.environ.get(SERIALS, "{}")
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(serial, str) for serial in found.values()):
        raise DeviceError(f"{SERIALS} must be a JSON object of serial numbers, but is {text!r}: unset it")
    return found


def connect(device: Device, serial: str | None = None) -> Transport:
    """The way to a device, to be entered as a context manager.

    Args:
        device: Its descriptor.
        serial: Which one, where several devices of this kind are attached; the option ``serial`` of
            the descriptor where it is not given, else what the environment says (``serials``).

    Raises:
        TransportError: The device is not there, or not ready.
        DeviceError: There is no such transport, or an option makes no sense.
    """
    if device.transport == "local":
        from hwnas.transport.local import LocalTransport

        _require_plain(device, serial)
        return LocalTransport(device=device)
    serial = serial or device.options.get("serial") or serials().get(device.name)
    if device.transport == "adb":
        from hwnas.transport.adb import open_phone

        return open_phone(device, serial)
    if device.transport == "ssh":
        from hwnas.transport.ssh import open_board

        return open_board(device, serial)
    raise DeviceError(f"a device must be reached by one of {TRANSPORTS}, but got {device.transport!r}")


def _require_plain(device: Device, serial: str | None) -> None:
    """Refuse for this machine what only phones and boards have, rather than not to do it and be silent."""
    given = {"serial": serial} | dict(device.options)
    words = ("serial", "agent_path", "op_profile")
    if asked := ["--" + name.replace("_", "-") for name in words if given.get(name)]:
        raise DeviceError(
            f"{', '.join(asked)} must be for a phone or a board, but {device.name} is this machine: leave it "
            "out or name another device"
        )


__all__ = ["Transport", "connect"]
