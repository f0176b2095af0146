"""Measuring blocks and networks on a device, into a latency table. See ``profile`` and ``measure``."""

from __future__ import annotations

from hwnas.measure.energy import why_refused
from hwnas.measure.measurer import Measurer
from hwnas.measure.options import OnProgress, ProfileOptions, Progress, in_rounds
from hwnas.measure.profiling import Measured, measure, measured, profile

__all__ = [
    "Measured",
    "Measurer",
    "OnProgress",
    "ProfileOptions",
    "Progress",
    "in_rounds",
    "measure",
    "measured",
    "profile",
    "why_refused",
]
