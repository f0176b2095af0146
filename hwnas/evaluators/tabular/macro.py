"""NAS-Bench-Macro (arXiv:2103.11922), published by github.com/xiusu/NAS-Bench-Macro.

The file is one JSON object: a key of one digit a choice to ``test_acc`` (percent, one a training
seed), ``mean_acc`` and more. Keys that describe the same network are counted once.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hwnas import files
from hwnas.errors import DataError
from hwnas.evaluators.tabular.benchmark import Benchmark
from hwnas.latency.base import FloatArray
from hwnas.space import SearchSpace
from hwnas.spaces.canonical import Canonical


def read(path: Path, space: SearchSpace) -> Benchmark:
    """Read the benchmark's JSON.

    Raises:
        DataError: A key is not of the space or lacks its accuracies, or two keys of the same
            network disagree.
    """
    data = files.read_json(path, "a tabular benchmark")
    canonical, runs = Canonical(space), dict[tuple[int, ...], FloatArray]()
    if not isinstance(data, dict):
        raise DataError(f"a tabular benchmark must be one JSON object, but {path} is not")
    for key, entry in data.items():
        try:
            indices = space.architecture([int(digit) for digit in key]).indices
            accuracies = np.array(entry["test_acc"], dtype=np.float64) / 100
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"a key must be one of {space.name} with test_acc, but {key!r} of {path} is not: {error}"
            ) from error
        known = runs.setdefault(canonical.key(indices), accuracies)
        if not np.array_equal(known, accuracies):
            raise DataError(f"keys of one network must agree, but {key} of {path} differs from its twin")
    return Benchmark(space, runs)
