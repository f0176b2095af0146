"""All that a benchmark found, and its JSON, schema ``hwnas-measured/1``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from hwnas.benchmark.facts import BenchmarkSession, Failure, FileFacts
from hwnas.benchmark.row import LatencyDifference, Row
from hwnas.shown import Display, ShownTable, cell, ends, low_high
from hwnas.statistics.verdict import Verdict, worst

SCHEMA = "hwnas-measured/1"
_SHOWN = ("file", "on", "latency", "95 % interval", "budget")


@dataclass(frozen=True, repr=False)
class FileBenchmark(ShownTable):
    """All that was found.

    Attributes:
        created: When, as ISO 8601.
        hwnas: Version that measured.
        budget_ms: That was asked for; None without one.
        per_op: Whether operations were asked for.
        files: That can be measured.
        sessions: In the order of measuring.
        rows: Likewise.
        differences: As asked for; empty where they were not.
        failures: What was not measured, and why.
        notes: What else a user should know.
    """

    created: str
    hwnas: str
    budget_ms: float | None
    per_op: bool
    files: tuple[FileFacts, ...]
    sessions: tuple[BenchmarkSession, ...]
    rows: tuple[Row, ...]
    differences: tuple[LatencyDifference, ...]
    failures: tuple[Failure, ...]
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict | None:
        """Of all rows together, each reason with the name of its row; None without a budget."""
        return worst(
            Verdict(row.verdict.word, tuple(f"{row.name}: {reason}" for reason in row.verdict.reasons))
            for row in self.rows
            if row.verdict
        )

    @property
    def left_out(self) -> str:
        """What the verdict leaves out, that a PASS be not taken for one of all files; empty for nothing."""
        names = dict.fromkeys(
            item.file if item.place is None else f"{item.file} on {item.place}" for item in self.failures
        )
        return f", but for what was not measured: {', '.join(names)}" if names else ""

    @property
    def differences_said(self) -> str:
        """What the intervals of differences are of, and what the words; empty where that is the same."""
        if len(self.differences) < 2:
            return ""
        return (
            "each interval is of its pair alone (95 %); noise alone shows a difference anywhere among these "
            f"{len(self.differences)} pairs in 5 % of cases at most (Holm)"
        )

    def file(self, name: str) -> FileFacts:
        """The file of a row."""
        return next(item for item in self.files if item.name == name)

    def precision(self, row: Row) -> str:
        """What a row was computed in: as its file says, unless its runtime was told otherwise."""
        return row.place.precision or self.file(row.file).description.precision

    def flat(self) -> list[dict[str, Any]]:
        """One flat object a file and target, as for a data frame; None of what is not known."""
        return [self._flat(row) for row in self.rows]

    def view(self) -> Display:
        """The rows, then what was not measured and why."""
        return Display("", _SHOWN, self._cells(), tuple(failure.reason for failure in self.failures))

    def _cells(self) -> list[tuple[str, ...]]:
        rows = list[tuple[str, ...]]()
        for row in self.rows:
            within = ends(row.interval_ms) or "too few rounds"
            on = f"{row.place} {self.precision(row)}"
            verdict = "" if row.verdict is None else row.verdict.word
            rows.append((row.file, on, cell(row.latency_ms, "ms"), within, verdict))
        return rows

    def _flat(self, row: Row) -> dict[str, Any]:
        return {
            "file": row.file,
            "device": row.place.device,
            "runtime": row.place.runtime,
            "threads": row.place.threads,
            "precision": self.precision(row),
            "latency_ms": row.latency_ms,
            **low_high(row.interval_ms, "_ms"),
            "p90_ms": row.p90_ms,
            "load_ms": row.load_ms,
            "first_run_ms": row.first_run_ms,
            "peak_memory_bytes": row.peak_memory_bytes,
            "bytes": self.file(row.file).bytes,
            "delegate": row.placement.short,
            "verdict": None if row.verdict is None else row.verdict.word,
        }

    def to_json(self) -> dict[str, Any]:
        """One JSON object."""
        return {
            "schema": SCHEMA,
            "created": self.created,
            "hwnas": self.hwnas,
            "budget_ms": self.budget_ms,
            "files": [asdict(item) for item in self.files],
            "sessions": [_session_json(item) for item in self.sessions],
            "rows": [self._row_json(item) for item in self.rows],
            "differences": [
                asdict(item) | {"is_shown": item.is_shown, "said": item.said} for item in self.differences
            ],
            "failures": [asdict(item) for item in self.failures],
            "notes": list(self.notes),
            "verdict": None if self.verdict is None else self.verdict.to_json(),
        }

    def _row_json(self, row: Row) -> dict[str, Any]:
        facts = self.file(row.file)
        verdict = None if row.verdict is None else row.verdict.to_json()
        return asdict(row) | {
            "precision": self.precision(row),
            "bytes": facts.bytes,
            "operations_said": row.operations_said,
            "verdict": verdict,
        }


def _session_json(session: BenchmarkSession) -> dict[str, Any]:
    quality = session.quality
    return {
        "id": session.id,
        "place": asdict(session.place),
        "anchors_precision": session.anchors,
        "verdict": quality.word,
        "reasons": list(quality.reasons),
        "notes": list(quality.notes),
        "facts": dict(quality.facts),
        "environment": dict(session.environment),
    }
