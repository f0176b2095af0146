"""What a reader hands over: images of one resolution, their splits, and an account of the reading."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwnas.data import pixels
from hwnas.data.names import shown
from hwnas.data.pixels import Picture
from hwnas.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

Labelled = tuple[NDArray[np.uint8], NDArray[Any]]
"""Images and their labels, as ``Split`` has them."""

_MAX_BYTES = 16 * 2**30


@dataclass
class Account:
    """What a reader met, beside the images that it took.

    Attributes:
        left_out: How many files were left out, by suffix or reason.
        notes: What the user should know.
        prints: By split, a digest of the pixels of each image as it was decoded, with its name.
    """

    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    prints: dict[str, list[tuple[bytes, str]]] = field(default_factory=dict)
    _animated: list[str] = field(default_factory=list)
    _sizes: list[tuple[int, int]] = field(default_factory=list)
    _peaks: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    _ranges: dict[str, dict[str, tuple[int, int]]] = field(default_factory=lambda: defaultdict(dict))

    def stack(
        self,
        split: str,
        pictures: Iterable[tuple[Picture, str]],
        count: int,
        resolution: int,
        fit: Callable[[Image, int], NDArray[np.uint8]] = pixels.square,
    ) -> NDArray[np.uint8]:
        """Scale pictures with their names to squares by ``fit``; shape (n, 3, resolution, resolution)."""
        require_room(count, resolution)
        images = np.empty((count, 3, resolution, resolution), np.uint8)
        prints = self.prints.setdefault(split, [])
        for row, (picture, name) in enumerate(pictures):
            images[row] = fit(picture.image, resolution)
            content = hashlib.blake2b(repr(picture.image.size).encode(), digest_size=16)
            content.update(picture.image.tobytes())
            prints.append((content.digest(), name))
            self._sizes.append(picture.image.size)
            if picture.frames > 1:
                self._animated.append(name)
            if picture.peak is None:
                bands = np.array(picture.image.getextrema())
                self._ranges[split][name] = int(bands.min()), int(bands.max())
            else:
                self._peaks[split][name] = picture.peak
        return images

    @property
    def picture_size(self) -> tuple[int, int] | None:
        """Width and height of the picture in the middle, by area; None where there are none."""
        ordered = sorted(self._sizes, key=lambda size: (size[0] * size[1], size))
        return ordered[len(ordered) // 2] if ordered else None

    def close(self, drawn: Sequence[str] = ()) -> None:
        """Say what only all pictures together tell.

        Args:
            drawn: Splits that are going to be drawn from the pictures of "train".

        Raises:
            DataError: Pictures of 16 bits of a split use hardly any of them.
        """
        if self._animated:
            self.notes.append(
                f"{len(self._animated)} files hold several frames or pages, of which the first was taken "
                f"({some(self._animated)})"
            )
        whole = f"{', '.join(('train', *drawn[:-1]))} and {drawn[-1]}" if drawn else "train"
        for split, peaks in self._peaks.items():
            these = {name: peak for name, peak in peaks.items() if peak}
            self._judge_peaks(whole if split == "train" else split, these)
        for split, ranges in self._ranges.items():
            self._note_pale(whole if split == "train" else split, ranges)

    def _judge_peaks(self, split: str, peaks: Mapping[str, int]) -> None:
        """Of pictures of 16 bits that are not black, by what they are for."""
        dark = [name for name, peak in peaks.items() if peak < 65535 * pixels.LEAST_RANGE]
        if dark and len(dark) == len(peaks):
            raise DataError(
                f"pictures of 16 bits must use their range of 0 to 65535, but the brightest value of "
                f"{len(peaks)} is {max(peaks.values())} ({split}: {some(peaks)}), which is nearly black: "
                "scale them"
            )
        if dark:
            self.notes.append(
                f"{len(dark)} of {len(peaks)} {split} images of 16 bits use less than an eighth of 0 to "
                f"65535 ({some(dark)}) and are nearly black: scale all alike"
            )

    def _note_pale(self, split: str, ranges: Mapping[str, tuple[int, int]]) -> None:
        """Where most images of a split show next to nothing."""
        least = 255 * pixels.LEAST_RANGE
        dark = {name: high for name, (_, high) in ranges.items() if high < least}
        light = {name: low for name, (low, _) in ranges.items() if low > 255 - least}
        if 2 * len(dark) > len(ranges):
            self.notes.append(
                f"{len(dark)} of {len(ranges)} {split} images are nearly black: the brightest value in them "
                f"is {max(dark.values())} of 255 ({some(dark)}); scale them if they are to be seen"
            )
        if 2 * len(light) > len(ranges):
            self.notes.append(
                f"{len(light)} of {len(ranges)} {split} images are nearly white: the darkest value in them "
                f"is {min(light.values())} of 255 ({some(light)}); scale their colours and alpha if they are "
                "to be seen"
            )


@dataclass(frozen=True)
class Images:
    """What a source holds before it is split.

    Attributes:
        class_names: Name of each label.
        train: Images (n, 3, resolution, resolution) and their labels.
        test: The same where the source brings its own test images.
        val: The same where it brings its own validation images.
        flip: Whether a mirrored image is still of its class.
        account: Of the reading.
    """

    class_names: tuple[str, ...]
    train: Labelled
    test: Labelled | None
    flip: bool
    val: Labelled | None = None
    account: Account = field(default_factory=Account)


def require_room(count: int, resolution: int, channels: int = 3) -> None:
    """Raise DataError where so many images do not fit in memory; before any is taken."""
    size, most = count * channels * resolution**2, min(_MAX_BYTES, memory_bytes() // 2)
    if size > most:
        raise DataError(
            f"images must fit in {most / 2**30:.1f} GiB of memory, but {count} at {resolution} pixels "
            f"a side need {size / 2**30:.1f}: take a subset or a lower resolution"
        )


def memory_bytes() -> int:
    """Memory of this machine; no bound where it does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 2 * _MAX_BYTES


def some(names: Iterable[str], most: int = 3) -> str:
    """The first few names, and that there are more."""
    given = list(names)
    return ", ".join(map(shown, given[:most])) + (", …" if len(given) > most else "")


def lacking(names: tuple[str, ...], labels: Mapping[str, NDArray[np.int64]]) -> list[str]:
    """A note for each given split in which classes do not occur."""
    notes = []
    for split, found in labels.items():
        absent = [name for label, name in enumerate(names) if label not in set(found.tolist())]
        if absent:
            notes.append(
                f"the {split} split has no image of {some(absent, 5)}: what it says is not of "
                f"{'that class' if len(absent) == 1 else 'those classes'}"
            )
    return notes
