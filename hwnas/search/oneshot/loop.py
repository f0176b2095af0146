"""The one-shot loop: warm up, alternate weight and gate steps, decode, rank the finalists.

Strategies differ in the gates they train weights under and in how they move the logits. All
of it is a function of the problem and one seed drawn from ``rng``; randomness of a step follows
from seed and step number, so that a search goes on from its checkpoint as if nothing had been.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch

from hwnas.errors import SpaceError
from hwnas.evaluators.base import Evaluator, Live, SharedWeights, shared_weights
from hwnas.evaluators.supernet.network import Gate
from hwnas.evaluators.supernet.warm_up import rate, warm_up
from hwnas.runs.trial import Trial
from hwnas.search.base import Needs, SearchResult, scored
from hwnas.search.feasible import FeasibleSampler
from hwnas.search.oneshot import curvature, kept
from hwnas.search.oneshot import latency_loss as losses
from hwnas.search.oneshot.gates import CostTensors, Gates, alarms
from hwnas.search.oneshot.trace import Trace
from hwnas.search.problem import Problem
from hwnas.search.session import Session
from hwnas.search.settings import OneShotSettings
from hwnas.train import checkpoint as files
from hwnas.train import optim, ranks
from hwnas.train.config import HIGHEST_RATE

SCHEMA = "hwnas-search-checkpoint/1"
SETTLING = 0.25
"""Share of the steps, the last ones, in which the gates' learning rate falls to ``SETTLED`` of
it: at the full rate expected latency still swings by some percent around its budget."""
SETTLED = 0.05
CURVATURE_SHARE = 4
"""One over the part of a batch on which the sharpness of the loss is looked at."""
_CURVATURE = 4  # purpose of randomness


@dataclass
class SearchState:
    """A search under way.

    Attributes:
        problem: What is searched.
        oneshot: The supernet.
        session: What the search may use while it runs.
        gates: The architecture parameters.
        optimizer: Of the gates.
        costs: For expected latency.
        latency_loss: How latency enters the loss.
        seed: Where all randomness comes from.
        trace: One record a search step, so far.
        memory: Numbers that a strategy carries from step to step.
    """

    problem: Problem
    oneshot: SharedWeights
    session: Session
    gates: Gates
    optimizer: torch.optim.Optimizer
    costs: CostTensors
    latency_loss: losses.LatencyLoss
    seed: int
    trace: list[Mapping[str, Any]] = field(default_factory=list)
    memory: dict[str, float] = field(default_factory=dict)

    def rng(self, step: int, purpose: int) -> np.random.Generator:
        """Randomness of one purpose in one step."""
        return np.random.default_rng([self.seed, purpose, step])

    def update(self, gradients: Iterable[torch.Tensor]) -> None:
        """Move the logits by gradients, one a choice, averaged over all processes."""
        for parameter, gradient in zip(self.gates.parameters, gradients, strict=True):
            parameter.grad = gradient
        ranks.average(p.grad for p in self.gates.parameters)
        self.optimizer.step()

    def expected(self) -> list[float]:
        """Expected latency under the gates, one a constraint."""
        with torch.no_grad():
            return [float(e) for e in self.costs.expected(self.gates.probabilities())]


@dataclass(frozen=True, kw_only=True)
class OneShotStrategy(OneShotSettings, ABC):
    """What one-shot strategies share."""

    name: ClassVar[str]
    needs: ClassVar[Needs] = Needs(shared_weights=True)
    gate_betas: ClassVar[tuple[float, float]] = (0.9, 0.999)

    def __post_init__(self) -> None:
        losses.require_known(self.loss)
        least = {"warmup_steps": 0, "steps": 1, "finalists": 1, "curvatures": 0}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise SpaceError(f"{name} must be at least {value}, but got {getattr(self, name)}")
        if not 0 <= self.least_use <= 1:
            raise SpaceError(f"least_use must be in [0, 1], but got {self.least_use}")
        if not 0 < self.gate_learning_rate <= HIGHEST_RATE:
            raise SpaceError(
                f"gate_learning_rate must be over 0 and at most {HIGHEST_RATE:g}, but got "
                f"{self.gate_learning_rate}"
            )

    @abstractmethod
    def weight_gates(self, state: SearchState, step: int) -> Sequence[Gate]:
        """The gates under which weights are trained in a step."""

    @abstractmethod
    def gate_step(self, state: SearchState, step: int) -> Mapping[str, float]:
        """Move the logits by one validation batch; returns what to record."""

    def gate_rate(self, step: int) -> float:
        """The gates' learning rate: constant, then a linear fall in which they settle."""
        left = (self.steps - step) / (SETTLING * self.steps)
        return self.gate_learning_rate * min(1.0, max(SETTLED, left))

    def settings(self) -> dict[str, Any]:
        """What determines the course of the search, the seed aside; plain JSON."""
        return asdict(self)

    def search(
        self, problem: Problem, evaluator: Evaluator, rng: np.random.Generator, session: Session
    ) -> SearchResult:
        """Find the best architecture that keeps every budget of the problem.

        Raises:
            InfeasibleBudget: No architecture keeps them all.
            SpaceError: The evaluator has no supernet.
            SchemaMismatch: Checkpoint or history is of another search.
            TrainingError: The loss became NaN.
        """
        self.needs.require(evaluator)
        _ = FeasibleSampler(problem).feasible  # refuses budgets that do not go together
        state = self._start(problem, shared_weights(evaluator), int(rng.integers(2**62)), session)
        self._resume(state)
        history = Trace.begin(session.history, self.name, state.trace)
        total = self.warmup_steps + self.steps
        warm_up(state.oneshot, self.warmup_steps, total=total, on_step=self._watch(state))
        watch = self._watch(state)
        while len(state.trace) < self.steps:
            state.trace.append(self._step(state, len(state.trace)))
            history.append(state.trace[-1])
            watch(state.trace[-1])
        self._save(state)
        return self._conclude(state)

    def _watch(self, state: SearchState) -> Live:
        """What happens after each step of a phase: a checkpoint now and then, a live record."""
        began, steps = time.monotonic(), 0

        def watch(record: Mapping[str, Any]) -> None:
            nonlocal steps
            steps += 1
            if record["step"] % state.session.checkpoint_every == 0:
                self._save(state)
            left = (time.monotonic() - began) / steps * (record["steps"] - record["step"])
            shown = state.problem.shown()
            state.session.tell({"strategy": self.name, **shown, "eta_s": left, **record})

        return watch

    def _start(self, problem: Problem, oneshot: SharedWeights, seed: int, session: Session) -> SearchState:
        gates = self._gates(problem, oneshot.device, seed)
        optimizer = torch.optim.Adam(gates.parameters, lr=self.gate_learning_rate, betas=self.gate_betas)
        return SearchState(
            problem=problem,
            oneshot=oneshot,
            session=session,
            gates=gates,
            optimizer=optimizer,
            costs=CostTensors(problem.constraints, oneshot.device),
            latency_loss=losses.make(self.loss, problem.constraints),
            seed=seed,
        )

    def _gates(self, problem: Problem, device: torch.device, seed: int) -> Gates:
        """What decides, before it has learnt anything."""
        return Gates(problem.blocks, device)

    def _step(self, state: SearchState, step: int) -> Mapping[str, Any]:
        weight_loss = state.oneshot.weight_step(
            self.weight_gates(state, step), rate(self.warmup_steps + step, self.warmup_steps + self.steps)
        )
        optim.set_learning_rate(state.optimizer, self.gate_rate(step))
        recorded = {**self.gate_step(state, step), **self._curvature(state, step)}
        expected = state.expected()
        state.latency_loss.update(expected)
        limits = [c.usable for c in state.problem.constraints]
        argmax = np.array([state.gates.argmax()])
        watched = state.gates.summary()
        return {
            "phase": "search",
            "step": step + 1,
            "steps": self.steps,
            "loss": weight_loss,
            **recorded,
            **_by_unit(state.problem, "expected", expected),
            "expected_share": max(e / limit for e, limit in zip(expected, limits, strict=True)),
            "argmax_share": float(state.problem.used(argmax)[0]),
            "multiplier": state.latency_loss.multiplier,
            "entropy": watched.entropy,
            "skip_share": watched.skip_share,
        }

    def _curvature(self, state: SearchState, step: int) -> Mapping[str, float]:
        """How sharp the loss is, in the steps in which that is looked at."""
        if not self.curvatures or (step + 1) % max(1, self.steps // self.curvatures):
            return {}
        oneshot, count = state.oneshot, sum(map(len, state.gates.logits))

        def loss(logits: Sequence[torch.Tensor]) -> torch.Tensor:
            gates = [torch.softmax(each, 0) for each in logits]
            return oneshot.loss("val", gates, 0, share=CURVATURE_SHARE, exact=True)

        names = [f"direction.{number}" for number in range(count)]
        known = [state.memory.get(name) for name in names]
        is_first = None in known
        direction = state.rng(step, _CURVATURE).normal(size=count) if is_first else np.array(known, float)
        products = curvature.FIRST if is_first else curvature.LATER
        value, direction = curvature.dominant(loss, state.gates.logits, direction, products)
        state.memory.update(zip(names, direction.tolist(), strict=True))
        return {curvature.KEY: value}

    def _conclude(self, state: SearchState) -> SearchResult:
        """Decode and draw finalists, rank them by the supernet, and say how it went."""
        problem, gates = state.problem, state.gates
        decoded = gates.decode(problem)
        chosen = gates.finalists(problem, self.finalists, self.least_use, state.rng(0, purpose=3))
        watch, trials = self._watch(state), list[Trial]()
        for number, indices in enumerate(chosen, start=1):
            arch = problem.blocks.architecture(indices)
            trials.append(scored(problem, arch, state.oneshot(arch)))
            best = max(trials, key=lambda t: t.quality)  # all keep every budget; the first of equals
            watch(_ranked(number, len(chosen), best, state.session.score))
        argmax = gates.argmax()
        extra = {
            **_by_unit(problem, "expected", state.expected()),
            **_by_unit(problem, "limit", [c.usable for c in problem.constraints]),
            "argmax": problem.told(argmax),
            "decoded": problem.told(decoded.indices) | {"gap": decoded.gap},
            "alarms": alarms(state.trace),
            "logits": gates.preferences(),
            "weight_steps": state.oneshot.steps,
        }
        return SearchResult(
            strategy=self.name,
            best=problem.blocks.architecture(best.indices),
            quality=best.quality,
            trials=tuple(trials),
            config={**self.settings(), "seed": state.seed},
            trace=tuple(state.trace),
            extra=extra,
            score=state.session.score,
        )

    def _identity(self, state: SearchState) -> dict[str, Any]:
        return kept.identity(self.name, self.settings(), state.seed, state.problem, state.oneshot)

    def _save(self, state: SearchState) -> None:
        if state.session.checkpoint is None or ranks.rank() != 0:
            return
        named = state.gates.named()
        tensors = state.oneshot.tensors()
        tensors |= {f"logits:{name}": value for name, value in named}
        tensors |= {f"adam:{k}": v for k, v in files.optimizer_tensors(state.optimizer, named).items()}
        metadata = {
            "schema": SCHEMA,
            **self._identity(state),
            "weight_steps": state.oneshot.steps,
            "multiplier": state.latency_loss.multiplier,
            "memory": state.memory,
            "trace": state.trace,
        }
        files.save_tensors(state.session.checkpoint, tensors, metadata)

    def _resume(self, state: SearchState) -> None:
        path = state.session.checkpoint
        found = kept.read(path, SCHEMA, self._identity(state))
        if path is None or found is None:
            return
        tensors, metadata = found
        state.oneshot.restore(tensors, metadata["weight_steps"], path)
        named = state.gates.named()
        with torch.no_grad():
            for name, parameter in named:
                parameter.copy_(tensors[f"logits:{name}"])
        adam = {k.removeprefix("adam:"): v for k, v in tensors.items() if k.startswith("adam:")}
        files.restore_optimizer(state.optimizer, named, adam)
        state.latency_loss.restore(metadata["multiplier"])
        state.memory.update(metadata["memory"])
        state.trace.extend(metadata["trace"])


def _ranked(number: int, count: int, best: Trial, score: str) -> Mapping[str, Any]:
    """The live record of a finalist."""
    return {
        "phase": "finalists",
        "step": number,
        "steps": count,
        f"best_{score}": best.quality,
        **best.shown(),
    }


def _by_unit(problem: Problem, name: str, values: Sequence[float]) -> dict[str, list[float]]:
    """Values, one a constraint, for a record: those in milliseconds, and those of other units if any."""
    both = list(zip(problem.constraints, values, strict=True))
    found = {f"{name}_ms": [value for of, value in both if of.is_latency]}
    others = [value for of, value in both if not of.is_latency]
    return {**found, f"{name}_limited": others} if others else found
