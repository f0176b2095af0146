"""The settings of the quickstart; the chain itself is tested in ``chain/``."""

import numpy as np
import pytest

from hwnas import quickstart


@pytest.mark.parametrize(("images", "epochs"), [(1250, 20), (4000, 6), (12_500, 2)])
def test_training_takes_about_as_many_steps_whatever_the_data(tmp_path, images, epochs):
    some = np.random.default_rng(0).integers(0, 256, (images, 2, 2), dtype=np.uint8)
    labels = np.arange(images) % 2
    np.savez(tmp_path / "a.npz", images=some, labels=labels)
    config = quickstart.config_of(tmp_path / "run", "host", space="macro-r8", data=str(tmp_path / "a.npz"))
    assert config.values["train"]["epochs"] == epochs


def test_its_own_images_are_those_that_tell_networks_apart(tmp_path):
    assert quickstart.config_of(tmp_path, "host", epochs=1).data == "clutter"


def test_a_number_of_epochs_that_is_given_is_kept(tmp_path):
    config = quickstart.config_of(tmp_path, "host", data="digits", epochs=3)
    assert config.data == "digits"
    assert config.values["train"]["epochs"] == 3
