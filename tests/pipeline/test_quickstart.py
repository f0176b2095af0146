"""The settings of the quickstart; the chain itself is tested in ``test_pipeline.py``."""

import inspect
from dataclasses import astuple

import numpy as np
import pytest
from typer.main import get_command

from hwnas.cli import app
from hwnas.cli.quickstart import quickstart as cli
from hwnas.pipeline import quickstart
from hwnas.pipeline.quickstart import QuickstartOptions


@pytest.mark.parametrize(("images", "epochs"), [(1250, 8), (4000, 2), (12_500, 1)])
def test_training_takes_about_as_many_steps_whatever_the_data(tmp_path, images, epochs):
    some = np.random.default_rng(0).integers(0, 256, (images, 2, 2), dtype=np.uint8)
    labels = np.arange(images) % 2
    np.savez(tmp_path / "a.npz", images=some, labels=labels)
    config = quickstart.config_of(
        tmp_path / "run", "host", QuickstartOptions("macro-r8", str(tmp_path / "a.npz"))
    )
    assert config.values["train"]["epochs"] == epochs


def test_its_own_images_are_those_that_tell_networks_apart(tmp_path):
    assert quickstart.config_of(tmp_path, "host", QuickstartOptions(epochs=1)).data.startswith("clutter")


def test_the_command_has_the_same_defaults():
    command = {name: p.default for name, p in inspect.signature(cli).parameters.items()}
    asked = ("space", "data", "budget_ms", "epochs", "seed", "accept_noise")
    assert [command[name] for name in asked] == list(astuple(QuickstartOptions()))


def test_a_number_of_epochs_that_is_given_is_kept(tmp_path):
    config = quickstart.config_of(tmp_path, "host", QuickstartOptions(data="digits", epochs=3))
    assert config.data == "digits"
    assert config.values["train"]["epochs"] == 3


def test_the_command_says_how_many_steps_training_takes():
    epochs = next(o for o in get_command(app).commands["quickstart"].params if o.name == "epochs")
    assert f"about {quickstart.STEPS} steps" in epochs.help


def test_who_cuts_it_off_is_told_how_it_goes_on(tmp_path, monkeypatch, capsys):
    def cut_off(folder, *_):
        folder.mkdir(parents=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(quickstart, "run", cut_off)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        cli()
    [folder] = (tmp_path / "runs").iterdir()
    assert f"the same command with --out runs/{folder.name} goes on" in capsys.readouterr().err
