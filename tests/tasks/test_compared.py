"""A segmenter beside a known one: by the same recipe and the same metric, measured together."""

from __future__ import annotations

import numpy as np
import pytest
import shapes
from PIL import Image
from quick_measuring import form

import hwnas
from hwnas import device, report
from hwnas.compare import FOUND, compare

OTHER = "mobilenetv2-0.1+lraspp64"


@pytest.fixture
def pictures(tmp_path):
    """A folder of pictures and their masks."""
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for number in range(60):
        image, mask = shapes.picture(rng)
        Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / "images" / f"{number}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")
    return tmp_path


@pytest.mark.usefixtures("warm_processes")
@pytest.mark.slow
def test_a_segmenter_beside_a_known_one(pictures, tmp_path_factory):
    run, told = tmp_path_factory.mktemp("compared") / "run", list[str]()
    learnt = hwnas.train(
        run,
        data=pictures,
        pretrained="mobilenetv3-small-0.25",
        from_seed=True,
        task="segmentation",
        resolution=32,
        epochs=1,
    )
    found = compare(
        run,
        device.load("host"),
        against=[OTHER],
        variants=["litert-int8"],
        options=form(3),
        tell=told.append,
    ).to_json()
    assert found["metric"]["name"] == learnt.metric == "mean IoU"
    own, other = found["networks"]
    assert [own["name"], other["name"]] == [FOUND, OTHER]
    for row in (own, other):
        (variant,) = row["variants"]
        assert variant["name"] == "litert-int8"
        assert variant["latency_ms"] > 0
        assert 0 <= row["mean_IoU"]["interval"][0] <= row["mean_IoU"]["mean"] <= 1
    assert (run / "compare" / f"{OTHER}-seed0" / "weights.safetensors").is_file()
    page = report.write(run).read_text()
    assert OTHER in page
    assert "mean IoU" in page
