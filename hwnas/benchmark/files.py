"""Model files as they are found: what each is, and what it is given to read."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwnas import files, runtimes
from hwnas.benchmark.asked import Asked
from hwnas.benchmark.facts import Failure
from hwnas.errors import DataError, ExportError, HwnasError
from hwnas.measure.engine import Given
from hwnas.runtimes import Runtime
from hwnas.runtimes.base import Description, Tensor

Arrays = Mapping[str, NDArray[np.generic]]

_MOST_BYTES = 4 * 2**30  # of all arrays that are given
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # of the web; paths make one stroke of two
_DAMAGES = (  # what an archive of somebody's may raise; RuntimeError where it is encrypted
    *(OSError, ValueError, TypeError, AttributeError, EOFError, MemoryError, NotImplementedError),
    *(RuntimeError, zipfile.BadZipFile, zlib.error),
)


@dataclass(frozen=True)
class ReadFile:
    """A model file that can be measured.

    Attributes:
        path: Where it is.
        name: What it is called in results.
        format: Name of what it is a file of.
        sha256: Digest of its content.
        description: What it says of itself.
        given: What it reads.
    """

    path: Path
    name: str
    format: str
    sha256: str
    description: Description
    given: Given

    @property
    def bytes(self) -> int:
        """Its size, with that of the files beside it which have its weights."""
        parts = (self.path, *(self.path.parent / name for name in self.description.beside))
        return sum(part.stat().st_size for part in parts)


def read(asked: Asked) -> tuple[list[ReadFile], list[Failure]]:
    """Every file that can be read, and why the others cannot.

    Raises:
        HwnasError: What is given to read is of no use for any of the files, or cannot be read itself.
    """
    arrays = None if asked.inputs is None else _arrays(asked.inputs)
    found, failures, inputs = [], [], set[str]()
    for path, name in zip(asked.files, asked.names, strict=True):
        try:
            runtime = _runtime(path)
            description = runtime.host.describe(path)
            inputs |= {tensor.name for tensor in description.inputs}
            given = _given(description.inputs, asked, arrays)
        except (ExportError, DataError) as error:
            failures.append(Failure(name, None, f"{path}: {error}"))
            continue
        except ModuleNotFoundError as error:
            reason = f"the package {error.name} must be installed to read it, but is not: install hwnas again"
            failures.append(Failure(name, None, f"{path}: {reason}"))
            continue
        except OSError as error:
            failures.append(Failure(name, None, f"{path} must be readable: {error.strerror or error}"))
            continue
        found.append(ReadFile(path, name, runtime.format.name, files.sha256(path), description, given))
    if not failures:  # else it may be meant for what could not be read
        _require_used("--shape", asked.shapes, inputs)
        _require_used("--inputs", arrays or (), inputs)
    return found, failures


def _runtime(path: Path) -> Runtime:
    """One that reads such files; the suffix says which, and the content must agree."""
    if path.is_dir():
        raise ExportError("a model must be a file, but this is a folder: give the file in it")
    if not path.exists():
        remedy = ": fetch it, and give the file" if _ADDRESS.match(str(path)) else ""
        raise ExportError(f"a model must be a file that is there, but this one is not{remedy}")
    if not path.stat().st_size:
        raise ExportError("a model file must not be empty, but this one is: make it again")
    suffixes = runtimes.by_suffix()
    if path.suffix.lower() not in suffixes:
        raise ExportError(
            f"a model file must be named {' or '.join('*' + s for s in sorted(suffixes))}, but this one is "
            "not: rename or convert it"
        )
    return suffixes[path.suffix.lower()]


def _arrays(path: Path) -> Arrays:
    """The arrays of a file of the user's, which must hold nothing but arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(item.file_size for item in archive.infolist())
        if unpacked > _MOST_BYTES:
            raise ValueError(
                f"it unpacks to {unpacked / 2**30:.1f} GiB, more than {_MOST_BYTES / 2**30:g} GiB"
            )
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except _DAMAGES as error:
        raise HwnasError(
            f"inputs must be an .npz file with an array for each input, but {path} is not: "
            f"{str(error) or type(error).__name__}: write it with numpy.savez(path, name=array)"
        ) from error


def _given(inputs: Sequence[Tensor], asked: Asked, arrays: Arrays | None) -> Given:
    shapes = {}
    still_open = []
    for tensor in inputs:
        if not _is_numeric(tensor.dtype):
            raise DataError(f"inputs must be numbers, but {tensor.name!r} is of the type {tensor.dtype}")
        shape = (
            _fitting(tensor, asked.shapes[tensor.name], "--shape") if tensor.name in asked.shapes else None
        )
        if arrays is not None:
            array = _array(tensor, arrays)
            if shape not in (None, array.shape):
                raise DataError(f"the array of {tensor.name!r} must be of its --shape, but is {array.shape}")
            shape = array.shape
        if tensor.is_open and shape is None:
            still_open.append(tensor)
        elif tensor.is_open and shape is not None:
            shapes[tensor.name] = shape
    if still_open:
        said = ", ".join(f"{tensor.name} ({tensor.text})" for tensor in still_open)
        typed = " ".join(f"--shape '{tensor.name}={tensor.text.replace('?', '1')}'" for tensor in still_open)
        raise DataError(
            f"dimensions must be known to be measured, but are open in {said}: give {typed}, or others, to "
            "hwnas measure"
        )
    return Given(shapes, "" if asked.inputs is None else str(asked.inputs.resolve()))


def _is_numeric(dtype: str) -> bool:
    try:
        return np.dtype(dtype).kind in "biuf"
    except TypeError:
        return False


def _array(tensor: Tensor, arrays: Arrays) -> NDArray[np.generic]:
    if tensor.name not in arrays:
        raise DataError(
            f"inputs must hold an array for {tensor.name!r}, but hold {', '.join(sorted(arrays)) or 'none'}"
        )
    array = arrays[tensor.name]
    if array.dtype != np.dtype(tensor.dtype):
        raise DataError(
            f"the array of {tensor.name!r} must be of the type {tensor.dtype}, but is {array.dtype}"
        )
    _fitting(tensor, array.shape, "the array")
    return array


def _fitting(tensor: Tensor, shape: Sequence[int], what: str) -> tuple[int, ...]:
    """The shape, if it agrees with what the file leaves open."""
    fits = tensor.shape is None or (
        len(shape) == len(tensor.shape)
        and all(own in (None, size) for own, size in zip(tensor.shape, shape, strict=True))
    )
    if not fits:
        said = "x".join(map(str, shape)) or "scalar"
        raise DataError(f"{what} of {tensor.name!r} must agree with {tensor.text}, but is {said}")
    return tuple(shape)


def _require_used(option: str, given: Iterable[str], names: set[str]) -> None:
    if odd := sorted(set(given) - names):
        raise HwnasError(
            f"{option} must name inputs of the files, but none is called {', '.join(odd)}: they are "
            f"{', '.join(sorted(names)) or 'without inputs'}"
        )
