"""Output where the terminal is not what one wishes: real processes, real pipes, real devices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hwnas.device import Target
from hwnas.tables.table import LatencyTable, Round

HWNAS = str(Path(sys.executable).with_name("hwnas"))
KEY = "mbconv_k7_e6_c320_s1_with_a_name_that_is_longer_than_any_terminal_is_wide@320x7x7 [/nonsense] :car:"
ENCODINGS = (
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1"},
    {"PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "LC_ALL": "C"},
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rounds = [
        Round(KEY, "block", "s", number, (1.0 + number / 100,), (0.5,), {"classes": "Müll 猫"})
        for number in range(8)
    ]
    rounds.append(Round("broken", "block", "s", 0, (), failed="Gerät weg → 猫 [bold"))
    path = tmp_path / "tåble-猫.jsonl"
    LatencyTable(Target("host", "litert", "fp32"), {"anchor": "a"}, rounds).save(path)
    return path


def run(*arguments: object, **env: str) -> subprocess.CompletedProcess[bytes]:
    words = [HWNAS, *map(str, arguments)]
    own = {
        name: value for name, value in os.environ.items() if name != "COLUMNS"
    }  # of whoever runs the tests
    return subprocess.run(words, capture_output=True, check=False, env=own | env, timeout=60)


EACH = """
import sys
from hwnas.cli import main
for words in (["--help"], ["search", "--help"], ["spaces", "list"], ["devices", "list"]):
    sys.argv = ["hwnas", *words]
    try:
        main()
    except SystemExit as stop:
        assert not stop.code, words
    sys.stdout.flush()
    sys.stdout.buffer.write(b"\\0")
"""


@pytest.mark.slow
@pytest.mark.parametrize("env", ENCODINGS, ids=["ascii", "latin-1", "C"])
def test_every_encoding_can_be_printed_in(env):
    """Several verbs in one process, as each starts with the same streams."""
    own = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(
        [sys.executable, "-c", EACH], capture_output=True, env=own | env, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()
    *said, rest = done.stdout.split(b"\0")
    assert rest == b""
    assert [len(text) > 300 for text in said] == [True] * 4


@pytest.mark.slow
@pytest.mark.parametrize("env", ENCODINGS, ids=["ascii", "latin-1", "C"])
def test_names_of_the_users_can_be_printed_in_every_encoding(table, env):
    done = run("table", "show", table, **env)
    assert done.returncode == 0, done.stderr
    assert b"+-" in done.stdout or "±".encode("latin-1") in done.stdout
    assert b"Traceback" not in done.stderr
    assert b"weg > " in done.stderr
    missing = run("table", "show", table.with_name("nicht-da-猫.jsonl"), **env)
    assert missing.returncode == 1
    assert missing.stderr.startswith(b"error: a latency table must be readable")


def test_a_name_that_is_not_utf_8_can_be_printed(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff.jsonl"
    done = subprocess.run([HWNAS, "table", "show", path], capture_output=True, check=False, timeout=60)
    assert done.returncode == 1
    assert b"/\\xff.jsonl" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_path_is_printed_by_its_bytes_where_the_system_knows_ascii_alone(tmp_path):
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run("table", "show", tmp_path / "tä[b].jsonl", **env)
    assert done.returncode == 1
    assert rb"/t\xc3\xa4[b].jsonl" in done.stderr.replace(b"\n", b"")
    assert b"Traceback" not in done.stderr


@pytest.mark.slow
def test_nothing_is_cut_off_in_a_pipe_or_in_a_narrow_terminal(table):
    assert KEY.encode() in run("table", "show", table).stdout
    narrow = run("table", "show", table, COLUMNS="40").stdout.decode()
    column = "".join(line.split("│")[1].strip() for line in narrow.splitlines() if "│" in line)
    assert KEY.replace(" ", "") in column.replace(" ", "")
    assert "…" not in narrow


def test_brackets_of_others_are_not_markup(table):
    done = run("table", "show", table)
    assert b"[/nonsense] :car:" in done.stdout
    assert "Gerät weg → 猫 [bold".encode() in done.stderr


def test_json_stays_ascii_and_whole(table):
    rows = json.loads(run("table", "show", table, "--json", PYTHONIOENCODING="ascii").stdout)["rows"]
    assert [row["key"] for row in rows] == [KEY]


def shell(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("options", ["", "--json"])
def test_a_reader_that_has_read_enough_is_no_fault(table, options):
    done = shell(f"'{HWNAS}' table show '{table}' {options} | head -c 20")
    assert len(done.stdout) == 20
    assert done.stderr == "" or done.stderr.startswith("failed: ")


@pytest.mark.slow
def test_a_reader_that_reads_nothing_is_no_fault(table):
    for command in ("--help", f"table export '{table}'", "spaces list"):
        assert shell(f"'{HWNAS}' {command} | true").stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("options", ["", "--json"])
def test_a_full_disk_behind_standard_output_is_said(table, options):
    done = shell(f"'{HWNAS}' table show '{table}' {options} > /dev/full")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "No space left on device: free some space" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_behind_standard_error_is_no_crash():
    assert shell(f"'{HWNAS}' spaces show nope 2> /dev/full").returncode == 1
    assert shell(f"'{HWNAS}' table show nope 2> /dev/full").returncode == 1


@pytest.mark.slow
def test_closed_streams_are_no_fault(table):
    assert shell(f"'{HWNAS}' table show '{table}' >&-").returncode == 0
    done = shell(f"'{HWNAS}' table show nope 2>&-")
    assert (done.returncode, done.stdout) == (1, "")
    assert shell(f"'{HWNAS}' spaces show nope 2>&-").returncode == 2


@pytest.mark.parametrize(
    "error", [KeyError("x"), TypeError("[bold] and\nmore"), RecursionError(), MemoryError()]
)
def test_what_nobody_foresaw_is_one_line_and_says_how_to_report_it(error, monkeypatch, capsys):
    from hwnas import cli

    def broken() -> None:
        raise error

    monkeypatch.setattr(cli, "app", broken)
    monkeypatch.delenv("HWNAS_TRACEBACK", raising=False)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    said = capsys.readouterr().err
    assert (stop.value.code, len(said.splitlines())) == (1, 1)
    assert type(error).__name__ in said
    assert "with --verbose it says where" in said
    monkeypatch.setenv("HWNAS_TRACEBACK", "1")
    with pytest.raises(type(error)):
        cli.main()
    monkeypatch.delenv("HWNAS_TRACEBACK")
    monkeypatch.setattr(cli.err, "verbosity", cli.Verbosity.VERBOSE)
    with pytest.raises(type(error)):
        cli.main()


def test_an_interruption_and_a_full_disk_are_said(monkeypatch, capsys):
    from hwnas import cli

    for error, code, words in (
        (
            KeyboardInterrupt(),
            130,
            "interrupted: what was finished is kept (hwnas measure begins anew)",
        ),
        (
            OSError(28, "No space left on device", "x.json"),
            1,
            "x.json: No space left on device: free some space",
        ),
    ):

        def broken(error: BaseException = error) -> None:
            raise error

        monkeypatch.setattr(cli, "app", broken)
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == code
        assert words in capsys.readouterr().err
