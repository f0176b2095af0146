"""Choosing a width by measured latency: the grid, the bisection, and one real match."""

from __future__ import annotations

import json
import math

import pytest

from hwnas import device, known, spaces
from hwnas.compare import match
from hwnas.errors import SpaceError
from hwnas.measure import Measurer, ProfileOptions

LIKE = spaces.load("macro", resolution=16).architecture([1, 0, 1, 0, 0, 1, 0, 0])


def test_the_grid_holds_each_network_once_by_rising_macs():
    found = match.grid("mobilenetv2", LIKE)
    names = [name for name, _ in found]
    assert len({arch.blocks for _, arch in found}) == len(found) > 50
    assert [arch.macs for _, arch in found] == sorted(arch.macs for _, arch in found)
    assert {"mobilenetv2", "mobilenetv2-0.5", "mobilenetv2-2"} <= set(names)
    for name, arch in found:
        assert known.load(name, resolution=16, num_classes=10) == arch


def test_a_family_of_fixed_widths_has_a_grid_of_these():
    names = [name for name, _ in match.grid("shufflenetv2", LIKE)]
    assert names == ["shufflenetv2-0.5", "shufflenetv2", "shufflenetv2-1.5", "shufflenetv2-2"]
    with pytest.raises(SpaceError, match="family"):
        match.grid("resnet", LIKE)


@pytest.mark.parametrize("truth", [0.1, 0.9, 3.3, 7.7, 40.0, 99.5, 100.0, 250.0])
def test_the_search_halves_in_on_the_nearest(truth):
    """Latencies 1..100 by position: whatever is asked for, four sessions come within a step or two."""
    count = 100
    macs = [1000 * (i + 1) for i in range(count)]
    ratios: dict[int, float] = {}
    wanted = match.first(macs, 20_000)
    for _ in range(4):
        assert not set(wanted) & set(ratios), "nothing is measured twice"
        ratios |= {i: (i + 1) / truth for i in wanted}
        wanted = match.further(ratios, count)
        if not wanted:
            break
    best = min(ratios, key=lambda i: abs(math.log(ratios[i])))
    ideal = min(range(count), key=lambda i: abs(math.log((i + 1) / truth)))
    assert best == ideal


def test_a_search_ends_where_nothing_is_left_between():
    assert match.further({3: 0.9, 4: 1.1}, 10) == []
    assert match.further({3: 0.9, 6: 1.1}, 10) == [4, 5]
    assert match.further({9: 0.9}, 10) == []
    assert match.further({0: 1.1}, 10) == []
    assert match.further({2: 0.9, 5: 1.2, 7: 0.95}, 9) == [8], "noise is no reason to stop"


def test_a_candidate_is_the_same_after_a_file():
    record = match.Candidate("mobilenetv2-0.5", 1.01, 2.0, (1.9, 2.1), 1000).to_json()
    assert json.loads(json.dumps(record)) == record


@pytest.mark.slow
def test_a_match_is_as_fast_as_measured(tmp_path):
    """Against itself: the network that is asked for is in the grid, so that a ratio near 1 exists."""
    host = device.load("host")
    target = host.target("litert", "fp32")
    like = known.load("mobilenetv2-0.5", resolution=16, num_classes=10)
    model = tmp_path / "model.tflite"
    model.write_bytes(match.untrained(like, target))
    quick = ProfileOptions(rounds=4, max_rounds=4, samples=3, min_round_s=0.0)
    told: list[str] = []
    with Measurer(host, quick) as measurer:
        best, candidates = match.nearest("mobilenetv2", like, model, measurer, target, told.append)
    assert best in candidates
    assert abs(math.log(best.ratio)) == min(abs(math.log(c.ratio)) for c in candidates)
    assert best.ratio == pytest.approx(1, abs=0.25)
    assert 1 <= len(told) <= 4
    assert [c.macs for c in candidates] == sorted(c.macs for c in candidates)
    assert all(c.interval_ms is None for c in candidates), "four rounds carry no interval"
