"""Raw samples: one round of one key, as it was measured, and notes on the machine meanwhile.

Nothing here touches a file. What follows from one round alone (its level, the anchors' levels) is
here; what follows from many is in ``clock`` and ``measurement``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from hwnas.errors import TableError, in_words

KINDS = ("block", "switch", "calibration", "heldout", "finalist")


@dataclass(frozen=True)
class Energy:
    """What an energy counter rose by in a round, millijoules per inference.

    Attributes:
        source: Which counter: what it counts beside the model is in it.
        mj: Of the key.
        anchor_mj: Of the light anchor just before and after.
        heavy_mj: Of the heavy anchor; may be empty.
    """

    source: str
    mj: float
    anchor_mj: tuple[float, ...] = ()
    heavy_mj: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for value in (self.mj, *self.anchor_mj, *self.heavy_mj):
            if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
                raise TableError(f"an energy must be finite and positive, but got {value} mJ")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Energy:
        """Rebuild what ``asdict`` made; KeyError or TypeError where a field is missing or odd."""
        beside = {name: tuple(data.get(name, ())) for name in ("anchor_mj", "heavy_mj")}
        return cls(str(data["source"]), data["mj"], **beside)


@dataclass(frozen=True)
class Round:
    """The samples of one key in one round of one session.

    Attributes:
        key: Workload or network.
        kind: What it was measured for: one of ``KINDS``.
        session: Identifier of the profiling run.
        number: Round number within the session.
        samples_ms: Raw samples, milliseconds per inference; empty for a failure.
        anchor_ms: Raw samples of the light anchor taken just before and after; may be empty
            for imported numbers.
        conditions: What the agent saw: CPU, frequencies, inner loops, hashes.
        failed: Why there are no samples; empty otherwise.
        heavy_ms: Raw samples of the heavy anchor taken just before and after; may be empty.
        energy: What a counter rose by meanwhile; None where it was not asked for, or cannot tell.
    """

    key: str
    kind: str
    session: str
    number: int
    samples_ms: tuple[float, ...]
    anchor_ms: tuple[float, ...] = ()
    conditions: Mapping[str, Any] = field(default_factory=dict)
    failed: str = ""
    heavy_ms: tuple[float, ...] = ()
    energy: Energy | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise TableError(
                f"the kind of a row must be one of {KINDS}, but got {self.kind!r} for {self.key}"
            )
        for value in (*self.samples_ms, *self.anchor_ms, *self.heavy_ms):
            if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
                raise TableError(f"a latency must be finite and positive, but got {value} for {self.key}")
        if bool(self.samples_ms) == bool(self.failed):
            raise TableError(f"a row must hold samples or a failure, but {self.key} holds both or neither")

    @cached_property
    def clean_ms(self) -> tuple[float, ...]:
        """The samples without what other processes took; see ``_clean``."""
        return _clean(self.samples_ms, self.conditions, "")

    @cached_property
    def clean_anchor_ms(self) -> tuple[float, ...]:
        """The same of the anchor's samples."""
        return _clean(self.anchor_ms, self.conditions, "anchor_")

    @cached_property
    def level_ms(self) -> float:
        """Lower quartile of the samples: disturbances only ever add time."""
        return _lower_quartile(self.clean_ms)

    @cached_property
    def anchor_level_ms(self) -> float:
        """The same of the anchor; 1 ms where there is none, so that the ratio is the latency."""
        return _lower_quartile(self.clean_anchor_ms) if self.anchor_ms else 1.0

    @cached_property
    def heavy_level_ms(self) -> float | None:
        """The same of the heavy anchor; None where there is none."""
        return _lower_quartile(_clean(self.heavy_ms, self.conditions, "heavy_")) if self.heavy_ms else None

    @cached_property
    def anchor_halves_ms(self) -> tuple[float, ...]:
        """Levels of the light anchor before and after; one where there is one sample, none without."""
        return _halves(self.clean_anchor_ms)

    @cached_property
    def heavy_halves_ms(self) -> tuple[float, ...]:
        """The same of the heavy anchor."""
        return _halves(_clean(self.heavy_ms, self.conditions, "heavy_"))

    def ratio(self, heavy_share: float = 0.0) -> float:
        """How many times as long as the anchors beside it this took.

        Args:
            heavy_share: Weight of the heavy anchor in the geometric mean of the two, in [0, 1].
        """
        if not heavy_share or self.heavy_level_ms is None:
            return self.level_ms / self.anchor_level_ms
        beside = self.anchor_level_ms ** (1 - heavy_share) * self.heavy_level_ms**heavy_share
        return float(self.level_ms / beside)

    def of_energy(self) -> Round | None:
        """The same round with millijoules in the place of milliseconds; None without energy."""
        if self.energy is None:
            return None
        found = self.energy
        return replace(
            self, samples_ms=(found.mj,), anchor_ms=found.anchor_mj, heavy_ms=found.heavy_mj, conditions={}
        )

    def to_json(self) -> dict[str, Any]:
        """The JSON object that is one line of the file."""
        data: dict[str, Any] = {
            "key": self.key,
            "kind": self.kind,
            "session": self.session,
            "round": self.number,
            "samples_ms": list(self.samples_ms),
            "anchor_ms": list(self.anchor_ms),
            "conditions": dict(self.conditions),
        }
        energy = None if self.energy is None else asdict(self.energy)
        given = {"failed": self.failed, "heavy_ms": list(self.heavy_ms), "energy": energy}
        return data | {name: value for name, value in given.items() if value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Round:
        """Rebuild a round; raises TableError where a field is missing or of the wrong type."""
        try:
            return cls(
                key=str(data["key"]),
                kind=str(data["kind"]),
                session=str(data["session"]),
                number=int(data["round"]),
                samples_ms=tuple(data["samples_ms"]),
                anchor_ms=tuple(data["anchor_ms"]),
                conditions=dict(data["conditions"]),
                failed=str(data.get("failed", "")),
                heavy_ms=tuple(data.get("heavy_ms", ())),
                energy=None if data.get("energy") is None else Energy.from_json(data["energy"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise TableError(f"a row must have all fields of the format, but {in_words(error)}") from error


@dataclass(frozen=True)
class Note:
    """What was seen of the machine in a session, beside the rounds.

    Attributes:
        session: Identifier of the profiling run.
        moment: "begin" or "end" of the session, or "span" for one run of the agent within it.
        facts: What was seen.
    """

    session: str
    moment: str
    facts: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The JSON object that is one line of the file."""
        return {"note": self.moment, "session": self.session, "facts": dict(self.facts)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Note:
        """Rebuild a note; raises TableError where a field is missing or of the wrong type."""
        try:
            return cls(str(data["session"]), str(data["note"]), dict(data["facts"]))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise TableError(f"a note must have all fields of the format, but {in_words(error)}") from error


def _lower_quartile(values: Sequence[float]) -> float:
    ordered = sorted(values)
    position = (len(ordered) - 1) / 4
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def _halves(values: Sequence[float]) -> tuple[float, ...]:
    middle = len(values) // 2
    return tuple(_lower_quartile(half) for half in (values[:middle], values[middle:]) if half)


def _clean(samples: tuple[float, ...], conditions: Mapping[str, Any], prefix: str) -> tuple[float, ...]:
    """Samples freed of what other processes took while they ran.

    A sample that was preempted counts with the CPU time of its thread where that is known;
    otherwise it is left out, as long as three clean ones remain.
    """
    preempted = conditions.get(f"{prefix}preempted")
    if not preempted:
        return samples
    thread_ms = conditions.get(f"{prefix}thread_ms")
    if thread_ms:
        triples = zip(samples, thread_ms, preempted, strict=True)
        return tuple(busy if flag else sample for sample, busy, flag in triples)
    clean = tuple(sample for sample, flag in zip(samples, preempted, strict=True) if not flag)
    return clean if len(clean) > 2 else samples
