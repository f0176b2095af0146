"""Reads a tree of folders with pictures, and notes what it leaves out."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from hwnas.data import formats, names
from hwnas.data.images import Account
from hwnas.data.names import shown
from hwnas.errors import DataError

MAX_DEPTH = 40
_MAX_FOLDERS = 200_000


@dataclass(frozen=True, eq=False)
class PictureFolder:
    """A folder with the pictures and folders in it; what is hidden is not there.

    Attributes:
        path: Where it is.
        pictures: Files that hold pictures, in order of their names.
        folders: In order of their names.
    """

    path: Path
    pictures: tuple[Path, ...]
    folders: tuple[PictureFolder, ...]

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
    def filled(self) -> tuple[PictureFolder, ...]:
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

    def folder(self, path: Path, above: tuple[tuple[int, int], ...] = ()) -> PictureFolder:
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
        if len(above) > MAX_DEPTH:
            raise DataError(
                f"folders must be at most {MAX_DEPTH} deep, but {shown(path)} is deeper: move it up"
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
        return PictureFolder(path, tuple(pictures), tuple(folders))

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
