"""Reads YOLO's txt: a file ``labels/NAME.txt`` a picture, and the names of the classes in ``data.yaml``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hwnas.data import names, samples
from hwnas.data.detection.objects import SHARES, Found, Objects
from hwnas.data.images import Account, some
from hwnas.data.names import is_hidden, shown
from hwnas.data.samples import Part, Sample
from hwnas.data.tree import files_of
from hwnas.errors import DataError

_LABELS = frozenset(("labels", "label", "annotations"))
_LISTS = ("classes.txt", "obj.names", "labels.txt")
_NO_LABELS = (*_LISTS, *(f"{split}.txt" for split in (*names.SPLITS, "trainval", "valid")))
_BOX = 4  # numbers
_MOST_CLASSES = 100_000
_MOST = 1.5  # of a side: what is beyond is in pixels


def _files_in(path: Path) -> list[Path]:
    """The txt files below a folder that may say objects."""
    found = (f for f in files_of(path) if f.suffix.lower() == ".txt" and f.name.casefold() not in _NO_LABELS)
    return [
        file for file in found if not any(map(is_hidden, file.relative_to(path).parts)) and _says_boxes(file)
    ]


def yolo(path: Path, account: Account) -> Found | None:
    """Read pictures with their txt files; None where there are no such files.

    A picture without one, in a split of others that have one, shows nothing.

    Raises:
        DataError: A file is damaged, or says a class that has no name.
    """
    files = _files_in(path)
    if not files:
        return None
    pictures = samples.walked(path, account).files
    samples.are_read(account, files)
    texts = {_key(file, path): file for file in files}
    config = _config(path, account)
    said = _splits(config, account)
    found: dict[str | None, list[Sample[Objects]]] = {}
    bare: dict[str | None, list[str]] = {}
    for picture in pictures:
        key = _key(picture, path)
        split = next((s for s, places in said.items() if _is_in(picture, places)), None if said else key[0])
        file, name = texts.pop(key, None), shown(picture.relative_to(path))
        if file is None:
            bare.setdefault(split, []).append(name)
        found.setdefault(split, []).append(Sample(name, picture, _parsed(file) if file else Objects()))
    for split, without in bare.items():
        if len(without) == len(found[split]):
            account.left_out["without labels"] += len(found.pop(split))
        else:
            account.notes.append(
                f"{len(without)} images have no txt file and were read as showing no object ({some(without)})"
            )
    if texts:
        account.left_out["txt without a picture"] += len(texts)
    parts = samples.by_split(found, account)
    most = max(
        (number for part in parts.values() for each in part for number in each.truth.classes), default=-1
    )
    return {split: Part.of(part) for split, part in parts.items()}, _names(path, config, most, account)


def _key(file: Path, root: Path) -> tuple[str | None, tuple[str, ...], str]:
    where = samples.place(file.relative_to(root), _LABELS)
    return where.split, where.rest, file.stem


def _says_boxes(file: Path) -> bool:
    """Whether a text is among labels, or begins with numbers."""
    if file.parent.name.casefold() in _LABELS or file.parent.parent.name.casefold() in _LABELS:
        return True
    with file.open("rb") as opened:
        words = opened.readline(200).split()
    return len(words) > _BOX and all(
        word.replace(b".", b"").replace(b"-", b"").isalnum() for word in words[:5]
    )


def _parsed(file: Path) -> Objects:
    """Boxes of centre, width and height, or around polygons, all in shares of the picture's sides."""
    boxes, classes = [], []
    for number, line in enumerate(samples.text(file).splitlines(), 1):
        if not line.strip():
            continue
        try:
            first, *values = map(float, line.split())
            if first != int(first) or first < 0 or len(values) < _BOX or len(values) % 2:
                raise ValueError("it is no class with four numbers, or with a polygon")
            if max(map(abs, values)) > _MOST:
                raise ValueError("numbers must be shares of the picture's sides, from 0 to 1")
        except (ValueError, OverflowError) as error:
            raise DataError(
                f"every line of labels must be: class x y width height, but line {number} of {shown(file)} "
                f"is not: {error}"
            ) from error
        if len(values) == _BOX:
            x, y, width, height = values
            boxes.append((x - width / 2, y - height / 2, x + width / 2, y + height / 2))
        else:
            across, down = values[::2], values[1::2]
            boxes.append((min(across), min(down), max(across), max(down)))
        classes.append(int(first))
    return Objects(boxes, classes, [False] * len(boxes), SHARES)


def _config(path: Path, account: Account) -> tuple[Path, Mapping[str, Any]] | None:
    """What ``data.yaml`` says, and where it is."""
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
            found.append((file.parent, said))
            samples.are_read(account, [file])
    if len(found) > 1:
        raise DataError(
            f"one YAML file must say the names of classes, but {shown(path)} has {len(found)}: remove one"
        )
    return next(iter(found), None)


def _splits(config: tuple[Path, Mapping[str, Any]] | None, account: Account) -> dict[str, list[Path]]:
    """Folders and files of each split; empty where what is said is not there, as on another machine."""
    if config is None:
        return {}
    folder, said = config
    found: dict[str, list[Path]] = {}
    missing: list[str] = []
    for split, key in (("train", "train"), ("val", "val"), ("val", "valid"), ("test", "test")):
        given = said.get(key) or []
        for text in given if isinstance(given, list) else [given]:
            below = str(text).lstrip("./")
            tries = (folder / str(said.get("path") or "") / str(text), folder / str(text), folder / below)
            there = next((place for place in tries if place.exists()), None)
            if there and there.is_file():
                lines = samples.text(there).split("\n")
                found.setdefault(split, []).extend(
                    (there.parent / line.strip()).resolve() for line in lines if line
                )
            elif there:
                found.setdefault(split, []).append(there.resolve())
            else:
                missing.append(f"{key}: {text}")
    if missing:
        account.notes.append(
            f"the YAML file in {shown(folder)} names places that are not there and are not used "
            f"({some(missing)}): if they are splits, correct it"
        )
    return found if "train" in found else {}


def _is_in(picture: Path, places: Sequence[Path]) -> bool:
    return any(picture.resolve().is_relative_to(place) for place in places)


def _names(
    path: Path, config: tuple[Path, Mapping[str, Any]] | None, most: int, account: Account
) -> tuple[str, ...]:
    lists = [file for file in files_of(path) if file.name.casefold() in _LISTS]
    if config is not None:
        named = _of_yaml(config[1]["names"], config[0])
    elif lists:
        samples.are_read(account, lists)
        named = [line.strip() for line in samples.text(lists[0]).splitlines() if line.strip()]
    else:
        named = [f"class {number}" for number in range(most + 1)]
    if most >= len(named):
        raise DataError(
            f"every class must have a name, but {shown(path)} has objects of class {most} and {len(named)} "
            "names: correct the names, which count from 0"
        )
    return names.check_class_names(named)


def _of_yaml(given: Any, folder: Path) -> list[str]:
    """Names in a list, or by their numbers; a number in between that has none gets one."""
    numbered = dict(enumerate(given)) if isinstance(given, list) else given
    is_plain = isinstance(numbered, dict) and all(
        isinstance(number, int) and 0 <= number < _MOST_CLASSES and isinstance(name, str | int)
        for number, name in numbered.items()
    )
    if not is_plain or not numbered:
        raise DataError(
            "names must be a list of texts, or texts by numbers from 0, but the YAML file in "
            f"{shown(folder)} has {shown(repr(given)[:60])}: correct it"
        )
    return [str(numbered.get(number, f"class {number}")) for number in range(max(numbered) + 1)]
