"""Images with masks: the class of each pixel, for segmentation."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from hwnas.data import samples, table
from hwnas.data.dataset import Dataset
from hwnas.data.images import Account, Images, Labelled, require_room
from hwnas.data.loading import LoadOptions, assembled
from hwnas.data.names import shown
from hwnas.data.pixels import Picture
from hwnas.data.samples import Part, Sample
from hwnas.data.segmentation import folders
from hwnas.data.segmentation.colours import Listed
from hwnas.data.segmentation.folders import Found
from hwnas.data.segmentation.masks import Masks

__all__ = ["load"]


def load(
    source: str | Path,
    *,
    resolution: int,
    seed: int = 0,
    val_share: float = 0.2,
    test_share: float = 0.2,
    flip: bool | None = None,
) -> Dataset:
    """Read images and masks, stretched to squares, and split them; what is odd is logged as a warning.

    Labels are uint8 (n, resolution, resolution): class numbers, 255 where a pixel does not count. Masks hold
    class numbers (grey or palette), black and white, or colours that a file beside them lists: ``labels.txt``
    of lines ``name r g b``, or CVAT's ``labelmap.txt``. That file names the classes of numbers as well, a
    name a line.

    Args:
        source: A folder with ``images`` and ``masks`` of the same names, also below or above folders of
            splits; a VOC folder; a parquet file, or a folder of them whose names say the split, with columns
            ``image{bytes,path}`` and ``mask{bytes,path}``, and names in the metadata.
        resolution: Height and width that images are stretched to.
        seed: Of the splits.
        val_share: Share of the training images that becomes the validation split where there is none.
        test_share: Share that becomes the test split where there is none.
        flip: Whether mirrored images are good training images; by default they are.

    Raises:
        DataError: The source cannot be read, or its masks have no plain meaning.
    """
    asked = LoadOptions(source, resolution, seed, val_share, test_share, flip)
    return assembled(_read(source, resolution), asked, "segmentation")


def _read(source: str | Path, resolution: int) -> Images:
    account = Account()
    parts, listed = _found(source, account)
    samples.require_enough({split: part.count for split, part in parts.items()}, source, account)
    require_room(sum(part.count for part in parts.values()), resolution, channels=4)
    masks, labelled = Masks(listed), dict[str, Labelled]()
    for split, part in parts.items():
        labelled[split] = _labelled(split, part, resolution, masks, account)
    names = masks.classes((found for _, found in labelled.values()), shown(source), account)
    return samples.images(names, labelled, account)


def _found(source: str | Path, account: Account) -> Found:
    path, is_parquet = samples.place_of(source, folders.WANTED)
    if is_parquet:
        return _parquet(path, account)
    root = samples.voc_root(path, "SegmentationClass")
    return folders.voc(root, account) if root else folders.folders(path, account)


def _labelled(
    split: str, part: Part[Path | bytes], resolution: int, masks: Masks, account: Account
) -> Labelled:
    labels = np.empty((part.count, resolution, resolution), np.uint8)

    def read(row: int, sample: Sample[Path | bytes], picture: Picture) -> None:
        labels[row] = masks.read(sample.truth, sample.name, picture.image.size, resolution)

    return samples.stack(account, split, part, resolution, read), labels


def _parquet(path: Path, account: Account) -> Found:
    tables = table.tables(path, ("image", "mask"), account)
    parts = {
        split: Part(sum(file.rows for file in files), chain.from_iterable(map(_rows, files)))
        for split, files in tables.items()
    }
    names = table.stated(tables, path, "mask")
    return parts, Listed.of(names) if names else None


def _rows(file: table.ParquetFile) -> Iterator[Sample[Path | bytes]]:
    for name, (image, mask) in file.blobs("image", "mask"):
        yield Sample(name, image, mask)
