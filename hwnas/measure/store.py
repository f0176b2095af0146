"""The table of a running profile: locked, continued where it stopped, appended durably."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from hwnas.device import Target
from hwnas.errors import SchemaMismatch, TableError
from hwnas.runs import outputs
from hwnas.tables.operations import require_same
from hwnas.tables.table import LatencyTable, Note, Round, append, recover


def missing_rounds(table: LatencyTable) -> int:
    """How many rounds the last session left, because its time was up or it was cut off."""
    ends = [note.facts for note in table.notes if note.moment == "end"]
    return int(ends[-1].get("missing", 0)) if ends else 0


def to_go_on(table: LatencyTable) -> str:
    """What to do where the time was up before the last session had measured all: the end of a sentence.

    To start again is of no use where exporting alone takes longer than the time that was given: then no
    round is begun however often it is tried.
    """
    last = next((note for note in reversed(table.notes) if note.moment == "end"), None)
    if last is None or any(item.session == last.session and not item.failed for item in table.rounds):
        return "start again to go on"
    minutes = math.ceil(sum(last.facts.get("seconds", {}).values()) / 6 + 1e-9) / 10
    return (
        f"nothing was measured, because exporting the models alone took up to {minutes:g} minutes, and would "
        f"again: give more than that (max_minutes)"
    )


class TableStore:
    """One profiler's hold on a table file. A context manager; entering it takes the lock.

    Attributes:
        table: What the file holds; None as long as it does not exist.

    Raises:
        TableError: Another profiler holds the file, or the file cannot be read.
        SchemaMismatch: The file is of another target.
    """

    def __init__(self, path: Path, target: Target) -> None:
        self.path = path
        self.table: LatencyTable | None = None
        self._target = target
        self._hold = ExitStack()

    def __enter__(self) -> TableStore:
        outputs.require_file(self.path, "a latency table")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_name(f".{self.path.name}.lock")
        invariant = "a table must be written by one profiler at a time"
        with ExitStack() as stack:
            stack.enter_context(outputs.hold(lock, invariant, str(self.path), TableError))
            self._read()
            self._hold = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hold.close()

    def _read(self) -> None:
        if not self.path.exists():
            return
        recover(self.path)
        if not self.path.stat().st_size:  # not even the header was finished
            self.path.unlink()
            return
        self.table = LatencyTable.load(self.path)
        if self.table.target != self._target:
            require_same(self._target, {}, self.table.target, {})

    def begin(self, environment: Mapping[str, Any]) -> LatencyTable:
        """Write the header, or check that the file was measured in the same environment.

        Raises:
            SchemaMismatch: Runtime, library, processor or anchor are not those of the file.
        """
        if self.table is None:
            self.table = LatencyTable(self._target, environment)
            self.table.save(self.path)
            return self.table
        try:
            require_same(self.table.target, self.table.environment, self._target, environment)
        except SchemaMismatch as error:
            raise SchemaMismatch(
                f"{self.path} cannot be continued: {error} (give another --out)", field=error.field
            ) from error
        return self.table

    def add(self, *rounds: Round) -> None:
        """Append finished rounds, all or none, and flush them to disk."""
        if self.table is None:
            raise TableError(f"a table must have been begun before rows are added, but {self.path} was not")
        if rounds:
            append(self.path, *rounds)
        for item in rounds:
            self.table.add(item)

    def note(self, *notes: Note) -> None:
        """Append notes."""
        if self.table is None:
            raise TableError(f"a table must have been begun before notes are added, but {self.path} was not")
        if notes:
            append(self.path, *notes)
        self.table.notes.extend(notes)

    def failed(self, sessions: Collection[str] | None = None) -> set[str]:
        """Keys whose last round failed; of some sessions, whose last one did in any of them."""
        rounds = self.table.rounds if self.table else ()
        if sessions is None:
            return {key for key, failed in {item.key: item.failed for item in rounds}.items() if failed}
        last = {(item.session, item.key): item.failed for item in rounds if item.session in sessions}
        return {key for (_, key), failed in last.items() if failed}
