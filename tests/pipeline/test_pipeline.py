"""``hwnas run`` on this machine: real measuring, searching, training, exporting and verifying."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hwnas import device as devices
from hwnas import files, pipeline, release
from hwnas.cli import app
from hwnas.data import sources
from hwnas.errors import HwnasError, SchemaMismatch
from hwnas.measure import ProfileOptions
from hwnas.pipeline.stages import Stages
from hwnas.pipeline.state import RunState, Stage
from hwnas.report import _record, _reproduce
from hwnas.runs import runtimes
from hwnas.runs.folder import ChainFolder, RunFolder
from hwnas.tables import places
from hwnas.train import checkpoint
from hwnas.train.config import TrainConfig
from hwnas.verify import scales, verify

pytestmark = pytest.mark.usefixtures("warm_processes")
HWNAS = Path(sys.executable).with_name("hwnas")
CONFIG = """
space = "macro-r16"
[profile]
runtimes = ["litert"]
precisions = ["int8"]
rounds = 1
max_rounds = 1
samples = 2
min_sample_ms = 0.2
warmup_min_ms = 0.5
warmup_max_ms = 1.0
calibration_networks = 4
heldout_networks = 2
pool = "processes:1"
min_round_s = 0.0
[promise]
finalists = 1
rounds = 1
scored = 1
sessions = 1
gallery_points = 2
gallery_each = 1
[promise.measuring]
rounds = 1
max_rounds = 1
samples = 2
min_sample_ms = 0.2
warmup_min_ms = 0.5
warmup_max_ms = 1.0
min_round_s = 0.0
[search]
strategy = "fbnet"
budgets = ["90%"]
confidence = 0.5
[search.supernet]
width = 0.25
resolution = 8
recalibration_images = 64
validation_images = 64
[search.settings]
warmup_steps = 4
steps = 2
finalists = 2
[baseline]
strategy = "random"
[baseline.settings]
queries = 2
[train]
epochs = 1
batch_size = 128
[export]
calibration_images = 64
[verify]
rounds = 1
samples = 3
min_round_s = 0.0
"""
EVERY = pipeline.STAGES


def configure(folder: Path, text: str) -> Path:
    """Write the config of a folder; its images stay those of the first run, wherever it was moved."""
    path = folder / "hwnas.toml"
    (images,) = re.findall("^data = .*\n", path.read_text(), re.MULTILINE)
    path.write_text(images + text.removeprefix(images))
    return path


@pytest.fixture(scope="module")
def first_run(tmp_path_factory, few_digits):
    folder = tmp_path_factory.mktemp("chain")
    (folder / "hwnas.toml").write_text(f'data = "{few_digits}"\n')
    configure(folder, CONFIG)
    heard, counted = [], Counter()

    def counting(name, function):
        def count(*args, **kwargs):
            counted[name] += 1
            return function(*args, **kwargs)

        return count

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "read", counting("read", sources.read))
        patch.setattr(checkpoint, "read_tensors", counting("tensors", checkpoint.read_tensors))
        summary = pipeline.run(pipeline.read(folder / "hwnas.toml"), tell=lambda *what: heard.append(what))
    assert summary.ran == EVERY
    return folder, heard, counted


@pytest.fixture
def finished(first_run, tmp_path):
    """A copy of a folder with a config and its finished run: it may be moved as a whole."""
    return Path(shutil.copytree(first_run[0], tmp_path / "moved"))


def again(folder: Path, **replaced: str) -> tuple[str, ...]:
    """Run once more, with parts of the config replaced; returns the stages that ran."""
    text = CONFIG
    for old, new in replaced.values():
        assert old in text
        text = text.replace(old, new)
    return pipeline.run(pipeline.read(configure(folder, text))).ran


def test_a_run_reads_images_and_weights_once(first_run):
    """The supernet by the baseline alone; weights by the comparison of both networks and by the export."""
    _, _, counted = first_run
    assert counted["read"] == 1
    assert counted["tensors"] == 4


def test_every_stage_says_that_it_begins_and_ends(first_run):
    _, heard, _ = first_run
    assert [stage for stage, text in heard if text == ""] == list(EVERY)
    assert [stage for stage, text in heard if text == "starting"] == list(EVERY)


def test_what_is_unchanged_is_skipped_and_said(finished):
    heard = []
    summary = pipeline.run(pipeline.read(finished / "hwnas.toml"), tell=lambda *what: heard.append(what))
    assert summary.ran == ()
    assert heard == [(stage, pipeline.UNCHANGED) for stage in EVERY]
    assert set(summary.quality) == {"fbnet", "random"}
    assert all(seconds > 0 for seconds in summary.seconds.values())
    shipped = summary.run / "export"
    assert release.REPORT in release.read_manifest(shipped).files
    assert (shipped / release.REPORT).read_bytes() == summary.report.read_bytes()


def everything(folder: Path) -> dict[str, bytes]:
    """Each file of a folder."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_dry_run_says_what_is_left_and_writes_nothing(finished):
    config, before = finished / "hwnas.toml", everything(finished)
    found = pipeline.foreseen(pipeline.read(config))
    assert [(stage.name, stage.is_done) for stage in found.stages] == [(name, True) for name in EVERY]
    assert all(stage.seconds and not stage.measures for stage in found.stages)
    assert found.profile == ()
    text = config.read_text()
    config.write_text(text.replace("epochs = 1", "epochs = 2"))
    left = [stage.name for stage in pipeline.foreseen(pipeline.read(config)).stages if not stage.is_done]
    assert tuple(left) == EVERY[EVERY.index("train") :], "as it would be run"
    config.write_text(text.replace("\nrounds = 1\nmax_rounds = 1", "\nrounds = 2\nmax_rounds = 2", 1))
    (more,) = pipeline.foreseen(pipeline.read(config)).profile
    assert more.fewest == sum(more.rows.values()) > 20
    assert more.is_known
    done = CliRunner().invoke(app, ["run", str(config), "--dry-run", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [stage["is_done"] for stage in told["stages"]] == [False] * len(EVERY)
    assert told["profile"][0]["fewest"] == more.fewest
    config.write_text(text)
    assert everything(finished) == before
    shutil.rmtree(finished / "run")
    assert "at least" in CliRunner().invoke(app, ["run", str(config), "--dry-run"]).stdout
    assert not (finished / "run").exists()


@pytest.mark.slow
def test_a_changed_section_runs_its_stage_and_what_depends_on_it(finished):
    after = EVERY[EVERY.index("train") :]
    assert again(finished, epochs=("epochs = 1", "epochs = 2")) == after
    history = json.loads((finished / "run" / "fbnet" / "train.json").read_text())["history"]
    assert len(history) == 2
    assert again(finished, epochs=("epochs = 1", "epochs = 2")) == ()
    licence = ("\ncalibration_images = 64", '\ncalibration_images = 64\nlicence = "MIT"')
    assert again(finished, epochs=("epochs = 1", "epochs = 2"), licence=licence) == EVERY[-3:]
    assert release.read_manifest(finished / "run" / "fbnet" / "export").licence == "MIT"


def training(folder: Path, text: str) -> tuple[Stage, RunState]:
    """The stage of training under another config, and what is known of it."""
    state = RunState(folder / "run")
    stages = Stages(pipeline.read(configure(folder, text)), [devices.load("host")], state)
    return next(stage for stage in stages if stage.name == "train"), state


@pytest.mark.slow
def test_a_teacher_is_an_input_of_the_training(finished):
    run, teacher = finished / "run" / "fbnet", finished / "teacher"
    shutil.copytree(run, teacher)
    config = CONFIG.replace("[train]", '[train]\nteacher = "teacher"')
    stage, state = training(finished, config)
    assert not state.is_done(stage)
    state.begin(stage)
    stage.run(lambda _: None)
    state.finish(stage, 0.0)
    for name in ("fbnet", "random"):
        record = json.loads((finished / "run" / name / "train.json").read_text())
        assert record["config"]["distill_weight"] == 0.5
        assert record["teacher"]["weights_sha256"] == files.sha256(teacher / "weights.safetensors")
    assert state.is_done(training(finished, config)[0])
    assert not state.is_done(training(finished, CONFIG)[0])
    shutil.copy(run / "weights.safetensors", teacher)
    assert not state.is_done(training(finished, config)[0]), "the teacher learnt something else"
    (teacher / "weights.safetensors").unlink()
    with pytest.raises(HwnasError, match=r"has no weights\.safetensors"):
        pipeline.run(pipeline.read(finished / "hwnas.toml"))


def planned(folder: Path, runtimes: str) -> tuple[RunState, Iterator[Stage], Stages]:
    """The stages of a folder whose runtimes are others than those of its config, and what is known of it."""
    text = CONFIG.replace('runtimes = ["litert"]', f"runtimes = {runtimes}")
    state = RunState(folder / "run")
    stages = Stages(pipeline.read(configure(folder, text)), [devices.load("host")], state)
    return state, iter(stages), stages


@pytest.mark.slow
def test_the_fastest_runtime_is_chosen_before_the_rest(finished):
    """By the code of a search that may choose; ``tests/finalists`` has what that decides."""
    state, each, stages = planned(finished, '["auto", "litert", "onnxruntime"]')
    first = next(each)
    assert first.name == "runtimes"
    assert not state.is_done(first)
    state.begin(first)
    said: list[str] = []
    first.run(said.append)
    state.finish(first, 0.0)
    (choice,) = runtimes.read(stages.run.path).values()
    assert [line for line in said if "rounds" not in line] == [
        f"measuring host/{name}-int8 {what}"
        for what, names in (
            ("to choose a runtime", ("litert", "onnxruntime")),
            ("again", ("onnxruntime", "litert")),
        )
        for name in names
    ]
    assert [item.target.runtime for item in choice.readings] == ["litert", "onnxruntime"]
    assert all(item.has_table for item in choice.readings), "whichever it is gets one"
    profiling = next(each)
    assert (profiling.name, profiling.settings["targets"]) == ("profile", [choice.chosen.to_json()])
    assert profiling.writes == (places.table(stages.tables / "host", choice.chosen),)
    assert stages.targets == (choice.chosen,)
    assert state.is_done(next(planned(finished, '["auto", "litert", "onnxruntime"]')[1]))
    assert not state.is_done(next(planned(finished, '["auto", "onnxruntime"]')[1])), "others to choose from"
    assert next(planned(finished, '["litert"]')[1]).name == "profile", "nothing to choose"


@pytest.mark.slow
def test_a_training_begins_with_the_weights_of_the_supernet(finished):
    init = ("[train]", '[train]\ninit = "supernet"')
    ran = again(finished, width=("width = 0.25", "width = 1.0"), init=init)
    assert ran == EVERY[EVERY.index("search") :]
    for name in ("fbnet", "random"):
        folder = finished / "run" / name
        record = json.loads((folder / "train.json").read_text())
        assert record["start"]["from"] == "supernet"
        assert record["start"]["sha256"] == files.sha256(folder / "supernet.safetensors")
    text = (finished / "hwnas.toml").read_text()
    stage, state = training(finished, text)
    assert state.is_done(stage)
    assert finished / "run" / "fbnet" / "supernet.safetensors" in stage.reads
    assert not state.is_done(training(finished, text.replace('init = "supernet"\n', ""))[0])


@pytest.mark.slow
def test_a_changed_budget_searches_again_in_the_same_folder(finished):
    ran = again(finished, budget=("90%", "70%"))
    assert ran[:2] == ("search", "baseline")
    assert "profile" not in ran


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "first"),
    [
        ("run/fbnet/weights.safetensors", "train"),
        ("run/fbnet/export/model.onnx", "export"),
        ("run/fbnet/export/manifest.json", "export"),
        ("run/fbnet/report.html", "report"),
    ],
)
def test_a_damaged_result_is_made_again(finished, file, first):
    path = finished / file
    path.write_bytes(path.read_bytes()[:-10])
    ran = again(finished)
    assert ran[0] == first
    assert again(finished) == ()


def test_a_damaged_table_is_one_sentence(finished):
    path = next((finished / "run" / "tables").rglob("*.jsonl"))
    lines = path.read_text().splitlines()
    lines[3] = lines[3][:-5]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(HwnasError, match=r"line 4 of .* must be JSON"):
        again(finished)


def test_a_folder_is_for_one_process_at_a_time(finished):
    import filelock

    with (
        filelock.FileLock(RunFolder(finished / "run").lock),
        pytest.raises(HwnasError, match="another process works on"),
    ):
        again(finished)


@pytest.mark.slow
def test_a_training_that_was_killed_goes_on(finished):
    """SIGKILL between two epochs; the second process begins with a later epoch than the first."""
    configure(finished, CONFIG.replace("epochs = 1", "epochs = 40"))
    checkpoint = finished / "run" / "fbnet" / "train-checkpoint.safetensors"
    with subprocess.Popen([HWNAS, "run", finished / "hwnas.toml"], stderr=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 120
            while not checkpoint.exists() and process.poll() is None and time.monotonic() < until:
                time.sleep(0.01)
        finally:
            os.kill(process.pid, signal.SIGKILL)
    assert checkpoint.exists()
    assert not (finished / "run" / "fbnet" / "train.json").exists()
    heard = []

    def tell(stage, text):
        heard.append((stage, text))
        if text.startswith("fbnet: epoch "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.run(pipeline.read(finished / "hwnas.toml"), tell=tell)
    assert heard[:4] == [(stage, pipeline.UNCHANGED) for stage in EVERY[:4]]
    epoch = int(heard[-1][1].removeprefix("fbnet: epoch ").split("/")[0])
    assert epoch > 1
    heard.clear()
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(pipeline.read(finished / "hwnas.toml"), tell=tell)
    assert int(heard[-1][1].removeprefix("fbnet: epoch ").split("/")[0]) == epoch + 1


@pytest.mark.slow
def test_the_scale_of_the_predictions_travels_with_the_folder(finished, tmp_path):
    """Without tables and run, latencies are on the scale that the manifest keeps."""
    shipped = Path(shutil.copytree(finished / "run" / "fbnet" / "export", tmp_path / "alone"))
    path = shipped / release.MANIFEST
    manifest = json.loads(path.read_text())
    (name, scale), *others = manifest["scales"].items()
    assert name == "host/litert-int8"
    assert not others
    host, quick = devices.load("host"), ProfileOptions(rounds=2, samples=3)
    tenfold = scale | {"scale": {n: v and 10 * v for n, v in scale["scale"].items()}}
    one = {"variants": manifest["variants"][1:2]}
    path.write_text(json.dumps(manifest | one | {"scales": {name: tenfold}}))
    found = verify(shipped, host, None, options=quick, record=False)
    then_ms = {v["name"]: v["measured_ms"] for v in manifest["verification"]["variants"]}["litert-int8"]
    assert 3 * then_ms < found.variants[0].measured_ms < 30 * then_ms
    other = scale | {"environment": scale["environment"] | {"cpu_model": "another one"}}
    path.write_text(json.dumps(manifest | one | {"scales": {name: other}}))
    found = verify(shipped, host, None, options=quick, record=False)
    assert "is not that of the promise" in found.notes[-1]
    path.write_text(json.dumps(manifest | {"scales": {name: {"scale": {}}}}))
    with pytest.raises(SchemaMismatch, match="a reference must have"):
        verify(shipped, host, None, record=False)


@pytest.mark.slow
def test_the_command_line_skips_and_says_so(finished):
    done = subprocess.run(
        [HWNAS, "run", finished / "hwnas.toml"], capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1, 3)  # the budget may be missed, or not proven, in so short a run
    assert [line for line in done.stderr.splitlines() if "unchanged, skipped" in line] == [
        f"{stage}: unchanged, skipped" for stage in EVERY
    ]
    assert "litert-int8" in done.stdout
    assert f"models: {finished / 'run' / 'fbnet' / 'export'}" in done.stdout.replace("\n", "")


def test_a_report_by_hand_says_the_commands_that_the_report_of_the_run_says(finished):
    """What a table was asked for is found where the run has it, and so are the models."""
    chain = ChainFolder(finished / "run")
    target = devices.load("host").target("litert", "int8")
    own = _record.read(chain.run("fbnet").path, [chain.latency_model(target)], chain.tables)
    commands = [" ".join(words) for words in _reproduce.commands(own)]
    assert "--rounds 1 --max-rounds 1" in commands[0]
    assert "--calibration-networks 4 --heldout-networks 2" in commands[0]
    by_hand = _record.read(chain.run("fbnet").path)
    assert [" ".join(words) for words in _reproduce.commands(by_hand)] == commands
    assert by_hand.tables[target].rounds == own.tables[target].rounds
    assert [model.target for model in by_hand.models] == [target]
    assert scales.tables_of(chain.run("fbnet").path, "host") == chain.tables.resolve() / "host"
    assert scales.tables_of(finished, "host") == places.of_device("host")


def test_init_writes_a_config_once(tmp_path):
    path = tmp_path / "hwnas.toml"
    assert CliRunner().invoke(app, ["init", str(path)]).exit_code == 0
    assert pipeline.read(path).values["train"]["epochs"] == TrainConfig().epochs
    before = files.sha256(path)
    done = CliRunner().invoke(app, ["init", str(path)])
    assert isinstance(done.exception, HwnasError)
    assert "must not be replaced unasked" in str(done.exception)
    assert files.sha256(path) == before


def stages_of(folder: Path, text: str, *names: str) -> tuple[dict[str, Stage], RunState]:
    """Some stages under another config; what comes before them is there."""
    state = RunState(folder / "run")
    stages = Stages(pipeline.read(configure(folder, text)), [devices.load("host")], state)
    found = {}
    for stage in stages:
        found[stage.name] = stage
        if stage.name == names[-1]:
            return {name: found[name] for name in names}, state
    raise AssertionError(f"no stage {names[-1]}")


@pytest.mark.slow
def test_a_baseline_is_scored_by_the_blocks_that_the_search_had_learn(finished):
    """Where no strategy is named, too: what is compared differs in how it searches, not in who scores."""
    config = CONFIG.replace('strategy = "fbnet"\n', "training_steps = 4\n")
    config = config.replace("warmup_steps = 4\nsteps = 2\nfinalists = 2\n", "queries = 3\nrandom = 1\n")
    found, state = stages_of(finished, config, "search", "baseline")
    for stage in found.values():
        state.begin(stage)
        stage.run(lambda _: None)
        state.finish(stage, 0.0)
    mine, other = (RunFolder(finished / "run" / name) for name in ("exact", "random"))
    assert mine.supernet in found["baseline"].reads
    first, second = (json.loads(run.search.read_text()) for run in (mine, other))
    assert first["oneshot"]["training"] == second["oneshot"]["training"] == "blockwise"
    assert "teacher" in first["seconds"]
    assert not {"teacher", "distillation"} & set(second["seconds"]), "nothing is trained again"
    assert second["supernet_sha256"] == files.sha256(mine.supernet)


@pytest.mark.slow
def test_networks_may_be_scored_by_training_each_in_a_run_too(finished):
    """As ``hwnas search --evaluate scratch`` does; there is no supernet for the baseline either."""
    config = CONFIG.replace('"fbnet"', '"evolution"\nevaluate = "scratch"\nevaluate_epochs = 1')
    config = config.replace("warmup_steps = 4\nsteps = 2\nfinalists = 2\n", "queries = 2\n")
    config = config.replace("gallery_points = 2", "gallery_points = 0").replace(
        "queries = 2\n[tr", "queries = 1\n[tr"
    )
    found, state = stages_of(finished, config, "search", "baseline")
    for stage in found.values():
        state.begin(stage)
        stage.run(lambda _: None)
        state.finish(stage, 0.0)
        assert state.is_done(stage)
    for name, queries in (("evolution", 2), ("random", 1)):
        run = RunFolder(finished / "run" / name)
        record = json.loads(run.search.read_text())
        assert record["scratch"]["config"]["epochs"] == 1
        assert (len(record["trials"]) >= queries, "oneshot" in record) == (True, False)
        assert not run.supernet.exists(), "that of an earlier search has no place here"


@pytest.mark.slow
def test_a_run_keeps_its_budgets_on_several_devices(tmp_path, monkeypatch):
    """A second description of this machine: tables, models, budgets and verification of its own."""
    described = tmp_path / "config" / "hwnas" / "devices"
    described.mkdir(parents=True)
    text = (Path(devices.__file__).parents[1] / "devices" / "host.toml").read_text()
    (described / "second.toml").write_text(text.replace('name = "host"', 'name = "second"'))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    config = CONFIG.replace('space = "macro-r16"', 'space = "macro-r16"\ndevice = ["host", "second"]')
    config = config.replace('[baseline]\nstrategy = "random"\n[baseline.settings]\nqueries = 2\n', "")
    (tmp_path / "hwnas.toml").write_text(config)
    summary = pipeline.run(pipeline.read(tmp_path / "hwnas.toml"))
    record = json.loads((summary.run / "search.json").read_text())
    assert [item["name"] for item in record["constraints"]] == ["host/litert-int8", "second/litert-int8"]
    assert all(target["measured_ms"] > 0 for target in record["promise"]["targets"])
    assert {path.name for path in (tmp_path / "run" / "tables").iterdir()} == {"host", "second"}
    here, there = summary.verifications
    assert (here.device, there.device) == ("host", "second")
    assert any(item.measured_ms and item.budget_ms for item in there.variants)
    assert not [note for found in (here, there) for note in found.notes if "verify them there" in note]
    assert release.read_manifest(summary.run / "export").verifications == (here, there)
    assert summary.verdict is not None
    assert set(there.verdict.reasons) <= set(summary.verdict.reasons)
    page = summary.report.read_text()
    assert "What ships, measured on <code>host</code>" in page
    assert "What ships, measured on <code>second</code>" in page
    commands = [" ".join(words) for words in _reproduce.commands(_record.read(summary.run))]
    assert [words.split()[4] for words in commands if words.startswith("hwnas verify")] == ["host", "second"]
    assert pipeline.run(pipeline.read(tmp_path / "hwnas.toml")).ran == ()
    manifest = release.read_manifest(summary.run / "export").to_json()
    del manifest["verified_elsewhere"]
    files.write_json(summary.run / "export" / release.MANIFEST, manifest)
    assert pipeline.run(pipeline.read(tmp_path / "hwnas.toml")).ran == ("verify", "report")
