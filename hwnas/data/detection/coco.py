"""Reads COCO's json: ``annotations/instances_*.json``, or ``_annotations.coco.json`` beside the pictures."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hwnas.data import names, samples
from hwnas.data.detection.objects import Found, Objects
from hwnas.data.images import Account, some
from hwnas.data.names import is_hidden, shown
from hwnas.data.samples import Part, Sample
from hwnas.data.tree import files_of
from hwnas.errors import DataError

_KEYS = ("images", "annotations", "categories")
_SAYS_NOTHING = frozenset(
    ("instances", "annotations", "annotation", "coco", "person", "keypoints", "default", "result")
)


def coco(path: Path, account: Account) -> Found | None:
    """Read the pictures that json files speak of; None where there are no such files.

    Raises:
        DataError: A file is damaged, or speaks of other classes or pictures.
    """
    said = _annotations(path)
    if not said:
        return None
    pictures = _Pictures(path, samples.walked(path, account).files)
    samples.are_read(account, said)
    categories = {file: _categories(file, found) for file, found in said.items()}
    classes = _same(categories)
    numbers = {name: number for number, name in enumerate(classes)}
    parts: dict[str | None, list[Sample[Objects]]] = defaultdict(list)
    for file, found in said.items():
        split = _split_of(file.relative_to(path))
        ids = {key: numbers[name] for key, name in categories[file].items()}
        parts[split] += _samples(file, found, ids, split, pictures, account)
    pictures.close(account)
    return {split: Part.of(part) for split, part in samples.by_split(parts, account).items()}, classes


def _annotations(path: Path) -> dict[Path, Any]:
    """The json files below a folder that say objects; of COCO's own the instances, not the keypoints."""
    files = (file for file in files_of(path) if file.suffix.lower() == ".json")
    shown_files = [file for file in files if not any(map(is_hidden, file.relative_to(path).parts))]
    instances = [file for file in shown_files if file.name.startswith("instances")]
    whole: dict[Path, Any] = {}
    lacking: dict[Path, list[str]] = {}
    for file in instances or shown_files:
        said = _loaded(file)
        if keys := _lacking(said):
            lacking[file] = keys
        else:
            whole[file] = said
    almost = next((file for file, keys in lacking.items() if len(keys) == 1), None)
    if almost and not whole:
        raise DataError(
            f"annotations of COCO must have lists of {', '.join(_KEYS)}, but {shown(almost)} has no list of "
            f"{lacking[almost][0]}: export it again"
        )
    return whole


def _lacking(said: Any) -> list[str]:
    return [key for key in _KEYS if not (isinstance(said, dict) and isinstance(said.get(key), list))]


def _require_unique(file: Path, found: Mapping[str, Any], kind: str) -> None:
    ids = Counter(each["id"] for each in found[kind])
    if twice := [str(id_) for id_, count in ids.items() if count > 1]:
        raise DataError(
            f"{kind} must have an id each, but several in {shown(file)} have {some(twice)}: export it again"
        )


def _loaded(file: Path) -> Any:
    try:
        return json.loads(samples.text(file))
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"annotations must be json, but {shown(file)} is not: {error}: export it again"
        ) from error


def _categories(file: Path, found: Mapping[str, Any]) -> dict[int, str]:
    """The name of each number; without one above others that no object has, as some exporters write."""
    try:
        _require_unique(file, found, "categories")
        named = {category["id"]: str(category["name"]) for category in found["categories"]}
        above = {category.get("supercategory") for category in found["categories"]}
        used = {annotation["category_id"] for annotation in found["annotations"]}
    except (LookupError, TypeError, AttributeError) as error:
        raise DataError(
            f"categories must have an id and a name, and annotations a category_id, but in {shown(file)} one "
            f"lacks {error}: export it again"
        ) from error
    if unknown := sorted(map(repr, used - named.keys())):
        raise DataError(
            f"every object must be of a listed category, but {shown(file)} has objects of {some(unknown)}, "
            "which it does not list: export it again"
        )
    return {key: name for key, name in sorted(named.items()) if key in used or name not in above} or named


def _same(categories: Mapping[Path, Mapping[int, str]]) -> tuple[str, ...]:
    """The class names of all files, in the order of the first one's ids."""
    (first, found), *others = categories.items()
    known = names.check_class_names(list(found.values()))
    for file, more in others:
        if set(more.values()) - set(known):
            raise DataError(
                f"all splits must have the same classes, but {shown(file)} has "
                f"{some(sorted(set(more.values()) - set(known)), 5)}, which {shown(first)} does not: export "
                "them together"
            )
    return known


def _split_of(inside: Path) -> str | None:
    """The split that the name of a file says, or that of its folder."""
    for part in (inside.stem, *reversed(inside.parts[:-1])):
        words = part.replace(".", "_").replace("-", "_").split("_")
        words = [word for word in words if word.casefold() not in _SAYS_NOTHING]
        if words and (said := names.splits_of([" ".join(words)])):
            return next(iter(said))
    return None


def _samples(
    file: Path,
    found: Mapping[str, Any],
    ids: Mapping[int, int],
    split: str | None,
    pictures: _Pictures,
    account: Account,
) -> Iterable[Sample[Objects]]:
    of_image: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for annotation in found["annotations"]:
        if annotation.get("bbox"):
            of_image[annotation.get("image_id")].append(annotation)
        else:
            account.left_out["objects without a box"] += 1
    for image in found["images"]:
        try:
            said, name = of_image.pop(image["id"], []), str(image["file_name"])
            frame = (float(image["width"]), float(image["height"])) if image.get("width") else None
            boxes = [(x, y, x + w, y + h) for x, y, w, h in (map(float, each["bbox"]) for each in said)]
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"images must have id and file_name, and objects a bbox of x, y, width, height, but in "
                f"{shown(file)} one has not ({type(error).__name__}: {error}): export it again"
            ) from error
        if picture := pictures.find(name, file, split):
            classes = [ids[each["category_id"]] for each in said]
            crowds = [bool(each.get("iscrowd")) for each in said]
            yield Sample(pictures.name(picture), picture, Objects(boxes, classes, crowds, frame))
    _require_unique(file, found, "images")
    if of_image:
        account.left_out["boxes of no listed image"] += sum(map(len, of_image.values()))


class _Pictures:
    """Finds the picture that an annotation speaks of, wherever exporters put it."""

    def __init__(self, root: Path, files: Iterable[Path]) -> None:
        self._root, self._missing, self._used = root, list[str](), Counter[Path]()
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        for file in files:
            self._by_name[file.name].append(file)

    def name(self, file: Path) -> str:
        """Of a picture, below the folder that is read."""
        return shown(file.relative_to(self._root))

    def find(self, name: str, annotations: Path, split: str | None) -> Path | None:
        """The picture of this name; of several, the one beside the annotations, or of the split."""
        path = Path(name.replace("\\", "/"))
        found = self._by_name.get(path.name, [])
        tests = (
            lambda file: file.parts[-len(path.parts) :] == path.parts,
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

    def close(self, account: Account) -> None:
        """Say which pictures are not there.

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
