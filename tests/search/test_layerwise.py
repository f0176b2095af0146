"""Candidates that learn layer by layer are the same to the bit, whoever teaches which choice."""

from __future__ import annotations

import json
import os
import signal
from contextlib import nullcontext
from dataclasses import replace
from multiprocessing import active_children

import pytest
import test_distilled_decoders as dense
import torch
from oneshot_helpers import CONFIG, SPACE, digits, latency_file, space

from hwnas import files
from hwnas.budget import Budget
from hwnas.errors import HwnasError, SchemaMismatch, SpaceError
from hwnas.evaluators import layerwise
from hwnas.evaluators.blockwise import Blockwise
from hwnas.evaluators.layerwise import Teaching
from hwnas.pools import HERE, PoolSpec
from hwnas.pools.here import ThisProcess
from hwnas.runs.folder import RunFolder
from hwnas.search.request import SearchRequest
from hwnas.search.searching import search_run
from hwnas.train import checkpoint, ranks

LAYERWISE = replace(CONFIG, training="blockwise", teacher_share=0.5, recalibration_images=128, layerwise=True)
STEPS, TWO = 12, PoolSpec(count=2)


class Many(ThisProcess):
    """Does tasks in this process, as many as there are choices."""

    size = 4


class Afar(ThisProcess):
    """Does tasks in this process as if it were on another machine: few, of several choices each."""

    has_files = False


def taught(folder, pool=TWO, *, steps=STEPS, tell=lambda _: None, config=LAYERWISE):
    evaluator = Blockwise(space(), digits(), config)
    if not pool.is_here:
        evaluator.share(Teaching(pool, torch.get_num_threads(), folder / "layers"))
    evaluator.prepare(steps, on_step=tell, checkpoint=folder / "checkpoint")
    return evaluator


def assert_same(one, other):
    assert one.steps == other.steps
    for name, value in one.supernet.state_dict().items():
        assert torch.equal(value, other.supernet.state_dict()[name]), name


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process makes of all choices side by side, and what it told."""
    told = []
    return taught(tmp_path_factory.mktemp("alone"), HERE, tell=told.append), told


@pytest.fixture(params=[Many, Afar])
def in_turn(request, monkeypatch):
    """A pool whose tasks are done in this process, one after the other."""
    monkeypatch.setattr(layerwise, "opened", lambda _: nullcontext(request.param()))


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(layerwise, "opened", lambda _: nullcontext(Many()))


@pytest.mark.slow
def test_worker_processes_teach_as_one_process_does_even_if_one_is_killed(alone, tmp_path):
    told = []

    def tell(record):
        told.append(record)
        if record["phase"] == "layers" and record["step"] == 2:
            os.kill(active_children()[0].pid, signal.SIGKILL)

    assert_same(taught(tmp_path, tell=tell), alone[0])
    layers = [record for record in told if record["phase"] == "layers"]
    assert [(record["step"], record["steps"]) for record in layers] == [(n, 8) for n in (2, 4, 6, 8)]
    assert layers[-1]["loss"] == pytest.approx(alone[1][-1]["loss"])
    assert layers[-1]["eta_s"] == 0
    assert not active_children()


@pytest.mark.slow
def test_choices_learn_the_same_one_after_the_other(alone, tmp_path, in_turn):
    assert_same(taught(tmp_path), alone[0])


def test_decoders_and_what_answers_are_taught_apart_too(tmp_path, here, monkeypatch):
    monkeypatch.setattr(layerwise, "_read", lambda _: dense.shapes.images())
    found = []
    for pool in (HERE, TWO):
        folder = tmp_path / str(pool)
        config = replace(dense.CONFIG, layerwise=True)
        evaluator = Blockwise(dense.space(), dense.shapes.images(), config)
        if pool is TWO:
            evaluator.share(Teaching(pool, torch.get_num_threads(), folder / "layers"))
        evaluator.prepare(6, on_step=lambda _: None, checkpoint=folder / "checkpoint")
        found.append(evaluator)
    assert_same(*found)


def test_nobody_is_fed_what_others_make(alone, tmp_path):
    fed = taught(tmp_path, HERE, config=replace(LAYERWISE, layerwise=False))
    first, last = (f"choices.{n}.candidates.1." for n in (0, 7))
    for begin, is_same in ((first, True), (last, False)):
        names = [name for name in fed.supernet.state_dict() if name.startswith(begin)]
        same = [torch.equal(fed.supernet.state_dict()[n], alone[0].supernet.state_dict()[n]) for n in names]
        assert all(same) == is_same


@pytest.mark.slow
def test_a_distillation_that_was_killed_teaches_only_what_is_missing(alone, tmp_path, here):
    def stop(record):
        if (record["phase"], record["step"]) == ("layers", 5):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        taught(tmp_path, tell=stop)
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "layers").iterdir()}
    assert len(kept) == 6  # and what all begin with
    told = []
    assert_same(taught(tmp_path, tell=told.append), alone[0])
    assert [record["step"] for record in told] == [6, 7, 8]
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "layers").iterdir()}
    assert after.items() >= kept.items()
    told.clear()
    assert_same(taught(tmp_path, tell=told.append), alone[0])
    assert not told, "what the checkpoint holds is not taught again"


@pytest.mark.slow
def test_a_pool_goes_on_from_where_one_process_was_killed_and_back(alone, tmp_path, here, monkeypatch):
    monkeypatch.setattr("hwnas.evaluators.supernet.warm_up.CHECKPOINT_EVERY", 1)

    def stop(record):
        if (record["phase"], record["step"]) in (("distillation", 8), ("layers", 3)):
            raise KeyboardInterrupt

    for pool in (HERE, TWO):
        with pytest.raises(KeyboardInterrupt):
            taught(tmp_path, pool, tell=stop)
    assert_same(taught(tmp_path, HERE), alone[0])
    (tmp_path / "checkpoint").unlink()
    assert_same(taught(tmp_path, TWO), alone[0])


def test_what_another_search_left_is_refused(tmp_path, here):
    def stop(record):
        if record["phase"] == "layers":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        taught(tmp_path, tell=stop)
    with pytest.raises(SchemaMismatch, match=f"has until {STEPS} instead of 14: delete .*layers to start"):
        taught(tmp_path, steps=14)
    with pytest.raises(SchemaMismatch, match="must be of the same config"):
        taught(tmp_path, config=replace(LAYERWISE, seed=1))
    (layer,) = (tmp_path / "layers").glob("[0-9]*")
    tensors, metadata = checkpoint.read_tensors(layer, layerwise.LAYERS)
    checkpoint.save_tensors(layer, tensors, metadata | {"start": "another teacher"})
    with pytest.raises(SchemaMismatch, match="has start another teacher instead of"):
        taught(tmp_path)


def request_of(folder, **changes):
    path = folder / "latency.json"
    if not path.exists():
        latency_file(path)
    values = {
        "space": SPACE,
        "latencies": (path,),
        "budgets": (Budget.read("50%"),),
        "strategy": "exact",
        "settings": {"queries": 4, "random": 1},
        "oneshot": LAYERWISE,
        "training_steps": STEPS,
        "confidence": 0.5,
        "pool": TWO,
    }
    return SearchRequest(**(values | changes))


@pytest.mark.slow
def test_a_search_finds_the_same_with_a_pool_also_where_it_was_killed(tmp_path, here):
    def stop(record):
        if (record["phase"], record["step"]) == ("layers", 4):
            raise KeyboardInterrupt

    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        search_run(request_of(tmp_path), run, live=stop)
    assert len(list(RunFolder(run).layers.iterdir())) == 5
    found = search_run(request_of(tmp_path), run)
    wanted = search_run(request_of(tmp_path, pool=HERE), tmp_path / "alone")
    assert found == wanted
    assert not RunFolder(run).layers.exists()
    record = files.read_json(RunFolder(run).search, "record")
    assert (record["oneshot"]["layerwise"], record["oneshot"]["pool"]) == (True, "processes:2")
    assert record["request"]["oneshot"]["layerwise"] is True
    assert "layers" in record["seconds"]


def test_what_is_taught_apart_is_recorded_and_what_is_not_is_as_before():
    assert LAYERWISE.recorded()["layerwise"] is True
    assert "layerwise" not in replace(LAYERWISE, layerwise=False).recorded()
    assert "layerwise" not in replace(LAYERWISE, training="paths").recorded()
    assert json.dumps(LAYERWISE.recorded())


def test_a_pool_is_refused_where_layers_depend_on_each_other(tmp_path, monkeypatch):
    fed = replace(LAYERWISE, layerwise=False)
    with pytest.raises(
        SpaceError, match="must learn layer by layer to be taught by a pool, but got processes:2"
    ):
        request_of(tmp_path, oneshot=fed)
    with pytest.raises(SpaceError, match="must learn layer by layer to be taught by a pool"):
        taught(tmp_path, config=fed)
    paths = replace(CONFIG, training="paths")
    with pytest.raises(SpaceError, match="a pool must be processes:1 where networks share weights"):
        request_of(tmp_path, oneshot=paths, strategy="evolution")
    monkeypatch.setattr(ranks, "ranks", lambda: 2)
    with pytest.raises(
        HwnasError, match="teaching by a pool must be started once, but torchrun started it 2"
    ):
        search_run(request_of(tmp_path), tmp_path / "run")
