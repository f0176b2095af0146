"""Random graphs: known numbers of edges, no cycles, and the same graph from the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas.blocks.wiring import Wiring, barabasi_albert, erdos_renyi, watts_strogatz
from hwnas.errors import SpaceError

NODES = 32
DRAWN = {
    "er": lambda rng: erdos_renyi(NODES, 0.2, rng),
    "ba": lambda rng: barabasi_albert(NODES, 5, rng),
    "ws": lambda rng: watts_strogatz(NODES, 4, 0.75, rng),
}


def draw(name, seed):
    return DRAWN[name](np.random.default_rng(seed))


@pytest.mark.parametrize("name", DRAWN)
def test_every_node_is_on_a_way_from_the_input_to_the_output(name):
    for seed in range(20):
        drawn = draw(name, seed)
        from_input, to_output = set(drawn.first), set(drawn.last)
        for node in range(NODES):
            from_input |= {node} if from_input & set(drawn.reads[node]) else set()
        for node in reversed(range(NODES)):
            to_output |= set(drawn.reads[node]) if node in to_output else set()
        assert from_input == to_output == set(range(NODES))
        assert all(earlier < node for node, reads in enumerate(drawn.reads) for earlier in reads)
        assert 0 in drawn.first
        assert NODES - 1 in drawn.last


@pytest.mark.parametrize("name", DRAWN)
def test_a_seed_draws_the_same_graph_again(name):
    assert draw(name, 3) == draw(name, 3)
    assert len({draw(name, seed) for seed in range(10)}) == 10


def test_edges_are_as_many_as_each_model_has():
    """ER as many as pairs with the probability; BA M * (N - M) and WS N * K / 2, always."""
    assert all(len(draw("ba", seed).edges) == 5 * (NODES - 5) for seed in range(10))
    assert all(len(draw("ws", seed).edges) == NODES * 4 // 2 for seed in range(10))
    pairs = NODES * (NODES - 1) / 2
    mean = np.mean([len(draw("er", seed).edges) for seed in range(100)])
    assert mean == pytest.approx(0.2 * pairs, abs=4 * np.sqrt(pairs * 0.2 * 0.8 / 100))


def test_all_pairs_are_connected_with_certainty():
    rng = np.random.default_rng(0)
    assert len(erdos_renyi(6, 1.0, rng).edges) == 15
    assert erdos_renyi(1, 0.5, rng) == Wiring(1, ())


def test_graphs_of_pairs_are_connected():
    assert all(erdos_renyi(10, 0.15, np.random.default_rng(seed)).is_connected for seed in range(20))
    assert not Wiring(4, ((0, 1), (2, 3))).is_connected
    with pytest.raises(SpaceError, match="must be large enough to connect 32 nodes"):
        erdos_renyi(NODES, 0.01, np.random.default_rng(0))


def test_a_ring_where_nothing_is_moved():
    ring = watts_strogatz(8, 4, 0.0, np.random.default_rng(0))
    assert set(ring.edges) == {
        tuple(sorted((node, (node + step) % 8))) for node in range(8) for step in (1, 2)
    }
    assert (ring.first, ring.last) == ((0,), (7,))
    assert ring.reads[3] == (1, 2)


def test_a_ring_of_all_pairs_has_nowhere_to_move_to():
    assert len(watts_strogatz(5, 4, 1.0, np.random.default_rng(0)).edges) == 10


def test_edges_are_moved_as_often_as_the_probability_says():
    """One in 61 free nodes or so is a neighbour on the ring: what moves is rarely back at once."""
    nodes, ring = 64, set(watts_strogatz(64, 4, 0.0, np.random.default_rng(0)).edges)
    left = [
        len(ring & set(watts_strogatz(nodes, 4, 0.25, np.random.default_rng(seed)).edges)) / len(ring)
        for seed in range(40)
    ]
    assert np.mean(left) == pytest.approx(0.75, abs=0.03)


def test_who_has_more_edges_gets_more():
    """A tree of preferences has a hub; without them a node would hardly have that many."""
    trees = [barabasi_albert(200, 1, np.random.default_rng(seed)) for seed in range(20)]
    assert all(len(tree.edges) == 199 and tree.is_connected for tree in trees)
    hubs = [np.bincount(np.ravel(tree.edges)).max() for tree in trees]
    rng = np.random.default_rng(0)
    uniform = [
        np.bincount(np.ravel([(rng.integers(node), node) for node in range(1, 200)])).max() for _ in trees
    ]
    assert np.median(hubs) > 1.5 * np.median(uniform)


def test_the_first_added_node_is_connected_to_all_before_it():
    assert barabasi_albert(6, 5, np.random.default_rng(0)).reads[5] == (0, 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda rng: erdos_renyi(8, 0.0, rng), r"probability must be in \(0, 1\]"),
        (lambda rng: erdos_renyi(8, float("nan"), rng), "probability must be"),
        (lambda rng: erdos_renyi(0, 0.5, rng), "at least 1 node"),
        (lambda rng: erdos_renyi(-1, 0.5, rng), "at least 1 node"),
        (lambda rng: watts_strogatz(8, 4, 1.5, rng), r"probability must be in \[0, 1\]"),
        (lambda rng: watts_strogatz(8, 3, 0.5, rng), "must be even"),
        (lambda rng: watts_strogatz(8, 8, 0.5, rng), "fewer than nodes"),
        (lambda rng: barabasi_albert(5, 5, rng), "edges_each < nodes"),
        (lambda rng: barabasi_albert(5, 0, rng), "1 <= edges_each"),
        (lambda _: Wiring(3, ((1, 1),)), "to a later one"),
        (lambda _: Wiring(3, ((0, 3),)), "to a later one"),
        (lambda _: Wiring(3, ((0, 1), (0, 1))), "differ and ascend"),
        (lambda _: Wiring(3, ((1, 2), (0, 1))), "differ and ascend"),
    ],
)
def test_graphs_that_cannot_be(make, said):
    with pytest.raises(SpaceError, match=said):
        make(np.random.default_rng(0))
