"""Reads VOC's xml: a folder ``Annotations`` beside ``JPEGImages``, or files beside their pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from hwnas.data import names, samples
from hwnas.data.detection.objects import Found, Objects, numbered
from hwnas.data.images import Account, some
from hwnas.data.names import is_hidden, shown
from hwnas.data.samples import Part, Sample
from hwnas.data.tree import files_of
from hwnas.errors import DataError

_XML = frozenset(("annotations", "annotation", "xml", "xmls", "labels"))
Named = tuple[Objects, list[str]]
"""Objects without classes, and the names of their classes."""


def _files_in(path: Path) -> list[Path]:
    """The xml files below a folder."""
    found = (file for file in files_of(path) if file.suffix.lower() == ".xml")
    return [file for file in found if not any(map(is_hidden, file.relative_to(path).parts))]


def voc(path: Path, account: Account) -> Found | None:
    """Read pictures that have an xml file; None where there are no such files.

    Pictures without one are left out, as nobody may have looked at them.
    What is called difficult is kept as a crowd: neither to be found nor wrong to find.

    Raises:
        DataError: A file is damaged, or classes are of one split only.
    """
    files = _files_in(path)
    if not files:
        return None
    xml = samples.one_each(files, lambda file: _key(file, path))
    root = samples.voc_root(path, "Annotations")
    pictures = samples.walked(root / "JPEGImages" if root else path, account).files
    samples.are_read(account, files)
    stems = {picture.stem for picture in pictures}
    lists = samples.listed(root / "ImageSets" / "Main", stems) if root else {}
    _note_gone(lists, stems, account)
    split_of = {stem: split for split, named in lists.items() for stem in named}
    found: dict[str | None, list[Sample[Named]]] = defaultdict(list)
    alone = []
    for picture in pictures:
        where, file = samples.place(picture.relative_to(path), _XML), xml.pop(_key(picture, path), None)
        name = shown(picture.relative_to(path))
        if file is None:
            alone.append(name)
        else:
            split = split_of.get(picture.stem) if lists else where.split
            found[split].append(Sample(name, picture, _parsed(file)))
    if alone:
        account.left_out["without xml"] += len(alone)
        account.notes.append(f"{len(alone)} images have no xml file and are not used ({some(alone)})")
    if xml:
        account.left_out["xml without a picture"] += len(xml)
    splits = samples.by_split(found, account)
    said = {split: [name for each in part for name in each.truth[1]] for split, part in splits.items()}
    numbers = numbered(said, path)
    parts = {
        split: Part.of([Sample(each.name, each.file, _classed(each.truth, numbers)) for each in part])
        for split, part in splits.items()
    }
    return parts, names.check_class_names(list(numbers))


def _note_gone(lists: Mapping[str, Sequence[str]], stems: Collection[str], account: Account) -> None:
    """Say which pictures are listed, but not there."""
    for split, named in lists.items():
        if gone := [stem for stem in named if stem not in stems]:
            account.left_out["listed, but not there"] += len(gone)
            account.notes.append(
                f"{len(gone)} of {len(named)} listed {split} images are not there and are not used "
                f"({some(gone)})"
            )


def _key(file: Path, root: Path) -> tuple[object, ...]:
    where = samples.place(file.relative_to(root), _XML)
    return where.split, where.rest, file.stem


def _classed(named: Named, numbers: dict[str, int]) -> Objects:
    objects, classes = named
    return replace(objects, classes=[numbers[name] for name in classes])


def _parsed(file: Path) -> Named:
    """What one file says; boxes are taken as they are written."""
    said = samples.text(file)
    if "<!ENTITY" in said:
        raise DataError(f"xml must say no entities of its own, but {shown(file)} does: write it without")
    try:
        root = ElementTree.fromstring(said)  # noqa: S314 - entities are refused
        if root.tag != "annotation":
            raise ValueError(f"its root is {shown(root.tag)[:60]}, not annotation")
        size = [float(root.findtext(f"size/{side}") or 0) for side in ("width", "height")]
        objects = root.findall("object")
        boxes = [
            (_number(each, "xmin"), _number(each, "ymin"), _number(each, "xmax"), _number(each, "ymax"))
            for each in objects
        ]
        classes = [_needed(each, "name").strip() for each in objects]
        crowds = [(each.findtext("difficult") or "0").strip() == "1" for each in objects]
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(
            f"VOC annotations must be xml with name and bndbox of every object, but {shown(file)} is not: "
            f"{error}"
        ) from error
    frame = None if any(side <= 0 for side in size) else (size[0], size[1])  # NaN is refused later
    return Objects(boxes, (), crowds, frame), classes


def _number(element: ElementTree.Element, corner: str) -> float:
    return float(_needed(element, f"bndbox/{corner}"))


def _needed(element: ElementTree.Element, path: str) -> str:
    found = element.findtext(path)
    if not found or not found.strip():
        raise ValueError(f"an object has no {path}")
    return found
