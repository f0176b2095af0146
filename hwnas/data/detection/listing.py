"""Finds the pictures that json files list."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from hwnas.data import samples
from hwnas.data.images import Account, some
from hwnas.data.names import shown
from hwnas.errors import DataError


class ListedPictures:
    """Finds the picture that an annotation speaks of, wherever exporters put it.

    Args:
        root: The folder that is read.
        files: The pictures in and below it.
        listed: The names that each json file lists.
    """

    def __init__(self, root: Path, files: Iterable[Path], listed: Mapping[Path, Iterable[str]]) -> None:
        self._root, self._missing, self._used = root, list[str](), Counter[Path]()
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        for file in files:
            self._by_name[file.name].append(file)
        self._owned: set[Path] = set()
        self._folders: dict[Path, set[Path]] = defaultdict(set)
        for json, names in listed.items():
            for path in map(_path, names):
                exact = self._exact(path)
                self._owned.update(exact)
                if len(path.parts) > 1:
                    self._folders[json].update(file.parent for file in exact)

    def name(self, file: Path) -> str:
        """Of a picture, below the folder that is read."""
        return shown(file.relative_to(self._root))

    def find(self, name: str, annotations: Path, split: str | None) -> Path | None:
        """The picture of this name; of several, the one beside the annotations, or of the split."""
        path = _path(name)
        found = self._exact(path) or self._elsewhere(path, annotations)
        tests = (
            lambda file: file.is_relative_to(annotations.parent),
            lambda file: samples.place(file.relative_to(self._root), ()).split == split,
        )
        for test in tests:
            found = [file for file in found if test(file)] or found
        if len(found) > 1:
            raise DataError(
                f"every picture must be found by its name, but {shown(name)} of {shown(annotations)} may be "
                f"{some(map(self.name, found))}: remove the others"
            )
        self._missing += [] if found else [name]
        self._used.update(found)
        return next(iter(found), None)

    def _exact(self, path: Path) -> list[Path]:
        """The pictures whose paths end in this one."""
        return [
            file for file in self._by_name.get(path.name, []) if file.parts[-len(path.parts) :] == path.parts
        ]

    def _elsewhere(self, path: Path, annotations: Path) -> list[Path]:
        """Those of the same base name, as folders are moved after an export.

        Not those that are listed themselves, nor in folders that the same json calls by their names: it
        would have said so if it meant them.
        """
        taken, folders = self._owned, self._folders[annotations]
        same = self._by_name.get(path.name, [])
        return [file for file in same if file not in taken and file.parent not in folders]

    def close(self, account: Account) -> None:
        """Say which pictures are not there, and which nobody asked for.

        Raises:
            DataError: Some were found more than once.
        """
        if twice := [self.name(file) for file, count in self._used.items() if count > 1]:
            raise DataError(
                f"every picture must be listed once, but {len(twice)} in {shown(self._root)} are listed "
                f"again ({some(twice)}): remove json files that speak of the same pictures"
            )
        if self._missing:
            account.left_out["listed, but not there"] += len(self._missing)
            account.notes.append(
                f"{len(self._missing)} listed images are not there and are not used ({some(self._missing)})"
            )
        files = sorted(file for found in self._by_name.values() for file in found)
        if unlisted := [self.name(file) for file in files if file not in self._used]:
            account.left_out["listed in no json"] += len(unlisted)
            account.notes.append(
                f"{len(unlisted)} images are listed in no json file and are not used ({some(unlisted)})"
            )


def _path(name: str) -> Path:
    return Path(name.replace("\\", "/"))
