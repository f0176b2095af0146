"""Fixtures that many tests share."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from itertools import count
from pathlib import Path

import programs
import pytest
import typer.testing
from browser import Browser, find
from filelock import FileLock
from quick_measuring import hurry
from remembering_exporter import RememberingExporter
from warm_agents import warm

_LONG = (
    "finalists/test_finalists",
    "test_verify",
    "compare/test_compare",
    "pipeline/test_pipeline",
    "latency/test_transfer",
)
"""Files of about a minute each: begun first, so that no worker is left alone with one at the end."""

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; within a file, tests stay in their order."""
    items.sort(key=lambda item: not item.path.with_suffix("").as_posix().endswith(_LONG))


def pytest_collection_finish() -> None:
    """What was imported stays: nobody looks through it for garbage again and again."""
    gc.freeze()


@pytest.fixture(scope="session")
def _users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders that are not there yet: pytest's own would be looked for among all of them, in each test."""
    folder = tmp_path_factory.mktemp("users")
    return (folder / str(number) for number in count())


@pytest.fixture(autouse=True)
def _own_user_data(_users: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes what the user of this machine has measured."""
    monkeypatch.setenv("XDG_DATA_HOME", str(next(_users)))


@pytest.fixture(scope="session", autouse=True)
def _commands_once() -> Iterator[None]:
    """Typer makes all commands anew for every call: that takes longer than most of the calls."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.testing, "_get_command", cache(typer.main.get_command))
        yield


@pytest.fixture(scope="session", autouse=True)
def _digits_once() -> Iterator[None]:
    """Digits are scaled once for each size: a hundred tests read them, a fifth of a second each time."""
    from hwnas.data import embedded

    scaled = cache(embedded.digits)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "digits", lambda resolution: deepcopy(scaled(resolution)))
        yield


@pytest.fixture
def shared_data() -> Path:
    """The folder of experiment data beside the checkout; a user's clone does not have it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"experiment data is not there: {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run of the tests share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def few_digits(_shared: Path) -> Path:
    """Every fifth of the digits as a file, for what is about the way and not about what is learnt on it."""
    import numpy as np
    from sklearn.datasets import load_digits

    path = _shared / "digits.npz"
    with FileLock(_shared / "digits.lock"):
        if not path.exists():
            digits = load_digits()
            images = np.round(digits.images[::5] * (255 / 16)).astype(np.uint8)
            np.savez(path, images=images, labels=digits.target[::5])
    return path


@pytest.fixture(scope="session")
def _exported_run(_shared: Path) -> Path:
    """A small network, really trained on digits and exported in all variants, once for all processes."""
    with FileLock(_shared / "exported-run.lock"):
        if not (_shared / "exported-run").exists():
            _export_run(_shared / "making").rename(_shared / "exported-run")
    return _shared / "exported-run"


def _export_run(run: Path) -> Path:
    from hwnas import data, device, files, release, spaces
    from hwnas.train import TrainConfig
    from hwnas.train.training import train_run

    space = spaces.load("macro", resolution=16)
    arch = space.architecture([1, 0, 1, 0, 0, 1, 0, 0])
    dataset = data.load("digits", resolution=16)
    target = device.load("host").target("litert", "int8")
    promise = {"name": str(target), "target": target.to_json(), "budget_ms": 1000.0, "predicted_ms": 0.5}
    search = {"strategy": "random", "constraints": [promise], "data": dataset.describe(), "seed": 0}
    files.write_json(run / "arch.json", arch.to_json())
    files.write_json(run / "search.json", search)
    train_run(run, TrainConfig(epochs=3, batch_size=64, learning_rate=0.1))
    release.export_run(run, dataset)
    return run


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """See ``quick_measuring.hurry``."""
    hurry(monkeypatch)


@pytest.fixture(scope="session")
def _exporter(_shared: Path) -> Iterator[RememberingExporter]:
    exporter = RememberingExporter(_shared / "exported")
    yield exporter
    exporter.end()


@pytest.fixture(scope="module")
def warm_processes(_exporter: RememberingExporter) -> Iterator[None]:
    """One process exports the models of all tests, and none twice; agents are forked from a warm one."""
    from hwnas.measure import models

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "_Worker", lambda: _exporter)
        patch.setattr(models, "_MAX_WORKERS", 1)
        warm(patch)
        yield


@pytest.fixture
def exported_run(_exported_run: Path, tmp_path: Path) -> Path:
    """A copy of the exported run, to be changed at will."""
    return Path(shutil.copytree(_exported_run, tmp_path / "run"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless browser."""
    program = find()
    if program is None:
        programs.missing("no Chromium or Chrome was found: pages were not looked at in a browser")
    with Browser(program, tmp_path_factory.mktemp("profile")) as opened:
        yield opened
