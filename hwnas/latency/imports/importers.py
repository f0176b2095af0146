"""Other people's measurements: whole networks become a model, blocks become a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwnas import files
from hwnas.device import Target
from hwnas.errors import DataError, SpaceError
from hwnas.latency.bayes.device_prior import DevicePrior
from hwnas.latency.bayes.posterior import Posterior
from hwnas.latency.fitted import FittedModel
from hwnas.latency.imports.readers import latency, read_networks, read_rows, require_columns
from hwnas.latency.networks import Networks, groups
from hwnas.latency.store import evaluated
from hwnas.latency.workloads import parse_workload
from hwnas.space import SearchSpace
from hwnas.tables.table import LatencyTable, Round

HELD_OUT = 0.2
"""Share of distinct imported networks that the model is judged by and does not see."""


@dataclass(frozen=True)
class Provenance:
    """Where imported numbers come from.

    Attributes:
        source: Who measured, and where it was published.
        licence: Terms of use.
    """

    source: str
    licence: str

    def __post_init__(self) -> None:
        if not self.source.strip() or not self.licence.strip():
            raise DataError(
                "imported numbers must have an origin and a licence, "
                f"but got {self.source!r} and {self.licence!r}"
            )

    def of(self, path: Path) -> dict[str, str]:
        """What is recorded beside the numbers of a file."""
        return {
            "source": self.source,
            "licence": self.licence,
            "file": path.name,
            "file_sha256": files.sha256(path),
        }


def import_networks(
    path: Path, column: str, space: SearchSpace, target: Target, origin: Provenance, *, seed: int = 0
) -> FittedModel:
    """A model from whole-network latencies.

    Args:
        path: CSV or Parquet: a column ``arch`` with candidate numbers separated by spaces, and
            a column of milliseconds a device.
        column: The device's column.
        space: What the numbers select from.
        target: What the latencies are true of.
        origin: Recorded in the model.
        seed: Picks the fifth of the distinct networks that the model is judged by.

    Raises:
        DataError: A row is malformed or is no architecture of the space; its line is named.
    """
    file = read_networks(path, [column])
    for line, row in zip(file.lines, file.indices, strict=True):
        try:
            space.architecture(row.tolist())
        except SpaceError as error:
            raise DataError(
                f"rows must be architectures of {space.name}, but line {line} of {path} is none: {error}"
            ) from error
    numbers = groups(space, file.indices)  # copies of one network are all held out, or none of them is
    distinct = int(numbers.max()) + 1
    held = np.random.default_rng(seed).permutation(distinct)[: int(HELD_OUT * distinct)]
    found = Networks(space.name, file.indices, file.latency_ms[column])
    heldout, calibration = (
        found.at(np.flatnonzero(chosen)) for chosen in (np.isin(numbers, held), ~np.isin(numbers, held))
    )
    prior = DevicePrior(float(calibration.latency_ms.mean()))
    fitted = Posterior.learn(target, space, prior, calibration, origin.of(path))
    return evaluated(fitted, space, {"heldout": heldout, "calibration": calibration})


def import_blocks(path: Path, target: Target, origin: Provenance) -> LatencyTable:
    """A table from latencies of single blocks.

    Args:
        path: CSV or Parquet with the columns ``key`` (a workload, ``<block>@<shape>``) and
            ``latency_ms``.
        target: What the latencies are true of.
        origin: Recorded in the table.

    Raises:
        DataError: A row is malformed, describes no block, or repeats one; its line is named.
    """
    columns, rows = read_rows(path)
    require_columns(path, columns, ("key", "latency_ms"))
    found: dict[str, Round] = {}
    for line, row in rows:
        key = str(row["key"]).strip()
        try:
            parse_workload(key)
        except SpaceError as error:
            raise DataError(
                f"every row must hold a workload, but line {line} of {path} does not: {error}"
            ) from error
        if key in found:
            raise DataError(f"a workload must be there once, but line {line} of {path} repeats {key}")
        latency_ms = latency(path, line, "latency_ms", row["latency_ms"])
        found[key] = Round(key, "block", "import", 0, (latency_ms,), conditions={"line": line})
    if not found:
        raise DataError(f"a file of blocks must have at least one row, but {path} has none")
    return LatencyTable(target, {"imported": origin.of(path)}, found.values())
