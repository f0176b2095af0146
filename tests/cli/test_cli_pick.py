"""What `hwnas pick` says of a budget."""

from __future__ import annotations

import pytest

from hwnas.cli.pick import _kept

UNUSABLE = {"word": "unusable", "reasons": ["others used 90% of the CPUs"]}


@pytest.mark.parametrize(
    ("measured_ms", "interval_ms", "quality", "word"),
    [
        (0.4, [0.39, 0.42], None, "PASS"),
        (0.4, [0.39, 0.42], {"word": "stable", "reasons": []}, "PASS"),
        (0.4, [0.39, 0.42], UNUSABLE, "NOT PROVEN"),
        (0.49, [0.48, 0.52], None, "NOT PROVEN"),
        (0.6, [0.55, 0.62], None, "FAIL"),
        (0.4, None, None, "NOT PROVEN"),
        (None, None, None, "NOT PROVEN"),
    ],
)
def test_a_picked_network_passes_only_where_that_was_measured(measured_ms, interval_ms, quality, word):
    item = {"measured_ms": measured_ms, "interval_ms": interval_ms, "budget_ms": 0.5, "quality": quality}
    assert _kept(item).word == word
