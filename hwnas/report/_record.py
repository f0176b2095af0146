"""What a run has left in its folder, as far as it is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hwnas import latency, release, tasks
from hwnas.device import Target
from hwnas.errors import typed
from hwnas.latency.bayes.posterior import Posterior
from hwnas.latency.fitted import FittedModel
from hwnas.latency.lookup import Lookup
from hwnas.latency.provenance import file_sha256
from hwnas.latency.regression import Regression
from hwnas.release import Manifest, against
from hwnas.release.verification import VariantCheck, Verification
from hwnas.runs import records, runtimes
from hwnas.runs.adapting import AdaptRecord
from hwnas.runs.budgets import BudgetRecord
from hwnas.runs.comparison import ComparisonRecord
from hwnas.runs.finalists import ChosenLatency
from hwnas.runs.folder import RunFolder
from hwnas.runs.found import SearchRecord
from hwnas.runs.gallery import GalleryRecord
from hwnas.runs.runtimes import RuntimeChoice
from hwnas.runs.training import TrainingRecord
from hwnas.search import history
from hwnas.search.pick import draw_again
from hwnas.space import Architecture
from hwnas.statistics.differences import Difference
from hwnas.statistics.verdict import NOT_PROVEN, Verdict
from hwnas.tables import places
from hwnas.tables.table import LatencyTable
from hwnas.tasks import Task

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Record:
    """All that the sections of the report are made from.

    Attributes:
        arch: The network.
        search: How it was found, or for what it was compared.
        trained: How it was trained; None where it was not.
        manifest: The shipping folder's; None where nothing was exported.
        gallery: The front over the whole range; None where none was made.
        mistakes: What the task kept of single images; None where training left no such record.
        comparison: Baselines trained and measured beside the network; None where there are none.
        models: Latency models, in the order of the search's budgets.
        tables: Latency tables that the models were fitted to, by target.
        stale: What in the run's folder is of something that is no more.
        damaged: What is wrong with files that the report can do without, a sentence each.
        unfinished: That a further training was begun and not ended, a sentence.
        runtimes: What was measured to choose one, by what was asked for; none where none was chosen.
        adapting: What was tried to make the network keep its budget; None where it was not adapted.
        baseline: Another run; None where none was given.
        difference: By how much it is better on the same images; None where that is not known.
    """

    arch: Architecture
    search: SearchRecord
    trained: TrainingRecord | None
    manifest: Manifest | None
    gallery: GalleryRecord | None
    comparison: ComparisonRecord | None
    mistakes: Json | None
    models: Sequence[FittedModel]
    tables: Mapping[Target, LatencyTable]
    stale: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    runtimes: Mapping[str, RuntimeChoice] = field(default_factory=dict)
    adapting: AdaptRecord | None = None
    baseline: Record | None = None
    difference: Difference | None = None

    @cached_property
    def verifications(self) -> tuple[Verification, ...]:
        """What was measured of what ships, on each device that it was verified on."""
        return self.manifest.verifications if self.manifest else ()

    @property
    def learning(self) -> Verdict | None:
        """Whether the network learned anything, as export found; None where it is not known."""
        if self.manifest is not None and self.manifest.learning is not None:
            return self.manifest.learning
        if self.trained is not None and not self.trained.learnt:
            return Verdict(NOT_PROVEN, ("the training found no more than guessing: export says more",))
        return None

    @cached_property
    def task(self) -> Task:
        """What the network is for."""
        return tasks.of_record(self.search.data)

    @property
    def source(self) -> str:
        """Name of the images, which tells nothing of the machine: the report ships."""
        return release.public_name(str(self.search.data["source"]))

    @property
    def budgets(self) -> tuple[BudgetRecord, ...]:
        """The budgets of the search, the first one's target being the main one."""
        return self.search.budgets

    @property
    def is_searched(self) -> bool:
        """Whether a search found it: a network of a comparison has budgets, but nobody predicted it."""
        return any(item.predicted_ms is not None for item in self.budgets)

    @property
    def chosen(self) -> tuple[ChosenLatency, ...]:
        """What the search measured of the network, one a target; empty where it did not."""
        return self.search.finalists.targets if self.search.finalists else ()

    @property
    def score(self) -> str:
        """What architectures were ranked by, for example "balanced accuracy"."""
        return self.search.score

    @property
    def images(self) -> int:
        """How many images each score was made on; 0 where that is not known."""
        if self.gallery:
            return self.gallery.images
        if self.search.untrained is not None or (self.search.scratch or {}).get("alike"):
            return 0
        available = self.search.data.get("images", {}).get("val", 0)
        return int(min(available, (self.search.oneshot or {}).get("validation_images", available)))

    def network(self, indices: Sequence[int] | None = None) -> str:
        """What marks and rows of one network have in common on a page; by default of this record's."""
        own = self.arch.indices if indices is None else indices
        return f"{self.arch.space.name} {'.'.join(map(str, own))}"

    def variant(self, wanted: Target) -> VariantCheck | None:
        """What was measured of the variant for a target; None where it was not."""
        there = [found for found in self.verifications if found.device == wanted.device]
        names = {item.name: item for found in there for item in found.variants}
        return names.get(wanted.slug) or names.get(f"{wanted.runtime}-{wanted.precision}")

    def model(self, name: str) -> FittedModel | None:
        """The latency model of a target."""
        return next((model for model in self.models if str(model.target) == name), None)


def read(
    run: Path, latencies: Sequence[Path] = (), tables: Path | None = None, baseline: Path | None = None
) -> Record:
    """Read a run; what is not there is None, what is there must be readable.

    Raises:
        HwnasError: The run has no architecture, or a file in it cannot be read.
    """
    arch, search = release.read_run(run)
    names, targets = [item.name for item in search.budgets], search.targets
    folder, chain = RunFolder(run), records.chain_of(run)
    kept = [path for path in map(folder.latency_model, targets) if path.is_file()]
    if chain is not None:  # a search of its stage has models and tables there
        kept, tables = kept or [*chain.latency_models(targets)], tables or chain.tables
    models = sorted(
        (latency.load(path, arch.space.name) for path in latencies or kept),
        key=lambda model: names.index(str(model.target)) if str(model.target) in names else len(names),
    )
    return Record(
        arch=arch,
        search=search,
        trained=records.trained(run) if folder.train.exists() else None,
        manifest=release.manifest_of(folder.export) if folder.shipping.manifest.exists() else None,
        gallery=records.gallery(run, draw_again(run)) if folder.gallery.exists() else None,
        comparison=records.comparison(run) if folder.comparison.exists() else None,
        mistakes=_optional(folder.mistakes, dict, f"{typed('train', run)} makes it anew"),
        models=models,
        tables=_tables(tables, targets, models),
        stale=release.stale(run),
        damaged=damaged(run),
        unfinished=release.unfinished(run),
        runtimes=runtimes.read(run),
        adapting=records.adapting(run) if folder.adapting.exists() else None,
        baseline=None if baseline is None else read(baseline),
        difference=None if baseline is None else against.read(run, baseline),
    )


def damaged(run: Path) -> tuple[str, ...]:
    """What is wrong with files of a run that a report can do without, a sentence each."""
    path = RunFolder(run).history
    said = history.damage(path) if path.exists() else ""
    kept = "what the search scored is shown as search.json says"
    return (f"{said.replace(str(path), path.name)} ({kept})",) if said else ()  # the report ships


def fitted_to(model: FittedModel) -> str | None:
    """Hash of the table that a model was fitted to; None where the model does not say."""
    if isinstance(model, Posterior):
        return model.origin.get("table_sha256")
    return model.table_sha256 if isinstance(model, Lookup | Regression) else None


def _optional(path: Path, shape: records.Shape, remedy: str) -> Json | None:
    if not path.exists():
        return None
    found: Json = records.read(path, "a record of the run", shape, remedy)
    return found


def _tables(
    folder: Path | None, targets: Sequence[Target], models: Sequence[FittedModel]
) -> dict[Target, LatencyTable]:
    """Those of the folder, with or without folders of devices in it.

    Without a folder, the user's own and those that came with hwnas, if a model was fitted to them.
    """
    homes = [folder] if folder else [places.own(), places.shipped()]
    fitted = {str(model.target): fitted_to(model) for model in models}
    found = {}
    for target in targets:
        for path in places.existing(homes, target):
            if target in found:
                continue
            if not folder and fitted.get(str(target)) != file_sha256(path):
                continue
            table = LatencyTable.load(path)
            if table.target == target:
                found[target] = table
    return found
