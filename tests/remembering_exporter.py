"""The process that exports models, kept from test to test, which never exports the same model twice."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from hwnas import files, plugins
from hwnas.measure import models


class RememberingExporter:
    """Stands in for a worker of the exporter; what it answers came from a real one.

    A process takes seconds to start and a model up to a second to export, while tests ask for the
    same small ones again and again: their weights follow from a seed, so that the files are the same.

    Args:
        folder: Where models are kept, for all processes of a run of the tests.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(exist_ok=True)
        self._turn = threading.Lock()  # two threads may ask, of one that was to have two processes
        self._worker: models._Worker | None = None
        self._plugged: str | None = None

    def ask(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """As the worker does; a model that was exported before is copied."""
        plugged = os.environ.get(plugins.ENVIRONMENT)
        asked = {**task, "path": None, "plugged": plugged}
        kept = self._folder / sha256(json.dumps(asked).encode()).hexdigest()
        with self._turn:
            if kept.exists():
                model = kept.read_bytes()
                Path(task["path"]).write_bytes(model)
                return {"sha256": sha256(model).hexdigest(), "seconds": 0.0}
            if plugged != self._plugged:  # what a process has loaded, it cannot forget
                self.end()
            self._plugged = plugged
            self._worker = self._worker or _Worker()
            reply = self._worker.ask(task)
            if reply.get("died"):
                self.end()
            elif "sha256" in reply:
                files.write_atomic(kept, Path(task["path"]).read_bytes())
            return reply

    def close(self) -> None:
        """Go on with the next test."""

    def end(self) -> None:
        """End the process."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


_Worker = models._Worker  # the real one: tests replace it by the other
