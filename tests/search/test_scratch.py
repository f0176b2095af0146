import numpy as np
import pytest
from oneshot_helpers import constraint

from hwnas import spaces
from hwnas.search.base import SearchTask
from hwnas.search.random import Random
from hwnas.search.scratch import FromScratch, workers
from hwnas.train import TrainConfig

SHORT = FromScratch("digits", 8, config=TrainConfig(epochs=1, batch_size=128), threads=1)


@pytest.mark.slow
def test_worker_processes_score_like_this_one():
    task = SearchTask(spaces.load("macro", resolution=8), (constraint(0.2),), SHORT)
    here = Random(queries=2, parallel=2).search(task, np.random.default_rng(0))
    with workers(2) as mapper:
        there = Random(queries=2, parallel=2, mapper=mapper).search(task, np.random.default_rng(0))
    assert here.trials == there.trials


def test_the_score_is_the_validation_accuracy_of_a_network_trained_alone():
    import torch

    from hwnas import data, train

    before = torch.get_num_threads()
    arch = spaces.load("macro", resolution=8).architecture([0] * 8)
    network = train.new_network(arch, 0)
    dataset = data.load("digits", resolution=8)
    torch.set_num_threads(SHORT.threads)  # sums come out differently with another number of them
    try:
        train.fit(network, dataset, SHORT.config)
    finally:
        torch.set_num_threads(before)
    assert SHORT(arch) == train.evaluate(network, dataset, "val").accuracy
    assert torch.get_num_threads() == before, "the evaluator leaves the process as it was"
