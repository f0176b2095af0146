"""New devices from few networks, on simulated devices whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas import latency, spaces
from hwnas.device import Target
from hwnas.errors import LatencyModelError
from hwnas.latency.bayes.active import Doubt, choose_networks, choose_rows
from hwnas.latency.bayes.device_prior import (
    DevicePrior,
    cheapest_free,
    learn_sizes,
    normalise,
    work_columns,
)
from hwnas.latency.bayes.entries import Entries
from hwnas.latency.bayes.transfer import Transferred, alikeness, transfer
from hwnas.latency.evaluate import rank_correlations
from hwnas.latency.layout import Layout
from hwnas.space import SearchSpace
from hwnas.tables.table import LatencyTable, Round

SPACE = spaces.load("fbnet", resolution=32, num_classes=100, strides="cifar")
PHYSICAL = Entries.of_space(SPACE)
INDEXED = Entries.of_sizes(SPACE.sizes)
POOL = np.random.default_rng(99).integers(0, 9, (400, 22))


def device(seed: int, own: float = 0.05) -> np.ndarray:
    """Costs of a device: its own mix of physical work, and each block off by itself."""
    rng = np.random.default_rng(seed)
    work, _ = work_columns(PHYSICAL)
    costs = work @ rng.dirichlet(np.ones(work.shape[1]))
    owned = PHYSICAL.groups(PHYSICAL.workloads)
    factors = owned @ np.exp(own * rng.standard_normal(owned.shape[1]))
    factors[-1] = 1.0
    return np.asarray(20 * costs * factors)


def spearman(costs: np.ndarray, truth: np.ndarray) -> float:
    matrix = PHYSICAL.layout.matrix(POOL)
    found, _ = rank_correlations(matrix @ costs, matrix @ truth)
    assert found is not None
    return found


def measure(truth: np.ndarray, count: int, seed: int, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    indices = rng.integers(0, 9, (count, 22))
    return indices, PHYSICAL.layout.matrix(indices) @ truth * np.exp(noise * rng.standard_normal(count))


def learn(
    entries: Entries,
    measured: tuple[np.ndarray, np.ndarray],
    known: dict[str, np.ndarray],
    sizes: dict[str, tuple[float, float]],
) -> Transferred:
    """What networks tell, left out in five parts: that is quicker than each by itself."""
    return transfer(entries, *measured, known, sizes, groups=np.arange(len(measured[1])) % 5)


KNOWN = {f"device{seed}": device(seed) for seed in range(4)}


@pytest.mark.parametrize("entries", [PHYSICAL, INDEXED], ids=["blocks", "indices"])
@pytest.mark.parametrize("known", [KNOWN, {}], ids=["known", "none"])
@pytest.mark.slow
def test_more_networks_are_better(entries: Entries, known: dict[str, np.ndarray]) -> None:
    sizes = learn_sizes(entries, known)
    means = []
    for count in (5, 14, 36):
        scores = [
            spearman(
                learn(entries, measure(device(50 + t), count, t, 0.01), known, sizes).costs_ms,
                device(50 + t),
            )
            for t in range(3)
        ]
        means.append(np.mean(scores))
    assert means[0] < means[1] < means[2]
    assert means[2] > (0.99 if entries is PHYSICAL else 0.7)


def test_a_mixture_of_known_devices_is_found_from_indices_alone() -> None:
    truth = 0.7 * KNOWN["device0"] + 0.3 * KNOWN["device3"]
    found = transfer(INDEXED, *measure(truth, 10, 0), KNOWN)
    assert spearman(found.costs_ms, truth) > 0.99
    assert "device0" in found.notes[0]


@pytest.mark.slow
def test_ten_networks_beat_macs_alone_whatever_is_known() -> None:
    unlike = {
        f"odd{seed}": np.random.default_rng(seed).uniform(0, 1, PHYSICAL.layout.entries) for seed in range(3)
    }
    macs = [spearman(PHYSICAL.macs, device(50 + t)) for t in range(4)]
    for known in (KNOWN, unlike, {}):
        sizes = learn_sizes(PHYSICAL, known)
        found = [learn(PHYSICAL, measure(device(50 + t), 10, t, 0.02), known, sizes) for t in range(4)]
        scores = [spearman(f.costs_ms, device(50 + t)) for t, f in enumerate(found)]
        assert np.mean(scores) > np.mean(macs)
        if known is unlike:
            assert all(not f.prior.known and "not used" in f.notes[0] for f in found)


def test_noise_does_not_make_it_worse_than_macs() -> None:
    """A device whose latency is its MACs, measured badly: physics must not be forgotten."""
    scores, sizes = [], learn_sizes(PHYSICAL, KNOWN)
    for trial in range(6):
        found = learn(PHYSICAL, measure(PHYSICAL.macs / 1e6, 10, trial, 0.2), KNOWN, sizes)
        scores.append(spearman(found.costs_ms, PHYSICAL.macs))
    assert np.mean(scores) > 0.95


@pytest.mark.slow
def test_intervals_cover_new_devices() -> None:
    inside = []
    matrix = PHYSICAL.layout.matrix(POOL)
    sizes = learn_sizes(PHYSICAL, KNOWN)
    for trial in range(8):
        truth = device(50 + trial)
        found = learn(PHYSICAL, measure(truth, 12, trial, 0.03), KNOWN, sizes)
        rng = np.random.default_rng(trial)
        measured = matrix @ truth * np.exp(0.03 * rng.standard_normal(len(POOL)))
        mean = matrix @ found.costs_ms
        variance = np.einsum("ni,ij,nj->n", matrix, found.posterior.covariance, matrix)
        std = np.sqrt(variance + (found.posterior.noise * mean) ** 2)
        inside.append(np.mean(np.abs(mean - measured) < 1.645 * std))
    assert 0.8 < np.mean(inside) < 0.98


def test_unknown_shares_of_choices_do_not_matter_where_only_indices_are_known() -> None:
    costs = KNOWN["device1"].copy()
    moved = costs.copy()
    moved[:9] += 3.0
    moved[-1] -= 3.0
    np.testing.assert_allclose(normalise(INDEXED, moved), normalise(INDEXED, costs))
    matrix = INDEXED.layout.matrix(POOL)
    np.testing.assert_allclose(matrix @ cheapest_free(INDEXED.layout, moved), matrix @ costs)


def test_alikeness_is_the_correlation_over_architectures() -> None:
    layout = Layout((3, 2))
    entries, rng = Entries.of_sizes((3, 2)), np.random.default_rng(0)
    first, second = rng.uniform(size=6), rng.uniform(size=6)
    every = layout.matrix(np.array([[i, j] for i in range(3) for j in range(2)]))
    expected = np.corrcoef(every @ first, every @ second)[0, 1]
    assert alikeness(entries, first, second) == pytest.approx(expected)
    assert alikeness(entries, first, np.ones(6)) == 0.0


def test_no_network_is_refused() -> None:
    with pytest.raises(LatencyModelError, match="at least one"):
        transfer(PHYSICAL, np.zeros((0, 22), np.int64), np.zeros(0), KNOWN)


def doubt_after(doubt: Doubt, pool: np.ndarray, rows: list[int]) -> float:
    """Mean variance of the pool once rows were measured, by its definition."""
    told = doubt.covariance @ pool[rows].T
    inner = np.linalg.inv(pool[rows] @ told + doubt.noise * np.eye(len(rows)))
    left = doubt.covariance - told @ inner @ told.T
    return float(np.sum(left * (pool.T @ pool)) / len(pool))


def test_chosen_networks_tell_more_than_drawn_ones() -> None:
    prior = DevicePrior(1.0).over(PHYSICAL)
    doubt, pool = Doubt.of_prior(prior, 1.0), PHYSICAL.layout.matrix(POOL)
    rows = choose_rows(doubt, pool, 8)
    assert len(set(rows)) == 8
    rng = np.random.default_rng(0)
    drawn = [doubt_after(doubt, pool, list(rng.choice(400, 8, replace=False))) for _ in range(20)]
    chosen = doubt_after(doubt, pool, rows)
    assert chosen < min(drawn)
    for number in range(8):  # no single exchange is better
        for other in range(0, 400, 23):
            exchanged = [*rows[:number], other, *rows[number + 1 :]]
            if len(set(exchanged)) == 8:
                assert doubt_after(doubt, pool, exchanged) >= chosen * (1 - 1e-6)


def test_the_first_choice_is_the_best_single_network() -> None:
    layout, rng = Layout((3, 3, 3)), np.random.default_rng(0)
    pool = layout.matrix(np.array([[i, j, k] for i in range(3) for j in range(3) for k in range(3)]))
    root = rng.standard_normal((layout.entries, layout.entries))
    doubt = Doubt(root @ root.T, 0.5)
    best = min(range(27), key=lambda row: doubt_after(doubt, pool, [row]))
    assert choose_rows(doubt, pool, 1) == [best]


def test_choices_are_reproducible_distinct_and_feasible(macro: SearchSpace) -> None:
    first = choose_networks(macro, 10, seed=3)
    assert [a.indices for a in first] == [a.indices for a in choose_networks(macro, 10, seed=3)]
    assert len({a.indices for a in first}) == 10
    only = choose_networks(macro, 10, feasible=lambda indices: indices[:, 0] == 1)
    assert {a.indices[0] for a in only} == {1}
    with pytest.raises(LatencyModelError, match="at hand"):
        choose_networks(macro, 3, feasible=lambda indices: np.zeros(len(indices), bool))


def test_a_table_of_networks_alone_becomes_a_model(macro: SearchSpace, tmp_path) -> None:
    chosen = choose_networks(macro, 10)
    rng = np.random.default_rng(5)
    heldout = [a for a in (macro.sample(rng) for _ in range(40)) if a not in chosen]
    rows = {
        arch.key(): Round(arch.key(), kind, "s", 0, (arch.macs / 1e7 + 2.0,))
        for kind, archs in (("heldout", heldout), ("calibration", chosen))
        for arch in archs
    }
    table = LatencyTable(Target("new", "litert", "int8"), {}, rows.values())
    model = latency.fit(table, macro, "transfer")
    assert model.evaluation["heldout"].spearman > 0.98
    assert model.evaluation["heldout"].mape < 0.05
    latency.save(model, tmp_path / "latency.json")
    again = latency.load(tmp_path / "latency.json")
    indices = np.array([a.indices for a in heldout])
    np.testing.assert_array_equal(
        again.predict(macro, indices).mean_ms, model.predict(macro, indices).mean_ms
    )
    assert again.notes == model.notes


def test_known_devices_are_the_other_targets_that_cover_the_space(macro: SearchSpace, tmp_path) -> None:
    def write(name: str, drop: int) -> None:
        workloads = macro.workloads()[drop:]
        rounds = [Round(w.key(), "block", "s", 0, (w.macs / 1e7,)) for w in workloads]
        path = tmp_path / name / "litert-int8.jsonl"
        path.parent.mkdir()
        LatencyTable(Target(name, "litert", "int8"), {}, rounds).save(path)

    for name, drop in (("new", 0), ("whole", 0), ("part", 2)):
        write(name, drop)
    found = latency.known_devices(macro, Target("new", "litert", "int8"), [tmp_path])
    assert list(found) == ["whole/litert-int8"]
    expected = Entries.of_space(macro).macs / 1e7
    np.testing.assert_allclose(found["whole/litert-int8"], expected, rtol=1e-6)
