"""Budgets as they are typed, as objects, and what a share becomes."""

from __future__ import annotations

import numpy as np
import pytest

import hwnas
from hwnas import budget
from hwnas.api.found import _budgets
from hwnas.budget import Budget
from hwnas.device import Target
from hwnas.errors import DeviceError, LatencyModelError, SpaceError
from hwnas.finalists import models, stage
from hwnas.latency.base import Cost
from hwnas.search.problem import Constraint

HOST = Target("host", "litert", "int8")


@pytest.mark.parametrize("text", ["host", "host=", "host/litert=5", "=5", "host=5=6", "host/litert-int8-2=5"])
def test_a_budget_of_another_form_is_refused(text):
    with pytest.raises(DeviceError, match="must be written NAME=BUDGET"):
        budget.parse([text])


def test_devices_are_parsed():
    found = budget.parse(["host/onnxruntime-fp32=8", "pixel=20"], precisions=["int8", "fp32"])
    assert [(b.name, b.text) for b in found] == [
        ("host/onnxruntime-fp32", "8"),
        ("pixel/litert-int8", "20"),
        ("pixel/litert-fp32", "20"),
    ]
    with pytest.raises(DeviceError, match="one budget"):
        budget.parse(["host=8", "host/litert-int8=9"])
    with pytest.raises(DeviceError, match="a device must be one of"):
        budget.parse(["nope=8"])


def test_what_is_asked_of_a_device_is_neither_milliseconds_nor_a_share():
    with pytest.raises(LatencyModelError, match="must be milliseconds or a share"):
        budget.parse(["host=fast"])


@pytest.mark.parametrize(
    "text", ["host/litert-int8=60%", "host/litert-int8=8.25", "host/onnxruntime-fp32=3 ms"]
)
def test_a_budget_is_typed_as_it_is_shown(text):
    (read,) = budget.parse([text])
    assert str(read) == text
    assert budget.parse([str(read)]) == (read,)


def test_threads_that_are_not_the_devices_own_are_typed_as_well():
    (two,) = budget.parse(["host/litert-int8-t2=60%"])
    assert two == Budget(Target("host", "litert", "int8", threads=2), 60, "%")
    assert budget.parse([two.with_threads]) == (two,)
    assert stage._as_typed([two, Budget.read("8", HOST)]) == (
        "host/litert-int8-t2=60%",
        "host/litert-int8-t1=8",
    )
    assert stage._as_typed([Budget.read("8", HOST)]) == ("host/litert-int8=8",)
    assert stage._as_typed([Budget.read("8", Target("host", "litert", "int8", batch=4))]) == ()
    with pytest.raises(DeviceError, match="threads must be a whole number of at least 1"):
        budget.parse(["host/litert-int8-t0=60%"])


def test_a_share_becomes_milliseconds_and_still_says_that_it_was_one():
    share = Budget(HOST, 25, "%")
    assert share.text == "25%"
    found = share.within(2.0, 10.0)
    assert (found, found.text, found.is_share) == (Budget(HOST, 4.0), "25%", True)
    assert not Budget(HOST, 4.0).is_share
    assert Budget(HOST, 4.0).within(1.0, 2.0) == Budget(HOST, 4.0)


def test_a_margin_is_kept_free():
    assert Budget(HOST, 4.0, margin=0.5).usable == 3.5


def test_costs_are_in_the_unit_of_their_budget():
    costs = Cost(1.0, (np.array([1.0, 2.0]),), "MACs")
    assert Constraint(Budget("macs", 3.0, "MACs"), costs).unit == "MACs"
    for unit in ("ms", "%"):
        with pytest.raises(
            SpaceError, match=f"in the unit of their budget, {unit}, but those of macs are in MACs"
        ):
            Constraint(Budget("macs", 3.0, unit), costs)


def test_budgets_are_given_as_objects_or_by_what_they_are_on():
    """Numbers as numbers, whatever their size."""
    wide = Target("host", "litert", "int8", threads=2)
    given = {"host/litert-int8": 0.00001, wide: "60%", "host/litert-fp32": 8}
    found = _budgets(given)
    assert [(one.name, one.text) for one in found] == [
        ("host/litert-int8", "0.00001"),
        ("host/litert-int8-t2", "60%"),
        ("host/litert-fp32", "8"),
    ]
    assert _budgets([hwnas.Budget(wide, 60, "%")]) == found[1:2]


def test_a_search_on_devices_refuses_what_is_on_none(tmp_path):
    with pytest.raises(DeviceError, match="must be on a target of a device, but got 'bytes=5'"):
        models.sources([Budget("bytes", 5.0, "bytes")], hwnas.spaces.load("macro"), tmp_path)
