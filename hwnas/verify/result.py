"""What verification finds, and its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hwnas.errors import SchemaMismatch


@dataclass(frozen=True)
class Session:
    """The session on the device that a latency comes from, and whether it can be believed.

    Attributes:
        id: Begins with the time (UTC) that it began at.
        rounds: Rounds of the variant, each with the anchor beside it.
        verdict: "stable", "noisy" or "unusable"; see ``hwnas.conditions``.
        reasons: What speaks against it, with numbers; empty where it is stable.
        environment: What the latency is true of: processor, system, runtime with its hash.
    """

    id: str
    rounds: int
    verdict: str
    reasons: tuple[str, ...]
    environment: Mapping[str, Any]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Session:
        """Rebuild a session from its fields."""
        return cls(**{**data, "reasons": tuple(data["reasons"])})


@dataclass(frozen=True)
class VariantCheck:
    """What was found about one shipped file.

    Attributes:
        name: ``<runtime>-<precision>``.
        file: File name in the shipping folder.
        bytes: Its size.
        test_accuracy: On the test split, through the variant's own runtime; None where the
            data were not at hand.
        accuracy_loss: PyTorch's test accuracy minus this one.
        measured_ms: Latency on the device, anchored; see ``hwnas.table.Measurement``. None
            where the device does not have the variant's runtime.
        interval_ms: 95 % interval of ``measured_ms``.
        predicted_ms: What the search believed; None where it did not search for this target.
        budget_ms: What was asked for; None where nothing was.
        conditions: What the agent saw in the last round, delegate coverage included.
        failures: Why this variant fails; empty where it passes.
        session: Where ``measured_ms`` comes from; None where there is none, or where an earlier
            version verified.
    """

    name: str
    file: str
    bytes: int
    test_accuracy: float | None
    accuracy_loss: float | None
    measured_ms: float | None
    interval_ms: tuple[float, float] | None
    predicted_ms: float | None
    budget_ms: float | None
    conditions: Mapping[str, Any]
    failures: tuple[str, ...]
    session: Session | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.failures


@dataclass(frozen=True)
class Verification:
    """What was found about a shipping folder on one device.

    Attributes:
        device: Where it was measured.
        variants: One check a shipped model.
        notes: What was left out, and why.
    """

    device: str
    variants: tuple[VariantCheck, ...]
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every variant passed."""
        return all(variant.passed for variant in self.variants)

    def to_json(self) -> dict[str, Any]:
        """The JSON object that goes into the manifest."""
        return {
            "device": self.device,
            "verdict": "PASS" if self.passed else "FAIL",
            "notes": list(self.notes),
            "variants": [asdict(v) | {"verdict": "PASS" if v.passed else "FAIL"} for v in self.variants],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Verification:
        """Rebuild what ``to_json`` wrote; raises SchemaMismatch where it is not that."""
        try:
            return cls._rebuilt(data)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise SchemaMismatch(
                f"a verification must be as hwnas writes it, but a field is not: {error!r}: verify again",
                field="verification",
            ) from error

    @classmethod
    def _rebuilt(cls, data: Mapping[str, Any]) -> Verification:
        variants = []
        for item in data["variants"]:
            fields = {name: value for name, value in item.items() if name != "verdict"}
            interval = fields["interval_ms"]
            fields["interval_ms"] = None if interval is None else (interval[0], interval[1])
            session = fields.get("session")
            fields["session"] = None if session is None else Session.from_json(session)
            variants.append(VariantCheck(**fields | {"failures": tuple(fields["failures"])}))
        return cls(data["device"], tuple(variants), tuple(data["notes"]))
