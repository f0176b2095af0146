"""What a tree of folders means: which folders are splits, which are classes, which are neither."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path

from hwnas.data import names, nesting
from hwnas.data.images import Account, some
from hwnas.data.names import shown
from hwnas.data.walk import MAX_DEPTH, PictureFolder
from hwnas.errors import DataError

_MASKS, _OF_MASKS = frozenset(("masks", "segmentationclass")), "segmentation"
_HOLDS_ANYTHING = frozenset(("images", "imgs", "jpegimages")) | _MASKS


def splits(root: PictureFolder, account: Account) -> dict[str, PictureFolder]:
    """The folder of each split, in which the class folders are; "train" alone where there are no splits.

    Raises:
        DataError: The tree could be meant in more than one way, or in none.
    """
    level = root
    for _ in range(MAX_DEPTH):
        found = _named(level)
        if "train" in found and _inner(found["train"]).filled:
            return _split_level(level, found, account)
        _refuse_splits_as_classes(level, found)
        if level.pictures or len(level.filled) != 1 or not level.filled[0].filled:
            break
        level = level.filled[0]
    nesting.check(level, account)
    _note_stray(level, level.pictures, account)
    return {"train": _without_empty_splits(level, account)}


def _without_empty_splits(level: PictureFolder, account: Account) -> PictureFolder:
    """Class folders but for those that are named like splits and hold nothing."""
    empty = {
        name
        for same in names.splits_of(f.name for f in level.folders if not f.files).values()
        for name in same
    }
    _note_empty(level, sorted(empty), account)
    return replace(level, folders=tuple(folder for folder in level.folders if folder.name not in empty))


def _named(level: PictureFolder) -> dict[str, PictureFolder]:
    """The folders that are named like splits and hold pictures.

    Raises:
        DataError: Two are the same split.
    """
    filled = {folder.name: folder for folder in level.filled}
    found = names.splits_of(filled)
    for split, same in found.items():
        if len(same) > 1 and len(found) > 1:
            raise DataError(
                f"each split must be one folder, but in {shown(level.path)} {some(same)} are all for "
                f"{split}: put them together, or rename one"
            )
    return {split: filled[same[0]] for split, same in found.items()}


def _split_level(
    level: PictureFolder, found: Mapping[str, PictureFolder], account: Account
) -> dict[str, PictureFolder]:
    others = [folder for folder in level.filled if folder not in found.values()]
    known = {folder.name for folder in _inner(found["train"]).filled}
    unclear = [f.name for f in others if len(found) == 1 or known & {c.name for c in _inner(f).filled}]
    if unclear:
        raise DataError(
            f"a folder must hold either splits or classes, but {shown(level.path)} holds "
            f"{found['train'].name!r}, which looks like a split, beside {some(unclear)}: call them train, "
            "val and test, or move what is none away"
        )
    for split, empty in names.splits_of(f.name for f in level.folders if not f.files).items():
        if split not in found:
            _note_empty(level, empty, account)
    _note_stray(level, level.pictures, account)
    for folder in others:
        _note_stray(folder, folder.files, account)
    result = {}
    for split, folder in found.items():
        inner = _inner(folder, known)
        if inner.filled:
            _note_stray(inner, inner.pictures, account)
            result[split] = inner
        else:
            account.left_out["without labels"] += len(folder.files)
            account.notes.append(
                f"the {len(folder.files)} images in {shown(folder.path)} are in no class folders, so without "
                "labels, and not used"
            )
    for inner in result.values():
        nesting.check(inner, account)
    return result


def _inner(folder: PictureFolder, known: Set[str] = frozenset()) -> PictureFolder:
    """The folder itself, or the one within that wraps all its class folders; no folders if it has none.

    Args:
        folder: Of a split.
        known: Names of classes, which wrap nothing.
    """
    inner = folder
    while not inner.pictures and len(inner.filled) == 1 and inner.filled[0].filled:
        if inner.filled[0].name in known:
            break
        inner = inner.filled[0]
    wrapped = all(below.name.casefold() in names.WRAPPERS - known for below in inner.filled)
    return PictureFolder(inner.path, inner.files, ()) if wrapped else inner


def _refuse_splits_as_classes(level: PictureFolder, found: Mapping[str, PictureFolder]) -> None:
    _refuse_split_beside_classes(level, found)
    only_splits = len(found) == len(level.filled) and any(_inner(f).filled for f in found.values())
    if len(found) < 2 and not only_splits:
        return
    seen = ", ".join(f"{f.name} ({len(f.files)} images)" for f in found.values())
    raise DataError(
        f"splits must be train and, if wanted, validation and test, each with one sub-folder a class, but "
        f"{shown(level.path)} has {seen}: sort the images into class folders below train, or rename the "
        "folders if they are the classes"
    )


def _refuse_split_beside_classes(level: PictureFolder, found: Mapping[str, PictureFolder]) -> None:
    """One folder that is named like a split, or like one of anything, among classes."""
    odd = [
        folder
        for folder in level.filled
        if folder.name.casefold() in _HOLDS_ANYTHING or folder in found.values()
    ]
    if odd and len(level.filled) > 1 and len(found) < 2:
        others = [folder.name for folder in level.filled if folder is not odd[0]]
        name = shown(odd[0].name)
        if any(folder.name.casefold() in _MASKS for folder in level.filled):
            raise DataError(
                f"all folders must be classes, or all splits, but {shown(level.path)} holds {name!r}, which "
                f"is hardly a class, and masks: for these, give {_OF_MASKS} as the task"
            )
        raise DataError(
            f"all folders must be classes, or all splits, but {shown(level.path)} holds {name!r}, which is "
            f"hardly a class, beside {some(others)} (it has {len(odd[0].files)} images): where these are "
            "splits, call them train, val and test; else move it away, or rename it if it is one, for "
            f"example to {name + '_class'!r}"
        )


def _note_empty(level: PictureFolder, empty: Sequence[str], account: Account) -> None:
    """Folders of splits that hold nothing."""
    if empty:
        account.notes.append(
            f"{some(empty)} in {shown(level.path)} {'holds' if len(empty) == 1 else 'hold'} no images and "
            f"{'is' if len(empty) == 1 else 'are'} not used"
        )


def _note_stray(level: PictureFolder, stray: Sequence[Path], account: Account) -> None:
    """Pictures beside the folders that count."""
    if stray:
        account.left_out["in no class folder"] += len(stray)
        account.notes.append(
            f"{len(stray)} images of {shown(level.path)} are in no class folder and not used "
            f"({some([file.name for file in stray])})"
        )
