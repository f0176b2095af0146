"""Auxiliary heads: they help what the decoder reads in training, and are nowhere else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn
from training_helpers import StopAfter, same, small_network, state

from hwnas import blocks, data, known, tasks, train
from hwnas.blocks.wired import Wired
from hwnas.errors import TrainingError
from hwnas.tasks.base import LossSettings
from hwnas.tasks.pixelwise import PixelLoss
from hwnas.train import qat
from hwnas.train.auxiliary import heads_for
from hwnas.train.loss import TrainingLoss
from hwnas.train.teacher import Teacher

CLASSES, SIDE = 3, 16
SHORT = train.TrainConfig(epochs=2, batch_size=8, augment=False, auxiliary=0.4)


def scenes(side=SIDE, count=24):
    """Images of noise, of which each quarter is as bright as its class says."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, (count, 2, 2)).repeat(side // 2, 1).repeat(side // 2, 2)
    images = 60 + 60 * labels[:, None] + rng.integers(-20, 20, (count, 3, side, side))
    split = data.Split(images.astype(np.uint8), labels.astype(np.uint8))
    return data.Dataset(
        "scenes", ("a", "b", "c"), split, split, split, mean=(0.5,) * 3, std=(0.2,) * 3, flip=True, seed=0,
        val_share=0.2, test_share=0.2, task="segmentation",
    )  # fmt: skip


@pytest.fixture(scope="module")
def pictures():
    return scenes()


def network(seed=0):
    """Two sizes of features, and LR-ASPP that reads both."""
    body = [blocks.Conv(3, 8, stride=2), blocks.Conv(8, 12, stride=2), blocks.Conv(12, 16, stride=2)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return blocks.build([*body, blocks.LRASPP((12, 16), 8, CLASSES, 2)], ((-1,), (0,), (1,), (1, 2)))


FRESH = tuple(name for name, _ in network().named_parameters() if name.startswith("3."))


def trained(pictures, config, model=None, **options):
    model = model or network()
    return model, train.fit(model, pictures, config, **options)


def test_features_that_the_decoder_reads_are_given_beside_the_answer():
    model, images = network().eval(), torch.randn(2, 3, SIDE, SIDE)
    answer, read = model.ending(images)
    assert torch.equal(answer, model(images))
    assert torch.equal(answer, model[3](*read))
    assert [tuple(each.shape[1:]) for each in read] == [(12, 4, 4), (16, 2, 2)]


@pytest.mark.parametrize(
    ("decoder", "strides"), [("fpnsum16", (4, 8, 16, 32)), ("lraspp16", (8, 32)), ("pooled16", (32,))]
)
def test_every_decoder_of_pixels_has_heads_on_what_it_reads(decoder, strides):
    arch = known.load(f"mobilenetv3-small+{decoder}", resolution=64, num_classes=CLASSES)
    model = train.new_network(arch, 0).train()
    before = state(model)
    heads = heads_for(model, scenes(64, count=2), SHORT)
    assert same(before, state(model)), "statistics are as they were"
    assert model.training
    shapes = [tuple(each.shape[1:]) for each in model.ending(torch.zeros(2, 3, 64, 64))[1]]
    assert [side for _, side, _ in shapes] == [64 // stride for stride in strides]
    assert [tuple(head.weight.shape) for head in heads] == [(CLASSES, c, 1, 1) for c, _, _ in shapes]


def test_the_loss_is_the_networks_own_and_the_mean_of_the_heads(pictures):
    criterion, model = PixelLoss(LossSettings()), network().eval()
    heads = tuple(heads_for(model, pictures, SHORT))
    images = torch.randn(4, 3, SIDE, SIDE)
    targets = torch.from_numpy(pictures.train.labels[:4])
    found = TrainingLoss(criterion, heads=heads, auxiliary=0.3)(
        model, images, targets, np.random.default_rng()
    )
    answer, read = model.ending(images)
    own = criterion.loss(answer, targets)
    each = [criterion.loss(head(features), targets) for head, features in zip(heads, read, strict=True)]
    torch.testing.assert_close(found.loss, own + 0.3 * (each[0] + each[1]) / 2)
    torch.testing.assert_close(found.task_loss, own.detach())


def test_heads_change_what_is_learnt_and_nothing_of_the_network_is_theirs(pictures):
    model, result = trained(pictures, SHORT)
    plain, without = trained(pictures, dataclasses.replace(SHORT, auxiliary=0.0))
    assert state(model).keys() == state(plain).keys() == state(network()).keys()
    assert not same(state(model), state(plain))
    assert same(state(model), state(trained(pictures, SHORT)[0])), "they follow from the seed"
    assert result.history[0].loss > without.history[0].loss + 0.2, "what is minimised is recorded"
    assert result.config.auxiliary == 0.4
    assert result.val == train.evaluate(model, pictures), "what is judged is what ships"


def test_global_random_state_is_neither_used_nor_changed(pictures):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    model, _ = trained(pictures, SHORT)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(6)
    assert same(state(model), state(trained(pictures, SHORT)[0]))


@pytest.mark.parametrize("is_taught", [False, True])
def test_a_training_that_was_cut_off_goes_on_as_if_it_had_not_been(pictures, tmp_path, is_taught):
    config = dataclasses.replace(
        SHORT, epochs=4, ema=0.9, head_epochs=2, layer_decay=0.8, freeze_share=0.3,
        distill_weight=0.5 if is_taught else 0.0,
    )  # fmt: skip
    teacher = Teacher(network(seed=5)) if is_taught else None
    given = {"teacher": teacher, "fresh": FRESH}
    whole, expected = trained(pictures, config, **given)
    for stopped in (1, 3):
        path = tmp_path / f"{stopped}"
        with pytest.raises(KeyboardInterrupt):
            trained(pictures, config, checkpoint=path, on_epoch=StopAfter(stopped), **given)
        resumed, result = trained(pictures, config, network(seed=9), checkpoint=path, **given)
        assert same(state(whole), state(resumed))
        assert [record.loss for record in result.history] == [record.loss for record in expected.history]
    with pytest.raises(TrainingError, match="differs in its config"):
        trained(pictures, dataclasses.replace(config, auxiliary=0.1), checkpoint=path, **given)


def test_heads_are_in_the_checkpoint_and_not_in_the_weights(pictures, tmp_path):
    model, _ = trained(pictures, SHORT, checkpoint=tmp_path / "checkpoint")
    train.save_weights(model, tmp_path / "weights")
    names = {}
    for name in ("checkpoint", "weights"):
        with safe_open(tmp_path / name, framework="pt") as file:
            names[name] = set(file.keys())
    assert {"auxiliary:0.weight", "optimizer:auxiliary.1.bias/momentum_buffer"} < names["checkpoint"]
    assert names["weights"] == set(state(model))


def test_heads_learn_while_only_what_is_fresh_learns(pictures, tmp_path):
    before, path = network(), tmp_path / "checkpoint"
    heads = heads_for(before, pictures, SHORT)
    config = dataclasses.replace(SHORT, head_epochs=1)
    with pytest.raises(KeyboardInterrupt):
        trained(pictures, config, fresh=FRESH, checkpoint=path, on_epoch=StopAfter(1))
    with safe_open(path, framework="pt") as file:
        assert not torch.equal(file.get_tensor("auxiliary:0.weight"), heads[0].weight)
        assert not torch.equal(file.get_tensor(f"model:{FRESH[0]}"), before.state_dict()[FRESH[0]])
        assert torch.equal(file.get_tensor("model:0.0.weight"), before.state_dict()["0.0.weight"])


def test_fine_tuning_for_int8_has_none():
    assert qat.recipe(SHORT, 2).auxiliary == 0.0


@pytest.mark.parametrize("name", ["classification", "detection"])
def test_tasks_whose_features_cannot_answer_refuse_them(name, pictures):
    assert not tasks.get(name).takes_auxiliary
    with pytest.raises(TrainingError, match=f"auxiliary must be 0 for {name}.*but got 0.4: leave it out"):
        trained(dataclasses.replace(pictures, task=name), SHORT)


def test_a_network_without_a_decoder_is_refused(pictures):
    assert not isinstance(small_network(), Wired)
    with pytest.raises(TrainingError, match=r"no decoder of several features, but got 0\.4"):
        trained(pictures, SHORT, nn.Sequential(*list(network())[:2]))


@pytest.mark.parametrize("weight", [-0.1, 1.5])
def test_weights_of_no_sense_are_refused(weight):
    with pytest.raises(TrainingError, match=r"auxiliary must be in \[0, 1\]"):
        train.TrainConfig(auxiliary=weight)
