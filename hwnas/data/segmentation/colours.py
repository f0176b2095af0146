"""Files that name the classes of masks, and say their colours: one class a line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from hwnas.data import names, samples
from hwnas.data.contents import VOID
from hwnas.data.images import Account
from hwnas.data.names import shown
from hwnas.data.tree import files_of
from hwnas.errors import DataError

Colour = tuple[int, int, int]

FILES = (
    *("labels.txt", "classes.txt", "labelmap.txt", "label_map.txt", "label_colors.txt", "colors.txt"),
    "class_dict.csv",
)
"""Names of such files."""

_GAP = r"[\s,;]+"
_RGB = rf"(?P<r>\d{{1,3}}){_GAP}(?P<g>\d{{1,3}}){_GAP}(?P<b>\d{{1,3}})"
_FORMS = (
    # as CVAT's labelmap.txt
    re.compile(r"(?P<name>[^:]+):(?P<r>\d{1,3}),(?P<g>\d{1,3}),(?P<b>\d{1,3})(?::.*)?"),
    re.compile(rf"(?P<name>.*[^\s,;]){_GAP}{_RGB}"),
    re.compile(rf"{_RGB}{_GAP}(?P<name>.+)"),
)
_HEADER = re.compile(r"name[\s,;]+r[\s,;]+g[\s,;]+b", re.IGNORECASE)
_VOIDS = ("void", "ignore")
_VOC_VOID = (224, 224, 192)


@dataclass(frozen=True)
class Listed:
    """The classes of a file.

    Attributes:
        names: Of the classes that count.
        numbers: By line, the class; ``VOID`` for one called void or ignore.
        colours: Each colour with its line, or ``VOID``; empty where the file says none.
    """

    names: tuple[str, ...]
    numbers: tuple[int, ...]
    colours: tuple[tuple[Colour, int], ...] = ()

    @classmethod
    def of(cls, given: tuple[str, ...]) -> Listed:
        """Names without colours."""
        return cls(given, tuple(range(len(given))))


def find(path: Path, account: Account) -> Listed | None:
    """What the file of the classes says; None where there is none in or below a folder.

    Raises:
        DataError: It cannot be understood, or there are several that differ.
    """
    files = [f for f in files_of(path) if f.name.casefold() in FILES]
    files = [f for f in files if not any(map(names.is_hidden, f.relative_to(path).parts))]
    samples.are_read(account, files)
    found = {listed: file for file in files if (listed := parse(file)).numbers}
    if len(found) > 1:
        one, other, *_ = found.values()
        raise DataError(
            f"the classes must be listed once, but {shown(one)} and {shown(other)} differ: remove one"
        )
    return next(iter(found), None)


def parse(file: Path) -> Listed:
    """What one file says.

    Raises:
        DataError: It cannot be understood.
    """
    lines = [line.strip() for line in samples.text(file).splitlines()]
    lines = [line for line in lines if line and not line.startswith("#") and not _HEADER.fullmatch(line)]
    read = [_line(line) for line in lines]
    if len({colour is None for _, colour in read}) > 1:
        unsaid = next(name for name, colour in read if colour is None)
        raise DataError(
            f"all classes must have a colour, or none, but {shown(file)} says none of {shown(unsaid)!r}: "
            "write every line as: name r g b"
        )
    numbers: list[int] = []
    counted: list[str] = []
    for name, _ in read:
        is_void = name.casefold() in _VOIDS
        numbers.append(VOID if is_void else len(counted))
        counted += [] if is_void else [name]
    if len(numbers) > VOID:
        raise DataError(f"there must be at most {VOID} classes, but {shown(file)} lists {len(numbers)}")
    return Listed(names.check_class_names(counted), tuple(numbers), _colours(file, read))


def _line(line: str) -> tuple[str, Colour | None]:
    for form in _FORMS:
        if matched := form.fullmatch(line):
            return matched["name"].strip(), (int(matched["r"]), int(matched["g"]), int(matched["b"]))
    return line, None


def _colours(file: Path, read: list[tuple[str, Colour | None]]) -> tuple[tuple[Colour, int], ...]:
    found: dict[Colour, int] = {}
    for line, (name, colour) in enumerate(read):
        if colour is None:
            return ()
        if max(colour) > 255 or colour in found:
            why = "is no colour of 8 bits" if max(colour) > 255 else "is another's as well"
            raise DataError(
                f"every class must have a colour of its own from 0 0 0 to 255 255 255, but in {shown(file)} "
                f"that of {shown(name)!r}, {' '.join(map(str, colour))}, {why}: correct the file"
            )
        found[colour] = line
    return tuple({_VOC_VOID: VOID, **found}.items()) if found else ()
