"""Shelf files: which devices stand on it and how each is reached, or who gives them out.

A file with devices::

    [[unit]]
    device = "pixel"              # as in `hwnas devices list`
    serial = "192.0.2.7:5555"     # serial number, HOST:PORT, or USER@HOST of a board

and one of somebody who borrows from a service (``hwnas devices serve``)::

    service = "http://127.0.0.1:8750"
    token_file = "~/.config/hwnas/shelf.token"
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hwnas import device
from hwnas.errors import DeviceError

_UNITS: dict[str, Any] = {"unit": [{"device": str, "serial": str}]}
_SERVICE: dict[str, Any] = {"service": str, "token_file": str}
_ADB_PORT = 5555


@dataclass(frozen=True)
class Unit:
    """One device of a shelf.

    Attributes:
        device: Name of its descriptor.
        serial: Which one: serial number, HOST:PORT or USER@HOST. Shown to the user, written into no table.
    """

    device: str
    serial: str

    @property
    def id(self) -> str:
        """A name for files and addresses, which does not tell the serial number."""
        return hashlib.sha256(f"{self.device}\n{self.serial}".encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return f"{self.device} {self.serial}"


@dataclass(frozen=True)
class Shelf:
    """What a shelf file says.

    Attributes:
        path: The file.
        units: The devices; none where a service has them.
        service: Address of the service that gives them out; empty where this file says which there are.
        token_file: What the service is shown.
    """

    path: Path
    units: tuple[Unit, ...] = ()
    service: str = ""
    token_file: Path | None = None

    @property
    def folder(self) -> Path:
        """Where it is kept who has what: beside the file itself, by whatever link it is reached."""
        file = self.path.resolve()
        return file.with_name(f".{file.name}.leases")


def read(path: Path) -> Shelf:
    """Read a shelf file.

    Raises:
        DeviceError: It is none, names a device that is not described, or one unit twice.
    """
    data = device.described(path, "a shelf", _shape)
    _require_known(data, _shape(data), path)
    for item in data.get("unit", ()):
        _require_known(item, _UNITS["unit"][0], path)
    return _of_service(data, path) if "service" in data else _of_units(data, path)


def _shape(data: Mapping[str, Any]) -> dict[str, Any]:
    return _SERVICE if "service" in data else _UNITS


def _require_known(data: Mapping[str, Any], known: Collection[str], path: Path) -> None:
    if odd := sorted(set(data) - set(known)):
        raise DeviceError(
            f"a shelf must hold {', '.join(known)} in that place, but {path} has {', '.join(odd)}: drop it"
        ).see("guides/shelf.md")


def _of_units(data: dict[str, Any], path: Path) -> Shelf:
    units = tuple(Unit(**item) for item in data["unit"])
    known = device.load_all()
    for number, unit in enumerate(units):
        if unit.device not in known:
            raise DeviceError(
                f"a unit must be a device of {sorted(known)}, but {path} has {unit.device!r}: describe it, "
                "or name another"
            ).see("guides/shelf.md")
        if known[unit.device].transport == "local" or not unit.serial:
            raise DeviceError(
                f"a unit must be a phone or a board with a serial number or an address, but {path} has "
                f"{str(unit)!r}: mend that entry"
            ).see("guides/shelf.md")
        if _place(unit.serial) in [_place(other.serial) for other in units[:number]]:
            raise DeviceError(
                f"a unit must stand on a shelf once, but {path} has {unit.serial} twice: drop one"
            ).see("guides/shelf.md")
    if not units:
        raise DeviceError(f"a shelf must hold at least one unit, but {path} has none: add a [[unit]]").see(
            "guides/shelf.md"
        )
    return Shelf(path, units)


def _place(serial: str) -> str:
    """The same for two ways to write one address: host names in any case, and adb's usual port."""
    user, at, host = serial.lower().rpartition("@")
    name, colon, port = host.partition(":")
    where = "127.0.0.1" if name == "localhost" else name
    is_address = not at and where.count(".") == 3 and where.replace(".", "").isdigit()
    return f"{user}{at}{where}" + (f":{port or _ADB_PORT}" if colon or is_address else "")


def _of_service(data: dict[str, Any], path: Path) -> Shelf:
    try:
        address = urlsplit(data["service"])
        is_known = address.scheme in ("http", "https") and address.hostname and not address.username
        is_known = is_known and (address.port is None or address.port > 0)
    except ValueError:  # brackets of no address, a port that is no number
        is_known = False
    if not is_known:
        raise DeviceError(
            f"the service of a shelf must be http://HOST:PORT or https://HOST, but {path} has "
            f"{data['service']!r}: mend that line"
        ).see("guides/shelf.md")
    token_file = path.parent / Path(data["token_file"]).expanduser()
    return Shelf(path, service=data["service"].rstrip("/"), token_file=token_file)
