"""Settings that many strategies share, each with its one default; without what needs torch."""

from __future__ import annotations

from dataclasses import dataclass

STRATEGY = "exact"
"""Where none is named. On NAS-Bench-Macro what it proposes is .15 points from the best under the budgets, the
best of ten random networks by a supernet 1.1 to 1.7 in as much time (``tools/bench_blockwise.py``)."""


@dataclass(frozen=True, kw_only=True)
class OneShotSettings:
    """Of strategies that train a supernet as they search.

    Attributes:
        warmup_steps: Weight updates on random single paths (``paths.py``) before the gates move;
            those that the supernet has had already count.
        steps: Search steps: a weight step on training, a gate step on validation images each.
        gate_learning_rate: Of Adam on the logits; it falls over the last quarter of the steps.
        loss: How latency enters: one of ``latency_loss.LATENCY_LOSSES``.
        finalists: Architectures that are decoded or drawn from the gates and ranked.
        least_use: Share of the tightest budget that drawn finalists spend, where they can.
        curvatures: How often in all steps the sharpness of the loss in the gates is looked at, by second
            derivatives of the soft mixture on a fourth of a batch; 0 for never. See ``oneshot/curvature.py``.
    """

    warmup_steps: int = 400
    steps: int = 200
    gate_learning_rate: float = 0.1
    loss: str = "hold"
    finalists: int = 12
    least_use: float = 0.95
    curvatures: int = 12


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """Of strategies that ask for one architecture after the other.

    Attributes:
        queries: How many scores may be asked for; of networks that are trained for less, as many as cost as
            much.
        remeasure: Share of the queries, the last ones, that score the leaders again. Worth it
            where a score is noisy (training from scratch); useless where it is repeatable.
        parallel: Architectures that are asked for together and told in that order, so that the search is the
            same by any number of workers; with 1, one is asked for whenever a worker is free.
    """

    queries: int = 100
    remeasure: float = 0.0
    parallel: int = 1


DISTILLATION_STEPS = 120
"""Weight updates of candidates that learn from a network that is trained."""

TRAINING_STEPS = OneShotSettings.warmup_steps + OneShotSettings.steps
"""Weight updates of a supernet that only scores: as many as where the search trains it."""
