"""What `hwnas pick` says of a budget."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from hwnas import device, files, spaces
from hwnas.cli import app
from hwnas.cli.pick import _kept
from hwnas.runs.budgets import BudgetRecord

SPACE = spaces.load("macro", resolution=16)
TARGET = device.load("host").target("litert", "int8")
UNUSABLE = {"word": "unusable", "reasons": ["others used 90% of the CPUs"]}


@pytest.mark.parametrize(
    ("measured_ms", "interval_ms", "quality", "word"),
    [
        (0.4, [0.39, 0.42], None, "PASS"),
        (0.4, [0.39, 0.42], {"word": "stable", "reasons": []}, "PASS"),
        (0.4, [0.39, 0.42], UNUSABLE, "NOT PROVEN"),
        (0.49, [0.48, 0.52], None, "NOT PROVEN"),
        (0.6, [0.55, 0.62], None, "FAIL"),
        (0.4, None, None, "NOT PROVEN"),
        (None, None, None, None),
    ],
)
def test_a_picked_network_passes_only_where_that_was_measured(measured_ms, interval_ms, quality, word):
    item = {"name": str(TARGET), "target": TARGET.to_json(), "budget_ms": 0.5, "quality": quality}
    kept = _kept(BudgetRecord.from_json(item | {"measured_ms": measured_ms, "interval_ms": interval_ms}))
    assert (kept and kept.word) == word


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with a gallery of one network that takes 0.4 ms, as it is written."""
    write(tmp_path / "run")
    return tmp_path / "run"


def write(run: Path, *, measured_ms: float | None = 0.4, word: str = "stable", **odd: object) -> None:
    best = [0] * 8
    entry = {
        "indices": best, "accuracy": 0.5, "accuracy_interval": [0.4, 0.6],
        "predicted_ms": [0.4], "predicted_std_ms": [0.01],
        "measured_ms": [measured_ms], "measured_half_ms": [measured_ms and 0.01], "front": True,
    }  # fmt: skip
    target = {"name": str(TARGET), "target": TARGET.to_json()}
    gallery = {
        "schema": "hwnas-gallery/1", "space": SPACE.name, "space_fingerprint": SPACE.fingerprint,
        "images": 100, "targets": [target | {"range_ms": [0.1, 1.0]}],
        "entries": [entry | odd.pop("entry", {})],
    }  # fmt: skip
    data = {
        "source": "digits", "fingerprint": "f", "resolution": 16, "seed": 0, "val_share": 0.2,
        "test_share": 0.2, "flip": False,
    }  # fmt: skip
    seen = {"ms": 0.4, "word": word, "reasons": [] if word == "stable" else ["others used 90% of the CPUs"]}
    step = {
        "purpose": "p", "seconds": {},
        "entries": [{
            "indices": best, "kept": True, "predicted_ms": [0.4], "predicted_std_ms": [0.01],
            "measured": [seen],
        }],
    }  # fmt: skip
    search = {
        "strategy": "random", "seed": 0, "data": data, "trials": [],
        "constraints": [target | {"budget_ms": 0.5, "range_ms": [0.1, 1.0]}],
        "promise": {"targets": [], "steps": [step]},
    }  # fmt: skip
    files.write_json(run / "gallery.json", gallery | odd)
    files.write_json(run / "search.json", search)


def pick(run: Path, *more: str):
    words = ["pick", str(run), "--budget-ms", "0.5", "--out", str(run.parent / "out"), *more]
    return CliRunner().invoke(app, words, env={"COLUMNS": "300"})


@pytest.mark.parametrize("more", [(), ("--json",)])
@pytest.mark.parametrize(
    ("measured_ms", "word", "said", "code"),
    [
        (0.4, "stable", "PASS", 0),
        (0.4, "unusable", "NOT PROVEN: ", 3),
        (None, "stable", "not measured", 0),
    ],
)
def test_the_exit_code_is_that_of_what_is_said(run, measured_ms, word, said, code, more):
    write(run, measured_ms=measured_ms, word=word)
    done = pick(run, *more)
    assert done.exit_code == code, done.output
    if not more:
        assert said in done.stdout
        assert ("NOT PROVEN" in done.stdout) == (code == 3)
    assert (run.parent / "out" / "search.json").exists(), "it is kept all the same"


def test_noise_can_be_accepted(run):
    write(run, word="unusable")
    assert pick(run, "--accept-noise").exit_code == 0


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ({"entries": []}, "has [] instead of a list of 1 or more as entries"),
        ({"targets": []}, "has [] instead of a list of 1 or more as targets"),
        ({"entry": {"measured_ms": []}}, "has [] instead of a list of 1 as entries[0].measured_ms"),
        (
            {"entry": {"measured_half_ms": [None, None]}},
            "instead of a list of 1 as entries[0].measured_half_ms",
        ),
        ({"entry": {"predicted_ms": []}}, "instead of a list of 1 as entries[0].predicted_ms"),
        (
            {"entry": {"predicted_std_ms": [0.1, 0.1]}},
            "instead of a list of 1 as entries[0].predicted_std_ms",
        ),
        ({"entry": {"accuracy_interval": [0.1]}}, "instead of a list of 2 as entries[0].accuracy_interval"),
        ({"entry": {"indices": [0]}}, "must have 8 indices"),
        ({"space": "mac\0ro"}, "instead of text as space"),
    ],
)
def test_a_gallery_that_is_not_whole_is_one_sentence(run, odd, words):
    write(run, **odd)
    done = pick(run)
    assert done.exit_code == 1
    assert words in str(done.exception)
    assert not (run.parent / "out" / "search.json").exists()


def test_a_gallery_of_other_targets_than_the_search_is_refused(run):
    gallery = files.read_json(run / "gallery.json", "it")
    gallery["targets"][0]["name"] = "pixel/litert-int8"
    files.write_json(run / "gallery.json", gallery)
    done = pick(run)
    assert "must be of the targets of its search, host/litert-int8, but" in str(done.exception)
