"""Segmentation: against plain references, and from a training to what is said of it."""

from __future__ import annotations

import base64
import io
import json
import math
import subprocess
import sys

import numpy as np
import pytest
import shapes
import torch
from drawn import trained_on
from fake_runtimes import FAKES
from PIL import Image
from scipy import ndimage
from torch.nn import functional

from hwnas import tasks, testing, train
from hwnas.errors import DataError
from hwnas.release import probes, shipping
from hwnas.statistics.verdict import FAIL, PASS
from hwnas.tasks import boundary, decoding, segmented
from hwnas.tasks.base import Estimate, LossSettings
from hwnas.tasks.colours import palette
from hwnas.tasks.overlap import Overlaps, guessed, mean_iou
from hwnas.tasks.pixelwise import VOID, PixelLoss, soft_dice

TASK = tasks.get("segmentation")
CLASSES = len(shapes.NAMES)
SHORT = train.TrainConfig(epochs=8, batch_size=16, learning_rate=0.1, augment=False)


@pytest.fixture(scope="module")
def pictures():
    return shapes.images()


@pytest.fixture(scope="module")
def trained(pictures):
    """A network after some seconds, and what it says of the test images."""
    return trained_on(pictures, shapes.network, SHORT)


def answers(masks, classes=CLASSES, noise=0.0, seed=0):
    """Logits at the size of the masks that say what the masks do, but for void."""
    known = np.where(masks == VOID, 0, masks)
    logits = np.eye(classes, dtype=np.float32)[known].transpose(0, 3, 1, 2)
    rng = np.random.default_rng(seed)
    return torch.from_numpy(logits + noise * rng.normal(size=logits.shape).astype(np.float32))


def test_contract(pictures):
    testing.check_task(pictures, shapes.network())


def test_mean_iou_is_that_of_counting_pixel_by_pixel(pictures):
    masks = pictures.test.labels
    logits = answers(masks, noise=0.5)
    found = TASK.predictions([(logits, torch.from_numpy(masks))])
    seen, each = logits.argmax(1).numpy(), []
    for number in range(CLASSES):
        mine, true = (seen == number) & (masks != VOID), masks == number
        each.append((mine & true).sum() / (mine | true).sum())
    assert found.ious == pytest.approx(each)
    assert found.value == pytest.approx(np.mean(each))
    assert all(low < iou < high for iou, (low, high) in zip(found.ious, found.iou_intervals, strict=True))
    loss = functional.cross_entropy(
        logits, torch.from_numpy(masks).long(), ignore_index=VOID, reduction="none"
    )
    known = torch.from_numpy(masks != VOID)
    assert found.score.loss == pytest.approx(float((loss.sum((1, 2)) / known.sum((1, 2))).mean()), rel=1e-5)


def test_a_class_that_is_neither_there_nor_predicted_does_not_count():
    masks = torch.zeros((4, 8, 8), dtype=torch.uint8)
    masks[:, :4] = 1
    found = TASK.predictions([(answers(masks.numpy(), classes=5), masks)])
    assert found.value == 1.0
    assert found.ious == (1.0, 1.0, None, None, None)
    low, high = found.interval
    assert low < 0.6, "four perfect images do not show that all are"
    assert high == 1.0


def test_images_that_are_all_void_say_nothing():
    masks = torch.full((2, 8, 8), VOID, dtype=torch.uint8)
    found = TASK.predictions([(torch.randn(2, 3, 2, 2), masks)])
    assert (found.value, found.score.loss) == (0.0, 0.0)
    assert found.learning.word == "NOT PROVEN"
    loss = PixelLoss(LossSettings()).loss(torch.randn(2, 3, 2, 2), masks)
    assert torch.isfinite(loss)


def test_batches_do_not_matter_and_the_extreme_images_are_kept(pictures, monkeypatch):
    masks = torch.from_numpy(pictures.test.labels)
    logits = answers(pictures.test.labels, noise=0.6)[:, :, ::4, ::4].contiguous()
    whole = TASK.predictions([(logits, masks)])
    monkeypatch.setattr(segmented, "_AT_ONCE", 3 * CLASSES * shapes.SIDE**2)
    parts = TASK.predictions(zip(logits.split(7), masks.split(7), strict=True))
    assert whole.score == parts.score
    assert whole.kept() == parts.kept()
    order = np.argsort(whole.by_image, kind="stable").tolist()
    assert list(whole.masks) == list(parts.masks) == order[: segmented.SHOWN] + order[-segmented.SHOWN :]
    seen = functional.interpolate(logits, size=masks.shape[1:], mode="bilinear").argmax(1).numpy()
    for row, mask in parts.masks.items():
        np.testing.assert_array_equal(mask, seen[row])


def boundary_f(seen, truth):
    """One image, by scipy's morphology."""
    near = boundary.tolerance(*truth.shape)
    rims = []
    for areas in (seen, truth):
        padded = np.pad(areas, 1, mode="edge")
        others = [padded[1:-1, 2:], padded[1:-1, :-2], padded[2:, 1:-1], padded[:-2, 1:-1]]
        rims.append(np.any([each != areas for each in others], axis=0))
    found, square = [], np.ones((2 * near + 1, 2 * near + 1), bool)
    for number in range(CLASSES):
        mine, true = rims[0] & (seen == number), rims[1] & (truth == number)
        if not (mine.any() or true.any()):
            continue
        shares = [
            (these & ndimage.binary_dilation(others, square)).sum() / max(1, these.sum())
            for these, others in ((mine, true), (true, mine))
        ]
        found.append(0.0 if not all(shares) else 2 * math.prod(shares) / sum(shares))
    return np.mean(found) if found else 1.0


def test_boundaries_are_met_as_by_scipys_morphology(pictures):
    truth = np.where(pictures.test.labels[:12] == VOID, 0, pictures.test.labels[:12])
    seen = np.roll(truth, (1, 2), (1, 2))
    seen[0] = truth[0] = 0
    found = boundary.f_measures(torch.from_numpy(seen).long(), torch.from_numpy(truth).long(), CLASSES)
    wanted = [boundary_f(*pair) for pair in zip(seen, truth, strict=True)]
    assert found.tolist() == pytest.approx(wanted)
    many = boundary.f_measures(*(torch.from_numpy(each).long() * 70 for each in (seen, truth)), 150)
    assert many.tolist() == pytest.approx(wanted)
    assert found[0] == 1.0
    assert 0.1 < min(wanted) < 0.95


def test_a_void_rim_has_its_boundary_in_the_middle():
    truth = torch.zeros((1, 200, 200), dtype=torch.long)
    truth[:, 50:150, 50:150] = VOID
    truth[:, 54:146, 54:146] = 1
    square = (truth == 1).long()
    near = boundary.tolerance(200, 200)
    assert near == 2
    assert (boundary.filled(truth, near)[0, 100, 45:60] == 1).nonzero().min() == 52 - 45
    for grown, met in ((0, True), (2, True), (4, True), (7, False)):
        seen = torch.zeros_like(square)
        seen[:, 54 - grown : 146 + grown, 54 - grown : 146 + grown] = 1
        assert (float(boundary.f_measures(seen, truth, 2)) > 0.97) == met
    truth[:, :40] = VOID  # far from any class: nothing is asked of it
    seen[:, :30, :100] = 1
    seen[:, 54 - 7 : 146 + 7, 54 - 7 : 146 + 7] = square[:, 54 - 7 : 146 + 7, 54 - 7 : 146 + 7]
    assert float(boundary.f_measures(seen, truth, 2)) > 0.97


def test_the_loss_is_torchs_cross_entropy_and_dice(pictures):
    truth = torch.from_numpy(pictures.train.labels[:6])
    logits = torch.randn(6, CLASSES, 8, 8, generator=torch.Generator().manual_seed(0))
    large = functional.interpolate(logits, size=truth.shape[1:], mode="bilinear", align_corners=False)
    entropy = functional.cross_entropy(large, truth.long(), ignore_index=VOID, label_smoothing=0.1)
    dice = 1 - soft_dice(large, truth.long())
    loss = PixelLoss(LossSettings(label_smoothing=0.1)).loss(logits, truth)
    assert float(loss) == pytest.approx(float(entropy + dice), rel=1e-5)
    chances, known, shares = large.softmax(1), truth != VOID, []
    for number in range(CLASSES):
        p, g = chances[:, number][known], (truth == number)[known].float()
        shares.append(float((2 * (p * g).sum() + 1) / (p.square().sum() + g.square().sum() + 1)))
    assert float(1 - dice) == pytest.approx(np.mean(shares), rel=1e-5)
    assert float(TASK.loss_sum(logits, truth)) == pytest.approx(
        6 * TASK.predictions([(logits, truth)]).score.loss, rel=1e-5
    )


def test_balanced_weights_count_classes_alike(pictures):
    criterion = TASK.criterion(pictures, LossSettings(class_weights="balanced"), torch.device("cpu"))
    counts = np.bincount(pictures.train.labels.ravel(), minlength=256)[:CLASSES]
    weighed = criterion.weights.numpy() * counts
    assert weighed == pytest.approx(np.full(CLASSES, counts.sum() / CLASSES), rel=1e-5)
    truth = torch.from_numpy(pictures.train.labels[:4])
    logits = torch.randn(4, CLASSES, 32, 32, generator=torch.Generator().manual_seed(1))
    each = functional.cross_entropy(logits, truth.long(), ignore_index=VOID, reduction="none")
    by_hand = sum(float(criterion.weights[n] * each[truth == n].sum()) for n in range(CLASSES))
    by_hand = by_hand / int((truth != VOID).sum()) + 1 - float(soft_dice(logits, truth.long()))
    assert float(criterion.loss(logits, truth)) == pytest.approx(by_hand, rel=1e-5)


def test_a_teacher_is_learnt_from_pixel_by_pixel():
    criterion = PixelLoss(LossSettings(temperature=2.0))
    mine, taught = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    p, q = ((each / 2).softmax(1).double() for each in (taught, mine))
    by_hand = 4 * float((p * (p / q).log()).sum(1).mean())
    assert float(criterion.distance(mine, taught)) == pytest.approx(by_hand, rel=1e-4)
    finer = taught.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.isfinite(criterion.distance(mine, finer))


def test_a_wired_network_learns_in_seconds(pictures, trained):
    network, result, found = trained
    with torch.no_grad():
        shape = network.eval()(torch.zeros(1, 3, shapes.SIDE, shapes.SIDE)).shape
    assert tuple(shape[1:]) == (CLASSES, shapes.SIDE // 4, shapes.SIDE // 4)
    assert TASK.fits(tuple(shape[1:]), TASK.labels(pictures))
    assert found.value > 0.5
    assert found.score.certainty > 2 * found.images, "an image is more than right or wrong"
    low, high = found.interval
    assert 0 < low < found.value < high < 1
    assert found.learning.word == PASS
    assert result.history[-1].loss < result.history[0].loss
    assert 0 < result.history[-1].value < 1
    assert train.evaluate(network, pictures, "test") == found.score


def test_what_answers_the_commonest_class_everywhere_has_learned_nothing(pictures):
    masks = torch.from_numpy(pictures.test.labels)
    logits = torch.zeros(len(masks), CLASSES, 8, 8)
    logits[:, 0] = 1
    found = TASK.predictions([(logits, masks)])
    constant = guessed(found.pixels)["constant"]
    np.testing.assert_array_equal(found.rows, constant)
    assert found.learning.word == FAIL
    assert "one class" in str(found.learning)


def test_what_answers_at_random_has_learned_nothing():
    rng = np.random.default_rng(0)
    masks = torch.from_numpy(rng.integers(0, 2, (40, 32, 32)).astype(np.uint8))
    found = TASK.predictions([(torch.from_numpy(rng.normal(size=(40, 2, 32, 32)).astype(np.float32)), masks)])
    rows = guessed(found.pixels)
    assert mean_iou(rows["random"].sum(0)) == pytest.approx(found.value, abs=0.01)
    assert mean_iou(rows["constant"].sum(0)) < found.value - 0.05, "a constant is easily beaten here"
    assert found.learning.word == FAIL


def test_records_are_json_and_what_was_kept_compares(trained, pictures):
    _, _, found = trained
    kept = TASK.outcome(json.loads(json.dumps(found.kept())))
    assert (kept.value, kept.interval) == (found.value, found.interval)
    noisy = TASK.predictions(
        [(answers(pictures.test.labels, noise=3.0), torch.from_numpy(pictures.test.labels))]
    )
    gap = TASK.difference([found], [noisy])
    assert gap.is_real
    assert gap.mean == pytest.approx(found.value - noisy.value)
    assert (gap.gained, gap.lost) == (None, None)
    estimate = Estimate.of(found)
    assert Estimate.from_json(json.loads(json.dumps(estimate.to_json(), allow_nan=False))) == estimate
    assert TASK.remark(found.to_json()) == TASK.remark(found.details)
    assert "boundary F" in TASK.remark(found.details)


@pytest.mark.parametrize(
    "kept",
    [
        {},
        {"intersections": [[1]], "unions": [[1, 2]]},
        {"intersections": [[3]], "unions": [[2]]},
        {"intersections": [[-1]], "unions": [[2]]},
        {"intersections": [], "unions": []},
        {"intersections": [["a"]], "unions": [[2]]},
        {"intersections": [[0.5]], "unions": [[2.0]]},
        {"intersections": [[1], [1, 2]], "unions": [[1], [1, 2]]},
    ],
)
def test_damaged_counts_are_refused(kept):
    with pytest.raises(DataError, match="intersections and unions of every image"):
        TASK.outcome(kept)


def test_mistakes_show_picture_truth_and_prediction(trained, pictures):
    _, _, found = trained
    kept = json.loads(json.dumps(TASK.mistakes(found, pictures, "test"), allow_nan=False))
    (section,) = TASK.sections(kept)
    table, worst, best = section.parts[1:]
    assert [row[0] for row in table.rows] == [shapes.NAMES[n] for n in np.argsort(found.ious)]
    assert len(worst.items) == len(best.items) == segmented.SHOWN
    png, said = worst.items[0]
    row = next(iter(found.masks))
    assert said == f"image {row}: mean IoU {found.by_image[row]:.1%}"
    with Image.open(io.BytesIO(base64.b64decode(png))) as sheet:
        third = np.asarray(sheet)[:, -112:]
    mask = np.asarray(Image.fromarray(found.masks[row]).resize((112, 112), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(third, np.array(palette(CLASSES), np.uint8)[mask])
    boundaries, by_class = TASK.told(found.to_json(), kept)
    assert boundaries.endswith(f"on {found.images} images")
    assert shapes.NAMES[int(np.argmin(found.ious))] in by_class.split("first: ")[1].split(",")[0]


def test_a_merit_is_as_certain_as_the_images_that_show_a_class():
    even = np.tile(np.repeat(np.array([0, 1], np.uint8), 8)[None, :, None], (20, 1, 16))
    assert TASK.effective_images(even, "none") == 20
    rare = np.zeros((20, 16, 16), np.uint8)
    rare[:2, :8] = 1
    few = TASK.effective_images(rare, "none")
    assert few == 4, "two images decide on one class, 19.5 on the other"
    assert TASK.effective_images(np.full((3, 8, 8), VOID, np.uint8), "none") == 1
    low, high = TASK.merit_interval(0.7, few)
    assert 0 < low < 0.7 < high < 1


def test_searching_blindly_is_said(pictures):
    masks = pictures.val.labels
    images = TASK.effective_images(masks, "none")
    assert TASK.blind_search([0.75, 0.8], masks, images, "none") is None
    assert "cannot tell" in TASK.blind_search([0.9], masks[:1], 1, "none")
    assert "scored blindly" in TASK.blind_search([0.25], masks, images, "none")
    assert TASK.blind_search([0.4], masks, images, "none") is None
    assert TASK.is_clearly_worse(0.4, 0.8, 100)
    assert not TASK.is_clearly_worse(0.75, 0.8, 100)


def test_the_example_reads_logits_as_the_metric_does():
    example, space = decoding.segmentation_example(), {"np": np, "how": {"classes": []}}
    exec(example.functions, space)
    logits = np.random.default_rng(0).normal(size=(3, 7, 5)).astype(np.float32)
    for height, width in ((28, 20), (50, 33), (7, 5), (4, 3)):
        down, across = space["resizing"](7, height), space["resizing"](5, width).T
        theirs = functional.interpolate(
            torch.from_numpy(logits)[None], size=(height, width), mode="bilinear"
        )[0]
        np.testing.assert_allclose(down @ logits @ across, theirs.numpy(), atol=1e-6)
        np.testing.assert_array_equal(space["read"](logits, width, height), theirs.argmax(0).numpy())
    assert "class Segmenter" in example.files[decoding.ANDROID]


@pytest.mark.parametrize("name", ["onnxruntime", "litert"])
def test_the_programs_that_ship_write_the_mask_of_a_picture(name, pictures, tmp_path):
    for file, text in FAKES.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    program = tmp_path / f"example_{name}.py"
    program.write_text(shipping.program(program.name, TASK.example))
    (tmp_path / "preprocessing.json").write_text(json.dumps(TASK.preprocessing(pictures)))
    logits = np.random.default_rng(0).normal(size=(1, CLASSES, 8, 8)).astype(np.float32)
    np.save(tmp_path / "logits.npy", logits)
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 255, (50, 90, 3), np.uint8))
    picture.save(tmp_path / "it.png")
    done = subprocess.run(
        [sys.executable, program, "it.png"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    with Image.open(tmp_path / "it.mask.png") as drawn:
        assert drawn.mode == "P"
        mask, colours = np.asarray(drawn), np.asarray(drawn.convert("RGB"))
    (tmp_path / "cut.png").write_bytes((tmp_path / "it.png").read_bytes()[:2000])
    refused = subprocess.run(
        [sys.executable, program, "it.png", "cut.png", "none.png"],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert refused.returncode == 1
    assert refused.stdout.splitlines()[0] == "it.png:", "of several, which one it is"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "it.png").write_bytes((tmp_path / "it.png").read_bytes())
    both = subprocess.run(
        [sys.executable, program, "it.png", "other/it.png"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert [line for line in both.stdout.splitlines() if line.startswith("mask")] == [
        "mask in it.mask.png",
        "mask in it-2.mask.png",
    ]
    assert (tmp_path / "it.mask.png").read_bytes() == (tmp_path / "it-2.mask.png").read_bytes()
    (line,) = refused.stderr.splitlines()
    assert line.startswith("a picture must be readable, but cut.png is not (")
    assert not (tmp_path / "cut.mask.png").exists()
    for wrong in (["--time", "3"], ["--time", "x", "it.png"], ["--time", "0", "it.png"]):
        refused = subprocess.run(
            [sys.executable, program, *wrong], capture_output=True, text=True, cwd=tmp_path
        )
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.startswith("python example_")
    large = functional.interpolate(torch.from_numpy(logits).double(), size=(50, 90), mode="bilinear")
    np.testing.assert_array_equal(mask, large[0].argmax(0).numpy())
    np.testing.assert_array_equal(colours, np.array(palette(CLASSES), np.uint8)[mask])
    where, *shares = done.stdout.splitlines()
    assert where == "mask in it.mask.png"
    assert {line.split()[1] for line in shares} == set(shapes.NAMES)
    stretched = np.asarray(picture.resize((shapes.SIDE, shapes.SIDE), Image.Resampling.BILINEAR))
    wanted = pictures.normalize(stretched.transpose(2, 0, 1)[None])
    np.testing.assert_allclose(np.load(tmp_path / "fed.npy"), wanted, atol=1e-5)


def test_preprocessing_stretches_and_brings_colours(pictures):
    how = TASK.preprocessing(pictures)
    assert how["resize"]["method"].startswith("stretch")
    assert how["classes"][:2] == [
        {"name": "ground", "colour": [0, 0, 0]},
        {"name": "square", "colour": [128, 0, 0]},
    ]
    assert palette(22)[20:] == ((0, 64, 128), (128, 64, 128))
    assert len(set(palette(256))) == 256


def test_probes_of_places_are_thinned_over_all_rows_and_columns():
    dense = np.arange(8 * 21 * 64 * 64, dtype=np.float32).reshape(8, 21, 64, 64)
    kept = probes.thinned(dense)
    assert kept.shape[0] == 8
    assert kept.shape[1] <= 512
    places = kept[0].astype(int)
    assert len(set(places % 64)) == len(set(places // 64 % 64)) == 64
    assert len(set(places // 4096)) == 21
    np.testing.assert_array_equal(probes.answers(probes.record({"it": dense}), "it"), kept)
    vector = np.zeros((8, 5000), np.float32)
    assert probes.thinned(vector) is vector


def test_overlaps_are_compared_with_overlaps():
    with pytest.raises(TypeError, match="overlaps must be compared"):
        TASK.difference([Overlaps(np.ones((1, 1), int), np.ones((1, 1), int))], [object()])
