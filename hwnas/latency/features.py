"""What a block does to hardware: work and traffic by kind of operation.

Features are per image and per block, independent of any device, and counted in elements; the
size of an element is a constant of the precision. A latency is near a sum of features with
positive factors (a roofline without overlap), which is why they make a good prior.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hwnas.errors import LatencyModelError
from hwnas.latency.base import FloatArray
from hwnas.space import Op, Workload

FEATURES = (
    "macs_pointwise",
    "macs_grouped",
    "macs_depthwise_3",
    "macs_depthwise_5",
    "macs_depthwise_other",
    "macs_other",
    "read",
    "written",
    "weights",
    "ops",
    "shuffled",
)
"""Multiply-adds by kind of operation; elements read, written, of weights; operations; elements
whose channels are shuffled."""

VERSION = 2
"""Part of every saved model that was fitted to features; goes up where those of a kind change."""

_SINCE = {"convpool": 2, "latehead": 2, "mbstage": 2, "shuffleunit": 2}
"""The version in which the features of a kind got the meaning that they have now; else the first."""


def require_same(version: int, workloads: Iterable[Workload]) -> None:
    """Refuse to use a model on blocks whose features meant something else when it was fitted.

    Args:
        version: Of the features that the model was fitted to.
        workloads: What it was fitted to or is asked about.

    Raises:
        LatencyModelError: The features of one of them have changed since.
    """
    changed = sorted({w.block.kind for w in workloads if _SINCE.get(w.block.kind, 1) > version})
    if changed:
        raise LatencyModelError(
            f"a latency model must go by what blocks do as hwnas knows it now, but this one was fitted when "
            f"{', '.join(changed)} blocks counted as one operation each: fit it again"
        )


def features(workload: Workload) -> FloatArray:
    """Shape (len(FEATURES),)."""
    total = dict.fromkeys(FEATURES, 0)
    for op in workload.ops:
        total[_macs_feature(op)] += op.macs
        total["read"] += op.read
        total["written"] += op.written
        total["weights"] += op.weights
        total["ops"] += 1
        total["shuffled"] += op.read if op.kind == "shuffle" else 0
    return np.array([total[name] for name in FEATURES], dtype=np.float64)


def _macs_feature(op: Op) -> str:
    if op.kind in ("pointwise", "grouped"):
        return f"macs_{op.kind}"
    if op.kind == "depthwise":
        return f"macs_depthwise_{op.kernel_size}" if op.kernel_size in (3, 5) else "macs_depthwise_other"
    return "macs_other"
