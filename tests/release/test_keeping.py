"""As few layers as it takes stay in fp32, scored through LiteRT and ONNX Runtime themselves."""

from __future__ import annotations

import dataclasses
import functools

import pytest
import torch
from hostile_to_int8 import BROKEN, break_int8
from typer.testing import CliRunner

from hwnas import bits, blocks, data, files, release, runtimes, spaces, train
from hwnas.bits.strategies.haq import Haq
from hwnas.bits.strategies.mixed_dnas import MixedDnas
from hwnas.cli import app
from hwnas.errors import ExportError
from hwnas.release import keeping
from hwnas.release.images import predicted_by
from hwnas.release.keeping import Keeper, KeptLayers
from hwnas.runs.folder import RunFolder


def network_of(run):
    arch = spaces.architecture_from_json(files.read_json(run / "arch.json", "the network"))
    network = blocks.network(arch)
    train.load_weights(network, run / "weights.safetensors")
    return arch, network.eval()


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", resolution=16)


@pytest.fixture
def broken(exported_run):
    _, network = network_of(exported_run)
    break_int8(network)
    record = files.read_json(exported_run / "train.json", "training")
    path = RunFolder(exported_run).weights
    train.save_weights(network, path, {"data": record["data"]["fingerprint"]})
    files.write_json(exported_run / "train.json", record | {"weights_sha256": files.sha256(path)})
    return exported_run


@pytest.mark.slow
def test_the_layers_that_int8_breaks_are_kept_and_no_others(broken, digits, monkeypatch):
    monkeypatch.setattr(keeping, "REMEDIES", ((), ("bias",)))
    options = ["--keep-int8-loss", "0.5", "--layers", "--calibration-images", "32"]
    done = CliRunner().invoke(app, ["export", str(broken), *options])
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    manifest = release.read_manifest(broken / "export")
    assert [item["runtime"] for item in manifest.int8_kept] == ["litert", "onnxruntime"]
    for item in manifest.int8_kept:
        assert set(item["layers"]) == set(BROKEN), item["said"]
        assert item["fp32"] - item["int8"] > 0.1, "int8 alone is harmed"
        assert item["lost"] <= 0.5
        assert 0 < item["macs_share"] < 0.5
        assert item["said"] in said
        assert "2 of 12 layers stay in fp32" in item["said"]
        assert "no rows of both precisions were measured" in item["said"]
    worst = sorted(manifest.int8_layers, key=lambda row: row["own_db"])[:2]
    assert {row["layer"] for row in worst} == set(BROKEN)
    assert "depthwise" in said, "the table of layers"
    for model in manifest.models:
        is_mixed = model.precision == "int8"
        assert model.kept == (dict.fromkeys(BROKEN, "fp32") if is_mixed else None)
        if is_mixed:
            assert model.parity["partitions"] in (1, None)
            told = next(item for item in manifest.int8_kept if item["runtime"] == model.runtime)
            file = broken / "export" / model.file
            assert predicted_by(file, model.runtime, digits, digits.val).value == told["value"]
    assert manifest.settings["keep_int8_loss"] == 0.5


def test_remedies_come_before_layers(broken, digits):
    found = keeper(broken, digits, 0.5).find("litert", bits.by_macs)
    assert found.fp32 - found.int8 > 0.1
    assert found.remedies == ("equalise", "bias")
    assert found.layers == ()
    assert "with equalised channels and corrected biases" in found.said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("by", "make"),
    [
        ("haq", functools.partial(Haq, limits=1, episodes=4)),
        ("mixed-dnas", functools.partial(MixedDnas, prices=1, steps=10, drawn=1)),
    ],
)
def test_other_strategies_are_scored_by_the_same_files(broken, digits, monkeypatch, by, make):
    monkeypatch.setattr(keeping, "REMEDIES", ((),))
    monkeypatch.setitem(bits.STRATEGIES, by, make)
    found = keeper(broken, digits, 0.5, by=by).find("litert", bits.by_macs)
    assert found.by == by
    assert set(found.layers) >= set(BROKEN)
    assert found.lost <= 0.5 < 100 * (found.fp32 - found.int8)
    assert f"of 12 layers stay in fp32 by {by}, " in found.said
    assert found.to_json()["precisions"] == dict.fromkeys(found.layers, "fp32")


def test_layers_in_several_precisions_are_named_with_theirs():
    kept = {"1.0": "fp32", "2.0": "16x8"}
    found = KeptLayers("litert", 0.5, 0.9, 0.5, 0.9, 0.0, (), kept, 9, 0.25, 0.125, "rows", "ranking", 100, 7)
    said = "2 of 9 layers stay in fp32 or 16x8 by ranking, 25% of the multiply-adds"
    assert found.said.endswith(f"; {said} (which adds 0.125 ms by rows): 1.0 (fp32), 2.0 (16x8)")
    assert found.to_json()["layers"] == ["1.0", "2.0"]


@pytest.mark.slow
def test_nothing_is_kept_where_int8_does_no_harm(exported_run, digits):
    before = release.read_manifest(exported_run / "export")
    again = release.read_manifest(release.export_run(exported_run, digits, keep_int8_loss=2.0).parent)
    assert again.files == before.files, "the files are those of an export without it"
    assert [item["layers"] for item in again.int8_kept] == [[], []]
    assert all(item["tried"] == 1 for item in again.int8_kept)


def keeper(run, digits, allowed, rounded=None, **more):
    arch, network = network_of(run)
    images = digits.normalize(digits.train.images[:64])
    return Keeper(network, rounded or network, arch.space.input_shape, digits, images, allowed, **more)


def test_a_runtime_that_cannot_mix_is_refused_in_a_sentence(broken, digits, monkeypatch):
    monkeypatch.setattr(keeping, "REMEDIES", ((),))
    litert = dataclasses.replace(runtimes.RUNTIMES["litert"], mixes=())
    monkeypatch.setitem(runtimes.RUNTIMES, "litert", litert)
    with pytest.raises(ExportError, match=r"lose at most 0.5 points of accuracy.*keep no layer in fp32"):
        keeper(broken, digits, 0.5).find("litert", bits.by_macs)


@pytest.mark.slow
def test_what_fp32_throughout_does_not_heal_is_refused_in_a_sentence(exported_run, digits):
    arch, _ = network_of(exported_run)
    torch.manual_seed(0)
    nothing_learnt = blocks.network(arch).eval()
    with pytest.raises(ExportError, match=r"lose at most 1 points of accuracy.*with every layer in fp32"):
        keeper(exported_run, digits, 1.0, nothing_learnt).find("litert", bits.by_macs)
