"""``hwnas measure`` over a test phone's daemon, with the agent in C."""

from __future__ import annotations

import numpy as np
import pytest
import tinymodels
from quick_measuring import form

from hwnas.benchmark import Asked, benchmark


@pytest.fixture
def models(tmp_path):
    """One that the delegate takes whole, and one that it does not."""
    return [tinymodels.write(tmp_path / f"{name}.tflite", odd=name == "odd") for name in ("even", "odd")]


@pytest.mark.slow
def test_files_are_measured_on_a_phone(new_phone, tcp, bundle, models):
    device = new_phone().device()
    found = benchmark(Asked(models, [device], per_op=True, compare=True), form(2))
    assert not found.failures
    even, odd = found.rows
    assert even.placement.said == ""
    assert odd.placement.said == (
        "XNNPACK took 3 of 4 operations in 2 partitions; outside: 1 L2_NORMALIZATION"
    )
    for row in (even, odd):
        assert row.place.device == device.name
        assert row.load_ms > 0
        assert row.first_run_ms > 0
        assert row.peak_memory_bytes > 0
        assert len(row.operations) >= 3
    assert {item.by for item in even.operations} == {"delegate"}
    assert "interpreter" in {item.by for item in odd.operations}
    assert [item.same_session for item in found.differences] == [True]


def test_what_the_agent_in_c_does_not_take_is_refused(new_phone, tcp, bundle, models, tmp_path):
    """It would leave given inputs aside, and the number would be of others."""
    np.savez(tmp_path / "given.npz", t0=np.zeros((1, 16, 16, 8), np.float32))
    found = benchmark(Asked(models, [new_phone().device()], inputs=tmp_path / "given.npz"), form(2))
    assert not found.rows
    assert all("an agent must take the inputs of a model" in item.reason for item in found.failures)
