"""Spaces of cells: one decision fills several places, and what nobody reads does not run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hwnas import blocks, spaces
from hwnas.blocks import Conv, Skip, Zero
from hwnas.errors import SpaceError
from hwnas.evaluators.supernet.network import Supernet, proxy_space
from hwnas.export import lower, random_calibration
from hwnas.latency.bayes.entries import Entries, cost_vector
from hwnas.search.oneshot.inherit import _places
from hwnas.space import STEM, Choice, SearchSpace, Workload
from hwnas.spaces import own
from hwnas.spaces.canonical import Canonical

NOTHING, IDENTITY, POINTWISE, CONV, POOL = range(5)
SIDE = 8


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return spaces.load("nasbench201", resolution=SIDE)


def test_one_cell_of_six_edges_stands_in_fifteen_places(space):
    assert [choice.name for choice in space.decisions] == [
        "edge01",
        "edge02",
        "edge12",
        "edge03",
        "edge13",
        "edge23",
    ]
    assert space.num_architectures == 5**6
    for number in range(6):
        assert space.decision_numbers.count(number) == 15
    whole = space.architecture((CONV,) * 6)
    convs = [block for block in whole.blocks if isinstance(block, Conv) and block.kernel_size == 3]
    assert len(convs) == 15 * 6 + 2 * 2 + 1, "edges, two reductions, the stem"
    assert sum(block.kind == "sum" for block in whole.blocks) == 15 * 3 + 2
    assert not any(workload.block.is_identity for workload in whole.workloads), "nothing is left out"


def test_published_size_of_the_largest_cell():
    """Of NAS-Bench-201: multiply-adds of 3x3 convolutions everywhere, counted by hand."""
    whole = spaces.load("nasbench201").architecture((CONV,) * 6)
    cells = sum(5 * 6 * 9 * width**2 * side**2 for width, side in ((16, 32), (32, 16), (64, 8)))
    reductions = sum((9 * 3 + 1) * width**2 // 2 * side**2 for width, side in ((32, 16), (64, 8)))
    assert whole.macs == cells + reductions + 27 * 16 * 32**2 + 64 * 10


def test_what_nobody_reads_does_not_run(space):
    """Edges 0->2 and 1->2 end in a node that nothing comes from."""
    dead = space.architecture((CONV, CONV, POOL, CONV, CONV, NOTHING))
    assert dead.indices == (CONV, NOTHING, NOTHING, CONV, CONV, NOTHING)
    assert dead == space.architecture(dead.indices)
    assert not any(block.kind == "averagepool" for block in dead.blocks)
    assert Canonical(space).key((CONV, POOL, IDENTITY, CONV, CONV, NOTHING)) == dead.indices


def test_what_would_read_nothing_does_not_run(space):
    empty = space.architecture((NOTHING, CONV, CONV, NOTHING, POOL, CONV))
    assert empty.indices == (NOTHING, CONV, NOTHING, NOTHING, NOTHING, CONV)
    sums = [block for block in empty.blocks if block.kind == "sum"]
    assert len(sums) == 2, "those of the two reductions alone: each node is one edge"


def test_a_cell_without_a_way_through_is_left_out(space):
    cut_off = space.architecture((CONV, CONV, CONV, NOTHING, NOTHING, NOTHING))
    assert cut_off.indices == (NOTHING,) * 6
    assert (
        cut_off.blocks == space.architecture((NOTHING, NOTHING, NOTHING, IDENTITY, NOTHING, NOTHING)).blocks
    )
    left_out = [workload.block.kind for workload in cut_off.workloads if workload.block.is_identity]
    assert left_out == ["fallback"] * 15
    with torch.no_grad():
        answers = blocks.network(cut_off).eval()(torch.randn(2, 3, SIDE, SIDE))
    assert answers.shape == (2, 10)


def test_figures_are_sums_over_all_places(space):
    rng = np.random.default_rng(0)
    fixed, tables = space.macs_table()
    for _ in range(30):
        arch = space.sample(rng)
        assert arch.macs == fixed + sum(int(t[i]) for t, i in zip(tables, arch.indices, strict=True))
        assert sum(p.numel() for p in blocks.network(arch).parameters()) == arch.params


def test_costs_of_what_runs_are_those_of_the_sum(space):
    """But for one sum too many a node whose first edge is nothing while others are not."""

    def cost(workload: Workload) -> float:
        return 0.0 if workload.block.is_identity else 1.0 + workload.macs / 1e5

    vector, entries = cost_vector(space, cost), Entries.of_space(space)
    assert len(vector) == entries.layout.entries == len(entries.workloads) + 1
    rng = np.random.default_rng(1)
    for _ in range(60):
        arch = space.sample(rng)
        told = float(entries.layout.matrix(np.array([arch.indices]))[0] @ vector)
        _, second, third, *last = (index != NOTHING for index in arch.indices)
        too_many = (third and not second) + (any(last[1:]) and not last[0])
        assert told == pytest.approx(sum(map(cost, arch.workloads)) + 15 * too_many)


def test_a_path_of_the_supernet_is_the_network(space):
    supernet = Supernet(space, seed=0).eval()
    rng = np.random.default_rng(2)
    image = torch.randn(2, 3, SIDE, SIDE)
    tensors = {f"supernet:{name}": tensor for name, tensor in supernet.state_dict().items()}
    for indices in [(CONV, POINTWISE, NOTHING, NOTHING, POOL, IDENTITY), space.sample(rng).indices]:
        arch = space.architecture(indices)
        network = blocks.network(arch).eval()
        for source, number in _places(arch):
            part = {n.removeprefix(source): t for n, t in tensors.items() if n.startswith(source)}
            network[number].load_state_dict(part)
        with torch.no_grad():
            assert torch.allclose(network(image), supernet(image, indices), atol=1e-3)


def test_a_mixture_adds_what_each_edge_gives(space):
    """Weights of a decision hold in every place that it fills, and nothing adds nothing."""
    supernet = Supernet(space, seed=0).eval()
    image = torch.randn(1, 3, SIDE, SIDE)
    hard = (IDENTITY, POINTWISE, POOL, NOTHING, CONV, IDENTITY)
    gates = [torch.nn.functional.one_hot(torch.tensor(i), 5).float() for i in hard]
    with torch.no_grad():
        assert torch.allclose(supernet(image, gates), supernet(image, hard), atol=1e-5)
    with pytest.raises(SpaceError, match="gates must be 6"):
        supernet(image, [0] * 158)


def test_features_are_kept_no_longer_than_they_are_read(space):
    """Of a cell nothing but its output is read by later ones."""
    still = {-1}
    for number, done in enumerate(space.read_last):
        still = (still | {number}) - set(done)
        assert len(still) <= 7, space.choices[number].name


def test_a_narrower_proxy_has_the_same_decisions(space):
    proxy = proxy_space(space, width=0.5)
    assert (proxy.sizes, proxy.decision_numbers) == (space.sizes, space.decision_numbers)
    assert proxy.macs_table()[0] < space.macs_table()[0]


def test_a_space_that_is_told_whole_keeps_what_follows(space):
    told = replace(space, is_told_whole=True).to_json()
    again = own.told(told)
    assert again.decision_numbers == space.decision_numbers
    assert again.macs_range() == space.macs_range()
    untied = {
        **told,
        "choices": [{k: v for k, v in choice.items() if k != "follows"} for choice in told["choices"]],
    }
    assert own.told(untied).fingerprint != again.fingerprint


def small(*more: Choice) -> SearchSpace:
    first = Choice("a", (Skip(8, 8), Conv(8, 8)))
    return SearchSpace("small", (3, 8, 8), (Conv(3, 8),), (first, *more), ())


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        (Choice("b", (Skip(8, 8), Conv(8, 8)), follows="c"), "b of small follows 'c'"),
        (Choice("b", (Skip(8, 8),), follows="a"), "as many candidates"),
        (
            Choice("b", (Skip(8, 8), Conv(8, 8)), follows=STEM),
            "must have one candidate, but b of small has 2",
        ),
    ],
)
def test_what_cannot_be_followed_is_refused(choice, sentence):
    with pytest.raises(SpaceError, match=sentence):
        small(choice)


def test_a_space_without_a_way_through_says_so():
    space = small(Choice("b", (Zero(8, 8), Conv(8, 8))))
    assert space.architecture((1, 1)).macs
    with pytest.raises(SpaceError, match="a path must lead from the image to the answer"):
        space.architecture((1, 0))


@pytest.mark.parametrize(("name", "nodes", "operations"), [("darts", 4, 7), ("nasnet", 5, 9)])
def test_two_cells_are_decided_for_eight_places(name, nodes, operations):
    space = spaces.load(name, resolution=16)
    assert space.sizes == tuple(operations * (2 + node) for node in range(nodes) for _ in "ab") * 2
    halving = [c.name for c in space.decisions if c.name.startswith("reduction")]
    assert len(halving) == len(space.decisions) // 2 == 2 * nodes
    places = [space.decision_numbers.count(number) for number in range(len(space.decisions))]
    assert places == [6] * 2 * nodes + [2] * 2 * nodes
    assert space.choice_workloads[-1][0].out_shapes[0][1:] == (4, 4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["darts", "nasnet"])
def test_a_cell_that_nobody_reads_does_not_run(name):
    """All operations read what is two cells before."""
    space = spaces.load(name, resolution=16)
    fixed, tables = space.macs_table()
    arch = space.architecture([0] * len(space.sizes))
    assert arch.macs < fixed + sum(int(table[0]) for table in tables)
    last = [number for number, choice in enumerate(space.choices) if choice.name.startswith("cell7")]
    used = {place - len(space.stem) for place in arch.flow.used}
    assert not used & set(last), "the eighth cell reads the sixth"
    supernet = Supernet(proxy_space(space, width=0.5), seed=0).eval()
    image = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        assert supernet(image, arch.indices).shape == blocks.network(arch).eval()(image).shape == (1, 10)


@pytest.mark.parametrize("name", ["darts", "nasbench201", "nasnet"])
def test_a_network_of_cells_is_the_same_in_int8(name):
    space = spaces.load(name, resolution=8)
    arch = space.sample(np.random.default_rng(5))
    images = random_calibration(space.input_shape, 8, 1)
    lowered = lower(blocks.network(arch).eval(), space.input_shape, "litert", "int8", calibration=images)
    assert lowered.parity.partitions == 1
    assert not lowered.parity.float_operators
