"""What a search may use while it runs. What it finds does not depend on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.durations import duration
from hwnas.errors import SpaceError
from hwnas.evaluators.base import Live
from hwnas.pools import HERE, PoolSpec
from hwnas.statistics.metric import ACCURACY


class SearchStep(dict[str, Any]):
    """What is known after a step of a search, or after a score, by name; it prints as a line."""

    def __str__(self) -> str:
        parts = [f"{self.get('phase', 'scoring')} {self.get('step', self.get('query'))}"]
        if total := self.get("steps", self.get("queries")):
            parts[0] += f"/{total}"
        for name, text in _SAID.items():
            if name in self:
                value = self[name]
                parts.append(text.format(value[0] if isinstance(value, list) else value))
        if "eta_s" in self:
            parts.append(f"about {duration(self['eta_s'])} left")
        return "  ".join(parts)


_SAID = {
    "loss": "loss {:.3f}",
    "best_accuracy": "best {:.2%}",
    "best_quality": "best {:.2%}",
    "best_latency_ms": "at {:.3f} ms",
    "budget_ms": "budget {:.3f} ms",
    "expected_ms": "expected latency {:.3f} ms",
    "expected_share": "({:.1%} of the limit)",
    "entropy": "entropy {:.2f}",
}


def _nothing(_: Mapping[str, Any], /) -> None:
    return


@dataclass(frozen=True)
class Session:
    """Files, processes and who is told, of one run of a search.

    A search that was cut off and gets the same files goes on as if it had not been.

    Attributes:
        history: JSONL file that is written as the search goes; the scores that it holds already are taken
            from there.
        checkpoint: Weights and gates, written now and then; continued if they are there.
        checkpoint_every: Steps between two checkpoints of a one-shot search.
        workers: Who scores what a sampling strategy asks for.
        tell: Called after every step and every score.
        score: What scores are called in records; see ``Metric.score_key``.
    """

    history: Path | None = None
    checkpoint: Path | None = None
    checkpoint_every: int = 100
    workers: PoolSpec = HERE
    tell: Live = _nothing
    score: str = ACCURACY.score_key

    def __post_init__(self) -> None:
        if self.checkpoint_every < 1:
            raise SpaceError(f"checkpoint_every must be at least 1, but got {self.checkpoint_every}")
