"""How one picture becomes the pixels that a network reads.

Every way to images goes through here, and what ships says the same: ``RULES`` lies in
``preprocessing.json``, and a test compares the shipped examples with ``decode``, mode by mode.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from hwnas.data import formats
from hwnas.errors import DataError
from hwnas.quiet import ALONE

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")
RULES = {
    "frames": "the first of an animation or of several pages",
    "orientation": "turned upright as EXIF says",
    "depth": "grey of 16 bits becomes 8 by round(value / 257), colour of 16 bits by its high byte; 32 bits "
    "are refused",
    "alpha": "laid on white",
    "colour": "RGB; grey gives three equal channels; colour profiles are ignored",
}
"""What ``decode`` does, in this order; then the picture is scaled and cut to its centre."""

BACKGROUND = "white"
MAX_PIXELS = 178_956_970  # where Pillow gives up as well
LEAST_RANGE = 1 / 8  # of the range of a type: darker than this, only 32 of 256 levels would be left

_FAULTS = (
    *(OSError, ValueError, SyntaxError, TypeError, LookupError, ArithmeticError, AttributeError),
    *(EOFError, MemoryError, struct.error, zlib.error),
)  # what damaged files make Pillow raise


@dataclass(frozen=True)
class Picture:
    """One decoded picture.

    Attributes:
        image: Upright, opaque, RGB.
        frames: How many the file holds; the first was taken.
        peak: Largest value of the colours of a picture of 16 bits a channel, at most; None for others.
    """

    image: Image
    frames: int = 1
    peak: int | None = None


def decode(file: Path | IO[bytes], name: str) -> Picture:
    """One picture as ``RULES`` say.

    Args:
        file: A path, or a file that is open.
        name: What it is called in errors.

    Raises:
        DataError: It is no picture, is damaged, too large, or of numbers without a stated range.
    """
    return _used(file, name, lambda image: _opaque(image, name))


def opened(file: Path | IO[bytes], name: str) -> Image:
    """What a file holds, as it is: for masks, whose values are no colours. Arguments as of ``decode``."""

    def loaded(image: Image) -> Image:
        image.load()
        return image

    return _used(file, name, loaded)


def _used(file: Path | IO[bytes], name: str, use: Callable[[Image], T]) -> T:
    """What is made of a picture while its file is open."""
    from PIL import Image

    try:
        with ALONE, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about metadata that is not read; sizes are checked here
            with Image.open(file, formats=formats.readable()) as image:
                _check_size(image, name)
                return use(image)
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(name) from error
    except _FAULTS as error:
        raise DataError(
            f"every image must be readable, but {name} is not: {_reason(error)}{_beginning(file)}: "
            "get it again, or remove it"
        ) from error


def _check_size(image: Image, name: str) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(name)


def _too_large(name: str) -> DataError:
    return DataError(
        f"an image must have at most {MAX_PIXELS / 1e6:.0f} million pixels, but {name} claims more: "
        "scale it down, or remove it"
    )


def _opaque(image: Image, name: str) -> Picture:
    """Load, turn, bring to 8 bits, lay on white."""
    from PIL import Image as Pillow
    from PIL import ImageOps

    frames = 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
    wide = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PPM", "PNG"))
    if image.mode in ("I", "F") and not wide:
        raise DataError(
            f"an image must have 8 or 16 bits a channel, but {name} has 32 (mode {image.mode}), whose range "
            "nobody states: convert it"
        )
    deep = any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
    ImageOps.exif_transpose(image, in_place=True)
    if wide:
        values = np.asarray(image)
        grey = Pillow.fromarray(np.rint(values / 257).astype(np.uint8))
        return Picture(grey.convert("RGB"), frames, int(values.max()))
    return Picture(on_white(image), frames, _peak(image) if deep else None)


def _peak(image: Image) -> int | None:
    """Of colour that had 16 bits, of which Pillow kept the high ones; None of black with alpha."""
    bands = zip(image.getbands(), image.split(), strict=True)
    high = max(int(band.getextrema()[1]) for name, band in bands if name != "A")  # type: ignore[arg-type]
    return None if high == 0 and "A" in image.getbands() else high * 256 + 255


def on_white(image: Image) -> Image:
    """RGB, without what alpha hides."""
    from PIL import Image as Pillow

    if image.has_transparency_data:
        image = Pillow.alpha_composite(Pillow.new("RGBA", image.size, BACKGROUND), image.convert("RGBA"))
    return image.convert("RGB")


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return "its format is not known" if "cannot identify" in text else text or type(error).__name__


def _beginning(file: Path | IO[bytes]) -> str:
    """What a file that only claims to be a picture is instead, where its beginning says so."""
    if not isinstance(file, Path):
        return ""
    with suppress(OSError), file.open("rb") as opened:
        head = opened.read(40)
        if not head:
            return " (the file is empty)"
        if head.isascii() and head.decode().replace("\n", " ").isprintable():
            return f" (it is text: {head.decode().splitlines()[0]!r}…)"
    return ""


def stretched(image: Image, resolution: int) -> NDArray[np.uint8]:
    """Scaled to a square whatever its shape: nothing is cut off; shape (3, resolution, resolution)."""
    from PIL import Image as Pillow

    if image.size != (resolution, resolution):
        image = image.resize((resolution, resolution), Pillow.Resampling.BILINEAR)
    return np.asarray(image).transpose(2, 0, 1)


def square(image: Image, resolution: int) -> NDArray[np.uint8]:
    """Scaled until a square is filled, cut to its centre; shape (3, resolution, resolution)."""
    from PIL import Image as Pillow
    from PIL import ImageOps

    if image.size != (resolution, resolution):
        image = ImageOps.fit(image, (resolution, resolution), Pillow.Resampling.BILINEAR)
    return np.asarray(image).transpose(2, 0, 1)
