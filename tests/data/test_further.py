"""A further test set: which of its images are used is said, and nothing of another reading."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas import data
from hwnas.errors import DataError
from hwnas.train.training import dataset_of

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
LABELS = np.array(["dog", "cat"] * 20)


def write(path, **splits):
    arrays = {f"x_{s}": IMAGES[rows] for s, rows in splits.items()}
    np.savez(path, **arrays, **{f"y_{s}": LABELS[rows] for s, rows in splits.items()})
    return path


def test_all_splits_count_where_there_is_no_test_split(tmp_path, caplog):
    path = write(tmp_path / "x.npz", train=slice(0, 30), val=slice(30, 40))
    with caplog.at_level("INFO", logger="hwnas"):
        found = data.load_test(path, resolution=8, class_names=("dog", "cat"))
    assert found.labels.tolist() == [0, 1] * 20  # in the order of the network's answers
    np.testing.assert_array_equal(found.images.transpose(0, 2, 3, 1), IMAGES)
    assert [record.getMessage() for record in caplog.records] == [
        f"further test set (all images, as there is no test split): {path}: 2 classes (cat, dog); images: 30 "
        "training, 10 validation; left out: nothing"
    ]


def test_a_test_split_counts_alone_and_that_is_said(tmp_path, caplog):
    path = write(tmp_path / "x.npz", train=slice(0, 20), val=slice(20, 30), test=slice(30, 39))
    with caplog.at_level("INFO", logger="hwnas"):
        found = data.load_test(path, resolution=8, class_names=("cat", "dog"))
    np.testing.assert_array_equal(found.images.transpose(0, 2, 3, 1), IMAGES[30:39])
    line = caplog.records[0].getMessage()
    assert line.startswith("further test set (its test split): ")
    assert line.endswith("images: 9 test; left out: 20 in the train split, 10 in the val split")


def test_other_classes_come_with_advice(tmp_path):
    path = write(tmp_path / "x.npz", train=slice(0, 40))
    with pytest.raises(
        DataError,
        match=r"has cat, which it does not know and lacks cow, owl: name its classes as labels\.txt",
    ):
        data.load_test(path, resolution=8, class_names=("cow", "dog", "owl"))


def test_a_reading_that_comes_to_nothing_is_not_said(tmp_path, caplog):
    path = write(tmp_path / "x.npz", train=slice(0, 40))
    with caplog.at_level("INFO", logger="hwnas"):
        with pytest.raises(DataError, match="has the fingerprint"), data.held_back():
            dataset_of({**data.load("digits", resolution=8).describe(), "source": str(path)})
        assert not caplog.records
        with data.held_back():
            found = data.load(path, resolution=8)
            assert not caplog.records
    assert [record.getMessage() for record in caplog.records] == [found.reading.line]
