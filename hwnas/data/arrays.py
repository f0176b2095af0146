"""Reads an npz file: arrays of images, or of two beside each other, with their labels, in splits or not."""

from __future__ import annotations

import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwnas.data import labels, names, pixels
from hwnas.data.images import Account, Images, Labelled, lacking, memory_bytes, require_room
from hwnas.data.names import shown
from hwnas.data.pixels import Picture
from hwnas.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

_IMAGES = frozenset(("x", "image", "images", "img", "imgs", "data", "pictures"))
_LABELS = frozenset(("y", "label", "labels", "target", "targets"))
_FAULTS = (
    *(OSError, ValueError, EOFError, LookupError, TypeError, SyntaxError, RuntimeError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError),
)  # what damaged files make zipfile and numpy raise
_BYTE = 255
_TWO = 6
"""Channels of two pictures."""
_WHICH = (" (first pictures)", " (second pictures)")


def npz(path: Path, resolution: int) -> Images:
    """Read arrays (n, height, width[, 1, 3, 4 or 6]) with labels: one pair, or a pair a split.

    Six channels are two pictures of one thing.
    """
    account = Account()
    found = _load(path, account)
    pairs = {split: (found[split, "x"], found[split, "y"]) for split in names.SPLITS if (split, "x") in found}
    for split, (images, given) in pairs.items():
        if given.ndim == 0 or images.ndim == 0 or len(given) != len(images):
            raise DataError(
                f"every image must have a label, but {shown(path)} has {_count(images)} images and "
                f"{_count(given)} labels for {split}"
            )
    classes, numbers = labels.encode({split: given for split, (_, given) in pairs.items()}, shown(path))
    count = {_pictures_in(images) for images, _ in pairs.values()}
    if len(count) > 1:
        raise DataError(
            f"all splits of {shown(path)} must have as many pictures a row, but some have six channels, two "
            "pictures, and others not: write all alike"
        )
    room = 3 * max(count)
    require_room(sum(len(images) for images, _ in pairs.values()), resolution, room)
    unit = _unit({split: images for split, (images, _) in pairs.items()}, shown(path), account)
    parts: dict[str, Labelled] = {}
    for split, (images, _) in pairs.items():
        parts[split] = _stacked(images, unit, split, account, resolution), numbers[split]
    account.notes += lacking(classes, {split: numbers[split] for split in numbers if split != "train"})
    return Images(classes, parts["train"], parts.get("test"), True, parts.get("val"), account)


def _stacked(
    images: NDArray[Any], unit: float, split: str, account: Account, resolution: int
) -> NDArray[np.uint8]:
    """Shape (n, 3 or 6, resolution, resolution); a row of two pictures is known by both."""
    prints, stacks = list[list[tuple[bytes, str]]](), list[NDArray[np.uint8]]()
    for which, half in _halves(images):
        pictures = (
            (Picture(image), f"row {row} of {split}") for row, image in enumerate(_pictures(half, unit))
        )
        stacks.append(account.stack(f"{split}{which}", pictures, len(images), resolution))
        prints.append(account.prints.pop(f"{split}{which}"))
    account.prints[split] = [
        (b"".join(content for content, _ in row), row[0][1]) for row in zip(*prints, strict=True)
    ]
    return stacks[0] if len(stacks) == 1 else np.concatenate(stacks, axis=1)


def _pictures_in(images: NDArray[Any]) -> int:
    """How many pictures a row has."""
    return 2 if images.ndim == 4 and images.shape[3] == _TWO else 1


def _halves(images: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """The pictures of all rows, and which ones they are where a row has two."""
    count = _pictures_in(images)
    yield from zip(_WHICH if count > 1 else ("",), np.split(images, count, axis=-1), strict=True)


def _count(array: NDArray[Any]) -> int:
    return len(array) if array.ndim else 0


def _load(path: Path, account: Account) -> dict[tuple[str, str], NDArray[Any]]:
    """Arrays by split and by "x" or "y"; of every "x" the "y" is there, and "train" is."""
    try:
        with zipfile.ZipFile(path) as archive:
            roles = _roles(archive, path, account)
            _check_sizes(archive, roles, path)
            return {role: _array(archive, member) for role, member in roles.items()}
    except DataError:
        raise
    except _FAULTS as error:
        raise DataError(
            f"{shown(path)} must be a readable npz file without objects, but is not: "
            f"{' '.join(str(error).split())}"
        ) from error


def _roles(archive: zipfile.ZipFile, path: Path, account: Account) -> dict[tuple[str, str], str]:
    """Member of the archive for each split and role."""
    held = [name for name in archive.namelist() if name.endswith(".npy")]
    roles: dict[tuple[str, str], str] = {}
    for member in held:
        role = _role(member.removesuffix(".npy"))
        if role in roles:
            raise DataError(
                f"each array must be there once, but {roles[role]} and {member} in {shown(path)} are the same"
            )
        if role:
            roles[role] = member
    splits = {split for split, _ in roles}
    roles = {(names.settled(split, splits), kind): member for (split, kind), member in roles.items()}
    whole = all((split, "y") in roles for split, kind in roles if kind == "x")
    if ("train", "x") not in roles or not whole:
        raise DataError(
            "an npz file must hold images and labels, or x_train, y_train, x_test and y_test (x_val and "
            f"y_val too, if wanted), but {shown(path)} holds {sorted(map(shown, archive.namelist()))[:12]}"
        )
    used = {member for (split, _), member in roles.items() if (split, "x") in roles}
    if unused := len(archive.namelist()) - len(used):
        account.left_out["arrays"] += unused
    return {role: member for role, member in roles.items() if member in used}


def _role(name: str) -> tuple[str, str] | None:
    """Split and "x" or "y" of an array's name: ``x_train``, ``val_labels``, ``images``."""
    words = [word for word in re.split(r"[\W_]+", name.casefold()) if word]
    kinds = ["x" if word in _IMAGES else "y" for word in words if word in _IMAGES | _LABELS]
    rest = [word for word in words if word not in _IMAGES | _LABELS]
    split = names.split_of_file(rest[0]) if len(rest) == 1 else "train" if not rest else None
    return (split, kinds[0]) if len(kinds) == 1 and split else None


def _check_sizes(archive: zipfile.ZipFile, roles: Mapping[tuple[str, str], str], path: Path) -> None:
    """Compare what headers claim with what is there and with memory, before any is taken."""
    total = 0
    for member in roles.values():
        with archive.open(member) as file:
            shape, dtype = _header(file)
            claimed, offset = int(np.prod([float(side) for side in shape])) * dtype.itemsize, file.tell()
        if dtype.hasobject:
            raise DataError(f"{shown(path)} must be an npz file without objects, but {member} holds some")
        if archive.getinfo(member).file_size != offset + claimed:
            raise DataError(
                f"{shown(path)} must be whole, but {member} claims {claimed:,} bytes and holds "
                f"{archive.getinfo(member).file_size - offset:,}: make the file again"
            )
        total += claimed
    if total > memory_bytes() // 2:
        raise DataError(
            f"arrays must fit in half of this machine's memory, but {shown(path)} claims {total / 2**30:.1f} "
            f"GiB of {memory_bytes() / 2**30:.1f}: take a subset, or a folder of images"
        )


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def _array(archive: zipfile.ZipFile, member: str) -> NDArray[Any]:
    with archive.open(member) as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _unit(parts: Mapping[str, NDArray[Any]], where: str, account: Account) -> float:
    """What of the arrays' numbers is one step of 255; the same for all splits.

    Raises:
        DataError: The arrays are not images, or their numbers have no plain meaning.
    """
    dtypes = {images.dtype for images in parts.values()}
    for images in parts.values():
        _check_shape(images, where)
    dtype = np.result_type(*dtypes) if len(dtypes) == 1 else None
    if dtype is None or dtype.kind not in "buif":
        raise DataError(f"image arrays must be uint8 or other numbers, all alike, but {where} has {dtypes}")
    if dtype.kind == "f" and not all(np.isfinite(images).all() for images in parts.values()):
        raise DataError(f"image arrays must be finite, but {where} has NaN or infinity: replace them")
    ranges = {
        f"{split}{which}": _range(half, f"{where} ({split}{which})")
        for split, images in parts.items()
        for which, half in _halves(images)
    }
    scales = {scale.full: split for split, scale in ranges.items() if scale.high > 0}
    if len(scales) > 1:
        seen = ", ".join(f"{s} goes from {_told(r.low)} to {_told(r.high)}" for s, r in ranges.items())
        raise DataError(f"all parts must use the same scale, but in {where} {seen}: scale them alike")
    full = next(iter(scales), next(iter(ranges.values())).full)
    if dtype != np.uint8:
        low, high = (min(r.low for r in ranges.values()), max(r.high for r in ranges.values()))
        account.notes.append(f"{dtype} from {_told(low)} to {_told(high)} was read as 0 to {full}")
    return full / _BYTE


@dataclass(frozen=True)
class _Range:
    """Of the colours of an array.

    Attributes:
        low: Least value.
        high: Largest value.
        full: The number that stands for white.
    """

    low: float
    high: float
    full: int


def _range(images: NDArray[Any], where: str) -> _Range:
    """Of one split.

    Raises:
        DataError: Colours or alpha have no plain meaning.
    """
    has_alpha = images.ndim == 4 and images.shape[3] == 4
    colours = images[..., :3] if has_alpha else images
    low, high = float(images.min()), float(colours.max())
    full = _full_scale(images.dtype, high)
    dark = full > 1 and images.dtype != np.uint8 and high < full * pixels.LEAST_RANGE
    if low < 0 or high > full or dark:
        raise DataError(
            "image arrays must be uint8, uint16 that use 0 to 65535, or other numbers that use 0 to 1 or 0 "
            f"to 255, but {where} has {images.dtype} from {_told(low)} to {_told(high)}: scale them"
        )
    alpha = float(images[..., 3].max()) if has_alpha else full
    if alpha > full or 0 < alpha < full * pixels.LEAST_RANGE:
        raise DataError(
            f"alpha must use the same scale as colours, but {where} has colours up to {_told(high)}, of "
            f"{full}, and alpha up to {_told(alpha)}: scale it alike"
        )
    return _Range(low, high, full)


def _told(value: float) -> str:
    """With all digits where fewer say a bound that it is not."""
    short = f"{value:g}"
    return short if float(short) not in (0, 1, _BYTE, 65535) else repr(value).removesuffix(".0")


def _full_scale(dtype: np.dtype[Any], high: float) -> int:
    """The number that stands for white."""
    if dtype.kind == "b" or (dtype.kind == "f" and high <= 1):
        return 1
    return 65535 if (dtype.kind, dtype.itemsize) == ("u", 2) else _BYTE


def _check_shape(images: NDArray[Any], where: str) -> None:
    fits = images.ndim == 3 or (images.ndim == 4 and images.shape[3] in (1, 3, 4, _TWO))
    if not fits or images.size == 0:
        turned = images.ndim == 4 and images.shape[1] in (1, 3, 4, _TWO)
        raise DataError(
            "image arrays must have shape (n, height, width) or (n, height, width, 1 or 3), or 4 with alpha, "
            f"or 6 of two pictures, but {where} has {images.dtype} of shape {images.shape}"
            + (": images.transpose(0, 2, 3, 1) puts channels last" if turned else "")
        )


def _pictures(images: NDArray[Any], unit: float) -> Iterator[Image]:
    """Each as an opaque RGB picture."""
    from PIL import Image

    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    for image in images:
        if image.dtype != np.uint8:
            image = np.rint(image / unit).astype(np.uint8)
        yield pixels.on_white(Image.fromarray(image))
