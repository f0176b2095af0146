"""What is done with whole tables: check that two fit together, merge them, compare them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, median
from typing import Any

from hwnas.device import Target
from hwnas.errors import SchemaMismatch, TableError
from hwnas.statistics.intervals import MAD_NORMAL, NORMAL_95
from hwnas.tables import conditions
from hwnas.tables.clock import Scale
from hwnas.tables.table import LatencyTable, Measurement

IDENTITY = ("runtime_version", "library_sha256", "machine", "cpu_model", "anchor", "gpu")
"""Fields of the environment that must agree before two sessions can stand in one table."""

ORIGIN = "came_with"
"""Field of the environment of a table that nobody here measured: its clock is not that of this machine,
although processors of one name, those of virtual machines above all, cannot be told apart."""

MACHINE = ("device", "processor", "machine", "cpu_model", "gpu")
"""Fields of target and environment that say what was measured on."""

WAY = ("runtime", "precision", "threads", "batch")
"""Fields of the target that say how a machine was made to run the models."""


_LEAST_ROUNDS = 6  # an interval of fewer says too little

CSV_COLUMNS = (
    "key",
    "kind",
    "latency_ms",
    "ci_low_ms",
    "ci_high_ms",
    "mad_ms",
    "p90_ms",
    "raw_median_ms",
    "rounds",
    "unstable",
)


def gpu_name(environment: Mapping[str, Any]) -> str:
    """The GPU that was measured, and whether it is none; empty where it was the CPU."""
    said = environment.get("gpu") or {}
    name = str(said.get("name") or "")
    return f"{name} (software, no GPU)" if said.get("software") else name


def in_what(field: str) -> str:
    """How a table differs, of the ``field`` that ``require_same`` named: "differs in cpu_model"."""
    return "came with hwnas" if field == ORIGIN else f"differs in {field}"


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
    fields = (*IDENTITY, ORIGIN)
    first = target.to_json() | {name: environment.get(name) for name in fields}
    second = other_target.to_json() | {name: other_environment.get(name) for name in fields}
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


@dataclass(frozen=True)
class Change:
    """One key in two tables.

    Attributes:
        key: Workload or network.
        before_ms: Latency in the first table.
        after_ms: Latency in the second table, on the first one's scale: as long as the anchors
            are the same, what slowed the whole machine is no change. As it was measured, where the
            tables are of different machines or ways to run.
        p_value: Probability of so large a difference where there is none.
        real: Whether it is a change and not noise.
        told: Whether there are rounds enough to tell, or nothing to tell of.
    """

    key: str
    before_ms: float
    after_ms: float
    p_value: float
    real: bool
    told: bool = True

    @property
    def relative(self) -> float:
        """The change over what was before."""
        return self.after_ms / self.before_ms - 1


@dataclass(frozen=True)
class Diff:
    """What two tables say of the same keys.

    Attributes:
        changes: Keys of both, the largest change first.
        only_before: Keys of the first table alone.
        only_after: Keys of the second table alone.
        anchor: Relative change of the light anchor: of the whole machine, or of the runtime.
        environment: Fields that differ, with both values.
        foreign: Those of them that say that the tables are of different machines: then there is no
            change, but a difference between machines.
        unlike: Those of them that say that models were run in different ways, such as int8 and
            fp32: then there is no change either, but a difference between those ways.
    """

    changes: tuple[Change, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    anchor: float
    environment: Mapping[str, tuple[Any, Any]]
    foreign: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()

    @property
    def untold(self) -> int:
        """How many rows differ, but have too few rounds to tell whether that is noise."""
        return sum(not change.told for change in self.changes)


def diff(
    before: LatencyTable, after: LatencyTable, *, least: float = 0.02, false_share: float = 0.05
) -> Diff:
    """Tell real change from noise.

    A change is real where it is larger than ``least`` and stands out of the intervals of both
    rows; of all changes called real, at most ``false_share`` are expected to be noise
    (Benjamini and Hochberg, Journal of the Royal Statistical Society B 57, 1995). Where both
    tables are of the same target, runtime and processor, it must also stand out of what most
    rows do: two sessions differ by more than the intervals within each of them say.

    Raises:
        SchemaMismatch: The tables have no common scale, because their anchors differ.
        TableError: There is nothing to compare, or ``least`` is no size of a change.
    """
    if not 0 <= least < math.inf:
        raise TableError(f"the least change must be a share of 0 or more, but got {least}: give 0.02, say")
    if before.environment.get("anchor") != after.environment.get("anchor"):
        raise SchemaMismatch(
            "compared tables must have the same anchor, but got "
            f"{before.environment.get('anchor')!r} and {after.environment.get('anchor')!r}",
            field="anchor",
        )
    first, second = before.measurements, after.measurements
    common = [key for key in first if key in second]
    if not common:
        rows = [f"{len(rows)} (such as {next(iter(rows))})" if rows else "none" for rows in (first, second)]
        raise TableError(
            f"compared tables must have a row in common, but none is, of {rows[0]} in the first and "
            f"{rows[1]} in the second: compare tables of the same space"
        )
    described = [table.target.to_json() | dict(table.environment) for table in (before, after)]
    names = dict.fromkeys((*described[0], *described[1]))
    differing = [name for name in names if described[0].get(name) != described[1].get(name)]
    foreign, unlike = (tuple(name for name in names if name in differing) for names in (MACHINE, WAY))
    is_as_it_was = bool(foreign or unlike)  # the anchors are not of one target then
    same = not is_as_it_was and not set(IDENTITY) & set(differing)
    rescaled = {
        key: second[key].latency_ms if is_as_it_was else _rescaled_ms(second[key], before.scale)
        for key in common
    }
    shifts = [math.log(rescaled[key] / first[key].latency_ms) for key in common]
    spread = MAD_NORMAL * median(abs(shift) for shift in shifts) if same and shifts else 0.0
    p_values = [
        _p_value(first[key], second[key], shift, spread) for key, shift in zip(common, shifts, strict=True)
    ]
    threshold = _benjamini_hochberg(p_values, false_share)
    changes = []
    for key, p_value in zip(common, p_values, strict=True):
        old, new = first[key].latency_ms, rescaled[key]
        large = abs(new / old - 1) > least
        told = not large or min(len(first[key].rounds), len(second[key].rounds)) >= _LEAST_ROUNDS
        changes.append(Change(key, old, new, p_value, p_value <= threshold and large, told))
    return Diff(
        changes=tuple(sorted(changes, key=lambda change: -abs(change.relative))),
        only_before=tuple(key for key in first if key not in second),
        only_after=tuple(key for key in second if key not in first),
        anchor=after.scale.light_ms / before.scale.light_ms - 1,
        environment={name: (described[0].get(name), described[1].get(name)) for name in differing},
        foreign=foreign,
        unlike=unlike,
    )


def _rescaled_ms(measured: Measurement, scale: Scale) -> float:
    """The same ratio to the anchors, with their latency on another scale."""
    return measured.latency_ms / measured.reference_ms * scale.at(measured.heavy_share)


def _p_value(before: Measurement, after: Measurement, shift: float, spread: float) -> float:
    """Of a two-sided test on the logarithms; the errors follow from the intervals."""
    width = 2 * NORMAL_95
    errors = [math.log(m.ci_ms[1] / m.ci_ms[0]) / width for m in (before, after)]
    error = math.hypot(*errors, spread)
    if min(len(before.rounds), len(after.rounds)) < _LEAST_ROUNDS or not error:
        return 1.0  # so few rounds, or none that differ, say too little
    return 2 * (1 - NormalDist().cdf(abs(shift) / error))


def _benjamini_hochberg(p_values: Sequence[float], false_share: float) -> float:
    """The largest p-value that still counts as a discovery; negative where none does."""
    passed = -1.0
    for rank, p_value in enumerate(sorted(p_values), start=1):
        if p_value <= false_share * rank / len(p_values):
            passed = p_value
    return passed


def to_csv(table: LatencyTable) -> str:
    """The estimates of a table, one row a key."""
    doubtful = conditions.unstable(table)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for key, m in table.measurements.items():
        interval = m.interval_ms or (None, None)
        numbers = (m.latency_ms, *interval, m.mad_ms, m.p90_ms, m.raw_median_ms)
        cells = ["" if number is None else f"{number:.6g}" for number in numbers]
        writer.writerow([key, m.kind, *cells, len(m.rounds), doubtful.get(key, "")])
    return text.getvalue()
