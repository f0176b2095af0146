"""How many channels each part of a network has: which of them go together, and a network with fewer.

Channels that meet in a sum, that depthwise kernels hand on or that stand beside each other in a concatenation
can only be kept or left out together. Which those are, Torch-Pruning finds (DepGraph, arXiv:2301.12900).
"""

from __future__ import annotations

from hwnas.widths.groups import ChannelGroup, Prunable, prunable
from hwnas.widths.space import WidthSpace, width_space

__all__ = ["ChannelGroup", "Prunable", "WidthSpace", "prunable", "width_space"]
