"""Workloads from their keys."""

from __future__ import annotations

import re

from hwnas import blocks
from hwnas.errors import SpaceError
from hwnas.space import Workload

_SHAPE = re.compile(r"([1-9][0-9]*)x([1-9][0-9]*)x([1-9][0-9]*)")


def parse_workload(key: str) -> Workload:
    """The workload of a table's key; ``parse_workload(workload.key()) == workload``.

    Raises:
        SpaceError: The key describes no block, or the block does not take that input.
    """
    block_key, _, shape_text = key.partition("@")
    matched = _SHAPE.fullmatch(shape_text)
    if not matched:
        raise SpaceError(f"a workload must read <block>@<channels>x<height>x<width>, but got {key!r}")
    shape = (int(matched[1]), int(matched[2]), int(matched[3]))
    workload = Workload(blocks.parse(block_key), shape)
    workload.block.out_shape(shape)
    return workload
