"""Two real processes of torchrun train one network as one process does."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import shared_trainings
from several import HERE, ended, run, started

from hwnas import data, device, files, spaces

EPOCHS = 6


def test_two_processes_compute_what_one_does(tmp_path):
    """In float64: norms, mixing, teachers, heads, masks, boxes, LARS, LAMB; parts are of unequal length."""
    program = started(HERE / "shared_trainings.py", tmp_path, processes=2)
    alone = shared_trainings.numbers()
    status, _, err = ended(program)
    assert status == 0, err
    first, second = (files.read_json(tmp_path / f"{number}.json", "numbers") for number in (0, 1))
    assert first == second, "both end with the same weights and the same answer"
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


def errors(text):
    """Sentences of hwnas, without what torchrun says of its processes."""
    return [line for line in text.splitlines() if line.startswith(("error:", "interrupted"))]


@pytest.mark.slow
def test_the_command_under_torchrun(runs):
    alone, shared = runs("alone"), runs("shared")
    assert run(*hwnas(alone))[0] == 0
    status, out, err = run(*hwnas(shared), processes=2)
    assert status == 0, err
    np.testing.assert_allclose(losses(shared), losses(alone), rtol=0.02)  # rounding of float32, in 48 steps
    assert out.count("was kept") == 1
    assert err.count(f"epoch 1/{EPOCHS} ") == 1
    assert record_of(shared)["weights_sha256"] == files.sha256(shared / "weights.safetensors")
    assert sorted(path.name for path in shared.iterdir()) == sorted(path.name for path in alone.iterdir())


def kill_after_two_epochs(program):
    """As a machine goes down: nobody can leave anything in order."""
    for line in program.stderr:
        if line.startswith("epoch 2/"):
            break
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
    np.testing.assert_allclose(losses(moved), losses(whole), rtol=0.02)
