"""What a trained network makes of images: a table of classes, its best and worst masks as pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwnas.tasks.colours import palette
from hwnas.tasks.pixelwise import VOID
from hwnas.tasks.sections import Pictures, Section, Table, Text

if TYPE_CHECKING:
    from hwnas.data import Dataset
    from hwnas.tasks.segmented import Segmented

SCHEMA = "hwnas-masks/1"

_SIDE = 112  # pixels of each of the three pictures in one
_GAP = 4
_GREY = 224  # of what is void, and between pictures
_TABLE_CLASSES = 25  # more are folded away


def describe(found: Segmented, data: Dataset, split: str) -> dict[str, Any]:
    """The content of ``mistakes.json``, but for the network that it is of.

    Args:
        found: What the network takes pixels for.
        data: Where they are from.
        split: Which split of it.
    """
    images, worth = data.split(split), found.by_image
    return {
        "schema": SCHEMA,
        "split": split,
        "images": found.images,
        "class_names": list(data.class_names),
        "pixels": found.pixels.sum(axis=0).tolist(),
        "shown_in": (found.pixels > 0).sum(axis=0).tolist(),
        "ious": list(found.ious),
        "iou_intervals": [list(each) for each in found.iou_intervals],
        "pictures": [
            {
                "row": row,
                "iou": float(worth[row]),
                "png": _beside(images.images[row], images.labels[row], mask, data.num_classes),
            }
            for row, mask in found.masks.items()
        ],
    }


def section(found: Mapping[str, Any]) -> Section:
    """What ``describe`` kept, for the report: IoU by class, then the worst and the best images."""
    lead = f"Of {found['images']:,} {found['split']} images, in PyTorch, before int8."
    pictures, half = found["pictures"], len(found["pictures"]) // 2
    note = "Each is the picture, what it shows by the data (void in grey), and what it is taken for. "
    note += "These pictures are part of this file: mind whom you pass it on to."
    return Section(
        "Masks",
        (
            Text(lead),
            _by_class(found),
            Pictures("The worst images", note, _captioned(pictures[:half]), is_wide=True),
            Pictures("The best images", "In the same way.", _captioned(pictures[half:]), is_wide=True),
        ),
    )


def _by_class(found: Mapping[str, Any]) -> Table:
    """The worst class first; at the end those that are neither there nor predicted."""
    columns = (found[name] for name in ("class_names", "shown_in", "pixels", "ious", "iou_intervals"))
    total, rows = max(1, sum(found["pixels"])), []
    known = sorted(zip(*columns, strict=True), key=lambda item: 2.0 if item[3] is None else item[3])
    for name, images, pixels, iou, (low, high) in known:
        said = "–" if iou is None else f"{iou:.1%} ({low:.0%} to {high:.0%})"
        rows.append((str(name), f"{images:,}", f"{pixels / total:.2%}", said))
    summary = "" if len(rows) <= _TABLE_CLASSES else f"All {len(rows)} classes"
    return Table(("class", "images", "pixels", "IoU (95 %)"), rows, (1, 2, 3), summary)


def _captioned(pictures: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [(item["png"], f"image {item['row']}: mean IoU {item['iou']:.1%}") for item in pictures]


def _beside(image: NDArray[np.uint8], truth: NDArray[np.uint8], mask: NDArray[np.uint8], classes: int) -> str:
    """Picture (channels, h, w), truth (h, w) and mask (h, w) side by side, as PNG in base64."""
    from PIL import Image

    colours = np.full((VOID + 1, 3), _GREY, np.uint8)
    colours[:classes] = palette(classes)
    picture = np.broadcast_to(image.transpose(1, 2, 0), (*image.shape[1:], 3))
    sheet = Image.new("RGB", (3 * _SIDE + 2 * _GAP, _SIDE), (_GREY,) * 3)
    for number, pixels in enumerate((picture, colours[truth], colours[mask])):
        how = Image.Resampling.NEAREST if number else Image.Resampling.BILINEAR
        part = Image.fromarray(np.ascontiguousarray(pixels)).resize((_SIDE, _SIDE), how)
        sheet.paste(part, (number * (_SIDE + _GAP), 0))
    content = io.BytesIO()
    sheet.save(content, "PNG", optimize=True)
    return base64.b64encode(content.getvalue()).decode()


def worst(found: Mapping[str, Any], names: Sequence[str], count: int) -> str:
    """The classes that are met worst, in words."""
    known = [(iou, name) for iou, name in zip(found["ious"], names, strict=True) if iou is not None]
    return ", ".join(f"{name} {iou:.0%}" for iou, name in sorted(known)[:count])
