"""Weights from the supernet: the very network that the search scored, or a clear refusal."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from oneshot_helpers import CONFIG, digits, space

from hwnas import data, device, files, train
from hwnas.errors import TrainingError
from hwnas.evaluators.supernet.oneshot import OneShot
from hwnas.evaluators.supernet.warm_up import warm_up
from hwnas.search.oneshot.inherit import inherited
from hwnas.train.training import train_run

FULL = dataclasses.replace(CONFIG, width=1.0, resolution=8)
INDICES = [1, 0, 2, 0, 0, 1, 0, 1]  # identities among them, so that numbers in the network shift


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A run folder with a supernet of three steps, and the supernet."""
    run = tmp_path_factory.mktemp("inherit") / "run"
    oneshot = OneShot(space(), digits(), FULL)
    warm_up(oneshot, 3)
    oneshot.save(run / "supernet.safetensors")
    files.write_json(run / "arch.json", space().architecture(INDICES).to_json())
    target = device.load("host").target("litert", "int8").to_json()
    promise = {"name": "host", "target": target, "budget_ms": 1.0}
    record = {"strategy": "by hand", "seed": 0, "data": digits().describe(), "constraints": [promise]}
    files.write_json(run / "search.json", record)
    return run, oneshot


def test_the_network_answers_as_its_path_in_the_supernet(searched):
    run, oneshot = searched
    arch = space().architecture(INDICES)
    assert any(w.block.is_identity for w in arch.workloads)
    network = train.new_network(arch, 0)
    start = inherited(run, arch, digits())
    network.load_state_dict(start.tensors)
    images = torch.from_numpy(digits().normalize(digits().sample("val", 32).images))
    with torch.no_grad():
        expected = oneshot.supernet.eval()(images, INDICES).numpy()
        np.testing.assert_allclose(network.eval()(images).numpy(), expected, atol=1e-5)
    assert start.record["sha256"] == files.sha256(run / "supernet.safetensors")


@pytest.mark.slow
def test_training_begins_there_and_says_so(searched):
    run, _ = searched
    config = train.TrainConfig(epochs=1, batch_size=64, learning_rate=1e-9)
    record = train_run(run, config, start=lambda arch, images: inherited(run, arch, images))
    assert record.start == {
        "from": "supernet",
        "sha256": files.sha256(run / "supernet.safetensors"),
        "steps": 3,
    }
    network = train.new_network(space().architecture(INDICES), 1)
    train.load_weights(network, run / "weights.safetensors")
    start = inherited(run, space().architecture(INDICES), digits()).tensors
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.detach(), start[name], atol=1e-4, rtol=0)


def test_a_supernet_that_does_not_fit_is_refused(searched, tmp_path):
    arch = space().architecture(INDICES)
    with pytest.raises(TrainingError, match=r"must be there to lend its weights.*without --init supernet"):
        inherited(tmp_path, arch, digits())
    OneShot(space(), digits(), CONFIG).save(tmp_path / "supernet.safetensors")
    with pytest.raises(
        TrainingError, match=r"--proxy-width 0\.25: search into another folder with --proxy-width 1"
    ):
        inherited(tmp_path, arch, digits())
    other = data.load("digits", resolution=8, seed=1)
    with pytest.raises(TrainingError, match="of the network's space and data"):
        inherited(searched[0], arch, other)
