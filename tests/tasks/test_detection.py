"""Detection: against plain references, and from a training to what is said of it."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys

import numpy as np
import pytest
import rectangles
import torch
from drawn import trained_on
from fake_runtimes import FAKES
from PIL import Image

from hwnas import runtimes, spaces, tasks, testing, train
from hwnas.data.contents import CLASS, CROWD, NO_OBJECT
from hwnas.errors import SpaceError
from hwnas.evaluators.blockwise import Blockwise
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.export import lower
from hwnas.finalists import tuning
from hwnas.finalists.ranking import Ranking
from hwnas.release import preprocessing, shipping
from hwnas.statistics.verdict import FAIL, PASS
from hwnas.tasks import assigning, finding, findings, levels, matching, objectloss, suppression
from hwnas.tasks.base import Estimate, LossSettings
from hwnas.tasks.colours import palette
from hwnas.tasks.objectloss import ObjectLoss

TASK = tasks.get("detection")
SHORT = train.TrainConfig(epochs=8, batch_size=16, learning_rate=0.05, augment=False)


@pytest.fixture(scope="module")
def pictures():
    return rectangles.images()


@pytest.fixture(scope="module")
def trained(pictures):
    """A network after some seconds, and what it says of the test images."""
    return trained_on(pictures, rectangles.network, SHORT)


def answers(images=4, bins=1, seed=0, spread=1.0):
    """Random ones on two levels of pictures of 64 pixels, with two classes."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for side in (8, 4):
        found.append(torch.randn((images, 2, side, side), generator=generator) * spread - 1)
        found.append(torch.randn((images, 4 * bins, side, side), generator=generator) * spread + 1)
    return tuple(found)


def objects(*rows):
    """Labels of one image."""
    return torch.tensor([rows], dtype=torch.float32)


@pytest.mark.parametrize("bins", [1, 8])
def test_contract(pictures, bins):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        testing.check_task(pictures, rectangles.network(bins))


@pytest.mark.parametrize("bins", [1, 6])
def test_boxes_are_so_far_from_their_places(bins):
    outputs = answers(2, bins)
    found = levels.places(outputs)
    row = 0
    for stride, scores, sides in ((8, *outputs[:2]), (16, *outputs[2:])):
        for y in range(scores.shape[2]):
            for x in range(scores.shape[3]):
                said = sides[1, :, y, x].double().view(4, bins)
                far = (
                    (1 + said[:, 0].exp()).log() if bins == 1 else said.softmax(1) @ torch.arange(6).double()
                )
                middle = torch.tensor([(x + 0.5) * stride, (y + 0.5) * stride])
                wanted = torch.cat([middle - stride * far[:2], middle + stride * far[2:]])
                torch.testing.assert_close(found.boxes[1, row].double(), wanted, rtol=1e-5, atol=1e-4)
                torch.testing.assert_close(found.scores[1, row], scores[1, :, y, x])
                row += 1
    assert row == found.scores.shape[1]


def plain_iou(one, other):
    wide, high = (max(0.0, float(min(one[n + 2], other[n + 2]) - max(one[n], other[n]))) for n in (0, 1))
    areas = [float((box[2] - box[0]) * (box[3] - box[1])) for box in (one, other)]
    return wide * high / (sum(areas) - wide * high)


def test_giou_is_that_of_the_paper():
    rng = np.random.default_rng(0)
    boxes = torch.from_numpy(rng.uniform(0, 50, (2, 60, 4)))
    boxes[..., 2:] += boxes[..., :2]
    found = objectloss.giou(*boxes)
    for one, other, value in zip(*boxes, found, strict=True):
        hull = float(
            (max(one[2], other[2]) - min(one[0], other[0])) * (max(one[3], other[3]) - min(one[1], other[1]))
        )
        areas = [float((box[2] - box[0]) * (box[3] - box[1])) for box in (one, other)]
        iou = plain_iou(one, other)
        either = sum(areas) / (1 + iou)
        assert float(value) == pytest.approx(iou - (hull - either) / hull, abs=1e-9)
    assert float(found.min()) < 0 < float(found.max())
    whole = assigning.pairwise_iou(boxes[:1], boxes[1:])[0]
    assert whole[3, 7] == pytest.approx(plain_iou(boxes[0, 3], boxes[1, 7]))


def test_quality_focal_loss_is_that_of_the_paper():
    logits, wanted = torch.randn(50).double(), torch.rand(50).double()
    chance = logits.sigmoid()
    plain = -((1 - wanted) * (1 - chance).log() + wanted * chance.log()) * (wanted - chance).abs() ** 2
    torch.testing.assert_close(objectloss.quality_focal(logits, wanted), plain)


def assigned_plainly(found, targets):
    """Which object each place learns, and its score: one object and one place after the other."""
    fitness, overlap = {}, {}
    for number, row in enumerate(targets):
        if row[CLASS] == NO_OBJECT or row[CROWD]:
            continue
        worth = []
        for place, (centre, stride, box) in enumerate(
            zip(found.centres, found.strides, found.boxes[0], strict=True)
        ):
            half = (row[2:4] - row[:2]) / 2
            if bool(((centre - row[:2] - half).abs() <= half.maximum(stride / 2)).all()):
                iou = plain_iou(row, box)
                chance = float(found.scores[0, place, int(row[CLASS])].sigmoid())
                worth.append((chance * iou**6, place, iou))
        for value, place, iou in sorted(worth, reverse=True)[:13]:
            fitness[place, number], overlap[place, number] = value, iou
    owners = {}
    for place in {place for place, _ in fitness}:
        owners[place] = max((overlap[key], key[1]) for key in fitness if key[0] == place)[1]
    scores = {}
    for place, number in owners.items():
        mine = [key for key in fitness if key[1] == number and owners[key[0]] == number]
        best = max(fitness[key] for key in mine)
        scores[place] = fitness[place, number] / best * max(overlap[key] for key in mine)
    return owners, scores


def test_places_are_assigned_as_one_by_one():
    found = levels.places(answers(1, seed=3))
    targets = objects(
        (4, 4, 40, 36, 0, 0), (0, 0, 0, 0, NO_OBJECT, 0), (20, 10, 60, 62, 1, 0), (30, 30, 33, 33, 1, 0),
        (1, 2, 60, 60, 0, 1), (0, 0, 0, 0, NO_OBJECT, 0),
    )  # fmt: skip
    owners, scores = assigned_plainly(found, targets[0])
    got = assigning.assigned(found, targets)
    assert set(owners.values()) == {0, 2, 3}, "the small one has a place as well"
    assert (got.weights[0] > 0).nonzero()[:, 0].tolist() == sorted(owners)
    for place, number in owners.items():
        kind = int(targets[0, number, CLASS])
        assert float(got.weights[0, place]) == pytest.approx(scores[place], rel=1e-4)
        assert float(got.scores[0, place, kind]) == float(got.weights[0, place])
        assert float(got.scores[0, place].sum()) == float(got.weights[0, place])
        torch.testing.assert_close(got.boxes[0, place], targets[0, number, :4])


def test_crowds_are_neither_there_nor_wrong_to_find():
    outputs = tuple(each.requires_grad_() for each in answers(1))
    criterion = ObjectLoss()
    criterion.loss(outputs, objects((8, 0, 40, 32, 1, 1))).backward()
    slope = outputs[0].grad[0].abs()
    within = torch.zeros(8, 8, dtype=torch.bool)
    within[:4, 1:5] = True
    assert bool((slope[1][within] == 0).all())
    assert bool((slope[1][~within] > 0).all())
    assert bool((slope[0] > 0).all()), "another class is wrong there"
    assert outputs[1].grad is None or not bool(outputs[1].grad.any())


@pytest.mark.parametrize("bins", [1, 8])
def test_scores_and_boxes_learn_what_is_there(bins):
    outputs = [each.requires_grad_() for each in answers(2, bins, spread=0.1)]
    targets = objects((4, 4, 40, 36, 0, 0), (44, 10, 52, 18, 1, 0)).repeat(2, 1, 1)
    optimizer = torch.optim.Adam(outputs, lr=0.2)
    for _ in range(80):
        optimizer.zero_grad()
        loss = ObjectLoss().loss(tuple(outputs), targets)
        loss.backward()
        assert all(float(each.grad.abs().sum()) > 0 for each in outputs)
        optimizer.step()
    assert float(loss.detach()) < 0.3
    found = TASK.predictions([(tuple(each.detach() for each in outputs), targets)])
    assert found.value > 0.95


def test_the_loss_of_an_image_is_that_without_others():
    outputs, targets = answers(5), objects((4, 4, 40, 36, 0, 0)).repeat(5, 1, 1)
    targets[1, 0, CLASS] = NO_OBJECT
    alone = [
        ObjectLoss().loss(tuple(each[n : n + 1] for each in outputs), targets[n : n + 1]) for n in range(5)
    ]
    assert float(TASK.loss_sum(outputs, targets)) == pytest.approx(float(sum(alone)), rel=1e-6)
    assert TASK.predictions([(outputs, targets)]).score.loss == pytest.approx(float(sum(alone)) / 5)
    assert torch.isfinite(ObjectLoss().loss(outputs, torch.full((5, 1, 6), -1.0)))


def test_a_teacher_is_learnt_from_place_by_place():
    criterion, mine, taught = ObjectLoss(), answers(2), answers(2, bins=4, seed=1)
    assert float(criterion.distance(mine, mine)) == pytest.approx(0, abs=1e-5)
    p, q = (levels.places(each) for each in (mine, taught))
    chance, other = q.scores.double().sigmoid(), p.scores.double().sigmoid()
    apart = chance * (chance / other).log() + (1 - chance) * ((1 - chance) / (1 - other)).log()
    sure = chance.amax(-1)
    boxes = (sure * (1 - objectloss.giou(p.boxes, q.boxes))).sum()
    wanted = (apart.sum() + 2 * boxes) / sure.sum()
    assert float(criterion.distance(mine, taught)) == pytest.approx(float(wanted), rel=1e-4)


def test_predictions_are_suppressed_scores_and_boxes(pictures):
    outputs, targets = answers(3), torch.from_numpy(pictures.test.labels[:3])
    found = TASK.predictions([(outputs, targets)])
    place = levels.places(outputs)
    for number in range(3):
        wanted = suppression.objects(
            place.scores[number].double().sigmoid().numpy(), place.boxes[number].double().numpy(), 64, 64
        )
        np.testing.assert_allclose(found.found[number], wanted)
    assert found.value == matching.matches(found.found, found.objects, 2).value
    assert [len(rows) for rows in found.objects] == (targets[..., CLASS] != NO_OBJECT).sum(1).tolist()


def test_a_detector_learns_in_seconds_and_is_as_good_in_int8(pictures, trained):
    network, result, found = trained
    assert found.value > 0.35
    assert found.details["ap50"] > 0.7
    assert found.learning.word == PASS
    assert result.history[-1].loss < result.history[0].loss
    assert 0 < result.history[-1].value <= 1
    assert train.evaluate(network, pictures, "test") == found.score
    calibration = pictures.normalize(pictures.train.images[:64])
    lowered = lower(
        network, pictures.image_shape, "litert", "int8", calibration=calibration,
        checked=pictures.normalize(pictures.val.images[:8]),
    )  # fmt: skip
    answer = runtimes.opened(lowered.model, "litert")
    small = tasks.predictions(TASK, lambda images: answer(pictures.normalize(images)), pictures.test)
    assert small.value > found.value - 0.06
    gap = TASK.difference([found], [small])
    assert gap.mean == pytest.approx(found.value - small.value)


def test_what_finds_nothing_has_learned_nothing(pictures):
    targets = torch.from_numpy(pictures.test.labels)
    outputs = answers(len(targets))
    silent = tuple(each - 20 for each in outputs)
    found = TASK.predictions([(silent, targets)])
    assert (found.value, len(found.kind)) == (0.0, 0)
    assert found.learning.word == FAIL
    assert "nothing is found" in str(found.learning)
    assert found.best_threshold == (0.5, 0.0)
    noise = TASK.predictions([(outputs, targets)])
    assert noise.learning.word != PASS


def test_records_are_json_and_what_was_kept_compares(trained, pictures):
    _, _, found = trained
    kept = TASK.outcome(json.loads(json.dumps(found.kept())))
    assert (kept.value, kept.interval) == (found.value, found.interval)
    estimate = Estimate.of(found)
    assert Estimate.from_json(json.loads(json.dumps(estimate.to_json(), allow_nan=False))) == estimate
    assert TASK.remark(found.to_json()) == TASK.remark(found.details)
    assert TASK.remark(found.details).startswith("AP50")
    assert "small" in TASK.remark(found.details)
    assert 1 < found.score.certainty < 2000


def test_mistakes_show_true_and_found_boxes(trained, pictures):
    _, _, found = trained
    kept = json.loads(json.dumps(TASK.mistakes(found, pictures, "test"), allow_nan=False))
    (section,) = TASK.sections(kept)
    table, worst, best = section.parts[1:]
    aps = found.details["aps"]
    assert [row[0] for row in table.rows] == [rectangles.NAMES[n] for n in np.argsort(aps)]
    assert len(worst.items) == len(best.items) == findings.SHOWN
    row = int(np.argsort(found.by_image, kind="stable")[-1])
    png, said = best.items[-1]
    assert said == f"image {row}: mAP {found.by_image[row]:.1%}"
    with Image.open(io.BytesIO(base64.b64decode(png))) as sheet:
        pixels = np.asarray(sheet)
    for box in found.objects[row]:
        colour, scale = palette(3)[1 + int(box[CLASS])], findings._SIDE / rectangles.SIDE
        x, y = (int(value) for value in box[:2] * scale)
        assert tuple(pixels[y + 1, x + 1]) == colour
    first, by_class = TASK.told(found.to_json(), kept)
    assert first.endswith(f"on {found.images} images")
    assert rectangles.NAMES[int(np.argmin(aps))] in by_class.split("first: ")[1].split(",")[0]


def test_a_merit_is_as_certain_as_the_images_that_show_a_class(pictures):
    labels = np.zeros((20, 2, 6), np.float32)
    labels[:, 0, :4] = labels[:, 1, :4] = (0, 0, 9, 9)
    labels[:, 1, CLASS] = NO_OBJECT
    assert TASK.effective_images(labels, "none") == 20
    labels[:2, 1, CLASS] = 1
    assert TASK.effective_images(labels, "none") == 4
    labels[..., CLASS] = NO_OBJECT
    assert TASK.effective_images(labels, "none") == 1
    targets = pictures.val.labels
    images = TASK.effective_images(targets, "none")
    assert TASK.blind_search([0.6], targets, images, "none") is None
    assert "scored blindly" in TASK.blind_search([0.001], targets, images, "none")
    same = np.repeat(np.array([[[8, 8, 40, 40, 0, 0]]], np.float32), 12, axis=0)
    assert TASK.guesses(same)[0] == pytest.approx(1.0), "the same box in all images is easily guessed"


def test_answers_must_fit_labels():
    shapes = tuple(tuple(each.shape[1:]) for each in answers(bins=8))
    assert TASK.fits(shapes, ("a", "b"))
    assert not TASK.fits(shapes, ("a", "b", "c"))
    assert not TASK.fits(shapes[:3], ("a", "b"))
    assert not TASK.fits((2, 8, 8), ("a", "b"))
    assert not TASK.fits((2,), ("a", "b"))


def test_networks_have_the_usual_neck_and_head():
    assert TASK.network("efficientnet-lite0") == "efficientnet-lite0+fpn64"
    assert TASK.network("efficientnet-lite0+pan96d1") == "efficientnet-lite0+pan96d1"
    with pytest.raises(SpaceError, match="of the kind that the task needs"):
        TASK.network("efficientnet-lite0+lraspp128")
    with pytest.raises(SpaceError, match="leave out \\+fpn64, or give another task"):
        tasks.get("segmentation").network("efficientnet-lite0+fpn64")


def test_preprocessing_says_how_answers_are_read(pictures, trained):
    _, _, found = trained
    settled = TASK.settled(lambda: found)
    how = preprocessing.describe(pictures, {}, ["litert"], settled)
    assert how["resize"]["method"].startswith("stretch")
    assert how["answer"]["score_threshold"] == pytest.approx(found.best_threshold[0], abs=1e-3)
    assert how["answer"]["score_threshold"] <= found.best_threshold[0]
    assert 0.5 < how["answer"]["f1_on_validation"] <= 1
    assert (how["answer"]["nms_iou"], how["answer"]["finest_stride"]) == (0.6, 8)
    assert how["classes"][0] == {"name": "red", "colour": [128, 0, 0]}


FAKES = {
    **FAKES,
    "onnxruntime.py": FAKES["onnxruntime.py"].replace(
        '[np.load("logits.npy")]', '[np.load(f"{number}.npy") for number in range(4)]'
    ),
    "ai_edge_litert/interpreter.py": FAKES["ai_edge_litert/interpreter.py"]
    .replace(
        '[{"index": 1, "quantization": (0.0, 0)}]',
        '[{"index": n, "quantization": (0.0, 0)} for n in range(4)]',
    )
    .replace('np.load("logits.npy")', 'np.load(f"{index}.npy")'),
}
"""Runtimes with four outputs."""


@pytest.mark.parametrize("bins", [1, 8])
@pytest.mark.parametrize("name", ["onnxruntime", "litert"])
def test_the_programs_that_ship_find_what_the_metric_finds(name, bins, pictures, tmp_path):
    for file, text in FAKES.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    program = tmp_path / f"example_{name}.py"
    program.write_text(shipping.program(program.name, TASK.example))
    how = preprocessing.describe(pictures, {}, [name], {"score_threshold": 0.4})
    (tmp_path / "preprocessing.json").write_text(json.dumps(how))
    outputs = answers(1, bins)
    for number, each in enumerate(outputs):
        np.save(tmp_path / f"{number}.npy", each.numpy())
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (96, 128, 3), np.uint8)).save(
        tmp_path / "it.png"
    )
    done = subprocess.run(
        [sys.executable, program, "it.png"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    (rows,) = TASK.predictions([(outputs, torch.zeros(1, 1, 6))]).found
    rows = rows[rows[:, 4] >= 0.4]
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == len(rows) > 3
    for (score, label, *box), row in zip(lines, rows, strict=True):
        assert score == f"{row[4]:.1%}"
        assert label == rectangles.NAMES[int(row[5])]
        np.testing.assert_allclose([float(value) for value in box], row[:4] * (2, 1.5, 2, 1.5), atol=0.51)
    with Image.open(tmp_path / "it.objects.png") as drawn:
        assert drawn.size == (128, 96)
    assert "class Detector" in TASK.example.files[finding.ANDROID]


def test_nothing_of_the_settings_is_needed(pictures):
    loss = TASK.criterion(pictures, LossSettings(class_weights="balanced"), torch.device("cpu"))
    outputs, targets = answers(2), torch.from_numpy(pictures.val.labels[:2])
    assert float(loss.loss(outputs, targets)) == float(ObjectLoss().loss(outputs, targets))
    images = torch.zeros(2, 3, 64, 64)
    mixed, wanted = loss.mixed(images, targets, np.random.default_rng(0))
    assert mixed is images
    assert wanted is targets
    total = float(loss.total(outputs, targets))
    assert total == pytest.approx(float(TASK.predictions([(outputs, targets)]).by_image.sum()), abs=1e-6)


def test_predictions_of_another_kind_are_refused(pictures):
    with pytest.raises(TypeError, match="objects in images"):
        TASK.mistakes(object(), pictures, "test")


@pytest.mark.slow
def test_a_supernet_of_detectors_is_trained_and_scored_in_both_precisions():
    data = rectangles.images(counts=(48, 24, 24))
    space = spaces.load("from:mobilenetv2-0.35+fpn16", resolution=64, num_classes=2)
    config = OneShotConfig(batch_size=8, recalibration_images=16, validation_images=24, device="cpu")
    evaluator = Blockwise(space, data, config)
    anchor = evaluator.paths.anchor
    assert 0 < evaluator.weight_step(anchor, 0.5) < 20
    assert evaluator._distil(evaluator._distillation(inherits=True), 1.0) > 0
    assert 0 <= evaluator(space.architecture(anchor)) <= 1
    assert 0 <= Ranking(evaluator, "int8").final(anchor) <= 1


def test_what_knows_the_objects_is_tuned_gently(pictures):
    """At the rate of a whole training two epochs leave a detector worse than they found it."""
    usual = TASK.usual(pretrained=True)
    gentle = tuning.settled(tuning.usual(0, "cpu"), pictures)
    assert gentle.learning_rate == usual.short_rate < usual.learning_rate
    assert gentle.resolved(len(pictures.train), usual).learning_rate == usual.short_rate
    asked = tuning.settled(train.TrainConfig(epochs=3, learning_rate=0.5), pictures)
    assert (asked.epochs, asked.learning_rate) == (3, 0.5)
    classifiers = tasks.get("classification").usual(pretrained=True)
    assert classifiers.short_rate is None  # their usual rate is a gentle one
