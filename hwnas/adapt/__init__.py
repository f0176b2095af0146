"""A network of one's own, or a known one, made to keep a budget that is measured on the device.

What costs least is tried first: another runtime or more threads, smaller images, fewer channels. The first
rung on which a network keeps the budget and loses no more than is accepted ends the climb; else the best one
that keeps it ships. ``ladder`` climbs, ``strategies`` choose widths, ``keeping`` measures what they propose.
"""

from __future__ import annotations

from hwnas.adapt.ladder import RUNGS, AdaptOptions, adapt
from hwnas.adapt.original import GivenModel, one_budget
from hwnas.adapt.strategies import STRATEGIES

__all__ = ["RUNGS", "STRATEGIES", "AdaptOptions", "GivenModel", "adapt", "one_budget"]
