"""Least values along sweeps and by integer programs are those of brute force."""

from __future__ import annotations

import numpy as np
import pytest
from factor_helpers import GRAPHS, every, random_terms

from hwnas.errors import SpaceError
from hwnas.factors import Pair, Sweep, Terms, ends, least
from hwnas.factors.program import Program


@pytest.mark.parametrize("graph", GRAPHS)
def test_ends_are_those_of_brute_force(graph):
    rng = np.random.default_rng(0)
    for _ in range(5):
        terms = random_terms(rng, graph)
        values = terms.of(every(terms.sizes))
        low, high = ends(terms)
        assert terms.of(low)[0] == pytest.approx(values.min())
        assert terms.of(high)[0] == pytest.approx(values.max())


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_program_finds_the_same_with_and_without_limits(graph):
    rng = np.random.default_rng(1)
    for _ in range(4):
        terms = random_terms(rng, graph)
        rows = [random_terms(rng, graph) for _ in range(2)]
        states = every(terms.sizes)
        limits = [float(np.quantile(row.of(states), 0.3)) for row in rows]
        kept = np.all([row.of(states) <= limit for row, limit in zip(rows, limits, strict=True)], axis=0)
        program = Program(terms.sizes, [*terms.pairs, *(p for row in rows for p in row.pairs)])
        assert terms.of(program.solve(terms).indices)[0] == pytest.approx(terms.of(least(terms))[0])
        found = program.solve(terms, rows, limits)
        assert (found is not None) == kept.any()
        if found is not None:
            best = terms.of(states[kept]).min()
            assert terms.of(found.indices)[0] == pytest.approx(best)
            assert found.bound <= best + 1e-6


def test_a_limit_that_nothing_keeps_has_no_answer():
    terms = random_terms(np.random.default_rng(2), "chain")
    low = terms.of(least(terms))[0]
    assert Program(terms.sizes, terms.pairs).solve(terms, [terms], [low - 0.01]) is None


def test_frontiers_of_chains_and_stars_are_one_slot():
    rng = np.random.default_rng(3)
    sizes = (8,) * 40
    chain = [Pair(n, n + 1, rng.random((8, 8))) for n in range(39)]
    star = [Pair(n, 0, rng.random((8, 8))) for n in range(1, 40)]
    for pairs in (chain, star):
        assert Sweep.of(sizes, pairs).entries == 64
    shuffled = rng.permutation(40).tolist()
    moved = [Pair(shuffled[p.first], shuffled[p.second], p.values) for p in chain]
    assert Sweep.of(sizes, moved).entries == 64


def test_a_graph_that_is_too_wide_goes_to_the_program():
    rng = np.random.default_rng(4)
    sizes, slots = (8,) * 9, range(9)
    pairs = tuple(Pair(a, b, rng.random((8, 8))) for a in slots for b in slots if a < b)
    terms = Terms(tuple(rng.random(8) for _ in slots), pairs)
    assert not Sweep.of(sizes, pairs).is_narrow
    flat = Terms(terms.singles, tuple(Pair(p.first, p.second, 0.02 * p.values) for p in pairs))
    found = flat.of(least(flat))[0]
    drawn = rng.integers(0, 8, (20_000, 9))
    assert found <= flat.of(drawn).min()


def test_pairs_that_do_not_fit_are_refused():
    with pytest.raises(SpaceError, match="two different slots"):
        Pair(1, 1, np.zeros((2, 2)))
    with pytest.raises(SpaceError, match="finite table"):
        Pair(0, 1, np.array([[np.nan]]))
    with pytest.raises(SpaceError, match="must fit its slots"):
        Terms((np.zeros(2), np.zeros(3)), (Pair(1, 0, np.zeros((2, 3))),))
