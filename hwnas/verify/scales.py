"""The anchor latencies by which the promises on a device were made, and what is put on their scale."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwnas.device import Target
from hwnas.errors import SchemaMismatch
from hwnas.measure import Measured, measured
from hwnas.runs import records
from hwnas.tables import places
from hwnas.tables.operations import require_same
from hwnas.tables.table import LatencyTable, Reference


def tables_of(run: Path, device: str) -> Path:
    """The tables of a device that the budgets of a run were promised by: its chain's, or the user's own."""
    chain = records.chain_of(run)
    return places.of_device(device) if chain is None else chain.tables / device


class Scales:
    """The anchor latency that each target's predictions were made by.

    Args:
        recorded: What an earlier verification kept in the manifest.
        tables: Folder of latency tables, which come first.
    """

    def __init__(self, recorded: Mapping[str, Any], tables: Path | None) -> None:
        self._known = {name: Reference.from_json(data) for name, data in recorded.items()}
        self._tables = tables
        self.notes: list[str] = []

    def of(self, target: Target, environment: Mapping[str, Any]) -> Reference | None:
        """The scale of a target; None where it is not known, or is of another environment."""
        path = places.table(self._tables, target) if self._tables else None
        if path and path.is_file():
            self._known[str(target)] = LatencyTable.load(path).reference
        scale = self._known.get(str(target))
        if scale is None:
            return None
        try:
            require_same(scale.target, scale.environment, target, environment)
        except SchemaMismatch as error:
            self.notes.append(
                f"{target}: its {error.field} is not that of the promise, "
                "so its latency is that of this session"
            )
            return None
        return scale

    def put(self, own: LatencyTable) -> Measured:
        """A session on the scale of the device, to which what was promised by counts as well."""
        earlier = self.of(own.target, own.environment)
        found = measured(own, *([earlier] if earlier else []))
        if earlier or str(own.target) not in self._known:
            self._known[str(own.target)] = found.reference
        return found

    def to_json(self) -> dict[str, Any]:
        """For the manifest."""
        return {name: scale.to_json() for name, scale in self._known.items()}
