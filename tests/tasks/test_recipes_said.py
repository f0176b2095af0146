"""What a training does where nothing is said stands in its help as it is."""

from __future__ import annotations

import re

import pytest

from hwnas import tasks
from hwnas.settings.comments import COMMENTS


def _numbers(name: str) -> set[float]:
    return {float(text) for text in re.findall(r"\d+(?:\.\d+)?", COMMENTS["train"][name].replace(",", ""))}


TASKS = ["classification", "segmentation", "detection"]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("is_pretrained", [False, True])
def test_the_help_names_what_every_task_does(task, is_pretrained):
    usual = tasks.get(task).usual(pretrained=is_pretrained)
    assert {usual.steps, usual.fewest_epochs, usual.most_epochs} <= _numbers("epochs")
    assert usual.batch_size in _numbers("batch_size")
    assert usual.learning_rate in _numbers("learning_rate")
    assert usual.layer_decay in _numbers("layer_decay")
    assert usual.frozen_stride in _numbers("frozen_stride")
    assert not is_pretrained or usual.head_steps in _numbers("head_epochs")


def test_the_help_names_nothing_that_no_task_does():
    said = [tasks.get(name).usual(pretrained=each) for name in TASKS for each in (False, True)]
    of_lamb = {0.4}  # ``Usual.rate``, whatever the task
    assert _numbers("learning_rate") == {usual.learning_rate for usual in said} | of_lamb
    assert _numbers("batch_size") == {usual.batch_size for usual in said}
    assert _numbers("head_epochs") == {usual.head_steps for usual in said if usual.head_steps}
    kept = {number for usual in said for number in (usual.steps, usual.fewest_epochs, usual.most_epochs)}
    assert _numbers("epochs") == kept
