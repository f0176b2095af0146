"""The trackers that ship, read back by the packages that they write for."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import pytest
import remembering_tracker
from remembering_tracker import Remembering
from stand_in_wandb import StandIn

from hwnas import plugins
from hwnas.errors import TrackingError
from hwnas.testing import check_tracker
from hwnas.tracking import TRACKERS, made
from hwnas.tracking.base import FAILED, FINISHED, INTERRUPTED, Point, Tracker
from hwnas.tracking.foreign import quiet

EXAMPLE = Path(__file__).parents[2] / "examples" / "tracker.py"
ROWS = [{"network": "0.1", "accuracy": 0.5, "ms": None}, {"network": "1|1", "accuracy": 0.75, "ms": 2.0}]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    (folder / "export").mkdir(parents=True)
    (folder / "arch.json").write_text("{}")
    (folder / "export" / "model.onnx").write_bytes(b"model")
    return folder


def tell(tracker: Tracker, run: Path, first: int, known: str | None, status: str = FINISHED) -> str:
    """All that a tracker can be told, beginning with a step."""
    tracker.check(run)
    found = tracker.begin("my run", run, known)
    tracker.parameters({"train/epochs": "3", "search/space": "macro"})
    tracker.scalars([Point("train/loss", step, 1 / step, 1000 * step) for step in (first, first + 1)])
    tracker.table("front", ROWS)
    tracker.text("verified/host", "NOT PROVEN\ntoo near")
    tracker.file(run / "arch.json", "arch.json")
    tracker.file(run / "export" / "model.onnx", "export/model.onnx")
    tracker.end(status)
    return found


class TestMLflow:
    """In a database, without a server."""

    @pytest.fixture
    def uri(self, tmp_path, database):
        return database(tmp_path / "own.db")

    def read(self, uri):
        from mlflow import MlflowClient

        with quiet({}):
            client = MlflowClient(uri)
            experiment = client.get_experiment_by_name("hwnas")
            return client, client.search_runs([experiment.experiment_id])

    @pytest.mark.slow
    def test_a_run_goes_on_and_holds_all(self, run, uri, capfd):
        (tracker,) = made([f"mlflow:{uri}"])
        first = tell(tracker, run, 1, None, INTERRUPTED)
        client, (found,) = self.read(uri)
        assert found.info.status == "KILLED"
        (again,) = made([f"mlflow:{uri}"])
        assert tell(again, run, 3, first) == first
        client, (found,) = self.read(uri)
        assert (found.info.run_name, found.info.status) == ("my run", "FINISHED")
        assert found.data.params == {"train/epochs": "3", "search/space": "macro"}
        assert found.data.tags["verified/host"] == "NOT PROVEN"
        history = client.get_metric_history(first, "train/loss")
        assert [(each.step, each.value, each.timestamp) for each in history] == [
            (step, 1 / step, 1000 * step) for step in (1, 2, 3, 4)
        ]
        files = {
            item.path
            for folder in (None, "tables", "export")
            for item in client.list_artifacts(first, folder)
        }
        assert {"arch.json", "export/model.onnx", "tables/front.json"} <= files
        assert capfd.readouterr() == ("", ""), "what MLflow has to say is not the user's"

    def test_what_was_set_otherwise_later_stands_among_the_tags(self, run, uri):
        (tracker,) = made([f"mlflow:{uri}"])
        first = tell(tracker, run, 1, None)
        tracker.begin("my run", run, first)
        tracker.parameters({"train/epochs": "5", "search/space": "macro", "long": "x" * 9999})
        _, (found,) = self.read(uri)
        assert found.data.params["train/epochs"] == "3"
        assert found.data.tags["train/epochs"] == "5"
        assert len(found.data.params["long"]) == 6000

    def test_two_folders_are_two_runs_of_one_experiment_at_the_usual_place(self, run, tmp_path, database):
        database(tmp_path / "mlflow.db")
        names = [tell(made(["mlflow"])[0], run, 1, None) for _ in range(2)]
        assert len(set(names)) == 2
        _, found = self.read(f"sqlite:///{tmp_path}/mlflow.db")
        assert {each.info.run_id for each in found} == set(names)

    def test_a_run_that_was_deleted_begins_anew(self, run, uri):
        first = tell(made([f"mlflow:{uri}"])[0], run, 1, None)
        client, _ = self.read(uri)
        client.delete_run(first)
        assert tell(made([f"mlflow:{uri}"])[0], run, 1, first) != first
        assert tell(made([f"mlflow:{uri}"])[0], run, 1, "0" * 32) != first

    def test_the_users_own_state_stays_as_it_is(self, run, uri):
        import logging

        import mlflow

        def state():
            return (
                mlflow.active_run(),
                mlflow.get_tracking_uri(),
                dict(os.environ),
                logging.root.manager.disable,
            )

        before = state()
        tell(made([f"mlflow:{uri}"])[0], run, 1, None, FAILED)
        assert state() == before

    @pytest.mark.parametrize(
        "uri", ["http://me:secret@127.0.0.1:9", "file:./mlruns", "sqlite:////proc/none.db", "magic://x"]
    )
    def test_a_place_that_is_none_is_one_sentence_before_any_work(self, run, uri, monkeypatch):
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        said = r"(MLflow must be able to keep runs at|the database of MLflow must be writable)"
        with pytest.raises(TrackingError, match=said) as caught:
            made([f"mlflow:{uri}"])[0].check(run)
        assert "secret" not in str(caught.value)
        assert "\n" not in str(caught.value)


class TestTensorBoard:
    """Event files, read by its own reader."""

    def read(self, folder):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = EventAccumulator(str(folder))
            found.Reload()
        return found

    def test_a_run_goes_on_in_its_folder(self, run):
        (tracker,) = made(["tensorboard"])
        first = tell(tracker, run, 1, None)
        (again,) = made(["tensorboard"])
        assert tell(again, run, 3, first) == first
        found = self.read(run / "tensorboard")
        scalars = found.Scalars("train/loss")
        assert [(each.step, each.wall_time) for each in scalars] == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]
        assert [each.value for each in scalars] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])

        def text(name):
            return found.Tensors(f"{name}/text_summary")[-1].tensor_proto.string_val[0].decode()

        assert text("verified/host") == "NOT PROVEN  \ntoo near"
        assert text("front").splitlines()[2:] == ["| 0.1 | 0.5 |  |", "| 1\\|1 | 0.75 | 2 |"]
        assert "| train/epochs | 3 |" in text("parameters")

    def test_another_run_has_another_folder(self, run):
        names = [tell(made(["tensorboard"])[0], run, 1, None) for _ in range(3)]
        assert names == [".", "my run-2", "my run-3"]
        assert len(self.read(run / "tensorboard" / "my run-2").Scalars("train/loss")) == 2

    def test_runs_share_a_folder_that_is_given(self, run, tmp_path):
        names = [tell(made(["tensorboard:all"])[0], run, 1, None) for _ in range(2)]
        assert names == ["my run", "my run-2"]
        assert len(self.read(tmp_path / "all" / "my run").Scalars("train/loss")) == 2
        assert not (run / "tensorboard").exists()

    def test_a_folder_that_cannot_be_is_one_sentence(self, run, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(TrackingError, match="the folder of TensorBoard must be writable"):
            made(["tensorboard:file"])[0].check(run)


class TestWandb:
    """With a stand-in for the package, which takes calls as its version 0.31 does, and nothing else.

    That the real package takes them was tried by hand, offline.
    """

    @pytest.fixture
    def package(self, monkeypatch):
        stand_in = StandIn("wandb")
        monkeypatch.setitem(sys.modules, "wandb", stand_in)
        return stand_in

    def test_a_run_goes_on_and_leaves_nothing_to_the_network(self, run, package):
        first = tell(made(["wandb"])[0], run, 1, None, FAILED)
        assert tell(made(["wandb"])[0], run, 3, first) == first
        one, two = package.runs
        assert (one.asked["project"], one.asked["entity"], one.asked["name"]) == ("hwnas", None, "my run")
        assert one.asked["settings"]["mode"] == "offline"
        assert two.asked["id"] == first
        assert two.asked["resume"] == "allow"
        assert [each for each in two.logged if "train/loss" in each] == [
            {"train/loss": 1 / step, "train/step": step} for step in (3, 4)
        ]
        assert ("train/*", "train/step") in two.metrics
        assert two.config == {"train/epochs": "3", "search/space": "macro"}
        assert two.summary == {"texts/verified/host": "NOT PROVEN\ntoo near"}
        assert two.logged[-1]["tables/front"].data[1] == ["1|1", 0.75, 2.0]
        assert two.saved == [str(run / "arch.json"), str(run / "export" / "model.onnx")]
        assert (one.exit_code, two.exit_code) == (1, 0)
        assert package.logins == []

    def test_an_address_sends_it_there(self, run, package):
        tell(made(["wandb:https://wandb.example/me/mine"])[0], run, 1, None)
        asked = package.runs[0].asked
        assert (asked["entity"], asked["project"]) == ("me", "mine")
        assert asked["settings"]["base_url"] == "https://wandb.example"
        assert asked["settings"]["mode"] == "online"
        assert package.logins == ["https://wandb.example"]

    def test_its_own_environment_is_obeyed(self, run, package, monkeypatch):
        monkeypatch.setenv("WANDB_MODE", "online")
        monkeypatch.setenv("WANDB_PROJECT", "theirs")
        tell(made(["wandb"])[0], run, 1, None)
        assert package.runs[0].asked["project"] == "theirs"
        assert "mode" not in package.runs[0].asked["settings"]
        assert package.logins == [None]

    @pytest.mark.parametrize("place", ["a/b/c", "https://me:secret@host/a/b", "a/"])
    def test_a_place_that_is_none_is_one_sentence(self, run, package, place):
        with pytest.raises(TrackingError, match="the place of a wandb run must be") as caught:
            made([f"wandb:{place}"])[0].check(run)
        assert "secret" not in str(caught.value)

    def test_who_is_not_known_there_is_told_before_any_work(self, run, package):
        package.knows_user = False
        with pytest.raises(TrackingError, match=r"must know who you are, but does not .*: `wandb login`"):
            made(["wandb:https://wandb.example/me/mine"])[0].check(run)


@pytest.mark.parametrize("name", ["mlflow", "tensorboard", "wandb"])
def test_what_is_not_installed_is_one_sentence_with_what_brings_it(name, run, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    said = rf"must be installed .* but {name} is not: pip install 'hwnas\[{name}\]'"
    with pytest.raises(TrackingError, match=said):
        made([name])[0].check(run)


def test_a_database_of_mlflow_needs_what_the_extra_brings(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "alembic", None)
    with pytest.raises(
        TrackingError, match=r"MLflow must be installed .* but alembic is not: .*hwnas\[mlflow\]"
    ):
        made(["mlflow"])[0].check(run)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlflow", "tensorboard", "tensorboard:logs", "csv", "csv:all.csv"])
def test_a_tracker_keeps_what_trackers_must(name, tmp_path):
    plugins.load(EXAMPLE)
    try:
        check_tracker(name, tmp_path)
    finally:
        plugins.forget()


def test_a_tracker_that_forgets_its_run_is_found(tmp_path):
    class Forgetful(Remembering):
        def begin(self, title, folder, run):
            return super().begin(title, folder, None)

    memory = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TRACKERS, "memory", "remembering_tracker:Forgetful")
        patch.setattr(remembering_tracker, "Forgetful", lambda place: Forgetful(place, memory), raising=False)
        with pytest.raises(AssertionError, match="must go on with the run run0, but began run1"):
            check_tracker("memory", tmp_path)
