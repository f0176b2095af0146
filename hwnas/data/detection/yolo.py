"""Reads YOLO's txt: a file ``labels/NAME.txt`` a picture, and the names of the classes in ``data.yaml``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from hwnas.data import names, samples
from hwnas.data.detection.config import MOST_CLASSES, DataYaml, config
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
_MOST_UNNAMED = 1000  # classes, where there are no more boxes
_MOST = 1.5  # of a side: what is beyond is in pixels
_Key = tuple[str | None, tuple[str, ...], str]


def _texts(path: Path) -> list[Path]:
    """The texts below a folder."""
    found = (file for file in files_of(path) if file.suffix.lower() in (".txt", ".names"))
    return [file for file in found if not any(map(is_hidden, file.relative_to(path).parts))]


def _is_label(file: Path, path: Path, pictures: Collection[_Key]) -> bool:
    """Whether a text may say objects; one that is called as lists are does where a picture is called so."""
    is_list = file.name.casefold() in _NO_LABELS and _key(file, path) not in pictures
    return file.suffix.lower() == ".txt" and not is_list and _says_boxes(file)


def yolo(path: Path, account: Account) -> Found | None:
    """Read pictures with their txt files; None where there are no such files.

    A picture without one, in a split of others that have one, shows nothing.

    Raises:
        DataError: A file is damaged, or says a class that has no name.
    """
    pictures = samples.walked(path, account).files
    keys = [_key(picture, path) for picture in pictures]
    texts = _texts(path)
    files = [file for file in texts if _is_label(file, path, set(keys))]
    if not files:
        return None
    samples.are_read(account, files)
    labels = samples.one_each(files, lambda file: _key(file, path))
    said = config(path, account)
    keypoints = said.keypoints() if said else 0
    places = said.places(pictures, account) if said else {}
    splits = _placed(pictures, places, path, account) if places else [key[0] for key in keys]
    found: dict[str | None, list[Sample[Objects]]] = {}
    bare: dict[str | None, list[str]] = {}
    for picture, key, split in zip(pictures, keys, splits, strict=True):
        file, name = labels.pop(key, None), shown(picture.relative_to(path))
        if file is None:
            bare.setdefault(split, []).append(name)
        found.setdefault(split, []).append(
            Sample(name, picture, _parsed(file, keypoints) if file else Objects())
        )
    for split, without in bare.items():
        if len(without) == len(found[split]):
            account.left_out["without labels"] += len(found.pop(split))
        else:
            account.notes.append(
                f"{len(without)} images have no txt file and were read as showing no object ({some(without)})"
            )
    if labels:
        account.left_out["txt without a picture"] += len(labels)
    parts = samples.by_split(found, account)
    lists = [file for file in texts if file.name.casefold() in _LISTS and file not in set(files)]
    numbers = [number for part in parts.values() for each in part for number in each.truth.classes]
    return {split: Part.of(part) for split, part in parts.items()}, _names(
        path, said, lists, numbers, account
    )


def _key(file: Path, root: Path) -> _Key:
    where = samples.place(file.relative_to(root), _LABELS)
    return where.split, where.rest, file.stem


def _placed(
    pictures: Sequence[Path], places: Mapping[Path, list[str]], path: Path, account: Account
) -> list[str | None]:
    """The split of each picture: that of the narrowest place that holds it."""
    found: list[str | None] = []
    shared: dict[tuple[str, str], list[str]] = {}
    for picture in pictures:
        here = picture.resolve()
        said = [split for place in (here, *here.parents) for split in places.get(place, ())]
        found.append(next(iter(said), None))
        for other in dict.fromkeys(said):
            if other != said[0]:
                shared.setdefault((said[0], other), []).append(shown(picture.relative_to(path)))
    for (split, other), both in shared.items():
        account.notes.append(
            f"{len(both)} images are of {split} and of {other} by the YAML file, and are used for {split} "
            f"alone ({some(both)})"
        )
    return found


def _says_boxes(file: Path) -> bool:
    """Whether a text is among labels, or begins with numbers."""
    if file.parent.name.casefold() in _LABELS or file.parent.parent.name.casefold() in _LABELS:
        return True
    with file.open("rb") as opened:
        words = opened.readline(200).split()
    return len(words) > _BOX and all(
        word.replace(b".", b"").replace(b"-", b"").isalnum() for word in words[:5]
    )


def _parsed(file: Path, keypoints: int) -> Objects:
    """Boxes of centre, width and height, or around polygons, all in shares of the picture's sides."""
    boxes, classes = [], []
    for number, line in enumerate(samples.text(file).splitlines(), 1):
        if not line.strip():
            continue
        try:
            first, *values = map(float, line.split())
            if first != int(first) or first < 0:
                raise ValueError("it is no class with four numbers, or with a polygon")
            boxes.append(_box(values, keypoints))
        except (ValueError, OverflowError) as error:
            raise DataError(
                f"every line of labels must be: class x y width height, but line {number} of {shown(file)} "
                f"is not: {error}"
            ) from error
        classes.append(int(first))
    return Objects(boxes, classes, [False] * len(boxes), SHARES)


def _box(values: list[float], keypoints: int) -> tuple[float, float, float, float]:
    """What follows the class, as corners."""
    if keypoints:
        if len(values) != _BOX + keypoints:
            raise ValueError(
                f"by kpt_shape, {_BOX} numbers of the box and {keypoints} of keypoints must follow the "
                f"class, not {len(values)}"
            )
        values = values[:_BOX]
    if len(values) < _BOX or len(values) % 2:
        raise ValueError("it is no class with four numbers, or with a polygon")
    if max(map(abs, values)) > _MOST:
        raise ValueError("numbers must be shares of the picture's sides, from 0 to 1")
    if len(values) == _BOX:
        x, y, width, height = values
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    across, down = values[::2], values[1::2]
    return min(across), min(down), max(across), max(down)


def _names(
    path: Path, said: DataYaml | None, lists: Sequence[Path], numbers: Sequence[int], account: Account
) -> tuple[str, ...]:
    most = max(numbers, default=-1)
    if said is not None:
        named = said.names()
    elif lists:
        named = _of_lists(lists, account)
    else:
        if most >= min(MOST_CLASSES, max(_MOST_UNNAMED, len(numbers))):
            raise DataError(
                f"classes of such numbers must have names, but {shown(path)} has objects of class {most}, "
                f"{len(numbers)} objects in all and no names: add data.yaml or classes.txt with the names, "
                "or correct the numbers, which count from 0"
            )
        named = [f"class {number}" for number in range(most + 1)]
    if most >= len(named):
        raise DataError(
            f"every class must have a name, but {shown(path)} has objects of class {most} and {len(named)} "
            "names: correct the names, which count from 0"
        )
    return names.check_class_names(named)


def _of_lists(lists: Sequence[Path], account: Account) -> list[str]:
    """The names that text files list, one a line."""
    samples.are_read(account, lists)
    found = [[line.strip() for line in samples.text(file).splitlines() if line.strip()] for file in lists]
    for file, named in zip(lists, found, strict=True):
        if named != found[0]:
            raise DataError(
                f"the classes must be listed once, but {shown(lists[0])} and {shown(file)} differ: remove one"
            )
    return found[0]
