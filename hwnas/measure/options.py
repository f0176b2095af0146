"""What a profiling run is asked for, and what it says on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hwnas.annotations import require_fields
from hwnas.device import Target
from hwnas.errors import DeviceError
from hwnas.pools import PoolSpec


@dataclass(frozen=True)
class ProfileOptions:
    """How much is measured, and how well.

    Attributes:
        rounds: Rounds that every key gets, spread over the whole run.
        max_rounds: Rounds that a key gets at most while its interval is wide; ``rounds`` where
            that is more. A third more where the clock has two states and too few of them were
            in the fast one.
        target_ci: Half the width of the 95 % interval over the latency that is narrow enough.
        samples: Timed samples a round.
        min_sample_ms: A sample repeats the inference until it is this long.
        min_round_s: No round begins sooner after the one before it: what drifts for seconds must
            have time to show in the spread of a few rows.
        warmup_min_ms: Shortest warm-up of a job; the anchor and repeats of a model included.
        warmup_max_ms: Longest warm-up, where successive windows do not agree.
        calibration_networks: Whole networks that latency models are fitted to, for each space.
        heldout_networks: Whole networks that models are judged by, for each space.
        seed: Picks the networks and the order of the jobs.
        cpus: CPU numbers to run on; None leaves it to the system.
        max_minutes: No round of a target is begun after this; what is missing is measured by
            the next run.
        pool: Who exports models: "processes:N" of this machine, or "ray[://HOST:PORT]" of a Ray cluster;
            empty is one process a CPU, at most four.
        silence_s: Longest time without an answer before the agent is taken to hang.
        retry_failed: Whether keys that failed before are tried again.
        energy: Whether energy is counted as well: samples then span as many steps of the counter as it takes,
            and rounds that were measured without it are measured again.
    """

    rounds: int = 9
    max_rounds: int = 27
    target_ci: float = 0.01
    samples: int = 7
    min_sample_ms: float = 1.0
    min_round_s: float = 1.0
    warmup_min_ms: float = 2.0
    warmup_max_ms: float = 30.0
    calibration_networks: int = 20
    heldout_networks: int = 12
    seed: int = 0
    cpus: tuple[int, ...] | None = None
    max_minutes: float | None = None
    pool: str = ""
    silence_s: float = 60.0
    retry_failed: bool = False
    energy: bool = False

    def __post_init__(self) -> None:
        require_fields(self, DeviceError)
        for name in ("rounds", "max_rounds", "samples"):
            if getattr(self, name) < 1:
                raise DeviceError(f"{name} must be at least 1, but got {getattr(self, name)}")
        for name in ("calibration_networks", "heldout_networks", "seed", "min_round_s"):
            if getattr(self, name) < 0:
                raise DeviceError(f"{name} must not be negative, but got {getattr(self, name)}")
        for name in ("target_ci", "min_sample_ms", "warmup_min_ms", "silence_s"):
            if not getattr(self, name) > 0:
                raise DeviceError(f"{name} must be positive, but got {getattr(self, name)}")
        if self.warmup_max_ms < self.warmup_min_ms:
            raise DeviceError(
                "warmup_max_ms must be at least warmup_min_ms, "
                f"but got {self.warmup_max_ms} < {self.warmup_min_ms}"
            )
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise DeviceError(
                f"max_minutes must be positive, but got {self.max_minutes}: leave it out for all"
            )
        if self.pool:
            PoolSpec.read(self.pool)
        if self.cpus is not None and not self.cpus:
            raise DeviceError("cpus must name at least one CPU, but got none: leave it out for all")


@dataclass(frozen=True)
class Progress:
    """Where a run is.

    Attributes:
        target: What is being measured.
        stage: "export" or "measure".
        done: Models exported, or jobs measured.
        total: Of how many; grows where rows need more rounds.
    """

    target: Target
    stage: str
    done: int
    total: int

    def __str__(self) -> str:
        return f"{self.target}: {self.stage} {self.done}/{self.total}"


OnProgress = Callable[[Progress], None]


def in_rounds(tell: Callable[[str], None], what: str) -> OnProgress:
    """The callback of those who tell people what is measured, and how far it is."""
    return lambda state: tell(f"{what}: {state.done} of {state.total} rounds")


def silent(_: Progress) -> None:
    """The callback of those who do not want to know."""
