"""Places to write to: whatever is wrong with one is said before work begins, and leaves no trace."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hwnas import files
from hwnas.cli import _of_the_system, app
from hwnas.device import Target
from hwnas.errors import HwnasError, WriteError
from hwnas.runs import outputs
from hwnas.runs.folder import RunFolder
from hwnas.tables.table import LatencyTable, Round

LONG = "x" * 300


def spoiled(folder: Path, kind: str) -> Path:
    """A place that cannot be written, of one kind."""
    if kind == "a folder in the way":
        (folder / "out").mkdir()
        (folder / "out" / "kept").touch()
        return folder / "out"
    if kind == "a parent that is a file":
        (folder / "file").write_text("kept")
        return folder / "file" / "inner" / "out"
    if kind == "a name too long":
        return folder / LONG
    if kind == "a device":
        return Path("/dev/null")
    if kind == "a link to nowhere":
        (folder / "link").symlink_to(folder / "file" / "inner")
        (folder / "file").write_text("kept")
        return folder / "link"
    raise ValueError(kind)


FILES = ("a folder in the way", "a parent that is a file", "a name too long", "a device", "a link to nowhere")
FOLDERS = ("a parent that is a file", "a name too long", "a device")


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_cannot_be_written_is_refused_without_a_trace(tmp_path, kind):
    path = spoiled(tmp_path, kind)
    before = tree(tmp_path)
    with pytest.raises(HwnasError, match="a thing must be writable, but"):
        outputs.require_file(path, "a thing")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_that_cannot_be_written_is_refused_without_a_trace(tmp_path, kind):
    path = spoiled(tmp_path, kind)
    before = tree(tmp_path)
    with pytest.raises(HwnasError, match="a thing must be writable, but"):
        outputs.require_folder(path, "a thing")
    with pytest.raises(HwnasError, match="the folder of a thing"), outputs.claimed(path, "a thing"):
        pytest.fail("it was claimed")
    assert tree(tmp_path) == before


def test_what_can_be_written_is_tried_without_a_trace(tmp_path):
    outputs.require_file(tmp_path / "new" / "deep" / "file", "it")
    outputs.require_folder(tmp_path / "new" / "deep", "it")
    (tmp_path / "there").write_text("kept")
    outputs.require_file(tmp_path / "there", "it")
    assert tree(tmp_path) == ["there"]
    assert (tmp_path / "there").read_text() == "kept"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.jsonl"
    rounds = [Round("conv_k3@3x8x8", "block", "s", n, (1.0,), (0.5,)) for n in range(6)]
    LatencyTable(Target("host", "litert", "int8"), {"anchor": "a"}, rounds).save(path)
    return path


def verbs(out: object, table: Path) -> dict[str, list[object]]:
    """Every verb that is told where to write, with the least that it needs else."""
    csv = table.with_suffix(".csv")
    csv.write_text("key,latency_ms\nconv_i3_o8_k3_s1@3x8x8,1.0\n")
    origin = [
        "--device",
        "d",
        "--runtime",
        "litert",
        "--precision",
        "int8",
        "--source",
        "s",
        "--licence",
        "l",
    ]
    return {
        "init": ["init", out],
        "merge": ["table", "merge", table, "--out", out],
        "csv": ["table", "export", table, "--csv", out],
        "fit": ["fit", "--space", "macro", "--table", table, "--out", out],
        "blocks": ["import", "blocks", csv, *origin, "--out", out],
        "networks": ["import", "networks", csv, *origin, "--space", "macro", "--out", out],
    }


def folder_verbs(out: object) -> dict[str, list[object]]:
    return {
        "search": ["search", "--device", "host=50%", "--out", out],
        "pick": ["pick", "nowhere", "--budget-ms", "50%", "--out", out],
        "profile": ["profile", "--out", out],
        "few": ["profile", "--few", "4", "--out", out],
        "quickstart": ["quickstart", "--out", out],
    }


def run(words: list[object]) -> tuple[int, str]:
    """Exit code and error of a command; what is not an error of ours goes through."""
    done = CliRunner().invoke(app, list(map(str, words)))
    if isinstance(done.exception, HwnasError):
        return 1, str(done.exception)
    if isinstance(done.exception, OSError):  # as the program says it, see ``hwnas.cli.main``
        return 1, _of_the_system(done.exception)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


@pytest.mark.parametrize("verb", ["init", "merge", "csv", "fit", "blocks", "networks"])
@pytest.mark.parametrize("kind", FILES)
def test_every_verb_says_so_of_its_file(tmp_path, table, verb, kind):
    out = spoiled(tmp_path, kind)
    words = verbs(out, table)[verb]
    before = tree(tmp_path)
    code, text = run(words)
    if (verb, kind) == ("init", "a folder in the way"):
        assert (code, (out / "hwnas.toml").is_file()) == (0, True), "a folder is where it goes into"
        return
    assert code == 1
    assert " writable, but " in text or "must be a new file" in text or "must not be replaced" in text
    assert tree(tmp_path) == before


@pytest.mark.parametrize("verb", ["search", "pick", "profile", "few", "quickstart"])
@pytest.mark.parametrize("kind", FOLDERS)
def test_every_verb_says_so_of_its_folder(tmp_path, verb, kind):
    out = spoiled(tmp_path, kind)
    before = tree(tmp_path)
    code, text = run(folder_verbs(out)[verb])
    assert code == 1
    assert " writable, but " in text
    assert tree(tmp_path) == before


def limited(words: list[object], bytes_: int) -> subprocess.CompletedProcess[str]:
    """A command that may not write longer files than so: a disk that is full, for any user."""
    program = (
        "import resource, sys; from hwnas.cli import main; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({bytes_}, {bytes_})); main()"
    )
    command = [sys.executable, "-B", "-c", program, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_a_full_disk_is_said_before_work_begins(tmp_path, table):
    before = tree(tmp_path)
    done = limited(["table", "merge", table, "--out", tmp_path / "merged.jsonl"], 4096)
    assert done.returncode == 1
    assert done.stderr.startswith("error: a merged table must be writable")
    assert len(done.stderr.strip().splitlines()) == 1
    assert tree(tmp_path) == before


def test_a_disk_that_fills_up_later_leaves_no_half_file(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "old").write_text("old")
    source = tmp_path / "source"
    source.mkdir()
    (source / "big").write_bytes(b"x" * 100_000)
    before = tree(tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, hard))
    try:
        with pytest.raises(WriteError, match="must be written whole"):
            files.write_atomic(tmp_path / "big", b"x" * 100_000)
        for folder in ("export", "fresh"):
            with pytest.raises(WriteError, match=f"whole, but {tmp_path / folder / 'big'} was"):
                files.write_folder(tmp_path / folder, {"old": b"new", "big": b"x" * 100_000})
        for copied in (source, source / "big"):
            with pytest.raises(WriteError, match="must be written whole"):
                files.copy_whole(copied, tmp_path / "export")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert tree(tmp_path) == before
    assert (tmp_path / "export" / "old").read_text() == "old"


def test_an_export_that_cannot_be_written_leaves_the_run_as_it_was(exported_run, monkeypatch):
    """The models are made; the last file does not fit any more."""
    from hwnas import release

    shutil.rmtree(exported_run / "export")
    before, whole = tree(exported_run), files._write_beside

    def full(path: Path, content: bytes | str) -> None:
        if path.name == release.MANIFEST:
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(path, content)

    monkeypatch.setattr(files, "_write_beside", full)
    data = release.load_data(json.loads((exported_run / "train.json").read_text())["data"])
    with pytest.raises(WriteError, match=rf"{release.MANIFEST} was not: No space left"):
        release.export_run(exported_run, data)
    assert tree(exported_run) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_no_permission_is_said(tmp_path, table):
    """As another user: root may do anything."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    outside = tmp_path.parents[1]  # folders of pytest are for their owner alone
    modes = {folder: folder.stat().st_mode for folder in (outside, *tmp_path.parents, tmp_path)}
    for folder in modes:
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    read = os.fork()
    if not read:  # only os calls until the end of this process
        code = 1
        try:
            os.setgid(65534)
            os.setuid(65534)
            try:
                outputs.require_file(closed / "out", "it")
            except HwnasError as error:
                code = 0 if "Permission denied" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(read, 0)[1]) == 0
    for folder, mode in modes.items():
        if folder.stat().st_mode != mode:
            folder.chmod(mode & 0o7777)


HOLD = """
import sys, time
from pathlib import Path
from hwnas.runs import outputs
with outputs.claimed(Path(sys.argv[1]), "a search"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_folder_is_for_one_process_which_is_named(tmp_path):
    run_ = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run_)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(HwnasError, match=f"process {holder.pid} "), outputs.claimed(run_, "a training"):
            pytest.fail("it was claimed twice")
        for words in (
            ["search", "--device", "host=50%", "--out", run_],
            ["train", run_],
            ["pick", tmp_path, "--budget-ms", "50%", "--out", run_],
            ["compare", run_, "--against", "mobilenetv2-0.5", "--device", "host"],
        ):
            code, text = run(words)
            assert (code, f"process {holder.pid} " in text) == (1, True), text
        holder.kill()
        holder.wait()
    with outputs.claimed(run_, "a training"):  # what a dead process held is free
        (run_ / "arch.json").touch()
    assert tree(tmp_path) == ["run", "run/arch.json"]


def test_a_process_may_claim_what_it_holds_and_leaves_nothing(tmp_path):
    with outputs.claimed(tmp_path / "a" / "b"), outputs.claimed(tmp_path / "a" / "b" / ".." / "b"):
        assert RunFolder(tmp_path / "a" / "b").lock.is_file()
    assert tree(tmp_path) == []


def test_only_the_first_process_of_torchrun_claims(tmp_path, monkeypatch):
    with outputs.claimed(tmp_path / "run"), ExitStack() as stack:
        monkeypatch.setenv("RANK", "1")
        monkeypatch.setenv("WORLD_SIZE", "2")
        began = time.monotonic()
        stack.enter_context(outputs.claimed(tmp_path / "run"))
        assert time.monotonic() - began < 30
