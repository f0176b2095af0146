"""hwnas doctor: each part really broken, and the others told of all the same."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hwnas import plugins
from hwnas.measure import installation
from hwnas.transport.doctor import ABSENT, FAILED, OK, WARNING, Check

CALLS_ADB = """#!/bin/sh
case "$1" in
version) echo "Android Debug Bridge version 1.0.41" ;;
devices) printf 'List of devices attached\\nAAA\\tunauthorized\\nBBB\\toffline\\n' ;;
esac
"""


def found(part: str) -> dict[str, Check]:
    """What one part says, by name."""
    return {check.name: check for check in installation._PARTS[part]()}


@pytest.mark.slow
def test_a_whole_installation_is_told_of_and_works():
    checks = list(installation.examine_installation())
    names = [check.name for check in checks]
    assert {"Python", "hwnas", "packages", "training", "runtime litert", "runtime onnxruntime"} <= set(names)
    assert {"program adb", "program ssh", "agent for phones", "cache", "plug-ins"} <= set(names)
    assert not [check for check in checks if check.state == FAILED]
    assert all(check.remedy for check in checks if check.state != OK)
    by_name = dict(zip(names, checks, strict=True))
    assert " on cpu" in by_name["runtime litert"].found
    assert "numpy 2" in by_name["packages"].found
    assert by_name["extra mlflow"].state == OK


class _Changed:
    """A distribution whose metadata ask for other things."""

    def __init__(self, **facts: object) -> None:
        self.requires, self.version = facts.get("requires", []), facts.get("version", "0")
        self.metadata = self
        self._python, self._extras = facts.get("python"), facts.get("extras", ())

    def __getitem__(self, _: str) -> object:
        return self._python

    def get_all(self, _: str) -> object:
        return self._extras


def test_what_is_missing_or_too_old_is_named_with_its_command(monkeypatch):
    wanted = ["numpy>=99", "surely-not-there>=1.2,<2", "filelock", "also-not-there; sys_platform == 'beos'"]
    extras = [
        "not-there-either>=3; extra == 'ray'",
        "pillow>=99; extra == 'old'",
        "hwnas[ray]; extra == 'dev'",
    ]
    changed = _Changed(requires=[*wanted, *extras], extras=("ray", "old", "dev"))
    monkeypatch.setattr(installation, "_distribution", lambda: changed)
    checks = found("packages")
    assert (checks["package numpy"].state, checks["package surely-not-there"].state) == (FAILED, FAILED)
    assert ">=99 is wanted" in checks["package numpy"].found
    assert "pip install 'surely-not-there<2,>=1.2'" in checks["package surely-not-there"].remedy
    assert checks["packages"].found.startswith("1 of 3 as they are needed: filelock")
    assert (checks["extra ray"].state, checks["extra old"].state) == (ABSENT, WARNING)
    assert checks["extra ray"].remedy == "`pip install 'hwnas[ray]'`"
    assert "extra dev" not in checks


def test_another_python_and_another_version_are_told(monkeypatch):
    monkeypatch.setattr(installation, "_distribution", lambda: _Changed(python=">=4", version="0.0.1"))
    assert found("Python")["Python"].state == FAILED
    assert "0.0.1 is installed" in found("hwnas")["hwnas"].found
    monkeypatch.setattr(installation, "_distribution", lambda: None)
    assert found("hwnas")["hwnas"].state == WARNING
    assert found("packages")["packages"].state == WARNING


@pytest.mark.slow
def test_a_runtime_that_does_not_run_is_failed_only_where_it_is_needed(tmp_path, monkeypatch):
    shipped = installation.files.shipped("profilers")
    shutil.copytree(shipped, tmp_path / "profilers", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "profilers" / "litert" / "agent.py").write_text("raise SystemExit('no such library')")
    (tmp_path / "profilers" / "openvino" / "agent.py").unlink()
    made = installation.LocalTransport
    monkeypatch.setattr(installation, "LocalTransport", lambda **_: made(tmp_path / "profilers"))
    checks = found("runtimes")
    assert checks["runtime litert"].state == FAILED
    assert checks["runtime onnxruntime"].state == OK
    assert checks["runtime openvino"].state in (WARNING, ABSENT)
    assert all(check.remedy for check in checks.values() if check.state != OK)


def test_a_path_without_adb_is_told_and_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    checks = found("programs")
    assert (checks["program adb"].state, checks["program ssh"].state) == (ABSENT, ABSENT)
    assert "platform tools" in checks["program adb"].remedy
    assert found("phones") == {}


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_phones_that_are_attached_and_not_ready_are_told_apart(tmp_path, monkeypatch):
    program(tmp_path / "adb", CALLS_ADB)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert found("programs")["program adb"].found.startswith("Android Debug Bridge")
    checks = found("phones")
    assert {name: check.state for name, check in checks.items()} == {
        "phone AAA": WARNING,
        "phone BBB": WARNING,
    }
    assert "accept the dialog" in checks["phone AAA"].remedy
    assert "plug it in again" in checks["phone BBB"].remedy


def test_an_adb_that_is_broken_is_told(tmp_path, monkeypatch):
    program(tmp_path / "adb", "#!/bin/sh\necho cannot start daemon >&2\nexit 3\n")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert "ends with 3: cannot start daemon" in found("programs")["program adb"].found
    assert found("phones")["phones"].state == WARNING
    (tmp_path / "adb").write_text("no program")
    assert found("programs")["program adb"].state == WARNING


def test_a_folder_that_cannot_be_made_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("XDG_CONFIG_HOME", "/proc/nowhere")
    checks = found("folders")
    assert (checks["cache"].state, checks["folder of descriptors"].state) == (WARNING, WARNING)
    assert str(tmp_path / "file") in checks["cache"].remedy
    assert checks["folder of tables"].state == OK
    assert "GB free" in checks["folder of tables"].found


def test_little_room_is_told(monkeypatch):
    monkeypatch.setattr(installation, "_SPACE_GB", 1e9)
    assert {check.state for check in found("folders").values()} == {WARNING}


def test_a_descriptor_that_does_not_parse_is_told_beside_the_others(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    own = tmp_path / "hwnas" / "devices"
    own.mkdir(parents=True)
    (own / "bad.toml").write_text("name = ")
    (own / "odd.toml").write_bytes(b"\xff")
    (own / "good.toml").write_text('name = "good"\ntitle = "a board"\ntransport = "ssh"\n')
    checks = found("descriptors")
    assert (checks["descriptor bad.toml"].state, checks["descriptor odd.toml"].state) == (FAILED, FAILED)
    assert checks["descriptors of your own"].found.startswith("1 in ")


@pytest.fixture
def broken_package(tmp_path: Path) -> Path:
    """An installed distribution with a plug-in that raises, and one that works."""
    folder = tmp_path / "site"
    told = folder / "fake_plugins-1.0.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-plugins\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text("[hwnas]\nbroken = fake_broken\ngood = fake_good\n")
    (folder / "fake_broken.py").write_text("raise RuntimeError('of its own')\n")
    (folder / "fake_good.py").write_text("x = 1\n")
    return folder


def test_a_plug_in_that_raises_is_told_beside_the_others(broken_package, monkeypatch):
    monkeypatch.syspath_prepend(str(broken_package))
    monkeypatch.setattr(plugins, "_points", set())
    monkeypatch.setenv("HWNAS_PLUGINS", "no list")
    checks = found("plug-ins")
    broken = checks["plug-in fake_broken of fake-plugins"]
    assert broken.state == FAILED
    assert "RuntimeError: of its own" in broken.found
    assert checks["plug-in HWNAS_PLUGINS"].state == FAILED
    assert "fake_good of fake-plugins" in checks["plug-ins"].found


def test_a_part_that_cannot_be_looked_at_hides_no_other(monkeypatch):
    def broken():
        raise ZeroDivisionError("odd\nthing")
        yield

    monkeypatch.setattr(installation, "_PARTS", {"first": broken, "Python": installation._python})
    first, second = installation.examine_installation()
    assert (first.state, second.state) == (FAILED, OK)
    assert first.found == "cannot be looked at: ZeroDivisionError: odd thing"


def doctor(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hwnas", "doctor", *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, env=os.environ | env
    )


@pytest.mark.slow
def test_the_verb_tells_of_all_that_is_broken_at_once_and_exits_with_1(broken_package, tmp_path):
    own = tmp_path / "config" / "hwnas" / "devices"
    own.mkdir(parents=True)
    (own / "bad.toml").write_text("name = ")
    path = os.pathsep.join(filter(None, [str(broken_package), os.environ.get("PYTHONPATH", "")]))
    done = doctor("--json", PYTHONPATH=path, XDG_CONFIG_HOME=str(tmp_path / "config"))
    checks = {check["name"]: check for check in json.loads(done.stdout)["installation"]}
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert checks["descriptor bad.toml"]["state"] == FAILED
    assert checks["plug-in fake_broken of fake-plugins"]["state"] == FAILED
    assert checks["runtime litert"]["state"] == OK
    assert checks["measuring"]["state"] == WARNING, "no device can be loaded"


@pytest.mark.slow
def test_the_verb_measures_this_machine_as_well():
    done = doctor("--json")
    told = json.loads(done.stdout)
    assert done.returncode == 0
    assert {"installation", "quality", "findings", "anchor_ms", "torch"} <= set(told)
    assert told["quality"]["word"] in ("stable", "noisy", "unusable")


def test_a_package_that_the_program_itself_needs_is_told_in_one_line(tmp_path):
    (tmp_path / "numpy.py").write_text("raise ImportError('numpy is broken')")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    done = doctor(PYTHONPATH=path)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "must be installed with all that it needs" in done.stderr
