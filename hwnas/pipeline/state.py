"""What of a run is done: a JSON file that is whole at any moment, and the rule of skipping."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas import data as images
from hwnas import files
from hwnas.errors import HwnasError, SchemaMismatch
from hwnas.runs import records
from hwnas.runs.folder import ChainFolder, RunFolder

SCHEMA = "hwnas-chain/1"

Say = Callable[[str], None]
_SHAPE = {
    "data": {"digest?": str, "classes?": int},
    "stages": {str: {"inputs?": str, "writes?": (dict, records.NONE), "seconds?": float}},
    "owned": [str],
}


@dataclass(frozen=True)
class Stage:
    """One stage of a run.

    Attributes:
        name: Of the stage.
        settings: What decides its results beside files; plain JSON.
        reads: Files that decide its results. Two that differ in time only are the same.
        writes: Files that must be as the stage left them for it to be skipped.
        owns: Files that are removed before the stage begins anew: with other inputs,
            or after its results were damaged. What is not among them is continued.
        run: Does the work; told what to say. Goes on where it was interrupted.
        intact: What else must hold for it to be skipped.
    """

    name: str
    settings: Mapping[str, Any]
    reads: tuple[Path, ...]
    writes: tuple[Path, ...]
    owns: tuple[Path, ...]
    run: Callable[[Say], None]
    intact: Callable[[], bool] = lambda: True


class RunState:
    """The record of a run's folder.

    Args:
        folder: Of the run.
        is_kept: Whether what becomes known is written down.

    Raises:
        SchemaMismatch: The record is of another version.
    """

    def __init__(self, folder: Path, *, is_kept: bool = True) -> None:
        self._folder, self._path, self._is_kept = folder, ChainFolder(folder).state, is_kept
        self._data: dict[str, Any] = {"schema": SCHEMA, "data": {}, "stages": {}, "owned": []}
        if self._path.exists():
            what, remedy = "the state of a run", "give another folder"
            self._data = files.read_json(self._path, what, remedy)
            found = self._data.get("schema") if isinstance(self._data, dict) else None
            if found != SCHEMA:
                raise SchemaMismatch(
                    f"the state of a run must be of schema {SCHEMA}, but {self._path} is of {found!r}: "
                    "give another folder",
                    field="schema",
                )
            records.require(self._data, _SHAPE, what, self._path, remedy)

    def is_done(self, stage: Stage) -> bool:
        """Whether a stage was finished with these inputs, and its results are still there."""
        record = self._data["stages"].get(stage.name, {})
        return (
            record.get("inputs") == self._inputs(stage)
            and record.get("writes") is not None
            and all(path.is_file() for path in stage.writes)
            and record["writes"] == self._hashes(stage.writes)
            and stage.intact()
        )

    def begin(self, stage: Stage) -> None:
        """Make way for a stage: what an earlier one left stays only if this one continues it.

        Raises:
            HwnasError: What would have to make way was not made by this run.
        """
        owned = {path.relative_to(self._folder).as_posix(): path for path in stage.owns}
        for name, path in owned.items():
            if path.exists() and name not in self._data["owned"]:
                raise HwnasError(
                    f"a run must only replace files of its own, but {path} is not: give another folder"
                )
        self._data["owned"] = sorted({*self._data["owned"], *owned})
        inputs = self._inputs(stage)
        record = self._data["stages"].get(stage.name, {})
        if record.get("inputs") != inputs or record.get("writes") is not None:
            for path in stage.owns:
                path.unlink(missing_ok=True)
        self._set(stage.name, {"inputs": inputs, "writes": None})

    def finish(self, stage: Stage, seconds: float) -> None:
        """Note that a stage is done."""
        inputs = self._data["stages"][stage.name]["inputs"]  # those that it began with
        record = {"inputs": inputs, "writes": self._hashes(stage.writes), "seconds": seconds}
        self._set(stage.name, record)

    def seconds(self, stage: str) -> float:
        """How long a finished stage took."""
        return float(self._data["stages"][stage].get("seconds", 0.0))

    def took(self, stage: str) -> float | None:
        """How long a stage took when it was last finished; None where that is not known."""
        seconds = self._data["stages"].get(stage, {}).get("seconds")
        return None if seconds is None else float(seconds)

    def classes(self, digest: str, count: Callable[[], int]) -> int:
        """Number of classes of data; counted once for each digest, which means reading them."""
        if self._data["data"].get("digest") != digest:
            self._data["data"] = {"digest": digest, "classes": count()}
            self._write()
        return int(self._data["data"]["classes"])

    def _inputs(self, stage: Stage) -> str:
        content = {"settings": stage.settings, "reads": self._hashes(stage.reads)}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _hashes(self, paths: tuple[Path, ...]) -> dict[str, str | None]:
        """Hash of each file by its place in the run; None where it is missing."""
        return {
            path.relative_to(self._folder).as_posix(): files.sha256(path) if path.is_file() else None
            for path in paths
        }

    def _set(self, stage: str, record: Mapping[str, Any]) -> None:
        self._data["stages"][stage] = record
        self._write()

    def _write(self) -> None:
        if self._is_kept:
            files.write_json(self._path, self._data)


def digest_of_data(source: str) -> str:
    """Hash of everything that a source of images holds; changes with any name or byte."""
    path = Path(source).expanduser()
    if images.is_embedded(source) or not path.exists():  # what is missing is refused by who reads it
        return source
    if path.is_file():
        return files.sha256(path)
    digest = hashlib.sha256()
    for file in sorted(images.files_of(path)):
        digest.update(f"{file.relative_to(path).as_posix()}\0{files.sha256(file)}\n".encode())
    return digest.hexdigest()


def hashes_of_teacher(run: Path) -> dict[str, str]:
    """Hash of each file that a training reads of its teacher, which may be outside of the folder.

    Raises:
        HwnasError: It is not the folder of a trained network.
    """
    names = (RunFolder.arch, RunFolder.weights)
    missing = [name for name in names if not (run / name).is_file()]
    if missing:
        raise HwnasError(
            f"a teacher must be the folder of a trained network, but {run} has no {' and no '.join(missing)}"
        )
    return {name: files.sha256(run / name) for name in names}
