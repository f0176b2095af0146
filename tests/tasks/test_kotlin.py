"""The programs for Android, on the JVM: they read what models answer as the Python programs that ship do.

Android and LiteRT are stand-ins (``kotlin/``). ``KOTLIN_COMPILER`` names a compiler's jar, with the standard
library's beside it; org.json is that of Debian's libandroid-json-java.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import programs
import pytest
import rectangles
import shapes
from drawn import trained_on
from PIL import Image

from hwnas import release, runtimes, tasks, train
from hwnas.export import lower
from hwnas.release import preprocessing
from hwnas.tasks import android, finding

pytestmark = pytest.mark.slow

STAND_INS = Path(__file__).parent / "kotlin"
JSON = Path("/usr/share/java/com.android.json.jar")
MODEL = "model.int8.tflite"
SHORT = train.TrainConfig(epochs=4, batch_size=16, learning_rate=0.05, augment=False)


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """What runs the programs: a command that wants outputs, task, folder, picture and model."""
    jar, java = os.environ.get("KOTLIN_COMPILER"), programs.find("java")
    json_jar = Path(os.environ.get("ANDROID_JSON", JSON))
    if not jar or not java or not json_jar.exists():
        pytest.skip(f"needs java, {json_jar} (or ANDROID_JSON) and a compiler's jar in KOTLIN_COMPILER")
    folder = tmp_path_factory.mktemp("app")
    page = (Path(__file__).parents[2] / "docs" / "guides" / "android.md").read_text("utf-8")
    (folder / "Page.kt").write_text(re.search(r"```kotlin\n(.*?)```", page, re.DOTALL)[1])
    texts = {}
    for task in ("detection", "segmentation"):
        texts |= tasks.get(task).example.files
    assert set(texts) == {"Detector.kt", "Segmenter.kt", android.SHARED}
    for name, text in texts.items():
        (folder / name).write_text(text)
    libraries = [*Path(jar).parent.glob("kotlin-stdlib*.jar"), json_jar]
    done = subprocess.run(
        [
            *(java, "-cp", f"{Path(jar).parent}/*", "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"),
            *("-Werror", "-no-stdlib", "-no-reflect", "-cp", os.pathsep.join(map(str, libraries))),
            *("-d", folder / "classes", *folder.glob("*.kt"), *STAND_INS.glob("*.kt")),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    classes = os.pathsep.join(map(str, (folder / "classes", *libraries)))

    def run(outputs, task, where, picture, model=MODEL):
        properties = {"outputs": outputs, "python": sys.executable, "runner": STAND_INS / "answering.py"}
        options = [f"-D{name}={value}" for name, value in properties.items()]
        done = subprocess.run(
            [java, "-cp", classes, *options, "MainKt", task, where, picture, model],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def shown(pictures, path, mode="RGB"):
    """Four test images in one file of another size, half transparent where there is an alpha channel."""
    first, second, *others = pictures.test.images[:4].transpose(0, 2, 3, 1)
    whole = np.concatenate([np.concatenate([first, second]), np.concatenate(others)], axis=1)
    image = Image.fromarray(whole).resize((150, 97))
    if mode == "RGBA":
        image.putalpha(200)
    image.save(path)
    return path


def picture(path, size):
    """Noise, as a file."""
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), np.uint8)).save(path)
    return path


def shipped(folder, pictures, network, precision, settled=None):
    """A network's model and the programs beside it, as they ship."""
    task, model = tasks.of(pictures), "model.tflite" if precision == "fp32" else MODEL
    calibration = pictures.normalize(pictures.train.images[:16])
    given = {} if precision == "fp32" else {"calibration": calibration}
    lowered = lower(network.eval(), pictures.image_shape, "litert", precision, check=False, **given)
    (folder / model).write_bytes(lowered.model)
    found = runtimes.get("litert").host.quantization(lowered.model)
    how = preprocessing.describe(pictures, {model: found} if found else {}, ["litert"], settled)
    (folder / "preprocessing.json").write_text(json.dumps(how))
    (folder / "example_litert.py").write_text(release.program("example_litert.py", task.example))
    return model


def lines_of_python(folder, path, model):
    command = [sys.executable, folder / "example_litert.py", path, folder / model]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stdout.splitlines()


@pytest.mark.parametrize(("precision", "bins", "mode"), [("int8", 1, "RGB"), ("fp32", 6, "RGBA")])
def test_a_detector_finds_the_same_objects(app, precision, bins, mode, tmp_path):
    pictures = rectangles.images()
    network, *_ = trained_on(pictures, lambda: rectangles.network(bins), SHORT)
    model = shipped(tmp_path, pictures, network, precision, {"score_threshold": 0.05})
    path = shown(pictures, tmp_path / "it.png", mode)
    lines = lines_of_python(tmp_path, path, model)
    found = json.loads(app(4, "detection", tmp_path, path, model))
    assert len(found) == len(lines) > 3
    for line, each in zip(lines, found, strict=True):
        score, name, *box = line.split()
        assert name == each["name"]
        assert float(score[:-1]) == pytest.approx(100 * each["score"], abs=0.06)
        np.testing.assert_allclose([float(value) for value in box], each["box"], atol=0.51)


@pytest.mark.parametrize("bins", [1, 6])
def test_objects_of_equal_scores_are_suppressed_in_the_same_order(app, bins, tmp_path):
    rng, classes = np.random.default_rng(bins), len(rectangles.NAMES)
    ends = {"scale": 0.5, "zero_point": 3}
    quantized = {"input": ends} | {f"output{n or ''}": ends for n in range(4)}
    how = preprocessing.describe(
        rectangles.images(), {MODEL: quantized}, ["litert"], {"score_threshold": 0.4}
    )
    (tmp_path / "preprocessing.json").write_text(json.dumps(how))
    answers = []
    for number in range(4):
        channels, side = 4 * bins if number % 2 else classes, 4 if number > 1 else 8
        whole = rng.integers(-6, 10, (side, side, channels)).astype(np.int8)
        (tmp_path / f"{MODEL}.answer{number}").write_bytes(whole.tobytes())
        answers.append(np.moveaxis((whole.astype(float) - 3) * 0.5, -1, 0))
    found = json.loads(app(4, "detection", tmp_path, picture(tmp_path / "it.png", (128, 96))))
    space = {"np": np, "how": how, "size": (64, 64)}
    exec(finding._READING, space)
    rows = space["read"](answers, 128, 96)
    assert len(rows) > len(set(rows[:, 4])) > 5, "some are equally sure"
    assert [each["name"] for each in found] == [rectangles.NAMES[int(row[5])] for row in rows]
    np.testing.assert_allclose([each["score"] for each in found], rows[:, 4], rtol=1e-5)
    np.testing.assert_allclose([each["box"] for each in found], rows[:, :4], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_a_segmenter_sees_the_same_mask(app, precision, tmp_path):
    pictures = shapes.images()
    network, *_ = trained_on(pictures, shapes.network, SHORT)
    model = shipped(tmp_path, pictures, network, precision)
    path = shown(pictures, tmp_path / "it.png")
    lines_of_python(tmp_path, path, model)
    said = json.loads(app(1, "segmentation", tmp_path, path, model))
    mask = np.frombuffer((tmp_path / "mask").read_bytes(), np.uint8).reshape(97, 150)
    with Image.open(tmp_path / "it.mask.png") as drawn:
        wanted, colour = np.asarray(drawn), drawn.convert("RGB").getpixel((0, 0))
    assert len(np.unique(wanted)) > 1
    assert (mask == wanted).mean() > 0.999, "all but places where two classes are as likely"
    assert said["names"] == list(shapes.NAMES)
    assert said["small"] == shapes.SIDE**2
    assert (said["first"] & 0xFFFFFF).to_bytes(3, "big") == bytes(colour)


@pytest.mark.parametrize("size", [(33, 200), (150, 20), (32, 32)])
def test_pictures_are_scaled_as_in_training(app, size, tmp_path):
    data = shapes.images()
    how = preprocessing.describe(data, {}, ["litert"])
    (tmp_path / "preprocessing.json").write_text(json.dumps(how))
    (tmp_path / "m.answer0").write_bytes(np.zeros((8, 8, 3), np.float32).tobytes())
    path = picture(tmp_path / "it.png", size)
    app(1, "segmentation", tmp_path, path, "m")
    fed = np.frombuffer((tmp_path / "m.fed").read_bytes(), np.float32).reshape(shapes.SIDE, shapes.SIDE, 3)
    with Image.open(path) as opened:
        wanted = np.asarray(opened.resize((shapes.SIDE,) * 2, Image.Resampling.BILINEAR))
    levels = (fed * how["std"] + how["mean"]) / how["scale"]
    assert np.abs(levels - wanted).max() < 1.01
    assert (np.abs(levels - wanted) < 0.01).mean() > 0.75, "Pillow rounds rows first where that is less work"


def test_the_snippet_names_the_class(app, tmp_path):
    data = shapes.images()
    how = preprocessing.describe(data, {}, ["litert"])
    (tmp_path / "preprocessing.json").write_text(json.dumps(how))
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    (tmp_path / "m.answer0").write_bytes(np.array([0.1, 0.2, 0.9], np.float32).tobytes())
    path = picture(tmp_path / "it.png", (shapes.SIDE,) * 2)
    assert app(1, "classification", tmp_path, path, "m") == "c\n"
    with Image.open(path) as opened:
        wanted = data.normalize(np.asarray(opened).transpose(2, 0, 1)[None])[0].transpose(1, 2, 0)
    fed = np.frombuffer((tmp_path / "m.fed").read_bytes(), np.float32).reshape(wanted.shape)
    np.testing.assert_allclose(fed, wanted, atol=1e-5)
