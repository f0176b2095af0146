"""Workloads from their keys."""

from __future__ import annotations

import re
from typing import cast

from hwnas import blocks
from hwnas.errors import SpaceError
from hwnas.space import Shape, Workload

_SHAPE = re.compile(r"[1-9][0-9]*x[1-9][0-9]*x[1-9][0-9]*")


def parse_workload(key: str) -> Workload:
    """The workload of a table's key; ``parse_workload(workload.key()) == workload``.

    Raises:
        SpaceError: The key describes no block, or the block does not take that input.
    """
    block_key, _, read = key.partition("@")
    texts = read.split("+")
    if not all(map(_SHAPE.fullmatch, texts)):
        raise SpaceError(
            f"a workload must read <block>@<channels>x<height>x<width>, further inputs behind a +, but got "
            f"{key!r}"
        )
    shapes = tuple(cast(Shape, tuple(map(int, text.split("x")))) for text in texts)
    workload = Workload(blocks.parse(block_key), shapes if len(shapes) > 1 else shapes[0])
    workload.block.out_shape(workload.in_shape)
    return workload
