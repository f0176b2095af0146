"""Bundles: found, verified, refused; and what the build tool makes of the same inputs."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile

import pytest
import tinymodels
from testphone import REPOSITORY, build_cross, job, run_agent

from hwnas import files
from hwnas.errors import AgentError
from hwnas.transport import _bundle

BUILDER = REPOSITORY / "tools" / "build_agent.py"


def find(bundle):
    return _bundle.find(bundle.agent, bundle.arch)


def test_a_bundle_is_unpacked_once_and_complete(bundle):
    again = find(bundle)
    assert again == bundle
    assert {"agent", "libLiteRt.so"} <= set(bundle.files)
    for name, digest in bundle.files.items():
        assert files.sha256(bundle.folder / name) == digest
    manifest = json.loads((bundle.folder / "manifest.json").read_text())
    for name, digest in manifest["licences"].items():
        assert files.sha256(bundle.folder / "licences" / name) == digest
    assert manifest["sources_sha256"] == _bundle.sources_digest("litert")


@pytest.fixture
def own(bundle, tmp_path, monkeypatch):
    """A cache of this test's own, which holds the archive."""
    archive = _bundle.archives(bundle.agent, bundle.arch)[1]
    monkeypatch.setattr(files, "user_cache", lambda: tmp_path / "cache")
    copy = _bundle.archives(bundle.agent, bundle.arch)[1]
    copy.parent.mkdir(parents=True)
    shutil.copyfile(archive, copy)
    return copy


@pytest.mark.parametrize("name", ["agent", "libLiteRt.so"])
def test_a_file_that_changed_is_refused(own, bundle, name):
    found = find(bundle)
    with (found.folder / name).open("ab") as file:
        file.write(b"x")
    with pytest.raises(AgentError, match=f"{name} must be as it was built"):
        find(bundle)
    (found.folder / name).unlink()
    with pytest.raises(AgentError, match=f"{name} must be as it was built"):
        find(bundle)


def test_a_damaged_archive_is_refused_and_leaves_nothing(own, bundle):
    own.write_bytes(own.read_bytes()[:100_000])
    with pytest.raises(AgentError, match="must be a whole archive"):
        find(bundle)
    assert [path.name for path in own.parent.iterdir()] == [own.name]


def test_a_bundle_of_older_sources_is_refused(own, bundle, monkeypatch):
    monkeypatch.setattr(_bundle, "sources_digest", lambda agent: "other")
    with pytest.raises(AgentError, match=r"must be built from these sources.*build_agent.py"):
        find(bundle)


def test_a_bundle_that_is_not_there_says_how_to_build_it(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "user_cache", lambda: tmp_path)
    with pytest.raises(
        AgentError, match=r"must be built once for arm64 .*: run `\S+ \S*build_agent.py arm64`"
    ):
        _bundle.find("litert", "arm64")


def test_the_command_that_is_named_is_the_whole_command(tmp_path, monkeypatch):
    """At most one more command for a fresh user: it can be pasted as it is."""
    monkeypatch.setattr(files, "user_cache", lambda: tmp_path)
    with pytest.raises(AgentError) as caught:
        _bundle.find("litert", "arm64")
    words = shlex.split(str(caught.value).rpartition("run `")[2].rstrip("`"))
    done = subprocess.run([*words, "--help"], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    assert words[0] == sys.executable
    assert words[-1] == "arm64"


def test_without_pip_the_build_says_so(tmp_path):
    """As in environments that were made by other tools than venv."""
    (tmp_path / "pip.py").write_text("raise SystemExit('no pip here')")
    done = subprocess.run(
        [sys.executable, str(BUILDER), "arm64", "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(":")},
    )
    assert done.returncode == 1
    assert "must be downloaded by pip, but" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_same_inputs_give_the_same_bytes(native_bundle, tmp_path):
    command = [sys.executable, str(BUILDER), "native", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (tmp_path / native_bundle.name).read_bytes() == native_bundle.read_bytes(), done.stdout


def test_archives_hold_no_surprises(native_bundle):
    with tarfile.open(native_bundle) as tar:
        for entry in tar:
            assert entry.isfile()
            assert not entry.name.startswith(("/", ".."))
            assert (entry.uid, entry.gid, entry.mtime, entry.uname) == (0, 0, 0, "")
            assert entry.mode in (0o644, 0o755)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["arm64", "x86-64"])
def test_cross_builds_are_reproducible_and_complete(tmp_path, cross_archive, arch):
    """Downloads about 120 MB. Twice, in different folders."""
    archives = [cross_archive(arch), build_cross(arch, tmp_path / "again")]
    assert archives[0].read_bytes() == archives[1].read_bytes()
    assert archives[0].stat().st_size < 4_500_000
    folder = tmp_path / "unpacked"
    with tarfile.open(archives[0]) as tar:
        tar.extractall(folder, filter="data")
    built = _bundle.read(folder, "")
    assert built.arch == arch
    assert built.command[0].startswith("{here}/ld-linux")
    texts = {path.name for path in (folder / "licences").iterdir()}
    assert {"LiteRT.txt", "glibc.txt", "gcc.txt", "LGPL-2.1.txt", "GPL-3.txt", "SOURCES.txt"} <= texts
    if arch == "x86-64":
        model = tinymodels.write(tmp_path / "m.tflite")
        hello, answer, _ = run_agent(built, [job("a", str(model))])
        assert hello["hello"]["machine"] == "x86_64"
        assert answer["samples_ns"]
