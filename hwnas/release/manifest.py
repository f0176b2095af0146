"""``manifest.json``: what is in a shipping folder, where it comes from, what was promised.

Fields that this version does not know are kept and written again, so that others can add their own;
those that it needs must be there. Another schema is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from hwnas import runtimes, tasks
from hwnas.errors import HwnasError, SchemaMismatch, in_words
from hwnas.export import PRECISIONS
from hwnas.release.verification import Verification
from hwnas.runs import records
from hwnas.runs.budgets import BUDGET, BudgetRecord
from hwnas.runs.finalists import ENERGY, ChosenEnergy
from hwnas.runs.folder import ShippingFolder
from hwnas.shapes import COUNT, NONE
from hwnas.statistics.metric import ACCURACY, Metric
from hwnas.statistics.verdict import Verdict
from hwnas.tasks import Task

SCHEMA = "hwnas-manifest/2"
_ELSEWHERE = "verified_elsewhere"  # on further devices, as "verification" is on one
_FIELDS = {
    "architecture": dict,
    "weights_sha256": str,
    "data": dict,
    "device": str,
    "budgets": list,
    "variants": list,
    "files": dict,
}
_MODEL_FIELDS = {"name": str, "runtime": str, "precision": str, "file": str, "bytes": int}
_BUDGET_FIELDS = {"target": dict, "budget_ms": float}
_OPTIONAL = {"verification": dict, _ELSEWHERE: list, "scales": dict, "settings": dict}
"""Not of every version, or only there after ``hwnas verify``."""
_SAID = {
    "data": records.DATA,
    "budgets": [BUDGET],
    "variants": [{"layout?": (str, NONE), "parity?": (dict, NONE), "kept?": {str: str}}],
    "created?": str,
    "hwnas?": str,
    "versions?": {str: str},
    "licence?": (str, NONE),
    "began_with?": (dict, NONE),
    "macs?": COUNT,
    "params?": COUNT,
    "int8?": (dict, NONE),
    "int8_costs?": [{"said": str}],
    "int8_kept?": [{"said": str}],
    "int8_layers?": [{"layer": str}],
    "energy?": ENERGY,
}
_OPEN = ("licence", "int8")  # null says something there
_Part = TypeVar("_Part", Verification, Verdict, BudgetRecord, ChosenEnergy)


@dataclass(frozen=True)
class ShippedModel:
    """A model that ships: the network for one runtime in one precision.

    Attributes:
        name: ``<runtime>-<precision>``.
        runtime: What runs it.
        precision: "fp32" or "int8".
        file: Its name in the folder.
        bytes: Its size.
        layout: Order of the axes of its images; None where an older file does not say.
        parity: How it agrees with PyTorch; None where that was not checked.
        kept: Precisions of layers that are in another one than the file, by name; None where none is.
        more: Fields of others.
    """

    name: str
    runtime: str
    precision: str
    file: str
    bytes: int
    layout: str | None = None
    parity: Mapping[str, Any] | None = None
    kept: Mapping[str, str] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        told = {name: getattr(self, name) for name in _KNOWN_OF_MODEL}
        return {n: value for n, value in told.items() if n not in _IF_ANY or value} | dict(self.more)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ShippedModel:
        """Rebuild what ``to_json`` wrote, or an earlier version."""
        known = {name: data[name] for name in _KNOWN_OF_MODEL if name in data}
        return cls(**known, more={name: value for name, value in data.items() if name not in known})


_IF_ANY = ("layout", "kept")
_KNOWN_OF_MODEL = tuple(name for name in ShippedModel.__dataclass_fields__ if name != "more")


@dataclass(frozen=True)
class Manifest:
    """What is in a shipping folder, where it comes from, what was promised, and what was found of that.

    Attributes:
        architecture: The network, as ``Architecture.to_json`` says.
        weights_sha256: Hash of the weights that the models are of.
        data: What ``Dataset.describe`` said, with a name of the source that tells nothing of the machine.
        device: Name of the device of the first budget.
        budgets: What was asked for.
        models: Every model.
        files: SHA-256 of every file by its name.
        test_value: The metric on the test split, in PyTorch.
        metric: What networks of the task are judged by.
        task_name: Of what the network is for; empty in older files.
        created: When (UTC); empty where an older file does not say.
        hwnas: Version that exported; empty likewise.
        versions: Of Python and packages, by name.
        licence: Of the models; None where nobody said.
        began_with: Where the weights began that others had trained: source, licence, hash; None where they
            were random.
        macs: Multiply-adds.
        params: Parameters.
        learning: Whether the network knows more than guessing; None in older files.
        settings: Of the export; empty in older files.
        int8: What fine-tuning for int8 came to, as ``Rounding.to_json`` says; None where nobody asked.
        int8_costs: What int8 loses, one object a runtime, as ``Int8Cost.to_json`` says.
        int8_kept: What int8 files keep in other precisions, one object a runtime, as ``KeptLayers.to_json``
            says.
        int8_layers: What int8 does to each layer, as ``LayerNoise.to_json`` says; empty where nobody asked.
        energy: What was asked of an inference's energy, on the target of a budget; None where nobody asked.
        verified: What was found on each device, as the version that verified wrote it, the device that
            the manifest is for first; ``verifications`` reads it.
        scales: Anchor latencies by target, as ``Scales`` keeps them; None before any verification.
        more: Fields of others.
    """

    architecture: Mapping[str, Any]
    weights_sha256: str
    data: Mapping[str, Any]
    device: str
    budgets: tuple[BudgetRecord, ...]
    models: tuple[ShippedModel, ...]
    files: Mapping[str, str]
    test_value: float
    metric: Metric = ACCURACY
    task_name: str = ""
    created: str = ""
    hwnas: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    licence: str | None = None
    began_with: Mapping[str, Any] | None = None
    macs: int | None = None
    params: int | None = None
    learning: Verdict | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    int8: Mapping[str, Any] | None = None
    int8_costs: tuple[Mapping[str, Any], ...] = ()
    int8_kept: tuple[Mapping[str, Any], ...] = ()
    int8_layers: tuple[Mapping[str, Any], ...] = ()
    energy: ChosenEnergy | None = None
    verified: tuple[Mapping[str, Any], ...] = ()
    scales: Mapping[str, Any] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        """What the network is for; earlier versions knew classification only."""
        return tasks.get(self.task_name) if self.task_name else tasks.of_record(self.data)

    @cached_property
    def verifications(self) -> tuple[Verification, ...]:
        """What was found on each device, first on the one that the manifest is for if there is any of it."""
        return tuple(map(Verification.from_json, self.verified))

    def with_verification(self, found: Verification, scales: Mapping[str, Any]) -> Manifest:
        """The manifest with what was found on a device in the place of what was found there before."""
        known = {item["device"]: item for item in self.verified} | {found.device: found.to_json()}
        verified = sorted(known.values(), key=lambda item: bool(item["device"] != self.device))
        return replace(self, verified=tuple(verified), scales=scales)

    def with_file(self, name: str, digest: str) -> Manifest:
        """The manifest with the hash of another file, or of a newer one in its place."""
        return replace(self, files={**self.files, name: digest})

    def verified_json(self) -> dict[str, Any]:
        """The fields that say what was found on devices."""
        if not self.verified:
            return {}
        first, *others = self.verified
        return {"verification": first, **({_ELSEWHERE: others} if others else {})}

    def to_json(self) -> dict[str, Any]:
        """A JSON object; the metric goes by its own name."""
        told = {
            "schema": SCHEMA,
            "created": self.created or None,
            "hwnas": self.hwnas or None,
            "versions": dict(self.versions),
            "licence": self.licence,
            "began_with": None if self.began_with is None else dict(self.began_with),
            "architecture": dict(self.architecture),
            "macs": self.macs,
            "params": self.params,
            "weights_sha256": self.weights_sha256,
            "data": dict(self.data),
            "device": self.device,
            "budgets": [item.to_json() for item in self.budgets],
            "task": self.task_name or None,
            "metric": asdict(self.metric),
            f"test_{self.metric.key}_pytorch": self.test_value,
            "learning": None if self.learning is None else self.learning.to_json(),
            "settings": dict(self.settings) or None,
            "variants": [item.to_json() for item in self.models],
            "int8": self.int8,
            "int8_costs": list(self.int8_costs),
            "int8_kept": list(self.int8_kept) or None,
            "int8_layers": list(self.int8_layers) or None,
            "energy": None if self.energy is None else self.energy.to_json(),
            "files": dict(self.files),
            **self.verified_json(),
            "scales": None if self.scales is None else dict(self.scales),
        }
        return {n: v for n, v in told.items() if v is not None or n in _OPEN} | dict(self.more)

    @classmethod
    def from_json(cls, data: Mapping[str, Any], path: Path, remedy: str) -> Manifest:
        """Rebuild what ``to_json`` wrote, or an earlier version.

        Args:
            data: The content of the file, an object.
            path: Of the file, for messages.
            remedy: What makes it anew: the end of a sentence.

        Raises:
            SchemaMismatch: It is of another schema, or does not hold what it must.
        """
        _require(data, path, remedy)
        metric = records.metric_of(data)
        value = f"test_{metric.key}_pytorch"
        learning = None
        if "learning" in data:
            learning = _parsed(Verdict, data["learning"], "learning", path, remedy)
        for item in (verified := _verified(data)):
            _parsed(Verification, item, "verification", path, remedy)
        return cls(
            **{name: data[name] for name in _PLAIN if data.get(name) is not None},
            budgets=tuple(_parsed(BudgetRecord, item, "budget", path, remedy) for item in data["budgets"]),
            models=tuple(map(ShippedModel.from_json, data["variants"])),
            test_value=data[value],
            metric=metric,
            task_name=data.get("task", ""),
            learning=learning,
            int8_costs=tuple(data.get("int8_costs", ())),
            int8_kept=tuple(data.get("int8_kept", ())),
            int8_layers=tuple(data.get("int8_layers", ())),
            energy=_parsed(ChosenEnergy, data["energy"], "energy", path, remedy)
            if "energy" in data
            else None,
            verified=verified,
            more={name: item for name, item in data.items() if name not in (*_PLAIN, *_OTHERS, value)},
        )


_PLAIN = (
    *("architecture", "weights_sha256", "data", "device", "files", "created", "hwnas", "versions"),
    *("licence", "began_with", "macs", "params", "settings", "int8", "scales"),
)
_OTHERS = (
    *("schema", "budgets", "variants", "task", "metric", "learning", "int8_costs", "energy"),
    *("int8_kept", "int8_layers"),
    *("verification", _ELSEWHERE),
)


def _verified(data: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    first = [data["verification"]] if "verification" in data else []
    return (*first, *data.get(_ELSEWHERE, ()))


def _require(data: Mapping[str, Any], path: Path, remedy: str) -> None:
    """Raise SchemaMismatch where a file is no manifest of this schema."""
    found = data.get("schema")
    if found != SCHEMA:
        raise SchemaMismatch(
            f"a manifest must be of schema {SCHEMA}, but {path} is of {found!r}: {remedy}", field="schema"
        )
    _require_fields(data, _FIELDS, path, remedy)
    records.require(data, {"task?": str, "metric?": records.METRIC}, "a manifest", path, remedy)
    _require_fields(data, {f"test_{records.metric_of(data).key}_pytorch": float}, path, remedy)
    _require_fields(data, {name: kind for name, kind in _OPTIONAL.items() if name in data}, path, remedy)
    for entry in data["variants"]:
        _require_fields(entry, _MODEL_FIELDS, path, remedy)
        _require_known(entry, path)
    for budget in data["budgets"]:
        _require_fields(budget, _BUDGET_FIELDS, path, remedy)
    records.require(data, _SAID, "a manifest", path, remedy)
    needed = [entry["file"] for entry in data["variants"]]
    needed += [ShippingFolder.labels, ShippingFolder.preprocessing, ShippingFolder.probes]
    unlisted = [name for name in needed if name not in data["files"]]
    if unlisted or not data["variants"]:
        raise SchemaMismatch(
            "a manifest must list the hash of every model, the labels, the preprocessing and the probes, but "
            f"{path} lacks {', '.join(unlisted) or 'models'}: {remedy}",
            field="files",
        )


def _require_fields(found: Any, fields: Mapping[str, type], path: Path, remedy: str) -> None:
    for name, kind in fields.items():
        value = found.get(name) if isinstance(found, dict) else None
        accepted = (float, int) if kind is float else kind
        if not isinstance(value, accepted):
            raise SchemaMismatch(
                f"a manifest must have {name} ({kind.__name__}), but {path} has "
                f"{'none' if value is None else repr(value)}: {remedy}",
                field=name,
            )


def _require_known(entry: Mapping[str, Any], path: Path) -> None:
    known_runtimes = tuple(runtime.name for runtime in runtimes.exporting())
    for name, known in (("runtime", known_runtimes), ("precision", PRECISIONS)):
        if entry[name] not in known:
            raise SchemaMismatch(
                f"the {name} of a model must be one of {known}, but {path} has {entry[name]!r}",
                field=name,
            )


def _parsed(kind: type[_Part], found: Any, name: str, path: Path, remedy: str) -> _Part:
    try:
        return kind.from_json(found)
    except (HwnasError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise SchemaMismatch(
            f"the {name} in a manifest must be as hwnas wrote it, but that in {path} is not: "
            f"{in_words(error)}: {remedy}",
            field=name,
        ) from error
