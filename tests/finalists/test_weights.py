"""Latency does not depend on weights: finalists may be measured with random ones."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas import blocks, device, export, release, train
from hwnas.measure import Measurer, ProfileOptions


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["litert", "onnxruntime"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_random_weights_take_as_long_as_trained_ones(exported_run, runtime, precision):
    arch, search = release.read_run(exported_run)
    dataset = release.load_data(search.data)
    trained = blocks.network(arch)
    train.load_weights(trained, exported_run / "weights.safetensors")
    images = dataset.normalize(dataset.sample("train", 32).images)
    shape = arch.space.input_shape
    models = {
        name: export.lower(module, shape, runtime, precision, calibration=images, check=False).model
        for name, module in (("trained", trained), ("random", export.random_module(arch.blocks, 0)))
    }
    with Measurer(device.load("host"), ProfileOptions(rounds=9, max_rounds=27)) as measurer:
        target = device.load("host").target(runtime, precision)
        found = measurer.measure(target, models).measurements
    ratio = np.log(found["trained"].latency_ms / found["random"].latency_ms)
    noise = found["trained"].relative_ci + found["random"].relative_ci
    assert abs(ratio) < 0.03 + noise
