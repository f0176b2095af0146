"""Where files live, and how they are written so that none is ever half there."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import secrets
import shutil
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import platformdirs

from hwnas.errors import HwnasError, WriteError

_log = logging.getLogger(__name__)
_PACKAGE = Path(__file__).resolve().parent
_BINARY: int = getattr(os, "O_BINARY", 0)  # Windows would make two bytes of each end of a line


def shipped(name: str) -> Path:
    """The folder ``profilers``, ``devices`` or ``lut_data``, in a wheel or in a checkout."""
    for folder in (_PACKAGE / "_shipped" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise HwnasError(f"the folder {name!r} must come with hwnas, but it is not there: install hwnas again")


def user_config() -> Path:
    """The user's own devices live in ``devices`` below this folder. Not created."""
    return platformdirs.user_config_path("hwnas")


def user_data() -> Path:
    """What the user measures is kept below this folder. Not created."""
    return platformdirs.user_data_path("hwnas")


def user_cache() -> Path:
    """What can be made again at any time is kept below this folder. Not created."""
    return platformdirs.user_cache_path("hwnas")


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write beside, flush to disk, then rename: the file is whole or not there.

    Raises:
        WriteError: It cannot be written; a file that was there is as before.
    """
    try:
        _write_beside(path.resolve() if path.is_symlink() else path, content)
    except OSError as error:
        raise _not_written(path, error) from error


def write_private(path: Path, content: str) -> None:
    """As ``write_atomic``, but for its owner's eyes alone.

    Raises:
        WriteError: It cannot be written; a file that was there is as before.
    """
    try:
        _write_beside(path, content, is_private=True)
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> WriteError:
    return WriteError(
        f"a file must be written whole, but {path} was not: {error.strerror or error}: free some space "
        "or mend the folder, and start again; what was finished before is kept"
    )


def _write_beside(path: Path, content: bytes | str, *, is_private: bool = False) -> None:
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".hwnas-{secrets.token_hex(8)}"
    new = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY
    handle = os.open(temporary, new, 0o600 if is_private else 0o666)  # less what the user's umask takes
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _log.debug("written: %s, %d bytes", path, len(data))


def write_folder(folder: Path, contents: Mapping[str, bytes | str]) -> None:
    """Write the files of a folder beside it, then put them in their places, the last one last.

    Other files that are in the folder stay there.

    Raises:
        WriteError: They cannot all be written; the folder is as before.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".hwnas-"))
    except OSError as error:
        raise WriteError(f"a folder must be made, but {folder} was not: {error.strerror}") from error
    try:
        for name, content in contents.items():
            try:
                _write_beside(beside / name, content)
            except OSError as error:
                raise _not_written(folder / name, error) from error
        folder.mkdir(exist_ok=True)
        for name in contents:
            (beside / name).replace(folder / name)
    except WriteError:
        raise
    except OSError as error:
        raise WriteError(f"a folder must be written whole, but {folder} was not: {error}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def copy_whole(source: Path, target: Path, *, without: Collection[str] = ()) -> None:
    """Copy a file, or a folder with all that is in it: each file is whole or as before.

    Args:
        source: What is there.
        target: Where it goes; of a folder, other files that are there stay.
        without: Names that are left out.

    Raises:
        WriteError: A file cannot be written.
    """
    if not source.is_dir():
        write_atomic(target, source.read_bytes())
        return
    for path in sorted(source.iterdir()):
        if path.name not in without:
            copy_whole(path, target / path.name, without=without)


def append_whole(path: Path, text: str) -> None:
    """Add to the end of a file and flush to disk: all of it or nothing.

    Raises:
        OSError: It could not be written whole; the file is as before.
    """
    data = text.encode()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | _BINARY)
    try:
        size = os.fstat(handle).st_size
        try:
            written = os.write(handle, data)
            os.fsync(handle)
            if written != len(data):
                raise OSError(f"only {written} of {len(data)} bytes fitted")
        except OSError:
            os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)


def json_text(data: Any) -> str:
    """Indented JSON; NaN and infinity are refused."""
    return json.dumps(data, indent=2, allow_nan=False) + "\n"


def write_json(path: Path, data: Any) -> None:
    """Write what ``json_text`` says."""
    write_atomic(path, json_text(data))


def read_json(path: Path, what: str, remedy: str = "") -> Any:
    """Read JSON; numbers must be finite.

    Args:
        path: The file.
        what: What it is, for messages.
        remedy: What makes it, or makes it anew: the end of a sentence.

    Raises:
        HwnasError: The file is not there or is not JSON.
    """
    end = f": {remedy}" if remedy else ""
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_finite, parse_float=_finite)
    except FileNotFoundError as error:
        raise HwnasError(f"{what} must be there, but {path} does not exist{end}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise HwnasError(f"{what} must be readable JSON, but {path} is not: {error}{end}") from error


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
