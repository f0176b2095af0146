"""Augmentation: what is promised of crops, mirrors and blanks, image by image."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hwnas import data
from hwnas.data.augment import Augmentation, augment, erase
from hwnas.data.batches import Batches


def rng(seed=0):
    return np.random.default_rng(seed)


def test_no_padding_leaves_images_where_they_are():
    images = torch.from_numpy(rng().integers(0, 255, (20, 3, 16, 16)).astype(np.uint8))
    assert torch.equal(augment(images, rng(), flip=False, crop=0.0), images)
    assert not torch.equal(augment(images, rng(), flip=False, crop=0.25), images)


def test_erasing_blanks_one_rectangle_of_the_published_sizes():
    images = torch.ones(2000, 3, 32, 24).to(memory_format=torch.channels_last)
    erased = erase(images, rng(), chance=1.0)
    assert torch.equal(images, torch.ones_like(images)), "the originals stay"
    assert erased.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(erased[:, 0], erased[:, 1])
    shares = []
    for image in erased[:, 0]:
        rows, columns = (image == 0).nonzero().T
        tall, wide = (int(places.max() - places.min()) + 1 for places in (rows, columns))
        assert len(rows) == tall * wide, "a whole rectangle"
        shares.append(len(rows) / image.numel())
    assert 0.01 < min(shares) < 0.03
    assert 0.30 < max(shares) < 0.37
    middle = (erased[:, 0] == 0).float().mean(0)
    assert middle[16, 12] > 2 * middle[0, 0] > 0, "any place, the middle most often"


def test_erasing_hits_as_many_images_as_was_asked_for():
    hit = (erase(torch.ones(4000, 1, 16, 16), rng(), chance=0.3) == 0).flatten(1).any(1)
    assert float(hit.float().mean()) == pytest.approx(0.3, abs=0.03)
    assert not (erase(torch.ones(50, 1, 16, 16), rng(), chance=0.0) == 0).any()


def test_a_blank_is_the_mean_colour_and_only_training_images_have_one():
    digits = data.load("digits", resolution=16)
    batches = Batches(digits, augmentation=Augmentation(crop=0.0, flip=False, erasing=1.0))
    plain, _ = batches.take("train", np.arange(64))
    erased, _ = batches.take("train", np.arange(64), rng())
    changed = erased != plain
    assert changed.flatten(1).any(1).all()
    assert (erased[changed] == 0).all()
