"""Whole networks of one space with their measured latency."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwnas.errors import LatencyModelError, SpaceError
from hwnas.latency.base import FloatArray, IntArray
from hwnas.space import Block, SearchSpace
from hwnas.tables.table import LatencyTable


@dataclass(frozen=True)
class Networks:
    """Measured networks.

    Attributes:
        space: Name of their space.
        indices: Shape (n, choices).
        latency_ms: Shape (n,), finite and positive.
    """

    space: str
    indices: IntArray
    latency_ms: FloatArray

    def __post_init__(self) -> None:
        if self.indices.ndim != 2 or self.latency_ms.shape != self.indices.shape[:1]:
            raise LatencyModelError(
                "networks must have one latency each, but got the shapes "
                f"{self.indices.shape} and {self.latency_ms.shape}"
            )
        if not (np.isfinite(self.latency_ms).all() and (self.latency_ms > 0).all()):
            raise LatencyModelError("latencies must be finite and positive, but some are not")

    def __len__(self) -> int:
        return len(self.latency_ms)

    @property
    def keys(self) -> tuple[str, ...]:
        """Their keys in a latency table."""
        return tuple(f"net:{self.space}:{'.'.join(map(str, row))}" for row in self.indices)

    def at(self, rows: IntArray) -> Networks:
        """Those of some rows."""
        return Networks(self.space, self.indices[rows], self.latency_ms[rows])

    @classmethod
    def of_table(cls, table: LatencyTable, space: SearchSpace, kind: str) -> Networks:
        """The networks of a space that were measured for a purpose ("calibration", "heldout").

        Raises:
            LatencyModelError: A key does not describe an architecture of the space.
        """
        prefix = f"net:{space.name}:"
        found = {k: m.latency_ms for k, m in table.of_kind(kind).items() if k.startswith(prefix)}
        rows = [_indices(key, prefix, space) for key in found]
        indices = np.array(rows, dtype=np.int64).reshape(len(rows), len(space.sizes))
        return cls(space.name, indices, np.array(list(found.values())))


def groups(space: SearchSpace, indices: IntArray) -> IntArray:
    """The same number for rows that are the same network: identities do nothing, wherever they stand.

    Args:
        space: What the indices select from.
        indices: Shape (n, choices).

    Returns:
        Shape (n,), numbered from 0 on in the order of the rows.
    """
    seen: dict[tuple[Block, ...], int] = {}
    rows = [seen.setdefault(space.architecture(row).blocks, len(seen)) for row in indices.tolist()]
    return np.array(rows, dtype=np.int64)


def unseen(space: SearchSpace, heldout: Networks, seen: Networks) -> Networks:
    """The held-out networks that a model was not fitted to in another row."""
    numbers = groups(space, np.concatenate([heldout.indices, seen.indices]))
    return heldout.at(np.flatnonzero(~np.isin(numbers[: len(heldout)], numbers[len(heldout) :])))


def _indices(key: str, prefix: str, space: SearchSpace) -> tuple[int, ...]:
    try:
        return space.architecture([int(part) for part in key.removeprefix(prefix).split(".")]).indices
    except (ValueError, SpaceError) as error:
        raise LatencyModelError(
            f"a network's key must hold indices of an architecture of {space.name}, but got {key!r}: {error}"
        ) from error
