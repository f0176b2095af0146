"""What commands say of the images that they read."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hwnas import data, device, files, spaces
from hwnas.cli import app


@pytest.fixture
def pets(tmp_path):
    rng = np.random.default_rng(0)
    for split, number in (("Train", 12), ("Valid", 3), ("Test", 3)):
        for name in ("cat", "dog"):
            folder = tmp_path / "pets" / split / name
            folder.mkdir(parents=True)
            for row in range(number):
                Image.fromarray(rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)).save(folder / f"{row}.png")
    same = (tmp_path / "pets" / "Train" / "cat" / "0.png").read_bytes()
    (tmp_path / "pets" / "Test" / "cat" / "copy.png").write_bytes(same)
    (tmp_path / "pets" / "Train" / "notes.txt").write_text("cats and dogs")
    return tmp_path / "pets"


@pytest.fixture
def run(tmp_path, pets):
    arch = spaces.load("macro", resolution=8, num_classes=2).architecture([0] * 8)
    files.write_json(tmp_path / "run" / "arch.json", arch.to_json())
    described = data.load(pets, resolution=8).describe()
    target = device.load("host").target("litert", "int8")
    budget = {"name": str(target), "target": target.to_json(), "budget_ms": 1.0, "predicted_ms": 0.5}
    search = {"strategy": "by hand", "seed": 0, "data": described, "constraints": [budget]}
    trained = {"config": {}, "data": described, "history": []}
    trained |= dict.fromkeys(("test_accuracy", "val_accuracy", "seconds"), 0.5)
    files.write_json(tmp_path / "run" / "search.json", search)
    files.write_json(tmp_path / "run" / "train.json", trained)
    return tmp_path / "run"


def hwnas(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


LINE = "2 classes (cat, dog); images: 24 training, 6 validation, 7 test; left out: 1 .txt"
COPY = "(Test/cat/copy.png = Train/cat/0.png): what test says is too good by as much; remove the copies"


def test_what_was_read_is_one_line_and_what_is_odd_a_warning(run, pets):
    done = hwnas("train", run, "--epochs", 1, "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert done.stderr.count(f"read {pets}: {LINE}\n") == 1
    assert done.stderr.count("warning:") == done.stderr.count(COPY) == 1
    assert LINE not in done.stdout


def test_each_command_says_it_anew(run, pets):
    for _ in range(2):
        done = hwnas("export", run, "--data", pets)
        assert done.exit_code == 1
        assert done.stderr.count(LINE) == 1


def test_data_that_cannot_be_read_are_an_error_of_one_sentence(run, pets):
    (pets / "Train" / "cat" / "3.png").write_bytes(b"<html>not found</html>")
    done = hwnas("train", run, "--data", pets)
    assert type(done.exception).__name__ == "DataError"
    assert "3.png is not: its format is not known (it is text: '<html>not found</html>'…)" in str(
        done.exception
    )
    assert not (run / "weights.safetensors").exists()
