"""``search.json``: how the network of a run was found, and what is known of its budgets.

Written by a search, by who measures its finalists, by who takes another network of its gallery, and by a
comparison for the networks beside, all of them through this class; read through it, whichever version wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwnas.device import Target
from hwnas.errors import HwnasError, SchemaMismatch
from hwnas.runs.budgets import BUDGET, BudgetRecord
from hwnas.runs.finalists import ENERGY, INTERVAL, ChosenEnergy, FinalistsRecord
from hwnas.runs.finalists import SHAPE as FINALISTS
from hwnas.runs.parts import DATA, as_written
from hwnas.runs.trial import Trial, score_of
from hwnas.shapes import COUNT, NONE, SHARE, SIZE, SOME, Items, require
from hwnas.statistics.metric import ACCURACY

SCHEMA = "hwnas-search/1"
SEARCH = "the record of the search"
KNOWN, COMPARED = "known", "comparison"
_LIKENESS = {"reference": str, "images": SOME}  # whom networks were to see images like
_ON_SIZE = {  # what was found on a size of network and images, of a search on several
    "resolution": SOME,
    "width?": SIZE,
    "strides?": (str, NONE),
    "taken?": bool,
    "tuned": float,
    "merit?": float,
    "interval": INTERVAL,
    "images": (SOME, NONE),
    "epochs": SOME,
    "verdict": (str, NONE),
}
_TUNED = {
    "name": str,
    "indices": [COUNT],
    "taken": bool,
    "value": float,
    "merit": float,
    "interval": INTERVAL,
    "images": SOME,
    "epochs": SOME,
    "latencies_ms": {str: SIZE},
}
_SHAPE = {
    "strategy": str,
    "seed": COUNT,
    "data": DATA,
    "constraints": [BUDGET],
    "score?": str,
    "best?": [COUNT],
    "confidence?": SHARE,
    "limits?": {str: SIZE},
    "objectives?": [str],
    "request?": dict,
    "sizes?": {str: SIZE},
    "seconds?": {str: SIZE},
    "trace?": [dict],
    "extra?": {
        "resolutions?": Items(_ON_SIZE, 1),
        "best_of?": {str: float},
        "controls?": {str: [[COUNT]]},
        "tuned?": Items(_TUNED, 2),
        "energy?": ENERGY,
        "spearman?": (float, NONE),
        "left_out?": {"networks": SOME, "spearman": (float, NONE), "half_90": SIZE, "coverage_90": SHARE},
    },
    "oneshot?": {"device?": str, "validation_images?": SOME},
    "scratch?": {
        "config": {"epochs": (SOME, NONE)},
        "workers?": SOME,
        "pool?": str,
        "threads?": (SOME, NONE),
        "alike?": _LIKENESS,
        "alike_early?": _LIKENESS,
    },
    "untrained?": {"measure": str, "images": SOME, "alike?": str},
    "plugins?": {str: str},
    "promise?": (FINALISTS, NONE),
}


@dataclass(frozen=True)
class SearchRecord:
    """How the network of a run was found, or for what it is compared.

    Attributes:
        strategy: Name of the strategy, or ``COMPARED``, or ``KNOWN`` of a network that nobody searched.
        seed: Where all randomness came from.
        data: What ``Dataset.describe`` said.
        budgets: The budgets, the first one's target being the main one; none only of a known network.
        best: The found network; empty in a comparison.
        quality: The score that it was chosen by; None in a comparison.
        trials: Everything that was scored.
        pareto: What no other beats of it.
        config: Settings and seed of the strategy.
        trace: The course of the search.
        extra: What only this strategy has to say.
        score: What architectures were ranked by, for example "balanced accuracy".
        score_key: What scores are called in the file.
        request: What was asked for, as ``SearchRequest.identity`` says.
        asked: Devices and budgets as they were typed, where the latency models were made for them.
        confidence: Chance with which budgets were to be kept.
        objectives: What was to be small beside latency.
        limits: What must not be exceeded, by name.
        sizes: Multiply-adds, parameters and bytes of the found network.
        oneshot: How the supernet was made; None where there is none.
        scratch: How each architecture was trained to be scored; None where a supernet scored.
        untrained: How architectures were scored that nobody trained; None where some were.
        traits: What the scores are worth.
        seconds: Wall time by phase.
        supernet_sha256: Hash of the supernet of another search, where that scored.
        plugins: Hash of each plug-in by its file's name.
        finalists: What was measured of the finalists; None where nobody looked at them.
        picked: Whether the network was taken from a gallery.
        space: Name of the space.
        space_fingerprint: Its fingerprint.
        schema: Of the file; empty in a comparison.
        more: Fields of others.
    """

    strategy: str
    seed: int
    data: Mapping[str, Any]
    budgets: tuple[BudgetRecord, ...]
    best: tuple[int, ...] = ()
    quality: float | None = None
    trials: tuple[Trial, ...] = ()
    pareto: tuple[Trial, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    trace: tuple[Mapping[str, Any], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    score: str = ACCURACY.name
    score_key: str = ACCURACY.score_key
    request: Mapping[str, Any] = field(default_factory=dict)
    asked: tuple[str, ...] = ()
    confidence: float | None = None
    objectives: tuple[str, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)
    sizes: Mapping[str, float] = field(default_factory=dict)
    oneshot: Mapping[str, Any] | None = None
    scratch: Mapping[str, Any] | None = None
    untrained: Mapping[str, Any] | None = None
    traits: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    supernet_sha256: str | None = None
    plugins: Mapping[str, str] = field(default_factory=dict)
    finalists: FinalistsRecord | None = None
    picked: bool = False
    space: str = ""
    space_fingerprint: str = ""
    schema: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def targets(self) -> tuple[Target, ...]:
        """The targets of the budgets."""
        return tuple(item.target for item in self.budgets)

    @property
    def device(self) -> str:
        """The device of the first budget; without any, this machine."""
        return self.budgets[0].target.device if self.budgets else "host"

    @property
    def is_known(self) -> bool:
        """Whether nobody searched: the network is a known one."""
        return self.strategy == KNOWN

    @property
    def energy(self) -> ChosenEnergy | None:
        """What was asked, predicted and measured of the network's energy; None where nobody asked."""
        picked = self.extra.get("energy")
        if self.finalists is None:
            return None if picked is None else ChosenEnergy.from_json(picked)
        return self.finalists.energy

    @property
    def alarms(self) -> tuple[str, ...]:
        """What the search had to say of itself."""
        return tuple(map(str, self.extra.get("alarms", ())))

    def budget(self, name: str) -> BudgetRecord:
        """The budget on a target; raises KeyError where there is none."""
        return {item.name: item for item in self.budgets}[name]

    def range_of(self, name: str) -> tuple[float, float]:
        """The range of a target that shares are of: one for all commands.

        Raises:
            HwnasError: The search had no such target, or its record does not say the range.
        """
        for item in self.budgets:
            if item.name == name and item.range_ms is not None:
                return item.range_ms
        raise HwnasError(
            f"the record of a search must say the range of {name}, but does not: search into another folder"
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON object; of a comparison, only what is known."""
        always = {
            "schema": self.schema,
            "strategy": self.strategy,
            "space": self.space,
            "space_fingerprint": self.space_fingerprint,
            "best": list(self.best),
            self.score_key: self.quality,
            "trials": [trial.to_json(self.score_key) for trial in self.trials],
            "pareto": [trial.to_json(self.score_key) for trial in self.pareto],
            "config": dict(self.config),
            "trace": list(self.trace),
            "extra": dict(self.extra),
            "score": self.score,
            "seed": self.seed,
            "request": dict(self.request),
            "asked": list(self.asked),
            "constraints": [item.to_json() for item in self.budgets],
            "confidence": self.confidence,
            "objectives": list(self.objectives),
            "limits": dict(self.limits),
            "sizes": dict(self.sizes),
            "data": dict(self.data),
            "scratch": self.scratch,
            "untrained": self.untrained,
            "oneshot": self.oneshot,
            "traits": dict(self.traits),
            "seconds": dict(self.seconds),
            "supernet_sha256": self.supernet_sha256,
            "plugins": dict(self.plugins),
            "promise": None if self.finalists is None else self.finalists.to_json(),
            "picked": self.picked,
        }
        seldom = {"asked", "plugins", "picked"}
        left_out = {name for name, value in always.items() if value is None or (name in seldom and not value)}
        if not self.schema:
            left_out |= {name for name, value in always.items() if not value} | {"score"}
            left_out -= {"seed", "constraints"}
        return {name: value for name, value in always.items() if name not in left_out} | dict(self.more)

    @classmethod
    def from_json(cls, data: Any, path: Path, remedy: str) -> SearchRecord:
        """Rebuild what ``to_json`` wrote, or an earlier version.

        Args:
            data: The content of the file.
            path: Of the file, for messages.
            remedy: What makes it anew: the end of a sentence.

        Raises:
            SchemaMismatch: It does not hold what it must.
        """
        _require(data, path, remedy)
        score, known = score_of(data), {name: data[name] for name in _PLAIN if data.get(name) is not None}
        found = data.get("promise")
        with as_written(SEARCH, path, remedy, "search"):
            return cls(
                **known,
                budgets=tuple(map(BudgetRecord.from_json, data["constraints"])),
                best=tuple(data.get("best", ())),
                quality=data.get(score),
                trials=tuple(map(Trial.from_json, data.get("trials", ()))),
                pareto=tuple(map(Trial.from_json, data.get("pareto", ()))),
                trace=tuple(data.get("trace", ())),
                score_key=score,
                asked=tuple(data.get("asked", ())),
                objectives=tuple(data.get("objectives", ())),
                finalists=None if found is None else FinalistsRecord.from_json(found),
                more={n: v for n, v in data.items() if n not in (*_PLAIN, *_OTHERS, score)},
            )


_PLAIN = (
    *("strategy", "seed", "data", "config", "extra", "score", "request", "confidence", "limits", "sizes"),
    *(
        "oneshot",
        "scratch",
        "untrained",
        "traits",
        "seconds",
        "supernet_sha256",
        "plugins",
        "picked",
        "space",
    ),
    *("space_fingerprint", "schema"),
)
_OTHERS = ("constraints", "best", "trials", "pareto", "trace", "asked", "objectives", "promise")


def _require(found: Any, path: Path, remedy: str) -> None:
    """Raise SchemaMismatch where a file is no record of a search."""
    require(found, _SHAPE, SEARCH, path, remedy)
    score = score_of(found)
    trial = {"indices": [COUNT], score: SHARE, "latencies_ms": [SIZE]}
    require(found, {f"{score}?": SHARE, "trials?": [trial]}, SEARCH, path, remedy)
    if not found["constraints"] and found["strategy"] not in (KNOWN, COMPARED):
        raise SchemaMismatch(
            f"a search must have had a budget, but {path} has none: {remedy}", field="constraints"
        )
    budgets = len(found["constraints"])
    columns = Items(object, budgets, budgets)
    entry = dict.fromkeys(("predicted_ms", "predicted_std_ms", "measured"), columns)
    shape = {"trials?": [{"latencies_ms": Items(object, budgets)}]}  # limits on other things may follow
    promise = {"promise?": ({"steps?": [{"entries": [entry]}]}, NONE)}
    require(found, shape | promise, SEARCH, path, remedy)
