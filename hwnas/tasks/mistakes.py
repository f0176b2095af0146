"""What a trained network takes for something else: counts by class, and its surest mistakes as pictures."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hwnas.data import Dataset

SCHEMA = "hwnas-mistakes/1"

_PICTURES = 12
_SIDE = 64  # pixels, at most


def describe(
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    confidence: NDArray[np.float64],
    data: Dataset,
    split: str,
) -> dict[str, Any]:
    """The content of ``mistakes.json``, but for the network that they are of.

    Args:
        labels: What the images are, shape (n,).
        predicted: What the network holds them for, shape (n,).
        confidence: Probability that it gives to that, shape (n,).
        data: Where they are from.
        split: Which split of it.
    """
    wrong = np.flatnonzero(predicted != labels)
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")][:_PICTURES]
    return {
        "schema": SCHEMA,
        "split": split,
        "class_names": list(data.class_names),
        "images": np.bincount(labels, minlength=data.num_classes).tolist(),
        "answers": triplets(labels, predicted, data.num_classes),
        "surest": [
            {
                "row": int(row),
                "label": int(labels[row]),
                "answered": int(predicted[row]),
                "confidence": float(confidence[row]),
                "png": _thumbnail(data.split(split).images[row]),
            }
            for row in surest
        ],
    }


def triplets(labels: NDArray[np.int64], answered: NDArray[np.int64], classes: int) -> list[list[int]]:
    """Label, answer and how often, of every pair that there is, in the order of the classes."""
    pairs, counts = np.unique(labels * classes + answered, return_counts=True)
    return [[*divmod(int(pair), classes), int(count)] for pair, count in zip(pairs, counts, strict=True)]


def _thumbnail(image: NDArray[np.uint8]) -> str:
    """A picture of (channels, height, width) as PNG in base64."""
    from PIL import Image

    pixels = image.transpose(1, 2, 0)
    picture = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])
    picture.thumbnail((_SIDE, _SIDE))
    content = io.BytesIO()
    picture.save(content, "PNG", optimize=True)
    return base64.b64encode(content.getvalue()).decode()
