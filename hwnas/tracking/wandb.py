"""Weights & Biases: a run folder is a run of a project.

Without an address nothing leaves this machine: the run lies in the folder ``wandb`` of the run folder, and
``wandb sync`` sends it. It is sent at once with ``wandb:https://HOST/ENTITY/PROJECT``, or where the
environment variable ``WANDB_MODE`` says "online".
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit
from uuid import uuid4

from hwnas.errors import TrackingError
from hwnas.tracking.base import FINISHED, Cell, Point
from hwnas.tracking.foreign import package, quiet
from hwnas.tracking.places import masked, reason

_USUAL = "hwnas"
_SILENCE = {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}
"""Variables of the environment while wandb is asked: nobody asked for that network."""


class WeightsAndBiases:
    """Logs with the package wandb."""

    name: ClassVar[str] = "wandb"

    def __init__(self, place: str = "") -> None:
        self.place = place
        self._run: Any = None
        self._folder = Path()
        self._curves: set[str] = set()

    def check(self, folder: Path) -> None:
        """Look for the package, and whether the place is a project."""
        with quiet(_SILENCE):
            wandb = package("wandb", "Weights & Biases", self.name)
        settings, _, _ = self._settings()
        if settings.get("mode", os.environ.get("WANDB_MODE")) == "online":
            try:
                wandb.login(host=settings.get("base_url"))
            except Exception as error:
                raise TrackingError(
                    f"Weights & Biases must know who you are, but does not ({reason(error)}): `wandb login`"
                ) from error

    def begin(self, title: str, folder: Path, run: str | None) -> str:
        """Begin a run of the project, or go on with one."""
        settings, entity, project = self._settings()
        self._folder, self._curves = folder, set()
        folder.mkdir(parents=True, exist_ok=True)
        with quiet(_SILENCE):
            import wandb

            self._run = wandb.init(
                project=project,
                entity=entity,
                id=run or uuid4().hex[:12],
                name=title,
                dir=str(folder),
                resume="allow",
                reinit="create_new",
                settings=wandb.Settings(
                    silent=True, console="off", disable_git=True, disable_code=True, symlink=False, **settings
                ),
            )
        return str(self._run.id)

    def _settings(self) -> tuple[dict[str, str], str | None, str]:
        """What else is to be set, the entity and the project that the place names."""
        settings = {} if "WANDB_MODE" in os.environ else {"mode": "offline"}
        path = self.place
        if "://" in path:
            found = urlsplit(path)
            settings = {"base_url": f"{found.scheme}://{found.netloc}", "mode": "online"}
            path = found.path.strip("/")
        entity, _, project = path.rpartition("/")
        if "/" in entity or (path and not project) or "@" in self.place:
            raise TrackingError(
                "the place of a wandb run must be PROJECT, ENTITY/PROJECT or https://HOST/ENTITY/PROJECT, "
                f"but got {masked(self.place)!r}"
            )
        return settings, entity or None, project or os.environ.get("WANDB_PROJECT", _USUAL)

    def parameters(self, values: Mapping[str, str]) -> None:
        """As the run's config."""
        with quiet(_SILENCE):
            self._run.config.update(dict(values), allow_val_change=True)

    def scalars(self, points: Sequence[Point]) -> None:
        """As its history: each group of curves has steps of its own."""
        moments: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
        for each in points:
            moments[each.name.rpartition("/")[0], each.step][each.name] = each.value
        with quiet(_SILENCE):
            for (curves, step), values in moments.items():
                if curves not in self._curves:
                    self._run.define_metric(f"{curves}/step", hidden=True)
                    self._run.define_metric(f"{curves}/*", step_metric=f"{curves}/step")
                    self._curves.add(curves)
                self._run.log({**values, f"{curves}/step": step})

    def table(self, name: str, rows: Sequence[Mapping[str, Cell]]) -> None:
        """As a table."""
        columns = list(rows[0]) if rows else []
        with quiet(_SILENCE):
            import wandb

            data = [list(row.values()) for row in rows]
            self._run.log({f"tables/{name}": wandb.Table(columns=columns, data=data)})

    def text(self, name: str, text: str) -> None:
        """In its summary."""
        with quiet(_SILENCE):
            self._run.summary[f"texts/{name}"] = text

    def file(self, path: Path, name: str) -> None:
        """Among its files, as it is now."""
        with quiet(_SILENCE):
            self._run.save(str(path), base_path=str(self._folder), policy="now")

    def end(self, status: str) -> None:
        """Finish; a later process resumes it."""
        with quiet(_SILENCE):
            self._run.finish(exit_code=0 if status == FINISHED else 1)
