"""What is computed in half precision, and what is not."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from training_helpers import same, small_network, state

from hwnas import data, train
from hwnas.errors import TrainingError
from hwnas.train import config as settings
from hwnas.train import optim

SHORT = train.TrainConfig(epochs=2, batch_size=64, learning_rate=0.1)


@pytest.fixture(scope="module")
def digits():
    found = data.load("digits", resolution=8)
    return dataclasses.replace(found, train=found.sample("train", 256))


class Seen:
    """Notes what precisions a layer computes in."""

    def __init__(self, model):
        self.training, self.looking = set(), set()
        model[0][0].register_forward_hook(self.see)

    def see(self, layer, _given, made):
        (self.training if layer.training else self.looking).add(made.dtype)


def fitted(digits, **changes):
    model = small_network()
    seen = Seen(model)
    result = train.fit(model, digits, dataclasses.replace(SHORT, **changes))
    return state(model), result, seen


def test_bf16_computes_in_half_and_learns_in_whole_precision(digits):
    weights, result, seen = fitted(digits, precision="bf16")
    plain, usual, before = fitted(digits)
    assert seen.looking == {torch.bfloat16}
    assert torch.bfloat16 in seen.training
    assert before.training == before.looking == {torch.float32}, "a CPU does not round by itself"
    assert all(value.dtype == plain[name].dtype for name, value in weights.items())
    assert not same(weights, plain)
    assert result.history[0].loss == pytest.approx(usual.history[0].loss, rel=0.05)


def test_what_is_exact_is_so_in_any_precision():
    for precision, wanted in (("bf16", True), ("fp32", False), ("auto", False)):
        with optim.autocast(torch.device("cpu"), precision):
            made = torch.ones(2, 2) @ torch.ones(2, 2)
        assert (made.dtype is torch.bfloat16) == wanted
    with optim.autocast(torch.device("cpu"), "bf16", exact=True):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.float32


def test_fp16_is_refused_on_a_cpu():
    with pytest.raises(TrainingError, match="precision must be fp32 or bf16 on a CPU, but got 'fp16'"):
        train.TrainConfig(precision="fp16")
    assert train.TrainConfig(precision="fp16", device="cuda").precision == "fp16"


def as_if_allowed(monkeypatch):
    """A CPU computes in fp16 as well, slowly: what scales gradients can be tried on it."""
    require = settings.require_all
    monkeypatch.setattr(
        settings,
        "require_all",
        lambda config, checks: require(config, {k: v for k, v in checks.items() if "on a CPU" not in k}),
    )


def test_gradients_of_fp16_are_scaled_and_a_checkpoint_goes_on_with_the_scale(digits, tmp_path, monkeypatch):
    as_if_allowed(monkeypatch)
    config = dataclasses.replace(SHORT, precision="fp16", learning_rate=0.05)
    whole, resumed, path = small_network(), small_network(seed=9), tmp_path / "c.safetensors"
    expected = train.fit(whole, digits, config)

    def stop(record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train.fit(small_network(), digits, config, checkpoint=path, on_epoch=stop)
    found = train.fit(resumed, digits, config, checkpoint=path)
    assert same(state(whole), state(resumed))
    assert found.history[1].loss == expected.history[1].loss
    exact = train.fit(small_network(), digits, dataclasses.replace(config, precision="fp32"))
    assert found.history[0].loss == pytest.approx(exact.history[0].loss, rel=0.05)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["auto", "fp32", "bf16", "fp16"])
def test_precisions_on_cuda(digits, precision):
    _, result, seen = fitted(digits, precision=precision, device="cuda", epochs=8)
    wanted = {"fp32": torch.float32, "fp16": torch.float16}.get(precision, torch.bfloat16)
    assert seen.looking == {wanted}
    assert result.history[-1].loss < result.history[0].loss
