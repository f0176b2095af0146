"""Files are whole or not there."""

from __future__ import annotations

import math

import pytest

from hwnas import files
from hwnas.errors import HwnasError


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    files.write_json(path, {"x": 1})

    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        files.write_json(path, {"x": 2})
    assert files.read_json(path, "it") == {"x": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_is_copied_into_what_is_there(tmp_path):
    for name in ("from/a", "from/in/b", "from/in/.lock", "to/in/c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    files.copy_whole(tmp_path / "from", tmp_path / "to", without=(".lock",))
    assert {path.name for path in tmp_path.glob("to/**/*") if path.is_file()} == {"a", "b", "c"}
    assert (tmp_path / "to" / "in" / "b").read_text() == "from/in/b"


def test_numbers_that_json_cannot_hold_are_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "a.json", {"x": math.nan})
    assert not (tmp_path / "a.json").exists()


def test_reading_names_the_file_and_its_purpose(tmp_path):
    with pytest.raises(HwnasError, match=r"the architecture must be there.*gone\.json"):
        files.read_json(tmp_path / "gone.json", "the architecture")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(HwnasError, match=r"the architecture must be readable JSON.*bad\.json"):
        files.read_json(tmp_path / "bad.json", "the architecture")


@pytest.mark.parametrize("name", ["profilers", "devices", "lut_data"])
def test_shipped_folders_are_found(name):
    assert files.shipped(name).is_dir()


def test_a_missing_shipped_folder_is_an_error():
    with pytest.raises(HwnasError, match="install hwnas again"):
        files.shipped("nothing")
