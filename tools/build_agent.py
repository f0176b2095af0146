"""Builds the LiteRT agent's bundle for arm64 (phones, boards) and x86-64 from registry packages.

    python tools/build_agent.py                  # arm64, into the user's cache: all that a phone needs
    python tools/build_agent.py arm64 x86-64     # emulators and x86-64 boards too
    python tools/build_agent.py --ship           # into profilers/litert/bundles, to go into a wheel
    python tools/build_agent.py native           # this machine's compiler and libraries, no download
    python tools/build_agent.py arm64 --gpu      # for the GPU of a board or a PC, over Vulkan

What comes from where, through the ordinary clients only: zig's compiler and LiteRT's library by
``pip download`` (digests checked), glibc and the GCC libraries by ``apt-get download`` (signatures
checked by apt, digests too where this file knows the version). Needs a Debian or Ubuntu machine or
container and, there, a package list that is not empty (``apt-get update``). The same inputs give
the same bytes.

A bundle for GPUs brings neither loader nor glibc: a driver is one of the system's libraries, and needs the
others of the system, which must have glibc 2.34 or later and libstdc++. It needs pip alone.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import io
import json
import lzma
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from hwnas import files
from hwnas.errors import AgentError
from hwnas.runtimes.base import CPU
from hwnas.transport import _bundle

AGENT = "litert"
GPU = "gpu"
LITERT = "2.3.0"
ZIG = "0.17.1"
FLAGS = ("-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-Wl,-z,max-page-size=65536")
LIBRARY, ACCELERATOR = "libLiteRt.so", "libLiteRtWebGpuAccelerator.so"
COMMON_LICENCES = Path("/usr/share/common-licenses")


@dataclass(frozen=True)
class Architecture:
    """Names of one architecture in each of the worlds that the bundle is made from."""

    zig: str
    debian: str
    folder: str
    loader: str
    wheel: str
    libraries: tuple[str, ...]


_GCC = ("libstdc++.so.6", "libgcc_s.so.1")
ARCHITECTURES = {
    "arm64": Architecture(
        zig="aarch64-linux-gnu.2.34",
        debian="arm64",
        folder="usr/aarch64-linux-gnu/lib",
        loader="ld-linux-aarch64.so.1",
        wheel="manylinux_2_27_aarch64",
        libraries=("libc.so.6", "libm.so.6", *_GCC),
    ),
    "x86-64": Architecture(
        zig="x86_64-linux-gnu.2.34",
        debian="amd64",
        folder="usr/x86_64-linux-gnu/lib",
        loader="ld-linux-x86-64.so.2",
        wheel="manylinux_2_27_x86_64",
        libraries=("libc.so.6", "libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0", *_GCC),
    ),
}

# SHA-256 of the inputs that are known. Others are taken too, on the word of the client that
# fetched them, and are named in the manifest.
KNOWN = {
    "ziglang-0.17.1-py3-none-manylinux_2_12_x86_64.manylinux2010_x86_64.musllinux_1_1_x86_64.whl": (
        "ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54"
    ),
    "ai_edge_litert-2.3.0-cp311-cp311-manylinux_2_27_aarch64.whl": (
        "853fc608f96da87bd5f3458465dfb9abbf18d5ae6b94eceacead407146f175ae"
    ),
    "ai_edge_litert-2.3.0-cp311-cp311-manylinux_2_27_x86_64.whl": (
        "1f15078a6725d2357d9de9221664c29afa0545d807559c5f7199ce5e40b96b23"
    ),
    "gcc-12-cross-base_12.2.0-14cross1_all.deb": (
        "8dcb9dc293df9069f09dbe68d73f4a8ec2d4e3da4dcfbfe14a821d94e257e9d5"
    ),
    "libc6-arm64-cross_2.36-8cross1_all.deb": (
        "91936cbbee75771c360ed16513f6e734a25ca5517fe7c3e13dfd7835d7553186"
    ),
    "libstdc++6-arm64-cross_12.2.0-14cross1_all.deb": (
        "9cba984b64d0cf11698978fc5e0fe93c7441d29b9f42f70f1c6c734cc9e2ea41"
    ),
    "libgcc-s1-arm64-cross_12.2.0-14cross1_all.deb": (
        "af1e686fc6a416228222e7bfb68317dd2fa2685236301ae29141fc6108a66cac"
    ),
    "libc6-amd64-cross_2.36-8cross1_all.deb": (
        "e410f3d2da35bccf757976d38e6a309d4d94d25c0dfde565a9662e3f75951b2c"
    ),
    "libstdc++6-amd64-cross_12.2.0-14cross1_all.deb": (
        "ad91d29ea6b2a819fe6f79138fee2ce4c1a1dbe7fcd355c3a8f27e8c3d13dd88"
    ),
    "libgcc-s1-amd64-cross_12.2.0-14cross1_all.deb": (
        "b432ba4cfc37d81fc9efe03da3c706eaa64859513f496397c56d11c08262994f"
    ),
}

SOURCES = """\
Where the sources of what is in this folder are.

agent                     profilers/litert/src of hwnas (Apache-2.0)
libLiteRt*.so             LiteRT {litert}, from the Python package ai-edge-litert (Apache-2.0)
"""
SOURCES_OF_LIBRARIES = """\
ld-linux*, libc, libm …   the GNU C Library (LGPL-2.1 or later), unchanged, from Debian's packages
                          named in manifest.json; `apt-get source glibc cross-toolchain-base`
libstdc++, libgcc_s       GCC's runtime libraries (GPL-3 with the GCC Runtime Library Exception),
                          unchanged, from Debian's packages; `apt-get source gcc-12-cross gcc-12`
"""


class BuildError(Exception):
    """The bundle cannot be built; the message says what is missing."""


def main() -> int:
    """Build what the command line asks for and print where it is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("arch", nargs="*", choices=[*ARCHITECTURES, "native"], default=["arm64"])
    parser.add_argument("--gpu", action="store_true", help="for the GPU of a board or a PC, over Vulkan")
    parser.add_argument("--ship", action="store_true", help="into profilers/litert/bundles, not the cache")
    parser.add_argument("--out", type=Path, help="into this folder")
    options = parser.parse_args()
    names = [options.arch] if isinstance(options.arch, str) else options.arch
    try:
        with tempfile.TemporaryDirectory() as work:
            for name in names:
                print(build(name, Path(work), gpu=options.gpu, out=options.out, ship=options.ship))
    except (BuildError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def build(name: str, work: Path, *, gpu: bool = False, out: Path | None = None, ship: bool = False) -> Path:
    """Build one bundle and return the archive's path; raises BuildError where something is missing."""
    staged = work / name
    (staged / "licences").mkdir(parents=True)
    processor, is_own = GPU if gpu else CPU, not gpu and name != "native"
    arch, inputs = _stage_native(staged, gpu) if name == "native" else _stage_cross(name, staged, work, gpu)
    _require_aligned(staged, arch)
    sources = SOURCES + (SOURCES_OF_LIBRARIES if is_own else "")
    _write(staged / "licences" / "SOURCES.txt", sources.format(litert=LITERT).encode())
    command = [*(_loader(arch) if is_own else ()), f"{_bundle.HERE}/agent", *_arguments(gpu)]
    manifest = _manifest(staged, arch, processor, command, inputs)
    _write(staged / _bundle.MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n")
    shipped, cached = _bundle.archives(AGENT, arch, processor)
    target = out / cached.name if out else shipped if ship else cached
    effort = 0 if name == "native" else 9 | lzma.PRESET_EXTREME
    files.write_atomic(target, lzma.compress(_pack(staged), preset=effort))
    return target


def _stage_cross(name: str, staged: Path, work: Path, gpu: bool) -> tuple[str, dict[str, str]]:
    """Everything for another machine: by zig, with a loader and libraries of its own, but for GPUs."""
    arch, inputs = ARCHITECTURES[name], dict[str, str]()
    wheel = _pip_download(f"ai-edge-litert=={LITERT}", work / f"{name}-litert", inputs, tag=arch.wheel)
    with zipfile.ZipFile(wheel) as archive:
        for library in _libraries(gpu):
            _write(staged / library, archive.read(f"ai_edge_litert/{library}"))
        licence = next(entry for entry in archive.namelist() if entry.endswith("/LICENSE"))
        _write(staged / "licences" / "LiteRT.txt", archive.read(licence))
    if not gpu:
        _debian(name, staged, work / f"{name}-debian", inputs)
    _compile([str(_zig(work / "zig", inputs)), "cc", "-target", arch.zig, "-s"], staged / "agent", work)
    return name, inputs


def _stage_native(staged: Path, gpu: bool) -> tuple[str, dict[str, str]]:
    """The agent for this machine: its compiler, its libraries, the installed LiteRT."""
    arch = _bundle.ARCHITECTURES.get(platform.machine())
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    spec = importlib.util.find_spec("ai_edge_litert")
    if arch is None or compiler is None or spec is None or spec.origin is None:
        raise BuildError(
            f"a native build needs a machine of {sorted(set(_bundle.ARCHITECTURES.values()))}, a C compiler "
            f"and ai-edge-litert, but this is {platform.machine()} with {compiler} and {spec}"
        )
    for library in _libraries(gpu):
        shutil.copyfile(Path(spec.origin).parent / library, staged / library)
    _compile([compiler], staged / "agent", staged.parent)
    return arch, {library: files.sha256(staged / library) for library in _libraries(gpu)}


def _libraries(gpu: bool) -> tuple[str, ...]:
    """LiteRT's own."""
    return (LIBRARY, ACCELERATOR) if gpu else (LIBRARY,)


def _loader(arch: str) -> list[str]:
    """Words that start a program with the libraries of the bundle alone."""
    here = _bundle.HERE
    return [f"{here}/{ARCHITECTURES[arch].loader}", "--inhibit-cache", "--library-path", here]


def _require_aligned(staged: Path, arch: str) -> None:
    try:
        _bundle.require_aligned(staged, arch)
    except AgentError as error:
        raise BuildError(str(error)) from error


def _arguments(gpu: bool) -> list[str]:
    words = ["--library", f"{_bundle.HERE}/{LIBRARY}", "--runtime-version", LITERT]
    return [*words, "--gpu", _bundle.HERE] if gpu else words


def _compile(compiler: list[str], target: Path, work: Path) -> None:
    """Compile the agent; its bytes do not depend on where that happens."""
    sources = files.shipped("profilers") / AGENT / "src"
    caches = {
        "ZIG_LOCAL_CACHE_DIR": str(work / "zig-local"),
        "ZIG_GLOBAL_CACHE_DIR": str(work / "zig-global"),
    }
    subprocess.run(
        [
            *compiler,
            *FLAGS,
            "-o",
            str(target),
            *sorted(path.name for path in sources.glob("*.c")),
            "-ldl",
            "-lm",
        ],
        cwd=sources,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(work), "LC_ALL": "C", **caches},
        check=True,
    )


def _pip_download(requirement: str, folder: Path, inputs: dict[str, str], *, tag: str | None = None) -> Path:
    """Download one wheel with pip; ``tag`` asks for another platform than this one."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    if tag:
        command += ["--platform", tag, "--python-version", "3.11", "--implementation", "cp"]
    done = subprocess.run([*command, "--dest", str(folder), requirement], check=False, stdout=sys.stderr)
    if done.returncode:
        raise BuildError(
            f"{requirement} must be downloaded by pip, but `{sys.executable} -m pip` ended with "
            f"{done.returncode}: see above; where pip itself is not there, `python -m ensurepip` brings it"
        )
    return _note(next(folder.glob("*.whl")), inputs)


def _zig(folder: Path, inputs: dict[str, str]) -> Path:
    """The compiler of the wanted version, from its wheel; downloaded once."""
    program = folder / "ziglang" / "zig"
    if program.exists():
        _note(next(folder.glob("*.whl")), inputs)
    else:
        with zipfile.ZipFile(_pip_download(f"ziglang=={ZIG}", folder, inputs)) as archive:
            archive.extractall(folder)
        program.chmod(0o755)
    return program


def _debian(name: str, staged: Path, work: Path, inputs: dict[str, str]) -> None:
    """Loader, libraries and their licences from Debian's cross packages."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise BuildError(
            "glibc and the GCC libraries come from Debian packages, but this machine has no apt-get: build "
            f"once in a Debian container and copy the archive to {_bundle.archives(AGENT, name)[1]}"
        )
    arch, root = ARCHITECTURES[name], work / "root"
    packages = [f"{library}-{arch.debian}-cross" for library in ("libc6", "libstdc++6", "libgcc-s1")]
    _apt_download(packages, work / "packages", root, inputs)
    documents = root / "usr/share/doc"
    base = (documents / packages[2]).readlink().name  # the package that holds GCC's licence
    _apt_download([base], work / "base", root, inputs)
    for library in (arch.loader, *arch.libraries):
        _write(staged / library, (root / arch.folder / library).read_bytes())
    _write(staged / "licences" / "glibc.txt", (documents / packages[0] / "copyright").read_bytes())
    _write(staged / "licences" / "gcc.txt", (documents / base / "copyright").read_bytes())
    for licence in ("LGPL-2.1", "GPL-2", "GPL-3"):
        _write(staged / "licences" / f"{licence}.txt", (COMMON_LICENCES / licence).read_bytes())


def _apt_download(names: list[str], folder: Path, root: Path, inputs: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    done = subprocess.run(
        ["apt-get", "download", "--quiet", *names], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BuildError(f"{done.stderr.strip()}: run `apt-get update` (as root) and try again")
    for package in sorted(folder.glob("*.deb")):
        _note(package, inputs)
        subprocess.run(["dpkg-deb", "--extract", str(package), str(root)], check=True)


def _note(path: Path, inputs: dict[str, str]) -> Path:
    """Remember an input; raises BuildError where a known one has another digest."""
    digest = files.sha256(path)
    if KNOWN.get(path.name, digest) != digest:
        raise BuildError(f"{path.name} must have the SHA-256 {KNOWN[path.name]}, but has {digest}")
    inputs[path.name] = digest
    return path


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _manifest(
    staged: Path, arch: str, processor: str, command: list[str], inputs: dict[str, str]
) -> dict[str, object]:
    return {
        "schema": _bundle.SCHEMA,
        "agent": AGENT,
        "arch": arch,
        "processor": processor,
        "runtime_version": LITERT,
        "sources_sha256": _bundle.sources_digest(AGENT),
        "command": command,
        "inputs": inputs,
        "files": {
            path.name: {"sha256": files.sha256(path), "bytes": path.stat().st_size}
            for path in sorted(staged.iterdir())
            if path.is_file()
        },
        "licences": {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted((staged / "licences").iterdir())
        },
    }


def _pack(staged: Path) -> bytes:
    """The folder as a tar archive whose bytes depend on names and contents only."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(p for p in staged.rglob("*") if p.is_file()):
            content = path.read_bytes()
            entry = tarfile.TarInfo(path.relative_to(staged).as_posix())
            entry.size = len(content)
            entry.mode = 0o644 if path.parent != staged or path.suffix == ".json" else 0o755
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


if __name__ == "__main__":
    sys.exit(main())
