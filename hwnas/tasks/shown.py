"""What reports of several tasks show alike: small pictures, the worst and best of them, rows of classes."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hwnas.tasks.sections import Pictures, Table

if TYPE_CHECKING:
    from PIL import Image

GREY = 224
"""Of what is void, or lies between pictures."""

_GAP = 4  # pixels between pictures
_TABLE_CLASSES = 25  # more are folded away


def png(picture: Image.Image) -> str:
    """A picture as PNG in base64."""
    content = io.BytesIO()
    picture.save(content, "PNG", optimize=True)
    return base64.b64encode(content.getvalue()).decode()


def beside(parts: Sequence[Image.Image]) -> str:
    """Square pictures of one size side by side, as PNG in base64."""
    from PIL import Image

    side = parts[0].height
    sheet = Image.new("RGB", (len(parts) * (side + _GAP) - _GAP, side), (GREY,) * 3)
    for number, part in enumerate(parts):
        sheet.paste(part, (number * (side + _GAP), 0))
    return png(sheet)


def worst_and_best(
    pictures: Sequence[Mapping[str, Any]], note: str, metric: str, key: str
) -> tuple[Pictures, Pictures]:
    """The first half of kept pictures, which are the worst, and the second.

    Args:
        pictures: Each with its ``row``, its ``png`` and how well it was done.
        note: What they show.
        metric: What says how well, in words.
        key: Where it stands.
    """
    half = len(pictures) // 2
    items = [(item["png"], f"image {item['row']}: {metric} {item[key]:.1%}") for item in pictures]
    note += " These pictures are part of this file: mind whom you pass it on to."
    return (
        Pictures("The worst images", note, items[:half], is_wide=True),
        Pictures("The best images", "In the same way.", items[half:], is_wide=True),
    )


def by_class(
    header: tuple[str, str, str, str],
    rows: Sequence[tuple[str, int, str, float | None, Sequence[float]]],
) -> Table:
    """The worst class first; at the end those of which nothing is known.

    Args:
        header: Of the columns.
        rows: Name, images that show it, how much it is there, how well it is done, and the 95 % interval.
    """
    told = []
    for name, images, amount, value, (low, high) in sorted(rows, key=lambda row: _or_last(row[3])):
        said = "–" if value is None else f"{value:.1%} ({low:.0%} to {high:.0%})"
        told.append((name, f"{images:,}", amount, said))
    summary = "" if len(told) <= _TABLE_CLASSES else f"All {len(told)} classes"
    return Table(header, told, (1, 2, 3), summary)


def _or_last(value: float | None) -> float:
    return 2.0 if value is None else value


def worst_classes(values: Sequence[float | None], names: Sequence[str], count: int) -> str:
    """The classes that are done worst, in words."""
    known = [(value, name) for value, name in zip(values, names, strict=True) if value is not None]
    return ", ".join(f"{name} {value:.0%}" for value, name in sorted(known)[:count])
