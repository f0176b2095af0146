"""Which reader a source needs: told by what is there, not by its name alone."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from hwnas.data import embedded
from hwnas.data.arrays import npz
from hwnas.data.folder import folder, is_folder_of_images
from hwnas.data.images import Images
from hwnas.data.names import is_hidden, shown
from hwnas.data.parquet import parquet
from hwnas.data.table import files_in
from hwnas.errors import DataError


def read(
    source: str | Path, resolution: int, seed: int = 0, val_share: float = 0.2, test_share: float = 0.2
) -> Images:
    """Read embedded images, a folder of images or parquet files, one parquet file, or an npz file.

    Seed and shares matter only to images that are drawn, whose splits must be made before.

    Raises:
        DataError: It is none of these, or cannot be read.
    """
    if embedded.is_embedded(source):
        return _embedded(str(source), embedded.reader(source)(resolution, seed, val_share, test_share))
    try:
        path = Path(source).expanduser()
        reader = _reader_of_folder(path) if path.is_dir() else _reader_of_file(path)
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"data must be at a readable path, but {shown(source)} is not: {error}") from error
    return reader(path, resolution)


def require_apart(run: Path, source: str | Path) -> None:
    """Refuse a run folder among the images, which would be one of their classes when they are read again.

    Raises:
        DataError: It is the folder of the images, or in it and not hidden.
    """
    images, inner = Path(source).expanduser().resolve(), run.expanduser().resolve()
    if embedded.is_embedded(source) or not images.is_dir() or not inner.is_relative_to(images):
        return
    if any(map(is_hidden, inner.relative_to(images).parts)) or files_in(images):
        return
    where = "the folder of the images" if inner == images else f"in the folder of the images, {shown(images)}"
    raise DataError(
        f"a run must have a folder apart from its images, but {shown(run)} is {where}: give another folder"
    )


def _embedded(name: str, images: Images) -> Images:
    if Path(name).exists():
        images.account.notes.append(
            f"{name!r} is a set of images that comes with hwnas; what lies at ./{name} was not read: give "
            f"./{name} for that"
        )
    return images


def _reader_of_folder(path: Path) -> Callable[[Path, int], Images]:
    """Images in class folders count before parquet files, which may lie there for another reason."""
    return parquet if files_in(path) and not is_folder_of_images(path) else folder


def _reader_of_file(path: Path) -> Callable[[Path, int], Images]:
    if not path.exists():
        raise _unfit(path, "there is no such path")
    if not path.is_file():
        raise _unfit(path, "it is neither a file nor a folder")
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(b"PAR1"):
        return parquet
    if zipfile.is_zipfile(path):
        if path.suffix.lower() == ".npz" or _holds_arrays(path):
            return npz
        raise _unfit(path, "it is an archive: unpack it first")
    if head.startswith(b"\x93NUMPY"):
        raise _unfit(path, "it is a single array (npy): np.savez images and labels together")
    if path.suffix.lower() in (".npz", ".parquet"):
        raise _unfit(path, f"it is damaged, or no {path.suffix[1:].lower()} file: make it again")
    if tarfile.is_tarfile(path):
        raise _unfit(path, "it is an archive: unpack it first")
    raise _unfit(path, "it is no npz file")


def _holds_arrays(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".npy") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def _unfit(path: Path, why: str) -> DataError:
    return DataError(
        f"data must be one of {', '.join(embedded.NAMES)}, a folder of images or parquet files, or an npz "
        f"file, but got {shown(path)!r}: {why}"
    )
