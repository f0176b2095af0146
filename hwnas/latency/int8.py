"""What int8 does not like, where tables say so: squeeze-and-excitation, hard swish."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from hwnas.space import Block, SearchSpace, Workload
from hwnas.tables.table import LatencyTable

LEAST = 0.9
"""A trait is named where it leaves less than this share of the speed-up that int8 gives without it."""

_PAIRS = 3  # of candidates that differ in the trait alone: fewer say too little

TRAITS: dict[str, dict[str, tuple[object, ...]]] = {
    "squeeze-and-excitation": {"se_ratio": (0.0,)},
    "hard swish": {"activation": ("relu", "relu6")},
}
"""A field of blocks and its values without the trait."""


def slow_in_int8(tables: Sequence[LatencyTable], space: SearchSpace) -> tuple[str, ...]:
    """One sentence a trait that costs much of int8's speed-up, on each device and runtime.

    Candidates with and without it, equal in all else, are compared: how many times as fast as in
    fp32 each of them is in int8.

    Args:
        tables: Of any targets; those of one device and runtime in both precisions are compared.
        space: Whose candidates are looked at; without such candidates nothing is said.
    """
    found = []
    by_target = {(t.target.device, t.target.runtime, t.target.precision): t for t in tables}
    for (device, runtime, precision), int8 in by_target.items():
        fp32 = by_target.get((device, runtime, "fp32"))
        if precision != "int8" or fp32 is None:
            continue
        for trait, values in TRAITS.items():
            ratios = [
                _speed_up(int8, fp32, with_it) / _speed_up(int8, fp32, without)
                for with_it, without in _pairs(space, values)
                if _measured(int8, fp32, with_it) and _measured(int8, fp32, without)
            ]
            if len(ratios) >= _PAIRS and median(ratios) < LEAST:
                found.append(
                    f"{trait} is slow in int8 on {device}/{runtime}: candidates with it keep "
                    f"{median(ratios):.0%} of the speed-up that int8 gives without (median of {len(ratios)})"
                )
    return tuple(found)


def _pairs(space: SearchSpace, values: Mapping[str, Sequence[object]]) -> Iterator[tuple[Workload, Workload]]:
    """Candidates with a trait, each with the one that lacks it and is equal in all else."""
    for workloads in space.choice_workloads:
        known = {(w.block, w.in_shape) for w in workloads}
        for workload in workloads:
            block, shape = workload.block, workload.in_shape
            for name, plain in values.items():
                if getattr(block, name, plain[0]) in plain or getattr(block, name) == "none":
                    continue
                others = (_without(block, name, value) for value in plain)
                for other in (o for o in others if (o, shape) in known):
                    yield workload, Workload(other, shape)


def _without(block: Block, name: str, value: object) -> Block:
    changed: Block = dataclasses.replace(block, **{name: value})  # type: ignore[type-var]
    return changed


def _measured(int8: LatencyTable, fp32: LatencyTable, workload: Workload) -> bool:
    return workload.key() in int8.measurements and workload.key() in fp32.measurements


def _speed_up(int8: LatencyTable, fp32: LatencyTable, workload: Workload) -> float:
    return fp32.lookup_ms(workload) / int8.lookup_ms(workload)
