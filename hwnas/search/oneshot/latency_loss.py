"""How latency enters the loss of a one-shot search.

Fixed coefficients land anywhere (0.2 to 1.0 of the budget in the project's experiments) and
depend on the unit of latency. The default therefore holds the budget; the papers' own forms
are here to be compared with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from hwnas.errors import LatencyModelError
from hwnas.search.problem import Constraint

UNITS = {"ms": 1.0, "us": 1e3}


class LatencyLoss(Protocol):
    """Turns cross-entropy and expected latencies into the loss of an architecture step."""

    def loss(self, cross_entropy: torch.Tensor, expected: Sequence[torch.Tensor]) -> torch.Tensor:
        """Scalar, differentiable in both."""

    def update(self, expected: Sequence[float]) -> None:
        """Called after every architecture step with the latencies it led to."""

    @property
    def multiplier(self) -> float:
        """What a unit of violation costs now; 0 where nothing adapts."""

    def restore(self, multiplier: float) -> None:
        """Go on with the multiplier of a checkpoint."""


class _Fixed:
    """A form in which nothing adapts."""

    @property
    def multiplier(self) -> float:
        """Always 0."""
        return 0.0

    def update(self, expected: Sequence[float]) -> None:
        """Nothing adapts."""

    def restore(self, multiplier: float) -> None:
        """Nothing adapts."""


def violation(expected: Sequence[torch.Tensor], constraints: Sequence[Constraint]) -> torch.Tensor:
    """Expected latency over its limit, minus 1, of the constraint where that is largest."""
    shares = [e / c.usable for e, c in zip(expected, constraints, strict=True)]
    return torch.stack(shares).max() - 1


class HoldBudget:
    """A multiplier of either sign drives expected latency *to* the budget.

    The loss is CE + multiplier·c + strength/2·c², with the violation c of the tightest budget;
    after each step the multiplier moves by gain·c: an augmented Lagrangian of the equality
    c = 0. Where every budget is above the slowest architecture there is nothing to hold.

    Args:
        constraints: The budgets.
        strength: Of the quadratic term; too weak, and batches swing expected latency by percents.
        gain: Of the multiplier.
        bound: Largest multiplier of either sign: keeps it from winding up against a budget
            that the distribution cannot reach.
    """

    def __init__(
        self,
        constraints: Sequence[Constraint],
        *,
        strength: float = 12.0,
        gain: float = 0.1,
        bound: float = 10.0,
    ) -> None:
        self.constraints = tuple(constraints)
        self.strength, self.gain, self.bound = strength, gain, bound
        self.binds = any(c.usable < c.costs.range[1] for c in constraints)
        self.value = 0.0

    @property
    def multiplier(self) -> float:
        """What a unit of violation costs now."""
        return self.value

    def loss(self, cross_entropy: torch.Tensor, expected: Sequence[torch.Tensor]) -> torch.Tensor:
        """Scalar, differentiable in both."""
        if not self.binds:
            return cross_entropy
        c = violation(expected, self.constraints)
        return cross_entropy + self.value * c + self.strength / 2 * c * c

    def update(self, expected: Sequence[float]) -> None:
        """Move the multiplier by the violation that is left."""
        if self.binds:
            c = max(e / k.usable for e, k in zip(expected, self.constraints, strict=True)) - 1
            self.value = min(self.bound, max(-self.bound, self.value + self.gain * c))

    def restore(self, multiplier: float) -> None:
        """Go on with the multiplier of a checkpoint."""
        self.value = multiplier


@dataclass(frozen=True)
class FBNetLoss(_Fixed):
    """CE · α · log(latency)^β (arXiv:1812.03443, equation 3), of the tightest budget's latency.

    It holds no budget: α does nothing under Adam, and how strongly β pulls depends on the
    unit, because the logarithm does.

    Attributes:
        constraints: The budgets.
        alpha: Factor.
        beta: Power of the logarithm.
        unit: "ms" or "us"; the fastest architecture must need more than 1 of it, where the
            logarithm is positive.
    """

    constraints: tuple[Constraint, ...]
    alpha: float = 0.2
    beta: float = 0.6
    unit: str = "us"

    def __post_init__(self) -> None:
        _require_unit(self.unit, self.constraints)
        for constraint in self.constraints:
            fastest = constraint.costs.range[0] * UNITS[self.unit]
            if fastest <= 1:
                raise LatencyModelError(
                    f"log(latency) must be positive, but the fastest architecture needs {fastest:.4g} "
                    f"{self.unit} on {constraint.name}: use a smaller unit"
                )

    def loss(self, cross_entropy: torch.Tensor, expected: Sequence[torch.Tensor]) -> torch.Tensor:
        """Scalar, differentiable in both."""
        latency = _tightest(expected, self.constraints) * UNITS[self.unit]
        return cross_entropy * self.alpha * torch.log(latency) ** self.beta


@dataclass(frozen=True)
class ProxylessLinear(_Fixed):
    """CE + λ · (E − budget) / budget (arXiv:1812.00332 and its published code, "add#linear").

    Attributes:
        constraints: The budgets, the reference latencies.
        weight: λ.
    """

    constraints: tuple[Constraint, ...]
    weight: float = 0.1

    def loss(self, cross_entropy: torch.Tensor, expected: Sequence[torch.Tensor]) -> torch.Tensor:
        """Scalar, differentiable in both."""
        return cross_entropy + self.weight * violation(expected, self.constraints)


@dataclass(frozen=True)
class ProxylessLog(_Fixed):
    """α · CE · (log E / log budget)^β (the published code of ProxylessNAS, "mul#log").

    Attributes:
        constraints: The budgets, the reference latencies.
        alpha: Factor.
        beta: Power.
        unit: "ms" or "us"; fastest architecture and budget must be over 1 of it.
    """

    constraints: tuple[Constraint, ...]
    alpha: float = 0.2
    beta: float = 0.3
    unit: str = "us"

    def __post_init__(self) -> None:
        _require_unit(self.unit, self.constraints)
        for constraint in self.constraints:
            least = min(constraint.costs.range[0], constraint.usable) * UNITS[self.unit]
            if least <= 1:
                raise LatencyModelError(
                    f"log(latency) must be positive, but fastest architecture or budget is {least:.4g} "
                    f"{self.unit} on {constraint.name}: use a smaller unit"
                )

    def loss(self, cross_entropy: torch.Tensor, expected: Sequence[torch.Tensor]) -> torch.Tensor:
        """Scalar, differentiable in both."""
        scale = UNITS[self.unit]
        ratios = [
            torch.log(e * scale) / math.log(c.usable * scale)
            for e, c in zip(expected, self.constraints, strict=True)
        ]
        return self.alpha * cross_entropy * torch.stack(ratios).max() ** self.beta


class NoLatencyLoss(_Fixed):
    """Cross-entropy alone: the control that shows what the latency loss is worth."""

    def loss(self, cross_entropy: torch.Tensor, expected: Sequence[torch.Tensor]) -> torch.Tensor:
        """The cross-entropy."""
        return cross_entropy


LATENCY_LOSSES: dict[str, Callable[[tuple[Constraint, ...]], LatencyLoss]] = {
    "hold": HoldBudget,
    "fbnet": FBNetLoss,
    "proxyless-linear": ProxylessLinear,
    "proxyless-log": ProxylessLog,
    "none": lambda _: NoLatencyLoss(),
}


def make(name: str, constraints: Sequence[Constraint]) -> LatencyLoss:
    """The latency loss of a name, with its default coefficients."""
    require_known(name)
    return LATENCY_LOSSES[name](tuple(constraints))


def require_known(name: str) -> None:
    """Raise LatencyModelError where there is no latency loss of this name."""
    if name not in LATENCY_LOSSES:
        raise LatencyModelError(f"a latency loss must be one of {sorted(LATENCY_LOSSES)}, but got {name!r}")


def _tightest(values: Sequence[torch.Tensor], constraints: Sequence[Constraint]) -> torch.Tensor:
    shares = [float(v.detach()) / c.usable for v, c in zip(values, constraints, strict=True)]
    return values[shares.index(max(shares))]


def _require_unit(unit: str, constraints: Sequence[Constraint]) -> None:
    if unit not in UNITS:
        raise LatencyModelError(
            f"the unit of a latency loss must be one of {sorted(UNITS)}, but got {unit!r}"
        )
    for constraint in constraints:
        if constraint.unit != "ms":
            raise LatencyModelError(
                f"a logarithm must be of milliseconds, but {constraint.name} is limited in "
                f"{constraint.unit}: use the loss hold"
            )
