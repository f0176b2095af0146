"""What a trained detector makes of images: a table of classes, its best and worst images as pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwnas.data.contents import CLASS, CROWD
from hwnas.tasks.colours import palette
from hwnas.tasks.sections import Pictures, Section, Table, Text
from hwnas.tasks.suppression import KIND, SCORE

if TYPE_CHECKING:
    from hwnas.data import Dataset
    from hwnas.tasks.detected import Detected
    from hwnas.tasks.suppression import Boxes

SCHEMA = "hwnas-objects/1"

SHOWN = 6
"""So many of the best images, and of the worst ones, are shown."""
_SIDE = 168  # pixels of each of the two pictures in one
_GAP = 4
_GREY = (224,) * 3
_TABLE_CLASSES = 25  # more are folded away


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
    pictures, half = found["pictures"], len(found["pictures"]) // 2
    note = (
        "Each is the picture with what it shows by the data (crowds in grey), and with what is found in it. "
    )
    note += "These pictures are part of this file: mind whom you pass it on to."
    return Section(
        "Objects",
        (
            Text(lead),
            _by_class(found),
            Pictures("The worst images", note, _captioned(pictures[:half]), is_wide=True),
            Pictures("The best images", "In the same way.", _captioned(pictures[half:]), is_wide=True),
        ),
    )


def worst(found: Mapping[str, Any], names: Sequence[str], count: int) -> str:
    """The classes that are found worst, in words."""
    known = [(value, name) for value, name in zip(found["aps"], names, strict=True) if value is not None]
    return ", ".join(f"{name} {value:.0%}" for value, name in sorted(known)[:count])


def _by_class(found: Mapping[str, Any]) -> Table:
    """The worst class first; at the end those that are not there."""
    columns = (found[name] for name in ("class_names", "shown_in", "objects", "aps", "ap_intervals"))
    known = sorted(zip(*columns, strict=True), key=lambda item: 2.0 if item[3] is None else item[3])
    rows = []
    for name, images, objects, value, (low, high) in known:
        said = "–" if value is None else f"{value:.1%} ({low:.0%} to {high:.0%})"
        rows.append((str(name), f"{images:,}", f"{objects:,}", said))
    summary = "" if len(rows) <= _TABLE_CLASSES else f"All {len(rows)} classes"
    return Table(("class", "images", "objects", "AP (95 %)"), rows, (1, 2, 3), summary)


def _captioned(pictures: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [(item["png"], f"image {item['row']}: mAP {item['ap']:.1%}") for item in pictures]


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
    sheet = Image.new("RGB", (2 * _SIDE + _GAP, _SIDE), _GREY)
    true = [(row, _GREY if row[CROWD] else colours[int(row[CLASS])]) for row in truth]
    sure = [(row, colours[int(row[KIND])]) for row in found[found[:, SCORE] >= threshold]]
    for number, boxes in enumerate((true, sure)):
        part = small.copy()
        draw = ImageDraw.Draw(part)
        for row, colour in reversed(boxes):
            draw.rectangle(tuple(row[:4] * scale), outline=colour, width=2)
        sheet.paste(part, (number * (_SIDE + _GAP), 0))
    content = io.BytesIO()
    sheet.save(content, "PNG", optimize=True)
    return base64.b64encode(content.getvalue()).decode()
