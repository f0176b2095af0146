"""What a layer in fp32 adds to a network's latency: by measured rows of its block, else by multiply-adds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hwnas.device import Target
from hwnas.errors import HwnasError
from hwnas.export.noise import LayerNoise
from hwnas.space import Architecture, Workload
from hwnas.tables import places
from hwnas.tables.table import LatencyTable

BY_MACS = "which stand for latency: no rows of both precisions were measured"
_LEAST_MS = 1e-4  # that a layer costs: rows are not told apart below


@dataclass(frozen=True)
class Added:
    """What fp32 adds.

    Attributes:
        each: By layer, over 0; in milliseconds where it was measured.
        is_measured: Whether it was.
        said: What it is by, in words.
    """

    each: Mapping[str, float]
    is_measured: bool
    said: str

    def ms(self, layers: Collection[str]) -> float | None:
        """Of some layers together; None where it was not measured."""
        return sum(self.each[name] for name in layers) if self.is_measured else None


def by_macs(noise: Sequence[LayerNoise]) -> Added:
    """Multiply-adds of each layer, for want of rows."""
    return Added({item.layer: float(item.macs) for item in noise}, False, BY_MACS)


def of_target(
    arch: Architecture, target: Target | None, homes: Sequence[Path] | None = None
) -> Callable[[Sequence[LayerNoise]], Added]:
    """What fp32 adds on a target: the rows of both precisions, or multiply-adds where there are none.

    A row is of a block: what fp32 adds to that is of its layers by their multiply-adds. What changing between
    precisions takes is not in the rows.

    Args:
        arch: The network that the layers are of.
        target: In int8; None where the network is for no target of the runtime.
        homes: Folders that tables may lie in; the user's own and the shipped ones by default.
    """

    def added(noise: Sequence[LayerNoise]) -> Added:
        blocks = [w for w in arch.workloads if not w.block.is_identity]
        block_of = {item.layer: _block(item.layer, len(blocks)) for item in noise}
        tables = None if target is None else _tables(target, homes or (places.own(), places.shipped()))
        more = None if tables is None else _more_ms(blocks, *tables)
        if target is None or more is None or None in block_of.values():
            return by_macs(noise)
        total: dict[int | None, int] = {}
        for item in noise:
            total[block_of[item.layer]] = total.get(block_of[item.layer], 0) + item.macs
        each = {
            item.layer: max(more[number] * item.macs / total[number], _LEAST_MS)
            for item in noise
            if (number := block_of[item.layer]) is not None
        }
        return Added(each, True, f"rows of blocks on {target.device}/{target.runtime}")

    return added


def _more_ms(blocks: Sequence[Workload], int8: LatencyTable, fp32: LatencyTable) -> list[float] | None:
    """How much longer each block takes in fp32; None where a table lacks one."""
    known = int8.measurements.keys() & fp32.measurements.keys()
    if any(each.key() not in known for each in blocks):
        return None
    return [fp32.lookup_ms(each) - int8.lookup_ms(each) for each in blocks]


def _block(layer: str, count: int) -> int | None:
    """The block that a layer is in; what makes the output has the name of that, and is in the last one."""
    first = layer.partition(".")[0]
    if first == "y":
        return count - 1
    return int(first) if first.isdecimal() and int(first) < count else None


def _tables(target: Target, homes: Sequence[Path]) -> tuple[LatencyTable, LatencyTable] | None:
    """The tables of a target in int8 and in fp32; None unless there are both."""
    found = [next(_loaded(replace(target, precision=name), homes), None) for name in ("int8", "fp32")]
    int8, fp32 = found
    return None if int8 is None or fp32 is None else (int8, fp32)


def _loaded(target: Target, homes: Sequence[Path]) -> Iterator[LatencyTable]:
    """Tables of a target; one that cannot be read is none."""
    for path in (path for home in homes for path in places.candidates(home, target)):
        try:
            table = LatencyTable.load(path) if path.is_file() else None
        except HwnasError:
            continue
        if table is not None and table.target == target:
            yield table
