"""Settings that were checked: every value of a config, as the stages take it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import data as images
from hwnas.settings.kinds import Baseline, Basics, Export, Finalists, Fit, Origin, Search, Targets, Verify

if TYPE_CHECKING:
    from hwnas.finalists import FinalistsOptions

Place = Callable[[str, str | None], str]
"""Where a section or a key of it stands, for the end of a message."""


@dataclass(frozen=True)
class Config:
    """A checked config; every value is there, defaults included.

    Attributes:
        root: Folder that paths are relative to.
        values: Section to key to value; values are of the types that the dataclasses want.
    """

    root: Path
    values: Mapping[str, Mapping[str, Any]]

    @property
    def basics(self) -> Basics:
        """The keys outside any section."""
        return Basics(**self.values[""])

    def accepting_noise(self) -> Config:
        """The same, with a promise that is NOT PROVEN taken all the same."""
        return replace(
            self, values={**self.values, "verify": {**self.values["verify"], "accept_noise": True}}
        )

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        return self.root / self.basics.folder

    @property
    def data(self) -> str:
        """The source of images; a path is absolute."""
        given = self.basics.data
        return given if images.is_embedded(given) else str((self.root / Path(given).expanduser()).resolve())

    @property
    def targets(self) -> Targets:
        """Which targets are measured."""
        return Targets(**{name: self.values["profile"][name] for name in ("runtimes", "precisions")})

    @property
    def profile(self) -> dict[str, Any]:
        """The arguments of ``ProfileOptions``."""
        return {k: v for k, v in self.values["profile"].items() if k not in ("runtimes", "precisions")}

    @property
    def fit(self) -> Fit:
        """How latency is predicted."""
        return Fit(**self.values["fit"])

    @property
    def search(self) -> Search:
        """What is searched."""
        return Search(**self.values["search"])

    @property
    def finalists(self) -> tuple[Finalists, FinalistsOptions]:
        """How the found network is held to its budgets."""
        from hwnas.finalists import FinalistsOptions

        values = dict(self.values["promise"])
        ours = {field.name: values.pop(field.name) for field in fields(Finalists)}
        return Finalists(**ours), FinalistsOptions(**values)

    @property
    def baseline(self) -> Baseline:
        """What it is compared with."""
        return Baseline(**self.values["baseline"])

    @property
    def train(self) -> tuple[Origin, dict[str, Any]]:
        """What a training has beside the images, and the arguments of ``TrainConfig``."""
        values = dict(self.values["train"])
        origin = Origin(**{field.name: values.pop(field.name) for field in fields(Origin)})
        return origin, values if origin.teacher else values | {"distill_weight": 0.0}

    @property
    def teacher(self) -> Path | None:
        """Run folder of the network to learn from."""
        return self._path(self.values["train"]["teacher"])

    @property
    def search_teacher(self) -> Path | None:
        """Run folder of the network that candidates learn from."""
        return self._path(self.search.teacher)

    @property
    def alike(self) -> Path | None:
        """Whom networks that are scored are to be alike."""
        return self._path(self.search.alike)

    def _path(self, given: str | None) -> Path | None:
        return None if given is None else (self.root / Path(given).expanduser()).resolve()

    @property
    def export(self) -> Export:
        """How the models are made."""
        return Export(**self.values["export"])

    @property
    def verify(self) -> Verify:
        """How well the shipped models are measured."""
        return Verify(**self.values["verify"])
