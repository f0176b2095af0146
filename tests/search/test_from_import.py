"""From a network of one's own, a file without batch norms, to one that was searched around it and ships."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from known_helpers import searched_around
from quick_measuring import form

import hwnas
from hwnas import blocks, data, device, files, release, report, spaces, train
from hwnas.adapt import GivenModel, ladder
from hwnas.adapt import blocks as blocks_rung
from hwnas.adapt.latencies import Latency
from hwnas.blocks import Conv, MBConv, PooledHead, ResidualBlock
from hwnas.budget import Budget
from hwnas.compare import compare
from hwnas.errors import HwnasError, TrainingError
from hwnas.export import lower
from hwnas.finalists import tuning
from hwnas.importing import import_model
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.spaces import own
from hwnas.train import TrainConfig, adapting
from hwnas.train.sources import weights_of
from hwnas.train.training import train_run
from hwnas.verify import verify

SIDE = 16
SHORT = TrainConfig(epochs=1, batch_size=64, learning_rate=0.002)
BODY = (Conv(3, 16, stride=2), ResidualBlock(16, 16), MBConv(16, 24, stride=2, expansion_ratio=2))


def a_file(folder: Path, classes: int, config: TrainConfig | None = None) -> Path:
    """A network of digits, trained or not, as an ONNX file without batch norms."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = blocks.build((*BODY, PooledHead(24, 0, classes)))
    if config is not None:
        train.fit(module, data.load("digits", resolution=SIDE), config)
    path = folder / f"{classes}.onnx"
    path.write_bytes(lower(module.eval(), (3, SIDE, SIDE), "onnxruntime", "fp32", check=False).model)
    return path


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """A classifier of digits, imported; nothing in it says what its norms saw."""
    folder = tmp_path_factory.mktemp("mine")
    path = a_file(folder, 10, TrainConfig(epochs=4, batch_size=32, learning_rate=0.1))
    digits = data.load("digits", resolution=SIDE)
    import_model(path, folder / "mine", mean=digits.mean, std=digits.std)
    return folder / "mine"


@pytest.fixture(scope="module")
def teacher(mine, few_digits, tmp_path_factory):
    run = tmp_path_factory.mktemp("t") / "run"
    return adapting.adapted(run, str(mine), str(few_digits), config=SHORT)


@pytest.fixture(scope="module")
def found(teacher, tmp_path_factory):
    folder = tmp_path_factory.mktemp("found")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own, "_KNOWN", {})  # as in another process
        space = spaces.load(adapting.space_of(teacher))
        return searched_around(teacher, space, folder)


def test_an_imported_network_is_a_source_of_weights(mine):
    found, digits = weights_of(str(mine)), data.load("digits", resolution=SIDE)
    assert found.source.where == "import:mine"
    assert found.source.licence == "unknown: your own"
    assert (found.source.mean, found.source.std) == (digits.mean, digits.std)
    assert found.sha256 == files.sha256(mine / "weights.safetensors")
    norms = {name.rpartition(".")[0] for name in found.tensors if name.endswith("running_var")}
    assert set(found.shifting) == norms
    finer = weights_of(str(mine), resolution=24)
    assert finer.architecture.space.input_shape == (3, 24, 24)
    assert finer.architecture.blocks == found.architecture.blocks


def test_its_classifier_is_kept_and_a_short_training_keeps_what_it_knows(mine, teacher, few_digits):
    record = records.trained(teacher)
    digits = data.load(str(few_digits), resolution=SIDE)
    module = blocks.network(weights_of(str(mine)).architecture)
    train.load_weights(module, RunFolder(mine).weights)
    before = train.evaluate(module, digits, "val").value
    assert before > 0.6
    assert record.val_value > before - 0.05
    assert record.config["head_epochs"] == 0
    assert record.start["from"] == "import:mine"
    assert record.began_with["licence"] == "unknown: your own"
    assert record.data["mean"] == list(data.load("digits", resolution=SIDE).mean)
    begun = adapting.start_of(weights_of(str(mine)))(arch_of(teacher), digits)
    assert not {name for name, _ in module.named_parameters()} - set(begun.tensors)


def arch_of(run):
    return spaces.architecture_from_json(records.arch(run))


def test_other_classes_get_a_new_last_layer(few_digits, tmp_path):
    import_model(a_file(tmp_path, 4), tmp_path / "four")
    images = str(few_digits)
    run = adapting.adapted(tmp_path / "run", str(tmp_path / "four"), images, config=SHORT, resolution=SIDE)
    assert arch_of(run).space.num_classes == 10
    begun = adapting.start_of(weights_of(str(tmp_path / "four")))(
        arch_of(run), data.load(images, resolution=SIDE)
    )
    left = {n for n in blocks.network(arch_of(run)).state_dict() if "num_" not in n} - set(begun.tensors)
    assert sorted(name.rpartition(".")[2] for name in left) == ["bias", "weight"]


def test_what_does_not_say_its_scale_is_imported_again(mine, tmp_path):
    for name in ("arch.json", "import.json"):
        (tmp_path / name).write_bytes((mine / name).read_bytes())
    network = blocks.network(arch_of(mine))
    train.save_weights(network, tmp_path / "weights.safetensors")
    with pytest.raises(TrainingError, match=r"must say how its images are scaled, but .*: import it again"):
        weights_of(str(tmp_path))


def test_what_was_only_imported_is_no_teacher_and_the_command_that_makes_one_is_said(mine):
    with pytest.raises(
        TrainingError, match=r"was only imported: `hwnas train RUN --from \S+mine --data DIR`"
    ):
        hwnas.search(None, {"host": 1}, mine.with_name("s"), teacher=mine)
    for read in (records.search, release.read_manifest):
        with pytest.raises(HwnasError, match=r"`hwnas train RUN --from \S+mine --data DIR`"):
            read(mine)


def test_what_was_found_around_it_is_told_whole(found, teacher, monkeypatch):
    monkeypatch.setattr(own, "_KNOWN", {})
    record, told = records.search(found), records.arch(found)
    name = records.search(teacher).space
    assert record.space == told["space"] == f"from:{name}"
    assert told["whole_space"]["origin"] == [0] * 3
    arch = arch_of(found)
    assert arch.macs < arch.space.architecture(arch.space.origin).macs
    assert {"residual", "mbconv"} <= {c.candidates[0].kind for c in arch.space.choices}
    with pytest.raises(TrainingError, match="must be a known or an imported one"):
        adapting.space_of(found)


def test_it_is_trained_and_exported_like_a_known_one_and_comes_back(found, teacher, monkeypatch):
    monkeypatch.setattr(own, "_KNOWN", {})
    trained = hwnas.train(found, epochs=1, batch_size=64, learning_rate=0.02)
    assert trained.record["start"]["from"] == "supernet"
    assert trained.record["teacher"]["weights_sha256"] == files.sha256(RunFolder(teacher).weights)
    monkeypatch.setattr(own, "_KNOWN", {})
    dataset = release.load_data(records.trained(found).data)
    manifest = release.read_manifest(release.export_run(found, dataset, int8_drop=1.0).parent)
    assert manifest.began_with["from"] == "import:mine"
    assert manifest.began_with["licence"] == "unknown: your own"
    monkeypatch.setattr(own, "_KNOWN", {})
    again = import_model(found / "export" / "model.onnx", found / "again")
    assert [b.key() for b in again.architecture.blocks] == [b.key() for b in arch_of(found).blocks]
    assert again.scale.said_by == "file"
    np.testing.assert_allclose(again.scale.mean, dataset.mean)
    assert "import:mine, unknown: your own" in report.write(found).read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("warm_processes")
def test_it_is_verified_and_compared_like_any_other(teacher, tmp_path, monkeypatch):
    run = Path(shutil.copytree(teacher, tmp_path / "run"))
    dataset = release.load_data(records.trained(run).data)
    monkeypatch.setattr(own, "_KNOWN", {})  # as in another process
    shipped = release.export_run(run, dataset, int8_drop=1.0).parent
    host = device.load("host")
    found = verify(shipped, host, dataset, options=form(2))
    assert [each.name for each in found.variants] == [f"{r}-{p}" for r, p in release.VARIANTS]
    assert found.verdict is None, "no budget was asked for, and nothing is broken"
    assert found.variants[0].value > 0.6
    monkeypatch.setattr(own, "_KNOWN", {})
    record = files.read_json(RunFolder(run).train, "training")
    record["config"] |= {"epochs": 12, "batch_size": 16, "learning_rate": 0.05}  # whatever begins anew learns
    files.write_json(RunFolder(run).train, record)
    result = compare(run, host, against=["mobilenetv2-0.1"], variants=["litert-fp32"], options=form(2))
    assert [row.name for row in result.networks] == ["found", "mobilenetv2-0.1"]
    assert result.architecture == arch_of(run).id
    assert any("all begin anew here" in note for note in result.notes)
    assert "mobilenetv2-0.1" in report.write(run).read_text()


@pytest.mark.usefixtures("warm_processes")
@pytest.mark.slow
def test_cheaper_blocks_of_a_small_network_are_searched_and_measured(teacher, tmp_path, monkeypatch):
    """Its space has fewer networks than are usually measured to fit a latency model."""
    monkeypatch.setattr(blocks_rung, "DISTILLATION_STEPS", 8)
    monkeypatch.setattr(tuning, "_STEPS", 8)
    host = device.load("host")
    target, said = host.target("litert", "fp32"), []
    record = blocks_rung.searched(
        teacher, tmp_path, host, target, 1000.0, seed=1, measuring=form(6), tell=said.append
    )
    assert 0 < blocks_rung.latency_of(record).ms < 1000
    assert record.budgets[0].target == target
    assert any("measuring cheaper blocks" in text for text in said)


def test_cheaper_blocks_are_the_last_rung_of_an_adaptation(teacher, found, tmp_path, monkeypatch):
    """Where the search had nothing to compare with, what it found is tuned before it is looked at."""
    record, arch = records.search(found), arch_of(found)
    (budget,) = record.budgets
    record = replace(record, budgets=(replace(budget, measured_ms=1.0, interval_ms=(0.9, 1.1)),))

    def searched(_teacher, folder, *_, **__):
        shutil.copytree(found, folder / "search")
        return record

    monkeypatch.setattr(blocks_rung, "searched", searched)
    monkeypatch.setattr(ladder, "latencies", lambda *_: {"": Latency(2.0, (1.9, 2.1), "stable")})
    options = ladder.AdaptOptions(rungs=("blocks",), short_epochs=1, epochs=1)
    given, to = GivenModel(str(teacher), None), tmp_path / "to"
    done = ladder.adapt(given, to, Budget.read("1.5", budget.target), options)
    step = done.steps[1]
    replaced = sum(own != whole for own, whole in zip(arch.indices, arch.space.origin, strict=True))
    assert (done.taken, step.what, step.ms) == (1, f"{replaced} of 3 blocks replaced", 1.0)
    assert step.interval[0] < step.value < step.interval[1]
    assert arch_of(to) == arch
    assert records.trained(to).teacher["weights_sha256"] == files.sha256(RunFolder(teacher).weights)
    assert blocks_rung.tuned(record) is None
    beside = {"taken": True, "value": 0.5, "interval": [0.4, 0.6]}
    assert blocks_rung.tuned(replace(record, extra={"tuned": [beside]})) == (0.5, (0.4, 0.6))


def test_training_that_was_cut_off_goes_on_with_the_same_statistics(mine, few_digits, tmp_path):
    """They follow from the images, not from chance."""
    config = TrainConfig(epochs=2, batch_size=64, learning_rate=0.002)
    dataset, start = adapting.begun(tmp_path / "run", str(mine), str(few_digits), config)
    first, second = (start(arch_of(tmp_path / "run"), dataset).tensors for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)

    def stop(record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(tmp_path / "run", config, dataset=dataset, start=start, on_epoch=stop)
    record = train_run(tmp_path / "run", config, dataset=dataset, start=start)
    assert len(record.history) == 2
