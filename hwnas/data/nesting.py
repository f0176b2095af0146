"""Folders within class folders: whether what is in them can be of the class at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hwnas.data import names
from hwnas.data.images import Account, some
from hwnas.data.names import shown
from hwnas.data.walk import PictureFolder
from hwnas.errors import DataError


def check(level: PictureFolder, account: Account) -> None:
    """Look into the class folders of a level; a doubt that may be none is noted.

    Raises:
        DataError: What is in them are splits, or the classes themselves.
    """
    _refuse_shared(level)
    _refuse_splits(level)
    _note_alike(level, account)


def _refuse_shared(level: PictureFolder) -> None:
    """Folders of which more than half hold the same sub-folders, and no images beside, are hardly classes."""
    hollow = {folder.name: _meanings(folder) for folder in level.filled if not folder.pictures}
    held = Counter(meaning for inside in hollow.values() for meaning in inside)
    shared = {meaning for meaning, count in held.items() if count > 1} - names.WRAPPERS
    most = [meaning for meaning in shared if 2 * held[meaning] > len(hollow)]
    if most:
        holders = [name for name, inside in hollow.items() if inside.keys() & set(most)]
        spelled = sorted({inside[m] for inside in hollow.values() for m in most if m in inside})
        odd = len(hollow) - len(holders)
        raise DataError(
            f"class folders must hold images, but {some(holders)} in {shown(level.path)} all hold the "
            f"sub-folders {some(spelled)}{f' (beside {odd} others)' if odd else ''}: where these are splits, "
            "call them train, val and test; where not, give one of them alone, or put all images of a "
            "class into one folder"
        )


def _meanings(folder: PictureFolder) -> dict[str, str]:
    """Names of the folders within, by what they mean: a split, or the name in whatever case."""
    inside = [inner.name for inner in folder.filled]
    splits = {name: f"{split} split" for split, same in names.splits_of(inside).items() for name in same}
    return {splits.get(name, name.casefold()): name for name in inside}


def _refuse_splits(level: PictureFolder) -> None:
    """Splits below what would be a class."""
    for folder in level.filled:
        for inner in _all_within(folder):
            below = {found.name: found for found in inner.filled}
            splits = names.splits_of(below)
            found = [below[name] for same in splits.values() for name in same]
            if len(splits) > 1 or any(split.filled for split in found):
                raise DataError(
                    f"class folders must hold images, but {shown(folder.name)!r} in {shown(level.path)} "
                    f"holds the splits {some(split.name for split in found)} (in {shown(inner.path)}): give "
                    f"{shown(inner.path)} alone if its splits hold the classes, put the splits above the "
                    "classes if not, or rename those folders if they are no splits"
                )


def _all_within(folder: PictureFolder) -> Iterator[PictureFolder]:
    """The folder and all below it that hold pictures."""
    yield folder
    for inner in folder.filled:
        yield from _all_within(inner)


def _note_alike(level: PictureFolder, account: Account) -> None:
    """Folders of the same name in several classes: masks or thumbnails, or the classes themselves."""
    found: dict[str, dict[str, list[PictureFolder]]] = {}
    for folder in level.filled:
        for inner in _telling(folder):
            found.setdefault(inner.name.casefold(), {}).setdefault(folder.name, []).append(inner)
    for holders in found.values():
        if len(holders) > 1:
            inside = [inner for folders in holders.values() for inner in folders]
            account.notes.append(
                f"{sum(len(inner.files) for inner in inside)} images are in the sub-folders "
                f"{some(sorted({inner.name for inner in inside}))} of {len(holders)} class folders in "
                f"{shown(level.path)} ({some(holders)}) and were read as images of those classes: move them "
                "away if they are masks, thumbnails or copies; if they are the classes, give one folder "
                "above them alone"
            )


def _telling(folder: PictureFolder) -> Iterator[PictureFolder]:
    """The uppermost folders within a class folder whose names say something; more below are its own."""
    for inner in folder.filled:
        if inner.name.casefold() in names.WRAPPERS:
            yield from _telling(inner)
        else:
            yield inner
            if not folder.pictures:
                yield from (deep for deep in _telling(inner) if inner.pictures)
