"""Every strategy finds the layers that int8 breaks, on files that LiteRT runs."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from hostile_to_int8 import BROKEN, break_int8
from torch import nn

from hwnas import bits, runtimes
from hwnas.bits.gated import GatedPrecisions
from hwnas.bits.prices import Prices
from hwnas.bits.strategies.haq import Haq
from hwnas.bits.strategies.mixed_dnas import MixedDnas
from hwnas.bits.strategies.ranking import NoiseRanking
from hwnas.blocks import Conv, Head, MBConv
from hwnas.export import lower, parity, random_calibration, random_module
from hwnas.export.mixed import layers_of
from hwnas.export.noise import LayerNoise, of_layers
from hwnas.factors import Pair
from hwnas.latency.base import Cost

SHAPE = (3, 16, 16)
STATES = ("int8", "fp32", "16x8")


@pytest.fixture(scope="module")
def network():
    module = random_module(
        [Conv(3, 8, 3, 2), MBConv(8, 12, 3, 2, 2, activation="hswish"), Head(12, 16, 10)], 1
    )
    break_int8(module)
    return module


@pytest.fixture(scope="module")
def images():
    return random_calibration(SHAPE, 32, 0)


def additive(layers, states=STATES[:2]):
    """Dearer by multiply-adds, and 16x8 ten times as dear."""
    factors = np.array([0.0, 1.0, 10.0][: len(states)])
    return Prices(states, Cost(0.0, tuple(factors * layer.workload.macs for layer in layers), "MACs"), "said")


def subject(network, images, prices=additive, **given):
    """What is lost is the noise in the answers of real files, in percent."""
    layers = layers_of(network, SHAPE)
    exact = parity.answers(network, images)

    @functools.cache
    def lost(indices):
        kept = made.kept(indices)
        file = lower(network, SHAPE, "litert", "int8", calibration=images, kept=kept, check=False).model
        noise = np.square(runtimes.run(file, "litert", images) - exact).sum()
        return 100 * float(noise / np.square(exact).sum())

    known = {"lost": lost, "glance": lost, "noise": lambda p: of_layers(network, SHAPE, images, precision=p)}
    made = bits.BitSubject(
        layers, prices(layers), 5.0, **{**known, **given}, network=network, images=images, runtime="litert"
    )
    return made


def keeping(found, names):
    """These layers in fp32."""
    return tuple(int(layer.name in names) for layer in found.layers)


@pytest.fixture(scope="module")
def plain(network, images):
    return subject(network, images)


def test_int8_breaks_it_and_neither_layer_alone_is_a_cure(plain):
    assert plain.lost(plain.whole) > 50
    assert plain.lost(plain.finest) < 0.01
    assert [plain.lost(keeping(plain, name)) <= plain.allowed for name in (BROKEN, *BROKEN)] == [1, 0, 0]


@pytest.mark.parametrize(
    "make",
    [NoiseRanking, lambda s: Haq(s, limits=3, episodes=10), lambda s: MixedDnas(s, prices=3, steps=40)],
    ids=["ranking", "haq", "mixed-dnas"],
)
@pytest.mark.slow
def test_each_strategy_finds_the_cure(plain, make):
    found = make(plain).choose()
    assert plain.lost(found) <= plain.allowed
    assert set(BROKEN) <= set(plain.kept(found))
    assert plain.prices.of(found) <= 1.5 * plain.prices.of(keeping(plain, BROKEN))


def test_answers_of_a_seed_are_the_same(plain):
    assert Haq(plain, limits=1, episodes=4).choose() == Haq(plain, limits=1, episodes=4).choose()
    short = [MixedDnas(plain, prices=1, steps=3, drawn=1).choose() for _ in range(2)]
    assert short[0] == short[1]


@pytest.mark.parametrize("number", range(3))
def test_a_network_of_gates_computes_what_the_file_computes(network, images, number):
    """Of random precisions: the answers of both are nearer to each other than to those of fp32."""
    layers = layers_of(network, SHAPE)
    indices = np.random.default_rng(number).integers(3, size=len(layers))
    kept = {layer.name: STATES[n] for layer, n in zip(layers, indices, strict=True) if n}
    file = lower(network, SHAPE, "litert", "int8", calibration=images, kept=kept, check=False).model
    gated = GatedPrecisions(network, STATES, "litert", torch.from_numpy(images))
    shares = [torch.eye(3)[n] for n in indices]
    with torch.no_grad():
        (found,) = gated(torch.from_numpy(images), shares)
    said, exact = runtimes.run(file, "litert", images), parity.answers(network, images)
    assert np.square(found.numpy() - said).sum() < 0.25 * np.square(said - exact).sum()


class Known:
    """Layers of known noise, known costs, no files."""

    def __init__(self, noise, prices, allowed=1.0):
        self.asked = []
        layers = layers_of(random_module([Conv(3, 8, 3, 2), Conv(8, 8), Conv(8, 8), Head(8, 8, 4)], 0), SHAPE)
        self.noise = dict(zip(STATES, np.array(noise, float).T, strict=False))
        self.subject = bits.BitSubject(
            layers, prices, allowed, self.lost, self.lost, self.of, nn.Identity(), np.zeros(1), "litert"
        )

    def lost(self, indices):
        states = [self.subject.prices.states[n] for n in indices]
        return sum(self.noise[state][n] for n, state in enumerate(states))

    def of(self, precision):
        self.asked.append(precision)
        return [
            LayerNoise(str(n), "conv", 1, 10.0, -10 * np.log10(max(each, 1e-9)))
            for n, each in enumerate(self.noise[precision])
        ]


def between(costs, switch, states=STATES[:2]):
    """A row of layers; a switch is dear."""
    count = len(states)
    table = switch * (1 - np.eye(count))
    pairs = tuple(Pair(n, n + 1, table) for n in range(len(costs) - 1))
    return Prices(states, Cost(1.0, tuple(np.array(each, float) for each in costs), "ms", pairs), "said")


def test_ranking_counts_switches():
    """The second and the fourth layer must leave int8; that the third does too saves two switches."""
    noise = [(0.1, 0), (2, 0), (0.1, 0), (2, 0), (0.1, 0)]
    dear = Known(noise, between([(1, 2)] * 5, 0.8)).subject
    assert NoiseRanking(dear).choose() == (0, 1, 1, 1, 0)
    assert dear.prices.added_ms((0, 1, 1, 1, 0)) == pytest.approx(3 + 2 * 0.8)
    cheap = Known(noise, between([(1, 2)] * 5, 0.1)).subject
    assert NoiseRanking(cheap).choose() == (0, 1, 0, 1, 0)


def test_16x8_is_taken_where_it_is_cheaper_and_enough():
    noise = [(2, 0, 0.1), (0.1, 0, 0.05), (2, 0, 1.9), (0.1, 0, 0.05), (0.1, 0, 0.05)]
    prices = between([(1, 3, 2)] * 5, 0.0, STATES)
    assert NoiseRanking(Known(noise, prices).subject).choose() == (2, 0, 1, 0, 0)


def test_noise_of_16x8_is_not_asked_for_where_it_is_dearer_than_fp32():
    known = Known([(2, 0, 0)] * 5, between([(1, 2, 9)] * 5, 0.0, STATES), allowed=4.0)
    assert sum(NoiseRanking(known.subject).choose()) == 3
    assert known.asked == ["int8"]


def test_haq_lowers_what_the_agent_wants_coarsest():
    subject = Known([(2, 0, 1)] * 5, between([(1, 4, 2)] * 5, 0.0, STATES)).subject
    haq, wanted = Haq(subject), (0.9, 0.7, 0.95, 0.8, 0.99)
    assert haq._lowered((1, 1, 1, 1, 1), wanted, 1 + 20) == (1, 1, 1, 1, 1)
    assert haq._lowered((1, 1, 1, 1, 1), wanted, 1 + 16) == (1, 2, 1, 2, 1)
    assert haq._lowered((1, 1, 1, 1, 1), wanted, 1 + 5) == (0, 0, 0, 0, 0)


def test_where_fp32_costs_least_it_is_taken():
    subject = Known([(2, 0)] * 5, between([(2, 1)] * 5, 0.0)).subject
    assert Haq(subject).choose() == subject.finest
    assert NoiseRanking(subject).choose() == subject.finest
