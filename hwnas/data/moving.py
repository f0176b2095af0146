"""Images and what is said of their places, moved together: zoomed, shifted, mirrored.

Places are measured from edge to edge: an image of 8 pixels reaches from 0 to 8, and the middle of its first
pixel is at 0.5. That is what boxes mean, and what PyTorch means by ``align_corners=False``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from hwnas.data import contents
from hwnas.data.contents import CLASS, NO_OBJECT, VOID

_LEAST_SEEN = 0.25  # of the area of a box; what is left of others can hardly be told from other things
_LEAST_SIDE = 1.0  # pixels


@dataclass(frozen=True, eq=False)
class Moves:
    """Where the images of a batch go: a place p of an image, from -1 to 1, goes to ``scale * p + shift``.

    Attributes:
        scale: Shape (n, 2), of columns and of rows; below 0 where they are mirrored.
        shift: Shape (n, 2).
    """

    scale: torch.Tensor
    shift: torch.Tensor

    @classmethod
    def draw(cls, count: int, rng: np.random.Generator, *, flip: bool, crop: float, zoom: float) -> Moves:
        """Random ones, a function of ``rng``.

        Args:
            count: How many images.
            rng: Where the randomness comes from.
            flip: Whether every other image is mirrored, left to right.
            crop: By how much of its side an image is shifted at most, beyond what its zoom leaves room for.
            zoom: By how much an image is enlarged at most, and shrunk; 0.5 is from 1 / 1.5 to 1.5.
        """
        most = math.log1p(zoom)
        size = np.exp(rng.uniform(-most, most, count))
        room = np.abs(size - 1) + 2 * crop
        shift = rng.uniform(-1, 1, (count, 2)) * room[:, None]
        scale = np.stack([size, size], axis=1)
        if flip:
            scale[rng.random(count) < 0.5, 0] *= -1
        return cls(*(torch.from_numpy(values.astype(np.float32)) for values in (scale, shift)))

    def images(self, images: torch.Tensor) -> torch.Tensor:
        """Raw images (n, c, h, w), as float32; 0 where there is nothing."""
        moved = functional.grid_sample(images.float(), self._grid(images), align_corners=False)
        return moved.contiguous(memory_format=torch.channels_last)

    def masks(self, masks: torch.Tensor) -> torch.Tensor:
        """Masks (n, h, w) by the nearest pixel; void where there is nothing."""
        known = masks[:, None].float() + 1  # so that 0 is nothing
        moved = functional.grid_sample(known, self._grid(known), mode="nearest", align_corners=False)[:, 0]
        return torch.where(moved > 0, moved - 1, float(VOID)).to(torch.uint8)

    def boxes(self, boxes: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Boxes (n, m, 6), clipped to the image; without those of which less than a quarter is left."""
        size = boxes.new_tensor([width, height])
        scale, shift = (values.to(boxes.device)[:, None] for values in (self.scale, self.shift))
        corners = [((boxes[..., at : at + 2] * 2 / size - 1) * scale + shift + 1) * size / 2 for at in (0, 2)]
        low, high = torch.minimum(*corners), torch.maximum(*corners)
        top_left, bottom_right = (torch.minimum(corner.clamp(min=0), size) for corner in (low, high))
        sides = bottom_right - top_left
        is_seen = sides.prod(-1) >= _LEAST_SEEN * (high - low).prod(-1)
        is_seen &= (sides.amin(-1) >= _LEAST_SIDE) & (boxes[..., CLASS] != NO_OBJECT)
        moved = torch.cat([top_left, bottom_right, boxes[..., CLASS:]], dim=-1)
        return torch.where(is_seen[..., None], moved, _nothing(boxes))

    def labels(self, labels: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Masks or boxes."""
        return self.masks(labels) if contents.are_masks(labels) else self.boxes(labels, height, width)

    def _grid(self, images: torch.Tensor) -> torch.Tensor:
        """Where each pixel comes from."""
        back = torch.diag_embed(1 / self.scale)
        theta = torch.cat([back, (-self.shift / self.scale)[..., None]], dim=2)
        return functional.affine_grid(theta.to(images.device), list(images.shape), align_corners=False)


def have_places(labels: torch.Tensor) -> bool:
    """Whether labels say something of places in images."""
    return contents.are_masks(labels) or contents.are_boxes(labels)


def resized(labels: torch.Tensor, resolution: int, from_resolution: int) -> torch.Tensor:
    """Labels of images that are scaled to another resolution."""
    if contents.are_masks(labels):
        sized = functional.interpolate(labels[:, None], (resolution, resolution), mode="nearest-exact")
        return sized[:, 0]
    if contents.are_boxes(labels):
        corners = labels[..., :CLASS] * (resolution / from_resolution)
        return torch.cat([corners, labels[..., CLASS:]], dim=-1)
    return labels


def _nothing(boxes: torch.Tensor) -> torch.Tensor:
    """A row that is no object."""
    row = boxes.new_zeros(boxes.shape[-1])
    row[CLASS] = NO_OBJECT
    return row
