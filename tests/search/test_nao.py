"""NAO: networks are known again, the gradient leads uphill, and what is decoded is new and feasible."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sampling_helpers import regret, task_in, two_budgets
from task_helpers import Task, searched

from hwnas.budget import Budget
from hwnas.errors import SpaceError
from hwnas.factors import Pair
from hwnas.latency.base import Cost
from hwnas.search.problem import Constraint, relative_budget
from hwnas.search.sampling.autoencoder import UNSCORED, WIDTH, Autoencoder, Decoder, Examples, train
from hwnas.search.sampling.controller import argmax
from hwnas.search.sampling.nao import NAO, ranked
from hwnas.search.sampling.random import Random

SIZES = (3,) * 6


@pytest.fixture(scope="module")
def trained():
    """A model of networks that are the better the more of their candidates are 1."""
    rng = np.random.default_rng(0)
    rows = np.unique(rng.integers(3, size=(30, len(SIZES))), axis=0)
    scores = ranked((rows == 1).mean(axis=1))
    model = Autoencoder(SIZES, rng)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    train(model, optimizer, Examples(rows, scores, rows), rng, trade_off=0.9, steps=150)
    return model, rows, scores


def test_networks_that_were_seen_are_known_again(trained):
    model, rows, _ = trained
    with torch.no_grad():
        embeddings = model.encode(torch.from_numpy(rows))
    decoded = np.array([argmax(Decoder(model, e[None]), len(SIZES)) for e in embeddings])
    assert (decoded == rows).mean() > 0.95
    assert (decoded[0] != decoded).any(), "not always the same"


def test_the_predictor_ranks_networks_that_were_not_seen(trained):
    model, rows, scores = trained
    others = np.random.default_rng(9).integers(3, size=(100, len(SIZES)))
    with torch.no_grad():
        said = [model.predict(model.encode(torch.from_numpy(r))).numpy() for r in (rows, others)]
    assert np.corrcoef(said[0], scores)[0, 1] > 0.95
    assert np.corrcoef(said[1], (others == 1).sum(axis=1))[0, 1] > 0.6


def test_a_step_along_the_gradient_raises_the_prediction(trained):
    model, rows, _ = trained
    with torch.no_grad():
        embeddings = model.encode(torch.from_numpy(rows))
        before = model.predict(embeddings)
    moved = model.moved(embeddings, 1.0)
    with torch.no_grad():
        assert (model.predict(moved) > before).all()
    assert moved.norm(dim=-1).numpy() == pytest.approx(1.0, abs=1e-5)
    assert torch.allclose(model.moved(embeddings, 0.0), embeddings, atol=1e-6)


def test_the_further_the_step_the_better_is_what_is_decoded(trained):
    model, rows, _ = trained
    with torch.no_grad():
        embeddings = model.encode(torch.from_numpy(rows))

    def ones(step):
        moved = model.moved(embeddings, step)
        return np.mean([(argmax(Decoder(model, e[None]), len(SIZES)) == 1).mean() for e in moved])

    assert ones(1024.0) > ones(0.0) + 0.1


def test_embeddings_have_length_one_and_what_is_decoded_step_by_step_is_as_probable(trained):
    """Decoding with a state says the same as reading a whole architecture at once."""
    model, rows, _ = trained
    row = torch.from_numpy(rows[:1])
    with torch.no_grad():
        embedding = model.encode(row)
        whole = model.log_probabilities(embedding, row)[0]
        state, before, each = None, torch.zeros(1, dtype=torch.long), []
        for number, index in enumerate(row[0]):
            logs, state = Decoder(model, embedding).step(number, before, state)
            each.append(float(logs[0, index]))
            before = index[None]
    assert embedding.shape == (1, len(SIZES), WIDTH)
    assert embedding.norm(dim=-1).numpy() == pytest.approx(1.0, abs=1e-5)
    assert each == pytest.approx(whole.numpy(), abs=1e-5)


def test_all_of_the_loss_is_the_predictors_or_the_decoders():
    rows = np.random.default_rng(0).integers(3, size=(10, len(SIZES)))

    def changed(trade_off):
        model = Autoencoder(SIZES, np.random.default_rng(0))
        before = {name: value.detach().clone() for name, value in model.named_parameters()}
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        examples = Examples(rows, np.linspace(0, 1, 10), rows[:0])
        train(model, optimizer, examples, np.random.default_rng(0), trade_off=trade_off, steps=1)
        after = model.named_parameters()
        return {name.split(".")[0] for name, value in after if not torch.equal(value, before[name])}

    assert changed(1.0) == {"embedding", "encoder", "predictor"}
    assert "predictor" not in changed(0.0)
    assert {"predictor", "decoder", "head", "attended", "encoder"} <= changed(0.5)


def test_the_decoder_knows_what_it_learnt_without_a_score(monkeypatch):
    """And the predictor is told nothing of that; a step sees so many of them at most."""
    rng, seen = np.random.default_rng(0), []
    rows = rng.integers(3, size=(2 * UNSCORED, len(SIZES)))
    model, encode = Autoencoder(SIZES, rng), Autoencoder.encode
    monkeypatch.setattr(
        Autoencoder, "encode", lambda self, indices: seen.append(len(indices)) or encode(self, indices)
    )
    examples = Examples(rows[:5], np.full(5, 0.5), rows[5:])
    before = model.predictor.bias.item()
    train(model, torch.optim.SGD(model.parameters(), lr=0.1), examples, rng, trade_off=0.0, steps=3)
    assert seen == [5 + UNSCORED] * 3
    assert model.predictor.bias.item() == before
    train(model, torch.optim.Adam(model.parameters(), lr=1e-2), examples, rng, trade_off=0.1, steps=60)
    with torch.no_grad():
        every = torch.from_numpy(rows[5:])
        assert model.log_probabilities(model.encode(every), every).mean() > 0.5 * np.log(1 / 3)


def test_none_without_a_score_is_as_in_the_paper():
    task = task_in("macro", 0.5)
    sampler = NAO(initial=4, unscored=0, fit_steps=1).sampler(task, np.random.default_rng(0))
    assert sampler._unscored.shape == (0, 8)
    result = searched(NAO(queries=8, initial=4, unscored=0, fit_steps=1), task, np.random.default_rng(0))
    assert len(result.trials) == 8


def test_scores_are_learnt_by_their_rank():
    assert ranked(np.array([0.1, 0.92, 0.91])).tolist() == [0.0, 1.0, 0.5]
    assert ranked(np.array([0.5, 0.5, 0.9])).tolist() == [0.25, 0.25, 1.0]
    assert ranked(np.array([0.5])).tolist() == [0.0]


@pytest.mark.slow
def test_random_networks_come_first_and_a_batch_between_two_fits(monkeypatch):
    fits = []
    monkeypatch.setattr(
        "hwnas.search.sampling.autoencoder.train",
        lambda model, optimizer, examples, rng, **rest: fits.append((len(examples.scores), rest["steps"])),
    )
    searched(
        NAO(queries=30, initial=8, batch=4, fit_steps=10), task_in("macro", 0.8), np.random.default_rng(0)
    )
    assert fits[0] == (8, 60), "the first is longer"
    assert all(steps == 10 for _, steps in fits[1:])
    assert all(after - before <= 4 for (before, _), (after, _) in itertools.pairwise(fits))
    assert len(fits) >= 6


def test_the_step_grows_until_what_is_decoded_is_new(monkeypatch):
    task, steps = task_in("macro", 1.0), []
    sampler = NAO(initial=2).sampler(task, np.random.default_rng(0))
    known, new = (0,) * 8, (1,) * 8
    sampler.archive.claim(known)
    monkeypatch.setattr(
        Autoencoder, "moved", lambda self, embedding, step: steps.append(step) or torch.tensor(step)
    )
    monkeypatch.setattr(sampler, "_decoded", lambda moved: new if moved > 50 else known)
    assert sampler._new_from(torch.zeros(1, 8, WIDTH)) == new
    assert steps == [10.0, 20.0, 40.0, 80.0]
    assert sampler._new_from(torch.zeros(1, 8, WIDTH)) is None, "new only once"
    assert len(steps) == 4 + 7


def test_where_nothing_new_is_reached_random_networks_fill_the_batch(monkeypatch):
    fits = []
    sampler = NAO(initial=3, batch=4).sampler(task_in("macro", 0.5), np.random.default_rng(0))
    monkeypatch.setattr(sampler, "_fit", lambda: fits.append(None))
    monkeypatch.setattr(sampler, "_new_from", lambda embedding: None)
    problem, asked = sampler.archive.problem, []
    for _ in range(3 + 2 * 4):
        asked.append(sampler.ask())
        sampler.tell(problem.described(asked[-1], 0.5))
    assert len(set(asked)) == 11
    assert len(fits) == 2


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.02, 0.3])
def test_what_is_decoded_keeps_a_tight_budget(share):
    task = two_budgets("fbnet", 0.3) if share == 0.3 else task_in("fbnet", share)
    result = searched(NAO(queries=14, initial=5, batch=5, fit_steps=5), task, np.random.default_rng(0))
    assert task.feasible(np.array([t.indices for t in result.trials])).all()
    assert len(result.trials) == 14


def test_costs_of_two_choices_together_are_kept_by_repairing():
    task = task_in("macro")
    cost = task.constraints[0].costs
    paired = Cost(cost.fixed, cost.choices, cost.unit, (Pair(0, 1, 20 * np.eye(3)),))
    constraint = Constraint(Budget("paired", relative_budget(paired, 0.3)), paired)
    problem = Task(task.space, (constraint,), task.evaluate)
    result = searched(NAO(queries=16, initial=6, batch=5, fit_steps=5), problem, np.random.default_rng(0))
    assert problem.feasible(np.array([t.indices for t in result.trials])).all()


@pytest.mark.slow
def test_resumed_with_a_fitted_model_it_goes_on_as_if_never_stopped(tmp_path):
    """The contract's searches end before the model has a say."""
    task, path = task_in("macro", 0.5), tmp_path / "history.jsonl"
    strategy = NAO(queries=16, initial=5, batch=4, fit_steps=3, parallel=3)
    whole = searched(strategy, task, np.random.default_rng(0), history=path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:11]))
    assert searched(strategy, task, np.random.default_rng(0), history=path).trials == whole.trials


@pytest.mark.slow
def test_it_is_better_than_random_search():
    task = task_in("macro", 0.5)

    def mean(kind):
        found = [searched(kind(queries=45), task, np.random.default_rng(s)).best.indices for s in range(2)]
        return np.mean([regret(task, indices) for indices in found])

    assert mean(NAO) < mean(Random)


@pytest.mark.parametrize(
    "settings",
    [
        {"initial": 1},
        {"batch": 0},
        {"trade_off": 0.0},
        {"trade_off": 1.0},
        {"fit_steps": 0},
        {"unscored": -1},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(SpaceError, match=f"{next(iter(settings))} must be"):
        NAO(**settings)
