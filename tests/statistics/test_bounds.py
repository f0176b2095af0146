"""Printed bounds are true, and what is printed is accepted when it is typed."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from hwnas import spaces
from hwnas.budget import Budget
from hwnas.device import Target
from hwnas.errors import InfeasibleBudget, LatencyModelError
from hwnas.latency.base import Cost, Prediction
from hwnas.latency.evaluate import score
from hwnas.search.constraints import constraints_of, not_binding, shares_of, shares_said
from hwnas.search.problem import Constraint
from hwnas.search.request import SearchRequest
from hwnas.search.searching import PreparedSearch
from hwnas.statistics.bounds import DIGITS, at_least, at_most, span

SPACE = spaces.load("macro-r8-c10")


class Model:
    """Costs drawn at random, over six orders of magnitude."""

    target = Target("host", "litert", "int8")

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        size = 10.0 ** rng.uniform(-4, 2)
        choices = tuple(size * rng.uniform(0.01, 1, n) for n in SPACE.sizes)
        self.cost, self.std = Cost(float(size * rng.uniform()), choices), rng.uniform(0, 0.2)

    def costs(self, _space):
        return self.cost

    def predict(self, _space, indices):
        mean = self.cost.of(indices)
        return Prediction(mean, self.std * mean)

    def to_json(self):
        return {}


@pytest.mark.parametrize("seed", range(300))
def test_bounds_are_rounded_outwards(seed):
    rng = np.random.default_rng(seed)
    value = float(10.0 ** rng.uniform(-6, 9))
    above, below = at_least(value), at_most(value)
    assert float(below) <= value <= float(above)
    assert float(above) - float(below) <= 2.1 * 10 ** (np.floor(np.log10(value)) - DIGITS + 1)
    assert re.fullmatch(r"\d+(\.\d+)?", above), "as it can be typed, without an exponent"
    assert re.fullmatch(r"\d+(\.\d+)?", below)


def test_what_was_typed_is_shown_as_it_was_typed():
    assert [at_most(value) for value in (0.0286, 12.5, 3.0, 20.0, 0.5)] == [
        "0.0286",
        "12.5",
        "3",
        "20",
        "0.5",
    ]


def test_the_margin_is_in_the_printed_bound():
    """The budget is over the fastest network, but not by the margin: the bound says by how much."""
    costs = Cost(0.02849, ())
    with pytest.raises(InfeasibleBudget) as refused:
        Constraint(Budget("host/litert-int8", 0.0286, margin=0.0016), costs)
    assert "got 0.0286 ms < 0.0301 ms (host/litert-int8, with a margin of 0.0016 ms)" in str(refused.value)


def bounds_in(text: str) -> tuple[float, float, str]:
    small, bound = re.search(r"got ([0-9.]+) \w+ < ([0-9.]+) \w+", text).groups()
    return float(small), float(bound), bound


@pytest.mark.parametrize("measured", [False, True])
@pytest.mark.parametrize("seed", range(50))
def test_the_smallest_budget_that_is_printed_is_accepted_when_typed(seed, measured):
    model = Model(seed)
    low = model.cost.range[0]
    with pytest.raises(InfeasibleBudget) as refused:
        constraints_of([model], [Budget.read(f"{0.999 * low:.12f}")], SPACE, 0.9, measured=measured)
    small, bound, typed = bounds_in(str(refused.value))
    assert small < bound
    (constraint,) = constraints_of([model], [Budget.read(typed)], SPACE, 0.9, measured=measured)
    assert constraint.budget.limit == float(typed)
    assert bound >= refused.value.least
    assert bound <= 1.002 * refused.value.least, "no more than rounding"


@pytest.mark.parametrize("measured", [False, True])
def test_the_range_that_is_printed_is_accepted_when_typed(measured):
    for seed in range(20):
        model = Model(seed)
        with pytest.raises(InfeasibleBudget, match="the slowest needs") as refused:
            constraints_of([model], [Budget.read("0.000001")], SPACE, 0.9, measured=measured)
        ends = re.search(r"< ([0-9.]+) ms .*the slowest needs ([0-9.]+) ms", str(refused.value)).groups()
        for typed in ends:
            constraints_of([model], [Budget.read(typed)], SPACE, 0.9, measured=measured)


def test_limits_are_printed_so_that_they_can_be_typed():
    costs = Cost(123456.0, tuple(np.array([1000.0, 2000.0]) for _ in range(3)), "bytes")
    with pytest.raises(InfeasibleBudget) as refused:
        Constraint(Budget("bytes", 1e5, costs.unit), costs)
    _, _, typed = bounds_in(str(refused.value))
    assert "raise the limit (the largest needs" in str(refused.value)
    assert Constraint(Budget("bytes", float(typed), costs.unit), costs).budget.limit < 126600


def test_a_budget_that_is_no_number_is_refused_without_a_comparison():
    with pytest.raises(InfeasibleBudget, match=r"but got inf ms \(host"):
        Constraint(Budget("host/litert-int8", float("inf")), Cost(1.0, ()))


def test_budgets_that_bind_nothing_are_said_with_what_was_meant():
    model = Model(1)
    slowest = model.cost.range[1]
    loose = constraints_of([model], [Budget.read(f"{119 * slowest:.6f}")], SPACE, 0.9)
    (text,) = not_binding(loose)
    assert "does not bind: it is 119 times what the slowest network of the space needs" in text
    for fine in ("100%", f"{0.9 * slowest:.9f}"):
        assert not_binding(constraints_of([model], [Budget.read(fine)], SPACE, 0.5)) == []


def test_a_budget_without_its_percent_sign_is_told_what_it_may_have_been():
    costs = Cost(0.1, (np.array([0.1, 0.32]),))
    (text,) = not_binding([Constraint(Budget("host/litert-int8", 50.0), costs)])
    assert "give 50% of the range, if that was meant, or less than that" in text
    model = Model(1)
    (text,) = not_binding(constraints_of([model], [Budget.read("200%")], SPACE, 0.9))
    assert text.endswith("so that every network keeps it: give less than that"), "a percent sign was typed"


def test_the_slowest_network_takes_as_long_wherever_it_is_said():
    for scale in np.linspace(1.0, 2.0, 50):  # some round upwards, some downwards
        costs = Cost(0.1234567 * scale, (np.array([0.1, 0.3217777]) * scale,))
        asked = Budget.read("200%").within(*costs.range)
        constraint = Constraint(replace(asked, target=Target("host", "litert", "int8")), costs)
        (share,), (text,) = shares_of([constraint], {}), not_binding([constraint])
        (slowest,) = re.findall(r"to ([0-9.]+) ms = ", share)
        assert f"({slowest} ms)" in text
    low, high = (3 * end for end in costs.range)
    (text,) = not_binding([constraint], {constraint.name: (low / 9, high / 9)})
    assert f"({at_least(high / 9)} ms)" in text, "measured, and not what the model predicts"


def test_a_range_of_the_device_takes_the_place_of_the_models():
    model = Model(2)
    ranges = {"host/litert-int8": (2 * model.cost.range[0], 2 * model.cost.range[1])}
    (constraint,) = constraints_of([model], [Budget.read("50%")], SPACE, 0.5, ranges=ranges)
    assert constraint.budget.limit == np.mean(ranges["host/litert-int8"])


def test_what_is_to_be_known_of_a_search_names_the_model_that_fails():
    """Before the search, and in its record."""
    right, wrong = (
        score(Prediction(np.ones(9), np.full(9, 0.1)), np.full(9, ms), ("k",) * 9) for ms in (1, 3)
    )
    model = Model(1)
    constraints = constraints_of([model], [Budget.read("60%")], SPACE, 0.9)
    request = SearchRequest(SPACE.name, (), (Budget.read("60%"),))
    for evaluation, words in ((right, []), (wrong, ["host/litert-int8: do not trust this latency model"])):
        model.evaluation = {"heldout": evaluation}
        found = PreparedSearch(request, None, SPACE, (model,), constraints, (), (), 0.0).alarms
        assert len(found) == len(words)
        assert all(text.startswith(word) for text, word in zip(found, words, strict=True))


def test_what_shares_are_of_is_said_where_its_ends_were_not_measured():
    model = Model(1)
    low, high = model.cost.range
    name = str(model.target)
    constraints = constraints_of([model], [Budget.read(" 50% ")], SPACE, 0.5)
    (text,) = shares_of(constraints, {})
    budget_ms = constraints[0].budget.limit
    assert f"its ends were not measured: {name} 50% of {span(low, high)} ms = {budget_ms:.4g} ms" in text
    assert shares_of(constraints, {name: (low, high)}) == [], "those were measured"
    typed = constraints_of([model], [Budget.read(f"{budget_ms} ms")], SPACE, 0.5)
    assert shares_of(typed, {}) == []
    record = {"name": name, "asked": "50%", "budget_ms": budget_ms, "range_ms": [low, high]}
    assert shares_said([record | {"range_is_measured": False}]) == [text]
    assert shares_said([record | {"range_is_measured": True}]) == []
    assert shares_said([{k: v for k, v in record.items() if k != "asked"}]) == [], "older records"


def test_a_budget_of_a_request_is_checked_before_anything_is_read():
    with pytest.raises(LatencyModelError, match="a budget must be milliseconds or a share"):
        SearchRequest(SPACE.name, (), (Budget.read("half"),), data="nowhere")
