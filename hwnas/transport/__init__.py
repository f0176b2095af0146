"""Ways to a device, one a file."""

from __future__ import annotations

from hwnas.device import Device
from hwnas.errors import DeviceError
from hwnas.transport.base import Transport


def connect(device: Device) -> Transport:
    """The way to a device, to be entered as a context manager.

    Raises:
        DeviceError: There is no such transport.
    """
    if device.transport == "local":
        from hwnas.transport.local import LocalTransport

        return LocalTransport()
    raise DeviceError(f"a device must be reached by local, but {device.name} needs {device.transport!r}")


__all__ = ["Transport", "connect"]
