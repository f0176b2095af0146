"""What callers may give: names, paths or objects."""

from __future__ import annotations

from pathlib import Path

from hwnas import device, spaces
from hwnas.device import Device
from hwnas.space import SearchSpace

AnySpace = str | SearchSpace
AnyDevice = str | Device
AnyPath = str | Path


def space_of(given: AnySpace) -> SearchSpace:
    """The space itself, or the one of a name."""
    return spaces.load(given) if isinstance(given, str) else given


def device_of(given: AnyDevice) -> Device:
    """The device itself, or the one of a name."""
    return device.load(given) if isinstance(given, str) else given
