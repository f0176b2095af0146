"""What names of files and folders mean: splits, clutter of systems, class names that can ship."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from hwnas.errors import DataError

SPLITS = ("train", "val", "test")

_WORDS = {
    "train": ("train", "training", "trn", "tr"),
    "val": ("val", "valid", "validation", "validate", "validating", "dev", "devel", "development"),
    "test": ("test", "tests", "testing", "tst"),
    "eval": ("eval", "evaluation", "evaluate"),  # validation, or the test split beside a validation
}
_SPLIT_OF = {word: split for split, words in _WORDS.items() for word in words}
_SAYS_NOTHING = re.compile(
    r"set|sets|split|data|dataset|images?|imgs?|pictures?|photos?|files?|folder|(?:19|20)\d\d|\d+x\d+"
)
_ORDER = re.compile(r"\d{1,2}|[a-z]")
_WORD = re.compile(r"[^\W_]+")
_JOINED = re.compile(r"(\w+?)(?:set|data|images|imgs)")

WRAPPERS = frozenset(
    (
        "images",
        "image",
        "imgs",
        "img",
        "pictures",
        "pics",
        "photos",
        "jpegimages",
        "jpg",
        "jpeg",
        "png",
        "data",
    )
)
"""Folders that hold pictures and say nothing of their class."""

_SYSTEM = frozenset(
    (
        *("__macosx", "@eadir", "#recycle", "@recycle", "@recently-snapshot", "#snapshot", "$recycle.bin"),
        *("system volume information", "lost+found", "__pycache__", "thumbs.db", "ehthumbs.db"),
        *("ehthumbs_vista.db", "desktop.ini", "icon\r"),
    )
)


_JOINERS = "\u200c\u200d"
_NO_JOINERS = dict.fromkeys(map(ord, _JOINERS))


def is_hidden(name: str) -> bool:
    """Whether a file or folder is one that people do not see: hidden, or left there by a system."""
    return name.startswith(".") or name.casefold() in _SYSTEM


def splits_of(names: Iterable[str]) -> dict[str, list[str]]:
    """Which of the names are splits: "train", "val" and "test", each with its names.

    A name counts where nothing but the split is said ("Train", "training_set", "images_val",
    "test2017"), or where names differ in the split alone ("seg_train", "seg_test") and in what they are
    ordered by ("1_train", "2_test").
    """
    read = {name: words for name in names if (words := _words(name))}
    families: dict[tuple[str, ...], set[str]] = {}
    for rest, split in read.values():
        families.setdefault(_unordered(rest), set()).add(split)
    found: dict[str, list[str]] = {}
    for name, (rest, split) in read.items():
        if rest == () or {"train"} < families[_unordered(rest)]:
            found.setdefault(split, []).append(name)
    return {settled(split, found): same for split, same in found.items()}


def settled(split: str, among: Iterable[str]) -> str:
    """What "eval" is: validation, or the test split where there is a validation besides."""
    if split != "eval":
        return split
    return "test" if "val" in among else "val"


def _words(name: str) -> tuple[tuple[str, ...], str] | None:
    """The words beside the one that names a split, and the split; None where none or several do."""
    spread = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[a-z]{2})(?=\d)", " ", name).casefold()
    words = [word for word in _WORD.findall(spread) if not _SAYS_NOTHING.fullmatch(word)]
    said = [_SPLIT_OF.get(word) or _SPLIT_OF.get(_stem(word)) for word in words]
    if sum(split is not None for split in said) != 1:
        return None
    rest = tuple(word for word, split in zip(words, said, strict=True) if split is None)
    return rest, next(split for split in said if split is not None)


def _unordered(rest: tuple[str, ...]) -> tuple[str, ...]:
    """Words without the one that names are ordered by: ``1_train`` says no more than ``train``."""
    return rest[1:] if rest and _ORDER.fullmatch(rest[0]) else rest


def _stem(word: str) -> str:
    """``trainset`` is ``train``."""
    found = _JOINED.fullmatch(word)
    return found[1] if found else word


def split_of_file(stem: str) -> str | None:
    """The split that a name begins with, as in ``train-00000-of-00002``; "eval" is not settled."""
    found = re.match(r"[^\W\d_]+", stem)
    word = found[0].casefold() if found else ""
    return _SPLIT_OF.get(word) or _SPLIT_OF.get(_stem(word))


def check_class_name(name: str) -> str:
    """The name of a class, if it can be a line of ``labels.txt`` and be printed.

    Raises:
        DataError: It is empty, of several lines, has control characters or unseen ones, or is not UTF-8.
    """
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"a class name must be UTF-8, but got '{shown(name)}': rename the class") from error
    if not name.strip():
        raise DataError(
            f"a class name must be one line of text that can be seen, but got {name!r}: rename the class"
        )
    if name.splitlines() != [name] or any(unicodedata.category(letter) == "Cc" for letter in name):
        raise DataError(f"a class name must be one line of text, but got {name!r}: rename the class")
    if unseen := _unseen(name):
        raise DataError(
            f"a class name must be text that can be seen, but {name!r} has {', '.join(unseen)}, which "
            "cannot: rename the class"
        )
    return name


def _unseen(name: str) -> list[str]:
    """Format characters of a name, in order, but for the joiners that some scripts and emoji need."""
    return [
        f"U+{ord(letter):04X}"
        for before, letter, after in zip(" " + name, name, name[1:] + " ", strict=False)
        if unicodedata.category(letter) == "Cf"
        and not (letter in _JOINERS and not before.isspace() and not after.isspace() and _joins(before))
    ]


def _joins(letter: str) -> bool:
    """Whether joiners may follow a letter: not those of Latin, Greek or Cyrillic, nor digits or signs."""
    return unicodedata.category(letter) in ("Lo", "Mn", "Mc", "So", "Sk")


def check_class_names(names: Sequence[str]) -> tuple[str, ...]:
    """Names of classes that can ship and be told apart.

    Raises:
        DataError: One cannot be a label, or two look the same.
    """
    seen: dict[str, str] = {}
    for name in map(check_class_name, names):
        form = " ".join(unicodedata.normalize("NFKC", name.translate(_NO_JOINERS)).split())
        form = form.casefold() if len(form) > 1 else form  # a and A are letters
        if form in seen:
            raise DataError(
                f"class names must be different, but {seen[form]!r} and {name!r} look the same: rename one, "
                "or put both together"
            )
        seen[form] = name
    return tuple(names)


def shown(path: str | PurePath) -> str:
    r"""A path as it can be printed anywhere: what is no text, or steers a terminal, is escaped.

    A byte that is no text is ``\xff``, as ``$'...'`` of a shell takes it.
    """
    return "".join(map(_shown_letter, str(path)))


def _shown_letter(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":  # how Python keeps a byte that is no text
        return f"\\x{ord(letter) - 0xDC00:02x}"
    steers = unicodedata.category(letter) in ("Cc", "Cf", "Cs") and letter not in _JOINERS
    return letter.encode("unicode_escape").decode() if steers else letter
