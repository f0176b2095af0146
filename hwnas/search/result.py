"""Search results as JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwnas.errors import SchemaMismatch
from hwnas.runs.trial import Trial, quality_of, score_of
from hwnas.search.base import SearchResult
from hwnas.space import SearchSpace

SCHEMA = "hwnas-search-result/1"


def to_json(result: SearchResult) -> dict[str, Any]:
    """A JSON object that ``from_json`` turns back."""
    return {
        "schema": SCHEMA,
        "strategy": result.strategy,
        "space": result.best.space.name,
        "space_fingerprint": result.best.space.fingerprint,
        "best": list(result.best.indices),
        result.score: result.quality,
        "trials": [trial.to_json(result.score) for trial in result.trials],
        "pareto": [trial.to_json(result.score) for trial in result.pareto()],
        "config": dict(result.config),
        "trace": [dict(record) for record in result.trace],
        "extra": dict(result.extra),
    }


def from_json(space: SearchSpace, data: Mapping[str, Any]) -> SearchResult:
    """Rebuild a result of a search in ``space``.

    Raises:
        SchemaMismatch: The object is of another schema or another space, or lacks a field.
    """
    expected = {"schema": SCHEMA, "space_fingerprint": space.fingerprint}
    for field, value in expected.items():
        if data.get(field) != value:
            raise SchemaMismatch(
                f"a search result must have the {field} {value!r}, but got {data.get(field)!r}", field=field
            )
    try:
        return SearchResult(
            strategy=data["strategy"],
            best=space.architecture(data["best"]),
            quality=quality_of(data),
            trials=tuple(map(Trial.from_json, data["trials"])),
            config=data["config"],
            trace=tuple(data["trace"]),
            extra=data["extra"],
            score=score_of(data),
        )
    except KeyError as error:
        raise SchemaMismatch(f"a search result must have the field {error}", field=str(error)) from error
