"""What a trained detector makes of images: a table of classes, its best and worst images as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwnas.data.contents import CLASS, CROWD
from hwnas.tasks import shown
from hwnas.tasks.colours import palette
from hwnas.tasks.sections import Section, Table, Text
from hwnas.tasks.suppression import KIND, SCORE

if TYPE_CHECKING:
    from hwnas.data import Dataset
    from hwnas.tasks.detected import Detected
    from hwnas.tasks.suppression import Boxes

SCHEMA = "hwnas-objects/1"

SHOWN = 6
"""So many of the best images, and of the worst ones, are shown."""
_SIDE = 168  # pixels of each of the two pictures in one


def describe(found: Detected, data: Dataset, split: str) -> dict[str, Any]:
    """The content of ``mistakes.json``, but for the network that it is of.

    Args:
        found: What the network finds.
        data: Where the images are from.
        split: Which split of it.
    """
    images, worth, (threshold, f1) = data.split(split), found.by_image, found.best_threshold
    order = np.argsort(worth, kind="stable").tolist()
    rows = order if len(order) <= 2 * SHOWN else order[:SHOWN] + order[-SHOWN:]
    details = found.details
    return {
        "schema": SCHEMA,
        "split": split,
        "images": found.images,
        "class_names": list(data.class_names),
        "objects": found.truths.sum(axis=0).tolist(),
        "shown_in": (found.truths > 0).sum(axis=0).tolist(),
        "aps": details["aps"],
        "ap_intervals": details["ap_intervals"],
        "threshold": threshold,
        "f1": f1,
        "pictures": [
            {
                "row": row,
                "ap": float(worth[row]),
                "png": _beside(
                    images.images[row], found.objects[row], found.found[row], threshold, data.num_classes
                ),
            }
            for row in rows
        ],
    }


def section(found: Mapping[str, Any]) -> Section:
    """What ``describe`` kept, for the report: AP by class, then the worst and the best images."""
    lead = f"Of {found['images']:,} {found['split']} images, in PyTorch, before int8. With a score of "
    lead += (
        f"{found['threshold']:.2f} or more objects are found best at an IoU of 0.5 (F1 {found['f1']:.1%})."
    )
    note = (
        "Each is the picture with what it shows by the data (crowds in grey), and with what is found in it."
    )
    pictures = shown.worst_and_best(found["pictures"], note, "mAP", "ap")
    return Section("Objects", (Text(lead), _by_class(found), *pictures))


def worst(found: Mapping[str, Any], names: Sequence[str], count: int) -> str:
    """The classes that are found worst, in words."""
    return shown.worst_classes(found["aps"], names, count)


def _by_class(found: Mapping[str, Any]) -> Table:
    columns = (found[name] for name in ("class_names", "shown_in", "objects", "aps", "ap_intervals"))
    rows = [
        (str(name), images, f"{objects:,}", ap, interval)
        for name, images, objects, ap, interval in zip(*columns, strict=True)
    ]
    return shown.by_class(("class", "images", "objects", "AP (95 %)"), rows)


def _beside(image: NDArray[np.uint8], truth: Boxes, found: Boxes, threshold: float, classes: int) -> str:
    """Picture (channels, h, w) with true and with found boxes side by side, as PNG in base64."""
    from PIL import Image, ImageDraw

    colours = palette(classes + 1)[1:]
    height, width = image.shape[1:]
    scale = np.tile((_SIDE / width, _SIDE / height), 2)
    picture = Image.fromarray(
        np.ascontiguousarray(np.broadcast_to(image.transpose(1, 2, 0), (height, width, 3)))
    )
    small = picture.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    true = [(row, (shown.GREY,) * 3 if row[CROWD] else colours[int(row[CLASS])]) for row in truth]
    sure = [(row, colours[int(row[KIND])]) for row in found[found[:, SCORE] >= threshold]]
    parts = []
    for boxes in (true, sure):
        part = small.copy()
        draw = ImageDraw.Draw(part)
        for row, colour in reversed(boxes):
            draw.rectangle(tuple(row[:4] * scale), outline=colour, width=2)
        parts.append(part)
    return shown.beside(parts)
