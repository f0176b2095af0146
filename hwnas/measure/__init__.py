"""Measuring blocks and networks on a device, into a latency table. See ``run`` and ``measure``."""

from __future__ import annotations

from hwnas.measure.measurer import Measurer
from hwnas.measure.options import OnProgress, ProfileOptions, Progress
from hwnas.measure.run import Measured, measure, measured, run

__all__ = ["Measured", "Measurer", "OnProgress", "ProfileOptions", "Progress", "measure", "measured", "run"]
