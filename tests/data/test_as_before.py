"""Plain sources give the splits and pixels that earlier versions gave: their run folders stay readable."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hwnas import data


def picture(number):
    steps = np.indices((8, 8)).sum(axis=0)[..., None] * [number, 3, 5]
    return (steps % 256).astype(np.uint8)


@pytest.fixture
def pets(tmp_path):
    for split, count, first, suffix in (("train", 8, 1, "png"), ("test", 2, 50, "bmp")):
        for number in range(count):
            for name, more in (("cat", 0), ("dog", 20)):
                below = "more" if split == "train" and number > 5 else "."
                file = tmp_path / split / name / below / f"{number}.{suffix}"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture(first + number + more)).save(file)
    return tmp_path


def test_embedded_digits():
    assert data.load("digits", resolution=8).fingerprint == "bd2c887d1110d96f"


def test_a_folder_with_splits_and_folders_within_classes(pets):
    assert data.load(pets, resolution=8).fingerprint == "1bb55703d6a8fbb0"


def test_arrays_with_and_without_a_test_part(tmp_path):
    images = np.stack([picture(number) for number in range(1, 41)])
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(40) % 4)
    grey = images[..., 0]
    parts = {
        "x_train": grey[:30],
        "y_train": np.arange(30) % 3,
        "x_test": grey[30:],
        "y_test": np.arange(10) % 3,
    }
    np.savez(tmp_path / "b.npz", **parts)
    assert data.load(tmp_path / "a.npz", resolution=8).fingerprint == "664e40f3cf75ab47"
    assert data.load(tmp_path / "b.npz", resolution=8).fingerprint == "e21a54d057755dbe"
