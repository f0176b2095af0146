"""Which workers are asked for, as users type it: ``processes:4``, ``ray://head:10001?num_gpus=1``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from hwnas.errors import SpaceError

PROCESSES, RAY = "processes", "ray"
_FORM = re.compile(
    r"(processes)(?::(\d{1,4}))?|(ray)(?:://((?:[^/?#\s@:\[\]]+|\[[^/?#\s@\]]+\]):\d{1,5}))?(?:\?([^\s#]+))?"
)
_ASKED = ("num_cpus", "num_gpus")
_HOW = (
    "a pool must be processes:N or ray[://HOST:PORT][?num_cpus=C&num_gpus=G], but got {!r}: give processes:2 "
    "for two processes of this machine, for example"
)


@dataclass(frozen=True)
class PoolSpec:
    """Workers that tasks are given to.

    Attributes:
        kind: "processes" of this machine, or "ray".
        count: Processes; 1 is this one. Ray says itself how many tasks fit.
        address: Host and port of the client server of a Ray cluster; None is the cluster that RAY_ADDRESS
            names, or one that is started on this machine.
        num_cpus: CPUs that Ray keeps for each task, which has as many threads.
        num_gpus: GPUs that Ray keeps for each task.
    """

    kind: str = PROCESSES
    count: int = 1
    address: str | None = None
    num_cpus: float = 1.0
    num_gpus: float = 0.0

    @classmethod
    def read(cls, text: str) -> PoolSpec:
        """What a user typed.

        Raises:
            SpaceError: It is none, or asks for less than one process.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise SpaceError(_HOW.format(text))
        if found[1]:
            return cls(count=_at_least_one(int(found[2] or 1), text))
        if found[4] and not 0 < int(found[4].rpartition(":")[2]) < 65536:
            raise SpaceError(_HOW.format(text))
        return cls(RAY, address=found[4], **_resources(found[5] or "", text))

    @property
    def is_here(self) -> bool:
        """Whether tasks are done in this process."""
        return self.kind == PROCESSES and self.count == 1

    @property
    def threads(self) -> int | None:
        """Threads of a task, where the pool says how many; None where they are shared among processes."""
        return max(1, int(self.num_cpus)) if self.kind == RAY else None

    def __str__(self) -> str:
        if self.kind == PROCESSES:
            return f"{self.kind}:{self.count}"
        usual = PoolSpec(RAY)
        asked = [
            f"{name}={getattr(self, name):g}"
            for name in _ASKED
            if getattr(self, name) != getattr(usual, name)
        ]
        return RAY + (f"://{self.address}" if self.address else "") + ("?" + "&".join(asked) if asked else "")


HERE = PoolSpec()
"""This process."""


def _at_least_one(count: int, text: str) -> int:
    if count < 1:
        raise SpaceError(
            f"a pool must have at least 1 process, but got {text!r}: give processes:1 for this one"
        )
    return count


def _resources(query: str, text: str) -> dict[str, Any]:
    try:
        found = {
            name: float(value)
            for name, value in parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
        }
    except ValueError as error:
        raise SpaceError(_HOW.format(text)) from error
    if set(found) - set(_ASKED) or not all(math.isfinite(value) and value >= 0 for value in found.values()):
        raise SpaceError(_HOW.format(text))
    if not any(found.get(name, 1.0 if name == "num_cpus" else 0.0) for name in _ASKED):
        raise SpaceError(f"a task must ask for some CPU or GPU, but got {text!r}: or all would start at once")
    return found
