"""The rule of skipping, with stages that write real files and note that they ran."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hwnas.errors import HwnasError, SchemaMismatch
from hwnas.pipeline.state import RunState, Stage, digest_of_data
from hwnas.runs.folder import ChainFolder


class Toy:
    """A stage that copies ``source`` to ``target``, letter by letter, and may be cut off."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ran, self.fails = folder, 0, False
        self.setting = 1
        (folder / "source").write_text("abc")

    def stage(self) -> Stage:
        source, target, part = (self.folder / name for name in ("source", "target", "part"))

        def work(_: object) -> None:
            self.ran += 1
            part.write_text((part.read_text() if part.exists() else "") + "x")
            if self.fails:
                raise RuntimeError("cut off")
            target.write_text(source.read_text() + part.read_text())
            part.unlink()

        return Stage("toy", {"setting": self.setting}, (source,), (target,), (target, part), work)

    def advance(self) -> bool:
        """Run unless it is done, with a state that is read anew; returns whether it ran."""
        state, stage = RunState(self.folder), self.stage()
        if state.is_done(stage):
            return False
        state.begin(stage)
        stage.run(lambda _: None)
        state.finish(stage, 1.0)
        return True


@pytest.fixture
def toy(tmp_path):
    return Toy(tmp_path)


def test_a_stage_runs_once(toy):
    assert toy.advance()
    assert not toy.advance()
    assert toy.ran == 1
    assert RunState(toy.folder).seconds("toy") == 1.0


def test_changed_settings_inputs_and_results_make_it_run_again(toy):
    toy.advance()
    toy.setting = 2
    assert toy.advance()
    (toy.folder / "source").write_text("abd")
    assert toy.advance()
    (toy.folder / "target").write_text("damaged")
    assert toy.advance()
    (toy.folder / "target").unlink()
    assert toy.advance()
    assert (toy.folder / "target").read_text() == "abdx"
    assert not toy.advance()


def test_what_was_cut_off_goes_on_where_it_was(toy):
    toy.fails = True
    with pytest.raises(RuntimeError):
        toy.advance()
    toy.fails = False
    assert toy.advance()
    assert (toy.folder / "target").read_text() == "abcxx"


def test_what_was_cut_off_with_other_settings_is_not_continued(toy):
    toy.fails = True
    with pytest.raises(RuntimeError):
        toy.advance()
    toy.fails, toy.setting = False, 2
    assert toy.advance()
    assert (toy.folder / "target").read_text() == "abcx"


def test_files_of_others_are_never_removed(toy):
    (toy.folder / "target").write_text("a file of the user's")
    with pytest.raises(HwnasError, match="must only replace files of its own"):
        toy.advance()
    assert (toy.folder / "target").read_text() == "a file of the user's"
    assert toy.ran == 0


def test_a_touched_file_is_the_same_file(toy):
    toy.advance()
    (toy.folder / "source").touch()
    assert not toy.advance()


def test_a_damaged_state_is_refused(tmp_path):
    for text in ('{"schema": "hwnas-ch', ""):
        (ChainFolder(tmp_path).state).write_text(text)
        with pytest.raises(HwnasError, match="the state of a run must be readable JSON"):
            RunState(tmp_path)
    for content in ({"schema": "hwnas-chain/0"}, [], {"schema": "hwnas-chain/1"}):
        (ChainFolder(tmp_path).state).write_text(json.dumps(content))
        with pytest.raises(SchemaMismatch, match="give another folder"):
            RunState(tmp_path)


def test_the_digest_of_data_follows_names_and_bytes(tmp_path):
    folder = tmp_path / "pictures"
    (folder / "cat").mkdir(parents=True)
    (folder / "cat" / "1.png").write_bytes(b"1")
    first = digest_of_data(str(folder))
    assert digest_of_data(str(folder)) == first
    (folder / "cat" / "1.png").rename(folder / "cat" / "2.png")
    second = digest_of_data(str(folder))
    (folder / "cat" / "2.png").write_bytes(b"2")
    assert len({first, second, digest_of_data(str(folder)), digest_of_data("digits")}) == 4
