"""The commands of a report, typed again, make the same run."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hwnas
from hwnas import latency, spaces
from hwnas.budget import Budget
from hwnas.cli import app
from hwnas.device import Target
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.finalists.stage import _differing
from hwnas.report import _reproduce
from hwnas.report._record import read
from hwnas.search.oneshot.fbnet import FBNet
from hwnas.search.request import SearchRequest
from hwnas.tables import places
from hwnas.tables.table import LatencyTable, Round

SPACE = "macro-r8-c10"
SMALL = [
    "--space",
    SPACE,
    "--data",
    "digits.npz",
    "--proxy-width",
    "0.25",
    "--batch-size",
    "32",
    "--gallery",
    "2",
]
SMALL += [
    "--set",
    "search.supernet.recalibration_images=64",
    "--set",
    "search.supernet.validation_images=48",
]

NAMED = "mobilenetv2-0.1"


@pytest.fixture
def tables(tmp_path, monkeypatch, few_digits) -> dict[str, LatencyTable]:
    """The user's own tables of two targets, on which a million MACs need one or two milliseconds; images."""
    shutil.copy(few_digits, tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    space, found = spaces.load(SPACE), {}
    for precision, pace in (("int8", 1e6), ("fp32", 5e5)):
        target = Target("host", "litert", precision)
        rows = [
            Round(w.key(), "block", "s", n, (w.macs / pace * (1 + 0.02 * n),))
            for w in space.workloads()
            for n in (-1, 0, 1)
        ]
        table = LatencyTable(target, {}, rows)
        path = places.table(places.of_device("host"), target)
        path.parent.mkdir(parents=True, exist_ok=True)
        table.save(path)
        found[precision] = table
    return found


def typed(*words: str) -> None:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, done.output


def command(run: Path, verb: str) -> list[str]:
    """What the report of a run says is to be typed, RUN being another folder."""
    lines = [" ".join(line) for line in _reproduce.commands(read(run))]
    line = next(line for line in lines if line.startswith(f"hwnas {verb}"))
    return ["again" if word == "RUN" else word for word in shlex.split(line)[1:]]


def same(run: Path, again: Path, *names: str) -> None:
    one, other = (json.loads((folder / "search.json").read_text()) for folder in (run, again))
    assert one["trials"], "nothing was compared"
    for name in ("best", "trials", "trace", "config", "request", "limits", "confidence", *names):
        assert one.get(name) == other.get(name), name
    assert (run / "arch.json").read_bytes() == (again / "arch.json").read_bytes()
    galleries = [json.loads((folder / "gallery.json").read_text()) for folder in (run, again)]
    assert galleries[0] == galleries[1]


@pytest.mark.usefixtures("tables")
@pytest.mark.slow
def test_a_search_for_devices_is_typed_with_its_devices(tmp_path):
    run = tmp_path / "run"
    asked = ["--device", "host=70%", "--device", "host/litert-fp32=50%"]
    strategy = ["--strategy", "evolution", "--queries", "5", "--warmup-steps", "2", "--steps", "4"]
    more = ["--limit", "bytes=4e6", "--set", "population=3", "--set", "tournament=2", "--seed", "3"]
    typed("search", "--out", str(run), *asked, "--no-measure", *SMALL, *strategy, *more)
    words = command(run, "search")
    assert [words[n + 1] for n, word in enumerate(words) if word == "--device"] == [
        "host/litert-int8=70%",
        "host/litert-fp32=50%",
    ]
    assert not {"--latency", "--budget-ms"} & set(words)
    assert not [line for line in _reproduce.commands(read(run)) if line[0] == "hwnas fit"]
    typed(*words)
    same(run, tmp_path / "again", "asked")


@pytest.mark.slow
def test_a_search_on_other_threads_is_typed_with_them(tables, tmp_path):
    """From Python, where a target is an object; its table is of two threads."""
    two = Target("host", "litert", "int8", threads=2)
    folder = places.of_device("host")
    LatencyTable(two, {}, tables["int8"].rounds).save(places.table(folder, two))
    found = hwnas.search(
        SPACE,
        {two: "70%"},
        tmp_path / "run",
        strategy="random",
        settings={"queries": 3},
        training_steps=3,
        oneshot=OneShotConfig(width=0.25, resolution=8, batch_size=32, device="cpu"),
        options=hwnas.SearchOptions(measure=False, gallery_points=0),
    )
    assert found.record["asked"] == ["host/litert-int8-t2=70%"]
    (profile,) = [
        line for line in _reproduce.commands(read(found.run, (), folder)) if line[0] == "hwnas profile"
    ]
    assert "--threads 2" in profile
    words = command(found.run, "search")
    assert words[words.index("--device") + 1] == "host/litert-int8-t2=70%"
    typed(*words)
    again = json.loads((tmp_path / "again" / "search.json").read_text())
    assert again["constraints"][0]["target"]["threads"] == 2
    assert again["trials"] == json.loads(json.dumps(found.record))["trials"]


@pytest.mark.slow
def test_a_search_with_latency_models_is_typed_with_what_was_asked(tables, tmp_path):
    run = tmp_path / "run"
    model = latency.fit(tables["int8"], spaces.load(SPACE), "lookup")
    latency.save(model, tmp_path / "host-litert-int8.json")
    asked = ["--latency", "host-litert-int8.json", "--budget-ms", "60%"]
    strategy = [
        "--strategy",
        "fbnet",
        "--warmup-steps",
        "2",
        "--steps",
        "3",
        "--set",
        "temperature=4.0",
        "--set",
        "finalists=3",
    ]
    typed("search", "--out", str(run), *asked, *SMALL, *strategy)
    words = command(run, "search")
    assert words[words.index("--budget-ms") + 1] == "60%"
    typed(*words)
    same(run, tmp_path / "again")
    typed("train", str(run), "--epochs", "1", "--momentum", "0.8", "--ema", "0.9", "--no-augment")
    typed(*command(run, "train"))
    one, other = (json.loads((tmp_path / name / "train.json").read_text()) for name in ("run", "again"))
    assert one["config"]["momentum"] == 0.8
    assert {n: one[n] for n in ("config", "test", "val", "weights_sha256")} == {
        n: other[n] for n in ("config", "test", "val", "weights_sha256")
    }


def test_a_search_that_an_earlier_version_began_is_the_same_search():
    """It recorded only the settings that were typed; another setting is another search."""
    oneshot = OneShotConfig(width=0.5, resolution=8)
    settings = {"warmup_steps": 400, "steps": 200, "loss": "hold"}
    request = SearchRequest(
        "macro-r16", (), (Budget.read("60%"),), strategy="fbnet", oneshot=oneshot, settings=asdict(FBNet())
    )
    before = json.loads(json.dumps({**request.identity(), "settings": settings}))
    assert _differing(before, request) == []
    assert _differing(before, replace(request, training_steps=6)) == [], "FBNet has steps of its own"
    sampling = replace(request, strategy="random", settings={})
    assert _differing(sampling.identity(), replace(sampling, training_steps=6)) == ["training_steps"]
    assert _differing({**before, "settings": settings | {"steps": 100}}, request) == ["settings"]
    assert _differing({**before, "seed": 1, "ranges": {}}, request) == ["seed", "ranges"]


@pytest.mark.slow
def test_a_known_network_from_nothing_is_typed_with_its_name(few_digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(few_digits, "digits.npz")
    begin = ("--from", NAMED, "--init", "seed", "--data", "digits.npz", "--resolution", "32")
    typed("train", "run", *begin, "--epochs", "1", "--device", "cpu")
    typed(*command(Path("run"), "train"))
    assert Path("again/weights.safetensors").read_bytes() == Path("run/weights.safetensors").read_bytes()
    Path(NAMED).mkdir()  # an empty folder of that name does not stand in its way
    typed("train", "run", "--init", "seed", "--seed", "5", "--epochs", "1", "--device", "cpu")
    lines = [shlex.split(" ".join(line)) for line in _reproduce.commands(read(Path("run")))]
    for line in (line for line in lines if line[:2] == ["hwnas", "train"]):
        typed(*["later" if word == "RUN" else word for word in line[1:]])
    assert Path("later/weights.safetensors").read_bytes() == Path("run/weights.safetensors").read_bytes()
    done = CliRunner().invoke(app, ["train", "other", *begin[:2], "--init", "supernet", *begin[4:]])
    assert "of one origin" in done.output
    assert done.exit_code == 2
