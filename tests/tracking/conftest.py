"""A database of MLflow that is made once: its own migrations take seconds each time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hwnas.tracking.foreign import quiet


@pytest.fixture(scope="session")
def _empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    with quiet({}):
        MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def database(_empty_database: Path) -> Callable[[Path], str]:
    """Puts an empty one somewhere, and says its address."""

    def put(path: Path) -> str:
        shutil.copy(_empty_database, path)
        return f"sqlite:///{path}"

    return put
