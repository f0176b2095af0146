"""What can be searched: blocks, choices, spaces and architectures. Free of torch.

A *block* is a frozen specification of a piece of network. A *choice* is a place where one
of several candidate blocks goes; a *search space* is a stem, choices and a head. What is
before a choice feeds it; a candidate may read several choices instead, as the decoder of a
segmentation reads features of several sizes. An *architecture* picks one candidate for each
choice. A *workload* is a block together with the shape of its input: the unit that is measured.

``block`` has what is measured, ``choice`` what may go in one place, ``network`` what is made of both,
``flow`` what of it runs.
"""

from __future__ import annotations

from hwnas.space.block import FALLBACK, OP_KINDS, SUM, ZERO, Block, Op, Shape, Shapes, Workload, shapes_of
from hwnas.space.choice import STEM, Choice, always
from hwnas.space.flow import IMAGE, Flow, Reads, read_last
from hwnas.space.network import Architecture, SearchSpace

__all__ = [
    "FALLBACK",
    "IMAGE",
    "OP_KINDS",
    "STEM",
    "SUM",
    "ZERO",
    "Architecture",
    "Block",
    "Choice",
    "Flow",
    "Op",
    "Reads",
    "SearchSpace",
    "Shape",
    "Shapes",
    "Workload",
    "always",
    "read_last",
    "shapes_of",
]
