"""What YOLO's ``data.yaml`` says: the names of classes, where the splits are, and what follows a box."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.data import samples
from hwnas.data.images import Account, some
from hwnas.data.names import shown
from hwnas.data.tree import files_of
from hwnas.errors import DataError

MOST_CLASSES = 100_000
_KEYS = (("train", "train"), ("val", "val"), ("val", "valid"), ("test", "test"))
_DIMENSIONS = (2, 3)  # of a keypoint: its place, and whether it is seen


@dataclass(frozen=True)
class DataYaml:
    """A YAML file that names classes.

    Attributes:
        file: Where it is.
        said: What it says.
    """

    file: Path
    said: Mapping[str, Any]

    def keypoints(self) -> int:
        """How many numbers of keypoints follow the four of each box.

        Raises:
            DataError: The file says no plain number.
        """
        shape = self.said.get("kpt_shape")
        if shape is None:
            return 0
        are_whole = isinstance(shape, list) and len(shape) == 2 and all(type(each) is int for each in shape)
        if not are_whole or shape[0] < 1 or shape[1] not in _DIMENSIONS:
            raise DataError(
                "kpt_shape must be how many keypoints an object has and how many numbers a keypoint, 2 or 3, "
                f"as in [17, 3], but {shown(self.file)} has {shown(repr(shape)[:60])}: correct it"
            )
        return int(shape[0] * shape[1])

    def names(self) -> list[str]:
        """Names in a list, or by their numbers; a number in between that has none gets one.

        Raises:
            DataError: They are no texts.
        """
        given = self.said["names"]
        numbered = dict(enumerate(given)) if isinstance(given, list) else given
        is_plain = isinstance(numbered, dict) and all(
            type(number) is int and 0 <= number < MOST_CLASSES for number in numbered
        )
        if not is_plain or not numbered:
            raise DataError(
                "names must be a list of texts, or texts by numbers from 0, but the YAML file in "
                f"{shown(self.file.parent)} has {shown(repr(given)[:60])}: correct it"
            )
        if others := {n: name for n, name in numbered.items() if type(name) not in (str, int)}:
            number, name = next(iter(others.items()))
            raise DataError(
                f"names of classes must be texts, but YAML reads name {number} in {shown(self.file)} as "
                f"{shown(repr(name)[:60])}: put it into quotes, as words such as no, yes and null must be"
            )
        return [str(numbered.get(number, f"class {number}")) for number in range(max(numbered) + 1)]

    def places(self, pictures: Sequence[Path], account: Account) -> dict[Path, list[str]]:
        """The splits of each folder and picture that is named.

        Empty where none for training is there, as on another machine.
        """
        there = {picture.resolve() for picture in pictures}
        found: dict[Path, list[str]] = {}
        missing: list[str] = []
        for split, key in _KEYS:
            given = self.said.get(key) or []
            for text in given if isinstance(given, list) else [given]:
                place = self._place(str(text))
                if place is None:
                    missing.append(f"{key}: {text}")
                    continue
                for each in _listed(place, split, there, account) if place.is_file() else [place.resolve()]:
                    found.setdefault(each, []).append(split)
        if missing:
            account.notes.append(
                f"the YAML file in {shown(self.file.parent)} names places that are not there and are not "
                f"used ({some(missing)}): if they are splits, correct it"
            )
        if any("train" in splits for splits in found.values()):
            return found
        if found:
            account.notes.append(
                f"the YAML file in {shown(self.file.parent)} names no training images that are there: what "
                "it says of other splits is not used"
            )
        return {}

    def _place(self, text: str) -> Path | None:
        folder = self.file.parent
        tries = (folder / str(self.said.get("path") or "") / text, folder / text, folder / text.lstrip("./"))
        return next((place for place in tries if place.exists()), None)


def config(path: Path, account: Account) -> DataYaml | None:
    """The YAML file below a folder that names classes; None where there is none.

    Raises:
        DataError: There are several, or one cannot be read.
    """
    files = [f for f in files_of(path) if f.suffix.lower() in (".yaml", ".yml")]
    if not files:
        return None
    try:
        import yaml
    except ImportError as error:
        raise DataError(
            f"YOLO's {shown(files[0].name)} needs PyYAML to be read, which is not here: pip install "
            "hwnas[dense]"
        ) from error
    found = []
    for file in files:
        try:
            said = yaml.safe_load(samples.text(file))
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            why = " ".join(str(error).split())
            raise DataError(f"{shown(file)} must be YAML, but cannot be read: {why}: correct it") from error
        if isinstance(said, dict) and "names" in said:
            found.append(DataYaml(file, said))
            samples.are_read(account, [file])
    if len(found) > 1:
        raise DataError(
            f"one YAML file must say the names of classes, but {shown(path)} has {len(found)}: remove one"
        )
    return next(iter(found), None)


def _listed(file: Path, split: str, there: Collection[Path], account: Account) -> list[Path]:
    """Pictures, or folders, that a text file names one a line; the others are counted."""
    lines = [line.strip() for line in samples.text(file).split("\n") if line.strip()]
    places = {line: (file.parent / line).resolve() for line in lines}
    if gone := [line for line, place in places.items() if place not in there and not place.is_dir()]:
        account.left_out["listed, but not there"] += len(gone)
        account.notes.append(
            f"{len(gone)} of {len(places)} images that {shown(file.name)} lists for {split} are not there "
            f"and are not used ({some(gone)})"
        )
    return [place for place in places.values() if place in there or place.is_dir()]
