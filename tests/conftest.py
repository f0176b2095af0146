"""Fixtures that many tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """The folder of experiment data beside the checkout; a user's clone does not have it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"experiment data is not there: {SHARED_DATA}")
    return SHARED_DATA
