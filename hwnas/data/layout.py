"""What a tree of folders means: which folders are splits, which are classes, which are neither."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from hwnas.data import formats, names
from hwnas.data.images import Account, some
from hwnas.data.names import shown
from hwnas.errors import DataError

_MAX_DEPTH = 40
_HOLDS_ANYTHING = frozenset(("images", "imgs", "jpegimages", "masks"))
_MAX_FOLDERS = 200_000


@dataclass(frozen=True, eq=False)
class Folder:
    """A folder with the pictures and folders in it; what is hidden is not there.

    Attributes:
        path: Where it is.
        pictures: Files that hold pictures, in order of their names.
        folders: In order of their names.
    """

    path: Path
    pictures: tuple[Path, ...]
    folders: tuple[Folder, ...]

    @property
    def name(self) -> str:
        """Its own name."""
        return self.path.name

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """All pictures in and below it, ordered by path."""
        below = (file for folder in self.folders for file in folder.files)
        return tuple(sorted((*self.pictures, *below)))

    @cached_property
    def filled(self) -> tuple[Folder, ...]:
        """Folders in it with pictures in or below them."""
        return tuple(folder for folder in self.folders if folder.files)


@dataclass
class Walk:
    """Reads a tree; notes what it leaves out.

    Attributes:
        account: Where that is noted.
        unread: Pictures of formats that need a plugin which is not there, by format.
        folders: How many were read.
    """

    account: Account
    unread: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    folders: int = 0

    def folder(self, path: Path, above: tuple[tuple[int, int], ...] = ()) -> Folder:
        """Read a folder and all below, links as well.

        Raises:
            DataError: A folder cannot be read, or folders are too deep.
        """
        try:
            here = path.stat()
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        except OSError as error:
            raise DataError(
                f"a folder of images must be readable, but {shown(path)} is not: {error.strerror}"
            ) from error
        if len(above) > _MAX_DEPTH:
            raise DataError(
                f"folders must be at most {_MAX_DEPTH} deep, but {shown(path)} is deeper: move it up"
            )
        self.folders += 1
        if self.folders > _MAX_FOLDERS:
            raise DataError(
                f"a folder of images must hold at most {_MAX_FOLDERS:,} folders, but {shown(path)} is one "
                "too many: do links lead in circles?"
            )
        above = (*above, (here.st_dev, here.st_ino))
        pictures, folders = [], []
        for entry in entries:
            file = path / entry.name
            if names.is_hidden(entry.name):
                self._leave_out_hidden(entry)
            elif file.is_dir():
                status = file.stat()
                if (status.st_dev, status.st_ino) in above:
                    self.account.left_out["links to a folder above"] += 1
                else:
                    folders.append(self.folder(file, above))
            elif self._is_picture(file):
                pictures.append(file)
        return Folder(path, tuple(pictures), tuple(folders))

    def _leave_out_hidden(self, entry: os.DirEntry[str]) -> None:
        """Count the file, or all files in and below the folder; links are not followed."""
        is_folder = entry.is_dir(follow_symlinks=False)
        count = sum(len(files) for _, _, files in os.walk(entry.path)) if is_folder else 1
        if count:
            self.account.left_out["hidden"] += count

    def _is_picture(self, file: Path) -> bool:
        if not file.is_file():
            self.account.left_out["broken links" if file.is_symlink() else "special files"] += 1
            return False
        kind = formats.kind(file)
        if kind in formats.PLUGINS and kind not in formats.readable():
            self.unread[kind].append(file)
            return False
        if kind is None:
            self.account.left_out[file.suffix.lower() or "without suffix"] += 1
        return kind is not None


def splits(root: Folder, account: Account) -> dict[str, Folder]:
    """The folder of each split, in which the class folders are; "train" alone where there are no splits.

    Raises:
        DataError: The tree could be meant in more than one way, or in none.
    """
    level = root
    for _ in range(_MAX_DEPTH):
        found = _named(level)
        if "train" in found and _inner(found["train"]).filled:
            return _split_level(level, found, account)
        _refuse_splits_as_classes(level, found)
        if level.pictures or len(level.filled) != 1 or not level.filled[0].filled:
            break
        level = level.filled[0]
    _refuse_shared_folders(level)
    _note_stray(level, level.pictures, account)
    return {"train": _without_empty_splits(level, account)}


def _without_empty_splits(level: Folder, account: Account) -> Folder:
    """Class folders but for those that are named like splits and hold nothing."""
    empty = {
        name
        for same in names.splits_of(f.name for f in level.folders if not f.files).values()
        for name in same
    }
    _note_empty(level, sorted(empty), account)
    return replace(level, folders=tuple(folder for folder in level.folders if folder.name not in empty))


def _named(level: Folder) -> dict[str, Folder]:
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


def _split_level(level: Folder, found: Mapping[str, Folder], account: Account) -> dict[str, Folder]:
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
    _refuse_shared_folders(result["train"])
    return result


def _inner(folder: Folder, known: Set[str] = frozenset()) -> Folder:
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
    return Folder(inner.path, inner.files, ()) if wrapped else inner


def _refuse_splits_as_classes(level: Folder, found: Mapping[str, Folder]) -> None:
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


def _refuse_split_beside_classes(level: Folder, found: Mapping[str, Folder]) -> None:
    """One folder that is named like a split, or like one of anything, among classes."""
    odd = [
        folder
        for folder in level.filled
        if folder.name.casefold() in _HOLDS_ANYTHING or folder in found.values()
    ]
    if odd and len(level.filled) > 1 and len(found) < 2:
        others = [folder.name for folder in level.filled if folder is not odd[0]]
        name = shown(odd[0].name)
        raise DataError(
            f"all folders must be classes, or all splits, but {shown(level.path)} holds {name!r}, which is "
            f"hardly a class, beside {some(others)} (it has {len(odd[0].files)} images): move it away, or "
            f"rename it if it is one, for example to {name + '_class'!r}"
        )


def _refuse_shared_folders(level: Folder) -> None:
    """Folders that hold the same sub-folders are hardly classes."""
    hollow = [folder for folder in level.filled if not folder.pictures]
    inside = [{inner.name.casefold() for inner in folder.filled} for folder in hollow]
    shared = set.intersection(*inside) - names.WRAPPERS if len(hollow) > 1 else set()
    if shared:
        raise DataError(
            f"class folders must hold images, but {some([f.name for f in hollow])} in {shown(level.path)} "
            f"all hold the sub-folders {some(sorted(shared))}: give one of them alone, or turn the tree "
            "round, with the classes below the splits"
        )


def _note_empty(level: Folder, empty: Sequence[str], account: Account) -> None:
    """Folders of splits that hold nothing."""
    if empty:
        account.notes.append(
            f"{some(empty)} in {shown(level.path)} {'holds' if len(empty) == 1 else 'hold'} no images and "
            f"{'is' if len(empty) == 1 else 'are'} not used"
        )


def _note_stray(level: Folder, stray: Sequence[Path], account: Account) -> None:
    """Pictures beside the folders that count."""
    if stray:
        account.left_out["in no class folder"] += len(stray)
        account.notes.append(
            f"{len(stray)} images of {shown(level.path)} are in no class folder and not used "
            f"({some([file.name for file in stray])})"
        )
