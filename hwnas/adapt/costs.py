"""What widths are predicted to take: a model of layers, fitted to whole networks that were measured."""

from __future__ import annotations

import numpy as np

from hwnas.adapt.strategies.base import Tell
from hwnas.adapt.subject import Subject
from hwnas.latency.base import Cost, FloatArray
from hwnas.space import Workload
from hwnas.widths.costing import cost_of
from hwnas.widths.layers import layers_of

_NETWORKS = 20
_SHARES = (0.85, 0.7, 0.55, 0.4, 0.25)


def costs(subject: Subject, tell: Tell) -> Cost:
    """The cost of all widths, in ms; measures some networks of other widths for that."""
    space, layers = subject.space, layers_of(subject.found)
    rng = np.random.default_rng(subject.seed)
    wanted = [tuple(size - 1 for size in space.sizes)]
    wanted += [space.at_share(share) for share in _SHARES]
    wanted += [tuple(map(int, rng.integers(space.sizes))) for _ in range(_NETWORKS - len(wanted))]
    tell(f"measuring {len(wanted)} networks of other widths on {subject.target}")
    measured = subject.latencies(wanted)
    rows = []
    for indices in measured:
        chosen = space.chosen(indices)
        total = np.zeros(len(_NAMES))
        for layer in layers:
            ins = chosen.get(layer.in_group or "", layer.form.in_channels)
            outs = chosen.get(layer.out_group or "", layer.form.out_channels)
            total += _features(layer.workload_at(ins, outs))
        rows.append(total)
    factors = _fit(np.array(rows), np.array([latency.ms for latency in measured.values()]))
    return cost_of(space, layers, lambda workload: float(_features(workload) @ factors))


_NAMES = ("dense", "pointwise", "depthwise", "elements", "operations")


def _features(workload: Workload) -> FloatArray:
    (op,) = workload.ops
    kind = {"pointwise": 1, "depthwise": 2}.get(op.kind, 0)
    found = np.zeros(len(_NAMES))
    found[kind], found[3], found[4] = op.macs / 1e6, (op.read + op.written) / 1e6, 1.0
    return found


def _fit(rows: FloatArray, ms: FloatArray) -> FloatArray:
    """Factors that are not negative and make relative errors small."""
    from scipy.optimize import nnls

    found, _ = nnls(rows / ms[:, None], np.ones(len(ms)))
    return np.asarray(found)
