import pickle
from dataclasses import replace

import numpy as np
import pytest
from oneshot_helpers import SPACE, constraint, latency_file
from task_helpers import Task, searched

from hwnas import data, files, spaces, train
from hwnas.budget import Budget
from hwnas.errors import SchemaMismatch, SpaceError, TrainingError
from hwnas.evaluators.of_run import scorer_of
from hwnas.evaluators.standalone import FromScratch
from hwnas.finalists.ranking import Ranking
from hwnas.pools import PoolSpec
from hwnas.runs import records
from hwnas.search.request import SearchRequest
from hwnas.search.sampling.random import Random
from hwnas.search.searching import search_run
from hwnas.train import TrainConfig

SMALL = spaces.load(SPACE)
SHORT = FromScratch(SMALL, "digits", config=TrainConfig(epochs=1, batch_size=128), threads=1)


@pytest.mark.slow
def test_worker_processes_score_like_this_one(tmp_path):
    task = Task(SMALL, (constraint(0.2),), SHORT)
    here = searched(Random(queries=2, parallel=2), task, np.random.default_rng(0))
    there = searched(Random(queries=2, parallel=2), task, np.random.default_rng(0), workers=PoolSpec(count=2))
    assert here.trials == there.trials
    kept = replace(SHORT, pool=PoolSpec(count=2), kept=tmp_path)
    assert kept.all([SMALL.architecture(t.indices) for t in here.trials]) == [t.quality for t in here.trials]
    assert len(list(tmp_path.iterdir())) == 2


def test_images_in_memory_are_not_read_again_and_stay_in_their_process(monkeypatch):
    images = data.load("digits", resolution=SMALL.input_shape[1])
    known = replace(SHORT, images=images)
    monkeypatch.setattr(data, "load", lambda *_, **__: pytest.fail("read again"))
    assert known.scored_images == len(images.val)
    sent = pickle.loads(pickle.dumps(known))
    assert sent.images is None
    assert sent == known


def test_the_score_is_the_validation_accuracy_of_a_network_trained_alone():
    import torch

    before = torch.get_num_threads()
    arch = SMALL.architecture([0] * 8)
    network = train.new_network(arch, 0)
    dataset = data.load("digits", resolution=8)
    torch.set_num_threads(SHORT.threads)  # sums come out differently with another number of them
    try:
        train.fit(network, dataset, SHORT.config)
    finally:
        torch.set_num_threads(before)
    assert SHORT(arch) == train.evaluate(network, dataset, "val").value
    assert torch.get_num_threads() == before, "the evaluator leaves the process as it was"


@pytest.mark.slow
def test_a_network_is_trained_once_however_it_is_written(tmp_path):
    """Identities first or last make the same network; its weights are kept with its score."""
    kept = replace(SHORT, kept=tmp_path)
    one, same = (SMALL.architecture([1, 1, 1, *row, 1, 1, 1]) for row in ((0, 1), (1, 0)))
    score = kept(one)
    (path,) = tmp_path.iterdir()
    before = path.stat().st_mtime_ns
    assert kept(same) == score
    network = kept.subnetwork(same.indices)
    assert train.evaluate(network, data.load("digits", resolution=8), "val").value == score
    assert path.stat().st_mtime_ns == before
    with pytest.raises(TrainingError, match="of another training"):
        replace(kept, config=TrainConfig(epochs=2, batch_size=128))(one)


def test_a_network_that_cannot_be_trained_gets_nothing_right():
    wild = replace(SHORT, config=TrainConfig(epochs=1, batch_size=128, learning_rate=1000.0, clip_norm=1e12))
    assert wild(SMALL.architecture([1] * 8)) == 0.0


def request_of(folder, **changes):
    path = folder / "latency.json"
    if not path.exists():
        latency_file(path)
    values = {
        "space": SPACE,
        "latencies": (path,),
        "budgets": (Budget.read("20%"),),
        "strategy": "evolution",
        "settings": {"queries": 3},
        "scratch": SHORT.config,
        "confidence": 0.5,
    }
    return SearchRequest(**(values | changes))


@pytest.mark.slow
def test_a_search_that_was_cut_off_goes_on_without_training_again(tmp_path, few_digits):
    def stop(record):
        if record["query"] == 2:
            raise KeyboardInterrupt

    request, run = request_of(tmp_path, data=str(few_digits)), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        search_run(request, run, live=stop)
    with pytest.raises(SchemaMismatch, match="evaluate"):
        search_run(request_of(tmp_path, data=str(few_digits), scratch=TrainConfig(epochs=2)), run)
    begun = {p.name: p.stat().st_mtime_ns for p in (run / "trained").iterdir()}
    assert len(begun) == 2
    resumed = search_run(request, run)
    whole = search_run(request, tmp_path / "whole")
    assert resumed == whole
    after = {p.name: p.stat().st_mtime_ns for p in (run / "trained").iterdir()}
    assert len(after) == 3
    assert after.items() >= begun.items()
    record = files.read_json(run / "search.json", "record")
    assert record["scratch"]["config"]["epochs"] == 1
    assert record["request"]["scratch"]["batch_size"] == 128
    assert "oneshot" not in record
    assert not (run / "supernet.safetensors").exists()


@pytest.mark.slow
def test_a_promise_goes_by_the_networks_that_were_trained(tmp_path, monkeypatch):
    """Finalists are scored in fp32 and in int8 without being trained again."""
    config = TrainConfig(epochs=1, batch_size=32)
    search_run(
        request_of(tmp_path, budgets=(Budget.read("50%"),), settings={"queries": 1}, scratch=config),
        tmp_path / "r",
    )
    record, dataset = records.search(tmp_path / "r"), data.load("digits", resolution=8)
    scorer = scorer_of(tmp_path / "r", record, SMALL, dataset)
    path = (1,) * 8
    score = scorer(SMALL.architecture(path))
    monkeypatch.setattr(FromScratch, "_train", None)
    ranking = Ranking(scorer, "int8")
    assert ranking.best([path], 1) == [path]
    estimates = ranking.estimates(path)
    assert estimates["fp32"] == score > 0.5, "an epoch on digits must teach something"
    assert estimates["int8"] == ranking.final(path) == pytest.approx(score, abs=0.08)
    assert scorer.merits.images == len(dataset.val.labels)


@pytest.mark.parametrize("strategy", ["fbnet", "proxylessnas", "spos"])
def test_a_strategy_that_trains_a_supernet_is_refused(tmp_path, strategy):
    with pytest.raises(SpaceError, match=f"must be a sampling one, but {strategy} trains a supernet"):
        request_of(tmp_path, strategy=strategy)


def test_what_does_not_go_together_is_refused(tmp_path):
    with pytest.raises(SpaceError, match="give one of them"):
        request_of(tmp_path, supernet=tmp_path / "supernet.safetensors")
    with pytest.raises(SpaceError, match="must learn layer by layer to be taught by a pool"):
        request_of(tmp_path, scratch=None, pool=PoolSpec(count=2))
