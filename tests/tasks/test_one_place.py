"""That an answer is right where its likeliest class is the label stands in one file."""

from __future__ import annotations

from pathlib import Path

import class_lint
import pytest

import hwnas

PACKAGE = Path(hwnas.__file__).parent
ALLOWED = {
    "tasks/classification.py",
    "statistics/answers.py",  # counts of classes by classes, whoever made them
    "statistics/verdict.py",  # and whether they show that something was learned
}
READING = "data"
"""The room that reads classes from names of folders and columns."""


@pytest.mark.slow
def test_only_classification_takes_labels_for_classes():
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if lines := class_lint.classes(path.read_text("utf-8")):
            found[name] = lines
    odd = {name: lines for name, lines in found.items() if name.partition("/")[0] != READING}
    assert set(odd) == ALLOWED, odd


@pytest.mark.parametrize(
    "text",
    [
        "right = logits.argmax(axis=1) == split.labels",
        "right = np.equal(answered, dataset.test.labels)",
        "right = look() == self._dataset.test.labels",
        "right = (outputs.argmax(1) == targets).sum()",
        "wrong = labels != found",
        "right = predicted.eq(labels)",
        "right = torch.eq(outputs.argmax(1), truth)",
        "right = found == split.labels[rows]",
        "right = found == targets.cpu().numpy()",
        "from hwnas.statistics.answers import Answers",
    ],
)
def test_the_lint_sees_it(text):
    assert class_lint.classes(f"import numpy\n{text}") == [2]


@pytest.mark.parametrize(
    "text",
    [
        "best = costs.argmax(axis=1)",
        "names == data.class_names",
        "task.predictions([(outputs, targets)])",
        "fits = answer == (len(labels),)",
    ],
)
def test_the_lint_lets_others_pass(text):
    assert class_lint.classes(text) == []
