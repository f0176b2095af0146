"""Any model files, whoever made them, on any devices: latencies side by side. See ``benchmark``."""

from __future__ import annotations

from hwnas.benchmark.asked import Asked, seconds_of, shape_of
from hwnas.benchmark.foresight import foreseen
from hwnas.benchmark.measuring import benchmark
from hwnas.benchmark.networks import is_name
from hwnas.benchmark.result import FileBenchmark

__all__ = ["Asked", "FileBenchmark", "benchmark", "foreseen", "is_name", "seconds_of", "shape_of"]
