"""Images as they are trained on: shifted, mirrored, partly erased. All randomness is given in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from hwnas.data import moving

_ERASED_SHARE = 0.02, 1 / 3  # of the image; arXiv:1708.04896 and the libraries that followed it
_ERASED_ASPECT = 0.3  # of height to width, or the other way round


@dataclass(frozen=True)
class Augmentation:
    """What training images go through.

    Attributes:
        crop: Images are padded by this share of their side, then cut out at a random place.
        zoom: Images whose labels say where things are are also enlarged or shrunk, by this share at most.
        flip: Whether every other image is mirrored.
        erasing: Chance that a rectangle of an image is blanked.
    """

    crop: float = 0.125
    flip: bool = False
    erasing: float = 0.0
    zoom: float = 0.4

    def move(
        self, images: torch.Tensor, labels: torch.Tensor, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Crop and mirror raw images; masks and boxes go with them."""
        if not moving.have_places(labels):
            return augment(images, rng, flip=self.flip, crop=self.crop), labels
        moves = moving.Moves.draw(len(images), rng, flip=self.flip, crop=self.crop, zoom=self.zoom)
        height, width = images.shape[2:]
        return moves.images(images), moves.labels(labels, height, width)

    def blank(self, images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """Erase parts of normalised images."""
        return erase(images, rng, chance=self.erasing) if self.erasing else images


def augment(
    images: torch.Tensor, rng: np.random.Generator, *, flip: bool, crop: float = 0.125
) -> torch.Tensor:
    """Random crops after padding by a share of the side, and mirrored images where that is sensible.

    Shape (n, c, h, w) in and out; the output is in channels-last memory.
    """
    count, _, height, width = images.shape
    pad = max(1, int(height * crop)) if crop else 0
    padded = functional.pad(images, (pad, pad, pad, pad))
    top, left = rng.integers(0, 2 * pad + 1, size=(2, count))
    rows = top[:, None] + np.arange(height)
    columns = left[:, None] + np.arange(width)
    if flip:
        mirrored = rng.random(count) < 0.5
        columns[mirrored] = columns[mirrored, ::-1]
    index = (
        torch.arange(count, device=images.device)[:, None, None],
        torch.from_numpy(rows).to(images.device)[:, :, None],
        torch.from_numpy(columns).to(images.device)[:, None, :],
    )
    return padded.permute(0, 2, 3, 1)[index].permute(0, 3, 1, 2)


def erase(images: torch.Tensor, rng: np.random.Generator, *, chance: float) -> torch.Tensor:
    """Random erasing (arXiv:1708.04896): a rectangle of some images becomes 0, the mean colour.

    Args:
        images: Normalised, shape (n, c, h, w); left as they are.
        rng: Where the randomness comes from.
        chance: Of an image to lose a rectangle.
    """
    count, _, height, width = images.shape
    hit = rng.random(count) < chance
    area = rng.uniform(*_ERASED_SHARE, count) * height * width
    ratio = np.exp(rng.uniform(np.log(_ERASED_ASPECT), -np.log(_ERASED_ASPECT), count))
    tall = np.clip(np.rint(np.sqrt(area * ratio)), 1, height).astype(np.int64)
    wide = np.clip(np.rint(np.sqrt(area / ratio)), 1, width).astype(np.int64)
    top, left = (rng.integers(0, side - length + 1) for side, length in ((height, tall), (width, wide)))
    inside = (
        hit[:, None, None] & _between(top, tall, height)[:, :, None] & _between(left, wide, width)[:, None, :]
    )
    return images.clone().masked_fill_(torch.from_numpy(inside).to(images.device)[:, None], 0.0)


def _between(start: np.ndarray, length: np.ndarray, side: int) -> np.ndarray:
    """Which of ``side`` places lie in each interval; shape (n, side)."""
    places = np.arange(side)
    inside: np.ndarray = (places >= start[:, None]) & (places < (start + length)[:, None])
    return inside
