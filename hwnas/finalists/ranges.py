"""What a share of the range is of: latencies of this device, never of another machine.

A table that was measured elsewhere tells how blocks compare with the anchors, not what they take
here. So the fastest and the slowest network of the space are measured on the device, beside the
anchors, and the table is taken times what they say. Where that is not possible, shares are refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hwnas import device as devices
from hwnas import files
from hwnas.budget import Budget
from hwnas.errors import SchemaMismatch, TableError, TransportError
from hwnas.finalists.bench import Bench
from hwnas.finalists.latencies import LatencyConstraint
from hwnas.finalists.reading import Indices
from hwnas.latency import Source
from hwnas.latency.sources import fit_source
from hwnas.measure import Measurer, ProfileOptions
from hwnas.runs.folder import RunFolder
from hwnas.spaces.canonical import Canonical
from hwnas.statistics.bounds import span
from hwnas.tables.operations import ORIGIN, in_what, require_same
from hwnas.tables.table import LatencyTable

SCHEMA = "hwnas-ranges/1"


@dataclass(frozen=True)
class Here:
    """What is believed of a target on this device.

    Attributes:
        source: The table to fit a model to, in milliseconds of this device.
        range_ms: What the fastest and the slowest network take here; None where the table is of
            this device, so that its model says.
    """

    source: Source
    range_ms: tuple[float, float] | None = None


def resolve(
    budgets: Sequence[Budget],
    sources: Sequence[Source],
    run: Path,
    measure: bool,
    options: ProfileOptions,
    *,
    warn: Callable[[str], None] = lambda _: None,
) -> list[Here]:
    """The sources of some budgets, in milliseconds of the devices that are there; done once a run.

    Args:
        budgets: Each on a target.
        sources: The table of each.
        run: Folder of the run; what is measured is kept there.
        measure: Whether anything may be measured.
        options: How well to measure.
        warn: Told what was measured instead of what a table says.

    Raises:
        TableError: A share is of a range that was measured on another machine, and nothing may be
            or can be measured.
    """
    path = RunFolder(run).ranges
    known = _read(path)
    found = []
    for budget, source in zip(budgets, sources, strict=True):
        name = budget.name
        if name not in known:
            differs, reachable = _differs(source, options) if measure else (_shipped(source), False)
            if differs and reachable:
                known[name] = _measured(source, run, options)
                warn(_said(budget, source, known[name], differs))
                files.write_json(path, {"schema": SCHEMA, "ranges": known})
            elif differs and budget.is_share:
                raise TableError(_refused(budget, source, differs, measure))
        found.append(_here(source, known[name]) if name in known else Here(source))
    return found


def _read(path: Path) -> dict[str, Any]:
    """What was measured before, by target."""
    if not path.exists():
        return {}
    data = files.read_json(path, "the ranges of a run")
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise SchemaMismatch(f"ranges must be of schema {SCHEMA}, but {path} is not", field="schema")
    return dict(data["ranges"])


def _shipped(source: Source) -> str:
    return "" if source.own else f"it {in_what(ORIGIN)}"


def _differs(source: Source, options: ProfileOptions) -> tuple[str, bool]:
    """How a device is another than that of a table, empty where it is not; and whether it is there."""
    table = source.clock
    try:
        with Measurer(devices.load(table.target.device), options) as measurer:
            environment = measurer.environment(table.target)
    except TransportError:
        return _shipped(source), False
    try:
        require_same(table.target, table.environment, table.target, environment)
    except SchemaMismatch as error:
        return f"it {in_what(error.field)}", True
    return "", True


def _measured(source: Source, run: Path, options: ProfileOptions) -> dict[str, Any]:
    """Latency of the fastest and the slowest network, here and by the table's model."""
    model = fit_source(source)
    costs, canonical = model.costs(source.space), Canonical(source.space)
    ends: list[Indices] = [canonical.key(tuple(end.tolist())) for end in costs.ends]
    constraint = LatencyConstraint(Budget(model.target, math.inf), model)
    described = devices.load(model.target.device)
    with Bench(source.space, [constraint], {described.name: described}, {}, run, options) as bench:
        readings = bench.measure(ends, 1)
    here = [reading.ms for indices in ends for reading in readings[indices] if reading is not None]
    return {"range_ms": here, "table_range_ms": list(costs.range)}


def _here(source: Source, known: Mapping[str, Any]) -> Here:
    low, high = known["range_ms"]
    table_low, table_high = known["table_range_ms"]
    factor = math.sqrt(low / table_low * (high / table_high))
    return Here(replace(source, table=slowed(source.table, factor)), (low, high))


def slowed(table: LatencyTable, factor: float) -> LatencyTable:
    """A table of a machine on which everything but the anchors takes ``factor`` times as long."""
    rounds = []
    for item in table.rounds:
        conditions = dict(item.conditions)
        if conditions.get("thread_ms"):
            conditions["thread_ms"] = [factor * ms for ms in conditions["thread_ms"]]
        samples = tuple(factor * ms for ms in item.samples_ms)
        rounds.append(replace(item, samples_ms=samples, conditions=conditions))
    return LatencyTable(table.target, table.environment, rounds, table.notes)


def _said(budget: Budget, source: Source, known: Mapping[str, Any], differs: str) -> str:
    low, high = known["range_ms"]
    table_low, table_high = known["table_range_ms"]
    share = f"; {budget.text} is of that range" if budget.is_share else ""
    return (
        f"{budget.name}: the table ({source.path.name}) is of another machine ({differs}; its "
        f"range is {span(table_low, table_high)} ms), so the fastest and the slowest network of the "
        f"space were measured here: {span(low, high)} ms{share}"
    )


def _refused(budget: Budget, source: Source, differs: str, measure: bool) -> str:
    why = "the device is not there" if measure else "nothing is to be measured"
    return (
        f"a share of the range must be of this device's own latencies, but {budget.name}={budget.text} is of "
        f"a table that came from another machine ({differs}), and {why}: give milliseconds, "
        f"{'attach the device' if measure else 'leave out --no-measure'}, or run "
        f"{source.command}"
    )
