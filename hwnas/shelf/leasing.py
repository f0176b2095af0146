"""Leases: who has a unit now. Nobody else gets it before it is given back, or its holder is gone."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

from hwnas.errors import DeviceError, TransportError
from hwnas.shelf.file import Shelf, Unit
from hwnas.web import tokens


@dataclass(frozen=True)
class Holding:
    """A unit, and who has it.

    Attributes:
        unit: Which.
        holder: Who has it, in words; empty where it is free.
    """

    unit: Unit
    holder: str = ""


class Lease(Protocol):
    """A unit that is ours for now."""

    @property
    def unit(self) -> Unit:
        """Which."""

    @property
    def is_held(self) -> bool:
        """Whether it is still ours; once it is not, it never is again."""

    def give_back(self) -> None:
        """Let others have it; whoever gave it back may do so again."""


class Leases(Protocol):
    """Who gives units out."""

    def take(self, device: str) -> Lease | None:
        """A unit of a device that is free; None where there is none."""

    def holdings(self) -> list[Holding]:
        """All units, in the order of the shelf."""


def opened(shelf: Shelf) -> Leases:
    """Who gives out the units of a shelf: locks beside its file, or its service.

    Raises:
        HwnasError: The token of the service cannot be read, or others can read it as well.
    """
    if shelf.service and shelf.token_file is not None:
        from hwnas.shelf.client import Service

        return Service(shelf.service, tokens.read(shelf.token_file))
    from hwnas.shelf.locks import Locks

    return Locks(shelf)


@contextmanager
def leased(shelf: Shelf, device: str, most: int | None = None) -> Iterator[list[Lease]]:
    """All units of a device that are free now; they are given back at the end.

    Args:
        shelf: Where they stand.
        device: Name of the descriptor.
        most: Not more than so many.

    Raises:
        DeviceError: There are none on the shelf.
        TransportError: Others have all of them.
    """
    leases = opened(shelf)
    with ExitStack() as stack:
        found: list[Lease] = []
        while len(found) != most and (lease := leases.take(device)) is not None:
            stack.callback(lease.give_back)
            found.append(lease)
        if not found:
            _refuse(leases.holdings(), shelf, device)
        yield found


def require_held(lease: Lease) -> None:
    """Raise TransportError where a unit is no longer ours: somebody else may measure on it."""
    if not lease.is_held:
        raise TransportError(
            f"a unit must be leased while it is measured on, but the lease of {lease.unit} was lost: "
            "start again"
        ).see("guides/shelf.md")


def own_name() -> str:
    """Who asks for a unit, in words."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # nobody of that number is known
        user = "somebody"
    return f"{user}@{socket.gethostname()}, process {os.getpid()}"


def _refuse(holdings: list[Holding], shelf: Shelf, device: str) -> None:
    own = [holding for holding in holdings if holding.unit.device == device]
    if not own:
        there = sorted({holding.unit.device for holding in holdings})
        raise DeviceError(
            f"a device must stand on the shelf {shelf.path}, but it has {there} and no {device!r}"
        ).see("guides/shelf.md")
    held = "; ".join(f"{holding.unit.serial} by {holding.holder}" for holding in own)
    raise TransportError(
        f"one {device} of the shelf must be free, but all are in use: {held}: wait for one, or add another"
    ).see("guides/shelf.md")
