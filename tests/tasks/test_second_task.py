"""A task of the tests' own goes through training and search without a change anywhere else."""

from __future__ import annotations

import dataclasses
import json

import brightness
import numpy as np
import pytest
import torch
from torch import nn

from hwnas import blocks, data, device, files, spaces, tasks, testing, train
from hwnas.errors import DataError, SpaceError
from hwnas.evaluators.blockwise import Blockwise
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.evaluators.supernet.oneshot import OneShot
from hwnas.evaluators.supernet.warm_up import warm_up
from hwnas.train.training import train_run

SHORT = train.TrainConfig(epochs=6, batch_size=32, learning_rate=0.02, augment=False)


@pytest.fixture(autouse=True)
def _known(monkeypatch):
    monkeypatch.setitem(tasks.TASKS, "brightness", "brightness:Brightness")


@pytest.fixture(scope="module")
def squares():
    return brightness.images()


def network(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return blocks.build([blocks.Conv(3, 8), blocks.Head(8, 16, 1)])


def test_contract(squares):
    testing.check_task(squares)


def test_a_lower_metric_is_better_where_the_task_says_so(squares):
    model = network()
    before = train.evaluate(model, squares)
    result = train.fit(model, squares, SHORT)
    assert result.val.value < before.value / 2
    assert result.val.value <= min(record.val_value for record in result.history)
    assert train.evaluate(model, squares) == result.val
    assert result.val.balanced is None
    first = result.history[0].to_json()
    assert first["val_mean_squared_error"] == result.history[0].val_value
    assert "val_accuracy" not in first
    again = train.EpochRecord.from_json(json.loads(json.dumps(first)), brightness.Brightness.metric)
    assert again == result.history[0]
    assert 0 < train.predictions(model, squares, "test").interval[0] < result.val.value * 3


def test_the_worst_epoch_does_not_stay(squares):
    """By a rule that takes a higher value for better, the first and worst epoch would stay."""

    class Drifting(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))
            self.register_buffer("steps", torch.zeros(()))

        def forward(self, images):
            if self.training:
                self.steps += 1
            level = images.mean((1, 2, 3))[:, None]
            return level * torch.clamp(self.steps / 24, max=1.0) * 51 / 50 + 0 * self.weight

    result = train.fit(Drifting(), squares, dataclasses.replace(SHORT, epochs=3))
    values = [record.val_value for record in result.history]
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1]
    assert result.kept.epoch == 3


def test_a_run_records_the_metric_by_its_name(squares, tmp_path):
    arch = spaces.load("macro", resolution=8, num_classes=1).architecture((0,) * 8)
    target = device.load("host").target("litert", "int8")
    promise = {"name": str(target), "target": target.to_json(), "budget_ms": 9.0, "predicted_ms": 0.5}
    search = {"strategy": "by hand", "seed": 0, "data": squares.describe(), "constraints": [promise]}
    files.write_json(tmp_path / "arch.json", arch.to_json())
    files.write_json(tmp_path / "search.json", search)
    record = train_run(tmp_path, dataclasses.replace(SHORT, epochs=2), dataset=squares).to_json()
    assert record["test_mean_squared_error"] == record["test"]["mean_squared_error"]
    assert not [key for key in record if "accuracy" in key]
    assert record["metric"] == {"name": "mean squared error", "is_higher_better": False, "is_share": False}
    assert tasks.of_record(record["data"]).metric == brightness.Brightness.metric
    assert not (tmp_path / "mistakes.json").exists()


def test_a_supernet_is_trained_and_scored_by_the_task(squares):
    space = spaces.load("macro", resolution=8, num_classes=1)
    oneshot = OneShot(space, squares, OneShotConfig(width=0.25, batch_size=32, learning_rate=0.02))
    arch = space.sample(np.random.default_rng(0))
    warm_up(oneshot, 4)
    score = oneshot.score(arch.indices)
    assert score.loss == pytest.approx(score.value, rel=1e-5)
    assert oneshot(arch) == pytest.approx(1 / (1 + score.value))
    assert oneshot.merits.images == len(squares.val)
    with pytest.raises(SpaceError, match="as many classes as the data"):
        OneShot(spaces.load("macro", resolution=8, num_classes=10), squares, OneShotConfig())


def test_a_replaced_block_is_scored_by_the_loss_of_the_task(squares):
    space = spaces.load("macro", resolution=8, num_classes=1)
    config = OneShotConfig(width=0.25, batch_size=32, training="blockwise", block_score="loss")
    evaluator = Blockwise(space, squares, config)
    found = evaluator.block_errors()
    anchor = evaluator.paths.anchor
    changed = (0, *anchor[1:])
    evaluator.supernet.eval()
    images, levels = map(torch.cat, zip(*evaluator.some("val", 512), strict=True))
    with torch.no_grad():
        made, taught = (evaluator.supernet(images, gates)[:, 0] for gates in (changed, anchor))
    change = (made - taught).pow(2).mean() + (made - levels).pow(2).mean() - (taught - levels).pow(2).mean()
    assert found[0][0] == pytest.approx(np.log1p(max(0.0, float(change) / 2)), rel=1e-3, abs=1e-6)
    assert all(part[best] == 0 for part, best in zip(found, anchor, strict=True))


def test_targets_that_are_no_classes_are_one_stratum_and_part_of_the_fingerprint(squares):
    assert squares.train.strata.tolist() == [0] * len(squares.train)
    sample = squares.sample("train", 16)
    assert sample.labels.dtype == np.float32
    assert len(set(sample.labels.tolist())) == 16
    other = data.Split(squares.val.images, squares.val.labels.astype(np.float64))
    assert dataclasses.replace(squares, val=other).fingerprint != squares.fingerprint


def test_what_names_no_task_is_of_classification():
    digits = data.load("digits", resolution=8)
    assert tasks.of(digits).name == "classification"
    assert tasks.of_record({"source": "digits"}).name == "classification"
    assert digits.fingerprint == dataclasses.replace(digits, task="classification").fingerprint
    with pytest.raises(DataError, match=r"a task must be one of .*'classification'.*but got 'dreams'"):
        tasks.get("dreams")
