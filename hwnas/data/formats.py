"""Which files are pictures: by what is in them, and by suffix where that is damaged."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

from hwnas.data.names import shown
from hwnas.errors import DataError

_SUFFIXES = {
    "PNG": ".png .apng",
    "JPEG": ".jpg .jpeg .jpe .jfif .jif .mpo",
    "WEBP": ".webp",
    "GIF": ".gif",
    "BMP": ".bmp .dib",
    "TIFF": ".tif .tiff",
    "PPM": ".ppm .pgm .pbm .pnm",
    "QOI": ".qoi",
    "JPEG2000": ".jp2 .j2k .jpx .jpf .j2c .jpc",
    "AVIF": ".avif .avifs",
    "HEIF": ".heic .heif .hif .heics .heifs",
    "JXL": ".jxl",
}
_KIND_OF = {suffix: kind for kind, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"qoif": "QOI",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG2000",
    b"\xff\x4f\xff\x51": "JPEG2000",
    b"\xff\x0a": "JXL",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JXL",
}
_HEAD = 64  # bytes; that many tell all formats apart
_BRANDS = dict.fromkeys((b"avif", b"avis"), "AVIF") | dict.fromkeys(
    (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"), "HEIF"
)
_NO_PICTURES = frozenset(
    (
        *(
            ".dng",
            ".nef",
            ".cr2",
            ".cr3",
            ".arw",
            ".orf",
            ".rw2",
            ".pef",
            ".raf",
            ".srw",
            ".raw",
            ".3fr",
            ".erf",
        ),
        *(".kdc", ".svs", ".ndpi", ".scn"),
    )
)  # what cameras and slide scanners write begins like TIFF, but what Pillow finds in it is a thumbnail

PLUGINS = {"AVIF": "pillow-avif-plugin", "HEIF": "pillow-heif", "JXL": "pillow-jxl-plugin"}
"""Formats that need another package, or a Pillow that can read them, with the package's name."""

_MODULES = {"pillow_heif": "register_heif_opener", "pillow_avif": None, "pillow_jxl": None}


@cache
def readable() -> tuple[str, ...]:
    """Formats that can be read here, in Pillow's names; plugins that are installed are loaded."""
    from PIL import Image, features

    Image.init()
    known = {kind for kind in _SUFFIXES if kind in Image.OPEN}
    if not features.check("avif"):
        known.discard("AVIF")
    for name, register in _MODULES.items():
        with suppress(ImportError):
            module = importlib.import_module(name)
            if register:
                getattr(module, register)()
            known |= {kind for kind, package in PLUGINS.items() if package.startswith(name.replace("_", "-"))}
    return tuple(kind for kind in _SUFFIXES if kind in known)


def kind(file: Path) -> str | None:
    """The format of a picture, in Pillow's names; None for other files.

    Raises:
        DataError: The file cannot be read.
    """
    suffix = file.suffix.lower()
    if suffix in _NO_PICTURES:
        return None
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD)
    except OSError as error:
        raise DataError(f"files must be readable, but {shown(file)} is not: {error.strerror}") from error
    return of_content(head) or _KIND_OF.get(suffix)


def of_content(head: bytes) -> str | None:
    """The format that begins with these bytes."""
    for beginning, found in _BEGINNINGS.items():
        if head.startswith(beginning):
            return found
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return "BMP"
    if head[4:8] != b"ftyp":
        return None
    return "AVIF" if b"avif" in head[8:] else _BRANDS.get(head[8:12])  # its first brand may be a general one


def require_readable(unread: dict[str, list[Path]], root: Path) -> None:
    """Refuse pictures that would be left out for want of a plugin.

    Raises:
        DataError: There are some.
    """
    for missing, found in unread.items():
        raise DataError(
            f"all images must be readable, but {len(found)} in {shown(root)} are {missing} "
            f"({_first(found)}), which Pillow cannot read here: pip install {PLUGINS[missing]}, "
            "or convert them"
        )


def _first(found: Iterable[Path]) -> str:
    return shown(Path(next(iter(found)).name))
