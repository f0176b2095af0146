"""The verdict on each thing that is looked at in a shipped file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwnas.release.verification import Accuracy
from hwnas.statistics.intervals import paired_difference
from hwnas.statistics.verdict import FAIL, NOT_PROVEN, PASS, Verdict

MAX_ACCURACY_LOSS = {"fp32": 0.005, "int8": 0.02}
"""Largest accepted drop of test accuracy below PyTorch's, in [0, 1], by precision."""


def answers(failures: tuple[str, ...]) -> Verdict:
    """Whether the file answers to the probes as it did at export."""
    return Verdict(FAIL, failures) if failures else Verdict(PASS)


def accuracy(found: Accuracy, accuracy_pytorch: float, precision: str) -> Verdict:
    """Whether the accuracy is that of PyTorch on the same images, but for what is allowed.

    One image of few may be more than what is allowed: then the images cannot tell.
    """
    allowed = MAX_ACCURACY_LOSS[precision]
    loss = accuracy_pytorch - found.value
    if loss <= allowed:
        return Verdict(PASS)
    lost = round(loss * found.images)
    least, _ = paired_difference(lost, 0, found.images)
    text = f"test accuracy must be within {allowed:.3f} of PyTorch's, but is {loss:.3f} below"
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
