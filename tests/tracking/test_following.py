"""What trackers are told of a run: all of it, once, and none of them can stop it."""

from __future__ import annotations

import json
import shutil

import pytest
from remembering_tracker import Remembering

from hwnas import files
from hwnas.errors import HwnasError, TrackingError
from hwnas.runs.folder import RunFolder
from hwnas.tracking import curves, following, made, require
from hwnas.tracking.following import OTHER, SEARCH, TRAIN, followed
from hwnas.tracking.logged import Logged, read
from hwnas.tracking.places import masked, reason

EPOCH = {"epoch": 1, "epochs": 3, "loss": 2.5, "val_accuracy": 0.25, "val_balanced_accuracy": None}


def epochs(follow, *numbers):
    for number in numbers:
        follow.epoch({**EPOCH, "epoch": number})


def queries(follow, *numbers):
    for number in numbers:
        follow.step({"query": number, "queries": 9, "accuracy": number / 10, "best": [1, 2], "eta_s": 3.0})


def cut_off(run, runs, stage, work, error=KeyboardInterrupt):
    """A stage that does some work, and then is ended by something."""
    with followed(run, [Remembering(runs=runs)], stage) as follow:
        work(follow)
        raise error


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def test_all_that_the_files_of_a_run_say_is_told_with_units(exported_run):
    tracker = Remembering()
    with followed(exported_run, [tracker]):
        pass
    told = {name: point for point in tracker.points() for name in [point.name]}
    record, manifest = (
        json.loads((exported_run / name).read_text()) for name in ("train.json", "export/manifest.json")
    )
    assert told["trained/test_accuracy"].value == record["test_accuracy"]
    assert told["trained/test_accuracy_low"].value == record["test"]["interval"][0]
    assert told["found/host/litert-int8/budget_ms"].value == 1000
    assert [each["loss"] for each in record["history"]] == [
        point.value for point in tracker.points() if point.name == "train/loss"
    ]
    sizes = {item["name"]: item["bytes"] for item in manifest["variants"]}
    assert {name: told[f"exported/{name}/bytes"].value for name in sizes} == sizes
    ((parameters,),) = tracker.of("parameters")
    assert parameters["train/epochs"] == "3"
    assert parameters["budget/host/litert-int8/budget_ms"] == "1000.0"
    sent = dict(tracker.of("file"))
    assert {"arch.json", "search.json", "train.json", "weights.safetensors"} <= sent.keys()
    assert {f"export/{item['file']}" for item in manifest["variants"]} < sent.keys()
    assert sent["weights.safetensors"] == (exported_run / "weights.safetensors").read_bytes()
    assert tracker.of("end") == [["finished"]]


def test_a_verification_is_told_with_verdict_and_intervals_each_time(exported_run):
    verified = {
        "device": "host",
        "verdict": "NOT PROVEN",
        "verified": "2026-01-01",
        "variants": [
            {
                "name": "litert-int8",
                "verdict": "NOT PROVEN",
                "reasons": ["too near"],
                "measured_ms": 2.0,
                "interval_ms": [1.5, 2.5],
                "predicted_ms": None,
                "budget_ms": 2.25,
                "test_accuracy": 0.5,
                "accuracy": {"images": 10, "interval": [0.25, 0.75]},
            },
            {"name": "onnxruntime-fp32", "verdict": None, "measured_ms": None, "interval_ms": None},
        ],
    }
    path = RunFolder(exported_run).shipping.manifest
    tracker = Remembering()
    for when in ("2026-01-01", "2026-01-02"):
        manifest = json.loads(path.read_text()) | {"verification": {**verified, "verified": when}}
        files.write_json(path, manifest)
        with followed(exported_run, [tracker]):
            pass
    at = "verified/host/litert-int8"
    found = {(p.name, p.step): p.value for p in tracker.points() if p.name.startswith(at)}
    one = {"latency_ms": 2.0, "latency_low_ms": 1.5, "latency_high_ms": 2.5, "budget_ms": 2.25}
    one |= {"test_accuracy": 0.5, "test_accuracy_low": 0.25, "test_accuracy_high": 0.75}
    assert found == {(f"{at}/{name}", step): value for name, value in one.items() for step in (1, 2)}
    texts = [text for name, text in tracker.of("text") if name == "verified/host"]
    assert texts[0].splitlines()[:2] == ["NOT PROVEN", "litert-int8: NOT PROVEN: too near"]
    assert len(texts) == 2
    assert len([name for name, _ in tracker.of("file") if name == "weights.safetensors"]) == 1
    assert len([name for name, _ in tracker.of("file") if name == "export/manifest.json"]) == 2


def test_stages_of_a_folder_are_one_run_and_nothing_is_told_twice(exported_run):
    runs = {}
    for _ in range(2):  # two processes
        tracker = Remembering(runs=runs)
        with followed(exported_run, [tracker]):
            pass
    assert list(runs) == ["run0"]
    assert tracker.begun == [], "there was nothing new"
    (exported_run / "report.html").write_text("<!doctype html>")
    with followed(exported_run, [tracker]):
        pass
    assert tracker.of("file")[-1] == ["report.html", b"<!doctype html>"]
    assert tracker.twice() == []


def test_a_search_that_is_killed_and_goes_on_tells_each_step_once(run):
    runs = {}

    def search(follow):
        queries(follow, 1, 2, 3)
        RunFolder(run).history.write_text("what a search has so far\n")

    with pytest.raises(KeyboardInterrupt):
        cut_off(run, runs, SEARCH, search)
    again = Remembering(runs=runs)
    with followed(run, [again], SEARCH) as follow:
        queries(follow, 1, 2, 3, 4, 5)  # a search tells what its history has
    assert again.steps("search/scoring/accuracy") == [1, 2, 3, 4, 5]
    assert again.of("end") == [["interrupted"], ["finished"]]
    assert list(runs) == ["run0"]


def test_steps_that_were_never_told_come_from_the_record(exported_run):
    runs = {}
    RunFolder(exported_run).train_checkpoint.write_text("")
    shutil.move(exported_run / "train.json", exported_run / "kept")
    with followed(exported_run, [Remembering(runs=runs)], TRAIN) as follow:
        epochs(follow, 2)  # the process was killed between its checkpoint and what it tells, in epoch 1
        shutil.move(exported_run / "kept", exported_run / "train.json")
    assert Remembering(runs=runs).twice() == []
    assert sorted(Remembering(runs=runs).steps("train/loss")) == [1, 2, 3]


@pytest.mark.parametrize("name", ["train.json", "arch.json"])
def test_another_training_or_network_in_the_folder_is_another_run(exported_run, name):
    runs = {}
    with followed(exported_run, [Remembering(runs=runs)]):
        pass
    path = exported_run / name
    path.write_text(path.read_text() + " ")
    with followed(exported_run, [Remembering(runs=runs)], OTHER):
        pass
    assert list(runs) == ["run0", "run1"]
    assert sorted(Remembering(runs=runs).steps("train/loss", "run1")) == [1, 2, 3], "all of it is told anew"


def test_a_training_that_begins_again_is_another_run_and_one_that_goes_on_is_not(exported_run):
    runs, folder = {}, RunFolder(exported_run)
    folder.train.unlink()
    for expected in (["run0"], ["run0", "run1"], ["run0", "run1"]):
        with pytest.raises(ValueError, match="cut off"):
            cut_off(exported_run, runs, TRAIN, lambda follow: epochs(follow, 1), ValueError("cut off"))
        assert list(runs) == expected
        if len(expected) == 2:
            folder.train_checkpoint.write_text("")
    assert Remembering(runs=runs).of("end", "run1") == [["failed"], ["failed"]]


def test_a_search_begun_anew_in_its_folder_is_another_run(run):
    runs = {}
    for _ in range(2):  # nothing of the first is there any more
        with pytest.raises(KeyboardInterrupt):
            cut_off(run, runs, SEARCH, lambda follow: queries(follow, 1))
    assert list(runs) == ["run0", "run1"]


def test_a_run_that_the_tracker_lost_begins_anew(exported_run):
    with followed(exported_run, [Remembering()]):
        pass
    (exported_run / "report.html").write_text("<!doctype html>")
    fresh = Remembering(runs={"of another folder": []})
    with followed(exported_run, [fresh]):
        pass
    assert fresh.steps("train/loss", "run1") == [1, 2, 3]


def test_a_tracker_that_fails_is_told_of_once_and_gets_all_of_it_later(exported_run, caplog):
    runs = {}
    tracker, good = Remembering("http://me:secret@server?token=abc", runs), Remembering()
    tracker.fails, good.name = True, "other"
    with followed(exported_run, [tracker, good]) as follow:
        for number in range(4, 40):
            epochs(follow, number)
    first, last = (record.getMessage() for record in caplog.records)
    assert first == (
        "memory:http://***@server?token=*** fails, and the run goes on without it: "
        "ConnectionError: no way to http://***@server?token=***"
    )
    assert "was not told 39 steps, parameters, found" in last
    assert f"all is kept in {exported_run}" in last
    assert "secret" not in caplog.text + RunFolder(exported_run).tracking.read_text()
    assert len(good.steps("train/loss")) == 39
    tracker.fails = False
    with followed(exported_run, [tracker]):
        pass
    assert sorted(tracker.steps("train/loss")) == list(range(1, 40)), "also what no record holds"
    assert tracker.twice() == []
    assert tracker.of("parameters")


def test_a_tracker_that_failed_for_a_while_misses_nothing(run, caplog):
    tracker = Remembering()
    with followed(run, [tracker], TRAIN) as follow:
        epochs(follow, 1)
        tracker.fails = True
        epochs(follow, 2, 3)
        tracker.fails = False
        epochs(follow, 4)
        assert tracker.steps("train/loss") == [1], "it is not waited for again and again"
    assert tracker.steps("train/loss") == [1, 2, 3, 4]
    assert len(caplog.records) == 1


def test_what_is_damaged_is_one_sentence_and_the_stage_counts(exported_run, caplog):
    (exported_run / "gallery.json").write_text("{")
    with followed(exported_run, [Remembering()]):
        pass
    assert "trackers are not told what the run holds: the gallery of a run must be readable" in caplog.text
    RunFolder(exported_run).tracking.write_text('{"schema": "hwnas-tracking/1", "trackers": 3}')
    with (
        pytest.raises(HwnasError, match="delete it to begin their runs anew"),
        followed(exported_run, [Remembering()]),
    ):
        pass


def test_a_folder_that_cannot_be_written_stops_nothing(run, monkeypatch, caplog):
    def full(*_):
        raise files.WriteError("a file must be written whole, but the disk is full")

    monkeypatch.setattr(files, "write_json", full)
    tracker = Remembering()
    with followed(run, [tracker], TRAIN) as follow:
        epochs(follow, 1, 2)
    assert tracker.steps("train/loss") == [1, 2]
    assert [record.getMessage() for record in caplog.records] == [
        "a file must be written whole, but the disk is full"
    ]


def test_what_never_began_leaves_nothing(tmp_path):
    tracker = Remembering()
    with pytest.raises(HwnasError), followed(tmp_path / "new", [tracker], SEARCH):
        raise HwnasError("refused before any step")
    assert tracker.runs == {}
    assert list(tmp_path.iterdir()) == []


def test_trackers_that_do_not_follow_keep_what_they_know(run):
    one, two = Remembering("one"), Remembering("two")
    for tracker in (one, two):
        with followed(run, [tracker], OTHER) as follow:
            epochs(follow, 1)
    assert set(read(run)) == {"memory:one", "memory:two"}


def test_of_the_processes_of_torchrun_the_first_alone_logs(run, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")  # torchrun sets both
    monkeypatch.setenv("RANK", "1")
    assert following.usable([Remembering()], run) == ()
    monkeypatch.setenv("RANK", "0")
    assert len(following.usable([Remembering()], run)) == 1


def test_names_are_checked_before_anything_is_loaded():
    require(["mlflow:http://server", "tensorboard"])
    with pytest.raises(TrackingError, match="one of mlflow, tensorboard, wandb, but got 'mflow'"):
        require(["mflow:x"])
    with pytest.raises(TrackingError, match="mlflow is there twice"):
        require(["mlflow", "mlflow:http://server"])
    with pytest.raises(TrackingError, match="memory is there twice"):
        made([Remembering(), Remembering()])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:pa@ss@server:5000/x", "http://***@server:5000/x"),
        ("postgresql://u:p@h/db?password=x&sslmode=y", "postgresql://***@h/db?password=***&sslmode=***"),
        ("https://token@host", "https://***@host"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("me@here", "me@here"),
    ],
)
def test_what_is_shown_of_a_place_is_nobodys_password(text, shown):
    assert masked(text) == shown
    assert reason(OSError(f"cannot reach {text}. Second sentence\nthird")).startswith("OSError: cannot reach")
    assert shown in reason(OSError(text))


def test_numbers_of_a_step_are_found_whatever_a_strategy_tells():
    told = {"phase": "search", "step": 3, "steps": 9, "loss": 0.5, "expected_ms": [1.0, 2.0], "best": [1, 2]}
    told |= {"entropy": float("nan"), "strategy": "fbnet", "is_good": True, "eta_s": 1.0}
    assert curves.of_search(told) == curves.Moment(
        "search/search", 3, {"loss": 0.5, "expected_ms/1": 1.0, "expected_ms/2": 2.0}
    )
    training = {"phase": "training", "network": 4, "step": 1, "loss": 2.0}
    assert curves.of_search(training) == curves.Moment("search/training/network-4", 1, {"loss": 2.0})
    assert curves.of_search({"said": "nothing to count"}) is None


def test_rows_of_steps_grow_together():
    known = Logged()
    for step in (5, 1, 2, 4, 3, 9, 3):
        known.add("train", step)
    assert known.steps == {"train": [(1, 5), (9, 9)]}
    assert known.has("train", 4)
    assert not known.has("train", 6)
    assert Logged.from_json(json.loads(json.dumps(known.to_json()))).steps == known.steps
