"""Files of a run that are JSON but not what they should be: a sentence, whatever reads them."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import report_run
from typer.testing import CliRunner

import hwnas
from hwnas import latency, release, report
from hwnas.budget import Budget
from hwnas.cli import app
from hwnas.device import read as read_device
from hwnas.errors import HwnasError
from hwnas.pipeline.state import RunState
from hwnas.runs import records
from hwnas.runs.folder import ChainFolder
from hwnas.search.pick import pick

ODD = (None, [], {}, "x", "1", -1, True, 1e300, [None], {"a": 1})
BROKEN = {
    "nothing": b"",
    "cut off": b'{"schema": "hwn',
    "a list": b"[]",
    "null": b"null",
    "a number": b"3",
    "text": b'"x"',
    "an empty object": b"{}",
    "not UTF-8": b'{"schema": "\xff"}',
    "zeros": b"\0" * 100,
    "not a number": b'{"schema": NaN}',
    "too large a number": b'{"schema": 1e999}',
    "deep": b"[" * 100_000,
}


@pytest.fixture(scope="session")
def _complete(_exported_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import shutil

    run = Path(shutil.copytree(_exported_run, tmp_path_factory.mktemp("records") / "run"))
    return report_run.complete(run)


@pytest.fixture
def run(_complete: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(_complete, tmp_path / "run"))


def places(data: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in JSON; of lists, the first two items stand for all."""
    yield place
    items = list(data.items()) if isinstance(data, dict) else []
    items = list(enumerate(data))[:2] if isinstance(data, list) else items
    for name, item in items:
        yield from places(item, (*place, name))


def with_odd(data: Any, place: tuple[Any, ...], value: Any) -> Any:
    """The same JSON with something else in one place; nothing at all where it is ``...``."""
    if not place:
        return value
    changed = copy.deepcopy(data)
    inner = changed
    for name in place[:-1]:
        inner = inner[name]
    if value is ...:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return changed


def verified(run: Path) -> None:
    manifest = release.read_manifest(run / "export")
    assert isinstance(manifest.verifications, tuple)
    json.dumps(manifest.to_json())


READERS = {
    "arch.json": lambda run: release.read_run(run),
    "search.json": lambda run: (records.search(run), pick(run, [Budget.read("90%")], run / "picked")),
    "train.json": lambda run: records.trained(run),
    "gallery.json": lambda run: pick(run, [Budget.read("90%")], run / "picked"),
    "compare.json": lambda run: json.dumps(records.comparison(run).to_json()),
    "export/manifest.json": verified,
    "latency/host-litert-int8.json": lambda run: latency.load(run / "latency" / "host-litert-int8.json"),
}


@pytest.mark.parametrize("name", READERS)
def test_an_odd_value_anywhere_is_read_or_refused_in_words(run, name):
    """A sample of all places and values, another one for each file; the same ones every time."""
    path = run / name
    data = json.loads(path.read_text())
    cases = [(place, value) for place in places(data) for value in (*ODD, ...) if place or value is not ...]
    refused = 0
    for place, value in random.Random(name).sample(cases, min(60, len(cases))):
        path.write_text(json.dumps(with_odd(data, place, value)))
        for file in (run / "picked").glob("*.json"):
            file.unlink()
        try:
            READERS[name](run)
        except HwnasError:
            refused += 1
        except Exception as error:
            raise AssertionError(f"{place} = {value!r}: {error!r}") from error
    assert refused > 10


def test_a_record_that_is_read_is_written_as_it_was(run):
    """Of this version, of one that said less, and with a field of somebody else."""
    path = run / "search.json"
    whole = json.loads(path.read_text())
    less = {name: whole[name] for name in ("strategy", "constraints", "data", "seed")}
    measured = whole.pop("promise")  # of an earlier version, whose targets had no verdict
    for written in (whole, less):
        path.write_text(json.dumps(written))
        again = records.search(run).to_json()
        assert {name: again[name] for name in written} == written
        assert not any(again[name] for name in again.keys() - written.keys() - {"score"})
    path.write_text(json.dumps(whole | {"promise": measured, "mine": [1]}))
    found = records.search(run)
    assert found.to_json()["mine"] == [1]
    said = {name: value for name, value in measured.items() if name != "targets"}
    assert {name: found.finalists.to_json()[name] for name in said} == said
    assert (found.finalists.schema, found.finalists.verdict) == ("hwnas-promise/1", None)
    assert found.budgets[0].target.device == "host"
    written = json.loads((run / "train.json").read_text())
    again = records.trained(run).to_json()
    assert again == written
    assert list(again) == list(written)
    older = {
        name: value for name, value in written.items() if name not in ("metric", "kept", "learning", "test")
    }
    (run / "train.json").write_text(json.dumps(older))
    found = records.trained(run)
    assert (found.kept, found.learning, found.metric.key) == (None, None, "accuracy")
    assert found.test_value == written["test_accuracy"]


def test_a_gallery_that_is_read_is_written_as_it_was(run):
    """As it is written now, of a task that is judged by no accuracy, and as earlier versions wrote it."""
    path = run / "gallery.json"
    older = json.loads(path.read_text())
    assert records.gallery(run, "").to_json() == older
    newer = {**older, "space": "macro-r16", "space_fingerprint": "f", "points": 2, "each": 4}
    order = ("schema", "space", "space_fingerprint", "images", "targets", "entries", "points", "each")
    of_other_task = copy.deepcopy(newer)
    for entry in of_other_task["entries"]:
        entry |= {"quality": entry.pop("accuracy"), "quality_interval": None}
        del entry["accuracy_interval"]
    for written in (newer, of_other_task):
        path.write_text(json.dumps({name: written[name] for name in order}))
        again = records.gallery(run, "", is_pickable=True).to_json()
        assert (again, list(again)) == (written, list(order))
    entry, *_ = records.gallery(run, "").entries
    assert entry.latencies_ms == (12.0 * 1.01, 24.0), "measured on the first target, predicted on the other"
    path.write_text(json.dumps(newer | {"schema": "hwnas-gallery/9"}))
    with pytest.raises(HwnasError, match="must be of schema hwnas-gallery/1"):
        records.gallery(run, "", is_pickable=True)


def test_a_comparison_of_an_earlier_version_is_read(run):
    """It said neither what was asked for nor whether a difference is real, and of no budget."""
    written = json.loads((run / "compare.json").read_text())
    found = records.comparison(run)
    assert (found.asked.against, found.asked.match_latency) == ((), ("mobilenetv2",))
    assert (found.asked.variants, found.asked.rounds) == (("litert-int8",), None)
    mine, other = found.networks
    assert (found.found, mine.name, other.name) == ("found", "found", "mobilenetv2-0.31")
    assert (other.variants[0].quality.difference, other.variants[0].on_budget, found.used) == (None, None, {})
    again = found.to_json()
    assert again["networks"][1]["accuracy"] == written["networks"][1]["accuracy"]
    assert {name: again["matches"][0][name] for name in written["matches"][0]} == written["matches"][0]
    assert records.comparison(run) == found


@pytest.mark.parametrize("name", ["search.json", "train.json", "gallery.json", "compare.json", "arch.json"])
def test_the_report_reads_or_refuses_what_is_odd(run, name):
    path = run / name
    data = json.loads(path.read_text())
    cases = [(place, value) for place in places(data) for value in (*ODD, ...) if place or value is not ...]
    for place, value in random.Random(name).sample(cases, 12):
        path.write_text(json.dumps(with_odd(data, place, value)))
        try:
            report.write(run)
        except HwnasError:
            continue
        except Exception as error:
            raise AssertionError(f"{place} = {value!r}: {error!r}") from error


@pytest.mark.parametrize("damage", [*BROKEN, "a folder"])
def test_a_broken_file_is_named_by_every_verb_that_reads_it(run, damage):
    """None of these gets as far as work: the file is read first. One damage is met by all verbs."""
    verbs = {
        "arch.json": (["train", run], ["export", run], ["report", run]),
        "search.json": (
            ["train", run],
            ["report", run],
            ["pick", run, "--budget-ms", "90%", "--out", run / "o"],
        ),
        "train.json": (["export", run], ["report", run], ["compare", run, "--against", "mnasnet-a1"]),
        "gallery.json": (["report", run], ["pick", run, "--budget-ms", "90%", "--out", run / "o"]),
        "compare.json": (["report", run],),
        "export/manifest.json": (["verify", run],),
        "latency/host-litert-int8.json": (["report", run],),
    }
    for name, commands in verbs.items():
        path = run / name
        whole = path.read_bytes()
        if (damage, path.parent.name) == ("a folder", "latency"):
            continue  # what is no file is no model there
        if damage == "a folder":
            path.unlink()
            path.mkdir()
        else:
            path.write_bytes(BROKEN[damage])
        for words in commands if damage == "a list" else commands[:1]:
            done = CliRunner().invoke(app, list(map(str, words)))
            assert isinstance(done.exception, HwnasError), (name, words, done.exception)
            assert "\n" not in str(done.exception)
        if damage == "a folder":
            path.rmdir()
        path.write_bytes(whole)


@pytest.mark.parametrize(
    ("missing", "words", "remedy"),
    [
        ("arch.json", ["train"], "as `hwnas search --device host=60% --out RUN-2` does"),
        ("search.json", ["train"], "`hwnas search --device host=60% --out RUN` makes it"),
        ("search.json", ["report"], "`hwnas search --device host=60% --out RUN` makes it"),
        ("train.json", ["export"], "`hwnas train RUN` makes it"),
        ("train.json", ["compare", "--against", "mnasnet-a1"], "`hwnas train RUN` makes it"),
        ("weights.safetensors", ["export"], "`hwnas train RUN` makes it"),
        (
            "gallery.json",
            ["pick", "--budget-ms", "90%", "--out", "picked"],
            "with its options and --gallery 10",
        ),
        ("export/manifest.json", ["verify"], "`hwnas export RUN` makes it"),
        ("export/labels.txt", ["verify"], "`hwnas export RUN` makes it anew"),
        ("export/model.tflite", ["verify"], "`hwnas export RUN` makes it anew"),
    ],
)
def test_what_is_missing_is_said_with_the_command_that_makes_it(run, missing, words, remedy):
    (run / missing).unlink()
    verb, *options = words
    options = [str(run / option) if option == "picked" else option for option in options]
    done = CliRunner().invoke(app, [verb, str(run), *options])
    assert isinstance(done.exception, HwnasError), done.exception
    assert remedy.replace("RUN", str(run)) in str(done.exception)
    assert "search again" not in str(done.exception)


def test_a_folder_around_runs_names_them(tmp_path, monkeypatch):
    """Given in the place of a run, on the command line and in Python; the one first that came furthest."""
    monkeypatch.chdir(tmp_path)
    for name in ("fbnet/arch.json", "random/arch.json", "random/train.json", "tables/host.jsonl"):
        path = tmp_path / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    more = {"pick": ["--budget-ms", "1", "--out", "o"], "compare": ["--against", "mnasnet-a1"]}
    for verb in ("train", "export", "verify", "report", "pick", "compare"):
        done = CliRunner().invoke(app, [verb, "run", *more.get(verb, [])])
        assert isinstance(done.exception, HwnasError), done.output
        assert str(done.exception) == (
            "a run must be given by its own folder, but run holds no run, run/random and run/fbnet do: "
            f"type `hwnas {verb} run/random`"
        )
    for call in (hwnas.train, hwnas.export, hwnas.verify):
        with pytest.raises(HwnasError, match=r"run/random and run/fbnet do: give run/random, for example$"):
            call("run")
    (tmp_path / "run" / "search.json").write_text("{}")  # then it is a run, and damaged
    with pytest.raises(HwnasError, match="`hwnas search --device host=60% --out run-2`"):
        hwnas.train("run")


@pytest.mark.parametrize("damage", BROKEN)
def test_a_broken_state_of_a_run_is_refused(tmp_path, damage):
    (ChainFolder(tmp_path).state).write_bytes(BROKEN[damage])
    with pytest.raises(HwnasError, match="the state of a run"):
        RunState(tmp_path)


def test_an_odd_state_of_a_run_is_refused_or_read(tmp_path):
    stage = {"inputs": "a", "writes": {"b": "c"}, "seconds": 1.0}
    whole = {
        "schema": "hwnas-chain/1",
        "data": {"digest": "d", "classes": 3},
        "stages": {"fit": stage},
        "owned": ["b"],
    }
    (ChainFolder(tmp_path).state).write_text(json.dumps(whole))
    RunState(tmp_path)
    for place in places(whole):
        for value in ODD:
            (ChainFolder(tmp_path).state).write_text(json.dumps(with_odd(whole, place, value)))
            try:
                state = RunState(tmp_path)
            except HwnasError:
                continue
            if place != ("stages",) and place != ("stages", "fit"):
                assert state.seconds("fit") >= -1


@pytest.mark.parametrize(
    "line",
    [
        "name = 3",
        "runtimes = 5",
        "runtimes = [1]",
        'match = "x"',
        "options = [1]",
        'threads = "2"',
        "threads = true",
        "processor = 1979-05-27",
    ],
)
def test_a_device_of_wrong_types_is_refused(tmp_path, line):
    text = 'name = "x"\ntitle = "X"\ntransport = "local"\n'
    text = "\n".join(t for t in text.splitlines() if t.split()[0] != line.split()[0])
    (tmp_path / "x.toml").write_text(f"{text}\n{line}\n")
    with pytest.raises(HwnasError, match=f"x.toml has .*{line.split()[0]}"):
        read_device(tmp_path / "x.toml")


def test_what_is_odd_is_named_with_its_place(tmp_path):
    shape = {"a": [{"b": (float, records.NONE)}], "c?": {str: int}}
    path = tmp_path / "it.json"
    for content, words in (
        ({"a": [{"b": 1}, {"b": "x"}]}, 'has "x" instead of a number or null as a[1].b: make it'),
        ({"a": [{}]}, "has nothing instead of a number or null as a[0].b"),
        ({"a": [], "c": {"d": True}}, "has true instead of a whole number as c.d"),
        ([], "has [] instead of an object: make it"),
    ):
        path.write_text(json.dumps(content))
        with pytest.raises(HwnasError) as caught:
            records.read(path, "it", shape, "make it")
        assert words in str(caught.value)
    path.write_text(json.dumps({"a": [{"b": None, "more": 1}], "c": {"x": 1}}))
    assert records.read(path, "it", shape, "make it")["c"] == {"x": 1}


IMPOSSIBLE = {
    "train.json": [
        ("config", "epochs", -1),
        ("config", "epochs", 0),
        ("config", "seed", -3),
        ("config", "learning_rate", float("nan")),
        ("test_accuracy", 1.01),
        ("val_accuracy", -0.1),
        ("test_accuracy", float("nan")),
        ("seconds", -1.0),
        ("history", 0, "epoch", 0),
        ("history", 0, "val_accuracy", 7.0),
        ("data", "resolution", -16),
        ("data", "seed", -1),
        ("data", "images", "train", -5),
        ("test", "accuracy", 1.5),
        ("test", "interval", 0, -0.5),
    ],
    "gallery.json": [
        ("images", -1),
        ("entries", 0, "accuracy", 1.5),
        ("entries", 1, "predicted_ms", 0, "fast"),
        ("entries", 0, "measured_ms", 0, -1.0),
        ("entries", 0, "front", 3),
        ("targets", 0, "range_ms", 1, None),
    ],
    "compare.json": [
        ("found", 3),
        ("seeds", 0, -1),
        ("networks", 0, "macs", -1),
        ("networks", 1, "accuracy", "mean", "good"),
        ("networks", 1, "variants", []),
        ("networks", 1, "variants", 0, "latency_ms", -1.0),
        ("networks", 1, "variants", 0, "interval_ms", 0, None),
        ("networks", 0, "variants", 0, "found_minus_this", "values", []),
        ("matches", 0, "ratio", "x"),
    ],
    "search.json": [
        ("seed", -1),
        ("accuracy", 1.2),
        ("trials", 0, "accuracy", -0.2),
        ("trials", 0, "latencies_ms", 0, -1.0),
        ("constraints", 0, "budget_ms", -3.0),
        ("constraints", 0, "budget_ms", float("inf")),
        ("data", "val_share", 20.0),
    ],
}


READ = {
    "train.json": records.trained,
    "search.json": records.search,
    "gallery.json": lambda run: records.gallery(run, "make it again"),
    "compare.json": records.comparison,
}


@pytest.mark.parametrize(
    ("file", "place"),
    [(file, place) for file, places_ in IMPOSSIBLE.items() for place in places_],
    ids=lambda item: item if isinstance(item, str) else ".".join(map(str, item)),
)
def test_impossible_values_are_refused_by_their_place(run, file, place):
    *way, last, value = place
    content = json.loads((run / file).read_text())
    inner = content
    for step in way:
        inner = inner[step]
    assert last in inner or isinstance(inner, list)
    inner[last] = value
    (run / file).write_text(json.dumps(content))
    with pytest.raises(HwnasError) as caught:
        READ[file](run)
    if value == value and value != float("inf"):  # JSON itself has no others
        assert json.dumps(value) in str(caught.value)
        assert str(last) in str(caught.value)


def test_numbers_that_some_budget_lacks_are_refused_by_who_reads_them(run):
    """A record of two budgets whose trials, or measurements, hold a number for one of them alone."""
    path = run / "search.json"
    whole = json.loads(path.read_text())
    assert len(whole["constraints"]) == 2
    assert len(records.search(run).trials[0].latencies_ms) == 2
    for place in (
        ("trials", 1, "latencies_ms"),
        ("promise", "steps", 0, "entries", 0, "predicted_ms"),
        ("promise", "steps", 0, "entries", 0, "predicted_std_ms"),
        ("promise", "steps", 1, "entries", 0, "measured"),
    ):
        path.write_text(json.dumps(with_odd(whole, place, [1.0] if place[-1] != "measured" else [None])))
        for read in (report.write, records.search):
            with pytest.raises(HwnasError, match=f"{place[-1]}: search into another folder"):
                read(run)
    more = with_odd(whole, ("trials", 1, "latencies_ms"), [1.0, 2.0, 3.0])  # the third is of a limit on MACs
    path.write_text(json.dumps(more))
    records.search(run)


@pytest.mark.parametrize(
    ("section", "odd", "words"),
    [
        ("scratch", {}, "has nothing instead of an object as scratch.config"),
        (
            "scratch",
            {"config": {"epochs": 0}, "workers": 1, "threads": 1},
            "as scratch.config.epochs",
        ),
        ("scratch", {"config": {"epochs": 1}, "workers": "2", "threads": 1}, 'has "2" .* as scratch.workers'),
        ("oneshot", {"device": 3}, "has 3 instead of text as oneshot.device"),
        ("oneshot", {"validation_images": -1}, "has -1 .* as oneshot.validation_images"),
    ],
)
def test_what_scored_a_search_is_read_or_refused(run, section, odd, words):
    """By who reads the record, and not by who scores with it."""
    path = run / "search.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {section: odd}))
    with pytest.raises(HwnasError, match=words):
        records.search(run)


@pytest.mark.parametrize("seed", [-1, -(10**6), 2**63])
def test_a_seed_that_is_none_is_a_sentence(seed):
    from hwnas import data
    from hwnas.errors import DataError, TrainingError
    from hwnas.evaluators.supernet.config import OneShotConfig

    with pytest.raises(DataError, match="seed must be from 0"):
        data.load("digits", resolution=16, seed=seed)
    with pytest.raises(TrainingError, match="seed must be from 0"):
        OneShotConfig(seed=seed)
