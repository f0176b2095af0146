"""The list of runs: nobody sees it without the token, nothing leads out of it, nothing broken breaks it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest
from ports import free_port
from served import serve

from hwnas import report
from hwnas.runs.folder import ChainFolder, RunFolder
from hwnas.serve import folders
from hwnas.serve.catalogue import Catalogue
from hwnas.web import tokens

pytest.importorskip("fastapi", reason="the extra serve is not installed")

HOSTILE = "<img src=x onerror=alert(1)>\"' &amp;"


def only_searched(run: Path, target: Path) -> Path:
    """A run as a search leaves it."""
    target.mkdir(parents=True)
    for name in (RunFolder.arch, RunFolder.search):
        shutil.copy2(run / name, target / name)
    return target


@pytest.fixture(scope="module")
def runs(_exported_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with whatever there may be in it."""
    home = tmp_path_factory.mktemp("serve")
    runs, outside = home / "runs", only_searched(_exported_run, home / "outside")
    (home / "secret.json").write_text('{"secret": "a word that nobody must see"}')
    shutil.copytree(_exported_run, runs / "whole")
    only_searched(_exported_run, runs / "chain" / "random")
    (runs / "chain" / ChainFolder.state).write_text("{}")
    (runs / "begun").mkdir()
    (runs / "begun" / ChainFolder.state).write_text("{}")
    (runs / "searching").mkdir()
    (runs / "searching" / RunFolder.history).write_text("")
    only_searched(_exported_run, runs / HOSTILE.replace("/", ""))
    (only_searched(_exported_run, runs / "broken") / RunFolder.search).write_text('{"strategy": "random", ')
    (only_searched(_exported_run, runs / "odd") / RunFolder.train).write_text("[" * 100_000)
    (only_searched(_exported_run, runs / "leads-out") / RunFolder.train).symlink_to(home / "secret.json")
    os.mkfifo(only_searched(_exported_run, runs / "stuck") / RunFolder.gallery)
    (runs / "linked").symlink_to(outside)
    (runs / "round").symlink_to(runs)
    (runs / "no-run").mkdir()
    (runs / "no-run" / "notes.txt").write_text("nothing of ours")
    return runs


@pytest.fixture(scope="module")
def service(runs: Path):
    with serve(runs) as running:
        yield running


LISTED = {"whole", "chain/random", "begun", "searching", HOSTILE, "broken", "odd", "leads-out", "stuck"}


def test_without_the_token_there_is_no_answer(service):
    mine = f"hwnas-{service.port}"
    wrong = ["", f"{mine}=", f"{mine}=wrong", f"other={service.token}", f"{mine}={service.token}x"]
    paths = ["/", "/runs.json", "/run?name=whole", "/compare?run=whole&run=broken", "/docs", "/openapi.json"]
    paths += ["/nowhere", "/?token=", "/?token=wrong", f"/runs.json?token={service.token}", "/?token=%ff"]
    answers = [service.ask(path, cookie=cookie or "x=y") for cookie in wrong for path in paths]
    assert {answer.status for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert "whole" not in answers[0].text


def test_the_address_that_is_printed_leaves_a_cookie_and_no_token(service):
    answer = service.ask(f"/?token={service.token}", cookie="x=y")
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert service.ask("/", cookie=cookie.partition(";")[0]).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:{port}", "[", None, "@"]
)
def test_who_calls_it_by_another_name_is_refused(service, host):
    """A page elsewhere whose name was made to lead here (DNS rebinding)."""
    answer = service.ask("/", host=host and host.format(port=service.port))
    assert answer.status == 400
    assert "whole" not in answer.text


def test_its_own_names_are_known(service):
    for host in (f"localhost:{service.port}", "127.0.0.1", f"[::1]:{service.port}"):
        assert service.ask("/runs.json", host=host).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"])
def test_it_only_shows(service, method):
    for path in ("/", "/runs.json", "/run?name=whole", "/nowhere"):
        assert service.ask(path, method=method).status == 405


@pytest.mark.parametrize(
    "name",
    [
        *("..", "../outside", "whole/../../outside", "linked", "round/whole", "no-run", "", ".", "/"),
        *("whole/", "./whole", "whole\0", "whole/export", "chain", "/etc", "outside"),
    ],
)
def test_what_is_not_listed_is_not_there(service, name):
    assert service.ask(f"/run?name={quote(name)}").status == 404
    assert service.ask(f"/compare?run=whole&run={quote(name)}").status == 404


@pytest.mark.parametrize(
    "path",
    [
        *("/whole", "/whole/weights.safetensors", "/../secret.json", "/%2e%2e/secret.json", "//etc/passwd"),
        *("/run/../../secret.json", "/runs/whole/arch.json", "/static/x", "/report.html", "/favicon.ico"),
    ],
)
def test_no_file_is_given_out(service, path):
    assert service.ask(path).status == 404


def test_a_run_with_a_link_to_elsewhere_is_not_read(service):
    listed = rows(service)["leads-out"]
    assert listed["cells"]["what it is"] == (
        "cannot be read: train.json is a link that leads out of what is served"
    )
    for path in ("/run?name=leads-out", "/compare?run=leads-out&run=whole", "/runs.json", "/"):
        answer = service.ask(path)
        assert "a word that nobody must see" not in answer.text
    answer = service.ask("/run?name=leads-out")
    assert answer.status == 422
    assert "must be made of files of its own" in answer.text


def rows(service) -> dict[str, dict]:
    return {row["name"]: row for row in json.loads(service.ask("/runs.json").text)}


def test_the_list_has_every_run_and_what_is_wrong_with_some(service, runs):
    found = rows(service)
    assert set(found) == LISTED
    assert list(found) == sorted(found)
    whole = found["whole"]["cells"]
    assert whole["stages"] == "search, train, export"
    assert "classification" in whole["what it is"]
    assert "digits" in whole["what it is"]
    assert "within 1000 ms" in whole["what it is"]
    assert "accuracy" in whole["on test images"]
    assert "in PyTorch" in whole["on test images"]
    assert found["chain/random"]["address"] == "run?name=chain%2Frandom"
    assert found["searching"]["cells"]["stages"] == "searching"
    assert found["begun"]["cells"]["stages"] == "before the search"
    for name, words in (("broken", "JSON"), ("odd", "train.json"), ("stuck", "no regular file")):
        said = found[name]["cells"]["what it is"]
        assert said.startswith("cannot be read: "), said
        assert words in said
        assert str(runs) not in said, "it tells nothing of the machine"
        assert not found[name]["address"]
    page = service.ask("/").text
    for name in LISTED:
        assert unescape(page).count(name) >= 2
    assert HOSTILE not in page


def test_a_report_is_the_one_that_hwnas_report_writes(service, runs):
    answer = service.ask("/run?name=whole")
    assert answer.status == 200
    assert answer.text == report.page(runs / "whole")
    rules = answer.headers["Content-Security-Policy"]
    assert rules.endswith("; frame-ancestors 'none'")
    assert unescape(answer.text).count(rules.removesuffix("; frame-ancestors 'none'")) == 1
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "Server" not in answer.headers


def test_two_runs_are_compared_by_the_code_of_the_report(service, runs):
    answer = service.ask("/compare?run=whole&run=chain/random")
    assert answer.status == 200
    assert answer.text == report.compared(
        runs / "whole", runs / "chain" / "random", ("whole", "chain/random")
    )


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ("", 400, "two runs must be ticked to be compared, but 0 were"),
        ("run=whole", 400, "but 1 were"),
        ("run=whole&run=whole", 400, "but 1 were"),
        ("run=whole&run=broken&run=odd", 400, "but 3 were"),
        ("run=whole&run=broken", 422, "must be"),
        ("run=searching&run=whole", 422, "must be there"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(service, asked, status, words):
    answer = service.ask(f"/compare?{asked}")
    assert answer.status == status
    assert words in answer.text


def test_nothing_is_written(service, runs):
    def seen():
        return {path: path.lstat() for path in sorted(runs.rglob("*"))}

    before = seen()
    for path in (
        "/",
        "/runs.json",
        "/run?name=whole",
        "/run?name=odd",
        "/compare?run=whole&run=chain/random",
    ):
        service.ask(path)
    assert {path: info.st_mtime_ns for path, info in seen().items()} == {
        path: info.st_mtime_ns for path, info in before.items()
    }


def test_a_stage_that_appears_is_there_at_the_next_look(service, runs, exported_run):
    run = only_searched(exported_run, runs / "live")
    try:
        assert rows(service)["live"]["cells"]["stages"] == "search"
        shutil.copytree(exported_run, run, dirs_exist_ok=True)
        os.utime(run / RunFolder.train)
        cells = rows(service)["live"]["cells"]
        assert cells["stages"] == "search, train, export"
        assert cells["changed"].endswith("s ago, being written")
        (run / RunFolder.lock).write_text("{}")
        for path in run.rglob("*"):
            os.utime(path, (time.time() - 7200,) * 2)
        assert rows(service)["live"]["cells"]["changed"] == "2 h ago, a process has it or was killed"
    finally:
        shutil.rmtree(run)
    assert "live" not in rows(service)


def test_what_did_not_change_is_not_read_again(runs, monkeypatch):
    read = []
    summarised = report.summarised
    monkeypatch.setattr(report, "summarised", lambda run: read.append(run.name) or summarised(run))
    catalogue = Catalogue([runs / "whole"])
    first = catalogue.runs()
    (runs / "whole" / RunFolder.train_checkpoint).write_text("each epoch")
    assert [run.cells["stages"] for run in catalogue.runs()] == [run.cells["stages"] for run in first]
    assert read == ["whole"]
    os.utime(runs / "whole" / RunFolder.train)
    catalogue.runs()
    assert read == ["whole", "whole"]
    (runs / "whole" / RunFolder.train_checkpoint).unlink()


def test_runs_have_names_of_their_own(tmp_path):
    for home in ("a/runs", "b/runs"):
        (tmp_path / home / "one").mkdir(parents=True)
        (tmp_path / home / "one" / RunFolder.search).write_text("{}")
    deep = tmp_path / "a" / "runs" / "1" / "2" / "3" / "4"
    deep.mkdir(parents=True)
    (deep / RunFolder.search).write_text("{}")
    (tmp_path / "a" / "runs" / "one" / "teacher").mkdir()
    (tmp_path / "a" / "runs" / "one" / "teacher" / RunFolder.search).write_text("{}")
    roots = [tmp_path / "a" / "runs", tmp_path / "b" / "runs"]
    assert list(folders.find(roots)) == ["runs/one", "runs/one (2)"], "not too deep, and none within a run"
    assert list(folders.find(roots[:1])) == ["one"]
    assert list(folders.find([roots[0] / "one"])) == ["one"]


def test_a_token_of_a_file_is_taken_and_made(tmp_path):
    path, runs = tmp_path / "token", tmp_path / "runs"
    runs.mkdir()
    with serve(runs, "--token-file", path) as service:
        assert service.token == tokens.read(path)
        assert service.ask("/").status == 200
        assert rows(service) == {}


def test_elsewhere_it_is_called_by_numbers_or_its_name(runs):
    from hwnas.serve.service import is_called

    assert is_called(["192.0.2.1:8760"], "0.0.0.0")
    assert is_called(["[2001:db8::1]"], "::")
    assert is_called(["Board.local:80"], "board.local")
    assert not is_called(["evil.example"], "0.0.0.0")
    assert not is_called(["192.0.2.1"], "127.0.0.1")
    assert not is_called(["localhost", "localhost"], "127.0.0.1")
    assert not is_called([""], "127.0.0.1")


def run(*words: str, before: str = "pass") -> tuple[int, str]:
    program = f"import sys; {before}; sys.argv = ['hwnas', *{words!r}]; from hwnas.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


@pytest.mark.slow
def test_what_stands_in_its_way_is_one_sentence(tmp_path, service):
    code, said = run("serve", str(tmp_path / "nowhere"))
    assert (code, said.count("\n")) == (1, 1)
    assert "must be folders, but" in said
    code, said = run("serve", str(tmp_path), "--port", str(service.port))
    assert code == 1
    assert "must be able to listen on 127.0.0.1" in said
    code, said = run(
        "serve", str(tmp_path), "--port", str(free_port()), before="sys.modules['fastapi'] = None"
    )
    assert (code, said.count("\n")) == (1, 1)
    assert "pip install 'hwnas[serve]'" in said
