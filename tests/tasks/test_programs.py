"""The programs that ship, with real int8 models: what they read, how they time themselves."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import rectangles
import shapes
import torch
from PIL import Image
from torch.nn import functional

from hwnas import release, runtimes, tasks
from hwnas.export import lower
from hwnas.release import preprocessing
from hwnas.tasks import finding, suppression

KINDS = {"segmentation": shapes, "detection": rectangles}


@pytest.fixture(scope="module", params=KINDS)
def shipped(request, tmp_path_factory):
    """A folder with an untrained network in int8 for both runtimes, their programs, and a picture."""
    drawn = KINDS[request.param]
    data, task, folder = (
        drawn.images(counts=(32, 8, 8)),
        tasks.get(request.param),
        tmp_path_factory.mktemp("it"),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = drawn.network()
        for values in network.parameters():  # a detector begins with scores of 0.01
            if values.ndim == 1 and values.max() < -2:
                torch.nn.init.normal_(values)
    for runtime in runtimes.shipping():
        ranges = data.normalize(data.train.images)
        model = lower(network, data.image_shape, runtime.name, "int8", calibration=ranges, check=False).model
        (folder / f"model{runtime.format.suffix}").write_bytes(model)
        (folder / runtime.example).write_text(release.program(runtime.example, task.example))
    how = preprocessing.describe(
        data, {}, ["litert"], {"score_threshold": 0.5} if "detection" in request.param else {}
    )
    (folder / "preprocessing.json").write_text(json.dumps(how))
    Image.fromarray(data.test.images[0].transpose(1, 2, 0)).save(folder / "it.png")
    return folder, data


def ran(folder, runtime, *words):
    return subprocess.run(
        [sys.executable, "-I", folder / runtime.example, *words],
        capture_output=True, text=True, check=True, cwd=folder,
    ).stdout  # fmt: skip


@pytest.mark.parametrize("runtime", runtimes.shipping(), ids=lambda it: it.name)
def test_what_is_read_is_what_hwnas_reads(shipped, runtime):
    folder, data = shipped
    said = ran(folder, runtime, "it.png")
    fed = data.normalize(data.test.images[:1])
    answers = runtimes.run(folder / f"model{runtime.format.suffix}", runtime.name, fed)
    if data.task == "segmentation":
        logits = functional.interpolate(torch.from_numpy(answers), size=(shapes.SIDE,) * 2, mode="bilinear")
        best, second = logits[0].topk(2, dim=0).values
        with Image.open(folder / "it.mask.png") as mask:
            same = np.asarray(mask) == logits[0].argmax(0).numpy()
        assert (same | (best - second < 1e-5).numpy()).all()
        return
    scores = np.concatenate([1 / (1 + np.exp(-each.ravel())) for each in answers[::2]])
    read = [line.split()[0] for line in said.splitlines()]
    assert read[0] == f"{scores.max():.1%}"
    assert set(read) <= {f"{score:.1%}" for score in scores[scores >= 0.5]}, "of equal ones, any"


@pytest.mark.parametrize("runtime", runtimes.shipping(), ids=lambda it: it.name)
def test_programs_time_themselves(shipped, runtime):
    folder, _ = shipped
    before = sorted(folder.iterdir())
    model = f"model{runtime.format.suffix}"
    found = json.loads(ran(folder, runtime, "--time", "3", "it.png", "it.png", model))
    assert list(found) == ["preparing_ms", "network_ms", "reading_ms"]
    assert all(len(rounds) == 3 and min(rounds) > 0 for rounds in found.values())
    assert sorted(folder.iterdir()) == before, "nothing is written"


@pytest.mark.parametrize("example", release.EXAMPLES)
@pytest.mark.parametrize("task", tasks.TASKS)
def test_every_program_is_whole(task, example):
    """Parts of programs are not linted for names; these are."""
    text = release.program(example, tasks.get(task).example)
    rules = ["--select", "F,E,W", "--ignore", "E402", "--line-length", "110"]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", *rules, "-"],
        input=text,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_many_boxes_are_read_as_the_metric_reads_them(monkeypatch):
    """As many as there are places, which a loop over pairs would take a minute for."""
    rng = np.random.default_rng(0)
    how = {
        "answer": {"score_threshold": suppression.LEAST, "nms_iou": suppression.OVERLAP, "most_objects": 100},
        "classes": [],
    }
    space = {"np": np, "how": how, "size": (192, 192)}
    exec(finding.detection_example().functions, space)
    logits = rng.normal(0, 3, (2, 24, 24))
    sides = rng.normal(2, 1, (4, 24, 24))
    found = space["read"]([logits, sides], 384, 288)
    places = np.stack(np.meshgrid(np.arange(24), np.arange(24), indexing="ij")[::-1], axis=-1).reshape(-1, 2)
    far = np.log1p(np.exp(sides)).reshape(4, -1).T * 8
    boxes = np.hstack([(places + 0.5) * 8 - far[:, :2], (places + 0.5) * 8 + far[:, 2:]])
    monkeypatch.setattr(suppression, "_CANDIDATES", logits.size)
    known = suppression.objects(1 / (1 + np.exp(-logits.reshape(2, -1).T)), boxes, 192, 192)
    np.testing.assert_allclose(found, known * (2, 1.5, 2, 1.5, 1, 1), atol=1e-9)
    assert len(found) == 100
