"""What a trained network takes for something else: counts by class, and its surest mistakes as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwnas.statistics.intervals import clopper_pearson
from hwnas.tasks.sections import Confusion, Pictures, Section, Table, Text
from hwnas.tasks.shown import png

if TYPE_CHECKING:
    from hwnas.data import Dataset

SCHEMA = "hwnas-mistakes/1"

_PICTURES = 12
_SIDE = 64  # pixels, at most
_MATRIX_CLASSES = 25  # more cells than this a side cannot be read


def describe(
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    right: NDArray[np.bool_],
    confidence: NDArray[np.float64],
    data: Dataset,
    split: str,
) -> dict[str, Any]:
    """The content of ``mistakes.json``, but for the network that they are of.

    Args:
        labels: What the images are, shape (n,).
        predicted: What the network holds them for, shape (n,).
        right: Which of them are taken for what they are, shape (n,).
        confidence: Probability that it gives to that, shape (n,).
        data: Where they are from.
        split: Which split of it.
    """
    wrong = np.flatnonzero(~right)
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
    """A picture of (channels, height, width), or two beside each other, as PNG in base64."""
    from PIL import Image

    parts = np.split(image, max(1, len(image) // 3))
    pixels = np.concatenate(parts, axis=2).transpose(1, 2, 0)
    picture = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])
    picture.thumbnail((_SIDE, _SIDE))
    return png(picture)


def section(found: Mapping[str, Any]) -> Section:
    """What ``describe`` kept, for the report: a confusion matrix, recalls, and the surest mistakes."""
    names = [str(name) for name in found["class_names"]]
    counts = [[0] * len(names) for _ in names]
    for label, answered, count in found["answers"]:
        counts[label][answered] = int(count)
    total = sum(found["images"])
    right = sum(row[number] for number, row in enumerate(counts))
    lead = f"Of {total:,} {found['split']} images {right:,} are right in PyTorch, before int8."
    caption = "Rows: what the images show. Columns: what they were taken for."
    matrix = (Confusion(names, counts, caption),) if len(names) <= _MATRIX_CLASSES else ()
    return Section(
        "Mistakes", (Text(lead), *matrix, _by_class(names, counts), _pictures(names, found["surest"]))
    )


def _by_class(names: Sequence[str], counts: Sequence[Sequence[int]]) -> Table:
    """The worst class first: its recall with an interval, and what it is mostly taken for."""
    rows = []
    for number, name in sorted(enumerate(names), key=lambda item: _recall(item[0], counts[item[0]])):
        row, images = counts[number], sum(counts[number])
        others = sorted(((c, n) for n, c in enumerate(row) if c and n != number), reverse=True)[:3]
        low, high = clopper_pearson(row[number], images)
        recall = f"{row[number] / images:.1%} ({low:.0%} to {high:.0%})" if images else "–"
        rows.append((name, f"{images:,}", recall, ", ".join(f"{names[n]} ({c})" for c, n in others) or "–"))
    summary = "" if len(rows) <= _MATRIX_CLASSES else f"All {len(rows)} classes"
    return Table(("class", "images", "right (95 %)", "mostly taken for"), rows, (1, 2), summary)


def _recall(label: int, row: Sequence[int]) -> float:
    return row[label] / sum(row) if sum(row) else 2.0


def _pictures(names: Sequence[str], surest: Sequence[Mapping[str, Any]]) -> Pictures:
    items = [
        (
            item["png"],
            f"{names[item['label']]}, taken for {names[item['answered']]} ({item['confidence']:.1%} sure)",
        )
        for item in surest
    ]
    note = "The surest mistakes, with the label that the data give. These pictures are part of this file: "
    return Pictures("The surest mistakes", note + "mind whom you pass it on to.", items)
