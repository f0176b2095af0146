"""The shipping folder: complete, hashed, and refused where it was changed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hwnas import data, files, ship
from hwnas.errors import DataError, HwnasError, SchemaMismatch
from hwnas.export import runtime


def test_the_folder_is_whole(exported_run):
    folder = exported_run / "export"
    manifest = ship.read_manifest(folder)
    assert {entry["file"] for entry in manifest["variants"]} == set(ship.VARIANTS.values())
    assert sorted(p.name for p in folder.iterdir()) == sorted([*manifest["files"], ship.MANIFEST])
    assert (folder / ship.LABELS).read_text().splitlines() == [str(digit) for digit in range(10)]
    assert all(entry["parity"] for entry in manifest["variants"])
    assert manifest["weights_sha256"] == files.sha256(exported_run / "weights.safetensors")


def test_the_manifest_is_enough_to_use_a_model(exported_run):
    """Preprocessing by the manifest's words alone gives the accuracy that training reported."""
    folder = exported_run / "export"
    manifest = ship.read_manifest(folder)
    test = ship.load_data(manifest["data"]).test
    how = manifest["preprocessing"]
    mean, std = (np.array(how[name], np.float32).reshape(1, 3, 1, 1) for name in ("mean", "std"))
    images = ((test.images * how["scale"] - mean) / std).astype(np.float32)
    for entry in manifest["variants"]:
        logits = runtime.run(folder / entry["file"], entry["runtime"], images)
        accuracy = (logits.argmax(axis=1) == test.labels).mean()
        assert accuracy == pytest.approx(manifest["test_accuracy_pytorch"], abs=0.02), entry["name"]
    assert manifest["test_accuracy_pytorch"] > 0.8, "three epochs on digits must teach something"


@pytest.mark.parametrize("name", [*ship.VARIANTS.values(), ship.LABELS])
def test_a_changed_or_missing_file_is_named(exported_run, name):
    path = exported_run / "export" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(HwnasError, match=f"{name} must be the file that was exported"):
        ship.read_manifest(path.parent)
    path.unlink()
    with pytest.raises(HwnasError, match=f"{name} is missing"):
        ship.read_manifest(path.parent)


def test_a_manifest_of_another_version_is_refused(exported_run):
    path = exported_run / "export" / ship.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": "hwnas-manifest/0"}))
    with pytest.raises(SchemaMismatch, match="export again"):
        ship.read_manifest(path.parent)


def test_other_data_are_refused(exported_run):
    other = data.load("digits", resolution=16, seed=1)
    with pytest.raises(HwnasError, match="must be those that the network was trained on"):
        ship.export_run(exported_run, other)


def test_data_that_changed_are_refused(exported_run):
    record = files.read_json(exported_run / "train.json", "training")["data"]
    with pytest.raises(DataError, match="must not change between stages"):
        ship.load_data(record | {"fingerprint": "0" * 16})


def test_a_run_without_training_says_what_is_missing(exported_run):
    (exported_run / "train.json").unlink()
    dataset = data.load("digits", resolution=16)
    with pytest.raises(HwnasError, match="the record of training must be there"):
        ship.export_run(exported_run, dataset)
