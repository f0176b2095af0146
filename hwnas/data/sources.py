"""Readers: each turns one kind of source into uint8 images of one resolution."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
_MAX_BYTES = 16 * 2**30

Labelled = tuple[NDArray[np.uint8], NDArray[np.int64]]


@dataclass(frozen=True)
class Images:
    """What a source holds before it is split.

    Attributes:
        class_names: Name of each label.
        train: Images (n, 3, resolution, resolution) and labels (n,).
        test: The same where the source brings its own test images.
        val: The same where it brings its own validation images.
        flip: Whether a mirrored image is still of its class.
    """

    class_names: tuple[str, ...]
    train: Labelled
    test: Labelled | None
    flip: bool
    val: Labelled | None = None


def digits(resolution: int) -> Images:
    """1,797 handwritten digits of 8x8 pixels, scaled up; 3 equal channels."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    grey = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    images = _scale_all(_as_pictures(grey, "digits"), len(grey), resolution)
    return Images(
        tuple(str(n) for n in bunch.target_names), (images, bunch.target.astype(np.int64)), None, False
    )


def folder(path: Path, resolution: int) -> Images:
    """One sub-folder a class, or ``train`` and ``test`` folders that hold such sub-folders."""
    train_path, test_path = path / "train", path / "test"
    has_splits = train_path.is_dir() and test_path.is_dir()
    root = train_path if has_splits else path
    names = tuple(sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")))
    if not names:
        raise DataError(f"an image folder must have one sub-folder a class, but {root} has none")
    train = _read_classes(root, names, resolution)
    test = _read_classes(test_path, names, resolution) if has_splits else None
    return Images(names, train, test, True)


def _read_classes(root: Path, names: Sequence[str], resolution: int) -> Labelled:
    present = {p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")}
    if present != set(names):
        raise DataError(
            f"train and test must have the same classes, but {root} differs in {sorted(present ^ set(names))}"
        )
    files = [
        (file, label)
        for label, name in enumerate(names)
        for file in sorted((root / name).rglob("*"))
        if file.suffix.lower() in _SUFFIXES
    ]
    if not files:
        raise DataError(
            f"a class folder must hold images ({', '.join(sorted(_SUFFIXES))}), but {root} has none"
        )
    images = _scale_all((_open(file, str(file)) for file, _ in files), len(files), resolution)
    return images, np.array([label for _, label in files], np.int64)


def parquet(path: Path, resolution: int) -> Images:
    """Files ``train*.parquet`` and, if there, ``test*.parquet``: ``image{bytes,path}``, ``label``."""
    train_files, test_files = (sorted(path.glob(f"{name}*.parquet")) for name in ("train", "test"))
    if not train_files:
        raise DataError(f"a parquet folder must hold train*.parquet, but {path} does not")
    names, train = _read_parquet(train_files, resolution)
    test = None
    if test_files:
        test_names, test = _read_parquet(test_files, resolution)
        if len(test_names) > len(names):
            raise DataError(
                f"test labels must occur in training, but {path} has {len(names)} classes for training "
                f"and {len(test_names)} for test"
            )
    return Images(names, train, test, True)


def _read_parquet(files: Sequence[Path], resolution: int) -> tuple[tuple[str, ...], Labelled]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.concat_tables(
            [pyarrow.parquet.read_table(f, columns=["image", "label"]) for f in files]
        )
        labels = table["label"].to_numpy().astype(np.int64)
        blobs = [row["bytes"] for row in table["image"].to_pylist()]
    except (pyarrow.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{files[0]} must hold the columns image{{bytes,path}} and label, but does not: {error}"
        ) from error
    pictures = (_open(io.BytesIO(blob), f"row {row} of {files[0].name}") for row, blob in enumerate(blobs))
    images = _scale_all(pictures, len(blobs), resolution)
    return _parquet_names(table.schema.metadata, labels, files[0]), (images, labels)


def _parquet_names(metadata: Any, labels: NDArray[np.int64], file: Path) -> tuple[str, ...]:
    """Class names of the Hugging Face metadata, or the numbers."""
    if labels.size == 0 or labels.min() < 0:
        raise DataError(f"labels must be numbers from 0, but {file} has none or a negative one")
    names: Any = None
    try:
        features = json.loads((metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        names = features["label"]["names"]
    except (KeyError, TypeError, json.JSONDecodeError):
        names = None  # the metadata is optional; numbers are names enough
    if isinstance(names, list) and len(names) > labels.max():
        return tuple(str(n) for n in names)
    return tuple(str(n) for n in range(int(labels.max()) + 1))


def npz(path: Path, resolution: int) -> Images:
    """Arrays (n, height, width[, channels]) of uint8 with their labels."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} must be a readable npz file without objects, but is not: {error}") from error
    keys = ("images", "labels") if "images" in arrays else ("x_train", "y_train")
    missing = [key for key in keys if key not in arrays]
    if missing:
        raise DataError(
            f"{path} must hold images and labels, or x_train, y_train, x_test and y_test, "
            f"but holds {sorted(arrays)}"
        )
    train = _labelled(arrays[keys[0]], arrays[keys[1]], path, resolution)
    test = None
    if "x_test" in arrays and "y_test" in arrays:
        test = _labelled(arrays["x_test"], arrays["y_test"], path, resolution)
    classes = int(max(train[1].max(), test[1].max() if test else 0)) + 1
    return Images(tuple(str(n) for n in range(classes)), train, test, True)


def _labelled(images: NDArray[Any], labels: NDArray[Any], path: Path, resolution: int) -> Labelled:
    labels = labels.reshape(-1)
    if not np.issubdtype(labels.dtype, np.integer) or labels.size == 0 or labels.min() < 0:
        raise DataError(f"labels must be whole numbers from 0, but {path} has {labels.dtype}")
    if len(labels) != len(images):
        raise DataError(
            f"every image must have a label, but {path} has {len(images)} images and {len(labels)} labels"
        )
    pictures = _as_pictures(images, str(path))
    return _scale_all(pictures, len(images), resolution), labels.astype(np.int64)


def _as_pictures(images: NDArray[Any], source: str) -> Iterable[Image]:
    from PIL import Image

    if (
        images.dtype != np.uint8
        or images.ndim not in (3, 4)
        or (images.ndim == 4 and images.shape[3] not in (1, 3))
    ):
        raise DataError(
            "image arrays must be uint8 of shape (n, height, width) or (n, height, width, 1 or 3), "
            f"but {source} has {images.dtype} of shape {images.shape}"
        )
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    return (Image.fromarray(image) for image in images)


def _open(file: Path | io.BytesIO, name: str) -> Image:
    from PIL import Image

    try:
        with Image.open(file) as image:
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"every image must be readable, but {name} is not: {error}") from error


def _scale_all(pictures: Iterable[Image], count: int, resolution: int) -> NDArray[np.uint8]:
    """Scale each to fill a square, cut out its centre; shape (n, 3, resolution, resolution)."""
    from PIL import Image, ImageOps

    size = count * 3 * resolution**2
    if size > _MAX_BYTES:
        raise DataError(
            f"images must fit in {_MAX_BYTES / 2**30:.0f} GiB of memory, but {count} at {resolution} pixels "
            f"a side need {size / 2**30:.0f}: take a subset or a lower resolution"
        )
    images = np.empty((count, 3, resolution, resolution), np.uint8)
    for row, picture in enumerate(pictures):
        square = picture.convert("RGB")
        if square.size != (resolution, resolution):
            square = ImageOps.fit(square, (resolution, resolution), Image.Resampling.BILINEAR)
        images[row] = np.asarray(square).transpose(2, 0, 1)
    return images
