"""The drawn set: no leaks between splits, the same everywhere, as many images as wanted."""

import hashlib

import numpy as np
import pytest

from hwnas import data, pipeline
from hwnas.data import clutter
from hwnas.errors import DataError
from hwnas.train.training import dataset_of


def draw(scene=clutter.SCENE, images=300, seed=0):
    return clutter.draw.__wrapped__(scene, images, 0.2, 0.2, seed)


def test_splits_are_made_of_different_original_digits():
    parts = clutter.divide(0.2, 0.2, clutter._Raw(3))
    members = {split: np.concatenate(classes) for split, classes in parts.items()}
    assert sorted(np.concatenate(list(members.values()))) == list(range(1797))  # each once
    assert [round(len(m) / 1797, 2) for m in members.values()] == [0.64, 0.16, 0.2]
    labels = clutter._originals()[1]
    for classes in parts.values():
        assert [set(labels[members]) for members in classes] == [{label} for label in range(10)]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_no_pixel_of_a_split_comes_from_a_digit_of_another(monkeypatch, split):
    before = draw()
    own = np.concatenate(clutter.divide(0.2, 0.2, clutter._Raw(0))[split])
    images, labels = clutter._originals()
    darkened = images.copy()
    darkened[own] = 0
    monkeypatch.setattr(clutter, "_originals", lambda: (darkened, labels))
    for name, (drawn, _) in draw().items():
        if name == split:
            assert drawn.max() < clutter.SCENE.noise  # nothing but noise is left
        else:
            np.testing.assert_array_equal(drawn, before[name][0])


@pytest.mark.parametrize(
    ("scene", "seed", "digest"),
    [
        (clutter.SCENE, 0, "e5cfeea5c9bb5aa6"),
        (clutter.SCENE, 1, "3952bb8a2dccbc53"),
        (clutter.SCENE_64, 0, "f1da4e0aae46d1fa"),
        (clutter.HARD, 0, "1231aa798e9a186e"),
        (clutter.HARD_64, 0, "bd4caa643923f2fe"),
    ],
)
def test_a_seed_gives_the_same_pixels_on_every_machine(scene, seed, digest):
    found = hashlib.sha256()
    for images, labels in draw(scene, seed=seed).values():
        found.update(images.tobytes() + labels.astype("<i8").tobytes())
    assert found.hexdigest()[:16] == digest


def test_a_digit_is_whole_and_as_large_as_stated():
    bare = clutter.Scene(64, smallest=50, largest=60, pieces=0, halves=0, noise=0)
    images, _ = draw(bare, 1000)["train"]
    lit = images > 32
    heights = lit.any(axis=2).sum(axis=1)
    assert np.quantile(heights, 0.01) > 0.4 * 64  # most digits fill all rows of their square
    assert np.quantile(heights, 0.99) < 0.6 * 64 * 1.33  # turned by 25 degrees
    assert (images.max(axis=(1, 2)) > 120).all()
    edge = np.concatenate([images[:, [0, -1]].ravel(), images[:, :, [0, -1]].ravel()])
    assert (edge > 32).mean() < 0.01  # hardly any is cut off by the edge of the image


def test_loaded_as_any_other_source():
    found = data.load("clutter:1000", resolution=32)
    assert [len(found.split(s)) for s in ("train", "val", "test")] == [640, 160, 200]
    assert found.image_shape == (3, 32, 32)
    assert found.class_names == tuple("0123456789")
    assert not found.flip
    for split in (found.train, found.val, found.test):
        assert np.ptp(np.bincount(split.labels, minlength=10)) <= 1
        assert (split.images[:, 0] == split.images[:, 2]).all()
    assert found.train.images.flags.writeable
    again = dataset_of(found.describe())
    assert again.fingerprint == found.fingerprint
    assert data.load("clutter:1000", resolution=32, seed=1).fingerprint != found.fingerprint


@pytest.mark.parametrize(
    ("name", "scene"), [("clutter-hard", clutter.HARD), ("clutter-hard-64", clutter.HARD_64)]
)
def test_the_hard_ones_have_names_of_their_own(name, scene):
    found = data.load(f"{name}:200", resolution=scene.side)
    drawn, labels = draw(scene, 200)["train"]
    np.testing.assert_array_equal(found.train.images[:, 0], drawn)
    np.testing.assert_array_equal(found.train.labels, labels)


@pytest.mark.slow
def test_without_a_number_it_trains_on_eight_thousand():
    found = data.load("clutter", resolution=16)
    assert (len(found.train), len(found.val), len(found.test)) == (8000, 2000, 2500)
    assert not found.reading.notes  # no copies of images


def test_shares_decide_how_originals_and_images_are_divided():
    found = data.load("clutter:1000", resolution=8, val_share=0.1, test_share=0.5)
    assert [len(found.split(s)) for s in ("train", "val", "test")] == [450, 50, 500]


def test_it_is_scaled_to_what_a_network_wants():
    large, small = (data.load("clutter-64:200", resolution=r).train.images for r in (64, 32))
    means = large.reshape(-1, 3, 32, 2, 32, 2).mean(axis=(3, 5))
    assert np.abs(means - small).mean() < 6  # of 255; Pillow's filter is a little wider than two pixels


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("clutter:99", "from 100 to 999,999,999, but got clutter:99"),
        ("clutter:-5", "must be a number of images"),
        ("clutter:many", "must be a number of images"),
        ("clutter:", "must be a number of images"),
        ("clutter:٣٠٠", "must be a number of images"),
        ("clutter:99999999999999999999", "must be a number of images"),
        ("clutter:900000000", "must fit in"),
        (
            "digits:2000",
            "only clutter, clutter-64, clutter-hard, clutter-hard-64 have as many images as wanted",
        ),
        ("clutter-65", "no such path"),
    ],
)
def test_names_that_mean_nothing_are_refused_in_a_sentence(source, message):
    with pytest.raises(DataError, match=message):
        data.load(source, resolution=32)


def test_a_config_takes_it_for_a_name_not_a_path(tmp_path):
    assert pipeline.make(tmp_path, {"data": "clutter:500"}).data == "clutter:500"
