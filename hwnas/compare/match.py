"""Which width of a family is as fast as a given network? Measured, not counted.

Latency does not depend on weights, so that the candidates are untrained. They lie on the grid
of channel roundings: widths that round to the same channels are one network. A search of a few
sessions halves in on the network, which is measured beside the candidates in each of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hwnas import known
from hwnas.device import Target
from hwnas.export import for_timing, random_module
from hwnas.measure import Measurer, OnProgress, in_rounds, measured
from hwnas.runs.comparison import Candidate
from hwnas.space import Architecture

_STEP, _NARROWEST, _WIDEST = 0.01, 0.1, 3.0
_CANDIDATES = 6  # a session
_SESSIONS = 4
_CLOSE = 0.01  # no session is begun where a candidate is as near as this
_REACH = 3.0  # the first session spans MACs from a third of the network's to three times as many


def grid(family: str, like: Architecture) -> tuple[tuple[str, Architecture], ...]:
    """Distinct networks of a family for the input and classes of another, by rising MACs."""
    widths: Sequence[float] | None = known.family(family.partition("+")[0]).widths
    if widths is None:
        count = round((_WIDEST - _NARROWEST) / _STEP) + 1
        widths = [round(_NARROWEST + _STEP * n, 4) for n in range(count)]
    found: dict[Any, tuple[str, Architecture]] = {}
    for width in widths:
        name = known.named(family).at(width)
        arch = known.load(name, resolution=like.space.input_shape[1], num_classes=like.space.num_classes)
        same = found.get(arch.blocks)
        if same is None or len(name) < len(same[0]):  # 0.5 and not 0.49
            found[arch.blocks] = (name, arch)
    return tuple(sorted(found.values(), key=lambda pair: pair[1].macs))


def nearest(
    family: str,
    like: Architecture,
    model: Path,
    measurer: Measurer,
    target: Target,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[Candidate, tuple[Candidate, ...]]:
    """The network of a family whose measured latency is nearest to that of ``model``.

    Args:
        family: Name of a family of baselines.
        like: The network that ``model`` was exported from.
        model: Its file for ``target``.
        measurer: Where to measure, and how well.
        target: What to measure.
        tell: Told what is being measured.

    Returns:
        The nearest, and all that were measured, by rising MACs.

    Raises:
        SpaceError: There is no such family.
        HwnasError: Exporting or measuring failed.
    """
    networks = grid(family, like)
    macs = [arch.macs for _, arch in networks]
    measured: dict[int, Candidate] = {}
    wanted = first(macs, like.macs)
    for _ in range(_SESSIONS):
        said = f"measuring {', '.join(networks[i][0] for i in wanted)} on {target}"
        tell(said)
        measured |= _session({i: networks[i] for i in wanted}, model, measurer, target, in_rounds(tell, said))
        best = min(measured.values(), key=lambda c: abs(math.log(c.ratio)))
        wanted = further({i: c.ratio for i, c in measured.items()}, len(networks))
        if not wanted or abs(math.log(best.ratio)) <= _CLOSE:
            break
    return best, tuple(measured[i] for i in sorted(measured))


def first(macs: Sequence[int], wanted: int) -> list[int]:
    """Positions to begin with: evenly spaced by the logarithm of MACs, around those wanted."""
    around = np.geomspace(wanted / _REACH, wanted * _REACH, _CANDIDATES)
    logs = np.log(macs)
    return sorted({int(np.abs(logs - np.log(value)).argmin()) for value in around})


def further(ratios: Mapping[int, float], count: int) -> list[int]:
    """Positions to measure next: evenly spaced between the neighbours of ratio 1.

    Args:
        ratios: Latency over that of the network, by position.
        count: Number of positions.

    Returns:
        Nothing where no position is left between the two.
    """
    faster = [i for i, ratio in ratios.items() if ratio <= 1]
    slower = [i for i, ratio in ratios.items() if ratio > 1]
    low = max(faster, default=-1)
    high = min((i for i in slower if i > low), default=count)
    inside = range(low + 1, high)
    if len(inside) <= _CANDIDATES:
        return list(inside)
    return sorted({round(float(i)) for i in np.linspace(low, high, _CANDIDATES + 2)[1:-1]})


def _session(
    networks: Mapping[int, tuple[str, Architecture]],
    model: Path,
    measurer: Measurer,
    target: Target,
    progress: OnProgress,
) -> dict[int, Candidate]:
    """The candidates and the network, interleaved."""
    models: dict[str, Path | bytes] = {"": model}
    models |= {name: untrained(arch, target) for name, arch in networks.values()}
    found = measured(measurer.measure(target, models, progress=progress))
    reference = found[""].latency_ms
    candidates = {}
    for i, (name, arch) in networks.items():
        ms, interval_ms = found[name].latency_ms, found[name].interval_ms
        candidates[i] = Candidate(name, ms / reference, ms, interval_ms, arch.macs)
    return candidates


def untrained(arch: Architecture, target: Target) -> bytes:
    """A network with random weights in the format of a target."""
    module = random_module(arch.blocks, 0, arch.reads)
    return for_timing(module, arch.space.input_shape, target.runtime, target.file_precision)
