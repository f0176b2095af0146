"""What was read, in one line, and what the user should know of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from hwnas.data.images import some
from hwnas.data.names import shown

Prints = Sequence[tuple[bytes, str]]
"""A digest of the pixels of each image of a split, and its name."""


@dataclass(frozen=True)
class ReadingSummary:
    """An account of a reading.

    Attributes:
        line: Classes, images a split, what was left out and why.
        left_out: How many files were left out, by suffix or reason.
        notes: What else the user should know, a sentence each.
        picture_size: Width and height of a typical picture before it was scaled; None where it is not known.
    """

    line: str = ""
    left_out: Mapping[str, int] | None = None
    notes: tuple[str, ...] = ()
    picture_size: tuple[int, int] | None = None


def line(
    name: str,
    class_names: Sequence[str],
    counts: Mapping[str, int],
    drawn: Sequence[str],
    left_out: Mapping[str, int],
) -> str:
    """One line on a reading.

    Args:
        name: Of the source, as it was given.
        class_names: Of the labels.
        counts: Images by split.
        drawn: Splits that were drawn from the training images.
        left_out: Files by suffix or reason.
    """
    words = {"train": "training", "val": "validation", "test": "test"}
    parts = [
        f"{count:,} {words[split]}{' (drawn)' if split in drawn else ''}" for split, count in counts.items()
    ]
    out = ", ".join(f"{count:,} {reason}" for reason, count in sorted(left_out.items()) if count)
    return (
        f"{shown(name)}: {len(class_names)} classes ({some(class_names, 10)}); images: {', '.join(parts)}; "
        f"left out: {out or 'nothing'}"
    )


def copies(prints: Mapping[str, Prints], labels: Mapping[str, Sequence[Hashable]], what: str) -> list[str]:
    """Notes on pictures that are there more than once, pixel by pixel, where that misleads.

    Args:
        prints: Of the images, by split.
        labels: What is said of them, equal where it is the same.
        what: They are: a class, or labels.
    """
    notes = []
    for split, other in (("test", "train"), ("val", "train"), ("test", "val")):
        known = dict(prints[other])
        same = [f"{name} = {known[content]}" for content, name in prints[split] if content in known]
        if same:
            notes.append(
                f"{len(same)} of {len(prints[split])} {split} images are also {other} images, pixel by pixel "
                f"({some(same)}): what {split} says is too good by as much; remove the copies"
            )
    under: dict[bytes, dict[Hashable, str]] = defaultdict(dict)
    for split, found in prints.items():
        for (content, name), label in zip(found, labels[split], strict=True):
            under[content].setdefault(label, name)
    torn = [" = ".join(found.values()) for found in under.values() if len(found) > 1]
    if torn:
        under_more = "under more than one class" if what == "class" else f"with different {what}"
        notes.append(
            f"{len(torn)} images are there {under_more}, pixel by pixel ({some(torn)}): at most "
            "one can be right; remove the others"
        )
    return notes
