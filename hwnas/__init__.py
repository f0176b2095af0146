"""Find the best neural network for your own phone, board, CPU or GPU, under a latency budget.

Every stage is one function, and hands the next one a file or an object::

    import hwnas

    tables = hwnas.profile("macro", device="host")
    found = hwnas.search("macro", {"host/litert-int8": "60%"}, "run", data="digits")
    hwnas.train(found.run, epochs=20)
    hwnas.export(found.run)
    print(hwnas.verify(found.run).verdict)

Everything is imported when it is first used. Some functions share their name with the package that does
the work: ``hwnas.search`` is both, a package that can be called.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

if TYPE_CHECKING:
    from inspect import Signature

    from hwnas import blocks, plugins, runtimes, spaces, tasks, testing, tracking
    from hwnas.adapt.ladder import AdaptOptions
    from hwnas.api import (
        Exported,
        Found,
        Trained,
        adapt,
        compare,
        export,
        fit,
        import_model,
        measure,
        profile,
        search,
        train,
        verify,
    )
    from hwnas.benchmark.result import FileBenchmark
    from hwnas.budget import Budget
    from hwnas.device import Device, Target
    from hwnas.errors import (
        AgentError,
        DataError,
        DeviceError,
        ExportError,
        HwnasError,
        InfeasibleBudget,
        LatencyModelError,
        PluginError,
        SpaceError,
        TableError,
        TrainingError,
    )
    from hwnas.evaluators.supernet.config import OneShotConfig
    from hwnas.evaluators.zero_cost.config import ZeroCostConfig
    from hwnas.finalists.candidates import FinalistsOptions
    from hwnas.finalists.stage import SearchOptions
    from hwnas.importing import Imported
    from hwnas.latency.base import LatencyModel, Prediction
    from hwnas.latency.fitted import FittedModel
    from hwnas.measure.options import ProfileOptions, Progress
    from hwnas.plugins import load as load_plugins
    from hwnas.release.manifest import Manifest
    from hwnas.release.verification import VariantCheck, Verification
    from hwnas.runs.adapting import AdaptRecord, AdaptStep
    from hwnas.runs.comparison import ComparisonRecord
    from hwnas.space import Architecture, Block, Choice, Op, SearchSpace, Workload
    from hwnas.statistics.verdict import Verdict
    from hwnas.tables.table import LatencyTable
    from hwnas.train.config import EpochRecord, TrainConfig

_HOMES = {
    "adapt.ladder": ("AdaptOptions",),
    "api": ("Exported", "Found", "Trained", "fit", "import_model", "profile"),
    "benchmark.result": ("FileBenchmark",),
    "budget": ("Budget",),
    "device": ("Device", "Target"),
    "errors": (
        "AgentError",
        "DataError",
        "DeviceError",
        "ExportError",
        "HwnasError",
        "InfeasibleBudget",
        "LatencyModelError",
        "PluginError",
        "SpaceError",
        "TableError",
        "TrainingError",
    ),
    "evaluators.supernet.config": ("OneShotConfig",),
    "evaluators.zero_cost.config": ("ZeroCostConfig",),
    "finalists.candidates": ("FinalistsOptions",),
    "finalists.stage": ("SearchOptions",),
    "importing": ("Imported",),
    "latency.base": ("LatencyModel", "Prediction"),
    "latency.fitted": ("FittedModel",),
    "measure.options": ("ProfileOptions", "Progress"),
    "release.manifest": ("Manifest",),
    "release.verification": ("VariantCheck", "Verification"),
    "runs.adapting": ("AdaptRecord", "AdaptStep"),
    "runs.comparison": ("ComparisonRecord",),
    "space": ("Architecture", "Block", "Choice", "Op", "SearchSpace", "Workload"),
    "statistics.verdict": ("Verdict",),
    "tables.table": ("LatencyTable",),
    "train.config": ("EpochRecord", "TrainConfig"),
}
_MODULES = ("blocks", "plugins", "runtimes", "spaces", "tasks", "testing", "tracking")
_VERBS = ("adapt", "compare", "export", "measure", "search", "train", "verify")
_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AdaptOptions",
    "AdaptRecord",
    "AdaptStep",
    "AgentError",
    "Architecture",
    "Block",
    "Budget",
    "Choice",
    "ComparisonRecord",
    "DataError",
    "Device",
    "DeviceError",
    "EpochRecord",
    "ExportError",
    "Exported",
    "FileBenchmark",
    "FinalistsOptions",
    "FittedModel",
    "Found",
    "HwnasError",
    "Imported",
    "InfeasibleBudget",
    "LatencyModel",
    "LatencyModelError",
    "LatencyTable",
    "Manifest",
    "OneShotConfig",
    "Op",
    "PluginError",
    "Prediction",
    "ProfileOptions",
    "Progress",
    "SearchOptions",
    "SearchSpace",
    "SpaceError",
    "TableError",
    "Target",
    "TrainConfig",
    "Trained",
    "TrainingError",
    "VariantCheck",
    "Verdict",
    "Verification",
    "Workload",
    "ZeroCostConfig",
    "adapt",
    "blocks",
    "compare",
    "export",
    "fit",
    "import_model",
    "load_plugins",
    "measure",
    "plugins",
    "profile",
    "runtimes",
    "search",
    "spaces",
    "tasks",
    "testing",
    "tracking",
    "train",
    "verify",
]


def __getattr__(name: str) -> Any:
    """What is public, imported now (PEP 562)."""
    if name in _OF:
        return getattr(import_module(f"hwnas.{_OF[name]}"), name)
    if name in _MODULES or name in _VERBS:
        return import_module(f"hwnas.{name}")
    if name == "load_plugins":
        return import_module("hwnas.plugins").load
    raise AttributeError(f"module 'hwnas' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Verb(ModuleType):
    """A package that is called like the function of its name in ``hwnas.api``, and is documented like it."""

    @property
    def _function(self) -> Any:
        return getattr(import_module("hwnas.api"), self.__name__.rpartition(".")[2])

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        return str(self._function.__doc__)

    @property
    def __signature__(self) -> Signature:
        from inspect import signature

        return signature(self._function)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._function(*args, **options)


class _Package(ModuleType):
    """Makes the packages of verbs callable when they are imported, by whomever."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _VERBS and isinstance(value, ModuleType):
            value.__class__ = _Verb
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
