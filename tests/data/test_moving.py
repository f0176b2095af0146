"""Augmentation moves masks and boxes to where the pixels go."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hwnas.data import Dataset, Split, contents, dividing
from hwnas.data.augment import Augmentation
from hwnas.data.batches import Batches
from hwnas.data.moving import Moves, resized

SIDE = 64


def rectangles(count, seed=0, low=16, high=48):
    """White rectangles on black, each with its mask and its box."""
    rng = np.random.default_rng(seed)
    images, masks = np.zeros((count, 3, SIDE, SIDE), np.uint8), np.zeros((count, SIDE, SIDE), np.uint8)
    boxes = np.zeros((count, 2, 6), np.float32)
    boxes[:, 1, 4] = -1
    for row in range(count):
        left, top = rng.integers(low, (low + high) // 2 - 4, 2)
        right, bottom = rng.integers((low + high) // 2 + 4, high, 2)
        images[row, :, top:bottom, left:right] = 255
        masks[row, top:bottom, left:right] = 1
        boxes[row, 0] = left, top, right, bottom, 3, 1
    return images, masks, boxes


def edges(shown):
    """x1, y1, x2, y2 of what is shown."""
    rows, columns = torch.nonzero(shown, as_tuple=True)
    return torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()


@pytest.fixture
def moved():
    images, masks, boxes = map(torch.from_numpy, rectangles(64))
    moves = Moves.draw(64, np.random.default_rng(1), flip=True, crop=0.1, zoom=0.3)
    return moves, moves.images(images), moves.masks(masks), moves.boxes(boxes, SIDE, SIDE)


def test_a_box_is_where_the_pixels_are(moved):
    moves, images, _, boxes = moved
    assert len(moves.scale[:, 0].unique()) > 60
    assert 20 < int((moves.scale[:, 0] < 0).sum()) < 44
    seen = [row for row in range(64) if boxes[row, 0, 4] == 3]
    assert len(seen) > 55
    for row in seen:
        assert (edges(images[row, 0] > 127) - boxes[row, 0, :4]).abs().max() <= 1.0
    assert (boxes[seen, 0, 5] == 1).all()
    assert (boxes[:, 1, 4] == -1).all()


def test_a_mask_is_where_the_pixels_are(moved):
    _, images, masks, _ = moved
    is_object = images[:, 0] > 127
    assert ((masks == 1) != is_object).float().mean() < 0.01
    assert set(masks.unique().tolist()) == {0, 1, 255}


def test_what_lies_outside_is_void_and_black():
    moves = Moves(torch.ones(1, 2), torch.tensor([[0.5, 0.0]]))
    images = torch.full((1, 3, SIDE, SIDE), 200, dtype=torch.uint8)
    masks = moves.masks(torch.ones(1, SIDE, SIDE, dtype=torch.uint8))
    assert (masks[0, :, :16] == 255).all()
    assert (masks[0, :, 16:] == 1).all()
    assert (moves.images(images)[0, :, :, :15] == 0).all()
    assert torch.allclose(moves.images(images)[0, :, :, 17:], torch.tensor(200.0))


def test_boxes_are_clipped_and_left_out_where_little_is_left():
    moves = Moves(torch.ones(1, 2), torch.tensor([[1.0, 0.0]]))  # half the image to the right
    boxes = torch.tensor([[[0.0, 0, 48, 64, 0, 0], [20, 0, 60, 10, 1, 0], [0, 5, 10, 15, 2, 0]]])
    found = moves.boxes(boxes, SIDE, SIDE)[0]
    assert found[0].tolist() == [32, 0, 64, 64, 0, 0]
    assert found[1].tolist() == [52, 0, 64, 10, 1, 0]
    assert found[2].tolist() == [32, 5, 42, 15, 2, 0]
    further = Moves(torch.ones(1, 2), torch.tensor([[1.125, 0.0]])).boxes(boxes, SIDE, SIDE)[0]
    assert further[1].tolist() == [0, 0, 0, 0, -1, 0], "a fifth is left"


def test_a_mirror_is_exact():
    images, masks, boxes = map(torch.from_numpy, rectangles(4))
    mirror = Moves(torch.tensor([[-1.0, 1.0]]).repeat(4, 1), torch.zeros(4, 2))
    assert torch.allclose(mirror.images(images), images.flip(3).float(), atol=0.1)
    assert torch.equal(mirror.masks(masks), masks.flip(2))
    found = mirror.boxes(boxes, SIDE, SIDE)
    assert torch.allclose(found[:, 0, 0], SIDE - boxes[:, 0, 2])
    assert torch.allclose(found[:, 0, 2], SIDE - boxes[:, 0, 0])


def test_no_move_leaves_all_as_it_is():
    images, masks, boxes = map(torch.from_numpy, rectangles(4))
    still = Moves.draw(4, np.random.default_rng(0), flip=False, crop=0.0, zoom=0.0)
    assert torch.allclose(still.images(images), images.float(), atol=0.1)
    assert torch.equal(still.masks(masks), masks)
    assert torch.allclose(still.boxes(boxes, SIDE, SIDE), boxes, atol=1e-4)


def dataset(labels, images, task):
    split = Split(images, labels)
    half = (0.5,) * 3
    return Dataset("made", tuple("abcd"), split, split, split, half, half, True, 0, 0.2, 0.2, task=task)


@pytest.mark.parametrize("task", ["segmentation", "detection"])
def test_batches_move_labels_by_the_rng_alone(task):
    images, masks, boxes = rectangles(16)
    batches = Batches(dataset(masks if task == "segmentation" else boxes, images, task))
    before = torch.random.get_rng_state()
    rngs = map(np.random.default_rng, (3, 3, 4))
    first, again, other = (batches.take("train", np.arange(16), rng) for rng in rngs)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])
    assert first[0].is_contiguous(memory_format=torch.channels_last)
    plain = batches.take("train", np.arange(16))
    assert np.array_equal(plain[1].numpy(), masks if task == "segmentation" else boxes)
    shown = first[0][:, 0] > 0
    if task == "segmentation":
        assert ((first[1] == 1) != shown).float().mean() < 0.01
    else:
        gaps = [
            (edges(shown[r]) - first[1][r, 0, :4]).abs().max() for r in range(16) if first[1][r, 0, 4] >= 0
        ]
        assert len(gaps) > 10
        assert max(gaps) <= 1.5


def test_a_proxy_of_lower_resolution_has_labels_of_its_size():
    images, masks, boxes = rectangles(4)
    for task, labels in (("segmentation", masks), ("detection", boxes)):
        small, said = Batches(dataset(labels, images, task), resolution=32).take("val", np.arange(4))
        shown = small[:, 0] > 0
        if task == "segmentation":
            assert said.shape == (4, 32, 32)
            assert said.dtype == torch.uint8
            assert ((said == 1) != shown).float().mean() < 0.05
        else:
            assert max((edges(shown[row]) - said[row, 0, :4]).abs().max() for row in range(4)) <= 1
            assert (said[:, 0, 4:] == torch.tensor([3.0, 1.0])).all()


def test_labels_of_classes_are_not_resized():
    numbers = torch.arange(5)
    assert resized(numbers, 32, 64) is numbers


def test_augmentation_leaves_classes_alone():
    images, numbers = torch.zeros(8, 3, 16, 16, dtype=torch.uint8), torch.arange(8)
    moved, same = Augmentation().move(images, numbers, np.random.default_rng(0))
    assert moved.shape == images.shape
    assert same is numbers


def rare(kind):
    """60 images that show classes 0 and 1, of which one shows class 2 as well, and two show nothing."""
    masks = np.zeros((60, 8, 8), np.uint8)
    masks[:, :2] = 1
    masks[37, 3] = 2
    masks[[5, 6]] = 255
    if kind == "masks":
        return masks
    boxes = np.zeros((60, 3, 6), np.float32)
    boxes[..., 4] = [0, 1, -1]
    boxes[37, 2, 4] = 2
    boxes[[5, 6], :, 4] = -1
    return boxes


@pytest.mark.parametrize("kind", ["masks", "boxes"])
def test_samples_have_the_rare_class_and_an_empty_image(kind):
    labels = rare(kind)
    assert contents.present(labels)[37].tolist() == [True, True, True]
    data = dataset(labels, np.zeros((60, 3, 8, 8), np.uint8), "any")
    for seed in range(10):
        sample = data.sample("train", 3, seed)
        assert contents.present(sample.labels).any(axis=0).tolist() == [True, True, True]
        assert not contents.present(sample.labels).any(axis=1).all()


@pytest.mark.parametrize("kind", ["masks", "boxes"])
def test_drawn_splits_are_mixed_alike_and_sometimes_have_the_rare_image(kind):
    labels = rare(kind)
    drawn = np.stack([dividing.drawn(labels, 0.2, np.random.default_rng(seed)) for seed in range(100)])
    assert (drawn.sum(axis=1) == 12).all()
    assert 8 < drawn[:, 37].sum() < 35
    assert ((drawn.mean(axis=0) > 0.08) & (drawn.mean(axis=0) < 0.36)).all()


def test_rows_are_divided_in_order_without_a_second_copy():
    rows = np.arange(20).reshape(10, 2)
    chosen = np.isin(np.arange(10), [0, 4, 9])
    kept, taken = dividing.divided(rows, chosen)
    assert kept[:, 0].tolist() == [2, 4, 6, 10, 12, 14, 16]
    assert taken[:, 0].tolist() == [0, 8, 18]
    assert np.shares_memory(kept, rows)
    assert np.shares_memory(taken, rows)
