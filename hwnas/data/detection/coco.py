"""Reads COCO's json: ``annotations/instances_*.json``, or ``_annotations.coco.json`` beside the pictures."""

from __future__ import annotations

import json
import re
import reprlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hwnas.data import names, samples
from hwnas.data.detection.listing import ListedPictures
from hwnas.data.detection.objects import Found, Objects, is_crowd
from hwnas.data.images import Account, some
from hwnas.data.names import is_hidden, shown
from hwnas.data.samples import Part, Sample
from hwnas.data.tree import files_of
from hwnas.errors import DataError

_KEYS = ("images", "annotations", "categories")
_SAYS_NOTHING = frozenset(
    ("instances", "annotations", "annotation", "coco", "person", "keypoints", "default", "result")
)
_PLAIN = re.compile("0|[1-9][0-9]{0,17}")
_Id = int | float | str


def coco(path: Path, account: Account) -> Found | None:
    """Read the pictures that json files speak of; None where there are no such files.

    Raises:
        DataError: A file is damaged, or speaks of other classes or pictures.
    """
    said = _annotations(path)
    if not said:
        return None
    listed = {file: _names(found) for file, found in said.items()}
    pictures = ListedPictures(path, samples.walked(path, account).files, listed)
    samples.are_read(account, said)
    categories = {file: _categories(file, found) for file, found in said.items()}
    classes = _same(_kept(said, categories))
    numbers = {name: number for number, name in enumerate(classes)}
    parts: dict[str | None, list[Sample[Objects]]] = defaultdict(list)
    for file, found in said.items():
        split = _split_of(file.relative_to(path))
        ids = {key: numbers[name] for key, name in categories[file].items() if name in numbers}
        parts[split] += _samples(file, found, ids, split, pictures, account)
    pictures.close(account)
    return {split: Part.of(part) for split, part in samples.by_split(parts, account).items()}, classes


def _names(found: Mapping[str, Any]) -> list[str]:
    """Of the pictures that a file lists; what lists no name is refused where its objects are read."""
    return [str(image["file_name"]) for image in found["images"] if "file_name" in _mapping(image)]


def _mapping(said: Any) -> Mapping[str, Any]:
    return said if isinstance(said, Mapping) else {}


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
    covered = {_split_of(file.relative_to(path)) for file in whole}
    for file, keys in lacking.items():
        split = _split_of(file.relative_to(path))
        is_lost = not whole or (split is not None and split not in covered)
        if (len(keys) == 1 and is_lost) or (whole and instances):
            raise DataError(
                f"annotations of COCO must have lists of {', '.join(_KEYS)}, but {shown(file)} has no list "
                f"of {', '.join(keys)}: export it again"
            )
    return whole


def _lacking(said: Any) -> list[str]:
    return [key for key in _KEYS if not (isinstance(said, dict) and isinstance(said.get(key), list))]


def _require_unique(file: Path, found: Mapping[str, Any], kind: str) -> None:
    ids = Counter(_id(each["id"]) for each in found[kind])
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


def _id(said: Any) -> _Id:
    """An id as ids are compared: some exporters write the same number once as a number, once as text."""
    if isinstance(said, bool) or not isinstance(said, _Id):
        raise TypeError(f"{reprlib.repr(said)} is no id")
    return int(said) if isinstance(said, str) and _PLAIN.fullmatch(said) else said


def _categories(file: Path, found: Mapping[str, Any]) -> dict[_Id, str]:
    """The name of each number."""
    try:
        ids = [category["id"] for category in found["categories"]]
        if not any(all(isinstance(id_, kind) for id_ in ids) for kind in (int | float, str)):
            raise DataError(
                f"ids of categories must be all numbers or all texts, but {shown(file)} has "
                f"{some(map(reprlib.repr, ids), 5)}: export it again"
            )
        _require_unique(file, found, "categories")
        named = {category["id"]: str(category["name"]) for category in found["categories"]}
        used = {annotation["category_id"] for annotation in found["annotations"]}
    except (LookupError, TypeError, AttributeError) as error:
        raise DataError(
            f"categories must have an id and a name, and annotations a category_id, but in {shown(file)} one "
            f"has not ({type(error).__name__}: {error}): export it again"
        ) from error
    if unknown := sorted(map(repr, used - named.keys())):
        raise DataError(
            f"every object must be of a listed category, but {shown(file)} has objects of {some(unknown)}, "
            "which it does not list: export it again"
        )
    return dict(sorted(named.items()))


def _kept(
    said: Mapping[Path, Mapping[str, Any]], categories: Mapping[Path, Mapping[_Id, str]]
) -> dict[Path, list[str]]:
    """Names without one above others that no object of any file has, as some exporters write."""
    listed = [category for found in said.values() for category in found["categories"]]
    own = [each["name"] for each in listed if each.get("supercategory") == each["name"]]
    above = [each.get("supercategory") for each in listed if each.get("supercategory") not in own]
    used = {
        categories[file][each["category_id"]] for file, found in said.items() for each in found["annotations"]
    }
    kept = {}
    for file, named in categories.items():
        names_ = list(named.values())
        kept[file] = [name for name in names_ if name in used or name not in above] or names_
    return kept


def _same(categories: Mapping[Path, list[str]]) -> tuple[str, ...]:
    """The class names of all files, in the order of the first one's ids."""
    (first, found), *others = categories.items()
    known = names.check_class_names(found)
    for file, more in others:
        if strange := sorted(set(more) - set(known)):
            raise DataError(
                f"all splits must have the same classes, but {shown(file)} has "
                f"{some(strange, 5)}, which {shown(first)} does not: export "
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
    ids: Mapping[_Id, int],
    split: str | None,
    pictures: ListedPictures,
    account: Account,
) -> Iterable[Sample[Objects]]:
    with _explained(file):
        _require_unique(file, found, "images")
        images = {_id(image["id"]): image for image in found["images"]}
        of_image = _of_images(found["annotations"], account)
        strange = of_image.keys() - images.keys()
        if of_image and len(strange) == len(of_image):
            raise DataError(
                f"objects must be of listed images, but no object of {shown(file)} is: its objects have an "
                f"image_id of {_example(of_image)}, its images an id of {_example(images)}: export it again"
            )
        if strange:
            account.left_out["boxes of no listed image"] += sum(len(of_image[id_]) for id_ in strange)
    for id_, image in images.items():
        with _explained(file):
            said, name = of_image.get(id_, []), str(image["file_name"])
            frame = (float(image["width"]), float(image["height"])) if image.get("width") else None
            boxes = [_corners(each["bbox"]) for each in said]
            crowds = [
                is_crowd(each.get("iscrowd"), f"an object of {shown(name)} in {shown(file)}") for each in said
            ]
        if picture := pictures.find(name, file, split):
            classes = [ids[each["category_id"]] for each in said]
            yield Sample(pictures.name(picture), picture, Objects(boxes, classes, crowds, frame))


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    """What Python says of images and objects that are not as they must be, in a sentence."""
    try:
        yield
    except DataError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(
            "images must have id and file_name, and objects an image_id and a bbox of x, y, width, height, "
            f"but in {shown(file)} one has not ({type(error).__name__}: {error}): export it again"
        ) from error


def _of_images(
    annotations: Iterable[Mapping[str, Any]], account: Account
) -> dict[_Id | None, list[Mapping[str, Any]]]:
    """The objects with a box, by the image that they are of; those that say none are of None."""
    of_image: dict[_Id | None, list[Mapping[str, Any]]] = defaultdict(list)
    for annotation in annotations:
        image = annotation.get("image_id")
        if annotation.get("bbox"):
            of_image[None if image is None else _id(image)].append(annotation)
        else:
            account.left_out["objects without a box"] += 1
    return of_image


def _example(ids: Iterable[object]) -> str:
    return next((reprlib.repr(id_) for id_ in ids), "nothing, as there are none")


def _corners(bbox: Any) -> tuple[float, float, float, float]:
    if not isinstance(bbox, list):  # the letters of a text are no numbers
        raise TypeError(f"{reprlib.repr(bbox)} is no list")
    x, y, width, height = map(float, bbox)
    return x, y, x + width, y + height
