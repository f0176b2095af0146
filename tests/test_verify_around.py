"""What stands around a network is told beside it, by the program that ships, and judges nothing."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image
from quick_measuring import form
from shipping_helpers import leave_one
from typer.testing import CliRunner

from hwnas import data, device, files, release, report
from hwnas.cli import app
from hwnas.device import Device
from hwnas.release.verification import VariantCheck, Verification
from hwnas.runs.around import Around
from hwnas.statistics.verdict import FAIL, NOT_PROVEN, PASS
from hwnas.verify import around, folder, verify

HOST, NAME = device.load("host"), "litert-int8"
KNOWN = Around("example_litert.py", 2.0, (1.7, 2.4), 1.0, (0.6, 1.3), 8, (640, 480), "test images", 27)
NETWORK = (5.0, (5.0, 5.0))


@pytest.fixture
def shipped(exported_run):
    """One variant, whose budget is the one that there is."""
    leave_one(exported_run / "export", NAME)
    return exported_run / "export"


def check_of(**given):
    """What was found about a file, made up."""
    unknown = dict.fromkeys(VariantCheck.__dataclass_fields__) | {"conditions": {}, "checks": {}}
    own = {
        "name": NAME,
        "file": "model.int8.tflite",
        "bytes": 9,
        "measured_ms": 5.0,
        "interval_ms": (5.0, 5.0),
    }
    return VariantCheck(**{**unknown, **own, **given})


def test_the_whole_is_the_sum_and_its_errors_add_in_squares():
    assert KNOWN.whole(NETWORK) == (8.0, (pytest.approx(7.5), pytest.approx(8.5)))
    assert KNOWN.whole((5.0, None)) == (8.0, None)
    for budget_ms, word in ((9.0, PASS), (8.2, NOT_PROVEN), (6.0, FAIL)):
        assert KNOWN.on_budget(NETWORK, budget_ms).word == word
    assert KNOWN.on_budget(NETWORK, None) is None
    said = KNOWN.said(NETWORK, 6.0)
    assert "the budget of 6 ms is of the network alone, and would not be kept with them" in said
    assert "whole 8.00 ms (7.50–8.50)" in said
    assert "budget" not in KNOWN.said(NETWORK, None)


def test_it_is_written_down_with_what_follows_and_read_again():
    found = Verification("host", (check_of(around=KNOWN, budget_ms=6.0), check_of(name="other")))
    written = json.loads(json.dumps(found.to_json()))
    told = written["variants"][0]["around"]
    assert (told["whole_ms"], told["whole_on_budget"]) == (8.0, "FAIL")
    assert "around" not in written["variants"][1]
    assert Verification.from_json(written) == found


def test_what_ships_is_timed_and_judges_nothing(shipped, warm_processes):
    dataset = release.load_data(release.read_manifest(shipped).data)
    steps = []
    found = verify(shipped, HOST, dataset, options=form(6), on_step=steps.append)
    (variant,) = found.variants
    seen = variant.around
    assert (seen.program, seen.shown, seen.pictures) == ("example_litert.py", "test images", 8)
    assert (seen.picture_size, seen.rounds) == ((8, 8), 18)
    for ms, (low, high) in (seen.preparing, seen.reading):
        assert 0 < low <= ms <= high
    assert seen.whole(variant.network)[0] > variant.measured_ms + seen.preparing_ms
    assert set(variant.checks) == {"accuracy", "learning", "answers", "delegate", "budget"}
    assert steps[-1] == "preparing pictures and reading answers of model.int8.tflite"
    assert release.read_manifest(shipped).verifications == (found,)
    page = report.write(shipped.parent).read_text()
    assert "With preparing and reading" in page
    assert "would be kept (1000 ms)" in page


@pytest.mark.usefixtures("hurried", "warm_processes")
def test_the_command_tells_it_and_probes_stand_in_for_images(shipped):
    words = ["verify", str(shipped), "--rounds", "1", "--accept-noise", "--no-record", "--skip-accuracy"]
    done = CliRunner(env={"COLUMNS": "500"}).invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "reading its answer" in done.stdout
    assert "of the network alone, and is not proven to be kept with them" in done.stdout
    assert "(example_litert.py on 8 probes at 8x8, one thread)" in done.stdout


def completed(shipped, on=HOST, **given):
    checked = folder.read(shipped)
    return around.completed(checked, on, [check_of(**given)], None, 1, lambda _: None)


def test_a_program_of_others_is_not_run(shipped, tmp_path):
    program, mark = shipped / "example_litert.py", tmp_path / "it-ran"
    program.write_text(f"open({str(mark)!r}, 'w')\n{program.read_text()}")
    manifest = json.loads((shipped / release.MANIFEST).read_text())
    manifest["files"][program.name] = files.sha256(program)
    files.write_json(shipped / release.MANIFEST, manifest)
    (variant,), (note,) = completed(shipped)
    assert variant.around is None
    assert "example_litert.py is not as this version of hwnas writes it: export again" in note
    assert not mark.exists()


def test_a_program_that_fails_or_hangs_is_said(shipped, monkeypatch):
    checked = folder.read(shipped)
    (shipped / "preprocessing.json").write_text("{}")
    with monkeypatch.context() as patch:
        patch.setattr(folder, "read", lambda _: checked)
        (variant,), (note,) = completed(shipped)
    assert variant.around is None
    assert "example_litert.py ended with KeyError: 'resize'" in note
    monkeypatch.setattr(around, "_LONGEST_S", 0.01)
    with monkeypatch.context() as patch:
        patch.setattr(folder, "read", lambda _: checked)
        assert "took longer than" in completed(shipped)[1][0]


def test_of_a_phone_nothing_is_stated(shipped):
    phone = Device("pixel", "A phone", "adb")
    (variant,), (note,) = completed(shipped, phone)
    assert variant.around is None
    assert "take on pixel is not known" in note
    assert completed(shipped, phone, measured_ms=None) == ((check_of(measured_ms=None),), [])


def test_what_had_a_budget_is_timed_and_all_where_nothing_had(shipped):
    checked, others = folder.read(shipped), [check_of(name="a"), check_of(name="b", measured_ms=None)]
    found, _ = around.completed(checked, HOST, others, None, 1, lambda _: None)
    assert [item.around is not None for item in found] == [True, False]
    found, _ = around.completed(checked, HOST, [*others, check_of(budget_ms=9.0)], None, 1, lambda _: None)
    assert [item.around is not None for item in found] == [False, False, True]


def test_the_size_of_a_typical_picture_is_kept(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number, (width, height) in enumerate([(40, 30)] * 7 + [(90, 20)] * 3 + [(9, 12)] * 2):
            picture = rng.integers(0, 255, (height, width, 3), np.uint8)
            Image.fromarray(picture).save(tmp_path / name / f"{number}.png")
    dataset = data.load(tmp_path, resolution=16)
    assert dataset.reading.picture_size == (40, 30)
    described = release.shipping._public(dataset.describe(), dataset)
    assert described["picture_size"] == [40, 30]
    assert described["source"] == tmp_path.name
    bare = dataclasses.replace(dataset, reading=data.dataset.ReadingSummary())
    assert "picture_size" not in release.shipping._public(dataset.describe(), bare)
