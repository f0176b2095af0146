"""The history of a one-shot search is there while it runs, and the same however often it was cut off."""

from __future__ import annotations

import json

import numpy as np
import pytest
from oneshot_helpers import task_of
from task_helpers import searched

from hwnas import files
from hwnas.errors import HwnasError, SchemaMismatch
from hwnas.search.oneshot.fbnet import FBNet
from hwnas.search.oneshot.trace import Trace

SHORT = FBNet(warmup_steps=2, steps=7, finalists=2, curvatures=2)


def search(folder, **session):
    session |= {"checkpoint": folder / "checkpoint.safetensors", "history": folder / "history.jsonl"}
    return searched(SHORT, task_of(0.5), np.random.default_rng(0), checkpoint_every=3, **session)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    result = search(folder)
    lines = [{"schema": "hwnas-trace/1", "strategy": "fbnet"}, *result.trace]
    text = (folder / "history.jsonl").read_text()
    assert text == "".join(json.dumps(line) + "\n" for line in lines)
    return result, text


@pytest.mark.slow
def test_every_step_is_on_disk_before_the_next_begins(tmp_path):
    seen = []

    def look(record):
        if record["phase"] == "search":
            lines = (tmp_path / "history.jsonl").read_text().splitlines()
            seen.append([json.loads(line)["step"] for line in lines[1:]])

    search(tmp_path, tell=look)
    assert seen == [list(range(1, n + 1)) for n in range(1, 8)]


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 5])
@pytest.mark.parametrize("tail", ["", '{"phase": "sea'])
def test_a_resumed_search_leaves_the_same_file(whole, tmp_path, step, tail):
    """Cut off before the first checkpoint of the search or after one, in the middle of a line or not."""

    def stop(record):
        if (record["phase"], record["step"]) == ("search", step):
            raise KeyboardInterrupt

    path = tmp_path / "history.jsonl"
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, tell=stop)
    assert len(path.read_text().splitlines()) == 1 + step
    with path.open("a") as file:
        file.write(tail)
    result = search(tmp_path)
    assert path.read_text() == whole[1]
    assert result.trace == whole[0].trace


def test_the_history_of_another_strategy_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text('{"schema":"hwnas-history/1","strategy":"random"}\n{"query":1}\n')
    before = path.read_bytes()
    with pytest.raises(SchemaMismatch, match="delete it to start anew"):
        search(tmp_path)
    assert path.read_bytes() == before


def test_a_header_that_was_cut_off_is_written_anew(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text('{"schema": "hwnas-tr')
    Trace.begin(path, "fbnet", [{"step": 1}])
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"schema": "hwnas-trace/1", "strategy": "fbnet"},
        {"step": 1},
    ]


def test_a_full_disk_leaves_the_lines_before(tmp_path, monkeypatch):
    path = tmp_path / "history.jsonl"
    trace = Trace.begin(path, "fbnet", [])
    before, write = path.read_bytes(), files.os.write
    monkeypatch.setattr(files.os, "write", lambda handle, data: write(handle, data[:3]))
    with pytest.raises(HwnasError, match="only 3 of 12 bytes fitted"):
        trace.append({"step": 1})
    assert path.read_bytes() == before
