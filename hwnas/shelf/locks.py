"""Leases by locks on files, for those who share a machine and a shelf file.

The system lets go of the lock of a process that ended, however it ended. What a service gave out and did not
take back is kept until it is over, also where the service itself ended: notes beside the locks say so.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hwnas.errors import DeviceError
from hwnas.shelf.file import Shelf, Unit
from hwnas.shelf.leasing import Holding, own_name

_LOOKED_AT_S = 0.2  # longer than somebody takes who only looks whether it is free
_SHARED = 0o666  # whoever may use the folder may have a lease
_SOMEBODY = "another process"


@dataclass
class FileLease:
    """A unit whose lock this process has: ``leasing.Lease``."""

    unit: Unit
    lock: FileLock

    @property
    def is_held(self) -> bool:
        """As of ``Lease``: the system keeps it for as long as the process is there."""
        return bool(self.lock.is_locked)

    def note(self, holder: str, until: float | None = None) -> None:
        """Write beside the lock who has the unit; until when also without the lock, in seconds since 1970."""
        until_s = {} if until is None else {"until": until}
        with suppress(OSError):
            _note(self.lock).write_text(json.dumps({"holder": holder, **until_s}), encoding="utf-8")

    def give_back(self) -> None:
        """As of ``Lease``."""
        if self.lock.is_locked:
            with suppress(OSError):
                _note(self.lock).unlink(missing_ok=True)
            self.lock.release()


class Locks:
    """Gives out the units of a shelf file: ``leasing.Leases``.

    Raises:
        DeviceError: The folder of the locks cannot be made.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.units, self.folder = shelf.units, shelf.folder
        try:
            self.folder.mkdir()
            self.folder.chmod(stat.S_IMODE(self.folder.parent.stat().st_mode))  # who has the shelf has leases
        except FileExistsError:
            pass
        except OSError as error:
            raise DeviceError(
                f"leases must be kept in {self.folder}, but it cannot be made: {error}"
            ) from error

    def take(self, device: str) -> FileLease | None:
        """As of ``Leases``."""
        for unit in self.units:
            if unit.device == device and (lease := self.take_unit(unit, own_name())) is not None:
                return lease
        return None

    def take_unit(self, unit: Unit, holder: str, *, is_promised: bool = False) -> FileLease | None:
        """This very unit; None where another has it.

        Args:
            unit: Which.
            holder: For whom, in words.
            is_promised: Whether it is taken for the one whom a service gave it before.
        """
        lock = self._lock(unit)
        try:
            lock.acquire(timeout=_LOOKED_AT_S)
        except Timeout:
            return None
        except OSError as error:
            raise DeviceError(f"leases must be kept in {self.folder}, but cannot: {error}") from error
        if not is_promised and _promised(lock):
            lock.release()
            return None
        lease = FileLease(unit, lock)
        lease.note(holder)
        return lease

    def holdings(self) -> list[Holding]:
        """As of ``Leases``."""
        return list(self._holdings())

    def _holdings(self) -> Iterator[Holding]:
        for unit in self.units:
            lock = self._lock(unit)
            try:
                with lock.acquire(timeout=0):
                    yield Holding(unit, _promised(lock))
            except Timeout:
                yield Holding(unit, str(_noted(lock).get("holder", _SOMEBODY)))

    def _lock(self, unit: Unit) -> FileLock:
        return FileLock(self.folder / f"{unit.id}.lock", mode=_SHARED, thread_local=False)


def _note(lock: FileLock) -> Path:
    """Where it stands who has a lock; the lock itself says whether."""
    return Path(os.fspath(lock.lock_file)).with_suffix(".json")


def _noted(lock: FileLock) -> dict[str, Any]:
    """What stands beside a lock; nothing where nobody wrote it whole."""
    try:
        found: Any = json.loads(_note(lock).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _promised(lock: FileLock) -> str:
    """Who still has a unit that a service gave out, though nobody has its lock; empty where nobody."""
    found = _noted(lock)
    until = found.get("until")
    is_over = not isinstance(until, int | float) or until <= time.time()
    return "" if is_over else str(found.get("holder", _SOMEBODY))
