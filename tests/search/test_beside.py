"""What is said of an exact search; of earlier versions, and of what somebody spoilt."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwnas.device import Target
from hwnas.errors import SchemaMismatch
from hwnas.runs.found import SCHEMA, SearchRecord
from hwnas.search import beside

LEFT_OUT = {"networks": 24, "spearman": 0.61, "half_90": 0.0213, "coverage_90": 22 / 24}
EXTRA = {"best_of": {"exact": 0.8, "uniform": 0.77, "random": 0.75}, "spearman": 0.5}


def recorded(extra):
    """What is read of a search that had this to say."""
    where = Target("host", "litert", "int8")
    budget = {"name": str(where), "target": where.to_json(), "budget_ms": 1.0}
    data = {"source": "digits", "fingerprint": "f", "resolution": 8, "seed": 0, "val_share": 0.2}
    data |= {"test_share": 0.2, "flip": False}
    record = {"schema": SCHEMA, "strategy": "exact", "seed": 0, "constraints": [budget], "data": data}
    return SearchRecord.from_json({**record, "extra": extra}, Path("search.json"), "search again")


def test_the_spearman_is_always_said():
    first, second = beside.sentences(recorded({**EXTRA, "left_out": LEFT_OUT}))
    assert "best answer 80.00%, narrowed alike 77.00%, best random one 75.00%; errors" in first
    assert first.endswith("with a Spearman of 0.50")
    assert second == (
        "each foretold from errors and the other 23 scores: a Spearman of 0.61, and 90 % intervals of ±2.1 "
        "points hold 22 of 24"
    )
    assert list(beside.sentences(recorded(EXTRA))) == [first]  # an earlier version
    (said,) = beside.sentences(recorded({**EXTRA, "spearman": None}))
    assert said.endswith("with a Spearman of –, too few or too alike to be ranked")
    assert not list(beside.sentences(recorded({"entropy": 1.0})))


@pytest.mark.parametrize(
    "odd", [{"networks": 0}, {"networks": "many"}, {"coverage_90": 1.5}, {"spearman": "high"}, None]
)
def test_an_odd_record_is_one_sentence(odd):
    left_out = {} if odd is None else {**LEFT_OUT, **odd}
    with pytest.raises(SchemaMismatch, match=r"search\.json has .* as extra\.left_out.*: search again"):
        recorded({**EXTRA, "left_out": left_out})
