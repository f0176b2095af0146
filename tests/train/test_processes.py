"""Two real processes of torchrun train one network as one process does."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import shared_trainings
import torch
from several import HERE, ended, run, started
from torch import nn

from hwnas import data, device, files, spaces, torchrun
from hwnas.errors import TrainingError
from hwnas.train import norms, ranks

EPOCHS = 12


@pytest.mark.slow
def test_two_processes_compute_what_one_does(tmp_path):
    """In float64: norms, mixing, teachers, heads, masks, boxes, LARS, LAMB; parts are of unequal length."""
    program = started(HERE / "shared_trainings.py", tmp_path, processes=2)
    alone = shared_trainings.numbers()
    status, _, err = ended(program)
    assert status == 0, err
    first, second = (files.read_json(tmp_path / f"{number}.json", "numbers") for number in (0, 1))
    assert first == second, "both end with the same weights and the same answer"
    assert first["threads"] == []
    for name, expected in alone.items():
        np.testing.assert_allclose(first[name], expected, rtol=1e-6, atol=1e-9, err_msg=name)


@pytest.fixture
def runs(tmp_path, few_digits):
    """Makes run folders, all alike."""
    digits = data.load(few_digits, resolution=16)
    space = spaces.load("macro", resolution=16)

    def made(name):
        folder = tmp_path / name
        promise = {
            "name": "host",
            "target": device.load("host").target("litert", "int8").to_json(),
            "budget_ms": 1.0,
        }
        record = {"strategy": "by hand", "seed": 0, "data": digits.describe(), "constraints": [promise]}
        files.write_json(folder / "arch.json", space.architecture([1, 0, 1, 0, 0, 1, 0, 0]).to_json())
        files.write_json(folder / "search.json", record)
        return folder

    return made


def hwnas(run, *more):
    """Words of a training of a few seconds."""
    usual = ("--epochs", EPOCHS, "--batch-size", 32, "--learning-rate", 0.005, "--device", "cpu")
    return ("-m", "hwnas", "train", run, *usual, *more)


def record_of(run):
    return files.read_json(run / "train.json", "record")


def losses(run):
    return [epoch["loss"] for epoch in record_of(run)["history"]]


def require_alike(found, expected):
    """As far as rounding lets them: what float32 rounds otherwise in a step is multiplied in later ones.

    In float64 they are the same (see above); here ``tools/_bench_ddp.py`` measures what rounding alone does.
    """
    np.testing.assert_allclose(found[:1], expected[:1], rtol=1e-3)
    np.testing.assert_allclose(found, expected, rtol=0.08)


def errors(text):
    """Sentences of hwnas, without what torchrun says of its processes."""
    return [line for line in text.splitlines() if line.startswith(("error:", "interrupted"))]


@pytest.mark.slow
def test_the_command_under_torchrun(runs):
    alone, shared = runs("alone"), runs("shared")
    assert run(*hwnas(alone))[0] == 0
    status, out, err = run(*hwnas(shared), processes=2)
    assert status == 0, err
    require_alike(losses(shared), losses(alone))
    assert out.count("was kept") == 1
    assert err.count(f"epoch 1/{EPOCHS} ") == 1
    assert record_of(shared)["weights_sha256"] == files.sha256(shared / "weights.safetensors")
    assert sorted(path.name for path in shared.iterdir()) == sorted(path.name for path in alone.iterdir())


def until_epoch_2(program):
    """What a program said until it has done two epochs."""
    read = []
    for line in program.stderr:
        read.append(line)
        if line.startswith("epoch 2/"):
            break
    return "".join(read)


def kill_after_two_epochs(program):
    """As a machine goes down: nobody can leave anything in order."""
    until_epoch_2(program)
    for process in (*children(program.pid), program.pid):
        os.kill(process, signal.SIGKILL)
    program.communicate(timeout=60)


def children(process):
    """Those of torchrun are in sessions of their own."""
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_a_checkpoint_moves_between_numbers_of_processes(runs, before, after):
    whole, moved = runs("whole"), runs("moved")
    program = started(*hwnas(moved), processes=before)
    kill_after_two_epochs(program)
    assert not (moved / "train.json").exists()
    status, _, err = run(*hwnas(moved), processes=after)
    assert status == 0, err
    assert "epoch 1/" not in err, "it goes on"
    assert f"epoch {EPOCHS}/{EPOCHS} " in err
    assert run(*hwnas(whole))[0] == 0
    require_alike(losses(moved), losses(whole))


DIFFERING = """
import os, sys
from hwnas.cli import main
if os.environ["RANK"] == "1":
    sys.argv += sys.argv.pop(1).split()
else:
    del sys.argv[1]
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ("--data missing", "'missing': there is no such path"),
        ("--seed 7", "must begin with the same settings"),
        ("--data digits", "must begin with the same images"),
    ],
)
def test_one_process_that_begins_with_something_else_ends_all(runs, tmp_path, other, sentence):
    script, folder = tmp_path / "differing.py", runs("run")
    script.write_text(DIFFERING)
    began = time.monotonic()
    status, _, err = run(script, other, *hwnas(folder)[2:], processes=2)
    assert time.monotonic() - began < 60
    assert status == 1
    assert len(errors(err)) == 1
    assert sentence in errors(err)[0]
    assert sorted(path.name for path in folder.iterdir()) == ["arch.json", "search.json"]


@pytest.mark.slow
def test_too_small_a_batch_and_wrong_usage_are_said_once(runs):
    status, _, err = run(*hwnas(runs("run")), "--optimizer", "adam", processes=2)
    assert (status, err.count("optimizer must be one of")) == (1, 1)
    small = [3 if word == 32 else word for word in hwnas(runs("run"))]
    status, _, err = run(*small, processes=2)
    assert status == 1
    (said,) = errors(err)
    assert "batch_size must be at least 2 for each of 2 processes, but got 3" in said
    status, _, err = run("-m", "hwnas", "verify", runs("run"), processes=2)
    assert (status, err.count("torchrun must start hwnas search or")) == (1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_where_one_process_is_killed_the_others_end_and_say_so(runs, victim):
    folder = runs("run")
    program = started(*hwnas(folder, "--ema", "0.9"), processes=2)
    read = until_epoch_2(program)
    os.kill(children(program.pid)[victim], signal.SIGKILL)
    status, _, err = ended(program, timeout=60)
    assert status == 1
    (said,) = errors(read + err)
    assert "must go on to the end, but another one ended" in said
    assert not (folder / "train.json").exists()
    assert (folder / "train-checkpoint.safetensors").exists()


@pytest.mark.slow
def test_ctrl_c_is_said_once(runs):
    folder = runs("run")
    program = started(*hwnas(folder), processes=2)
    read = until_epoch_2(program)
    program.send_signal(signal.SIGINT)
    _, _, err = ended(program, timeout=60)
    assert [line.split(";")[0] for line in errors(read + err)] == ["interrupted"]
    assert not (folder / "train.json").exists()


@pytest.mark.slow
def test_two_trainings_in_one_folder(runs):
    folder = runs("run")
    first = started(*hwnas(folder), processes=2)
    read = until_epoch_2(first)
    status, _, err = run(*hwnas(folder), processes=2)
    assert status == 1
    (said,) = errors(err)
    assert "a training must have its folder to itself" in said
    status, _, err = ended(first)
    assert status == 0, read + err
    assert (folder / "train.json").exists()


def test_a_shared_norm_of_one_process_is_a_norm():
    """Outputs, gradients and statistics, as a moving and as a plain average."""
    images = torch.randn(4, 3, 5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for momentum in (0.1, None):
        found = []
        for kind in (nn.BatchNorm2d, norms._SharedNorm):
            norm = nn.BatchNorm2d(3, momentum=momentum).double()
            norm.__class__ = kind
            with torch.no_grad():
                norm.weight.copy_(torch.tensor([0.5, 2.0, -1.0]))
            given = images.clone().requires_grad_()
            for _ in range(2):
                made = norm(given)
                (made * torch.arange(120.0).view_as(made).sin()).sum().backward()
            norm.eval()
            found.append(
                [made, norm(images), given.grad, *(p.grad for p in norm.parameters()), *norm.buffers()]
            )
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_a_shared_norm_takes_half_precision_as_a_norm_does():
    images = torch.randn(8, 3, 5, 2, generator=torch.Generator().manual_seed(0)).bfloat16()
    found = []
    for kind in (nn.BatchNorm2d, norms._SharedNorm):
        norm = nn.BatchNorm2d(3)
        norm.__class__ = kind
        given = images.clone().requires_grad_()
        made = norm(given)
        (made * torch.arange(240.0).view_as(made).sin()).sum().backward()
        found.append([made, given.grad, *(p.grad for p in norm.parameters()), *norm.buffers()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0.03, atol=0.03)


def test_one_process_keeps_its_norms_and_shares_nothing():
    network = nn.Sequential(nn.BatchNorm2d(2))
    batch = torch.ones(5, 1)
    with norms.shared(network):
        assert type(network[0]) is nn.BatchNorm2d
    assert torch.equal(ranks.part(batch), batch)
    assert ranks.gathered(batch, 5) is batch
    assert ranks.of_first(0.5) == 0.5
    ranks.require_same({"images": b"any"})
    ranks.wait()


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(2), nn.BatchNorm2d(2, affine=False)])
def test_norms_that_cannot_be_shared_are_refused(norm, monkeypatch):
    monkeypatch.setattr(ranks, "ranks", lambda: 2)
    with (
        pytest.raises(TrainingError, match="must be BatchNorm2d with weights"),
        norms.shared(nn.Sequential(norm)),
    ):
        pass


def test_numbers_of_something_else_than_torchrun_are_none(monkeypatch):
    for rank, size, expected in (
        ("1", "2", (1, 2)),
        ("3", "", (0, 1)),
        ("x", "y", (0, 1)),
        ("-1", "2", (0, 2)),
    ):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", size)
        assert (torchrun.number(), torchrun.count()) == expected


def test_torchrun_must_say_where_processes_meet(monkeypatch):
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match="but WORLD_SIZE alone is set"), ranks.joined(torch.device("cpu")):
        pass


def test_each_process_must_have_a_gpu(monkeypatch):
    taken = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    ranks._take_gpu(1)
    assert taken == [1]
    with pytest.raises(TrainingError, match="more than the 2 that there are: --nproc-per-node 2"):
        ranks._take_gpu(2)


@pytest.mark.gpu
def test_two_gpus_compute_what_one_does(runs):
    if torch.cuda.device_count() < 2:
        pytest.skip("there are less than two GPUs")
    alone, shared = runs("alone"), runs("shared")
    on_cuda = ("--device", "cuda", "--precision", "fp32")
    assert run(*hwnas(alone)[:-2], *on_cuda)[0] == 0
    status, _, err = run(*hwnas(shared)[:-2], *on_cuda, processes=2)
    assert status == 0, err
    require_alike(losses(shared), losses(alone))
