"""What is done with whole tables: check that two fit together, merge them, compare them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwnas.device import Target
from hwnas.errors import SchemaMismatch
from hwnas.table import LatencyTable

IDENTITY = ("runtime_version", "library_sha256", "machine", "cpu_model", "anchor")
"""Fields of the environment that must agree before two sessions can stand in one table."""


def require_same(
    target: Target,
    environment: Mapping[str, Any],
    other_target: Target,
    other_environment: Mapping[str, Any],
) -> None:
    """Refuse to mix what does not describe the same thing.

    Raises:
        SchemaMismatch: A field of the target or of the environment differs; it is named.
    """
    first = target.to_json() | {name: environment.get(name) for name in IDENTITY}
    second = other_target.to_json() | {name: other_environment.get(name) for name in IDENTITY}
    for name, value in first.items():
        if second[name] != value:
            raise SchemaMismatch(
                f"measurements of one table must agree in {name}, but got {value!r} and {second[name]!r}: "
                "keep them in separate tables",
                field=name,
            )


def merge(*tables: LatencyTable) -> LatencyTable:
    """One table with the sessions of all; each stays comparable through its anchor.

    A round that several tables hold (copies of one session) is taken once.

    Raises:
        SchemaMismatch: Two tables are not of the same target, runtime, library or processor.
        TableError: Two tables hold different rounds under the same name.
    """
    first, *others = tables
    merged = LatencyTable(first.target, first.environment, first.rounds, first.notes)
    known = {(item.key, item.session, item.number): item for item in first.rounds}
    for table in others:
        require_same(first.target, first.environment, table.target, table.environment)
        for item in table.rounds:
            identity = (item.key, item.session, item.number)
            if known.get(identity) != item:
                merged.add(item)
                known[identity] = item
        merged.notes += [note for note in table.notes if note not in merged.notes]
    return merged
