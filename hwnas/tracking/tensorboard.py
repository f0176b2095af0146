"""TensorBoard: event files in the run folder, or in a folder that several runs share.

Files of the run are not taken along: they lie beside. What is written is on disk when a call returns.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

from hwnas.errors import HwnasError, TrackingError
from hwnas.runs import outputs
from hwnas.runs.folder import RunFolder
from hwnas.tracking.base import Cell, Point
from hwnas.tracking.foreign import package


class TensorBoard:
    """Writes event files; a run is a folder of them."""

    name: ClassVar[str] = "tensorboard"

    def __init__(self, place: str = "") -> None:
        self.place, self._given = place or RunFolder.tensorboard, place
        self._writer: Any = None
        self._file: Any = None

    def check(self, folder: Path) -> None:
        """Look for the package, and whether the folder can be written."""
        package("tensorboard", "TensorBoard", self.name)
        try:
            outputs.require_folder(self._base(folder), "the folder of TensorBoard")
        except HwnasError as error:
            raise TrackingError(str(error)) from error

    def begin(self, title: str, folder: Path, run: str | None) -> str:
        """A folder of its own; the same one as before, if that is still there."""
        base = self._base(folder)
        if run is None or not (base / run).is_dir():
            run = next(name for name in self._names(title) if not _holds_events(base / name))
        place = base / run
        place.mkdir(parents=True, exist_ok=True)
        from tensorboard.summary.writer.record_writer import RecordWriter

        name = f"events.out.tfevents.{time.time():.3f}.{socket.gethostname()}.{os.getpid()}"
        self._file = (place / name).open("wb")
        self._writer = RecordWriter(self._file)
        self._write(file_version="brain.Event:2")
        return run

    def _base(self, folder: Path) -> Path:
        return Path(self._given).expanduser() if self._given else RunFolder(folder).tensorboard

    def _names(self, title: str) -> Iterator[str]:
        """Of folders within the base: none within the run folder, the run's in one that is shared."""
        yield title if self._given else "."
        yield from (f"{title}-{number}" for number in count(2))

    def parameters(self, values: Mapping[str, str]) -> None:
        """As a table among the texts."""
        self.text("parameters", _markdown([{"name": name, "value": values[name]} for name in values]))

    def scalars(self, points: Sequence[Point]) -> None:
        """As scalars."""
        from torch.utils.tensorboard.summary import scalar

        for each in points:
            summary = scalar(each.name, each.value)  # type: ignore[no-untyped-call]
            self._event(summary=summary, step=each.step, wall_time=each.at_ms / 1000)
        self._file.flush()

    def table(self, name: str, rows: Sequence[Mapping[str, Cell]]) -> None:
        """Among the texts."""
        self.text(name, _markdown(rows))

    def text(self, name: str, text: str) -> None:
        """Among the texts, in Markdown; the last one counts."""
        from torch.utils.tensorboard.summary import text as summary_of

        self._write(summary=summary_of(name, text.replace("\n", "  \n") if "|" not in text else text))  # type: ignore[no-untyped-call]

    def file(self, path: Path, name: str) -> None:
        """Nothing: it lies in the run folder."""

    def end(self, status: str) -> None:
        """Close the file; the next process writes one of its own."""
        self._file.close()

    def _write(self, **event: Any) -> None:
        self._event(wall_time=time.time(), **event)
        self._file.flush()

    def _event(self, **event: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.write(Event(**event).SerializeToString())


def _holds_events(folder: Path) -> bool:
    return any(folder.glob("events.out.tfevents.*"))


def _markdown(rows: Sequence[Mapping[str, Cell]]) -> str:
    columns = list(rows[0]) if rows else []
    lines = [columns, ["---"] * len(columns), *([_cell(row[name]) for name in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value).replace("|", "\\|").replace("\n", " ")
