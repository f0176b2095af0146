"""Text inside a model changes nothing about what the model does."""

from __future__ import annotations

import pytest

from hwnas import export, runtimes, spaces
from hwnas.errors import ExportError
from hwnas.export import metadata, random_calibration, random_module

SHAPE = (3, 16, 16)
FILES = [(name, precision) for name in export.RUNTIMES for precision in runtimes.get(name).files]
TEXT = '{"labels": ["Möwe", "cat"]}'


@pytest.fixture(scope="module")
def models():
    arch = spaces.load("macro", resolution=16).architecture([1, 2, 1, 0, 2, 1, 0, 1])
    module = random_module(arch.blocks, seed=0)
    calibration = random_calibration(SHAPE, 4, seed=0)
    return {
        (name, precision): export.lower(module, SHAPE, name, precision, calibration=calibration).model
        for name, precision in FILES
    }


@pytest.mark.parametrize(("name", "precision"), FILES)
def test_answers_and_delegates_stay_as_they_were(models, name, precision):
    before = models[name, precision]
    after = metadata.embed(before, name, TEXT)
    images = random_calibration(SHAPE, 8, seed=1)
    assert runtimes.run(after, name, images).tobytes() == runtimes.run(before, name, images).tobytes()
    assert runtimes.get(name).host.execution(after) == runtimes.get(name).host.execution(before)
    assert metadata.embedded(before, name) is None
    assert metadata.embedded(after, name) == TEXT


@pytest.mark.parametrize(("name", "precision"), FILES)
def test_the_bytes_follow_from_the_text_and_a_text_is_replaced(models, name, precision):
    once = metadata.embed(models[name, precision], name, TEXT)
    assert metadata.embed(models[name, precision], name, TEXT) == once
    other = metadata.embed(models[name, precision], name, "something else")
    assert metadata.embedded(metadata.embed(other, name, TEXT), name) == TEXT
    assert len(metadata.embed(other, name, TEXT)) == len(once)


@pytest.mark.parametrize("name", export.RUNTIMES)
def test_what_is_no_model_is_refused(name):
    for content in (b"", b"no model at all", bytes(64)):
        with pytest.raises(ExportError):
            metadata.embedded(content, name)


def test_an_unknown_runtime_is_refused(models):
    with pytest.raises(ExportError, match="must be one of"):
        metadata.embed(models["litert", "fp32"], "nothing-known", TEXT)
