"""What verification finds, and its JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hwnas.errors import SchemaMismatch, in_words
from hwnas.runs import records
from hwnas.runs.around import Around, Reading
from hwnas.runs.energy import EnergyCheck
from hwnas.shown import Display, ShownTable, cell, ends, low_high
from hwnas.statistics import verdict
from hwnas.statistics.metric import ACCURACY, Metric
from hwnas.statistics.verdict import BUDGET, FAIL, NOT_PROVEN, PASS, Verdict
from hwnas.tables.measurement import MIN_ROUNDS
from hwnas.tasks import DEFAULT
from hwnas.tasks.base import Estimate


@dataclass(frozen=True)
class SessionRecord:
    """The session on the device that a latency comes from, and whether it can be believed.

    Attributes:
        id: Begins with the time (UTC) that it began at.
        rounds: Rounds of the variant, each with the anchor beside it.
        verdict: "stable", "noisy" or "unusable"; see ``hwnas.tables.conditions``.
        reasons: What speaks against it, with numbers; empty where it is stable.
        environment: What the latency is true of: processor, system, runtime with its hash.
        notes: What did no harm: how long the clock was slow, and what the variant took then.
    """

    id: str
    rounds: int
    verdict: str
    reasons: tuple[str, ...]
    environment: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """The quality of the session in one word."""
        return self.verdict

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SessionRecord:
        """Rebuild a session from its fields."""
        return cls(**{**data, **{name: tuple(data.get(name, ())) for name in ("reasons", "notes")}})


@dataclass(frozen=True)
class VariantCheck:
    """What was found about one shipped file.

    Attributes:
        name: ``<runtime>-<precision>``.
        file: File name in the shipping folder.
        bytes: Its size.
        value: Of the task's metric, on the test split; None where the data were never at hand.
        estimate: What that is made of; None where an earlier version verified.
        loss: By how much PyTorch is better on the test split.
        further: The same as ``estimate`` on a further test set; None where none was given.
        measured_ms: Latency on the device, anchored; see ``hwnas.tables.table.Measurement``. None
            where the device does not have the variant's runtime.
        interval_ms: 95 % interval of ``measured_ms``; None where the rounds are too few for one.
        predicted_ms: What the search believed; None where it did not search for this target.
        budget_ms: What was asked for; None where nothing was.
        conditions: What the agent saw in the last round, delegate coverage included.
        checks: The verdict on everything that was looked at, by what it was; ``verdict.BUDGET`` is
            not among them where no budget was asked for.
        session: Where ``measured_ms`` comes from; None where there is none, or where an earlier
            version verified.
        energy: Of an inference; None where no limit on it was promised.
        around: What preparing a picture and reading an answer take beside it; None where that is not known.
    """

    name: str
    file: str
    bytes: int
    value: float | None
    estimate: Estimate | None
    loss: float | None
    further: Estimate | None
    measured_ms: float | None
    interval_ms: tuple[float, float] | None
    predicted_ms: float | None
    budget_ms: float | None
    conditions: Mapping[str, Any]
    checks: Mapping[str, Verdict]
    session: SessionRecord | None = None
    energy: EnergyCheck | None = None
    around: Around | None = None

    @property
    def network(self) -> Reading | None:
        """The latency of the network alone; None where it was not measured."""
        return None if self.measured_ms is None else (self.measured_ms, self.interval_ms)

    @property
    def said_around(self) -> str:
        """What the whole takes for a picture, for people; empty where that is not known."""
        if self.around is None or self.network is None:
            return ""
        return self.around.said(self.network, self.budget_ms, self.session)

    @property
    def verdict(self) -> Verdict | None:
        """All checks as one; None where nothing is wrong and no budget was promised."""
        found = verdict.worst(self.checks.values())
        return None if found is None or (found.is_pass and BUDGET not in self.checks) else found

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not PASS."""
        found = verdict.worst(self.checks.values())
        return found.reasons if found else ()

    def to_json(self, metric: Metric = ACCURACY) -> dict[str, Any]:
        """A JSON object; what the metric says goes by its own name."""
        found, names = self.verdict, _names(metric)
        estimates = {"estimate": self.estimate, "further": self.further}
        told: dict[str, Any] = asdict(self) | {
            **{key: None if each is None else each.to_json() for key, each in estimates.items()},
            "checks": {name: check.to_json() for name, check in self.checks.items()},
            "verdict": None if found is None else found.word,
            "reasons": list(self.reasons),
        }
        if self.energy is None:
            del told["energy"]
        if self.around is None:
            del told["around"]
        else:
            told["around"] = self.around.to_json(self.network, self.budget_ms, self.session)
        return {names.get(name, name): value for name, value in told.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], metric: Metric = ACCURACY) -> VariantCheck:
        """Rebuild what ``to_json`` wrote, or what an earlier version did.

        An earlier version's verdict is not taken over: it said PASS of whatever was not refuted. What
        it measured is judged again.
        """
        known = {name: _names(metric).get(name, name) for name in cls.__dataclass_fields__}
        fields = {name: data[key] for name, key in known.items() if key in data}
        interval = data["interval_ms"]
        fields["interval_ms"] = None if interval is None else (interval[0], interval[1])
        session = data.get("session")
        fields["session"] = None if session is None else SessionRecord.from_json(session)
        energy = data.get("energy")
        fields["energy"] = None if energy is None else EnergyCheck.from_json(energy)
        around = data.get("around")
        fields["around"] = None if around is None else Around.from_json(around)
        for name in ("estimate", "further"):
            found = fields.get(name)
            fields[name] = None if found is None else Estimate.from_json(found)
        if "checks" in data:
            fields["checks"] = {name: Verdict.from_json(check) for name, check in data["checks"].items()}
        else:
            fields |= _judged_again(data, fields)
        return cls(**fields)


@dataclass(frozen=True, repr=False)
class Verification(ShownTable):
    """What was found about a shipping folder on one device.

    Attributes:
        device: Where it was measured.
        variants: One check a shipped model.
        notes: What was left out, and why.
        stale: Why the folder is not what its run would ship now, or lacks what was promised.
        beyond: What was promised and can never be measured here.
        further: Name and number of images of a further test set; None where none was given.
        accepted_noise: Whether the user takes what is NOT PROVEN.
        verified: When, ISO 8601 in UTC; empty where an earlier version verified.
        rounds: Of measurement that were asked for; None where it is not known.
        samples: Timed samples a round, likewise.
        min_round_s: Shortest time between two rounds, likewise.
        task: What the network is for.
        metric: What networks of this task are judged by.
    """

    device: str
    variants: tuple[VariantCheck, ...]
    notes: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    further: Mapping[str, Any] | None = None
    accepted_noise: bool = False
    verified: str = ""
    rounds: int | None = None
    beyond: tuple[str, ...] = ()
    task: str = DEFAULT
    metric: Metric = ACCURACY
    samples: int | None = None
    min_round_s: float | None = None

    @property
    def verdict(self) -> Verdict | None:
        """All variants as one; None where nothing is wrong and no budget was promised here."""
        return verdict.worst([*self.of_folder, *(variant.verdict for variant in self.variants)])

    @property
    def of_folder(self) -> list[Verdict]:
        """What is wrong with the folder, or open, that is of no file in it."""
        stale = [Verdict(FAIL, self.stale)] if self.stale else []
        return [*stale, *([Verdict(NOT_PROVEN, self.beyond)] if self.beyond else [])]

    @property
    def shares(self) -> dict[str, float]:
        """Latency over budget, by variant; of those that were measured here and have a budget here."""
        return {
            item.name: item.measured_ms / item.budget_ms
            for item in self.variants
            if item.measured_ms is not None and item.budget_ms is not None
        }

    def flat(self) -> list[dict[str, Any]]:
        """One flat object a shipped file, each of its checks in a column; None of what is not known."""
        names = dict.fromkeys(name for item in self.variants for name in item.checks)
        return [self._flat(item, tuple(names)) for item in self.variants]

    def view(self) -> Display:
        """The variants, why each is not PASS, and what was left out."""
        found = self.verdict
        title = f"{self.device}: {'no budget was promised' if found is None else found.word}"
        columns = ("variant", self.metric.name, "latency", "95 % interval", "budget", "verdict")
        reasons = (f"{item.name}: {reason}" for item in self.variants for reason in item.reasons)
        return Display(
            title,
            columns,
            [self._cells(item) for item in self.variants],
            (*self.stale, *self.beyond, *reasons, *self.notes),
        )

    def _cells(self, item: VariantCheck) -> tuple[str, ...]:
        return (
            item.name,
            "" if item.value is None else self.metric.text(item.value),
            cell(item.measured_ms, "ms"),
            ends(item.interval_ms),
            cell(item.budget_ms, "ms"),
            "" if item.verdict is None else item.verdict.word,
        )

    def _flat(self, item: VariantCheck, checks: tuple[str, ...]) -> dict[str, Any]:
        key, found = self.metric.key, item.estimate
        return {
            "variant": item.name,
            "file": item.file,
            "bytes": item.bytes,
            key: item.value,
            **low_high(None if found is None else found.interval, f"_{key}"),
            "images": None if found is None else found.images,
            "latency_ms": item.measured_ms,
            **low_high(item.interval_ms, "_ms"),
            "predicted_ms": item.predicted_ms,
            "budget_ms": item.budget_ms,
            **{f"check_{name}": getattr(item.checks.get(name), "word", None) for name in checks},
            "verdict": None if item.verdict is None else item.verdict.word,
            "reasons": "; ".join(item.reasons),
        }

    def to_json(self) -> dict[str, Any]:
        """The JSON object that goes into the manifest."""
        found = self.verdict
        return {
            "device": self.device,
            "verdict": None if found is None else found.word,
            "accepted_noise": self.accepted_noise,
            "verified": self.verified,
            "rounds": self.rounds,
            "samples": self.samples,
            "min_round_s": self.min_round_s,
            "notes": list(self.notes),
            "stale": list(self.stale),
            "beyond": list(self.beyond),
            "used": self.shares,
            "further": None if self.further is None else dict(self.further),
            "task": self.task,
            "metric": asdict(self.metric),
            "variants": [variant.to_json(self.metric) for variant in self.variants],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Verification:
        """Rebuild what ``to_json`` wrote, or what an earlier version did.

        Raises:
            SchemaMismatch: It is not that.
        """
        try:
            metric = records.metric_of(data)
            return cls(
                data["device"],
                tuple(VariantCheck.from_json(item, metric) for item in data["variants"]),
                tuple(data["notes"]),
                tuple(data.get("stale", ())),
                data.get("further"),
                bool(data.get("accepted_noise", False)),
                str(data.get("verified", "")),
                data.get("rounds"),
                tuple(data.get("beyond", ())),
                str(data.get("task", DEFAULT)),
                metric,
                data.get("samples"),
                data.get("min_round_s"),
            )
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise SchemaMismatch(
                f"a verification must be as hwnas writes it, but a field is not: {in_words(error)}",
                field="verification",
            ) from error


def shares_of(found: Sequence[Verification]) -> dict[str, float]:
    """Latency over budget, by variant; of several devices by device and variant."""
    return {
        name if len(found) == 1 else f"{item.device}/{name}": share
        for item in found
        for name, share in item.shares.items()
    }


def _names(metric: Metric) -> dict[str, str]:
    """Names in records of the fields that say what the metric says."""
    return {"value": f"test_{metric.key}", "estimate": metric.key, "loss": f"{metric.key}_loss"}


def _judged_again(data: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Checks of a variant that an earlier version verified; it gave too few rounds an interval."""
    session: SessionRecord | None = fields["session"]
    is_enough = session is not None and session.rounds >= MIN_ROUNDS
    interval = fields["interval_ms"] if is_enough else None
    reasons = tuple(str(reason) for reason in data["failures"])
    checks = {"earlier version": Verdict(FAIL, reasons) if reasons else Verdict(PASS)}
    if data["measured_ms"] is not None:
        budget = verdict.on_budget(data["measured_ms"], interval, data["budget_ms"], session)
        checks |= {} if budget is None else {BUDGET: budget}
    return {"interval_ms": interval, "checks": checks}
