"""What answers come to, against another library and against their own definition."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from hwnas.errors import DataError
from hwnas.statistics.answers import Answers


def drawn(labels, answered, classes):
    return Answers.of(np.array(labels), np.array(answered), classes)


def test_counts_accuracy_and_recalls():
    found = drawn([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 2], 4)
    assert found.counts.tolist() == [[2, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert (found.images, found.right, found.blind) == (6, 4, 0.5)
    assert found.recalls == (2 / 3, 0.5, 1.0, None)
    assert found.balanced == pytest.approx((2 / 3 + 0.5 + 1) / 3)
    assert not found.is_constant
    assert drawn([0, 1], [1, 1], 2).is_constant


def test_balanced_accuracy_is_what_another_library_computes():
    rng = np.random.default_rng(0)
    labels = rng.choice(5, 400, p=[0.6, 0.2, 0.1, 0.05, 0.05])
    answered = np.where(rng.random(400) < 0.7, labels, rng.integers(0, 5, 400))
    found = drawn(labels, answered, 5)
    assert found.balanced == pytest.approx(balanced_accuracy_score(labels, answered))
    assert found.is_uneven
    low, high = found.balanced_interval
    assert low < found.balanced < high


def test_the_interval_of_the_balanced_accuracy_holds_it():
    rng, counts, recalls, held = np.random.default_rng(1), [60, 20, 10], [0.9, 0.5, 0.7], 0
    labels = np.repeat([0, 1, 2], counts)
    for _ in range(400):
        right = rng.random(90) < np.array(recalls)[labels]
        low, high = drawn(labels, np.where(right, labels, (labels + 1) % 3), 3).balanced_interval
        held += low <= np.mean(recalls) <= high
    assert 0.92 <= held / 400 <= 0.99


def test_the_permutation_test_is_wrong_as_often_as_it_says():
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1], [45, 5])
    chances = [drawn(labels, rng.permutation(labels), 2).chance_of_balance for _ in range(60)]
    assert np.mean(np.array(chances) < 0.05) <= 0.1
    assert drawn(labels, labels, 2).chance_of_balance < 0.01


def test_nothing_has_no_accuracy():
    with pytest.raises(DataError, match="classes by classes"):
        drawn([], [], 3)
