"""Two pictures through two networks that are joined: the space, its first weights, and what runs of it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hwnas import blocks, data, export, spaces
from hwnas.errors import DataError, SpaceError
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.evaluators.supernet.network import Supernet, proxy_space
from hwnas.evaluators.supernet.oneshot import OneShot
from hwnas.known import pretrained
from hwnas.latency.overpaid import overpaid
from hwnas.space import Architecture
from hwnas.spaces.mfas import NETWORK
from hwnas.train import new_network
from hwnas.train.lent import lent, start_of
from hwnas.train.training import _load_for

SIDE = 32
RUN, STOP = 0, 1


@pytest.fixture(scope="module")
def space():
    return spaces.load("mfas", resolution=SIDE, num_classes=10)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Digits beside themselves upside down."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.npz"
    digits = data.load("digits", resolution=8)
    given = {}
    for split in ("train", "val", "test"):
        part = getattr(digits, split)
        images = part.images[:200].transpose(0, 2, 3, 1)
        given |= {f"x_{split}": np.concatenate([images, images[:, ::-1]], axis=3)}
        given |= {f"y_{split}": part.labels[:200]}
    np.savez(path, **given)
    return data.load(str(path), resolution=SIDE)


def of(space, **decided) -> Architecture:
    """The architecture of all that runs, but for what is said: names with _ for a dot."""
    said = {name.replace("_", "."): index for name, index in decided.items()}
    assert set(said) <= {choice.name for choice in space.decisions}
    return space.architecture([said.get(choice.name, 0) for choice in space.decisions])


def test_each_network_ends_somewhere_and_fusions_read_any_of_its_layers(space):
    names = [choice.name for choice in space.decisions]
    ends = [f"first.to{coarser}" for coarser in (8, 16, 32)]
    ends += [f"second.to{coarser}" for coarser in (4, 8, 16, 32)]
    fusions = [f"fusion{n}{what}" for n in (1, 2, 3) for what in (".first", ".second", "")]
    assert names == [*ends, *fusions]
    assert space.sizes == (2,) * 7 + (5, 5, 2) * 3
    assert space.input_shape == (6, SIDE, SIDE)


def test_what_nobody_reads_does_not_run(space):
    """All of the first network costs as much as its blocks that are read; the second is not looked at."""
    network = pretrained.known.load(NETWORK, resolution=SIDE, strides="imagenet").space
    macs = [
        sum(w.macs for w in (*network.fixed[:1], *(each[0] for each in network.choice_workloads[:stop])))
        for stop in (3, 5, 11, 16)
    ]
    for layer, chain in enumerate(macs, start=1):
        arch = of(space, fusion1_first=layer)
        joining = 128 * (24, 40, 112, 320)[layer - 1] + 2 * 128 * 128 + 128 * 10
        assert arch.macs == chain + joining
        assert not [block for block in arch.blocks if block.key() == "part_i6_f3_t6"]
    stopped = of(space, first_to16=STOP, fusion1_first=4)
    assert stopped.indices == of(space).indices, "without any layer of theirs all is left out"
    assert stopped.macs == macs[0] + 24 * 128 + 1280


def test_networks_are_paid_for_as_far_as_they_run(space):
    """What sums of costs pay too much, where an architecture is as simple as can be, is next to nothing."""
    fixed, tables = space.macs_table()
    rng = np.random.default_rng(0)
    for _ in range(40):
        arch = space.sample(rng)
        paid = fixed + sum(int(table[i]) for table, i in zip(tables, arch.indices, strict=True))
        idle = overpaid(space, np.array([arch.indices]), lambda w: w.macs)[0]
        assert paid - idle == arch.macs
    cheapest = space.architecture([len(table) - 1 if table[-1] == 0 else 0 for table in tables])
    assert cheapest.macs == pytest.approx(fixed + sum(int(table.min()) for table in tables), rel=0.03)
    deepest = of(space, fusion1_first=4, fusion1_second=4)
    paid = fixed + sum(int(table[i]) for table, i in zip(tables, deepest.indices, strict=True))
    assert paid == pytest.approx(deepest.macs, rel=0.01)


def test_blocks_begin_with_the_published_weights(space):
    """Either network gives what EfficientNet-Lite0 gives of its picture."""
    weights = pretrained.weights_of(NETWORK, resolution=SIDE)
    module = blocks.network(weights.architecture)
    pretrained.into(module, weights.architecture, weights)
    arch = of(space, fusion1_first=1, fusion1_second=3)
    start = start_of(arch, None)
    assert start.is_pretrained
    assert start.record["licence"] == "Apache-2.0"
    network = new_network(arch, 0).eval()
    own = network.state_dict()
    network.load_state_dict({**own, **start.tensors})
    images = torch.randn(2, 6, SIDE, SIDE)
    with torch.no_grad():
        values = {-1: images}
        for number, (part, reads) in enumerate(zip(network, arch.reads, strict=True)):
            values[number] = part(*(values[read] for read in reads))
        for half, count in ((images[:, :3], 4), (images[:, 3:], 12)):
            features = module.eval()[:count](half)
            alike = [value for value in values.values() if value.shape == features.shape]
            assert min(float((value - features).abs().max()) for value in alike) < 1e-3
    learnt = {name.split(".")[0] for name in start.tensors}
    assert len(learnt) == 4 + 12


def test_a_supernet_keeps_what_was_learnt_and_trains_the_rest(space, pairs, tmp_path):
    config = OneShotConfig(batch_size=16, recalibration_images=32, validation_images=32)
    oneshot = OneShot(space, pairs, config)
    before = {name: value.clone() for name, value in oneshot.supernet.named_parameters()}
    for step in range(3):
        oneshot.weight_step(oneshot.paths.uniform(step), 1.0)
    changed = {n for n, value in oneshot.supernet.named_parameters() if not torch.equal(value, before[n])}
    numbers = {int(name.split(".")[1]) for name in changed if name.startswith("choices.")}
    assert numbers
    assert not numbers & set(lent(space)), "what was learnt stays"
    assert oneshot.describe()["began_with"]["licence"] == "Apache-2.0"
    oneshot.save(tmp_path / "supernet.safetensors")
    again = OneShot.load(tmp_path / "supernet.safetensors", space, pairs)
    assert again.identity() == oneshot.identity()


def test_a_network_answers_as_its_path_in_the_supernet(space, pairs):
    """Also where a layer is missing that a fusion would read."""
    oneshot = OneShot(space, pairs, OneShotConfig(batch_size=16, recalibration_images=32))
    oneshot.weight_step(oneshot.paths.uniform(0), 1.0)
    stops = itertools.product((RUN, STOP), repeat=2)
    images = torch.randn(4, 6, SIDE, SIDE)
    for number, (first, second) in enumerate(stops):
        layers = np.random.default_rng(number).integers(5, size=3).tolist()
        read = dict(zip(("fusion1_second", "fusion2_first", "fusion2_second"), layers, strict=True))
        arch = of(space, first_to8=first, second_to16=second, fusion1_first=1, **read)
        network = oneshot.subnetwork(arch.indices)
        with torch.no_grad():
            expected = oneshot.supernet.eval()(images, arch.indices)
            torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-4)


def test_a_narrower_supernet_is_refused(space):
    with pytest.raises(SpaceError, match=r"must be as wide, but got a width of 0\.5"):
        proxy_space(space, width=0.5)
    assert Supernet(proxy_space(space, resolution=64), 0).space.input_shape == (6, 64, 64)


def test_networks_are_trained_on_pairs_alone(space, pairs, tmp_path):
    """Also where the second picture is not looked at."""
    np.savez(
        tmp_path / "one.npz",
        x=np.arange(100 * 192, dtype=np.uint8).reshape(100, 8, 8, 3),
        y=np.arange(100) % 10,
    )
    arch = of(space, fusion1_first=1)
    with pytest.raises(SpaceError, match=r"must have the 6 channels that mfas-r32-c10 reads, but .* have 3"):
        _load_for(arch, str(tmp_path / "one.npz"), pairs.describe())


def test_images_must_be_pairs(space):
    digits = data.load("digits", resolution=SIDE)
    with pytest.raises(SpaceError, match=r"must have the 6 channels .* digits have 3: an npz file"):
        OneShot(space, digits, OneShotConfig())
    with pytest.raises(SpaceError, match=r"must have the 3 channels .* have 6: give such images, or take"):
        OneShot(spaces.load("macro", resolution=SIDE), _two(digits), OneShotConfig())


def _two(digits):
    twice = {
        split: replace(part, images=np.concatenate([part.images] * 2, axis=1))
        for split in ("train", "val", "test")
        for part in [getattr(digits, split)]
    }
    return replace(digits, **twice, mean=digits.mean * 2, std=digits.std * 2)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["litert", "onnxruntime"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_it_is_lowered_as_others_are(space, runtime, precision):
    arch = of(space, fusion1_first=1, fusion1_second=2, fusion2=1, fusion2_first=4, fusion3=1)
    images = export.random_calibration(space.input_shape, 8, 1)
    lowered = export.lower(
        export.random_module(arch.blocks, 0, reads=arch.reads).eval(),
        space.input_shape,
        runtime,
        precision,
        calibration=images,
    )
    assert lowered.parity.partitions in (1, None)


def test_pairs_are_read_as_two_pictures(tmp_path: Path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 8, 12, 6), np.uint8)
    images[1, ..., :3] = images[0, ..., :3]  # one picture twice, each with another
    np.savez(tmp_path / "two.npz", x=images, y=np.arange(40) % 4)
    np.savez(tmp_path / "one.npz", x=images[..., 3:], y=np.arange(40) % 4)
    found, second = (data.load(str(tmp_path / name), resolution=8) for name in ("two.npz", "one.npz"))
    assert found.image_shape == (6, 8, 8)
    assert len(found.mean) == 6
    assert _seen(found, slice(3, 6)) == _seen(second, slice(0, 3))


def _seen(read, channels: slice) -> set[bytes]:
    """The pixels of each picture of all splits."""
    parts = (read.train.images, read.val.images, read.test.images)
    return {image[channels].tobytes() for images in parts for image in images}


@pytest.mark.parametrize("dark", ["first", "second"])
def test_each_picture_of_a_row_is_judged_by_itself(tmp_path: Path, dark, caplog):
    rng = np.random.default_rng(0)
    bright = rng.integers(0, 256, (40, 8, 8, 3), np.uint8)
    halves = [np.zeros_like(bright), bright] if dark == "first" else [bright, np.zeros_like(bright)]
    np.savez(tmp_path / "dark.npz", x=np.concatenate(halves, axis=3), y=np.arange(40) % 4)
    data.load(str(tmp_path / "dark.npz"), resolution=8)
    assert f"40 of 40 train ({dark} pictures) images are nearly black" in caplog.text
    scaled = [bright / 255, 255.0 * bright / 255]
    mixed = scaled if dark == "first" else scaled[::-1]
    np.savez(tmp_path / "mixed.npz", x=np.concatenate(mixed, axis=3), y=np.arange(40) % 4)
    with pytest.raises(DataError, match=r"all parts must use the same scale, but in .* scale them alike"):
        data.load(str(tmp_path / "mixed.npz"), resolution=8)
