"""Sub-networks of a supernet, in fp32 and quantised, through the real runtimes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from promise_helpers import space

from hwnas import data
from hwnas.errors import SpaceError
from hwnas.promise.judge import Judge
from hwnas.search.oneshot import OneShot, OneShotConfig, rate

PATHS = [(1, 1, 1, 0, 1, 2, 0, 0), (2, 0, 1, 1, 0, 1, 1, 0)]


@pytest.fixture(scope="module")
def trained():
    config = OneShotConfig(width=0.25, resolution=8, batch_size=64, recalibration_images=128)
    oneshot = OneShot(space(), data.load("digits", resolution=8), config)
    for step in range(120):
        oneshot.weight_step(PATHS[step % 2], rate(step, 120))
    return oneshot


def test_a_subnetwork_computes_what_the_supernet_does(trained):
    images = torch.cat([batch for batch, _ in trained.some("val", 64)])
    for path in PATHS:
        network = trained.subnetwork(path)
        with torch.no_grad():
            trained.supernet.eval()
            torch.testing.assert_close(network(images), trained.supernet(images, path), rtol=1e-4, atol=1e-4)
        assert not any(module.training for module in network.modules())


@pytest.mark.parametrize("runtime", ["litert", "onnxruntime"])
def test_int8_accuracy_is_measured_and_near_that_of_fp32(trained, runtime):
    judge = Judge(trained, "int8", runtime)
    for path in PATHS:
        estimates = judge.estimates(path)
        assert estimates["fp32"] > 0.3, "120 steps on digits must teach something"
        assert estimates["int8"] == pytest.approx(estimates["fp32"], abs=0.08)
        assert judge.final(path) == estimates["int8"]
    assert judge.best(PATHS, 1) == [max(PATHS, key=judge.int8)]


def test_known_accuracies_are_not_estimated_again(trained):
    judge = Judge(trained, "fp32", known={PATHS[0]: 0.123})
    assert judge.estimates(PATHS[0]) == {"fp32": 0.123}
    assert judge.final(PATHS[0]) == 0.123
    assert 0 < judge.doubt(0.5) < 0.05
    assert np.isfinite(judge.doubt(1.0))
    with pytest.raises(SpaceError, match="ranked by one of"):
        Judge(trained, "fp16")
