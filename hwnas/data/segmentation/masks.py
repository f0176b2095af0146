"""What the values of masks mean: class numbers, colours, or black and white."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwnas.data import pixels, samples
from hwnas.data.contents import VOID
from hwnas.data.images import Account, some
from hwnas.data.segmentation.colours import Listed
from hwnas.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

_EXACT = ("PNG", "BMP", "TIFF", "PPM", "GIF", "QOI")  # formats that change no pixel
_MOST_UNNAMED = 64  # classes; more values without names are grey levels


class Masks:
    """Reads the masks of a source; in the end, all values that were met say what they mean.

    Args:
        listed: The classes, where the source says them.
    """

    def __init__(self, listed: Listed | None) -> None:
        self._listed = listed
        colours = dict(listed.colours) if listed else {}
        self._codes = np.array([(r << 16) + (g << 8) + b for r, g, b in colours], np.int64)
        self._lines = np.array(list(colours.values()), np.uint8)[np.argsort(self._codes)]
        self._codes.sort()
        self._is_grey = bool(colours) and all(
            r == g == b for (r, g, b), line in colours.items() if line != VOID
        )
        self._met: dict[int, str] = {}
        self._palettes: dict[int, tuple[int, str]] = {}
        self._sized: list[str] = []
        self._empty: list[str] = []

    def read(
        self, file: Path | bytes, name: str, size: tuple[int, int], resolution: int
    ) -> NDArray[np.uint8]:
        """The values of one mask by the nearest pixel, shape (resolution, resolution).

        Args:
            file: Where it is, or what is in it.
            name: Of its picture.
            size: Width and height of its picture.
            resolution: That it is stretched to.

        Raises:
            DataError: It is no mask of this picture.
        """
        image = _opened(file, f"the mask of {name}")
        if not samples.is_alike(image.size, size):
            raise DataError(
                f"a mask must have the shape of its picture, but {name} has {size[0]}x{size[1]} pixels, "
                f"upright, and its mask {image.width}x{image.height}: make the mask again"
            )
        if image.size != size:
            self._sized.append(name)
        values = self._values(image, name, resolution)
        if (values == VOID).all():
            self._empty.append(name)
        return values

    def classes(self, parts: Iterable[NDArray[np.uint8]], where: str, account: Account) -> tuple[str, ...]:
        """The names of the classes; all masks that were read become class numbers in place.

        Raises:
            DataError: Values have no plain meaning.
        """
        met = sorted(self._met.keys() - {VOID})
        listed, is_binary = self._listed, self._is_binary()
        if is_binary:
            account.notes.append(
                "masks hold 0 and 255 alone: 255 was read as the class, not as pixels that do not count"
            )
            met = [0, 1]
        if listed is None:
            listed = Listed.of(self._unnamed(met, where))
        if met and met[-1] >= len(listed.numbers):
            raise DataError(
                f"every value of a mask must have a name, but the mask of {self._met[met[-1]]} has {met[-1]} "
                f"and there are {len(listed.numbers)} names, for 0 to {len(listed.numbers) - 1}: correct the "
                "names, or the mask (255 is for pixels that do not count)"
            )
        if len(listed.names) < 2:
            raise DataError(
                f"masks must have at least two classes, but {where} names {some(listed.names)} alone: name "
                "the others as well"
            )
        table = np.full(256, VOID, np.uint8)
        table[: len(listed.numbers)] = listed.numbers
        if is_binary:
            table[VOID] = listed.numbers[1]
        for mask in (mask for part in parts for mask in part):
            mask[...] = table[mask]
        self._note(listed, is_binary, account)
        return listed.names

    def _is_binary(self) -> bool:
        is_plain = self._listed is None or (self._listed.numbers == (0, 1) and not self._listed.colours)
        return is_plain and self._met.keys() == {0, VOID}

    def _unnamed(self, met: list[int], where: str) -> tuple[str, ...]:
        """Names for numbers that have none."""
        if not met:
            raise DataError(
                f"masks must have at least two classes, but all pixels in {where} are 255, void: give masks "
                "that number the classes 0, 1, 2 and so on"
            )
        if len(met) == 1:
            raise DataError(
                f"masks must have at least two classes, but all pixels in {where} that count are {met[0]}: "
                "give masks that show what is to be found"
            )
        if met[-1] >= _MOST_UNNAMED or len(met) <= (met[-1] + 1) // 2:
            raise DataError(
                f"the values of masks must be class numbers from 0, but {where} has {len(met)} values from "
                f"{met[0]} to {met[-1]}: number the classes 0, 1, 2 and so on, do not smooth masks, and name "
                "the classes in labels.txt, one a line, where they are many"
            )
        return ("background", *(f"class {number}" for number in range(1, met[-1] + 1)))

    def _note(self, listed: Listed, is_binary: bool, account: Account) -> None:
        if self._sized:
            account.notes.append(
                f"{len(self._sized)} masks are of another size than their picture, and were scaled "
                f"({some(self._sized)})"
            )
        if self._empty and not is_binary:
            account.notes.append(
                f"{len(self._empty)} masks are all void, 255: nothing is learnt of their pictures "
                f"({some(self._empty)})"
            )

    def _values(self, image: Image, name: str, resolution: int) -> NDArray[np.uint8]:
        """Numbers, or lines of the list where colours are meant."""
        from PIL import Image as Pillow

        nearest = Pillow.Resampling.NEAREST
        kind, image = image.format, _plain(image, name)
        if self._is_coloured(image):
            values = self._of_colours(image.convert("RGB").resize((resolution,) * 2, nearest), name)
            met = np.unique(values).tolist()
        else:
            self._check_palette(image, kind, name)
            grey = _numbers(image, name)
            values = np.asarray(grey.resize((resolution,) * 2, nearest))
            met = [value for value, count in enumerate(grey.histogram()) if count]
        for value in met:
            self._met.setdefault(value, name)
        return values

    def _is_coloured(self, image: Image) -> bool:
        """Whether a mask is to be read by the list's colours."""
        if not len(self._codes):
            return False
        if image.mode == "P":
            used = _used(image)
            known = np.isin(list(used.values()), self._codes)
            return bool(known.all() or (known.any() and not _is_ramp(used)))
        return image.mode == "RGB" or self._is_grey

    def _check_palette(self, image: Image, kind: str | None, name: str) -> None:
        """Refuse a palette that says that its numbers are no class numbers."""
        if image.mode != "P":
            return
        remedy = "write class numbers as grey PNG files, or list the colours of the classes in labels.txt"
        if kind == "GIF":
            raise DataError(
                f"masks must keep every number, but the mask of {name} is GIF, whose colours are renumbered "
                f"when it is written: {remedy}"
            )
        used = _used(image)
        if _is_ramp(used):
            return
        for number, code in used.items():
            before, of = self._palettes.setdefault(number, (code, name))
            if before != code:
                raise DataError(
                    f"palettes of masks must agree, but {number} is {_rgb(before)} in the mask of {of} and "
                    f"{_rgb(code)} in that of {name}: {remedy}"
                )

    def _of_colours(self, image: Image, name: str) -> NDArray[np.uint8]:
        codes = np.asarray(image).astype(np.int64) @ (65536, 256, 1)
        place = np.searchsorted(self._codes, codes).clip(max=len(self._codes) - 1)
        if (strange := codes[self._codes[place] != codes]).size:
            raise DataError(
                f"every colour of a mask must be listed, but the mask of {name} has {_told(strange)}: list "
                "it, and do not smooth masks"
            )
        lines: NDArray[np.uint8] = self._lines[place]
        return lines


def _used(image: Image) -> dict[int, int]:
    """The numbers that a mask with a palette has, and their colours, as red * 65536 + green * 256 + blue."""
    given, palette = image.getpalette("RGB") or [], np.zeros(3 * 256, np.int64)
    palette[: len(given)] = given
    codes = palette.reshape(-1, 3) @ (65536, 256, 1)
    return {index: int(codes[index]) for index, count in enumerate(image.histogram()) if count}


def _is_ramp(used: dict[int, int]) -> bool:
    """Whether the palette only repeats the numbers as greys."""
    return all(code == index * 0x010101 for index, code in used.items())


def _opened(file: Path | bytes, name: str) -> Image:
    """One mask, loaded.

    Raises:
        DataError: It is damaged, or of a format that changes pixels.
    """
    image = pixels.opened(io.BytesIO(file) if isinstance(file, bytes) else file, name)
    if image.format not in _EXACT:
        raise DataError(
            f"masks must be of a format that keeps every pixel, but {name} is {image.format}: make PNG files "
            "of the originals"
        )
    return image


def _plain(image: Image, name: str) -> Image:
    """Without alpha, which must hide nothing."""
    if image.mode not in ("LA", "RGBA", "PA"):
        return image
    if image.getchannel("A").getextrema()[0] != 255:
        raise DataError(f"masks must be opaque, but {name} has a mask with alpha: write it without")
    return image.convert("L" if image.mode == "LA" else "RGB")


def _numbers(image: Image, name: str) -> Image:
    """Class numbers, as a grey image."""
    from PIL import Image as Pillow
    from PIL import ImageChops

    if image.mode == "RGB":
        red, green, blue = image.split()
        if any(ImageChops.difference(red, other).getbbox() for other in (green, blue)):
            codes = np.asarray(image).astype(np.int64) @ (65536, 256, 1)
            raise DataError(
                f"the colours of masks must be listed, but the mask of {name} has {_told(codes.reshape(-1))} "
                "and there is no labels.txt: write one beside the masks' folder, a class a line: name r g b"
            )
        return red
    values = np.asarray(image)
    if values.ndim != 2 or values.dtype.kind not in "biu" or values.min() < 0 or values.max() > VOID:
        raise DataError(
            f"masks must hold a class number of 0 to 255 a pixel, but the mask of {name} has {image.mode} "
            f"from {values.min()} to {values.max()}: number classes, not objects"
        )
    return Pillow.fromarray(values.astype(np.uint8))


def _told(codes: NDArray[np.int64]) -> str:
    """The first few of some colours."""
    found = np.unique(codes)
    colours = list(map(_rgb, found.tolist()))
    return f"{'the colour' if len(colours) == 1 else 'colours'} {some(colours, 5)}"


def _rgb(code: int) -> str:
    return f"{code >> 16} {code >> 8 & 255} {code & 255}"
