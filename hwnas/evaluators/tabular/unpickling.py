"""Reads pickles that others made, without running them: only containers, numbers and arrays are built.

A pickle is a program whose one dangerous instruction takes a function or class by its name. Here each name is
either one of those below, which stand for functions of this module that check what they are given, or the
file is refused. Files of PyTorch are pickles as well, with the numbers of tensors beside them, in a zip file
or, before version 1.6, in a row. ``torch.load(weights_only=True)`` refuses the scalars of NumPy that they
may hold, and takes ten times as long.
"""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from hwnas.errors import DataError, in_words

_NUMBER = re.compile(r"[<>=|]?[biufc]\d{1,2}")
_TORCH_TYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "|b1",
}
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # the first object of a file that PyTorch saved in a row
_WRONG = (  # what a damaged pickle, or a checked function in here, raises
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)

Data = Callable[[str, np.ndarray], None]
"""Given the name of a tensor's numbers and where they go."""


def read_pickle(file: IO[bytes], name: object) -> Any:
    """The one object of a pickle.

    Args:
        file: Where it begins.
        name: What the file is called, for messages.

    Raises:
        DataError: It is damaged, or asks for something that is no container, number or array.
    """
    try:
        return _Plain(file, name).load()
    except _WRONG as error:
        raise _damaged(name, error) from error


def read_torch(path: Path) -> Any:
    """What ``torch.save`` wrote, with arrays in the place of tensors.

    Raises:
        DataError: As of ``read_pickle``.
    """
    try:
        return _from_zip(path) if zipfile.is_zipfile(path) else _from_row(path)
    except _WRONG as error:
        raise _damaged(path, error) from error


def is_torch(head: bytes) -> bool:
    """Whether a file that begins so is one of PyTorch's."""
    row = pickle.dumps(_TORCH_MAGIC, protocol=2)
    return head.startswith((b"PK\x03\x04", row))


def _damaged(name: object, error: Exception) -> DataError:
    if isinstance(error, DataError):
        return error
    return DataError(
        f"a benchmark's pickle must be whole, but {name} is not: {in_words(error)}: get it again from who "
        "publishes it"
    )


def _from_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        found = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(found) != 1:
            raise ValueError(f"it holds {len(found)} files data.pkl")
        folder = found[0].removesuffix("data.pkl")
        order = f"{folder}byteorder"
        is_big = order in archive.namelist() and archive.read(order) == b"big"

        def fill(key: str, numbers: np.ndarray) -> None:
            _fill(numbers, archive.read(f"{folder}data/{key}"), is_big=is_big)

        with archive.open(found[0]) as file:
            return _Plain(file, path, fill).load()


def _from_row(path: Path) -> Any:
    waiting: dict[str, np.ndarray] = {}

    def wait(key: str, numbers: np.ndarray) -> None:
        waiting[key] = numbers

    with path.open("rb") as file:
        if _Plain(file, path).load() != _TORCH_MAGIC:
            raise ValueError("it is not of PyTorch")
        _Plain(file, path).load()  # version
        is_big = not _Plain(file, path).load()["little_endian"]
        found = _Plain(file, path, wait).load()
        for key in _Plain(file, path).load():
            numbers = waiting[key]
            (count,) = struct.unpack(">q" if is_big else "<q", file.read(8))
            if count != len(numbers):
                raise ValueError(f"tensor {key} has {count} numbers instead of {len(numbers)}")
            _fill(numbers, file.read(numbers.nbytes), is_big=is_big)
    return found


def _fill(numbers: np.ndarray, raw: bytes, *, is_big: bool) -> None:
    stored = numbers.dtype.newbyteorder(">") if is_big else numbers.dtype
    if len(raw) != numbers.nbytes:
        raise ValueError(f"a tensor has {len(raw)} bytes instead of {numbers.nbytes}")
    numbers[:] = np.frombuffer(raw, stored)


class _Plain(pickle.Unpickler):
    """Builds what is plain, and refuses all else by its name."""

    def __init__(self, file: IO[bytes], name: object, fill: Data | None = None) -> None:
        super().__init__(file)
        self._name, self._fill = name, fill
        self._stored: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name."""
        found = _NAMES.get((module, name))
        if found is None:
            raise DataError(
                f"a benchmark's pickle must hold only containers, numbers and arrays, but {self._name} asks "
                f"for {module}.{name}, and nothing of it was run: get the file from who publishes it"
            )
        return found

    def persistent_load(self, pid: Any) -> np.ndarray:
        """The numbers of a tensor, which stand elsewhere in the file."""
        kind, dtype, key, _, count, *view = pid
        if self._fill is None or kind != "storage" or not isinstance(dtype, _TorchType) or any(view):
            raise ValueError(f"it refers to a {kind!r} outside of it")
        if key not in self._stored:
            numbers = np.zeros(_numbers((count,)), dtype()).view(_Stored)
            self._fill(key, numbers)
            self._stored[key] = numbers
        return self._stored[key]


class _Name:
    """A function in the place of a global; a pickle can call it, and change nothing of it."""

    __slots__ = ("_build",)
    _build: Callable[..., Any]

    def __init__(self, build: Callable[..., Any]) -> None:
        object.__setattr__(self, "_build", build)

    def __call__(self, *given: Any) -> Any:
        return self._build(*given)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{name} cannot be set")


class _TorchType(_Name):
    """The type of a tensor's numbers."""

    __slots__ = ()


class _Ordered(dict[Any, Any]):
    """A dictionary; what others keep beside its items is of no use here."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        """Nothing."""


class _Dtype:
    """The type of an array's numbers, in the place of ``numpy.dtype``."""

    __slots__ = ("found",)

    def __init__(self, text: Any, *_: Any) -> None:
        if not (isinstance(text, str) and _NUMBER.fullmatch(text)):
            raise ValueError(f"an array is of {text!r}, which are no numbers")
        self.found = np.dtype(text)

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order not in ("<", ">", "=", "|") or any(state[2:5]):
            raise ValueError("an array is not of plain numbers")
        if order != "|":
            self.found = self.found.newbyteorder(order)


class _Stored(np.ndarray):
    """All numbers of one or several tensors, in a row; nothing but ``persistent_load`` makes one."""


class _Array(np.ndarray):
    """An array that is still empty, whose numbers come next."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, is_fortran, raw = state
        if self.size or not isinstance(dtype, _Dtype) or not isinstance(raw, bytes):
            raise ValueError("an array is not of plain numbers")
        checked: Any = (1, _numbers(shape), dtype.found, bool(is_fortran), raw)
        super().__setstate__(checked)


def _empty(*_: Any) -> _Array:
    return np.empty(0).view(_Array)


def _from_buffer(raw: Any, dtype: _Dtype, shape: Any, order: Any) -> np.ndarray:
    return np.frombuffer(bytes(raw), dtype.found).reshape(_numbers(shape), order="F" if order == "F" else "C")


def _scalar(dtype: _Dtype, raw: bytes) -> Any:
    if len(raw) != dtype.found.itemsize:
        raise ValueError("a number is of another length")
    return np.frombuffer(raw, dtype.found)[0].item()


def _tensor(numbers: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> np.ndarray:
    """A view of stored numbers, all of which must be there; a view of a view could reach beyond them."""
    shape, stride = _numbers(shape), _numbers(stride)
    (offset,) = _numbers((offset,))
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    is_empty = 0 in shape
    if not isinstance(numbers, _Stored) or not (is_empty or last < len(numbers)):
        raise ValueError("a tensor is of other numbers than it has")
    steps = tuple(step * numbers.itemsize for step in stride)
    return np.lib.stride_tricks.as_strided(numbers[0 if is_empty else offset :], shape, steps)


def _numbers(given: Any) -> tuple[int, ...]:
    found = tuple(given)
    if not all(type(number) is int and number >= 0 for number in found):
        raise ValueError(f"a shape is {given!r}")
    return found


def _latin(text: str, encoding: str) -> bytes:
    """Bytes, as the oldest pickles have them."""
    if encoding != "latin1":
        raise ValueError(f"bytes are written as {encoding!r}")
    return text.encode("latin1")


def _names() -> Mapping[tuple[str, str], Any]:
    found: dict[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): _Name(_Ordered),
        ("collections", "defaultdict"): _Name(lambda *_: {}),
        ("_codecs", "encode"): _Name(_latin),
        ("numpy", "dtype"): _Name(_Dtype),
        ("numpy", "ndarray"): _Name(_empty),
        ("torch", "Size"): _Name(lambda sizes=(): _numbers(sizes)),
        ("torch._utils", "_rebuild_tensor_v2"): _Name(_tensor),
    }
    for builtins in ("builtins", "__builtin__"):
        found |= {(builtins, kind.__name__): kind for kind in (bytes, dict, frozenset, list, set)}
    for core in ("numpy.core", "numpy._core"):
        found[f"{core}.multiarray", "_reconstruct"] = _Name(_empty)
        found[f"{core}.multiarray", "scalar"] = _Name(_scalar)
        found[f"{core}.numeric", "_frombuffer"] = _Name(_from_buffer)
    found |= {("torch", name): _TorchType(partial(np.dtype, text)) for name, text in _TORCH_TYPES.items()}
    return found


_NAMES = _names()
