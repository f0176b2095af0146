"""The table that a search believes: the user's own, or else one that came with hwnas."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hwnas.device import Target
from hwnas.errors import HwnasError, SchemaMismatch, TableError
from hwnas.latency.bayes.known_devices import known_devices
from hwnas.latency.bayes.posterior import Posterior
from hwnas.latency.fitted import FittedModel
from hwnas.latency.networks import Networks
from hwnas.latency.provenance import table_sha256
from hwnas.latency.store import COVERED, fit, load, measured_share, save
from hwnas.space import SearchSpace
from hwnas.tables import places
from hwnas.tables.operations import ORIGIN
from hwnas.tables.table import LatencyTable

FEWEST = 2
"""Whole networks that a table must hold where it has too few blocks."""


@dataclass(frozen=True)
class Source:
    """A table of a target that covers a space.

    Attributes:
        table: What was measured.
        path: Its file.
        space: The space.
        own: Whether the user measured it.
        model: What can be fitted to it: "posterior", or "transfer" where there are whole networks
            alone.
        folder: Where the user's tables were looked for; None for their usual place.
    """

    table: LatencyTable
    path: Path
    space: SearchSpace
    own: bool
    model: str = "posterior"
    folder: Path | None = None

    @property
    def clock(self) -> LatencyTable:
        """The table for its clock; one that came with hwnas is marked, as nothing here is on its scale."""
        if self.own:
            return self.table
        environment = self.table.environment | {ORIGIN: "hwnas"}
        return LatencyTable(self.table.target, environment, self.table.rounds, self.table.notes)

    @property
    def command(self) -> str:
        """What makes a table of one's own that takes the place of this one."""
        return _command(self.table.target, self.space, self.folder)

    @property
    def warning(self) -> str:
        """Whose processor it was, where it was not the user's; or how much of the space it lacks."""
        if self.own:
            return self._gaps if self.model == "posterior" else ""
        processor = self.table.environment.get("cpu_model") or "an unknown processor"
        began = min((item.session[:8] for item in self.table.rounds), default="")
        date = f" on {began[:4]}-{began[4:6]}-{began[6:]}" if began.isdecimal() else ""
        return (
            f"no table of your own for {self.table.target} covers {self.space.name}, so one that came with "
            f"hwnas is used: it was measured on another machine ({processor}{date}); "
            f"{self.command} makes your own in minutes"
        )

    @property
    def _gaps(self) -> str:
        share, count = measured_share(self.table, self.space), len(self.space.workloads())
        if share == 1:
            return ""
        return (
            f"{round((1 - share) * count)} of {count} blocks of {self.space.name} are not in the table of "
            f"{self.table.target} and are estimated from the others; {self.command} "
            "measures what was not tried"
        )


def find_table(target: Target, space: SearchSpace, folder: Path | None = None) -> Source:
    """The table to fit a latency model to.

    Args:
        target: What the latencies are for.
        space: What they are for; a table must hold most of its blocks, or some whole networks.
        folder: The user's tables, ``<device>/<runtime>-<precision>.jsonl`` or without the
            device; by default where ``hwnas profile`` keeps them.

    Raises:
        TableError: There is no such table, neither of the user's own nor shipped.
        SchemaMismatch: A file is of another target than its place says.
    """
    own = places.candidates(folder or places.own(), target)[: 1 if folder is None else 2]
    shipped, _ = places.candidates(places.shipped(), target)
    for path in (*own, shipped):
        if not path.is_file():
            continue
        table = LatencyTable.load(path)
        if table.target != target:
            if path == own[-1] != own[0] and table.target.device != target.device:
                continue  # a folder without devices is of one of those that were asked for
            raise SchemaMismatch(f"{path} must be of {target}, but is of {table.target}", field="target")
        if model := _model_of(table, space):
            return Source(table, path, space, path != shipped, model, folder)
    raise TableError(
        f"a search must have a latency table of {target} for {space.name}, but there is none in "
        f"{own[0].parent} and none came with hwnas: run {_command(target, space, folder)}"
    )


def _command(target: Target, space: SearchSpace, folder: Path | None) -> str:
    return places.profile_command(
        target, space.typed_name, None if folder is None else folder / target.device
    )


def fitted(source: Source, path: Path) -> Path:
    """Fit the model of a source into ``path``, unless that was done before; returns ``path``."""
    if path.is_file():
        with suppress(HwnasError):  # what is damaged or of an older version is fitted anew
            before = load(path)
            same = isinstance(before, Posterior) and before.fingerprint == source.space.fingerprint
            if same and before.to_json()["origin"].get("table_sha256") == table_sha256(source.table):
                return path
    save(fit_source(source), path)
    return path


def fit_source(source: Source) -> FittedModel:
    """The model that a source's table carries."""
    is_transfer = source.model == "transfer"
    known = known_devices(source.space, source.table.target) if is_transfer else None
    return fit(source.table, source.space, source.model, known=known)


def _model_of(table: LatencyTable, space: SearchSpace) -> str:
    """What can be fitted to a table for a space; empty where it does not suffice."""
    if measured_share(table, space) >= COVERED:
        return "posterior"
    return "transfer" if len(Networks.of_table(table, space, "calibration")) >= FEWEST else ""
