"""What a service of a shelf does: it gives units out for a while, and takes back what nobody renews.

It holds the locks of ``locks`` itself, so that those who use the shelf file at the same time are kept off.
What it gave out it writes down: after it was ended and started again, holders still have what they had. While
it runs, no clock that is set changes how long a lease lasts.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from filelock import FileLock, Timeout

from hwnas import files
from hwnas.errors import DeviceError, HwnasError
from hwnas.shelf.file import Shelf, Unit
from hwnas.shelf.leasing import Holding
from hwnas.shelf.locks import FileLease, Locks

LEASE_S = 60.0
"""How long a lease lasts that is not renewed."""


@dataclass(frozen=True)
class Granted:
    """A lease as the service keeps it.

    Attributes:
        lease: What it is renewed and given back by; nobody can guess it.
        unit: Id of the unit.
        holder: Who has it, in words.
        until: When it ends: by a clock that nobody sets while it is kept, in seconds since 1970 where it is
            written down.
    """

    lease: str
    unit: str
    holder: str
    until: float


class Desk:
    """Gives out units; safe to be used by several threads.

    Args:
        shelf: What there is.
        lease_s: How long a lease lasts that is not renewed.
        now: A clock that nobody sets.
        wall: Seconds since 1970.

    Raises:
        DeviceError: Another service gives out the same shelf, or leases cannot be kept beside it.
    """

    def __init__(
        self,
        shelf: Shelf,
        lease_s: float = LEASE_S,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._locks = Locks(shelf)
        self._alone = FileLock(shelf.folder / "service.lock")
        try:
            self._alone.acquire(timeout=0)
        except Timeout as error:
            raise DeviceError(
                f"a shelf must have one service, but another one gives out {shelf.path}: use that one, or "
                "end it"
            ) from error
        self._units = {unit.id: unit for unit in shelf.units}
        self._path = shelf.folder / "service.json"
        self.lease_s, self._now, self._wall = lease_s, now, wall
        self._guard = threading.Lock()
        self._held: dict[str, FileLease] = {}  # by unit
        self._granted: dict[str, Granted] = {}  # by unit
        self._remember()

    def take(self, device: str, holder: str) -> tuple[Granted, Unit] | None:
        """A free unit of a device; None where there is none."""
        with self._guard:
            self._expire()
            for unit in self._units.values():
                if unit.device == device and (granted := self._grant(unit, holder)) is not None:
                    return granted, unit
        return None

    def renew(self, lease: str) -> bool:
        """Let a lease last from now on; False where it is over."""
        with self._guard:
            self._expire()
            found = self._of(lease)
            if found is None:
                return False
            self._keep(replace(found, until=self._now() + self.lease_s))
            return True

    def give_back(self, lease: str) -> bool:
        """End a lease; False where it is over already."""
        with self._guard:
            found = self._of(lease)
            if found is not None:
                self._end(found.unit)
                self._write()
            return found is not None

    def holdings(self) -> list[Holding]:
        """All units, in the order of the shelf; those that the shelf file's users have among them."""
        with self._guard:
            self._expire()
            own = {unit: granted.holder for unit, granted in self._granted.items()}
            return [Holding(item.unit, own.get(item.unit.id, item.holder)) for item in self._locks.holdings()]

    def close(self) -> None:
        """Let go of the locks; what was given out stays written down."""
        with self._guard:
            while self._held:
                self._held.popitem()[1].lock.release()
            self._alone.release()

    def _grant(self, unit: Unit, holder: str) -> Granted | None:
        if unit.id in self._granted:
            return None
        lock = self._locks.take_unit(unit, holder)
        if lock is None:
            return None
        granted = Granted(secrets.token_urlsafe(24), unit.id, holder, self._now() + self.lease_s)
        self._held[unit.id] = lock
        self._keep(granted)
        return granted

    def _keep(self, granted: Granted) -> None:
        """Have it, and write it down: beside the unit's lock as well, for those who use the shelf file."""
        self._granted[granted.unit] = granted
        self._held[granted.unit].note(granted.holder, self._in_file(granted).until)
        self._write()

    def _in_file(self, granted: Granted) -> Granted:
        return replace(granted, until=granted.until - self._now() + self._wall())

    def _of(self, lease: str) -> Granted | None:
        return next(
            (
                g
                for g in self._granted.values()
                if secrets.compare_digest(g.lease.encode(), lease.encode("utf-8", "replace"))
            ),
            None,
        )

    def _expire(self) -> None:
        over = [unit for unit, granted in self._granted.items() if granted.until <= self._now()]
        for unit in over:
            self._end(unit)
        if over:
            self._write()

    def _end(self, unit: str) -> None:
        del self._granted[unit]
        if (lock := self._held.pop(unit, None)) is not None:
            lock.give_back()

    def _write(self) -> None:
        granted = [asdict(self._in_file(each)) for each in self._granted.values()]
        files.write_private(self._path, files.json_text(granted))

    def _remember(self) -> None:
        """What was given out before the service was started again, as far as it is not over."""
        if not self._path.exists():
            return
        try:
            found = [Granted(**item) for item in files.read_json(self._path, "what a service gave out")]
        except (HwnasError, TypeError) as error:
            raise HwnasError(
                f"{self._path} must hold what this service gave out, but does not: {error}: delete it once "
                "nobody measures any more"
            ) from error
        for granted in found:
            unit = self._units.get(granted.unit)
            left_s = min(granted.until - self._wall(), self.lease_s)
            if unit is None or left_s <= 0:
                continue
            lock = self._locks.take_unit(unit, granted.holder, is_promised=True)
            if lock is not None:
                self._held[unit.id] = lock
                self._keep(replace(granted, until=self._now() + left_s))
