"""Proves that an exported model computes what PyTorch computes, and how its runtime does it."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import ExportError, ParityError
from hwnas.export import runtime as runtimes

if TYPE_CHECKING:
    from torch import nn

FP32_TOLERANCE = 1e-4  # of the largest answer; rounding alone gives some 1e-6
INT8_BLOCK_SQNR_DB = 25.0
_BLOCK_DEPTH = 4  # weighted layers of the deepest usual block without squeeze-excite, and one


@dataclass(frozen=True)
class ParityReport:
    """What the checks found.

    Attributes:
        runtime: Runtime that answered.
        precision: "fp32" or "int8".
        images: Number of images that both answered.
        max_error: Largest difference from PyTorch over PyTorch's largest answer.
        sqnr_db: Power of PyTorch's answers over that of the differences; None where there is
            no difference at all, or nothing but zeros to compare with.
        operators: How often each operator is in the graph that the runtime executes.
        partitions: XNNPACK delegate partitions; None where the runtime has no such thing.
        float_operators: Operators of an int8 model that still compute in float.
    """

    runtime: str
    precision: str
    images: int
    max_error: float
    sqnr_db: float | None
    operators: Mapping[str, int]
    partitions: int | None
    float_operators: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)
