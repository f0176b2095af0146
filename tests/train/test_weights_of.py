"""Weights to begin with, of an earlier run or of a known network."""

from __future__ import annotations

import json

import pytest
import torch

from hwnas import blocks, data, files, spaces
from hwnas.errors import HwnasError, SpaceError, TrainingError
from hwnas.known import pretrained
from hwnas.train import adapting
from hwnas.train.checkpoint import read_tensors, save_tensors
from hwnas.train.sources import weights_of


def test_a_run_is_a_source(exported_run):
    """Its network computes what it computed, on inputs scaled as its images were."""
    found = weights_of(str(exported_run))
    digits = data.load("digits", resolution=16)
    assert found.architecture == spaces.architecture_from_json(
        json.loads((exported_run / "arch.json").read_text())
    )
    assert (found.source.where, found.source.network) == ("run:run", "macro-r16-c10")
    assert found.sha256 == files.sha256(exported_run / "weights.safetensors")
    assert (found.source.mean, found.source.std) == (digits.mean, digits.std)
    assert (found.source.classes, found.source.resolution, found.source.eps) == (10, 16, 1e-5)
    module = blocks.network(found.architecture).eval()
    assert pretrained.into(module, found.architecture, found) == ()
    images = torch.from_numpy(digits.normalize(digits.test.images))
    with torch.no_grad():
        right = (module(images).argmax(1).numpy() == digits.test.labels).mean()
    record = json.loads((exported_run / "train.json").read_text())
    assert right == pytest.approx(record["test_accuracy"], abs=0.01)
    assert right > 0.5


def test_a_folder_that_is_no_run_is_not_to_be_filled_by_a_search(tmp_path):
    """As the folder of the images, given by mistake: nothing may advise to write there."""
    (tmp_path / "photos").mkdir()
    for ask in (lambda folder: weights_of(str(folder)), adapting.space_of):
        with pytest.raises(
            TrainingError, match=r"photos is a folder without arch.json: give the name"
        ) as error:
            ask(tmp_path / "photos")
        assert "hwnas search" not in str(error.value)


def test_a_run_on_larger_images_and_other_classes(exported_run):
    found = weights_of(str(exported_run), resolution=32)
    assert found.architecture.space.input_shape == (3, 32, 32)
    other = spaces.load("macro", resolution=32, num_classes=4).architecture(found.architecture.indices)
    module = blocks.network(other)
    left = pretrained.into(module, other, found)
    assert [name.rpartition(".")[2] for name in left] == ["weight", "bias"]


def test_an_older_run_is_scaled_as_its_images_are(exported_run):
    path = exported_run / "weights.safetensors"
    tensors, about = read_tensors(path, "hwnas-weights/1")
    scaled = weights_of(str(exported_run)).source
    save_tensors(path, tensors, {name: about[name] for name in ("schema", "architecture", "data")})
    record = json.loads((exported_run / "train.json").read_text())
    del record["weights_sha256"]
    (exported_run / "train.json").write_text(json.dumps(record))
    assert weights_of(str(exported_run)).source == scaled
    record["data"]["fingerprint"] = "0" * 16
    (exported_run / "train.json").write_text(json.dumps(record))
    with pytest.raises(HwnasError, match=r"data must not change .*train the run again, which notes how"):
        weights_of(str(exported_run))


def test_what_is_no_trained_run_is_refused(exported_run, tmp_path):
    with pytest.raises(TrainingError, match="of a run or of a file, but got both"):
        weights_of(str(exported_run), tmp_path / "weights.pth")
    path = exported_run / "weights.safetensors"
    tensors, about = read_tensors(path, "hwnas-weights/1")
    save_tensors(path, tensors, {**about, "more": 1})
    with pytest.raises(TrainingError, match=r"those that their run was trained to, .*hwnas train"):
        weights_of(str(exported_run))
    path.unlink()
    with pytest.raises(TrainingError, match="must have been trained"):
        weights_of(str(exported_run))
    (exported_run / "train.json").unlink()
    with pytest.raises(HwnasError, match="hwnas train"):
        weights_of(str(exported_run))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(HwnasError, match=r"is a folder without arch\.json: give the name of a network"):
        weights_of(str(empty))


def test_a_file_of_a_run_is_not_taken_for_one_of_others(exported_run):
    with pytest.raises(TrainingError, match="is of a run of hwnas: give its folder instead"):
        weights_of("efficientnet-lite0", exported_run / "weights.safetensors")


def test_what_is_no_folder_is_a_known_network(tmp_path):
    with pytest.raises(SpaceError, match="weights must be of efficientnet-lite0"):
        weights_of("nothing")
    with pytest.raises(TrainingError, match="does not exist"):
        weights_of("efficientnet-lite0", tmp_path / "weights.pth")
