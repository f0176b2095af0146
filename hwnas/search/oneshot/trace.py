"""The trace of a one-shot search on disk: one JSON line a step, appended as soon as it is done.

File format ``hwnas-trace/1``: the first line names the strategy, every other line is one step. A
search goes on from its checkpoint and not from this file, which then begins anew with the steps
that the checkpoint holds: those that are made once more are not there twice, and a line that was
cut off does not matter.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas import files
from hwnas.errors import HwnasError, SchemaMismatch

SCHEMA = "hwnas-trace/1"


@dataclass(frozen=True)
class Trace:
    """Where the steps of a search go.

    Attributes:
        path: The file; None keeps nothing.
    """

    path: Path | None

    @classmethod
    def begin(cls, path: Path | None, strategy: str, done: Iterable[Mapping[str, Any]]) -> Trace:
        """The file with the steps that are done already.

        Raises:
            SchemaMismatch: The file is there, and is of another strategy.
            HwnasError: It cannot be read.
        """
        if path is not None:
            header = _line({"schema": SCHEMA, "strategy": strategy})
            _refuse_other(path, header)
            files.write_atomic(path, header + "".join(map(_line, done)))
        return cls(path)

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one step.

        Raises:
            HwnasError: It could not be written whole; the file is as before.
        """
        if self.path is None:
            return
        try:
            files.append_whole(self.path, _line(record))
        except OSError as error:
            raise HwnasError(
                f"a step must be written whole, but {self.path} did not take it: {error}: free some space"
            ) from error


def _refuse_other(path: Path, header: str) -> None:
    try:
        with path.open(encoding="utf-8") as file:
            found = file.readline()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise HwnasError(f"a trace must be readable, but {path} is not: {error}") from error
    if found.endswith("\n") and found != header:
        raise SchemaMismatch(
            f"a trace must be of the search that continues it, but {path} begins with {found.strip()[:100]} "
            f"instead of {header.strip()}: delete it to start anew",
            field="strategy",
        )


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, allow_nan=False) + "\n"
