"""Finds pictures and their masks in folders: ``images/`` and ``masks/``, or as Pascal VOC has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from hwnas.data import samples
from hwnas.data.images import Account, some
from hwnas.data.names import shown
from hwnas.data.samples import Part, Sample
from hwnas.data.segmentation import colours
from hwnas.data.segmentation.colours import Listed
from hwnas.errors import DataError

WANTED = (
    "a folder of images/ and masks/ (of the same names), a VOC folder (JPEGImages, SegmentationClass), or "
    "parquet files with image and mask"
)
_MASKS = frozenset(
    (
        *("mask", "masks", "label", "labels", "annotation", "annotations", "annot", "gt", "groundtruth"),
        *("segmentation", "segmentations", "segmentationclass"),
    )
)
_ENDINGS = ("_mask", "-mask", "_masks", "_label", "_labels", "_seg", "_gt", "_L")
_Key = TypeVar("_Key")
Found = tuple[dict[str, Part[Path | bytes]], Listed | None]
"""The pictures of each split with their masks, and the classes where they are said."""


def folders(path: Path, account: Account) -> Found:
    """Read a folder of images and masks, in splits or not.

    Raises:
        DataError: There are no masks, or two of a picture.
    """
    pictures: dict[tuple[object, ...], Path] = {}
    masks: dict[tuple[object, ...], Path] = {}
    for file in samples.walked(path, account).files:
        where = samples.place(file.relative_to(path), _MASKS)
        _put(masks if where.is_truth else pictures, (where.split, where.rest, file.stem), file)
    if not masks or not pictures:
        raise DataError(
            f"data must be {WANTED}, but {shown(path)} holds {len(pictures)} images and {len(masks)} masks: "
            "put the masks into a folder masks beside the folder images"
        )
    found: dict[str | None, list[Sample[Path | bytes]]] = {}
    alone = []
    for (split, rest, stem), picture in pictures.items():
        mask = next(
            (m for end in ("", *_ENDINGS) if (m := masks.pop((split, rest, f"{stem}{end}"), None))), None
        )
        name = shown(picture.relative_to(path))
        if mask is None:
            alone.append(name)
        else:
            found.setdefault(split, []).append(Sample(name, picture, mask))  # type: ignore[arg-type]
    _note_alone(alone, [shown(mask.relative_to(path)) for mask in masks.values()], account)
    if not found:
        raise DataError(
            f"a picture and its mask must have the same name, but of {len(alone)} in {shown(path)} none has "
            f"({some(alone)} beside {some(shown(m.relative_to(path)) for m in masks.values())}): rename the "
            "masks"
        )
    parts = samples.by_split(found, account)
    return {split: Part.of(part) for split, part in parts.items()}, colours.find(path, account)


def _note_alone(pictures: list[str], masks: list[str], account: Account) -> None:
    if pictures:
        account.left_out["without a mask"] += len(pictures)
        account.notes.append(f"{len(pictures)} images have no mask and are not used ({some(pictures)})")
    if masks:
        account.left_out["masks without a picture"] += len(masks)
        account.notes.append(f"{len(masks)} masks have no picture and are not used ({some(masks)})")


def voc(root: Path, account: Account) -> Found:
    """Read a VOC folder; lists in ``ImageSets/Segmentation`` say the splits where there are any.

    Raises:
        DataError: No listed picture has a mask.
    """
    pictures, masks = (_by_stem(root / name, account) for name in ("JPEGImages", "SegmentationClass"))
    lists = samples.listed(root / "ImageSets" / "Segmentation", pictures)
    if not lists:
        lists = {"train": sorted(masks)}
        _note_alone(sorted(pictures.keys() - masks.keys()), [], account)
    parts = {}
    for split, stems in lists.items():
        there = [stem for stem in stems if stem in pictures and stem in masks]
        if less := len(stems) - len(there):
            account.left_out["listed without a picture or mask"] += less
            account.notes.append(
                f"{less} of {len(stems)} listed {split} images have no picture or no mask and are not used "
                f"({some(stem for stem in stems if stem not in there)})"
            )
        if there:
            parts[split] = Part.of([_sample(root, pictures[stem], masks[stem]) for stem in there])
    if "train" not in parts:
        raise DataError(
            f"a VOC folder must have training images with masks, but {shown(root)} has none: its "
            "ImageSets/Segmentation/train.txt must name files of JPEGImages and SegmentationClass"
        )
    if unlisted := masks.keys() - {stem for stems in lists.values() for stem in stems}:
        account.left_out["masks in no list"] += len(unlisted)
    return parts, colours.find(root, account) or _names_of_lists(root / "ImageSets" / "Main", parts)


def _by_stem(folder: Path, account: Account) -> dict[str, Path]:
    """Pictures by the names that lists have them by."""
    found: dict[str, Path] = {}
    for file in samples.walked(folder, account).files:
        _put(found, file.stem, file)
    return found


def _put(among: dict[_Key, Path], key: _Key, file: Path) -> None:
    """Take a file in under its name; raises DataError where another has it."""
    if (other := among.setdefault(key, file)) != file:
        raise DataError(
            f"each picture and its mask must have a name of their own, but {shown(other)} and "
            f"{shown(file)} have the same: remove one"
        )


def _sample(root: Path, picture: Path, mask: Path) -> Sample[Path | bytes]:
    return Sample(shown(picture.relative_to(root)), picture, mask)


def _names_of_lists(main: Path, parts: Mapping[str, object]) -> Listed | None:
    """Pascal VOC numbers its classes by their names, which its lists of images of each class have."""
    found = sorted(file.stem.removesuffix("_train") for file in main.glob("*_train.txt"))
    return Listed.of(("background", *found)) if len(found) > 1 else None
