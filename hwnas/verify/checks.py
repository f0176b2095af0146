"""The verdict on each thing that is looked at in a shipped file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwnas.statistics.verdict import FAIL, NOT_PROVEN, PASS, Verdict
from hwnas.tasks import Task
from hwnas.tasks.base import Estimate

MAX_LOSS = {"fp32": 0.005, "int8": 0.02, "16x8": 0.01}
"""Largest accepted drop below PyTorch by precision: a part of 1 for a share as accuracy, of PyTorch's value
for another metric."""


def answers(failures: tuple[str, ...]) -> Verdict:
    """Whether the file answers to the probes as it did at export."""
    return Verdict(FAIL, failures) if failures else Verdict(PASS)


def quality(found: Estimate, of_pytorch: float, precision: str, task: Task) -> Verdict:
    """Whether the metric is that of PyTorch on the same images, but for what is allowed.

    One image of few may be more than what is allowed: then the images cannot tell.
    """
    allowed, metric = MAX_LOSS[precision], task.metric
    loss = metric.lost(found.value, of_pytorch)
    if loss <= allowed:
        return Verdict(PASS)
    gap = metric.better(of_pytorch) - metric.better(found.value)
    least = metric.limited(task.least_loss(gap, found), of_pytorch)
    text = f"test {metric.name} must be within {allowed:.3f} of PyTorch's, but is {loss:.3f} below"
    if not metric.is_share:
        text = f"test {metric.name} must be within {allowed:.1%} of PyTorch's, but is {loss:.1%} worse"
    if least > allowed:
        return Verdict(FAIL, (text,))
    return Verdict(NOT_PROVEN, (f"{text}, which {found.images} images cannot tell: test on more images",))


def delegation(seen: Mapping[str, Any]) -> Verdict | None:
    """Whether one delegate runs all of the model; None where no delegate was asked for."""
    nodes, taken = seen.get("nodes"), seen.get("delegated_nodes")
    if taken is None:
        return None
    if taken == nodes:
        return Verdict(PASS)
    return Verdict(FAIL, (f"the delegate must take all {nodes} nodes, but took {taken}",))
