"""The verbs with ``--track``: one run of each tracker a folder, whatever happens in between."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from remembering_tracker import Remembering
from typer.testing import CliRunner

import hwnas
from hwnas import latency, pipeline, plugins, spaces
from hwnas.cli import app
from hwnas.device import Target
from hwnas.errors import HwnasError
from hwnas.runs.folder import RunFolder
from hwnas.tables.table import LatencyTable, Round
from hwnas.tracking.foreign import quiet

EXAMPLE = Path(__file__).parents[2] / "examples" / "tracker.py"
SHORT = ["--space", "macro-r8-c10", "--strategy", "random", "--queries", "3", "--gallery", "0"]
UNTRAINED = ["--evaluate", "naswot", "--evaluate-images", "16"]


def cli(*words):
    return CliRunner(env={"COLUMNS": "1000"}).invoke(
        app, [str(word) for word in words], catch_exceptions=False
    )


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def model(tmp_path):
    """A device on which a million multiply-adds take a millisecond."""
    space = spaces.load(SHORT[1])
    rows = [Round(w.key(), "block", "s", n, (w.macs / 1e6,)) for w in space.workloads() for n in range(3)]
    table = LatencyTable(Target("host", "litert", "int8"), {}, rows)
    latency.save(latency.fit(table, space, "lookup"), tmp_path / "latency.json")
    return tmp_path / "latency.json"


@pytest.fixture
def asked(model, few_digits):
    """A search of seconds."""
    return ["search", "--latency", model, "--budget-ms", "60%", "--data", few_digits, *SHORT, *UNTRAINED]


def runs_of_mlflow(tmp_path):
    from mlflow import MlflowClient

    with quiet({}):
        client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
        experiment = client.get_experiment_by_name("hwnas")
        return client, client.search_runs([experiment.experiment_id])


def scalars_of_tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with quiet({}):
        found = EventAccumulator(str(folder))
        found.Reload()
        return {tag: [each.step for each in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_search_and_training_are_one_run_in_mlflow_and_tensorboard(asked, tmp_path, database):
    database(tmp_path / "mlflow.db")
    both = ["--track", "mlflow", "--track", "tensorboard"]
    run = tmp_path / "run"
    assert cli(*asked, "--out", run, *both).exit_code == 0
    trained = cli("train", run, "--epochs", "2", *both)
    assert trained.exit_code == 0
    assert "warning: mlflow" not in trained.stderr
    client, (found,) = runs_of_mlflow(tmp_path)
    assert (found.info.run_name, found.info.status) == ("run", "FINISHED")
    record = json.loads((run / "train.json").read_text())
    history = client.get_metric_history(found.info.run_id, "train/val_accuracy")
    assert [(m.step, m.value) for m in history] == [
        (e["epoch"], e["val_accuracy"]) for e in record["history"]
    ]
    scored = client.get_metric_history(found.info.run_id, "search/scoring/best_quality")
    assert [m.step for m in scored] == [1, 2, 3]
    assert found.data.metrics["trained/test_accuracy"] == record["test_accuracy"]
    assert found.data.params["search/strategy"] == "random"
    files = {item.path for item in client.list_artifacts(found.info.run_id)}
    assert {"arch.json", "search.json", "train.json", "weights.safetensors", "tables"} <= files
    steps = scalars_of_tensorboard(run / "tensorboard")
    assert steps["train/loss"] == [1, 2]
    assert steps["search/scoring/quality"] == [1, 2, 3]
    known = json.loads((run / "tracking.json").read_text())["trackers"]
    assert known["tensorboard:tensorboard"]["run"] == "."
    assert found.info.run_id in {each["run"] for each in known.values()}


@pytest.mark.slow
def test_a_training_that_is_killed_goes_on_with_its_run(exported_run):
    """The process dies at once, with nothing that it could do about it."""
    run = RunFolder(exported_run)
    words = ["train", str(run.path), "--epochs", "3", "--batch-size", "128", "--track", "tensorboard"]
    die = (
        "import os, signal; from hwnas.tracking import following; whole = following.Following.epoch\n"
        "def epoch(self, record):\n"
        "    whole(self, record)\n"
        "    record['epoch'] == 2 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "following.Following.epoch = epoch\n"
        "from hwnas.cli import main; main()"
    )
    killed = subprocess.run([sys.executable, "-c", die, *words], capture_output=True, text=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert run.train_checkpoint.exists()
    assert scalars_of_tensorboard(run.tensorboard)["train/loss"] == [1, 2]
    assert cli(*words).exit_code == 0
    assert scalars_of_tensorboard(run.tensorboard)["train/loss"] == [1, 2, 3]


@pytest.mark.slow
def test_training_again_is_another_run(exported_run):
    for expected in (["."], [".", "run-2"]):
        assert cli("train", exported_run, "--epochs", "1", "--track", "tensorboard").exit_code == 0
        folders = {path.parent for path in (exported_run / "tensorboard").rglob("events.*")}
        found = sorted(str(path.relative_to(exported_run / "tensorboard")) for path in folders)
        assert found == expected
    for folder in folders:
        assert scalars_of_tensorboard(folder)["train/loss"] == [1]


def test_a_report_tells_what_stages_did_that_nobody_followed(exported_run):
    assert cli("report", exported_run, "--track", "tensorboard").exit_code == 0
    steps = scalars_of_tensorboard(exported_run / "tensorboard")
    assert steps["train/loss"] == [1, 2, 3]
    assert steps["trained/test_accuracy"] == [1]


def test_what_cannot_be_used_is_refused_before_any_work(asked, exported_run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    for words in ([*asked, "--out", tmp_path / "new"], ["train", exported_run, "--epochs", "1"]):
        with pytest.raises(HwnasError, match=r"pip install 'hwnas\[mlflow\]'"):
            cli(*words, "--track", "mlflow")
    assert not (tmp_path / "new").exists()
    assert not (exported_run / "tracking.json").exists()
    assert len(json.loads((exported_run / "train.json").read_text())["history"]) == 3


@pytest.mark.slow
def test_a_search_that_is_refused_leaves_no_run(asked, tmp_path):
    words = [word if word != "60%" else "0.0001" for word in asked]
    with pytest.raises(HwnasError, match="fastest architecture"):
        cli(*words, "--out", tmp_path / "run", "--track", "mlflow", "--track", "tensorboard")
    assert not (tmp_path / "run").exists()
    assert runs_of_mlflow(tmp_path)[1] == []


@pytest.mark.slow
def test_functions_take_trackers_as_objects(model, few_digits, tmp_path):
    tracker, run = Remembering(), tmp_path / "run"
    from hwnas.evaluators.zero_cost.config import ZeroCostConfig
    from hwnas.finalists import SearchOptions

    seen = []
    hwnas.search(
        SHORT[1],
        {"host/litert-int8": "60%"},
        run,
        models=[model],
        data=few_digits,
        strategy="random",
        settings={"queries": 2},
        untrained=ZeroCostConfig(measure="naswot", images=16),
        options=SearchOptions(measure=False, gallery_points=0),
        progress=seen.append,
        track=[tracker],
    )
    hwnas.train(run, epochs=1, track=[tracker])
    assert len(seen) == 2
    assert list(tracker.runs) == ["run0"]
    assert tracker.steps("search/scoring/quality") == [1, 2]
    assert tracker.steps("train/loss") == [1]
    assert tracker.of("end") == [["finished"], ["finished"]]
    with pytest.raises(HwnasError, match="must be one of"):
        hwnas.train(run, epochs=1, track=["nope"])
    with pytest.raises(HwnasError, match="must be recorded"):
        hwnas.verify(run, record=False, track=[tracker])


def test_a_tracker_of_ones_own_is_a_plugin(exported_run, tmp_path):
    done = cli("report", exported_run, "--plugin", EXAMPLE, "--track", f"csv:{tmp_path}/all.csv")
    plugins.forget()
    assert done.exit_code == 0
    rows = (tmp_path / "all.csv").read_text().splitlines()
    assert rows[0] == "run,name,step,value"
    assert len([row for row in rows if row.startswith("run,train/loss,")]) == 3


CHAIN = {
    "data": "digits",
    "space": SHORT[1],
    "profile": {
        **{"rounds": 2, "max_rounds": 2, "samples": 2, "min_round_s": 0, "calibration_networks": 5},
        **{"heldout_networks": 2, "runtimes": ["litert"], "precisions": ["int8"]},
    },
    "search": {"strategy": "random", "evaluate": "supernet", "training_steps": 5, "settings": {"queries": 3}},
    "promise": {"measure": False, "gallery_points": 0},
    "baseline": {"strategy": "evolution", "settings": {"queries": 3, "population": 2, "tournament": 1}},
    "train": {"epochs": 1},
    "verify": {"rounds": 2, "min_round_s": 0},
}


@pytest.mark.slow
def test_a_chain_is_a_run_for_each_network_and_a_changed_training_another_one(tmp_path, few_digits):
    tracker, given = Remembering(), {**CHAIN, "data": str(few_digits), "folder": str(tmp_path / "chain")}
    pipeline.run(pipeline.make(tmp_path, given), track=[tracker])
    titles = dict(reversed(each) for each in tracker.begun)
    assert sorted(titles.values()) == ["chain/evolution", "chain/random"]
    ours = next(run for run, title in titles.items() if title == "chain/random")
    assert tracker.steps("search/scoring/accuracy", ours) == [1, 2, 3]
    assert tracker.steps("search/warm-up/loss", ours) == [1, 2, 3, 4, 5]
    assert tracker.steps("train/loss", ours) == [1]
    assert tracker.steps("verified/host/litert-int8/latency_ms", ours) == [1]
    assert "report.html" in dict(tracker.of("file", ours))
    assert tracker.twice(ours) == []
    begun = len(tracker.begun)
    pipeline.run(pipeline.make(tmp_path, given), track=[tracker])
    assert len(tracker.begun) == begun, "nothing was done"
    pipeline.run(pipeline.make(tmp_path, {**given, "train": {"epochs": 2}}), track=[tracker])
    again = tracker.begun[-1][1]
    assert again not in titles
    assert tracker.steps("train/loss", again) == [1, 2]
    assert tracker.steps("search/scoring/accuracy", again) == [1, 2, 3], "what the folder still holds"
