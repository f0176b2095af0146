"""``compare.json``: known networks that were trained and measured beside the network of a run.

Written by a comparison through these classes, and read through them, whichever version wrote; so is what it
keeps of a family, which width was found to be as fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hwnas.device import Target
from hwnas.runs.compared import ComparedNetwork, ComparedVariant, shape_of
from hwnas.runs.parts import METRIC, TARGET, as_written, interval_of, metric_of
from hwnas.shapes import COUNT, SIZE, SOME, Items, require
from hwnas.shown import Display, ShownTable, cell, ends, low_high
from hwnas.statistics.metric import ACCURACY, Metric

SCHEMA = "hwnas-compare/1"
COMPARISON = "the comparison of a run"
MATCH = "a kept match"
_MATCH = {
    "family": str,
    "architecture?": str,
    "target?": TARGET,
    "chosen": str,
    "ratio": SIZE,
    "candidates?": [{"name": str, "ratio": SIZE, "latency_ms": SIZE, "macs": SIZE}],
}
_ASKED = {"against": [str], "match_latency": [str], "variants": [str], "rounds": SOME}
_SHAPE = {
    "schema?": str,
    "created?": str,
    "hwnas?": str,
    "found": str,
    "architecture?": str,
    "asked?": _ASKED,
    "device?": str,
    "seeds?": [COUNT],
    "recipe?": dict,
    "notes?": [str],
    "data?": dict,
    "metric?": METRIC,
    "matches?": [_MATCH],
    "sessions?": {str: dict},
    "networks": Items(dict, 1),
}


@dataclass(frozen=True)
class Candidate:
    """A width of a family that was measured.

    Attributes:
        name: Short name of the known network.
        ratio: Its latency over that of the network beside it.
        latency_ms: In its session.
        interval_ms: 95 % interval of that; None where the rounds are too few to carry one.
        macs: Multiply-adds.
    """

    name: str
    ratio: float
    latency_ms: float
    interval_ms: tuple[float, float] | None
    macs: int

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self) | {"interval_ms": self.interval_ms and list(self.interval_ms)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Candidate:
        """Rebuild what ``to_json`` wrote, or an earlier version."""
        plain = (data["name"], data["ratio"], data["latency_ms"])
        return cls(*plain, interval_of(data), data["macs"])


@dataclass(frozen=True)
class Match:
    """The width of a family that was measured to be as fast as the found network.

    Attributes:
        family: Name of the family.
        chosen: Short name of the known network.
        ratio: Its latency over the found network's.
        architecture: Name of the found network; empty where an older file does not say.
        target: What was measured; None likewise.
        candidates: All that were measured, by rising MACs; empty likewise.
    """

    family: str
    chosen: str
    ratio: float
    architecture: str = ""
    target: Target | None = None
    candidates: tuple[Candidate, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "family": self.family,
            "architecture": self.architecture,
            "target": None if self.target is None else self.target.to_json(),
            "chosen": self.chosen,
            "ratio": self.ratio,
            "candidates": [candidate.to_json() for candidate in self.candidates],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Match:
        """Rebuild what ``to_json`` wrote, or an earlier version."""
        return cls(
            family=data["family"],
            chosen=data["chosen"],
            ratio=data["ratio"],
            architecture=data.get("architecture", ""),
            target=Target.from_json(data["target"]) if data.get("target") else None,
            candidates=tuple(map(Candidate.from_json, data.get("candidates", ()))),
        )

    @classmethod
    def of_file(cls, data: Any, path: Path, remedy: str) -> Match:
        """Rebuild what was kept in a file of its own.

        Args:
            data: The content of the file.
            path: Of the file, for messages.
            remedy: What makes it anew: the end of a sentence.

        Raises:
            SchemaMismatch: It does not hold what it must.
        """
        require(data, _MATCH, MATCH, path, remedy)
        with as_written(MATCH, path, remedy, "match"):
            return cls.from_json(data)


@dataclass(frozen=True)
class ComparisonAsked:
    """What a comparison was asked for.

    Attributes:
        against: Names of known networks.
        match_latency: Families of which the width was taken that is as fast.
        variants: Which were measured; empty for all that the device can run.
        rounds: Of measuring; None where an older file does not say.
    """

    against: tuple[str, ...] = ()
    match_latency: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    rounds: int | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {n: list(v) if isinstance(v, tuple) else v for n, v in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ComparisonAsked:
        """Rebuild what ``to_json`` wrote."""
        lists = {name: tuple(data[name]) for name in ("against", "match_latency", "variants")}
        return cls(**lists, rounds=data["rounds"])

    @classmethod
    def by_outcome(
        cls, found: str, matches: tuple[Match, ...], networks: tuple[ComparedNetwork, ...]
    ) -> ComparisonAsked:
        """What an older file must have been asked for, by what came of it."""
        chosen = {found, *(item.chosen for item in matches)}
        return cls(
            against=tuple(network.name for network in networks if network.name not in chosen),
            match_latency=tuple(item.family for item in matches),
            variants=tuple(variant.name for variant in networks[0].variants),
        )


@dataclass(frozen=True, repr=False)
class ComparisonRecord(ShownTable):
    """Known networks, trained with the recipe of a run's own and measured with it in one session.

    Attributes:
        found: What the run's own network is called among them.
        networks: All of them, at least one; each with the same variants.
        asked: What was asked for.
        architecture: Name of the run's own network; empty where an older file does not say.
        device: Where they were measured; empty likewise.
        seeds: Of the trainings of each.
        recipe: Settings of the trainings, without the seed.
        notes: Where that is not what the run itself did, and why.
        data: What ``Dataset.describe`` said of the images.
        metric: What the networks are judged by.
        matches: Families of which the width was taken that is as fast.
        sessions: What measuring was like, by variant: id, word, reasons, facts, notes; empty in older files.
        created: When (UTC); empty where a file does not say.
        hwnas: Version that compared; empty likewise.
        schema: Of the file.
    """

    found: str
    networks: tuple[ComparedNetwork, ...]
    asked: ComparisonAsked
    architecture: str = ""
    device: str = ""
    seeds: tuple[int, ...] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    metric: Metric = ACCURACY
    matches: tuple[Match, ...] = ()
    sessions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    created: str = ""
    hwnas: str = ""
    schema: str = SCHEMA

    @property
    def used(self) -> dict[str, float]:
        """Which share of its budgets the run's own network was measured to use, by variant."""
        return {
            variant.name: variant.latency_ms / variant.budget_ms
            for network in self.networks
            for variant in network.variants
            if network.name == self.found and variant.budget_ms is not None
        }

    def flat(self) -> list[dict[str, Any]]:
        """One flat object a network and variant, as for a data frame; None of what is not known."""
        return [self._flat(network, item) for network in self.networks for item in network.variants]

    def view(self) -> Display:
        """The networks, each in every variant."""
        columns = ("network", "variant", self.metric.name, "latency", "95 % interval", "verdict")
        rows = [
            (
                network.name,
                item.name,
                self.metric.text(item.quality.metric.mean),
                cell(item.latency_ms, "ms"),
                ends(item.interval_ms),
                "" if item.on_budget is None else item.on_budget.word,
            )
            for network in self.networks
            for item in network.variants
        ]
        where = f" on {self.device}" if self.device else ""
        return Display(f"{self.found} beside known networks{where}", columns, rows, self.notes)

    def _flat(self, network: ComparedNetwork, item: ComparedVariant) -> dict[str, Any]:
        key, quality = self.metric.key, item.quality
        return {
            "network": network.name,
            "is_found": network.name == self.found,
            "variant": item.name,
            "macs": network.macs,
            "params": network.params,
            "bytes": item.bytes,
            key: quality.metric.mean,
            **low_high(quality.interval, f"_{key}"),
            f"std_{key}": quality.metric.std,
            f"found_minus_this_{key}": quality.gain.mean,
            "latency_ms": item.latency_ms,
            **low_high(item.interval_ms, "_ms"),
            "latency_ratio": item.latency_ratio,
            **low_high(item.ratio_interval, "_ratio"),
            "budget_ms": item.budget_ms,
            "verdict": None if item.on_budget is None else item.on_budget.word,
        }

    def to_json(self) -> dict[str, Any]:
        """A JSON object; the metric goes by its own name."""
        return {
            "schema": self.schema,
            "created": self.created,
            "hwnas": self.hwnas,
            "found": self.found,
            "architecture": self.architecture,
            "asked": self.asked.to_json(),
            "device": self.device,
            "seeds": list(self.seeds),
            "recipe": dict(self.recipe),
            "notes": list(self.notes),
            "data": dict(self.data),
            "metric": asdict(self.metric),
            "matches": [match.to_json() for match in self.matches],
            "sessions": {name: dict(session) for name, session in self.sessions.items()},
            "networks": [network.to_json(self.metric.key) for network in self.networks],
            "used": self.used,
        }

    @classmethod
    def from_json(cls, data: Any, path: Path, remedy: str) -> ComparisonRecord:
        """Rebuild what ``to_json`` wrote, or an earlier version.

        Args:
            data: The content of the file.
            path: Of the file, for messages.
            remedy: What makes it anew: the end of a sentence.

        Raises:
            SchemaMismatch: It does not hold what it must.
        """
        require(data, _SHAPE, COMPARISON, path, remedy)
        key = metric_of(data).key
        require(data, {"networks": [shape_of(key)]}, COMPARISON, path, remedy)
        count = len(data["networks"][0]["variants"])
        require(data, {"networks": [{"variants": Items(dict, count, count)}]}, COMPARISON, path, remedy)
        with as_written(COMPARISON, path, remedy, "comparison"):
            networks = tuple(ComparedNetwork.from_json(item, key) for item in data["networks"])
            matches = tuple(map(Match.from_json, data.get("matches", ())))
            asked = ComparisonAsked.by_outcome(data["found"], matches, networks)
            return cls(
                found=data["found"],
                networks=networks,
                asked=ComparisonAsked.from_json(data["asked"]) if "asked" in data else asked,
                seeds=tuple(data.get("seeds", ())),
                notes=tuple(data.get("notes", ())),
                metric=metric_of(data),
                matches=matches,
                **{name: data[name] for name in _PLAIN if name in data},
            )


_PLAIN = ("schema", "created", "hwnas", "architecture", "device", "recipe", "data", "sessions")
