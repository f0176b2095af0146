"""Networks that are really exported, once for all of these tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import strangers


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One network in both formats, fp32 and int8, by file name."""
    folder = tmp_path_factory.mktemp("networks")
    made = [
        strangers.network(folder, name, kind)
        for name in ("litert", "onnxruntime")
        for kind in ("fp32", "int8")
    ]
    return {path.name: path for path in made}
