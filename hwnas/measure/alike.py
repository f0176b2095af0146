"""Whether two units of a device may share one table: by what they say, and by what anchors take on them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, variance
from typing import Any

from hwnas.device import Target
from hwnas.errors import SchemaMismatch
from hwnas.measure.engine import JobResult
from hwnas.tables.operations import require_same

MARGIN = 0.03
"""Units are alike where all anchors are proven to take the same within this share.

Rows are relative to the anchors beside them, so that a unit that is slower by one factor changes no row. The
margin bounds what is left: half of it is as much as a narrow row's own interval.
"""

LOOKS = (6, 12, 24)
"""Rounds of each unit after which it is looked whether something is proven; after the last it is not."""

_LEVEL = 0.05 / len(LOOKS)  # of each look, so that all of them together err in one of twenty cases at most

_BUILD = "ro.build.fingerprint"


@dataclass(frozen=True)
class AnchorRatio:
    """What an anchor takes on one unit over what it takes on another.

    Attributes:
        anchor: Which: "anchor" is the light one, "heavy" the other.
        ratio: Of the geometric means over rounds.
        low: Lower end of an interval (Welch) that holds in all ``LOOKS`` together with a chance of 95 %.
        high: Upper end.
    """

    anchor: str
    ratio: float
    low: float
    high: float

    @property
    def is_same(self) -> bool:
        """Whether it is proven to be 1 within the margin."""
        return self.low >= 1 / (1 + MARGIN) and self.high <= 1 + MARGIN

    @property
    def is_other(self) -> bool:
        """Whether it is proven to be no such."""
        return self.low > 1 + MARGIN or self.high < 1 / (1 + MARGIN)

    def __str__(self) -> str:
        return f"{self.anchor} {self.ratio:.3f} ({self.low:.3f} to {self.high:.3f})"


def why_other(
    target: Target,
    environment: Mapping[str, Any],
    other: Mapping[str, Any],
) -> str:
    """Why a unit cannot be of the same kind as the first one, by what both say; empty where it can."""
    try:
        require_same(target, environment, target, other)
    except SchemaMismatch as error:
        return f"it differs in {error.field}"
    builds = [said.get("device", {}).get(_BUILD) for said in (environment, other)]
    return "" if builds[0] == builds[1] else f"it runs the build {builds[1]} instead of {builds[0]}"


def ratios(first: Sequence[JobResult], other: Sequence[JobResult]) -> tuple[AnchorRatio, ...]:
    """Both anchors on another unit over those on the first; a result is one round of a unit."""
    found = []
    for name, pick in (("anchor", _light), ("heavy", _heavy)):
        one, two = ([math.log(median(pick(result))) for result in results] for results in (first, other))
        if one and two:
            found.append(_ratio(name, one, two))
    return tuple(found)


def _light(result: JobResult) -> Sequence[float]:
    return result.anchor_ms


def _heavy(result: JobResult) -> Sequence[float]:
    return result.heavy_ms


def _ratio(name: str, one: Sequence[float], two: Sequence[float]) -> AnchorRatio:
    """Of two samples of logarithms, by Welch's interval."""
    from scipy.stats import t

    parts = [max(variance(sample), 1e-18) / len(sample) for sample in (one, two)]
    freedom = sum(parts) ** 2 / sum(p**2 / (len(s) - 1) for p, s in zip(parts, (one, two), strict=True))
    half = float(t.ppf(1 - _LEVEL / 2, freedom)) * math.sqrt(sum(parts))
    middle = fmean(two) - fmean(one)
    return AnchorRatio(name, math.exp(middle), math.exp(middle - half), math.exp(middle + half))


def is_decided(proof: Sequence[AnchorRatio]) -> bool:
    """Whether two units are proven to be alike, or to be not."""
    return bool(proof) and (all(ratio.is_same for ratio in proof) or any(ratio.is_other for ratio in proof))
