"""``manifest.json`` as a record: what is written is what was read, and older files are read."""

from __future__ import annotations

import json

import pytest

from hwnas import release
from hwnas.errors import SchemaMismatch
from hwnas.release.manifest import Manifest

SINCE = ("task", "metric", "learning", "settings", "int8", "int8_costs", "licence")
"""Fields that the first version of the schema did not have."""


def read(folder):
    path = folder / release.MANIFEST
    return path, json.loads(path.read_text())


def test_what_is_written_is_what_was_read(exported_run):
    path, written = read(exported_run / "export")
    again = Manifest.from_json(written, path, "").to_json()
    assert json.dumps(again) == json.dumps(written)


def test_fields_of_others_are_kept(exported_run):
    path, written = read(exported_run / "export")
    written["shelf"] = 7
    written["variants"][0]["owner"] = "me"
    written["budgets"][0]["order"] = 3
    again = Manifest.from_json(written, path, "").to_json()
    assert (again["shelf"], again["variants"][0]["owner"], again["budgets"][0]["order"]) == (7, "me", 3)


def test_a_file_of_the_first_version_is_read(exported_run):
    path, written = read(exported_run / "export")
    old = {name: value for name, value in written.items() if name not in SINCE}
    old["variants"] = [{**entry, "probe": {}} for entry in old["variants"]]
    path.write_text(json.dumps(old))
    found = release.read_manifest(path.parent)
    assert found.task.name == "classification"
    assert found.metric.key == "accuracy"
    assert (found.learning, found.int8, found.int8_costs, dict(found.settings)) == (None, None, (), {})
    assert found.test_value == written["test_accuracy_pytorch"]
    release.add_file(path.parent, "NOTES.txt", "mine")
    assert "NOTES.txt" in release.read_manifest(path.parent).files


@pytest.mark.parametrize(
    ("field", "value"), [("files", []), ("device", 3), ("budgets", {}), ("weights_sha256", None)]
)
def test_what_it_needs_must_be_there(exported_run, field, value):
    path, written = read(exported_run / "export")
    with pytest.raises(SchemaMismatch, match=f"a manifest must have {field}"):
        Manifest.from_json({**written, field: value}, path, "export again")
