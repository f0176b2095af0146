"""What is to be searched, as one frozen object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hwnas import files, tasks
from hwnas.budget import Budget
from hwnas.errors import SpaceError
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.evaluators.zero_cost.config import Likeness, ZeroCostConfig
from hwnas.pools import HERE, PoolSpec
from hwnas.runs.folder import RunFolder
from hwnas.search import strategy as strategy_of
from hwnas.search.settings import STRATEGY, TRAINING_STEPS
from hwnas.train import TrainConfig


@dataclass(frozen=True)
class SearchRequest:
    """What is to be searched.

    Attributes:
        space: Name of the space; without a class count it gets that of the data.
        latencies: Files that ``hwnas fit`` wrote, one a target.
        budgets: In milliseconds or shares of the range between fastest and slowest; one for all targets,
            or one each.
        data: Source of images.
        task: What networks are to do with them: a name of ``hwnas.tasks``.
        strategy: Name of the strategy.
        seed: Where all randomness comes from.
        oneshot: How the supernet is made and trained: block by block where nothing is said.
        settings: Of the strategy, beside its defaults.
        training_steps: Weight updates of a supernet that a sampling strategy scores with.
        supernet: Weights of an earlier search, to be used instead of training anew; its
            settings take the place of ``oneshot``.
        teacher: Run folder of a trained network that candidates learn from, block by block; the images are
            its own, and the space is that of ``spaces.adapted``.
        scratch: How each architecture is trained to be scored, instead of all of them at once in
            a supernet; for sampling strategies.
        untrained: How architectures are scored without training any, instead of either; for sampling
            strategies.
        alike: Whom networks are to see images like, which is scored instead of what the task ranks them by;
            where a strategy trains the better ones for longer, only as long as it does. With ``scratch``.
        pool: Who trains architectures from scratch, or teaches candidates that learn layer by layer. What is
            found depends on it only where networks are trained from scratch and told as they are done.
        confidence: Chance that the network keeps a budget that its latency was predicted to
            meet exactly; over 0.5 a margin is kept, from the model's own uncertainty.
        measured: Whether finalists will be measured. Then a budget that leaves no room for the
            margin is searched with half of the room there is, instead of being refused.
        ranges: By name of a target, latency in ms of the fastest and the slowest architecture, that
            shares are of; that of the latency model where it is not given.
        objectives: What is to be small beside latency: names of ``objective.NAMES``.
        asked: Devices and budgets as they were typed, where the latency models were made for them; they make
            no other search.
        limits: What must not be exceeded, by such a name; bytes are those of a model in the
            precision of the first target.
    """

    space: str
    latencies: tuple[Path, ...]
    budgets: tuple[Budget, ...]
    data: str = "digits"
    task: str = tasks.DEFAULT
    strategy: str = STRATEGY
    seed: int = 0
    oneshot: OneShotConfig = field(default_factory=lambda: OneShotConfig(training="blockwise"))
    settings: Mapping[str, Any] = field(default_factory=dict)
    training_steps: int = TRAINING_STEPS
    supernet: Path | None = None
    teacher: Path | None = None
    scratch: TrainConfig | None = None
    untrained: ZeroCostConfig | None = None
    alike: Likeness | None = None
    pool: PoolSpec = HERE
    confidence: float = 0.9
    measured: bool = False
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    objectives: tuple[str, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)
    asked: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise SpaceError(f"seed must be from 0 to 2**63 - 1, but got {self.seed}")
        if self.training_steps < 0:
            raise SpaceError(f"training_steps must not be negative, but got {self.training_steps}")
        tasks.require(self.task)
        needs = strategy_of(self.strategy).needs
        has_supernet = self.scratch is None and self.untrained is None
        is_blockwise = has_supernet and self.oneshot.training == "blockwise"
        if is_blockwise and needs.shared_weights:
            raise SpaceError(
                "a strategy whose candidates learn block by block must only score, but "
                f"{self.strategy} trains a supernet itself: use exact, evolution or random, for example"
            )
        if needs.block_errors and not is_blockwise:
            raise SpaceError(
                f"{self.strategy} must know the errors of blocks, but got no candidates that learn block by "
                "block: evaluate blockwise, or use a strategy that samples, as evolution or random"
            )
        if needs.fidelities and self.scratch is None:
            raise SpaceError(
                f"{self.strategy} must be able to train networks for less, but got an evaluator that trains "
                "one for all or none: train each network from scratch"
            )
        if self.teacher is not None and not is_blockwise:
            raise SpaceError(
                f"a teacher must have pupils, but got {self.teacher} without: evaluate blockwise"
            )
        if self.scratch is None and self.alike is not None:
            raise SpaceError(
                "networks must be trained from scratch to be compared with another, but got "
                f"{self.alike.reference} without: train each network, or score none by training"
            )
        if not self.pool.is_here:
            self._require_tasks(is_blockwise=is_blockwise)
        if has_supernet:
            return
        if self.scratch is not None and self.untrained is not None:
            raise SpaceError(
                "architectures must be scored by training each from scratch or without training any, but got "
                "both: give one of them"
            )
        if self.supernet is not None:
            raise SpaceError(
                "architectures must be scored by a supernet or without one, but got "
                f"{self.supernet} and another way: give one of them"
            )
        if needs.shared_weights:
            raise SpaceError(
                "a strategy whose architectures are scored without a supernet must be a sampling one, but "
                f"{self.strategy} trains a supernet: use evolution, nsga2, random or surrogate, for example"
            )

    def _require_tasks(self, *, is_blockwise: bool) -> None:
        """Refuse a pool where nothing can be done beside something else."""
        if is_blockwise:
            self.oneshot.require_tasks(self.pool)
        elif self.scratch is None:
            raise SpaceError(
                "a pool must be processes:1 where networks share weights on random paths or are not trained, "
                f"but got {self.pool}: train each from scratch, or let candidates learn block by block"
            )

    @property
    def likeness(self) -> Likeness | None:
        """Whom networks are to see images like, however they are scored; None where they are not to."""
        return self.untrained.likeness if self.untrained is not None else self.alike

    def identity(self) -> dict[str, Any]:
        """What makes another search of it, as JSON; the latency models by their hashes."""
        scratch: dict[str, Any] = {"scratch": asdict(self.scratch)} if self.scratch else {}
        if self.untrained is not None:
            scratch |= {"untrained": self.untrained.recorded()}
        if self.likeness is not None:
            scratch |= {"alike": self.likeness.identity() | {"run": self.likeness.reference}}
        if self.teacher is not None:
            digest = files.sha256(RunFolder(self.teacher).weights)
            scratch |= {"teacher": digest, "teacher_run": str(self.teacher.resolve())}
        return {
            "space": self.space,
            "latencies": [files.sha256(path) for path in self.latencies],
            "budgets": [budget.text for budget in self.budgets],
            "data": self.data,
            **({"task": self.task} if self.task != tasks.DEFAULT else {}),
            "strategy": self.strategy,
            "seed": self.seed,
            "oneshot": self.oneshot.recorded(),
            "settings": dict(self.settings),
            "training_steps": self.training_steps,
            "confidence": self.confidence,
            "measured": self.measured,
            "objectives": list(self.objectives),
            "limits": dict(self.limits),
            **({"ranges": {name: list(ends) for name, ends in self.ranges.items()}} if self.ranges else {}),
            **scratch,
        }
