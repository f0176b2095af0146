"""One log a run: real processes, real folders that are full, foreign, linked or read by several at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from hwnas.cli import _runlog
from hwnas.runs.folder import BenchFolder, ChainFolder, RunFolder, ShippingFolder, is_begun

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d \d+( rank \d+)?: .+")


def hwnas(*words: object, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hwnas", *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env=os.environ | env
    )


def begun(folder: Path) -> RunFolder:
    """A run folder that no verb can use, with a file of its own."""
    folder.mkdir()
    run = RunFolder(folder)
    run.arch.write_text("{}")
    return run


def fail(run: RunFolder, words: list[str], error: Exception, *said: str) -> None:
    """A command that says something and fails."""
    with suppress(type(error)), _runlog.command(words):
        _runlog.into(run)
        for text in said:
            _runlog.note(text)
        raise error


def test_a_command_is_kept_from_its_beginning_to_its_error_and_end(tmp_path):
    run = begun(tmp_path / "r")
    done = hwnas("report", run.path)
    lines = run.log.read_text().splitlines()
    assert done.returncode == 1
    assert all(map(LINE.fullmatch, lines))
    assert f"began: hwnas report {run.path} (hwnas " in lines[0]
    assert any("Traceback" in line for line in lines)
    assert not any("typer" in line for line in lines)
    assert any(done.stderr.strip() in line for line in lines), "what was printed stands there"
    assert re.search(r"ended with exit code 1 after \d+\.\d s$", lines[-1])
    hwnas("report", run.path, "--quiet")
    assert run.log.read_text().startswith("\n".join(lines)), "a later command adds to it"
    assert run.log.read_text().count("began: ") == 2


@pytest.mark.slow
def test_wrong_usage_and_a_folder_that_is_no_run_have_no_log(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"x")
    assert hwnas("report", tmp_path / "photos").returncode == 1
    assert hwnas("report", tmp_path / "none").returncode == 1
    run = begun(tmp_path / "r")
    assert hwnas("train", run.path, "--epochs", "0").returncode == 2
    assert {path.name for path in tmp_path.rglob("*")} == {"photos", "a.jpg", "r", "arch.json"}


def test_a_log_and_a_lock_begin_no_folder(tmp_path):
    for folder in (RunFolder(tmp_path), ChainFolder(tmp_path), BenchFolder(tmp_path)):
        (tmp_path / RunFolder.lock).touch()
        folder.log.touch()
        assert not is_begun(folder)
    (tmp_path / BenchFolder.jobs).touch()
    assert is_begun(BenchFolder(tmp_path))
    assert not is_begun(RunFolder(tmp_path))


def test_lines_wait_until_the_run_has_a_file_of_its_own(tmp_path):
    run = RunFolder(tmp_path / "new")
    with _runlog.command(["search", "--out", "new"]):
        _runlog.into(run)
        _runlog.note("reading the images")
        run.path.mkdir()
        _runlog.note("still nothing")
        assert not run.log.exists()
        run.arch.write_text("{}")
        _runlog.note("found")
        assert len(run.log.read_text().splitlines()) == 4
    assert "ended with exit code 0" in run.log.read_text()


@pytest.mark.parametrize(
    "words",
    [
        ["--track", "mlflow:https://me:hunter2-hunter2@host/x"],
        ["--track", "mlflow:https://hunter2-hunter2@host/x"],
        ["--api-key", "hunter2-hunter2"],
        ["--token=hunter2-hunter2"],
        ["--data", "https://host/x?sig=1&access_token=hunter2-hunter2&b=2"],
        ["--note", "of the environment: hunter2-hunter2"],
    ],
    ids=lambda words: " ".join(words)[:30],
)
def test_secrets_stay_out_of_it(tmp_path, words):
    run = begun(tmp_path / "r")
    secret = {"SOME_TOKEN": "hunter2-hunter2"} if "--note" in words else {}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in secret.items():
            patch.setenv(name, value)
        with _runlog.command(["report", *words]):
            _runlog.into(run)
            _runlog.note(" ".join(words[1:]) if len(words) > 1 and "://" in words[1] else "nothing")
    text = run.log.read_text()
    assert "hunter2" not in text
    assert words[0].partition("=")[0] in text
    assert "…" in text


def test_an_error_shows_no_secret_either(tmp_path):
    run = begun(tmp_path / "r")
    said = '{"password": "hunter2-hunter2"} at https://u:hunter2-hunter2@host: Bearer hunter2'
    fail(run, ["report"], ValueError(said))
    assert "hunter2" not in run.log.read_text()
    assert "ValueError" in run.log.read_text()


ADDING = """
import sys
from pathlib import Path
from hwnas.cli import _runlog
from hwnas.runs.folder import RunFolder

with _runlog.command(["train", sys.argv[2]]):
    _runlog.into(RunFolder(Path(sys.argv[1])))
    for number in range(300):
        _runlog.note(f"{sys.argv[2]} {number} " + "x" * 3000)
"""


def test_processes_that_write_at_once_lose_and_mix_nothing(tmp_path):
    run = begun(tmp_path / "r")
    working = [
        subprocess.Popen([sys.executable, "-c", ADDING, str(run.path), name])
        for name in ("one", "two", "three")
    ]
    assert [process.wait(60) for process in working] == [0, 0, 0]
    lines = run.log.read_text().splitlines()
    assert all(map(LINE.fullmatch, lines))
    for name in ("one", "two", "three"):
        said = [line.split(": ", 1)[1] for line in lines]
        assert [text for text in said if text.startswith(name)] == [
            f"{name} {number} {'x' * 3000}" for number in range(300)
        ]


def test_threads_of_one_process_lose_nothing(tmp_path):
    run = begun(tmp_path / "r")
    with _runlog.command(["measure"]):
        _runlog.into(run)
        threads = [
            threading.Thread(target=lambda n=n: [_runlog.note(f"{n} {i}") for i in range(200)])
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(run.log.read_text().splitlines()) == 802


def test_ranks_of_torchrun_tell_of_their_beginning_errors_and_end_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    run = begun(tmp_path / "r")
    fail(run, ["train"], ValueError("lost"), "epoch 1/3")
    text = run.log.read_text()
    assert " rank 1: began" in text
    assert "epoch" not in text
    assert "rank 1: ValueError: lost" in text


@pytest.mark.slow
def test_a_log_that_cannot_be_written_fails_nothing(tmp_path):
    run = begun(tmp_path / "r")
    run.log.mkdir()
    with _runlog.command(["report"]):
        _runlog.into(run)
        _runlog.note("goes on")
    done = hwnas("report", run.path)
    assert "hwnas.log" not in done.stderr
    assert "the found architecture must be" in done.stderr or "arch.json" in done.stderr


FILLING = """
import resource, signal, sys
from pathlib import Path
from hwnas.cli import _runlog
from hwnas.runs.folder import RunFolder

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
run = RunFolder(Path(sys.argv[1]))
with _runlog.command(["train"]):
    _runlog.into(run)
    room = run.log.stat().st_size + 150
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    for number in range(4):
        _runlog.note("a" * 70)
print(room)
"""


def test_a_full_disk_cuts_a_line_off_and_the_next_command_begins_its_own(tmp_path):
    pytest.importorskip("resource")
    run = begun(tmp_path / "r")
    words = [sys.executable, "-c", FILLING, str(run.path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert run.log.stat().st_size == int(done.stdout)
    assert not run.log.read_text().endswith("\n")
    with _runlog.command(["report"]):
        _runlog.into(run)
    last = run.log.read_text().splitlines()[-2:]
    assert all(map(LINE.fullmatch, last))
    assert "began: hwnas report" in last[0]


@pytest.mark.slow
def test_it_is_never_written_through_a_link_nor_into_what_is_no_file(tmp_path):
    run = begun(tmp_path / "r")
    (tmp_path / "other").write_text("mine")
    run.log.symlink_to(tmp_path / "other")
    hwnas("report", run.path)
    assert (tmp_path / "other").read_text() == "mine"
    run.log.unlink()
    os.mkfifo(run.log)
    assert hwnas("report", run.path).returncode == 1


@pytest.mark.slow
def test_models_that_ship_alone_get_none(exported_run, tmp_path):
    """Verified where they are, with a report beside them."""
    shipping = ShippingFolder(tmp_path / "elsewhere")
    RunFolder(exported_run).export.rename(shipping.path)
    shipping.report.write_text("<!doctype html>")
    before = {path.name for path in shipping.path.iterdir()}
    hwnas("verify", shipping.path, "--data", "not-there")
    assert {path.name for path in shipping.path.iterdir()} - before <= {".lock"}


@pytest.mark.slow
def test_what_a_run_holds_is_not_changed_by_it(exported_run):
    before = {path: path.read_bytes() for path in exported_run.rglob("*") if path.is_file()}
    assert hwnas("report", exported_run).returncode == 0
    log = RunFolder(exported_run).log.read_text()
    assert "ended with exit code 0" in log
    after = {path: path.read_bytes() for path in before}
    changed = {path.name for path in before if after[path] != before[path]}
    assert changed <= {"manifest.json", "report.html"}
    assert "hwnas.log" not in RunFolder(exported_run).shipping.manifest.read_text()
