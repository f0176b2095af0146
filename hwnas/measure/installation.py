"""Whether hwnas is installed so that it can work: each part is looked at by itself, and hides no other."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hwnas
from hwnas import device as devices
from hwnas import files, plugins, runtimes
from hwnas.errors import DeviceError, HwnasError
from hwnas.runs import outputs
from hwnas.torch_build import torch_build
from hwnas.transport import _bundle, adb
from hwnas.transport.doctor import ABSENT, FAILED, OK, WARNING, Check, split
from hwnas.transport.local import LocalTransport

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_NAME = "hwnas"
_AGAIN = f"install it again: `pip install --force-reinstall {_NAME}`"
_SILENCE_S = 60.0
_ANSWER_S = 20.0  # of a program that says its version
_SPACE_GB = 1.0  # models of a large space, a table, the weights of a search
_SHIPPED = ("profilers", "devices", "lut_data")
_PHONES = "arm64"
_MOST_NAMED = 4  # of what an extra lacks


def examine_installation() -> Iterator[Check]:
    """Look at everything that hwnas works with on this machine. Nothing is raised, whatever is broken.

    A check has failed where hwnas cannot work as it is.
    """
    for name, look in _PARTS.items():
        try:
            yield from look()
        except Exception as error:  # noqa: BLE001  (whatever it is, it must not hide the parts after it)
            said = f"{type(error).__name__}: {' '.join(str(error).split())}"
            yield Check(name, FAILED, f"cannot be looked at: {said}", _AGAIN)


def _python() -> Iterator[Check]:
    said = f"{platform.python_implementation()} {platform.python_version()}, {platform.platform()}"
    found = _distribution()
    wanted = "" if found is None else str(found.metadata["Requires-Python"] or "")
    if wanted and not _is_within(wanted, platform.python_version()):
        yield Check(
            "Python", FAILED, f"{said}; {_NAME} wants {wanted}", f"install {_NAME} for a Python {wanted}"
        )
    else:
        yield Check("Python", OK, f"{said} ({sys.executable})")


def _program() -> Iterator[Check]:
    said, found = f"{hwnas.__version__} in {Path(hwnas.__file__).parent}", _distribution()
    for name in _SHIPPED:
        files.shipped(name)
    if found is None:
        yield Check(_NAME, WARNING, f"{said}, which no package manager knows of", f"`pip install {_NAME}`")
    elif found.version != hwnas.__version__:
        yield Check(_NAME, WARNING, f"{said}, but {found.version} is installed", _AGAIN)
    else:
        yield Check(_NAME, OK, said)


def _packages() -> Iterator[Check]:
    """What hwnas needs, then what each extra brings: what is wanted stands in hwnas's own metadata."""
    found = _distribution()
    if found is None:
        yield Check("packages", WARNING, "what is needed is not known", f"`pip install {_NAME}`")
        return
    needed, extras = _wanted(found)
    there = []
    for wish in needed:
        state, said = _has(wish)
        if state == OK:
            there.append(said)
        else:
            yield Check(f"package {wish.name}", FAILED, said, f"`pip install '{wish.name}{wish.specifier}'`")
    yield Check("packages", OK, f"{len(there)} of {len(needed)} as they are needed: {', '.join(there)}")
    for extra, wishes in extras.items():
        states = [_has(wish) for wish in wishes]
        worst = next((each for each in (ABSENT, WARNING) if each in dict(states)), OK)
        said = _some([text for state, text in states if state == worst])
        yield Check(f"extra {extra}", worst, said, "" if worst == OK else f"`pip install '{_NAME}[{extra}]'`")


def _some(texts: list[str]) -> str:
    """The first few of many: nobody reads thirty."""
    more = len(texts) - _MOST_NAMED
    return ", ".join(texts[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _distribution() -> metadata.Distribution | None:
    """Hwnas as pip installed it, if it did."""
    try:
        return metadata.distribution(_NAME)
    except metadata.PackageNotFoundError:
        return None


def _wanted(found: metadata.Distribution) -> tuple[list[Requirement], dict[str, list[Requirement]]]:
    """Requirements of hwnas on this machine: those of everybody, and those by extra."""
    from packaging.requirements import Requirement

    wishes = [Requirement(text) for text in found.requires or ()]
    wishes = [wish for wish in wishes if wish.name != _NAME]
    needed = [wish for wish in wishes if wish.marker is None or wish.marker.evaluate({"extra": ""})]
    others = [wish for wish in wishes if wish not in needed]
    extras = {
        extra: [wish for wish in others if wish.marker and wish.marker.evaluate({"extra": extra})]
        for extra in found.metadata.get_all("Provides-Extra") or ()
    }
    return needed, {extra: own for extra, own in extras.items() if own}


def _has(wish: Requirement) -> tuple[str, str]:
    """Whether a requirement is met, and what is there."""
    try:
        version: Any = metadata.version(wish.name)  # None where its METADATA is not there
    except metadata.PackageNotFoundError:
        return ABSENT, f"{wish.name} is not installed"
    if version is None:
        return WARNING, f"{wish.name} is installed, but its description is damaged"
    if not _is_within(str(wish.specifier), version):
        return WARNING, f"{wish.name} is {version}, and {wish.specifier} is wanted"
    return OK, f"{wish.name} {version}"


def _is_within(range_: str, version: str) -> bool:
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(range_).contains(version, prereleases=True)


def _training() -> Iterator[Check]:
    import torch

    build = torch_build()
    onednn = f", oneDNN {build.onednn}" if build.onednn else ""
    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    said = f"torch {build.version}{onednn}, {build.capability}; on {', '.join(gpus) or 'the CPU'}"
    if build.warning:
        fault, _, remedy = build.warning.rpartition(": ")
        yield Check("training", WARNING, f"{said}; {fault}", remedy)
    else:
        yield Check("training", OK, said)


def _runtimes() -> Iterator[Check]:
    """Each runtime that can measure this machine: its agent is started without a job."""
    host = devices.read(files.shipped("devices") / "host.toml")
    own = [name for name, each in runtimes.RUNTIMES.items() if Path(each.agent).is_absolute()]
    with LocalTransport(device=host) as transport:
        for name in dict.fromkeys((*host.all_runtimes, *own)):
            yield _runtime(transport, name, is_needed=name in host.runtimes)


def _runtime(transport: LocalTransport, name: str, *, is_needed: bool) -> Check:
    try:
        replies = list(transport.run(runtimes.get(name).agent, [], silence_s=_SILENCE_S))
    except HwnasError as error:
        is_installed = all(any(metadata.distributions(name=each)) for each in runtimes.get(name).packages)
        is_here = platform.system() == "Linux"
        state = FAILED if is_needed and is_here else WARNING if is_installed else ABSENT
        return Check(f"runtime {name}", state, *split(error, "measure with another runtime"))
    hello: dict[str, Any] = next((dict(reply["hello"]) for reply in replies if "hello" in reply), {})
    where = ", ".join(map(str, hello.get("processors") or ["cpu"]))
    why = f"; no GPU: {hello['no_gpu']}" if hello.get("no_gpu") else ""
    by = f", provider {hello['provider']}" if hello.get("provider") else ""
    return Check(f"runtime {name}", OK, f"{hello.get('runtime_version') or 'runs'} on {where}{why}{by}")


def _programs() -> Iterator[Check]:
    yield _called("adb", ("version",), "phones", "install Android's platform tools (adb)")
    yield _called("ssh", ("-V",), "boards", "install an OpenSSH client")
    archives = _bundle.archives(runtimes.get(runtimes.DEFAULT).agent, _PHONES)
    try:
        found = _bundle.find(runtimes.get(runtimes.DEFAULT).agent, _PHONES)
        yield Check("agent for phones", OK, f"{found.name}, all digests right")
    except DeviceError as error:
        is_damaged = any(archive.is_file() for archive in archives)
        yield Check("agent for phones", WARNING if is_damaged else ABSENT, *split(error, "build it again"))


def _called(name: str, asking: tuple[str, ...], what: str, remedy: str) -> Check:
    """A program that only some devices need."""
    path = shutil.which(name)
    if path is None:
        return Check(f"program {name}", ABSENT, f"not installed; {what} are reached with it", remedy)
    try:
        done = subprocess.run([path, *asking], capture_output=True, text=True, timeout=_ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(f"program {name}", WARNING, f"{path} does not run: {error}", remedy)
    lines = (done.stdout or done.stderr).strip().splitlines()
    if done.returncode:
        said = lines[-1] if lines else "it says nothing"
        return Check(f"program {name}", WARNING, f"{path} ends with {done.returncode}: {said}", remedy)
    return Check(f"program {name}", OK, f"{lines[0] if lines else 'there'} ({path})")


def _phones() -> Iterator[Check]:
    if not adb.installed():
        return
    try:
        found = adb.attached()
    except HwnasError as error:
        yield Check("phones", WARNING, *split(error, "run `adb kill-server`, and look again"))
        return
    for phone in found:
        said = phone.title or f"adb says {phone.state}"
        yield Check(f"phone {phone.serial}", OK if phone.ready else WARNING, said, phone.remedy)
    if not found:
        yield Check("phones", ABSENT, "none is attached", adb.ATTACH)


def _folders() -> Iterator[Check]:
    for what, folder in (
        ("folder of tables", files.user_data()),
        ("folder of descriptors", files.user_config()),
        ("cache", files.user_cache()),
        ("temporary folder", Path(tempfile.gettempdir())),
    ):
        try:
            outputs.require_folder(folder, "it")
        except HwnasError as error:
            remedy = f"let your user write to {folder}, or see why it cannot be made"
            yield Check(what, WARNING, str(error).rpartition(": ")[0], remedy)
            continue
        free_gb = shutil.disk_usage(_nearest(folder)).free / 1e9
        said = f"{folder}, {free_gb:.1f} GB free"
        if free_gb < _SPACE_GB:
            yield Check(what, WARNING, said, f"free {_SPACE_GB:g} GB or more")
        else:
            yield Check(what, OK, said)


def _nearest(folder: Path) -> Path:
    """The folder, or the first one above it that is there."""
    return next(each for each in (folder, *folder.parents) if each.exists())


def _descriptors() -> Iterator[Check]:
    own = sorted((files.user_config() / "devices").glob("*.toml"))
    good = 0
    for path in own:
        try:
            devices.read(path)
            good += 1
        except HwnasError as error:
            remedy = "mend it, or take it away: no device is found while it is there"
            yield Check(f"descriptor {path.name}", FAILED, str(error), remedy)
    if good or not own:
        yield Check("descriptors of your own", OK, f"{good} in {files.user_config() / 'devices'}")


def _plugins() -> Iterator[Check]:
    there = []
    for name, error in plugins.examined():
        if error is None:
            there.append(name)
        else:
            remedy = "mend it, or uninstall what brings it: nothing works while it is there"
            yield Check(f"plug-in {name}", FAILED, str(error), remedy)
    yield Check("plug-ins", OK, ", ".join(there) or "none is installed")


_PARTS: dict[str, Callable[[], Iterator[Check]]] = {
    "Python": _python,
    _NAME: _program,
    "packages": _packages,
    "training": _training,
    "runtimes": _runtimes,
    "programs": _programs,
    "phones": _phones,
    "folders": _folders,
    "descriptors": _descriptors,
    "plug-ins": _plugins,
}
