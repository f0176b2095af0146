"""What an agent needs on a device, packed: program, loader, libraries, licences, manifest.

A bundle is built by ``tools/build_agent.py`` from the C sources in ``profilers/<agent>/src`` and
is found in the shipped folder (a release) or in the user's cache. It is unpacked once, and every
file of it is checked against the manifest whenever it is used.
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas import files
from hwnas.errors import AgentError, HwnasError, in_words
from hwnas.runtimes.base import CPU
from hwnas.transport import _elf

SCHEMA = "hwnas-bundle/1"
MANIFEST = "manifest.json"
HERE = "{here}"
"""Stands for the bundle's folder on the device in ``Bundle.command``."""

ARCHITECTURES = {
    "aarch64": "arm64",
    "arm64-v8a": "arm64",
    "x86_64": "x86-64",
}
"""How devices name their processors, and what bundles are called."""


@dataclass(frozen=True)
class Bundle:
    """An unpacked, verified bundle on this host.

    Attributes:
        agent: Folder name in ``profilers/``.
        arch: "arm64" or "x86-64".
        processor: "cpu", or "gpu" where it brings what a GPU needs.
        folder: Where it is unpacked.
        files: SHA-256 of every file that goes to the device, by name.
        command: How the agent is started there; ``HERE`` stands for the folder.
        digest: SHA-256 of the manifest, which names everything else.
    """

    agent: str
    arch: str
    processor: str
    folder: Path
    files: Mapping[str, str]
    command: tuple[str, ...]
    digest: str

    @property
    def name(self) -> str:
        """Folder name on a device: bundles of different content never share one."""
        return f"{_name(self.agent, self.arch, self.processor)}-{self.digest[:16]}"


def words(bundle: Bundle, folder: str, options: Mapping[str, Any]) -> list[str]:
    """What starts the agent, but for the plan.

    Args:
        bundle: Of the agent.
        folder: Where the bundle is on the device.
        options: Of the device; ``adapter`` is a part of the name of the GPU that is meant.
    """
    command = [word.replace(HERE, folder) for word in bundle.command]
    adapter = options.get("adapter") if bundle.processor != CPU else None
    return [*command, *(("--adapter", str(adapter)) if adapter else ())]


def sources_digest(agent: str) -> str:
    """SHA-256 over names and contents of the C sources that come with hwnas."""
    digest = hashlib.sha256()
    for path in sorted((files.shipped("profilers") / agent / "src").glob("*.[ch]")):
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _name(agent: str, arch: str, processor: str) -> str:
    return "-".join([agent, arch, *([processor] if processor != CPU else [])])


def archives(agent: str, arch: str, processor: str = CPU) -> tuple[Path, Path]:
    """Where the packed bundle may be: with a release, or in the user's cache."""
    name = f"{_name(agent, arch, processor)}.tar.xz"
    return (
        files.shipped("profilers") / agent / "bundles" / name,
        files.user_cache() / "bundles" / name,
    )


def find(agent: str, arch: str, processor: str = CPU) -> Bundle:
    """The bundle of an agent for a processor of an architecture's devices, unpacked and verified.

    Raises:
        AgentError: There is none, it is damaged, or it was built from other sources.
    """
    extra = [f"--{processor}"] if processor != CPU else []
    remedy = f"run `{shlex.join([sys.executable, str(_builder()), arch, *extra])}`"
    places, where = (
        archives(agent, arch, processor),
        arch if processor == CPU else f"the {processor} of {arch}",
    )
    for archive in places:
        if archive.is_file():
            return _open(archive, (agent, arch, processor), remedy)
    raise AgentError(
        f"the agent {agent} must be built once for {where} devices, but {places[1]} is not there: {remedy}"
    ).see("start/phone.md" if processor == CPU else "guides/gpus.md")


def _builder() -> Path:
    """The build script, in a wheel or in a checkout."""
    return files.shipped("tools") / "build_agent.py"


def _open(archive: Path, wanted: tuple[str, str, str], remedy: str) -> Bundle:
    """Args: ``wanted`` is agent, architecture and processor."""
    folder = files.user_cache() / "bundles" / f"{_name(*wanted)}-{files.sha256(archive)[:16]}"
    if not folder.is_dir():
        _unpack(archive, folder, remedy)
    bundle = read(folder, remedy)
    found = (bundle.agent, bundle.arch, bundle.processor)
    if found != wanted:
        raise AgentError(f"{archive} must hold {_name(*wanted)}, but holds {_name(*found)}: {remedy}")
    return bundle


def _unpack(archive: Path, folder: Path, remedy: str) -> None:
    """Unpack beside, then rename, so that the folder is whole or not there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".unpack-"))
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(beside, filter="data")
        try:
            beside.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process was faster otherwise
                raise
    except (OSError, EOFError, tarfile.TarError) as error:
        raise AgentError(f"{archive} must be a whole archive, but is not ({error}): {remedy}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def read(folder: Path, remedy: str) -> Bundle:
    """Read an unpacked bundle and check every file; raises AgentError where one is not as built."""
    try:
        data = files.read_json(folder / MANIFEST, "a bundle's manifest")
        bundle = Bundle(
            agent=str(data["agent"]),
            arch=str(data["arch"]),
            processor=str(data.get("processor", CPU)),
            folder=folder,
            files={str(name): str(entry["sha256"]) for name, entry in data["files"].items()},
            command=tuple(str(word) for word in data["command"]),
            digest=files.sha256(folder / MANIFEST),
        )
        schema, sources = data["schema"], data["sources_sha256"]
    except (HwnasError, KeyError, TypeError, AttributeError) as error:
        raise AgentError(f"{folder} must be a bundle, but is not ({in_words(error)}): {remedy}") from error
    if schema != SCHEMA or sources != sources_digest(bundle.agent):
        raise AgentError(f"the bundle in {folder} must be built from these sources, but is older: {remedy}")
    for name, expected in bundle.files.items():
        path = folder / name
        if not path.is_file() or files.sha256(path) != expected:
            raise AgentError(f"{path} must be as it was built, but is not: delete {folder}, then {remedy}")
    return bundle


def require_aligned(folder: Path, arch: str, page_bytes: int = 0) -> int:
    """Refuse files in a folder that a system with large pages could not load.

    Args:
        folder: Of loader, libraries and program.
        arch: "arm64" or "x86-64".
        page_bytes: Of the device, where it is known.

    Returns:
        Bytes that all loadable segments are aligned to.

    Raises:
        AgentError: A file's segments are aligned to less than the pages that there may be.
    """
    needed, found = max(page_bytes, _elf.PAGE_BYTES[arch]), []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        try:
            aligned = _elf.alignment(path.read_bytes())
        except AgentError as error:
            raise AgentError(f"{path.name}: {error}") from error
        if aligned is not None and aligned < needed:
            raise AgentError(
                f"segments must be aligned to pages of {needed} bytes, but those of {path.name} are aligned "
                f"to {aligned}: link it with -Wl,-z,max-page-size={needed}"
            )
        found += [] if aligned is None else [aligned]
    return min(found, default=needed)
