"""Measuring blocks and networks on a device, into a latency table. See ``run`` and ``measure``."""

from __future__ import annotations

from hwnas.profile.measurer import Measurer
from hwnas.profile.options import OnProgress, ProfileOptions, Progress
from hwnas.profile.run import Measured, measure, measured, run

__all__ = ["Measured", "Measurer", "OnProgress", "ProfileOptions", "Progress", "measure", "measured", "run"]
