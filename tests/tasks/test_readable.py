"""Networks of one task are not given to another."""

import pytest
import shapes

from hwnas import spaces, tasks
from hwnas.errors import SpaceError


@pytest.mark.parametrize("name", ["macro-r32-c3", "efficientnet-lite0-r32-c3", "mobilenetv2+fpn64-r64-c3"])
def test_what_answers_something_else_than_is_asked_is_refused(name):
    with pytest.raises(SpaceError, match=r"answer what segmentation reads.*efficientnet-lite0\+fpnsum64"):
        tasks.require_readable(shapes.images(), spaces.load(name))


@pytest.mark.parametrize("name", ["from:mobilenetv2+pooled64-r32-c3", "macro-r32-c10"])
def test_what_answers_as_asked_or_for_other_classes_goes_on(name):
    """Another place compares the numbers of classes, in its own words."""
    tasks.require_readable(shapes.images(), spaces.load(name))


@pytest.mark.parametrize("name", ["macro", "from:mobilenetv2", "fbnet"])
def test_classifiers_are_for_classification(name, few_digits):
    data = tasks.get("classification").load(str(few_digits), resolution=32)
    tasks.require_readable(data, spaces.load(name, resolution=32, num_classes=10))
    with pytest.raises(SpaceError, match=r"classification reads.* 10x16x16 numbers: take such as effic"):
        tasks.require_readable(data, spaces.load("mobilenetv2+pooled64-r64-c10"))
