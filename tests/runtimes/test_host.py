"""Running exported models in this process."""

from __future__ import annotations

import numpy as np
import pytest
from installed import installed, needs

from hwnas import runtimes
from hwnas.blocks import Conv
from hwnas.errors import ExportError
from hwnas.export import lower, random_calibration, random_module

SHAPE = (3, 8, 6)
NAMES = [
    "litert",
    "onnxruntime",
    *(pytest.param(name, marks=needs(name)) for name in ("openvino", "executorch")),
]


@pytest.fixture(scope="module")
def models():
    module, images = random_module([Conv(3, 4)], 0), random_calibration(SHAPE, 4, 1)
    return {
        (name, precision): lower(module, SHAPE, name, precision, calibration=images)
        for name in ("litert", "onnxruntime", *installed("openvino", "executorch"))
        for precision in ("fp32", "int8")
    }


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("name", NAMES)
def test_files_and_bytes_give_the_same(models, name, precision, tmp_path):
    lowered = models[name, precision]
    path = tmp_path / f"model{lowered.suffix}"
    path.write_bytes(lowered.model)
    images = random_calibration(SHAPE, 5, 2)
    first, second = runtimes.run(path, name, images), runtimes.run(lowered.model, name, images)
    assert first.shape == (5, 4, 8, 6)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", NAMES)
def test_int8_inputs_saturate(models, name):
    images = np.sign(random_calibration(SHAPE, 2, 2))
    far, farther = (runtimes.run(models[name, "int8"].model, name, images * scale) for scale in (1e3, 1e6))
    np.testing.assert_array_equal(far, farther)


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_run_is_refused(models, name, tmp_path):
    model, images = models[name, "fp32"].model, random_calibration(SHAPE, 2, 2)
    for wrong in (images[0], images[:, :2], images[:0], images.transpose(0, 2, 3, 1)):
        with pytest.raises(ExportError, match="images must be of shape"):
            runtimes.run(model, name, wrong)
    for broken in (b"", b"nonsense" * 9, model[: len(model) // 2], tmp_path / "missing"):
        with pytest.raises(ExportError, match="must be able to load"):
            runtimes.run(broken, name, images)
    with pytest.raises(ExportError, match="runtime must be one of"):
        runtimes.run(model, "nothing", images)
