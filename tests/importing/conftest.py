"""What these tests share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from hwnas.importing import from_torch


@pytest.fixture(scope="session", autouse=True)
def _reading_each_module_once() -> Iterator[None]:
    """Nothing is read twice of the same object: torch.export takes most of the time of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(from_torch, "read", cache(from_torch.read))
        yield
