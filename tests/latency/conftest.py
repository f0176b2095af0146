from __future__ import annotations

import pytest

from hwnas import spaces
from hwnas.space import SearchSpace


@pytest.fixture(scope="session")
def macro() -> SearchSpace:
    return spaces.load("macro")
