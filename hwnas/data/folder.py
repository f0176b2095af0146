"""Reads a folder of images: one sub-folder a class, also below folders of splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hwnas.data import formats, layout, names, pixels
from hwnas.data.images import Account, Images, Labelled, lacking, require_room, some
from hwnas.data.walk import PictureFolder, Walk
from hwnas.errors import DataError


def is_folder_of_images(path: Path) -> bool:
    """Whether there are class folders with pictures, whatever else there is."""
    root = Walk(Account()).folder(path)
    return any(folder.files for folder in root.folders)


def folder(path: Path, resolution: int) -> Images:
    """Read a folder with one sub-folder a class, in splits or not."""
    account = Account()
    walk = Walk(account)
    root = walk.folder(path)
    formats.require_readable(walk.unread, path)
    if not any(inner.files for inner in root.folders):
        raise DataError(
            f"an image folder must have one sub-folder a class with images in it, but {names.shown(path)} "
            f"{_instead(root, account)}"
        )
    levels = layout.splits(root, account)
    classes = names.check_class_names([folder.name for folder in levels["train"].folders])
    for split, level in levels.items():
        _require_known(split, level, classes)
    require_room(sum(len(level.files) for level in levels.values()), resolution)
    parts = {
        split: _read(split, levels[split], classes, path, resolution, account)
        for split in names.SPLITS
        if split in levels
    }
    account.notes += lacking(classes, {split: parts[split][1] for split in parts if split != "train"})
    return Images(classes, parts["train"], parts.get("test"), True, parts.get("val"), account)


def _instead(root: PictureFolder, account: Account) -> str:
    if root.pictures:
        return f"holds {len(root.pictures)} images directly: sort them into folders, one a class"
    found = ", ".join(f"{count} {reason}" for reason, count in account.left_out.most_common(5))
    return f"has none{f' (it holds {found})' if found else ''}: give the folder above the class folders"


def _require_known(split: str, level: PictureFolder, classes: tuple[str, ...]) -> None:
    unknown = sorted({folder.name for folder in level.filled} - set(classes))
    known = {name.casefold(): name for name in classes}
    alike = [name for name in unknown if name.casefold() in known]
    if alike:
        calls = ", ".join(names.shown(known[name.casefold()]) for name in alike[:5])
        raise DataError(
            f"all splits must have the same classes, but {names.shown(level.path)} ({split}) has "
            f"{some(alike, 5)}, which training calls {calls}: rename one of them"
        )
    if unknown:
        raise DataError(
            f"all splits must have the same classes, but {names.shown(level.path)} ({split}) has "
            f"{some(unknown, 5)}, which training does not have: rename or remove it"
        )


def _read(
    split: str, level: PictureFolder, classes: tuple[str, ...], root: Path, resolution: int, account: Account
) -> Labelled:
    labels = {name: label for label, name in enumerate(classes)}
    found = [(file, labels[folder.name]) for folder in level.folders for file in folder.files]
    named = ((file, names.shown(file.relative_to(root))) for file, _ in found)
    pictures = ((pixels.decode(file, names.shown(root / name)), name) for file, name in named)
    images = account.stack(split, pictures, len(found), resolution)
    return images, np.array([label for _, label in found], np.int64)
