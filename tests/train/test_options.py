"""Every option of a training does what it says, and none of them breaks resuming or seeds."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch.nn import functional
from training_helpers import StopAfter, same, small_network, state, write_noise

from hwnas import data, device, files, spaces, train
from hwnas.errors import Diverged, HwnasError, TrainingError
from hwnas.tasks.base import LossSettings
from hwnas.tasks.classification import CrossEntropy
from hwnas.tasks.mix import mix
from hwnas.train.average import averaged
from hwnas.train.divergence import Watch
from hwnas.train.teacher import Teacher, load_teacher
from hwnas.train.training import train_run

SHORT = train.TrainConfig(epochs=1, batch_size=64)
CHANGES = [
    {"ema": 0.9},
    {"mixup": 0.4},
    {"cutmix": 1.0},
    {"mixup": 0.4, "cutmix": 1.0},
    {"erasing": 0.5},
    {"crop": 0.25},
    {"flip": True},
    {"augment": False},
    {"label_smoothing": 0.0},
    {"weight_decay": 0.01},
    {"optimizer": "lars"},
    {"optimizer": "lamb"},
    {"precision": "bf16"},
]


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", resolution=8)


@pytest.fixture(scope="module")
def few(digits):
    """Enough where it does not matter how much is learnt."""
    return dataclasses.replace(digits, train=digits.sample("train", 256))


@pytest.fixture(scope="module")
def usual(few):
    """The weights after an epoch without any option."""
    return trained(few)


def trained(images, **changes):
    model = small_network()
    train.fit(model, images, dataclasses.replace(SHORT, **changes))
    return state(model)


@pytest.mark.parametrize("changes", CHANGES, ids=lambda c: "+".join(c))
def test_every_option_has_an_effect_that_follows_from_the_seed(few, usual, changes):
    found = trained(few, **changes)
    assert not same(found, usual)
    assert same(found, trained(few, **changes))


def test_options_that_ask_for_nothing_change_nothing(few, usual):
    assert same(usual, trained(few, flip=False)), "digits are not mirrored anyway"
    assert same(trained(few, augment=False), trained(few, crop=0.0))
    assert same(trained(few, augment=False), trained(few, augment=False, erasing=1.0))


@pytest.mark.parametrize(("is_taught", "optimizer"), [(False, "sgd"), (True, "lars"), (False, "lamb")])
def test_resuming_is_exact_with_every_option(few, tmp_path, is_taught, optimizer):
    config = train.TrainConfig(
        epochs=3, batch_size=64, ema=0.99, mixup=0.3, cutmix=1.0, erasing=0.3, optimizer=optimizer,
        distill_weight=0.5 if is_taught else 0.0,
    )  # fmt: skip
    teacher = Teacher(small_network(seed=5), {"name": "five"}) if is_taught else None
    whole, resumed, path = small_network(), small_network(seed=9), tmp_path / "checkpoint.safetensors"
    expected = train.fit(whole, few, config, teacher=teacher)
    with pytest.raises(KeyboardInterrupt):
        train.fit(small_network(), few, config, teacher=teacher, checkpoint=path, on_epoch=StopAfter(1))
    result = train.fit(resumed, few, config, teacher=teacher, checkpoint=path)
    assert same(state(whole), state(resumed))
    for one, two in zip(expected.history, result.history, strict=True):
        assert dataclasses.replace(one, seconds=0) == dataclasses.replace(two, seconds=0)
    again = small_network(seed=3)
    train.fit(again, few, config, teacher=teacher, checkpoint=path)
    assert same(state(whole), state(again)), "a finished training ends with the average as well"


def test_a_checkpoint_of_another_teacher_or_start_is_refused(few, tmp_path):
    config, path = dataclasses.replace(SHORT, distill_weight=0.5), tmp_path / "c.safetensors"
    one, two = (Teacher(small_network(seed=5), {"weights_sha256": name}) for name in ("a", "b"))
    train.fit(small_network(), few, config, teacher=one, checkpoint=path)
    for others in ({"teacher": two}, {"teacher": one, "origin": {"start": {"from": "supernet"}}}):
        with pytest.raises(TrainingError, match="differs in its origin"):
            train.fit(small_network(), few, config, checkpoint=path, **others)


def test_the_average_is_the_published_formula_and_takes_statistics_along():
    model = torch.nn.BatchNorm2d(1)
    mean = averaged(model, 0.5)
    expected = None
    for step, value in enumerate((1.0, 4.0, -2.0, 8.0, 3.0, 5.0)):
        with torch.no_grad():
            model.weight.fill_(value)
            model.running_mean.fill_(10 * value)
            model.num_batches_tracked.fill_(step)
        mean.update_parameters(model)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = value if expected is None else decay * expected + (1 - decay) * value
        assert float(mean.module.weight.detach()) == pytest.approx(expected, rel=1e-6)
        assert float(mean.module.running_mean) == pytest.approx(10 * expected, rel=1e-6)
        assert int(mean.module.num_batches_tracked) == step
    assert decay == pytest.approx(6 / 15), "the highest decay is reached later"


def test_what_is_evaluated_and_kept_is_the_average(digits):
    """Averaging only looks on: the training itself is the same, the weights that stay are not."""
    plain, smooth = small_network(), small_network()
    config = dataclasses.replace(SHORT, epochs=3)
    expected = train.fit(plain, digits, config)
    result = train.fit(smooth, digits, dataclasses.replace(config, ema=0.99))
    assert [r.loss for r in result.history] == [r.loss for r in expected.history]
    assert [r.val_loss for r in result.history] != [r.val_loss for r in expected.history]
    assert result.val == train.evaluate(smooth, digits)
    assert result.val.value > 0.5


def test_mixup_is_a_weighted_mean_of_images_and_labels():
    rng = np.random.default_rng(0)
    images, labels = torch.rand(32, 3, 8, 8), torch.arange(32)
    mixed, targets = mix(images, labels, rng, classes=32, mixup=1.0)
    assert torch.allclose(targets.sum(1), torch.ones(32))
    assert ((targets > 0).sum(1) <= 2).all()
    assert torch.allclose(mixed, torch.einsum("nk,kchw->nchw", targets, images), atol=1e-6)
    assert not torch.equal(mixed, images)


def test_cutmix_pastes_as_much_as_the_labels_say():
    images = torch.arange(1.0, 33.0).view(32, 1, 1, 1).expand(32, 3, 12, 8).clone()
    areas = []
    for seed in range(20):
        mixed, targets = mix(images, torch.arange(32), np.random.default_rng(seed), classes=32, cutmix=1.0)
        for row in (0, 7):
            for label in targets[row].nonzero().flatten().tolist():
                share = (mixed[row] == label + 1).float().mean()
                assert float(share) == pytest.approx(float(targets[row, label]), abs=1e-6)
        areas.append(float((mixed[0] != 1).float().mean()))
    assert len(set(areas)) > 8, "areas vary"
    assert torch.equal(images[:, 0, 0, 0], torch.arange(1.0, 33.0)), "the originals stay"


def test_distillation_is_the_divergence_of_softened_answers():
    rng = np.random.default_rng(0)
    student, teacher = (rng.normal(0, 3, (6, 5)) for _ in range(2))

    def softened(logits):
        powers = np.exp(logits / 4)
        return powers / powers.sum(1, keepdims=True)

    p, q = softened(teacher), softened(student)
    expected = 16 * (p * np.log(p / q)).sum(1).mean()
    distance = CrossEntropy(LossSettings(temperature=4.0), 5).distance
    found = distance(torch.tensor(student), torch.tensor(teacher))
    assert float(found) == pytest.approx(expected)
    assert float(distance(torch.tensor(student), torch.tensor(student))) == pytest.approx(0, abs=1e-9)


@pytest.mark.slow
def test_a_student_comes_to_answer_like_its_teacher(digits):
    """Measured where labels say nothing of it: the teacher thinks every digit is one up."""
    shifted = dataclasses.replace(
        digits, train=data.Split(digits.train.images, (digits.train.labels + 1) % 10)
    )
    config = dataclasses.replace(SHORT, epochs=4)
    wrong = small_network(seed=5)
    train.fit(wrong, shifted, config)
    student = small_network()
    taught = dataclasses.replace(config, distill_weight=1.0)
    train.fit(student, digits, taught, teacher=Teacher(wrong))
    images = torch.from_numpy(digits.normalize(digits.val.images))
    with torch.no_grad():
        answers = [net.eval()(images).argmax(1).numpy() for net in (student, wrong)]
    assert (answers[0] == answers[1]).mean() > 0.6
    assert (answers[0] == digits.val.labels).mean() < 0.2


def test_a_teacher_is_left_as_it_was(few):
    teacher = small_network(seed=5)
    before = state(teacher)
    train.fit(small_network(), few, dataclasses.replace(SHORT, distill_weight=0.5), teacher=Teacher(teacher))
    assert same(before, state(teacher))


@pytest.mark.parametrize(("weight", "teacher"), [(0.0, Teacher(torch.nn.Identity())), (0.5, None)])
def test_a_teacher_and_its_weight_go_together(digits, weight, teacher):
    config = dataclasses.replace(SHORT, distill_weight=weight)
    with pytest.raises(TrainingError, match="together with a distill_weight"):
        train.fit(small_network(), digits, config, teacher=teacher)


def write_run(run, digits, classes=10):
    arch = spaces.load("macro", resolution=8, num_classes=classes).architecture([0] * 8)
    files.write_json(run / "arch.json", arch.to_json())
    promise = {
        "name": "host",
        "target": device.load("host").target("litert", "int8").to_json(),
        "budget_ms": 1.0,
    }
    record = {"strategy": "by hand", "seed": 0, "data": digits.describe(), "constraints": [promise]}
    files.write_json(run / "search.json", record)
    return arch


def test_a_run_learns_from_another_and_says_so(digits, tmp_path):
    write_run(tmp_path / "teacher", digits)
    write_run(tmp_path / "student", digits)
    train_run(tmp_path / "teacher", SHORT)
    config = dataclasses.replace(SHORT, distill_weight=0.7, ema=0.9)
    record = train_run(tmp_path / "student", config, teacher=tmp_path / "teacher").to_json()
    assert record == files.read_json(tmp_path / "student" / "train.json", "record")
    assert record["teacher"]["weights_sha256"] == files.sha256(tmp_path / "teacher" / "weights.safetensors")
    assert record["config"]["distill_weight"] == 0.7
    assert record["config"]["ema"] == 0.9
    assert record["start"] == {"from": "seed"}


def test_unfit_teachers_are_refused(digits, tmp_path):
    run = tmp_path / "teacher"
    arch = write_run(run, digits)
    with pytest.raises(HwnasError, match=r"folder of a trained run, but .* has no trained network"):
        load_teacher(run, digits)
    network = train.new_network(arch, 0)
    train.save_weights(network, run / "weights.safetensors", {"data": digits.fingerprint})
    assert same(state(load_teacher(run, digits).network), state(network))
    with pytest.raises(TrainingError, match="learnt on the same images"):
        load_teacher(run, data.load("digits", resolution=8, seed=1))
    write_run(run, digits, classes=7)
    with pytest.raises(TrainingError, match="know the student's classes"):
        load_teacher(run, digits)


def test_a_loss_that_explodes_stops_the_training(digits):
    config = dataclasses.replace(SHORT, epochs=6, learning_rate=30.0, clip_norm=1e9)
    with pytest.raises(TrainingError, match=r"answering blindly, 2\.30, but its mean over 50"):
        train.fit(small_network(), digits, config)


def test_one_bad_batch_is_no_divergence():
    watch = Watch(math.log(10), math.log(10) + 5)

    def see(losses):
        for loss in losses:
            watch.see(torch.tensor(loss), "")

    see(100.0 if step % 50 == 7 else 2.0 for step in range(500))
    with pytest.raises(Diverged, match="lower the learning rate"):
        see([8.0] * 50)
    with pytest.raises(Diverged, match="finite"):
        watch.see(torch.tensor(math.inf), "")


def test_weights_that_break_in_the_last_step_are_found_on_validation(digits, monkeypatch):
    def spoil(self, closure=None):
        with torch.no_grad():
            self.param_groups[0]["params"][0].fill_(math.nan)

    monkeypatch.setattr(torch.optim.SGD, "step", spoil)
    config = dataclasses.replace(SHORT, batch_size=len(digits.train.labels))
    with pytest.raises(TrainingError, match="on validation after epoch 1"):
        train.fit(small_network(), digits, config)


def test_a_network_that_learns_nothing_is_marked(tmp_path):
    noise = write_noise(tmp_path / "noise.npz")
    write_run(tmp_path / "noise", data.load(noise, resolution=8))
    assert train_run(tmp_path / "noise", SHORT).learnt is not True


def test_cross_entropy_of_whole_images_is_that_of_mixtures_with_themselves():
    logits, labels = torch.randn(8, 10), torch.arange(8)
    whole = functional.cross_entropy(logits, labels, label_smoothing=0.1)
    soft = functional.cross_entropy(logits, functional.one_hot(labels, 10).float(), label_smoothing=0.1)
    assert float(whole) == pytest.approx(float(soft), rel=1e-6)
