"""The digest by which a chain knows its images again."""

from __future__ import annotations

from hwnas.pipeline.state import digest_of_data


def test_what_lies_behind_links_counts(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.png").write_bytes(b"1")
    (tmp_path / "pets").mkdir()
    (tmp_path / "pets" / "cat").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "pets" / "up").symlink_to(tmp_path / "pets", target_is_directory=True)
    before = digest_of_data(str(tmp_path / "pets"))
    (tmp_path / "elsewhere" / "1.png").write_bytes(b"2")
    assert digest_of_data(str(tmp_path / "pets")) != before


def test_a_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x.npz").write_bytes(b"1")
    before = digest_of_data("~/x.npz")
    (tmp_path / "x.npz").write_bytes(b"2")
    assert digest_of_data("~/x.npz") != before
