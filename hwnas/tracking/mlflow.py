"""MLflow: a run folder is a run of an experiment, in a database or on a server.

Without a URI it is MLflow's own default: what ``MLFLOW_TRACKING_URI`` says, or a database in the working
folder. The experiment is ``MLFLOW_EXPERIMENT_NAME``, or "hwnas". Only the client is used, never MLflow's
global state: a program may have its own run going on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from hwnas.errors import HwnasError, TrackingError
from hwnas.runs import outputs
from hwnas.tracking.base import FAILED, FINISHED, INTERRUPTED, Cell, Point
from hwnas.tracking.foreign import package, quiet
from hwnas.tracking.places import masked, reason

_EXPERIMENT, _USUAL = "MLFLOW_EXPERIMENT_NAME", "hwnas"
_PATIENCE = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # nobody asked for that network
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # where results for machines go
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # by default, minutes in which a search stands still
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
"""Variables of the environment while MLflow is asked."""
_SQLITE = "sqlite:///"
_STATUS = {FINISHED: "FINISHED", FAILED: "FAILED", INTERRUPTED: "KILLED"}
_METRICS, _PARAMETERS = 1000, 100  # that MLflow takes at once
_LONGEST = 6000  # characters of a parameter


class MLflow:
    """Logs with the client of MLflow."""

    name: ClassVar[str] = "mlflow"

    def __init__(self, place: str = "") -> None:
        self.place, self._given = place, place
        self._client: Any = None
        self._run = ""

    def check(self, folder: Path) -> None:
        """Connect; makes the experiment where it is missing."""
        with quiet(_PATIENCE):
            package("mlflow", "MLflow", self.name)
            from mlflow import MlflowClient, get_tracking_uri

            self.place = self._given or get_tracking_uri()
            self._require_file()
            try:
                self._make_database()
                self._client = MlflowClient(self.place)
                self._experiment()
            except Exception as error:
                raise TrackingError(
                    f"MLflow must be able to keep runs at {masked(self.place)}, but cannot "
                    f"({reason(error)}): give a server as mlflow:http://HOST:5000, or a database as mlflow:sqlite:///mlflow.db"
                ) from error

    def begin(self, title: str, folder: Path, run: str | None) -> str:
        """Begin a run of the experiment, or go on with one."""
        if self._client is None:
            self.check(folder)
        with quiet(_PATIENCE):
            if run is not None and self._goes_on(run):
                self._run = run
            else:
                self._run = self._client.create_run(self._experiment(), run_name=title).info.run_id
        return self._run

    def _require_file(self) -> None:
        """Refuse a database that cannot be written at once: MLflow would try for minutes."""
        path = self.place.removeprefix(_SQLITE)
        if path not in (self.place, ""):
            for needed in ("sqlalchemy", "alembic"):  # which the small package of MLflow does without
                package(needed, "MLflow", self.name)
            try:
                outputs.require_file(Path(path.partition("?")[0]), "the database of MLflow")
            except HwnasError as error:
                raise TrackingError(str(error)) from error

    def _make_database(self) -> None:
        """Make a database that is not there under another name: half of one would be refused ever after."""
        from mlflow import MlflowClient

        path = Path(self.place.removeprefix(_SQLITE).partition("?")[0])
        if not self.place.startswith(_SQLITE) or not path.name or path.exists():
            return
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            MlflowClient(f"{_SQLITE}{part}").get_experiment_by_name(_USUAL)
            with suppress(OSError):  # another run has made it, or there are no links: MLflow makes it itself
                os.link(part, path)
        finally:
            for left in path.parent.glob(f"{part.name}*"):
                with suppress(OSError):  # still open, where that keeps a file
                    left.unlink(missing_ok=True)

    def _experiment(self) -> str:
        name = os.environ.get(_EXPERIMENT, _USUAL)
        found = self._client.get_experiment_by_name(name)
        return str(self._client.create_experiment(name) if found is None else found.experiment_id)

    def _goes_on(self, run: str) -> bool:
        """Whether a run is there, and not deleted; then it runs again."""
        from mlflow.exceptions import MlflowException

        try:
            if self._client.get_run(run).info.lifecycle_stage != "active":
                return False
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        self._client.update_run(run, status="RUNNING")
        return True

    def parameters(self, values: Mapping[str, str]) -> None:
        """As parameters; MLflow changes none, so that what is another one now stands among the tags."""
        from mlflow.entities import Param, RunTag

        with quiet(_PATIENCE):
            known = self._client.get_run(self._run).data.params
            short = {name: value[:_LONGEST] for name, value in values.items()}
            fresh = [Param(name, value) for name, value in short.items() if name not in known]
            changed = [
                RunTag(name, value) for name, value in short.items() if known.get(name, value) != value
            ]
            for some in _parts(fresh, _PARAMETERS):
                self._client.log_batch(self._run, params=some)
            for some in _parts(changed, _PARAMETERS):
                self._client.log_batch(self._run, tags=some)

    def scalars(self, points: Sequence[Point]) -> None:
        """As metrics."""
        from mlflow.entities import Metric

        with quiet(_PATIENCE):
            for some in _parts(points, _METRICS):
                metrics = [Metric(each.name, each.value, each.at_ms, each.step) for each in some]
                self._client.log_batch(self._run, metrics=metrics)

    def table(self, name: str, rows: Sequence[Mapping[str, Cell]]) -> None:
        """As a JSON file in the form that MLflow shows as a table."""
        columns = list(rows[0]) if rows else []
        content = {"columns": columns, "data": [list(row.values()) for row in rows]}
        with quiet(_PATIENCE):
            self._client.log_text(self._run, json.dumps(content), f"tables/{name}.json")

    def text(self, name: str, text: str) -> None:
        """As a file, and its first line as a tag, by which runs can be found."""
        with quiet(_PATIENCE):
            self._client.log_text(self._run, text, f"texts/{name}.txt")
            self._client.set_tag(self._run, name, text.partition("\n")[0])

    def file(self, path: Path, name: str) -> None:
        """As an artefact."""
        with quiet(_PATIENCE):
            self._client.log_artifact(self._run, str(path), name.rpartition("/")[0] or None)

    def end(self, status: str) -> None:
        """Says how it ended; a later stage makes it run again."""
        with quiet(_PATIENCE):
            self._client.set_terminated(self._run, _STATUS[status])


def _parts(items: Sequence[Any], size: int) -> Iterator[Any]:
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part
