"""Digits in clutter: a harder set of images, drawn from the 1,797 digits of scikit-learn.

An artificial set, made so that small networks differ on it: each image shows one whole
handwritten digit, its class, at a random place, size and rotation, among small pieces and
halves of other digits, with noise. It says nothing of photographs. The idea is that of the
cluttered MNIST of arXiv:1406.6247.

The original digits are divided first: no image of one split shows any part of a digit that
another split shows. All arithmetic is on integers, so that a seed gives the same pixels on
every machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

CLASSES = 10
_SHADES, _PIXELS = 16, 8  # of scikit-learn's digits
_PER_PIXEL = 8  # places of the bank that a pixel of a digit takes
_WHOLE = _PER_PIXEL * _PIXELS
_PLACES = _PER_PIXEL * (_PIXELS + 2)  # side of a digit in the bank, where it has a dark border
_TURN = math.radians(25)  # largest rotation
_ANGLES = 255  # rotations that are tabled
_DIGIT_LIGHT = 176, 257
_PIECE = 3 * _PER_PIXEL, 4 * _PER_PIXEL  # side of a piece, from and below
_CHUNK = 256  # images drawn at once: what is computed stays in the processor's cache

Ints = NDArray[np.int32]
Drawn = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Grey images (n, side, side) and their labels (n,)."""


@dataclass(frozen=True)
class Scene:
    """What images are like.

    Attributes:
        side: Height and width, in pixels.
        smallest: Least side of the digit, in percent of the image's.
        largest: Largest side of the digit, in percent of the image's.
        pieces: Small pieces of other digits.
        halves: Halves of other digits.
        noise: Values of the uniform noise that is added, of 256.
        light: Least and largest brightness of pieces and halves, of 256; that of the digit is
            in ``_DIGIT_LIGHT``.
    """

    side: int
    smallest: int = 50
    largest: int = 80
    pieces: int = 5
    halves: int = 1
    noise: int = 16
    light: tuple[int, int] = (56, 176)


SCENE = Scene(32)
"""What a network of `macro` learns in a minute or two: on it networks are alike."""
HARD = Scene(32, smallest=28, largest=74, pieces=8, noise=32, light=(100, 228))
"""Tells networks apart that trained on 50,000 images: see ``tools/bench_clutter.py``."""
SCENE_64, HARD_64 = replace(SCENE, side=64), replace(HARD, side=64)


@lru_cache(maxsize=2)
def draw(scene: Scene, images: int, val_share: float, test_share: float, seed: int) -> Mapping[str, Drawn]:
    """Draw the splits "train", "val" and "test".

    Args:
        scene: What images are like.
        images: Of all splits together.
        val_share: Of the validation split in what is not for testing: of images and of digits.
        test_share: Of the test split.
        seed: Decides which digits belong to which split, and all images.

    Returns:
        Images and labels; the arrays are kept for the next call, and read-only.
    """
    raw = _Raw(seed)
    test = round(test_share * images)
    val = round(val_share * (images - test))
    counts = {"train": images - test - val, "val": val, "test": test}
    parts = divide(val_share, test_share, raw)
    return {split: _split(scene, count, parts[split], raw) for split, count in counts.items()}


class _Raw:
    """Whole numbers from the raw bits of PCG64: the stream that NumPy promises never to change."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def below(self, bound: int | Ints, count: int) -> Ints:
        """Uniform in 0..bound-1, where ``bound`` is far below 2**31."""
        raw = (self._bits.random_raw(count) >> np.uint64(33)).astype(np.int64)
        return ((raw * bound) >> 31).astype(np.int32)

    def noise(self, bound: int, shape: tuple[int, ...]) -> NDArray[np.uint16]:
        """Uniform in 0..bound-1, where ``bound`` is at most 256."""
        count = math.prod(shape)
        raw = self._bits.random_raw(-(-count // 8)).astype("<u8").view(np.uint8)
        return (raw[:count].reshape(shape).astype(np.uint16) * np.uint16(bound)) >> np.uint16(8)


@cache
def _originals() -> Drawn:
    """The digits, enlarged by linear interpolation to (n, _PLACES, _PLACES), and their labels."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    shades = np.pad(bunch.images.astype(np.int64), ((0, 0), (2, 2), (2, 2)))
    weights = np.zeros((_PLACES, _PIXELS + 4), np.int64)
    for place in range(_PLACES):  # its centre lies between the centres of two pixels
        pixel, part = divmod(2 * place + 1 + _PER_PIXEL, 2 * _PER_PIXEL)
        weights[place, pixel : pixel + 2] = 2 * _PER_PIXEL - part, part
    full = _SHADES * (2 * _PER_PIXEL) ** 2
    enlarged = ((weights @ shades @ weights.T * 255 + full // 2) // full).astype(np.uint8)
    return enlarged, bunch.target.astype(np.int64)


def divide(val_share: float, test_share: float, raw: _Raw) -> dict[str, list[Ints]]:
    """Numbers of the original digits of each split; one array a class."""
    parts: dict[str, list[Ints]] = {"train": [], "val": [], "test": []}
    labels = _originals()[1]
    for label in range(CLASSES):
        members = np.flatnonzero(labels == label).astype(np.int32)
        members = members[np.argsort(raw.below(2**31 - 1, len(members)), kind="stable")]
        last = len(members) - max(1, round(test_share * len(members)))
        middle = last - max(1, round(val_share * last))
        for split, part in zip(parts, np.split(members, [middle, last]), strict=True):
            parts[split].append(part)
    return parts


def _split(scene: Scene, count: int, originals: list[Ints], raw: _Raw) -> Drawn:
    """So many images, classes in turn, made of these originals alone."""
    labels = np.arange(count, dtype=np.int64) % CLASSES
    images = [
        _chunk(scene, labels[start : start + _CHUNK], originals, raw) for start in range(0, count, _CHUNK)
    ]
    drawn = np.concatenate(images) if images else np.empty((0, scene.side, scene.side), np.uint8)
    for array in (drawn, labels):
        array.setflags(write=False)
    return drawn, labels


def _chunk(scene: Scene, labels: NDArray[np.int64], originals: list[Ints], raw: _Raw) -> NDArray[np.uint8]:
    things = list(_things(scene, labels, originals, raw))
    margin = max(thing.reach for thing in things)  # whose centre may lie at the edge of the image
    side = scene.side + 2 * margin
    canvas = np.zeros((len(labels), side, side), np.uint8)
    for thing in things:
        thing.paint(canvas, margin)
    seen = canvas[:, margin:-margin, margin:-margin]
    noisy: NDArray[np.uint16] = np.minimum(seen + raw.noise(scene.noise, seen.shape), 255)
    return noisy.astype(np.uint8)


@dataclass(frozen=True)
class _Thing:
    """One thing in each of n images; arrays of shape (n,).

    Attributes:
        glyph: Number of the digit that it is, or is cut from.
        top: First row that is cut out, in places of the bank.
        left: First column.
        height: Rows that are cut out.
        width: Columns.
        y: Its centre in the image, in sixteenths of a pixel.
        x: The same.
        size: Side of the whole digit in the image, in sixteenths of a pixel.
        angle: Number of its rotation.
        light: Brightness of a full stroke, of 256.
    """

    glyph: Ints
    top: Ints
    left: Ints
    height: Ints
    width: Ints
    y: Ints
    x: Ints
    size: Ints
    angle: Ints
    light: Ints

    @property
    def reach(self) -> int:
        """Pixels from its centre that it covers at most."""
        places = int(np.maximum(self.height, self.width).max()) * int(self.size.max())
        return -(-places * 7 // (160 * _WHOLE)) + 1  # turned by 25 degrees it is wider by 1.33; half of 1.4

    def paint(self, canvas: NDArray[np.uint8], margin: int) -> None:
        """Light up the pixels of images (n, height, width) with a margin, where it is lighter."""
        steps = np.arange(-self.reach, self.reach, dtype=np.int32)
        rows, columns = ((centre >> 4)[:, None] + steps for centre in (self.y, self.x))
        down, right = rows * 16 + 8 - self.y[:, None], columns * 16 + 8 - self.x[:, None]
        cosine, sine = ((t[self.angle] * _WHOLE * 16 // self.size)[:, None] for t in _rotations())
        row = ((self.height << 15)[:, None] + cosine * down)[:, :, None] - (sine * right)[:, None, :]
        column = ((self.width << 15)[:, None] + cosine * right)[:, None, :] + (sine * down)[:, :, None]
        row >>= 16
        column >>= 16
        inside = (row >= 0) & (row < self.height[:, None, None])
        inside &= (column >= 0) & (column < self.width[:, None, None])
        first = (self.glyph * _PLACES + self.top) * _PLACES + self.left
        place = (row * _PLACES + column + first[:, None, None]) * inside  # place 0 is dark
        light = _originals()[0].reshape(-1)[place] * self.light.astype(np.uint16)[:, None, None] >> 8
        at = np.arange(len(rows))[:, None, None], rows[:, :, None] + margin, columns[:, None, :] + margin
        canvas[at] = np.maximum(canvas[at], light.astype(np.uint8))


@cache
def _rotations() -> tuple[Ints, Ints]:
    """Cosine and sine of the tabled rotations times 4096."""
    turns = [_TURN * (2 * number / (_ANGLES - 1) - 1) for number in range(_ANGLES)]
    cosines, sines = ([round(4096 * f(turn)) for turn in turns] for f in (math.cos, math.sin))
    return np.array(cosines, np.int32), np.array(sines, np.int32)


def _things(scene: Scene, labels: NDArray[np.int64], originals: list[Ints], raw: _Raw) -> Iterator[_Thing]:
    """What each image shows: its digit, halves and pieces of others."""
    count = len(labels)
    counts = np.array([len(members) for members in originals], np.int32)
    every, firsts = np.concatenate(originals), np.concatenate([[0], np.cumsum(counts)[:-1]])

    def uniform(low: int | Ints, high: int | Ints) -> Ints:
        return low + raw.below(high - low, count)

    def thing(
        glyph: Ints, window: tuple[Ints, Ints, Ints, Ints], inside: bool, light: tuple[int, int]
    ) -> _Thing:
        size = uniform(scene.side * scene.smallest * 16 // 100, scene.side * scene.largest * 16 // 100)
        edge = size // 2 if inside else np.zeros_like(size)
        y, x = (uniform(edge, scene.side * 16 - edge) for _ in range(2))
        return _Thing(glyph, *window, y, x, size, uniform(0, _ANGLES), uniform(*light))

    whole = np.full(count, _PLACES, np.int32)
    none = np.zeros(count, np.int32)
    own = every[firsts[labels] + raw.below(counts[labels], count)]
    yield thing(own, (none, none, whole, whole), True, _DIGIT_LIGHT)
    for _ in range(scene.halves):
        kind = uniform(0, 4)  # upper, lower, left or right
        tall = np.where(kind < 2, _PLACES // 2, _PLACES).astype(np.int32)
        wide = np.where(kind < 2, _PLACES, _PLACES // 2).astype(np.int32)
        top, left = ((kind == k) * np.int32(_PLACES // 2) for k in (1, 3))
        yield thing(every[uniform(0, len(every))], (top, left, tall, wide), False, scene.light)
    for _ in range(scene.pieces):
        tall = wide = uniform(*_PIECE)
        top, left = (uniform(none, _PLACES - tall) for _ in range(2))
        yield thing(every[uniform(0, len(every))], (top, left, tall, wide), False, scene.light)
