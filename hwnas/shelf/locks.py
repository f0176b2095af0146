"""Leases by locks on files, for those who share a machine and a shelf file.

The system lets go of the lock of a process that ended, however it ended.
"""

from __future__ import annotations

import json
import os
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


@dataclass
class FileLease:
    """A unit whose lock this process has: ``leasing.Lease``."""

    unit: Unit
    lock: FileLock

    @property
    def is_held(self) -> bool:
        """As of ``Lease``: the system keeps it for as long as the process is there."""
        return bool(self.lock.is_locked)

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
            self.folder.mkdir(exist_ok=True)
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

    def take_unit(self, unit: Unit, holder: str) -> FileLease | None:
        """This very unit, for somebody; None where another has it."""
        lock = self._lock(unit)
        try:
            lock.acquire(timeout=_LOOKED_AT_S)
        except Timeout:
            return None
        except OSError as error:
            raise DeviceError(f"leases must be kept in {self.folder}, but cannot: {error}") from error
        with suppress(OSError):
            _note(lock).write_text(json.dumps({"holder": holder}), encoding="utf-8")
        return FileLease(unit, lock)

    def holdings(self) -> list[Holding]:
        """As of ``Leases``."""
        return list(self._holdings())

    def _holdings(self) -> Iterator[Holding]:
        for unit in self.units:
            lock = self._lock(unit)
            try:
                with lock.acquire(timeout=0):
                    yield Holding(unit)
            except Timeout:
                yield Holding(unit, _holder(_note(lock)))

    def _lock(self, unit: Unit) -> FileLock:
        return FileLock(self.folder / f"{unit.id}.lock", mode=_SHARED, thread_local=False)


def _note(lock: FileLock) -> Path:
    """Where it stands who has a lock; the lock itself says whether."""
    return Path(os.fspath(lock.lock_file)).with_suffix(".json")


def _holder(note: Path) -> str:
    try:
        found: Any = json.loads(note.read_text(encoding="utf-8"))["holder"]
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
    return str(found)
