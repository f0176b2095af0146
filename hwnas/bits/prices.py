"""What precisions of layers cost: by rows of layers and switches, of blocks, else by multiply-adds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hwnas.bits.costs import PrecisionRows
from hwnas.bits.rows import FINEST, WHOLE, states_of
from hwnas.device import Target
from hwnas.errors import HwnasError
from hwnas.export.mixed import NetworkLayer
from hwnas.latency.base import Cost
from hwnas.space import Architecture, Workload
from hwnas.tables import places
from hwnas.tables.table import LatencyTable

BY_MACS = "which stand for latency: no rows of both precisions were measured"
_LEAST_MS = 1e-4  # that a layer in fp32 adds to its block: rows are not told apart below

Indices = tuple[int, ...]
"""Of each layer the number of its precision."""


@dataclass(frozen=True)
class Prices:
    """What a network costs with its layers in some precisions.

    Attributes:
        states: Precisions that a layer may have; int8 is the first.
        costs: Over a slot a layer and a state a precision.
        said: What it is by, in words.
    """

    states: tuple[str, ...]
    costs: Cost
    said: str

    def of(self, indices: Indices) -> float:
        """What it costs in all."""
        return float(self.costs.of(np.array([indices]))[0])

    def added(self, indices: Indices) -> float:
        """What it costs over int8 throughout; less than 0 where int8 is the slower one."""
        return self.of(indices) - self.of((0,) * len(indices))

    def added_ms(self, indices: Indices) -> float | None:
        """The same; None where it was not measured."""
        return self.added(indices) if self.costs.unit == "ms" else None

    def said_added(self, indices: Indices) -> str:
        """The same with its unit."""
        return f"{self.added(indices):+.3g} {self.costs.unit}"


PricesOf = Callable[[Sequence[NetworkLayer]], Prices]


def by_macs(layers: Sequence[NetworkLayer]) -> Prices:
    """Multiply-adds that are not int8, for want of rows: what 16x8 costs is not known by them."""
    each = tuple(np.array([0.0, float(layer.workload.macs)]) for layer in layers)
    return Prices((WHOLE, FINEST), Cost(0.0, each, "MACs"), BY_MACS)


def of_target(arch: Architecture, target: Target | None, homes: Sequence[Path] | None = None) -> PricesOf:
    """What precisions cost on a target, by the best that tables hold.

    Rows of layers and switches are those of ``rows.measured``. Else, rows of blocks in int8 and in fp32:
    what fp32 adds to a block is of its layers by their multiply-adds, and what changing between precisions
    takes is not in the rows. Else multiply-adds.

    Args:
        arch: The network that the layers are of.
        target: In int8; None where the network is for no target of the runtime.
        homes: Folders that tables may lie in; the user's own and the shipped ones by default.
    """

    def prices(layers: Sequence[NetworkLayer]) -> Prices:
        found = (
            []
            if target is None
            else [_tables(target, home) for home in homes or (places.own(), places.shipped())]
        )
        where = "" if target is None else f"{target.device}/{target.runtime}"
        by_layers = (_by_layers(layers, tables, where) for tables in found)
        by_blocks = (_by_blocks(layers, arch, tables, where) for tables in found)
        return next((each for each in (*by_layers, *by_blocks) if each is not None), None) or by_macs(layers)

    return prices


_Tables = Mapping[str, LatencyTable]
"""By precision, as far as there are any."""


def _by_layers(layers: Sequence[NetworkLayer], tables: _Tables, where: str) -> Prices | None:
    """By rows of layers and switches, in all precisions that are of use; None unless int8 and fp32 have them.

    Of use is fp32, and what is cheaper than that for some layer.
    """
    said = f"rows of layers and switches on {where}"
    for states in (tuple(tables), (WHOLE, FINEST)):
        rows = PrecisionRows({state: tables[state] for state in states if state in tables})
        if {WHOLE, FINEST} <= rows.tables.keys() and rows.covers(layers):
            found = Prices(rows.states, rows.costs(layers), said)
            useful = _useful(found)
            if useful == rows.states:
                return found
            kept = PrecisionRows({state: tables[state] for state in useful})
            return Prices(useful, kept.costs(layers), said)
    return None


def _useful(prices: Prices) -> tuple[str, ...]:
    """int8, fp32, and what is cheaper than fp32 for some layer: what is dearer is coarser all the same."""
    finest = prices.states.index(FINEST)
    cheaper = {
        state
        for number, state in enumerate(prices.states)
        if any(costs[number] < costs[finest] for costs in prices.costs.choices)
    }
    return tuple(state for state in prices.states if state in {WHOLE, FINEST} | cheaper)


def _by_blocks(
    layers: Sequence[NetworkLayer], arch: Architecture, tables: _Tables, where: str
) -> Prices | None:
    """By rows of blocks in int8 and fp32; None where a row is missing, or a layer is in no block."""
    if not {WHOLE, FINEST} <= tables.keys():
        return None
    blocks = [w for w in arch.workloads if not w.block.is_identity]
    more = _more_ms(blocks, tables[WHOLE], tables[FINEST])
    block_of = [_block(layer.name, len(blocks)) for layer in layers]
    if more is None or None in block_of:
        return None
    macs = [layer.workload.macs for layer in layers]
    total = {n: sum(m for m, of in zip(macs, block_of, strict=True) if of == n) for n in block_of}
    each = [
        np.array([0.0, max(more[n] * m / total[n], _LEAST_MS)])
        for m, n in zip(macs, block_of, strict=True)
        if n is not None
    ]
    return Prices((WHOLE, FINEST), Cost(0.0, tuple(each)), f"rows of blocks on {where}, without switches")


def _more_ms(blocks: Sequence[Workload], int8: LatencyTable, fp32: LatencyTable) -> list[float] | None:
    """How much longer each block takes in fp32; None where a table lacks one."""
    known: Collection[str] = int8.measurements.keys() & fp32.measurements.keys()
    if any(each.key() not in known for each in blocks):
        return None
    return [fp32.lookup_ms(each) - int8.lookup_ms(each) for each in blocks]


def _block(layer: str, count: int) -> int | None:
    """The block that a layer is in; what makes the output has the name of that, and is in the last one."""
    first = layer.partition(".")[0]
    if first == "y":
        return count - 1
    return int(first) if first.isdecimal() and int(first) < count else None


def _tables(target: Target, home: Path) -> dict[str, LatencyTable]:
    """The tables of a target in a folder, in each precision that its files mix."""
    found = {}
    for state in states_of(target.runtime):
        table = next(_loaded(replace(target, precision=state), home), None)
        if table is not None:
            found[state] = table
    return found


def _loaded(target: Target, home: Path) -> Iterator[LatencyTable]:
    """Tables of a target; one that cannot be read is none."""
    for path in places.existing([home], target):
        try:
            table = LatencyTable.load(path)
        except HwnasError:
            continue
        if table.target == target:
            yield table
