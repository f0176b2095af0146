"""Petridish (arXiv:1905.13360): a small network grows by what the gradient of its loss asks for.

Beside every candidate that runs, all costlier ones learn what they would add if they took its place
(``network.Growth``); what runs does not notice them. Their weights in that are pressed to zero by an L1 term;
where most is left, the candidate is put in, and the child is trained on from its parent's weights. Parents
are drawn from the networks on, or nearly on, the lower convex hull of error against cost: from the most
accurate one down, each is taken with a chance of one over one more than it was taken already. The gallery of
the networks that were grown is a front of accuracy against cost.

Abstract and summaries of the paper were at hand, not its text: how parents are drawn, three changes at most
and the weight of the L1 term are written from memory. Other than in the paper:

- Layers grow by candidates of a space, not by new shortcuts between layers: where a candidate is a skip, and
  another a residual block, or an edge of a cell is empty, that is the same.
- Networks that break a budget are not grown, and steps of growth that do are not taken.
- The most ``changes`` weights are chosen by sign as well: a block that was put in cannot be subtracted.
- What is chosen is put in as it is; the paper joins by a projection that starts from the weights.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from hwnas.errors import SpaceError
from hwnas.evaluators.base import Evaluator, shared_weights
from hwnas.evaluators.supernet.network import Branch, Gate, Growth
from hwnas.evaluators.supernet.warm_up import rate
from hwnas.search.base import Needs, SearchResult, scored
from hwnas.search.feasible import FeasibleSampler
from hwnas.search.oneshot import kept
from hwnas.search.oneshot.grown import Grown, Pool, drawn
from hwnas.search.oneshot.trace import Trace
from hwnas.search.problem import Problem
from hwnas.search.sampling.neighbours import as_tuple
from hwnas.search.session import Session
from hwnas.spaces.canonical import Canonical
from hwnas.train import checkpoint as files
from hwnas.train import optim, ranks
from hwnas.train.config import HIGHEST_RATE

SCHEMA = "hwnas-growing/1"
FIRST_WEIGHT = 0.1
"""Of what is added while candidates learn: with none they would have no gradient; ours."""


@dataclass(frozen=True, kw_only=True)
class Petridish:
    """Growing from the cheapest network within the budgets.

    Attributes:
        queries: Networks that are trained and scored, the first one among them; fewer where none can grow.
        warmup_steps: Weight updates of the first network.
        candidate_steps: Of candidates beside a network, before some of them are chosen.
        child_steps: Of each network that grew.
        changes: Candidates that are put in at once, at most.
        shrinkage: Of the L1 term on weights of candidates.
        hull_tolerance: How much worse than the hull, as a share of its error, a parent may be.
    """

    name: ClassVar[str] = "petridish"
    needs: ClassVar[Needs] = Needs(shared_weights=True)

    queries: int = 11
    warmup_steps: int = 150
    candidate_steps: int = 15
    child_steps: int = 30
    changes: int = 3
    shrinkage: float = 1e-3
    hull_tolerance: float = 0.025

    def __post_init__(self) -> None:
        for name in ("queries", "warmup_steps", "candidate_steps", "child_steps", "changes"):
            if getattr(self, name) < 1:
                raise SpaceError(f"{name} must be at least 1, but got {getattr(self, name)}")
        for name in ("shrinkage", "hull_tolerance"):
            if not 0 <= getattr(self, name) < inf:
                raise SpaceError(f"{name} must be finite and not negative, but got {getattr(self, name)}")

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
        first = as_tuple(FeasibleSampler(problem).feasible)  # refuses budgets that do not go together
        pool = Pool(problem, shared_weights(evaluator), session, int(rng.integers(2**62)))
        self._resume(pool)
        history = Trace.begin(session.history, self.name, pool.trace)
        while len(pool.grown) < self.queries:
            found = self._child(pool) if pool.grown else (first, None)
            if found is None:
                break
            indices, parent = found
            steps = self.child_steps if pool.grown else self.warmup_steps
            for _ in self._train(pool, indices, steps, "training"):
                pass
            self._keep(pool, indices, parent)
            history.append(pool.trace[-1])
        return self._conclude(pool)

    def _train(self, pool: Pool, gates: Sequence[Gate], steps: int, phase: str) -> Iterator[float]:
        """Weight steps under gates; yields the share of the learning rate after each."""
        began = time.monotonic()
        for step in range(steps):
            share = rate(step, steps)
            loss = pool.oneshot.weight_step(gates, share)
            left = (time.monotonic() - began) / (step + 1) * (steps - step - 1)
            shown = pool.problem.shown()
            record = {"phase": phase, "network": len(pool.grown) + 1, "step": step + 1, "steps": steps}
            pool.session.tell({"strategy": self.name, **shown, **record, "loss": loss, "eta_s": left})
            yield share

    def _child(self, pool: Pool) -> tuple[tuple[int, ...], int] | None:
        """What is to be trained next, with its parent's weights in place; None where nothing can grow."""
        chance = np.random.default_rng([pool.seed, len(pool.grown)])
        left = [n for n in pool.near_hull(self.hull_tolerance) if len(pool.costlier(pool.grown[n].indices))]
        while left:
            number = drawn(pool.grown, left, chance)
            parent = pool.take(number)
            child = self._changed(pool, parent, self._gains(pool, parent))
            if child is not None:
                return child, number
            left.remove(number)
        return None

    def _gains(self, pool: Pool, indices: tuple[int, ...]) -> list[tuple[float, int, int]]:
        """What each costlier candidate would add in its place, the most first: weight, choice, candidate."""
        places = [(int(np.flatnonzero(row != indices)[0]), row) for row in pool.costlier(indices)]
        weights = {
            (place, int(row[place])): nn.Parameter(torch.tensor(FIRST_WEIGHT, device=pool.oneshot.device))
            for place, row in places
        }
        gates = [_gate(place, index, weights) for place, index in enumerate(indices)]
        optimizer = torch.optim.SGD(weights.values(), lr=HIGHEST_RATE, momentum=0.9)
        optimizer.zero_grad()
        for _ in self._train(pool, gates, self.candidate_steps, "candidates"):
            ranks.average(weight.grad for weight in weights.values())
            for weight in weights.values():
                if weight.grad is not None:
                    weight.grad += self.shrinkage * weight.detach().sign()
            optim.set_learning_rate(optimizer, pool.oneshot.rate)
            optimizer.step()
            optimizer.zero_grad()
        found = [(float(weight.detach()), place, index) for (place, index), weight in weights.items()]
        return sorted(found, key=lambda gain: (-gain[0], gain[1:]))

    def _changed(
        self, pool: Pool, indices: tuple[int, ...], gains: Sequence[tuple[float, int, int]]
    ) -> tuple[int, ...] | None:
        """The parent with the best changes that the budgets allow, one a choice; None where it is known."""
        canonical = Canonical(pool.problem.blocks)
        known = {canonical.key(each.indices) for each in pool.grown}
        for start in range(len(gains)):
            child, changed = list(indices), set[int]()
            for _, place, index in gains[start:]:
                trial = [*child[:place], index, *child[place + 1 :]]
                if place in changed or not pool.problem.feasible(np.array([trial]))[0]:
                    continue
                child, changed = trial, changed | {place}
                if len(changed) == self.changes:
                    break
            if canonical.key(tuple(child)) not in known:
                return tuple(child)
        return None

    def _keep(self, pool: Pool, indices: tuple[int, ...], parent: int | None) -> None:
        """Score a network that was trained, and keep it with its weights."""
        weights = pool.oneshot.taken(indices)  # scoring adjusts batch norm
        trial = scored(pool.problem, pool.arch(indices), pool.oneshot(pool.arch(indices)))
        number = len(pool.grown)
        pool.add(Grown(indices, trial.quality, parent), weights, self.hull_tolerance)
        best = pool.trial(pool.best)
        score = pool.session.score
        pool.trace.append(
            {
                "phase": "scoring",
                "step": number + 1,
                "steps": self.queries,
                score: trial.quality,
                "parent": parent,
                "best": list(best.indices),
                f"best_{score}": best.quality,
                **best.shown(),
            }
        )
        self._save(pool)
        pool.session.tell({"strategy": self.name, **pool.problem.shown(), **pool.trace[-1]})

    def _conclude(self, pool: Pool) -> SearchResult:
        """The best network, whose weights are left in the supernet."""
        best = pool.grown[pool.best]
        pool.oneshot.put(pool.weights[pool.best])
        return SearchResult(
            strategy=self.name,
            best=pool.arch(best.indices),
            quality=best.quality,
            trials=tuple(pool.trial(number) for number in range(len(pool.grown))),
            config={**asdict(self), "seed": pool.seed},
            trace=tuple(pool.trace),
            extra={
                "parents": [each.parent for each in pool.grown],
                "hull": pool.near_hull(0.0),
                "weight_steps": pool.oneshot.steps,
            },
            score=pool.session.score,
        )

    def _identity(self, pool: Pool) -> dict[str, Any]:
        settings = {name: value for name, value in asdict(self).items() if name != "queries"}
        return kept.identity(self.name, settings, pool.seed, pool.problem, pool.oneshot)

    def _save(self, pool: Pool) -> None:
        if pool.session.checkpoint is None or ranks.rank() != 0:
            return
        tensors = pool.oneshot.tensors()
        for number, weights in pool.weights.items():
            tensors |= {f"network-{number}:{name}": value for name, value in weights.items()}
        metadata = {
            "schema": SCHEMA,
            **self._identity(pool),
            "weight_steps": pool.oneshot.steps,
            "grown": [asdict(each) for each in pool.grown],
            "trace": pool.trace,
        }
        files.save_tensors(pool.session.checkpoint, tensors, metadata)

    def _resume(self, pool: Pool) -> None:
        path = pool.session.checkpoint
        found = kept.read(path, SCHEMA, self._identity(pool))
        if path is None or found is None:
            return
        tensors, metadata = found
        pool.oneshot.restore(tensors, metadata["weight_steps"], path)
        pool.grown = [Grown(**{**each, "indices": tuple(each["indices"])}) for each in metadata["grown"]]
        for name, value in tensors.items():
            owner, _, own = name.partition(":")
            if owner.startswith("network-"):
                pool.weights.setdefault(int(owner.removeprefix("network-")), {})[own] = value
        pool.trace.extend(metadata["trace"])


def _gate(place: int, index: int, weights: Mapping[tuple[int, int], torch.Tensor]) -> Gate:
    """What runs at a choice, beside its candidates that learn."""
    others = tuple(Branch(other, weight) for (where, other), weight in weights.items() if where == place)
    return Growth(index, others) if others else index
