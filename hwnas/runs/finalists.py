"""What ``search.json`` says of its finalists, under ``promise``: what was measured, and what was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from hwnas.runs.parts import interval_of
from hwnas.shapes import COUNT, NONE, SIZE, Items
from hwnas.statistics.intervals import NORMAL_95, arm
from hwnas.statistics.verdict import Verdict, on_budget

SCHEMA = "hwnas-promise/2"
_FAR = 3.0  # standard deviations of a prediction; chance leaves them three times in a thousand
NUMBER, INTERVAL = (SIZE, NONE), (Items(float, 2, 2), NONE)
_STEP = {
    "purpose": str,
    "seconds": {str: SIZE},
    "entries": [
        {
            "indices": [COUNT],
            "kept": (bool, NONE),
            "predicted_ms": [float],
            "predicted_std_ms": [float],
            "measured": [({"ms": SIZE}, NONE)],
        }
    ],
}
ENERGY = {
    "name": str,
    "asked_mj": NUMBER,
    "predicted_mj": SIZE,
    "predicted_std_mj": SIZE,
    "measured_mj": NUMBER,
    "interval_mj": INTERVAL,
    "sentence": str,
}
SHAPE = {
    "kept?": bool,
    "targets": [{"name": str, "measured_ms?": NUMBER, "interval_ms?": INTERVAL}],
    "steps?": [_STEP],
    "energy?": ENERGY,
}


@dataclass(frozen=True)
class ChosenLatency:
    """What was asked, predicted and measured of the chosen network on a target.

    Attributes:
        name: Of the target.
        asked_ms: The budget.
        predicted_ms: What was believed before it was measured.
        predicted_std_ms: Standard deviation of that.
        measured_ms: None where it was not measured.
        measured_half_ms: The longer arm of its 95 % interval; None where the rounds are too few for one.
        interval_ms: That interval.
        sessions: How many sessions it was measured in.
        slack: Share of the budget that is left; None where it was not measured.
        quality: What the sessions were like: word, reasons, notes; None in older files too.
        verdict: On the budget; None where nothing was measured.
        note: Why it was not measured, or what else is to be known; empty for nothing.
        sentence: All that for people.
    """

    name: str
    asked_ms: float
    predicted_ms: float
    predicted_std_ms: float
    measured_ms: float | None
    measured_half_ms: float | None
    interval_ms: tuple[float, float] | None
    sessions: int
    slack: float | None
    quality: Mapping[str, Any] | None
    verdict: Verdict | None
    note: str
    sentence: str

    @property
    def share(self) -> float:
        """Latency over budget, as measured or else as predicted."""
        return (self.measured_ms or self.predicted_ms) / self.asked_ms

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        told: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == "verdict":
                told |= _verdict(value)
            else:
                told[item.name] = list(value) if isinstance(value, tuple) else value
        return told

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ChosenLatency:
        """Rebuild what ``to_json`` wrote, or an earlier version."""
        return cls(
            name=data["name"],
            asked_ms=float(data["asked_ms"]),
            predicted_ms=float(data["predicted_ms"]),
            predicted_std_ms=float(data["predicted_std_ms"]),
            measured_ms=data["measured_ms"],
            measured_half_ms=data.get("measured_half_ms"),
            interval_ms=interval_of(data),
            sessions=int(data.get("sessions", 0)),
            slack=data.get("slack"),
            quality=data.get("quality"),
            verdict=verdict_in(data),
            note=str(data.get("note") or ""),
            sentence=str(data.get("sentence", "")),
        )


@dataclass(frozen=True)
class ChosenEnergy:
    """What was asked, predicted and measured of the chosen network's energy of an inference.

    Attributes:
        name: Of the target.
        asked_mj: The limit; None where it was only to be small.
        predicted_mj: By the model of energy.
        predicted_std_mj: Standard deviation of that.
        measured_mj: None where it was not measured.
        interval_mj: Its 95 % interval; None where the rounds are too few for one.
        verdict: On the limit; None without one, and where nothing was measured.
        sentence: All that for people.
    """

    name: str
    asked_mj: float | None
    predicted_mj: float
    predicted_std_mj: float
    measured_mj: float | None
    interval_mj: tuple[float, float] | None
    verdict: Verdict | None
    sentence: str

    @classmethod
    def known(
        cls,
        name: str,
        asked_mj: float | None,
        predicted_mj: float,
        predicted_std_mj: float,
        measured_mj: float | None,
        interval_mj: tuple[float, float] | None,
    ) -> ChosenEnergy:
        """With its verdict and all of it in a sentence."""
        text = f"energy on {name}: "
        text += "" if asked_mj is None else f"at most {asked_mj:.4g} mJ asked, "
        text += f"predicted {predicted_mj:.4g} ± {NORMAL_95 * predicted_std_mj:.2g} mJ, "
        verdict = None
        if measured_mj is None:
            text += "not measured"
        else:
            half = "in too few rounds for an interval"
            if interval_mj is not None:
                half = f"± {arm(measured_mj, interval_mj):.2g}"
            text += f"measured {measured_mj:.4g} {half} mJ"
            verdict = on_budget(measured_mj, interval_mj, asked_mj, unit="mJ")
        if measured_mj is not None and asked_mj is not None and verdict is not None:
            text += f": {measured_mj / asked_mj:.0%} of the limit, {verdict.word}"
        return cls(name, asked_mj, predicted_mj, predicted_std_mj, measured_mj, interval_mj, verdict, text)

    @property
    def surprise(self) -> str:
        """That what was measured is far from what was predicted, in a sentence; empty where it is not."""
        if self.interval_mj is None or self.measured_mj is None:
            return ""
        low, high = (self.predicted_mj + side * _FAR * self.predicted_std_mj for side in (-1, 1))
        if self.interval_mj[0] <= high and self.interval_mj[1] >= low:
            return ""
        return (
            f"energy on {self.name} was predicted as {self.predicted_mj:.3g} mJ, {max(0.0, low):.3g} to "
            f"{high:.3g} mJ with 99.7 %, but measured as {self.measured_mj:.3g} mJ: the search chose by a "
            "model that is wrong here; see that nothing else runs there, count the energy of blocks again "
            "(hwnas profile --energy) and search again"
        )

    def limits(self, name: str) -> bool:
        """Whether there is a limit, on the target of a name."""
        return self.asked_mj is not None and self.name == name

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        interval = None if self.interval_mj is None else list(self.interval_mj)
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        return {**plain, "interval_mj": interval, **_verdict(self.verdict)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ChosenEnergy:
        """Rebuild what ``to_json`` wrote."""
        given = {item.name: data[item.name] for item in fields(cls)}
        interval = None if data["interval_mj"] is None else tuple(data["interval_mj"])
        return cls(**{**given, "interval_mj": interval, "verdict": verdict_in(data)})


@dataclass(frozen=True)
class FinalistsRecord:
    """How the finalists of a search were measured, and what came of it.

    Attributes:
        kept: Whether the chosen network is proven to keep every budget.
        verdict: On all budgets together; None where nothing was measured.
        refusal: Why no network was chosen; None where one was.
        rank: "fp32" or "int8": what they were ranked by; None where an older file does not say.
        options: Bounds of the loop.
        measuring: How well they were measured.
        targets: The chosen network on each target.
        warnings: What the budgets cost.
        why_little: Why the search could not use more of the budgets; empty where it does not say.
        repairs: Networks that were measured because none had kept the budgets.
        networks_measured: How many were measured at all.
        steps: The rounds of measuring.
        seconds: What it took.
        energy: Of the chosen network; None where nobody asked for it.
        schema: Of the file.
    """

    kept: bool
    verdict: Verdict | None
    refusal: str | None
    rank: str | None
    options: Mapping[str, Any]
    measuring: Mapping[str, Any]
    targets: tuple[ChosenLatency, ...]
    warnings: tuple[str, ...]
    why_little: str
    repairs: int
    networks_measured: int
    steps: tuple[Mapping[str, Any], ...]
    seconds: float
    energy: ChosenEnergy | None = None
    schema: str = SCHEMA

    @property
    def entries(self) -> tuple[Mapping[str, Any], ...]:
        """What was measured, in the order of the rounds."""
        return tuple(entry for step in self.steps for entry in step["entries"])

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        told: dict[str, Any] = {"schema": self.schema, "kept": self.kept, **_verdict(self.verdict)}
        plain = ("refusal", "rank", "options", "measuring", "targets", "warnings", "why_little")
        told |= {name: getattr(self, name) for name in (*plain, "repairs", "networks_measured", "steps")}
        told |= {"targets": [target.to_json() for target in self.targets], "warnings": list(self.warnings)}
        energy = {} if self.energy is None else {"energy": self.energy.to_json()}
        return told | {"steps": list(self.steps), "seconds": self.seconds} | energy

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FinalistsRecord:
        """Rebuild what ``to_json`` wrote, or an earlier version."""
        return cls(
            kept=bool(data.get("kept", False)),
            verdict=verdict_in(data),
            refusal=data.get("refusal"),
            rank=data.get("rank"),
            options=dict(data.get("options", {})),
            measuring=dict(data.get("measuring", {})),
            targets=tuple(map(ChosenLatency.from_json, data["targets"])),
            warnings=tuple(map(str, data.get("warnings", ()))),
            why_little=str(data.get("why_little", "")),
            repairs=int(data.get("repairs", 0)),
            networks_measured=int(data.get("networks_measured", 0)),
            steps=tuple(data.get("steps", ())),
            seconds=float(data.get("seconds", 0.0)),
            energy=None if data.get("energy") is None else ChosenEnergy.from_json(data["energy"]),
            schema=str(data.get("schema", "hwnas-promise/1")),
        )


def _verdict(found: Verdict | None) -> dict[str, Any]:
    return {"verdict": None, "reasons": []} if found is None else found.to_json()


def verdict_in(data: Mapping[str, Any]) -> Verdict | None:
    """The verdict of a record; None where there is none, or an older file does not say."""
    return None if data.get("verdict") is None else Verdict.from_json(data)
