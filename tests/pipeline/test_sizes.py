"""Searches on several sizes of networks and images: the same milliseconds, and the better one is taken."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
import torch
from click.exceptions import BadParameter
from known_helpers import NAME, latency_model, table_of, weights
from PIL import Image
from typer.testing import CliRunner

import hwnas
from hwnas import files, known, report, spaces, train
from hwnas.api import found as api_found
from hwnas.budget import Budget
from hwnas.cli import _known, _sizes, app
from hwnas.device import Target
from hwnas.errors import HwnasError, InfeasibleBudget, SchemaMismatch
from hwnas.finalists import FinalistsOptions, SearchOptions, tuning
from hwnas.pipeline import sizes
from hwnas.pipeline.sizes import Size
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.search import beside
from hwnas.search.request import SearchRequest
from hwnas.search.searching import search_run
from hwnas.settings import requests, usual
from hwnas.settings.reading import make
from hwnas.tables import places
from hwnas.train import TrainConfig, adapting, training

DATA = "clutter:200"
TARGET = Target("host", "litert", "fp32")
SHORT = TrainConfig(epochs=1, batch_size=32, learning_rate=0.05)
TUNING = replace(SHORT, distill_weight=0.5)


@dataclass(frozen=True)
class Short(TrainConfig):
    """What is usual in a test."""

    epochs: int | None = 1
    batch_size: int | None = 64


@dataclass(frozen=True)
class Few(Short):
    """What is usual in a test with few images."""

    batch_size: int | None = 8


class Searches:
    """Searches around a network on sizes; costs are multiply-adds."""

    def __init__(self, folder):
        self.folder, self.asked = folder, []

    def __call__(self, size, run, budgets):
        self.asked.append((size, budgets))
        if RunFolder(run).search.exists():
            return records.search(run)
        side = size.resolution
        teacher = adapting.adapted(RunFolder(run).teacher, NAME, DATA, resolution=side, config=SHORT)
        space = spaces.load(adapting.space_of(teacher))
        model = latency_model(self.folder / f"{side}.json", TARGET, space)
        request = SearchRequest(
            space.name,
            (model,),
            tuple(budgets),
            strategy="exact",
            oneshot=requests.blockwise(usual("search.supernet"), space.name, 0, is_taught=True),
            settings={"queries": 3, "random": 1},
            training_steps=2,
            teacher=teacher,
        )
        search_run(request, run)
        return records.search(run)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sizes")
    searches = Searches(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adapting, "weights_of", weights)
        record = sizes.best_of(
            (Size(32), Size(64)), (Budget.read("60%", TARGET),), folder / "run", searches, TUNING
        )
    return folder / "run", record, searches


@pytest.mark.slow
def test_shares_are_of_the_largest_images_and_the_same_milliseconds_for_all(found):
    run, record, searches = found
    (first, shares), (second, limits) = searches.asked
    assert (first, second) == (Size(64), Size(32))
    assert shares[0].unit == "%"
    whole = records.search(RunFolder(run).resolutions / "64").budgets[0]
    assert (limits[0].limit, limits[0].unit) == (whole.budget_ms, "ms")
    assert {item.budget_ms for item in record.budgets} == {whole.budget_ms}


@pytest.mark.slow
def test_the_better_one_after_tuning_is_the_run(found):
    run, record, _ = found
    told = {item["resolution"]: item for item in record.extra["resolutions"]}
    assert set(told) == {64, 32}
    best = max(told.values(), key=lambda item: item["tuned"])["tuned"]
    taken = record.data["resolution"]
    assert told[taken]["tuned"] == best
    inside = RunFolder(run).resolutions / str(taken)
    assert records.search(run) == record
    assert records.arch(run) == records.arch(inside)
    assert told[taken]["tuned"] == records.trained(inside).val_value
    assert told[taken]["epochs"] == 1
    assert not RunFolder(run).train.exists()
    assert adapting.teacher_of(run) == RunFolder(run).teacher
    trained = hwnas.train(run, epochs=1, batch_size=32)
    assert trained.record["teacher"]["weights_sha256"] == files.sha256(
        RunFolder(run).teacher / "weights.safetensors"
    )


@pytest.mark.slow
def test_what_other_sizes_reach_is_told_on_the_terminal_and_in_the_report(found):
    run, record, _ = found
    said = next(beside.sentences(record))
    for item in record.extra["resolutions"]:
        assert f"{item['resolution']} pixels {item['tuned']:.2%}" in said
    assert said.endswith(f"the network on {record.data['resolution']} pixels is taken")
    assert said[1:] in report.write(run).read_text()


@pytest.mark.slow
def test_an_odd_record_of_sizes_is_a_sentence(found, tmp_path):
    content = files.read_json(RunFolder(found[0]).search, "it")
    for odd in ([], "96", [{"resolution": 96}], [dict(content["extra"]["resolutions"][0], tuned="much")]):
        files.write_json(
            RunFolder(tmp_path).search, content | {"extra": content["extra"] | {"resolutions": odd}}
        )
        with pytest.raises(SchemaMismatch, match=r"extra\.resolutions"):
            records.search(tmp_path)


@pytest.mark.slow
def test_a_finished_folder_is_refused_and_an_interrupted_one_goes_on(found, tmp_path, monkeypatch):
    run, record, searches = found
    with pytest.raises(HwnasError, match="holds a finished search: give another one"):
        sizes.best_of((Size(32), Size(64)), (Budget.read("60%", TARGET),), run, searches, TUNING)
    again = tmp_path / "again"
    again.mkdir()
    RunFolder(run).resolutions.rename(RunFolder(again).resolutions)
    monkeypatch.setattr(sizes, "train_run", None)  # all of it was done
    try:
        same = sizes.best_of((Size(64), Size(32)), (Budget.read("60%", TARGET),), again, searches, TUNING)
    finally:
        RunFolder(again).resolutions.rename(RunFolder(run).resolutions)
    assert same == record


@pytest.mark.slow
def test_what_was_tuned_before_another_network_was_found_is_tuned_again(found, tmp_path, monkeypatch):
    """Further measuring may lead from one network to another in the same folder."""
    run, record, _ = found
    inside = RunFolder(run).resolutions / "32"
    shutil.copytree(inside, tmp_path / "32", ignore=shutil.ignore_patterns("tuned"))
    again = RunFolder(tmp_path / "32")
    monkeypatch.setattr(sizes, "train_run", lambda *_, **__: records.trained(inside))
    before = sizes._tuned(again.path, record, TUNING)
    files.write_json(again.train, files.read_json(again.train, "it") | {"val_accuracy": 0.25})
    assert sizes._tuned(again.path, record, TUNING).value == 0.25
    arch = spaces.architecture_from_json(records.arch(again.path))
    other = arch.space.architecture(
        [len(arch.space.choices[0].candidates) - 1 - arch.indices[0], *arch.indices[1:]]
    )
    assert other.id != arch.id
    files.write_json(again.arch, other.to_json())
    assert sizes._tuned(again.path, record, TUNING) == before


def tables_of(folder, target):
    """One table for a network on images of both sizes."""
    names = [
        f"from:{known.load(NAME, resolution=s, num_classes=10, strides='imagenet').space.name}"
        for s in (32, 64)
    ]
    table_of(target, *map(spaces.load, names)).save(places.table(folder, target))
    return folder


@pytest.mark.slow
def test_the_command_searches_every_size_from_a_trained_run(found, tmp_path, monkeypatch):
    """Its own teachers, one table for all; a size without a table is refused before anything is trained."""
    monkeypatch.setattr(train, "TrainConfig", Short)
    source = RunFolder(RunFolder(found[0]).resolutions / "32").teacher
    tables = tables_of(tmp_path / "tables", Target("host", "litert", "int8"))
    words = ["search", "--from", source, "--data", DATA, "--tables", tables, "--no-measure"]
    words += ["--warmup-steps", "1", "--steps", "1", "--rank", "fp32"]
    words += ["--device", "host/litert-int8=60%", "--queries", "3", "--out", tmp_path / "run"]
    ended = CliRunner(env={"COLUMNS": "1000"}).invoke(
        app,
        [*map(str, words), "--resolution", "64,32", "--gallery", "0", "--set", "promise.tuned_epochs=2"],
        catch_exceptions=False,
    )
    assert ended.exit_code == 0
    assert "validation images, each tuned for 2 epochs: 64 pixels" in ended.stdout
    record = records.search(tmp_path / "run")
    told = {item["resolution"]: item for item in record.extra["resolutions"]}
    assert set(told) == {64, 32}
    tuned = {side: RunFolder(tmp_path / "run").resolutions / str(side) for side in told}
    rivals = {side: records.search(run).extra.get("tuned") for side, run in tuned.items()}
    assert any(rivals.values())
    for side, some in rivals.items():
        assert bool(some) != RunFolder(tuned[side]).train.exists()  # tuned once, by the search or after it
        for rival in some or ():
            if rival["taken"]:
                same = ("merit", "interval", "images", "epochs")
                assert [told[side][name] for name in same] == [rival[name] for name in same]
                assert told[side]["tuned"] == rival["value"]


@pytest.mark.slow
def test_the_command_searches_every_width(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "TrainConfig", Short)
    monkeypatch.setattr(tuning, "_STEPS", 12)
    monkeypatch.setattr(adapting, "weights_of", weights)
    target, run = Target("host", "litert", "int8"), tmp_path / "run"
    widths = {0.2: RunFolder(run).resolutions / "32-0.2", 0.1: RunFolder(run).resolutions / "32-0.1"}
    named = [f"from:mobilenetv2-{width}-r32-c10-imagenet" for width in widths]
    table_of(target, *map(spaces.load, named)).save(places.table(tmp_path / "tables", target))
    words = ["search", "--from", "mobilenetv2", "--data", DATA, "--tables", tmp_path / "tables"]
    words += ["--no-measure", "--warmup-steps", "1", "--steps", "1", "--rank", "fp32", "--queries", "3"]
    words += ["--device", "host/litert-int8=60%", "--gallery", "0", "--out", run]
    words += ["--class-weights", "balanced", "--set", "promise.tuned_epochs=0"]
    ended = CliRunner(env={"COLUMNS": "1000"}).invoke(
        app, [*map(str, words), "--width", "0.1,0.2", "--resolution", "32"], catch_exceptions=False
    )
    assert ended.exit_code == 0
    trained = [records.trained(folder).config for folder in widths.values()]
    assert [(c["epochs"], c["class_weights"]) for c in trained] == [(3, "balanced")] * 2  # 12 steps
    record = records.search(run)
    told = record.extra["resolutions"]
    assert [(item["resolution"], item["width"]) for item in told] == [(32, 0.2), (32, 0.1)]
    (taken,) = (item for item in told if item["taken"])
    assert taken["merit"] == max(item["merit"] for item in told)
    for item, folder in zip(told, widths.values(), strict=True):
        assert item["merit"] == records.trained(folder).val["balanced_accuracy"]
    said = " ".join(ended.stdout.split())
    assert f"on 32 pixels (width {taken['width']}) is taken" in said
    assert f", balanced accuracy {taken['merit']:.2%}" in said  # beside the accuracy: it decided
    assert record.space == f"from:mobilenetv2-{taken['width']}-r32-c10-imagenet"
    whole = records.search(widths[0.2]).budgets[0]
    assert {item.budget_ms for item in records.search(widths[0.1]).budgets} == {whole.budget_ms}
    teachers = [RunFolder(folder).teacher for folder in widths.values()]
    assert {records.trained(teacher).config["class_weights"] for teacher in teachers} == {"balanced"}
    assert api_found._by_size(teachers) == dict(zip([Size(32, 0.2), Size(32, 0.1)], teachers, strict=True))


@pytest.mark.slow
def test_all_that_a_search_lacks_is_said_before_anything_is_trained(tmp_path, monkeypatch):
    """Every size without a table, not one a call; and a batch of more images than there are."""
    monkeypatch.setattr(adapting, "weights_of", weights)
    monkeypatch.setattr(training, "fit", None)  # would be called to adapt the network
    words = ["search", "--from", "mobilenetv2", "--data", DATA, "--tables", tmp_path / "tables"]
    words += ["--device", "host/litert-int8=60%", "--width", "0.2", "--out", tmp_path / "run"]

    def error_of(*more):
        ended = CliRunner().invoke(app, [*map(str, words), *more])
        assert isinstance(ended.exception, HwnasError)
        return str(ended.exception)

    said = error_of("--resolution", "32,40")
    assert "from:mobilenetv2-0.2-r32-c10-imagenet" in said
    assert "from:mobilenetv2-0.2-r40-c10-imagenet" in said
    space = spaces.load("from:mobilenetv2-0.2-r32-c10-imagenet")
    target = Target("host", "litert", "int8")
    table_of(target, space).save(places.table(tmp_path / "tables", target))
    said = error_of("--resolution", "32", "--batch-size", "5000")
    assert "batch_size must be at most the" in said


@pytest.mark.slow
def test_the_api_searches_around_teachers_on_several_sizes(found, tmp_path):
    teachers = [RunFolder(RunFolder(found[0]).resolutions / size).teacher for size in ("32", "64")]
    options = SearchOptions(
        measure=False,
        tables=tables_of(tmp_path / "tables", TARGET),
        gallery_points=0,
        finalists=FinalistsOptions(tuned_epochs=1),
    )
    asked = partial(
        *(hwnas.search, None, {str(TARGET): "60%"}, tmp_path / "run"),
        settings={"queries": 3, "random": 1},
        training_steps=1,
        options=options,
    )
    better = asked(teacher=teachers)
    sizes_of = {item["resolution"]: item["tuned"] for item in better.record["extra"]["resolutions"]}
    assert set(sizes_of) == {32, 64}
    assert sizes_of[better.architecture.space.input_shape[1]] == max(sizes_of.values())
    assert better.record == records.search(tmp_path / "run").to_json()
    with pytest.raises(HwnasError, match="finished search"):
        asked(teacher=teachers)
    with pytest.raises(HwnasError, match="of different strides, but 2 are of 1"):
        asked(teacher=[teachers[0]] * 2)
    with pytest.raises(HwnasError, match="several teachers must be in their own spaces"):
        asked(teacher=teachers, models=[tmp_path / "none.json"])


@pytest.mark.slow
def test_networks_are_adapted_where_supernets_are_trained(found, tmp_path, monkeypatch):
    source = RunFolder(RunFolder(found[0]).resolutions / "32").teacher
    table_of(TARGET, spaces.load(adapting.space_of(source))).save(places.table(tmp_path / "tables", TARGET))
    asked = _known.Known(str(source), None, has_images=True)

    def device(train_on):
        settings = {"seed": 1, "data": DATA, "task": "classification", "train_on": train_on}
        budgets = (Budget.read("60%", TARGET),)
        return _known.teacher_of(
            asked, settings, Size(32), tmp_path / "run", budgets, tmp_path / "tables", make(tmp_path, {})
        ).config.device

    assert device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [device(name) for name in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]


@pytest.mark.slow
def test_what_no_size_keeps_is_refused_and_what_one_keeps_is_taken(found, tmp_path):
    _, record, searches = found
    said = []

    def refuses(size, run, budgets):
        if size.resolution > least:
            raise InfeasibleBudget(f"nothing is as fast on {size}", budget=1.0, least=2.0)
        return searches(size, run, budgets)

    limit = Budget.read(str(record.budgets[0].budget_ms), TARGET)
    least = 8
    with pytest.raises(InfeasibleBudget, match="on 32"):
        sizes.best_of((Size(32), Size(64)), (limit,), tmp_path / "none", refuses, TUNING, warn=said.append)
    assert [text.split(":")[0] for text in said] == ["on images of 64 pixels", "on images of 32 pixels"]
    assert not RunFolder(tmp_path / "none").search.exists()
    with pytest.raises(InfeasibleBudget, match="on 64"):  # shares of a range that is not known
        sizes.best_of((Size(32), Size(64)), (Budget.read("1%", TARGET),), tmp_path / "none", refuses, TUNING)


def test_several_processes_are_refused_before_anything_is_done(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(HwnasError, match="must be in one process, but got 2 of torchrun"):
        sizes.best_of((Size(32), Size(64)), (Budget.read("1%", TARGET),), tmp_path / "none", None, TUNING)
    assert not (tmp_path / "none").exists()


def test_proven_budgets_come_before_accuracy():
    def made(word, value):
        verdict = None if word is None else type("Verdict", (), {"word": word})
        finalists = None if verdict is None else type("Finalists", (), {"verdict": verdict})
        record = type("Record", (), {"finalists": finalists})
        tuned = sizes.Tuned(0.5, value, None, 10, 2)
        return sizes.OnSize(Size(32), None, record, tuned)

    assert made("PASS", 0.5).order > made("NOT PROVEN", 0.9).order > made("FAIL", 0.95).order
    assert made("PASS", 0.6).order > made("PASS", 0.5).order


@pytest.mark.parametrize("text", ["", "96,", "96,x", "7", "96,96", "9 6", "-96", "1e2", "123456"])
def test_resolutions_that_are_none(text):
    with pytest.raises((HwnasError, BadParameter), match="resolutions must"):
        _sizes.resolutions(text)


def test_resolutions_of_an_option():
    assert _sizes.resolutions("96, 72") == (96, 72)
    assert _sizes.resolutions(None) == ()


@pytest.mark.parametrize(
    "text", ["", "0", "2", "a", "1,1", "1,1.0", "0.75,", "-0.5", "1e-1", "0.00", "nan", "½"]
)
def test_widths_that_are_none(text):
    with pytest.raises(HwnasError, match="widths must"):
        _sizes.widths(text)


def test_every_width_is_searched_on_every_resolution_the_largest_first():
    assert _sizes.widths("1, 0.75") == (1.0, 0.75)
    assert _sizes.widths(None) == ()
    asked = _known.Known("mobilenetv2", None, True, (96, 72), _sizes.widths("0.75,1"))
    found = sorted(asked.sizes(), key=lambda size: size.order, reverse=True)
    assert found == [Size(96), Size(96, 0.75), Size(72), Size(72, 0.75)]
    assert [size.folder for size in found] == ["96", "96-0.75", "72", "72-0.75"]
    assert [str(size) for size in found[:2]] == ["96 pixels", "96 pixels (width 0.75)"]
    assert [asked.at(size.width) for size in found[:2]] == ["mobilenetv2", "mobilenetv2-0.75"]
    named = _known.Known("mobilenetv2-0.5", None, True, (96,))
    assert named.sizes() == (Size(96, 0.5),)
    assert named.at(0.5) == "mobilenetv2-0.5"
    run = _known.Known("runs/one", None, True, (96, 72))
    assert run.sizes() == (Size(96), Size(72))
    assert (run.at(1.0), run.has_sizes, named.has_sizes) == ("runs/one", True, False)


@pytest.mark.parametrize(
    ("name", "width", "said"),
    [
        (".", "0.75", "must have a name of hwnas's own to be cut to a width"),
        ("timm:mobilenetv2_100", "1,0.75", "but got --from timm:mobilenetv2_100 and --width 1,0.75"),
        ("mobilenetv2-0.5", "0.25", "a width must be said once, but got --from mobilenetv2-0.5 and"),
        ("mobilenetv2-0.5", "1", "but got --from mobilenetv2-0.5 and --width 1: name the network without"),
        ("shufflenetv2", "1,0.75", "the width of shufflenetv2 must be one of"),
        ("mobilenetv2", "2", r"widths must be of the channels, in \(0, 1\], joined by commas"),
        ("mobilenetv2", "1,1", "widths must differ"),
    ],
)
def test_widths_that_cannot_be_are_wrong_usage(name, width, said, tmp_path):
    words = ["search", "--from", name, "--data", DATA, "--width", width, "--device", "host=60%"]
    ended = CliRunner(env={"COLUMNS": "1000"}).invoke(app, [*words, "--out", str(tmp_path / "run")])
    assert ended.exit_code == 2
    assert re.search(said, ended.stderr)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words", [["--from", "."], []])
def test_a_width_needs_a_network_and_images(words, tmp_path):
    asked = ["search", *words, "--width", "0.75", "--device", "host=60%", "--out", str(tmp_path / "run")]
    ended = CliRunner(env={"COLUMNS": "1000"}).invoke(app, asked)
    assert ended.exit_code == 2
    assert re.search(r"--width must only be given with --(from|data)", ended.stderr)


@pytest.mark.slow
def test_records_from_before_there_was_a_width_are_read(found, tmp_path):
    content = files.read_json(RunFolder(found[0]).search, "it")
    older = [
        {n: v for n, v in item.items() if n not in ("width", "strides", "taken")}
        for item in content["extra"]["resolutions"]
    ]
    files.write_json(
        RunFolder(tmp_path).search, content | {"extra": content["extra"] | {"resolutions": older}}
    )
    before = records.search(tmp_path)
    assert next(beside.sentences(before)) == next(beside.sentences(found[1]))
    assert before.to_json()["extra"]["resolutions"] == older


@pytest.fixture
def pictures(tmp_path):
    """Noisy pictures with masks."""
    folder = tmp_path / "pictures"
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(40):
        mask = np.zeros((32, 32), np.uint8)
        left, top = rng.integers(0, 16, 2)
        mask[top : top + 16, left : left + 16] = 1
        image = rng.integers(0, 60, (32, 32, 3)).astype(np.uint8) + 150 * mask[..., None]
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
    return folder


@pytest.mark.slow
def test_the_command_searches_all_strides_of_a_network_with_a_decoder(pictures, tmp_path, monkeypatch):
    """The finest first; folders and names of the usual ones are as they were."""
    monkeypatch.setattr(train, "TrainConfig", Few)
    monkeypatch.setattr(adapting, "weights_of", weights)
    target, run = Target("host", "litert", "int8"), tmp_path / "run"
    folders = [RunFolder(run).resolutions / size for size in ("32-0.1-os16", "32-0.1")]
    name = "from:mobilenetv2-0.1+fpnsum32"
    tables = [
        spaces.load(name, resolution=32, num_classes=2, strides=strides) for strides in ("os16", "imagenet")
    ]
    assert [space.name.rpartition("-")[2] for space in tables] == ["os16", "imagenet"]
    table_of(target, *tables).save(places.table(tmp_path / "tables", target))
    words = ["search", "--from", "mobilenetv2-0.1+fpnsum32", "--task", "segmentation", "--data", pictures]
    words += ["--tables", tmp_path / "tables", "--no-measure", "--warmup-steps", "1", "--steps", "1"]
    words += ["--rank", "fp32", "--queries", "3", "--device", "host/litert-int8=60%", "--gallery", "0"]
    words += ["--batch-size", "8", "--set", "promise.tuned_epochs=1", "--out", run, "--resolution", "32"]
    ended = CliRunner(env={"COLUMNS": "1000"}).invoke(
        app, [*map(str, words), "--strides", "imagenet,os16"], catch_exceptions=False
    )
    assert ended.exit_code == 0
    told = records.search(run).extra["resolutions"]
    assert [(item["resolution"], item["strides"]) for item in told] == [(32, "os16"), (32, None)]
    assert [records.search(folder).space for folder in folders] == [s.name for s in tables]
    (taken,) = (item["strides"] for item in told if item["taken"])
    words = f"32 pixels (width 0.1{', strides os16' if taken else ''})"
    said = " ".join(ended.stdout.split())
    assert f"the network on {words} is taken" in said
    assert "32 pixels (width 0.1, strides os16) " in said
    teachers = [RunFolder(folder).teacher for folder in folders]
    assert api_found._by_size(teachers) == dict(
        zip([Size(32, 0.1, "os16"), Size(32, 0.1)], teachers, strict=True)
    )


@pytest.mark.parametrize("text", ["", "os32", "cifar", "os16,", "os16,os16", "16", "OS16"])
def test_strides_that_are_none(text):
    with pytest.raises(HwnasError, match="strides must"):
        _sizes.strides(text)


def test_all_strides_are_searched_on_every_width_the_finest_first():
    assert _sizes.strides("imagenet, os16") == ("imagenet", "os16")
    assert _sizes.strides(None) == ()
    asked = _known.Known("mobilenetv2", None, True, (96,), (1.0, 0.75), _sizes.strides("imagenet,os16,os8"))
    found = sorted(asked.sizes(), key=lambda size: size.order, reverse=True)
    assert [size.folder for size in found] == [
        *("96-os8", "96-os16", "96", "96-0.75-os8", "96-0.75-os16", "96-0.75")
    ]
    assert str(found[1]) == "96 pixels (strides os16)"
    assert str(found[4]) == "96 pixels (width 0.75, strides os16)"
    assert asked.at(0.75, "os16") == "mobilenetv2-0.75-os16"
    assert asked.at(1.0, None) == "mobilenetv2"
    assert known.named("mobilenetv2+fpnsum64-r96-half").at(1.0, "os8") == "mobilenetv2+fpnsum64-r96-os8-half"
    named = _known.Known("mobilenetv2+fpnsum64-os16", None, True, (96, 64))
    assert named.sizes() == (Size(96, 1.0, "os16"), Size(64, 1.0, "os16"))
    assert named.at(1.0, "os16") == "mobilenetv2+fpnsum64-os16"


@pytest.mark.parametrize(
    ("name", "task", "strides", "said"),
    [
        ("mobilenetv2", "classification", "os16", "must be of a network with a decoder"),
        ("mobilenetv2+fpnsum64-os16", "segmentation", "os8", "strides must be said once, but got --from"),
        (
            "timm:mobilenetv2_100",
            "segmentation",
            "os16",
            "must have a name of hwnas's own to be given strides",
        ),
        (".", "segmentation", "imagenet,os16", "must have a name of hwnas's own to be given strides"),
        ("mobilenetv2+lraspp64", "segmentation", "imagenet,os8", "must have the features that it reads"),
        ("mobilenetv2", "detection", "os8", "must have the features that it reads"),
        ("mobilenetv2", "segmentation", "os32", "strides must be of imagenet, os16, os8"),
        ("mobilenetv2", "segmentation", "os8,os8", "strides must differ"),
    ],
)
def test_strides_that_cannot_be_are_wrong_usage(name, task, strides, said, tmp_path):
    words = ["search", "--from", name, "--task", task, "--data", DATA, "--strides", strides]
    words += ["--device", "host=60%", "--out", str(tmp_path / "run")]
    ended = CliRunner(env={"COLUMNS": "1000"}).invoke(app, words)
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words", [["--from", "."], []])
def test_strides_need_a_network_and_images(words, tmp_path):
    asked = ["search", *words, "--strides", "os16", "--device", "host=60%", "--out", str(tmp_path / "run")]
    ended = CliRunner(env={"COLUMNS": "1000"}).invoke(app, asked)
    assert ended.exit_code == 2
    assert re.search(r"--strides must only be given with --(from|data)", ended.stderr)


@pytest.mark.parametrize("text", ["", "1", "-1,", "-1,-1.0", "a", "-7", "--1", "nan", "-0.00001"])
def test_powers_that_are_none(text):
    with pytest.raises(HwnasError, match="powers of compound scaling must"):
        _sizes.compound(text)


def test_compound_scaling_shrinks_width_and_resolution_together():
    powers = _sizes.compound("0, -0.5,-1,-2")
    asked = _known.Known("efficientnet-lite0", None, True, (224,), compound=powers)
    assert asked.sizes() == (Size(224), Size(208, 0.95), Size(192, 0.91), Size(168, 0.83))
    assert [asked.at(size.width) for size in asked.sizes()[:2]] == [
        *("efficientnet-lite0", "efficientnet-lite0-0.95")
    ]
    assert asked.has_sizes
    narrow = _known.Known("mobilenetv2-0.5", None, True, (96,), compound=(-1.0,))
    assert narrow.sizes() == (Size(80, 0.45),)
    assert (narrow.at(0.45), narrow.has_sizes) == ("mobilenetv2-0.45", False)
    decoded = _known.Known("mobilenetv2+fpnsum64", None, True, (96,), (), ("imagenet", "os16"), (0.0, -1.0))
    assert decoded.sizes() == (Size(96), Size(96, 1.0, "os16"), Size(80, 0.91), Size(80, 0.91, "os16"))


@pytest.mark.slow
def test_the_command_searches_every_power_of_compound_scaling(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "TrainConfig", Short)
    monkeypatch.setattr(adapting, "weights_of", weights)
    target, run = Target("host", "litert", "int8"), tmp_path / "run"
    named = ["from:mobilenetv2-0.2-r40-c10-imagenet", "from:mobilenetv2-0.18-r32-c10-imagenet"]
    table_of(target, *map(spaces.load, named)).save(places.table(tmp_path / "tables", target))
    words = ["search", "--from", "mobilenetv2-0.2", "--data", DATA, "--tables", tmp_path / "tables"]
    words += ["--no-measure", "--warmup-steps", "1", "--steps", "1", "--rank", "fp32", "--queries", "3"]
    words += ["--device", "host/litert-int8=60%", "--gallery", "0", "--out", run]
    words += ["--set", "promise.tuned_epochs=1", "--resolution", "40", "--compound", "0,-1"]
    ended = CliRunner(env={"COLUMNS": "1000"}).invoke(app, [*map(str, words)], catch_exceptions=False)
    assert ended.exit_code == 0
    told = records.search(run).extra["resolutions"]
    assert [(item["resolution"], item["width"]) for item in told] == [(40, 0.2), (32, 0.18)]
    (taken,) = (item for item in told if item["taken"])
    assert taken["merit"] == max(item["merit"] for item in told)
    folders = [RunFolder(run).resolutions / size for size in ("40-0.2", "32-0.18")]
    assert [records.search(folder).space for folder in folders] == named
    limits = [{item.budget_ms for item in records.search(folder).budgets} for folder in folders]
    assert limits[0] == limits[1]


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("mobilenetv2", ["--compound", "1"], "must be 0 or below, as weights can be cut but not grown"),
        ("mobilenetv2", ["--compound", "0", "--width", "1"], "--width must only be given without --compound"),
        ("mobilenetv2", ["--compound", "0", "--resolution", "96,72"], "but got 96,72: leave out all but"),
        ("timm:mobilenetv2_100", ["--compound", "-1"], "--compound -1: leave out --compound"),
        ("shufflenetv2", ["--compound", "-1"], "the width of shufflenetv2 must be one of"),
    ],
)
def test_compound_scaling_that_cannot_be_is_wrong_usage(name, words, said, tmp_path):
    asked = ["search", "--from", name, "--data", DATA, *words, "--device", "host=60%"]
    ended = CliRunner(env={"COLUMNS": "1000"}).invoke(app, [*asked, "--out", str(tmp_path / "run")])
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words", [["--from", "."], []])
def test_compound_scaling_needs_a_network_and_images(words, tmp_path):
    asked = ["search", *words, "--compound", "0", "--device", "host=60%", "--out", str(tmp_path / "run")]
    ended = CliRunner(env={"COLUMNS": "1000"}).invoke(app, asked)
    assert ended.exit_code == 2
    assert re.search(r"--compound must only be given with --(from|data)", ended.stderr)
