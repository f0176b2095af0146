"""How the host reaches a device: push files, run an agent on a plan, read its lines.

The plan and the lines are described in ``profilers/README.md``; they are the same on every
device, so transports only move bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hwnas.errors import AgentError, TransportTimeout

Job = Mapping[str, Any]
Reply = Mapping[str, Any]


@dataclass(frozen=True)
class Losses:
    """What a link that breaks has cost.

    Attributes:
        count: How often it was lost.
        seconds: From the last sign of life, or from when the loss was noticed, to the moment the work
            could go on, all losses together.
    """

    count: int = 0
    seconds: float = 0.0

    def facts(self) -> dict[str, float]:
        """As a note of a session holds them."""
        return {"losses": self.count, "lost_s": round(self.seconds, 2)}


class Transport(Protocol):
    """A way to a device. Used as a context manager; closing it leaves the device as it was."""

    def __enter__(self) -> Transport: ...

    def __exit__(self, *exc: object) -> None: ...

    def take_losses(self) -> Losses:
        """How often the link was lost since this was last asked, and what that cost."""

    @property
    def cache(self) -> str | None:
        """Folder on the device where agents keep what they make of models, gone once this is closed."""

    def describe(self) -> Mapping[str, Any]:
        """What the device says of itself: model, processor, kernel. No serial number."""

    def push(self, local: Path) -> str:
        """Make a file available on the device and return its path there.

        A file with the same content that is already there is not sent again.

        Raises:
            TransportError: The file did not arrive whole.
        """

    def run(self, agent: str, jobs: Sequence[Job], *, silence_s: float) -> Iterator[Reply]:
        """Run the agent of this name on the jobs and yield its JSON objects as they come.

        Args:
            agent: Folder name in ``profilers/``.
            jobs: Lines of the plan; ``model`` holds a path that ``push`` returned.
            silence_s: Longest time without a line before the agent is taken to hang.

        Raises:
            TransportError: The link was lost.
            TransportTimeout: The agent said nothing for ``silence_s``; it was stopped.
            AgentError: The agent ended before its last line; the message holds the end of
                what it wrote to standard error.
        """


def parse_reply(agent: str, line: bytes) -> Reply:
    """One line of an agent as a JSON object; raises AgentError on anything else."""
    try:
        reply = json.loads(line)
    except (UnicodeDecodeError, json.JSONDecodeError):
        reply = None
    if not isinstance(reply, dict):
        raise AgentError(f"an agent must answer in JSON objects, but {agent} wrote {line[:200]!r}")
    return reply


def no_answer(silence_s: float) -> TransportTimeout:
    """What to raise of an agent that said nothing for so long: it may hang, or its model may be slow."""
    return TransportTimeout(
        f"an agent must answer within {silence_s:g} s, but this one was silent: it may hang, or a run of its "
        "model take longer than that: with a large input, or where the device has too little memory for it"
    )
