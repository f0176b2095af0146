"""NAS-Bench-201 and NATS-Bench as they are published, and searches on them."""

from __future__ import annotations

import json
import pickle
import tarfile

import numpy as np
import published_files as published
import pytest
import torch
from typer.testing import CliRunner

from hwnas import spaces
from hwnas.cli import app
from hwnas.errors import DataError, HwnasError
from hwnas.evaluators import tabular
from hwnas.evaluators.tabular import nasbench201, nats
from hwnas.evaluators.tabular.records import TrainedRecord, benchmark

CELLS = [(0, 1, 2, 3, 4, 0), (4, 4, 4, 4, 4, 4), (3, 1, 0, 2, 0, 1)]
TEXTS = [published.cell_text(cell) for cell in CELLS]
SIZES = ["8:8:8:8:8", "64:48:32:16:8"]
NUMBERS = [(8, 8, 8, 8, 8), (64, 48, 32, 16, 8)]
SPACE = published.stand_in()


def saved(path, content, is_zip=True):
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    return path


@pytest.fixture
def pth(tmp_path):
    return saved(tmp_path / "NAS-Bench-201.pth", published.nasbench201(CELLS))


def test_a_cell_is_its_six_operations_in_the_order_of_the_edges():
    text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
    assert nasbench201.operations_of(text) == (3, 0, 1, 4, 2, 0)
    assert nasbench201.EDGES == ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    assert [nasbench201.operations_of(text) for text in TEXTS] == CELLS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("|none~0|+|none~0|none~1|", "must be written as"),
        ("|none~1|+|none~0|none~1|+|none~0|none~1|none~2|", "must be written as"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|+", "must be written as"),
        (TEXTS[0].replace("none", "sep_conv_3x3"), "has sep_conv_3x3"),
        (7, "must be written as"),
    ],
)
def test_another_text_is_no_cell(text, said):
    with pytest.raises(DataError, match=said):
        nasbench201.operations_of(text)


@pytest.mark.parametrize("is_zip", [True, False])
def test_trainings_to_the_end_are_read_by_data_set_and_seed(is_zip, tmp_path):
    path = saved(tmp_path / "a.pth", published.nasbench201(CELLS), is_zip)
    found = list(nasbench201.read(path))
    assert [record.arch for record in found] == CELLS
    for record in found:
        assert {name: tuple(runs) for name, runs in record.accuracies.items()} == published.SEEDS
        for dataset, seed, split in (("cifar10", 777, "ori-test"), ("cifar10-valid", 888, "x-valid")):
            percent = published.percent(record.arch, dataset, seed, split)
            assert record.accuracies[dataset][seed] == pytest.approx(percent / 100)


def the_same(found):
    return [(record.arch, record.accuracies) for record in found]


@pytest.mark.parametrize(
    ("archs", "numbers", "hps"),
    [(TEXTS, CELLS, ("12", "200")), (SIZES, NUMBERS, ("01", "90"))],
)
def test_folder_archive_and_file_of_nats_bench_say_the_same(archs, numbers, hps, tmp_path):
    contents = published.nats(archs, numbers, hps)
    folder = published.write_folder(tmp_path / "NATS-simple", contents)
    archive = published.write_tar(tmp_path / "NATS-simple.tar", contents)
    infos = {
        number: {
            hps[0]: published.results(arch, number, chosen, 1),
            hps[1]: published.results(arch, number, chosen, 3),
        }
        for number, (arch, chosen) in enumerate(zip(archs, numbers, strict=True))
    }
    file = tmp_path / "NATS.pickle.pbz2"
    file.write_bytes(published.packed({"meta_archs": archs, "arch2infos": infos, "evaluated_indexes": {0}}))
    found = the_same(nats.read(folder))
    assert [arch for arch, _ in found] == numbers
    percent = published.percent(numbers[1], "cifar100", 999)
    assert found[1][1]["cifar100"][999] == pytest.approx(percent / 100)
    assert found == the_same(nats.read(archive)) == the_same(nats.read(file))


def no_data_set(contents):
    infos = {"12": published.results(TEXTS[1], 1, CELLS[1], 3)}
    infos["12"]["all_results"] = {("mnist", 1): {"epochs": 1, "eval_acc1es": {}}}
    return contents | {"000001.pickle.pbz2": published.packed(infos)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: {k: v for k, v in c.items() if "meta" not in k}, "meta.pickle.pbz2 is missing"),
        (lambda c: c | {"000001.pickle.pbz2": c["000001.pickle.pbz2"][:-9]}, "000001.pickle.pbz2 is not"),
        (lambda c: c | {"000001.pickle.pbz2": b"BZh91 no"}, "000001.pickle.pbz2 is not"),
        (lambda c: c | {"meta.pickle.pbz2": published.packed([1])}, "must be as it is published"),
        (lambda c: c | {"meta.pickle.pbz2": published.packed({"meta_archs": ["|a~0|"] * 9})}, "a cell must"),
        (
            lambda c: c | {"meta.pickle.pbz2": published.packed({"meta_archs": ["8:8:8:8:9"] * 9})},
            "multiples of 8",
        ),
        (lambda c: c | {"000001.pickle.pbz2": published.packed({})}, "must be as it is published"),
        (no_data_set, "mnist is missing"),
        (lambda c: c | {"000001.pickle.pbz2": published.packed({"12": eval})}, "asks for builtins.eval"),
        (lambda c: c | {"000007.pickle.pbz2": c["000001.pickle.pbz2"]}, "too short"),
    ],
)
@pytest.mark.parametrize("is_folder", [True, False])
def test_an_archive_that_is_not_as_published_is_refused(change, said, is_folder, tmp_path):
    contents = change(published.nats(TEXTS, CELLS))
    write = published.write_folder if is_folder else published.write_tar
    path = write(tmp_path / "NATS.tar", contents)
    with pytest.raises(DataError, match=said) as raised:
        list(nats.read(path))
    assert "\n" not in str(raised.value)


def test_an_archive_that_is_cut_off_is_refused(tmp_path):
    path = published.write_tar(tmp_path / "NATS.tar", published.nats(TEXTS, CELLS))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match="must be as it is published"):
        list(nats.read(path))
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("a/meta.pickle.pbz2")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(DataError, match="is missing"):
        list(nats.read(path))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: [1], "must be as it is published"),
        (lambda data: {"meta_archs": TEXTS}, "arch2infos is missing"),
        (lambda data: data | {"meta_archs": TEXTS[:1]}, "a list is too short"),
        (lambda data: data | {"arch2infos": {0: {"less": {}}}}, "full is missing"),
        (lambda data: data | {"arch2infos": {0: {"full": {"all_results": {("cifar10", 1): 7}}}}}, "as it is"),
    ],
)
def test_a_file_that_is_not_as_published_is_refused(change, said, tmp_path):
    path = saved(tmp_path / "a.pth", change(published.nasbench201(CELLS)))
    with pytest.raises(DataError, match=said):
        list(nasbench201.read(path))


def test_a_percentage_over_100_is_refused(tmp_path):
    data = published.nasbench201(CELLS[:1])
    data["arch2infos"][0]["full"]["all_results"]["cifar10", 777]["eval_acc1es"]["ori-test@2"] = 101.0
    with pytest.raises(DataError, match=r"an accuracy must be in \[0, 1\], but that of .* 1.01"):
        list(nasbench201.read(saved(tmp_path / "a.pth", data)))


def test_a_benchmark_has_all_trainings_of_a_data_set(pth):
    found = tabular.load(pth, SPACE, "cifar100")
    assert set(found.runs) == set(CELLS)
    wanted = [published.percent(CELLS[1], "cifar100", seed) / 100 for seed in (777, 888, 999)]
    assert found.runs_of(CELLS[1]) == pytest.approx(wanted)
    assert found.accuracy(CELLS[1]) == pytest.approx(np.mean(wanted))
    with pytest.raises(
        DataError, match=r"none was named: give --dataset with one of ImageNet16-120, cifar10, "
    ):
        tabular.load(pth, SPACE)
    with pytest.raises(DataError, match="must be of macro"):
        tabular.load(pth, spaces.load("macro"), "cifar10")


def test_the_only_data_set_needs_no_name_and_one_that_a_network_lacks_is_said(tmp_path):
    records = [
        TrainedRecord(CELLS[0], {"cifar10": {1: 0.5}}),
        TrainedRecord(CELLS[1], {"cifar100": {1: 0.5}}),
    ]
    assert benchmark(records[:1], SPACE, "cifar10", tmp_path).runs_of(CELLS[0]).tolist() == [0.5]
    with pytest.raises(DataError, match=r"\[4, 4, 4, 4, 4, 4\] .* got 'cifar10'.* one of cifar100"):
        benchmark(records, SPACE, "cifar10", tmp_path)


def test_trainings_of_one_network_are_put_together(tmp_path):
    records = [TrainedRecord(CELLS[0], {"cifar10": {seed: seed / 10}}) for seed in (1, 2)]
    assert benchmark(records, SPACE, "cifar10", tmp_path).runs_of(CELLS[0]).tolist() == [0.1, 0.2]


def test_the_space_of_cells_is_looked_up_by_its_name(pth, monkeypatch):
    made = []

    def nasbench201(resolution=32, num_classes=10):
        made.append((resolution, num_classes))
        return published.stand_in(resolution, num_classes)

    monkeypatch.delitem(spaces.SPACES, "nasbench201", raising=False)
    with pytest.raises(DataError, match="must have the space nasbench201"):
        tabular.load(pth, dataset="cifar10")
    monkeypatch.setitem(spaces.SPACES, "nasbench201", nasbench201)
    assert tabular.load(pth, dataset="cifar100").space.num_classes == 100
    assert tabular.load(pth, dataset="ImageNet16-120").space.name == "nasbench201-r16-c120"
    assert made == [(32, 100), (16, 120)]


def written(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda at: at / "not-there", "does not exist"),
        (lambda at: at, "another folder"),
        (lambda at: written(at / "a", b""), "must be readable JSON"),
        (lambda at: written(at / "a", b"\x93NUMPY\x01\x00"), "must be readable JSON"),
        (lambda at: written(at / "a", pickle.dumps({"nasbench201": {}})), "another pickle"),
        (lambda at: written(at / "a", published.tfrecord([b"x"])), "of NAS-Bench-101"),
        (lambda at: written(at / "a", published.tfrecord([b"x"])[:-1]), "of NAS-Bench-101"),
        (lambda at: published.write_folder(at / "a", published.nats(SIZES, NUMBERS)), "of the size space"),
        (lambda at: saved(at / "a", published.nasbench201([])), "must have a network"),
        (lambda at: written(at / "a", b"PK\x03\x04 and no more"), "must be whole"),
    ],
)
def test_what_no_search_can_be_on_is_refused_by_a_sentence(make, said, tmp_path):
    with pytest.raises(HwnasError, match=said) as raised:
        tabular.load(make(tmp_path), dataset="cifar10")
    assert "\n" not in str(raised.value)


def test_a_table_of_one_data_set_takes_no_name(tmp_path):
    with pytest.raises(DataError, match="--dataset must only be given"):
        tabular.load(written(tmp_path / "a", b"{}"), dataset="cifar10")


@pytest.mark.slow
def test_the_command_searches_on_cells(tmp_path, monkeypatch):
    """All 15,625 of them, of an archive of one pickle, whose trainings are short."""
    monkeypatch.setitem(spaces.SPACES, "nasbench201", published.stand_in)
    cells = published.every_cell()
    runs = {
        cell: {("cifar10", 7): {"epochs": 1, "eval_acc1es": {"ori-test@0": 50.0 + sum(cell)}}}
        for cell in cells
    }
    infos = {number: {"200": {"all_results": runs[cell]}} for number, cell in enumerate(cells)}
    content = {"meta_archs": list(map(published.cell_text, cells)), "arch2infos": infos}
    file = written(tmp_path / "NATS-tss.pickle.pbz2", published.packed(content))
    words = ["bench", str(file), "--strategies", "random", "--queries", "5", "--seeds", "1", "--json"]
    shown = CliRunner().invoke(app, [*words, "--dataset", "cifar10", "--out", str(tmp_path / "out")])
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.stdout)
    assert (found["networks"], found["identity"]["dataset"]) == (15_625, "cifar10")
    assert found["identity"]["space"] == "nasbench201-r32-c10"
    refused = CliRunner().invoke(app, [*words, "--dataset", "cifar100", "--out", str(tmp_path / "new")])
    assert refused.exit_code == 1
    assert "give --dataset with one of cifar10" in str(refused.exception)
