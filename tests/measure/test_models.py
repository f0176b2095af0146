"""Exporting in worker processes: what fails stays a failure of its own."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hwnas import device, files
from hwnas.blocks import Conv, Skip
from hwnas.errors import ExportError
from hwnas.measure import models
from hwnas.measure.models import Exporter
from hwnas.measure.plan import ANCHOR, ANCHORS, Item
from hwnas.pools import HERE, PoolSpec

TARGET = device.load("host").target("onnxruntime", "fp32")


@dataclass(frozen=True)
class Unknown:
    """A block that no worker knows."""

    def key(self) -> str:
        return "unknown_x1"


def ignore(_: int) -> None:
    """Nobody asks how far it is."""


@pytest.mark.slow
def test_models_are_exported_and_what_is_unknown_is_a_failure(tmp_path: Path) -> None:
    good = Item("good", "block", (Conv(3, 8, kernel_size=3),), (3, 8, 8))
    twin = replace(good, key="twin")
    bad = Item("bad", "block", (Unknown(),), (3, 8, 8))
    seen: list[int] = []
    with Exporter(PoolSpec(count=2)) as exporter:
        found = exporter.export([good, bad, twin], TARGET, tmp_path, seen.append)
    assert seen == [1, 2, 3]
    assert files.sha256(found["good"].path) == found["good"].sha256 == found["twin"].sha256
    assert "SpaceError" in found["bad"].failed
    assert not found["bad"].path.exists()


def test_a_worker_that_dies_fails_one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [Item(f"i{n}", "block", (Skip(8, 16 + n),), (8, 8, 8)) for n in range(3)]
    with Exporter(HERE) as exporter:
        assert not exporter.export(items[:1], TARGET, tmp_path, ignore)["i0"].failed
        os.kill(exporter._workers[0]._process.pid, signal.SIGKILL)
        found = exporter.export(items[1:], TARGET, tmp_path, ignore)
        processes = [worker._process for worker in exporter._workers]
    assert sorted(bool(e.failed) for e in found.values()) == [False, True]
    assert all(
        "the exporting process was killed by SIGKILL: for want of memory" in e.failed
        for e in found.values()
        if e.failed
    )
    assert all(process.poll() is not None for process in processes)


@pytest.mark.slow
def test_without_the_anchor_nothing_can_be_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = replace(ANCHOR, blocks=(Unknown(),))  # type: ignore[arg-type]
    with Exporter(HERE) as exporter, pytest.raises(ExportError, match="an anchor must be exported"):
        exporter.export([broken], TARGET, tmp_path, ignore)


@pytest.mark.slow
def test_a_folder_that_takes_no_files_is_no_failure_of_the_models(tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.write_text("")
    item = Item("good", "block", (Conv(3, 8, kernel_size=3),), (3, 8, 8))
    with Exporter(HERE) as exporter, pytest.raises(ExportError, match="models must be written"):
        exporter.export([item], TARGET, taken, ignore)


def test_the_anchor_comes_first_and_big_models_before_small_ones() -> None:
    items = [Item(f"i{n}", "block", (Skip(8, 8),) * n, (8, 8, 8)) for n in (1, 3, 2)]
    assert [i.key for i in models._longest_first([*items, *ANCHORS])] == [
        ANCHORS[1].key,
        ANCHOR.key,
        "i3",
        "i2",
        "i1",
    ]


@pytest.mark.slow
def test_a_worker_does_not_see_ctrl_c_while_it_loads() -> None:
    worker = models._Worker()
    os.kill(worker._process.pid, signal.SIGINT)
    task = {"input_shape": [3, 8, 8], "blocks": ["unknown"], "seed": 0}
    assert "unknown" in worker.ask(task)["error"]
    worker.close()
