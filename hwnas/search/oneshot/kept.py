"""What a one-shot search keeps to go on from, and that it is of the same search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwnas.errors import SchemaMismatch
from hwnas.evaluators.base import SharedWeights
from hwnas.search.problem import Problem
from hwnas.train import checkpoint as files


def identity(
    strategy: str, settings: Mapping[str, Any], seed: int, problem: Problem, oneshot: SharedWeights
) -> dict[str, Any]:
    """What must be the same for a search to go on, as JSON."""
    return {
        "strategy": strategy,
        "settings": settings,
        "seed": seed,
        "limits_ms": [c.usable for c in problem.constraints],
        "oneshot": oneshot.origin(),
    }


def read(
    path: Path | None, schema: str, wanted: Mapping[str, Any]
) -> tuple[files.Tensors, dict[str, Any]] | None:
    """Tensors and metadata of a checkpoint; None where there is none yet.

    Args:
        path: The file; None where nothing is kept.
        schema: Of the file.
        wanted: The ``identity`` of the search that goes on.

    Raises:
        SchemaMismatch: It is of another search.
        TrainingError: The file is damaged.
    """
    if path is None or not path.exists():
        return None
    tensors, metadata = files.read_tensors(path, schema, "delete it to start anew")
    for key, value in wanted.items():
        if metadata.get(key) != value:
            raise SchemaMismatch(
                f"a checkpoint must be of the same search, but {path} differs in its {key}: "
                "delete it to start anew",
                field=key,
            )
    return tensors, metadata
