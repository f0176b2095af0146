"""A database of MLflow that is made once: its own migrations take seconds each time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from hwnas.tracking.foreign import quiet


@pytest.fixture(scope="session")
def _empty_database(_shared: Path) -> Path:
    from mlflow import MlflowClient

    path = _shared / "mlflow.db"
    with FileLock(_shared / "mlflow.lock"):
        if not path.exists():
            with quiet({}):
                MlflowClient(f"sqlite:///{path}.new").search_experiments()
            Path(f"{path}.new").rename(path)
    return path


@pytest.fixture
def database(_empty_database: Path) -> Callable[[Path], str]:
    """Puts an empty one somewhere, and says its address."""

    def put(path: Path) -> str:
        shutil.copy(_empty_database, path)
        return f"sqlite:///{path}"

    return put
