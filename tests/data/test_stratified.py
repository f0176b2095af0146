"""Samples of images: every class is in them, wherever the source had put it."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas import data
from hwnas.data.batches import Batches
from hwnas.data.stratified import stratified_rows
from hwnas.errors import DataError

SORTED = np.repeat(np.arange(3), 340)
RARE = np.repeat(np.arange(3), (970, 25, 5))


@pytest.mark.parametrize("labels", [SORTED, RARE, SORTED[::-1], np.zeros(7, np.int64)], ids=str)
@pytest.mark.parametrize("count", [1, 2, 3, 20, 256])
def test_a_sample_has_the_mix_of_the_whole_and_no_image_twice(labels, count):
    rows = stratified_rows(labels, count, 0)
    assert len(set(rows.tolist())) == len(rows) == min(count, len(labels))
    found = np.bincount(labels[rows], minlength=3)
    expected = np.bincount(labels, minlength=3) / len(labels) * len(rows)
    present = np.bincount(labels, minlength=3) > 0
    assert (np.abs(found - expected) <= 2)[present].all()
    if count >= 3:
        assert (found > 0)[present].all(), "no class is left out where there is room"


def test_every_beginning_of_a_sample_is_the_shorter_sample():
    long = stratified_rows(RARE, 500, 3)
    for count in (1, 7, 64, 499):
        assert stratified_rows(RARE, count, 3).tolist() == long[:count].tolist()


def test_the_seed_alone_decides():
    one, two, other = (stratified_rows(SORTED, 50, seed).tolist() for seed in (1, 1, 2))
    assert one == two
    assert one != other


def test_each_image_is_as_likely_as_another():
    seen = np.bincount(
        np.concatenate([stratified_rows(np.repeat([0, 1], (6, 6)), 4, s) for s in range(3000)])
    )
    assert seen.min() > 0.9 * 1000
    assert seen.max() < 1.1 * 1000


def test_a_dataset_gives_samples_of_each_split():
    digits = data.load("digits", resolution=8)
    for name in data.names.SPLITS:
        sample = digits.sample(name, 40, seed=5)
        assert len(sample) == 40
        assert np.bincount(sample.labels, minlength=10).min() >= 2
        whole = digits.split(name)
        pairs = {
            (image.tobytes(), int(label)) for image, label in zip(whole.images, whole.labels, strict=True)
        }
        assert all((i.tobytes(), int(n)) in pairs for i, n in zip(sample.images, sample.labels, strict=True))
    assert len(digits.sample("val", 10**9)) == len(digits.val)
    for count in (0, -1):
        with pytest.raises(DataError, match="at least 1 image"):
            digits.sample("train", count)


def test_batches_of_some_images_are_mixed_one_by_one(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (900, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "sorted.npz", images=images, labels=np.repeat(np.arange(3), 300))
    batches = Batches(data.load(tmp_path / "sorted.npz", resolution=8))
    for _, labels in batches.some("train", 512, 0):
        assert np.bincount(labels.numpy(), minlength=3).min() > 0.3 * len(labels)


@pytest.mark.slow
def test_statistics_are_of_all_images_also_of_many_in_a_regular_order(tmp_path):
    """Every other image of another class: a stride of two would see one class only."""
    dark, light = np.full((10_000, 4, 4), 30, np.uint8), np.full((10_000, 4, 4), 230, np.uint8)
    images = np.stack([dark, light], 1).reshape(-1, 4, 4)
    images[:, 0, 0] += np.arange(20_000, dtype=np.uint64).astype(np.uint8) % 20
    np.savez(
        tmp_path / "a.npz",
        x_train=images,
        y_train=np.arange(20_000) % 2,
        x_val=images[:10],
        y_val=np.arange(10) % 2,
        x_test=images[10:20],
        y_test=np.arange(10) % 2,
    )
    found = data.load(tmp_path / "a.npz", resolution=8)
    whole = found.train.images.astype(np.float64) / 255
    np.testing.assert_allclose(found.mean, whole.mean((0, 2, 3)), rtol=1e-9)
    np.testing.assert_allclose(found.std, whole.std((0, 2, 3)), rtol=1e-9)
