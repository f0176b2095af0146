"""Devices and targets: what a latency is true of. Descriptors are TOML files, one a device."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hwnas import files, runtimes
from hwnas.annotations import require_fields
from hwnas.errors import DeviceError, SchemaMismatch
from hwnas.runtimes import DEFAULT, IMPORTED, RUNTIMES
from hwnas.shapes import Shape, require

PRECISIONS = tuple(runtimes.PRECISIONS)
PROCESSORS = ("cpu", "gpu", "npu")
TRANSPORTS = ("local", "adb", "ssh")

AUTO = "auto"
"""In the place of a runtime: the fastest that is there."""

_SHAPE = {
    "name": str,
    "title": str,
    "transport": str,
    "processor?": str,
    "runtimes?": [str],
    "also?": [str],
    "threads?": int,
    "match?": dict,
    "options?": dict,
}
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


@dataclass(frozen=True)
class Target:
    """What a number is true of. Holds no serial number.

    Attributes:
        device: Name of the device descriptor.
        runtime: Inference runtime: a name of ``hwnas.runtimes``.
        precision: What is computed in: "fp32", "int8" for fully quantised models, "fp16", "bf16", "tf32".
        processor: "cpu", "gpu" or "npu".
        threads: Threads of the runtime.
        batch: Images a run.
    """

    device: str
    runtime: str
    precision: str
    processor: str = "cpu"
    threads: int = 1
    batch: int = 1

    def __post_init__(self) -> None:
        require_fields(self, DeviceError)
        _require(
            bool(_NAME.fullmatch(self.device)),
            f"a device name must match {_NAME.pattern}, but got {self.device!r}",
        )
        _one_of("runtime", self.runtime, (*RUNTIMES, *IMPORTED))
        _one_of("precision", self.precision, PRECISIONS)
        _one_of("processor", self.processor, PROCESSORS)
        _at_least_one("threads", self.threads)
        _at_least_one("batch", self.batch)

    @property
    def file_precision(self) -> str:
        """Precision of the files that it runs; fp16, bf16 and tf32 are computed from those in fp32."""
        return runtimes.PRECISIONS[self.precision].file

    @property
    def is_supported(self) -> bool:
        """Whether its runtime computes in its precision on its processor."""
        runtime = runtimes.get(self.runtime)
        return self.processor in runtime.processors and self.precision in runtime.precisions_on(
            self.processor
        )

    @property
    def slug(self) -> str:
        """Short text for file names: ``litert-int8``, with what is not the default added."""
        extra = [self.processor] if self.processor != "cpu" else []
        extra += [f"t{self.threads}"] if self.threads != 1 else []
        extra += [f"b{self.batch}"] if self.batch != 1 else []
        return "-".join([self.runtime, self.precision, *extra])

    def __str__(self) -> str:
        return f"{self.device}/{self.slug}"

    def to_json(self) -> dict[str, Any]:
        """A JSON object that ``from_json`` turns back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Target:
        """Rebuild a target; raises SchemaMismatch where a field is missing or unknown."""
        names = tuple(cls.__dataclass_fields__)
        if not isinstance(data, Mapping):
            raise SchemaMismatch(f"a target must be an object, but got {data!r}", field="target")
        odd = sorted(set(names) ^ set(data))
        if odd:
            raise SchemaMismatch(f"a target must have the fields {names}, but differs in {odd}", field=odd[0])
        try:
            return cls(**data)
        except DeviceError as error:
            raise SchemaMismatch(
                f"a target must be as hwnas writes it, but it is not: {error}", field="target"
            ) from error


@dataclass(frozen=True)
class AutoTarget:
    """A target whose runtime is yet to be chosen, by measuring.

    Attributes:
        candidates: The targets to choose from, which differ by their runtime alone; the preferred one first.
    """

    candidates: tuple[Target, ...]

    def __str__(self) -> str:
        first = self.candidates[0]
        return f"{first.device}/{AUTO}{first.slug.removeprefix(first.runtime)}"


@dataclass(frozen=True)
class Device:
    """A device that can be measured on, as its TOML file describes it.

    Attributes:
        name: Name used on the command line.
        title: One line for people.
        transport: How to reach it.
        processor: Where models run unless asked otherwise.
        runtimes: Agents that can run there, the preferred one first.
        threads: Default number of threads.
        match: Rules on what an attached device says of itself, for example
            ``{"ro.product.manufacturer": "Google", "ro.product.model": "Pixel *"}``: shell patterns,
            upper and lower case alike; empty matches nothing by itself.
        options: What else the transport or the agent needs, as given in the file.
        also: Agents that can run there where they are installed; used where they are asked for.
    """

    name: str
    title: str
    transport: str
    processor: str = "cpu"
    runtimes: tuple[str, ...] = (DEFAULT,)
    threads: int = 1
    match: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    also: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_fields(self, DeviceError)
        _require(
            bool(_NAME.fullmatch(self.name)),
            f"a device name must match {_NAME.pattern}, but got {self.name!r}",
        )
        _one_of("transport", self.transport, TRANSPORTS)
        _one_of("processor", self.processor, PROCESSORS)
        _require(bool(self.runtimes), f"a device must name at least one runtime, but {self.name} has none")
        for runtime in self.all_runtimes:
            _one_of("runtime", runtime, (*RUNTIMES, *IMPORTED))
        _at_least_one("threads", self.threads)

    def matches(self, facts: Mapping[str, str]) -> bool:
        """Whether there are rules and all hold for what a device says of itself."""
        return bool(self.match) and all(
            fnmatchcase(facts.get(name, "").lower(), pattern.lower()) for name, pattern in self.match.items()
        )

    def with_options(self, **given: Any) -> Device:
        """The same device with further options; those that are None are left as they are."""
        added = {name: value for name, value in given.items() if value is not None}
        return replace(self, options={**self.options, **added}) if added else self

    @property
    def all_runtimes(self) -> tuple[str, ...]:
        """Those that are used unless others are asked for, then the others."""
        return (*self.runtimes, *self.also)

    def runs(self, runtime: str) -> bool:
        """Whether its agent can run there."""
        return runtime in self.all_runtimes

    def target(self, runtime: str, precision: str, *, threads: int | None = None) -> Target:
        """The target for one of this device's runtimes.

        Raises:
            DeviceError: The runtime cannot run on this device.
        """
        if not self.runs(runtime):
            raise DeviceError(
                f"the runtime must be one of {self.all_runtimes} on {self.name}, but got {runtime!r}"
            )
        return Target(
            self.name, runtime, precision, self.processor, self.threads if threads is None else threads
        )

    def auto(self, precision: str, *, among: Sequence[str] = (), threads: int | None = None) -> AutoTarget:
        """The target for whichever of its runtimes is the fastest.

        Args:
            precision: What is computed in.
            among: Names of runtimes; all of this device by default.
            threads: Of the runtime; the device's own by default.

        Raises:
            DeviceError: None of them computes in that precision on its processor.
        """
        names = tuple(among) or self.all_runtimes
        found = [self.target(name, precision, threads=threads) for name in names]
        able = tuple(target for target in found if target.runtime in RUNTIMES and target.is_supported)
        if not able:
            raise DeviceError(
                f"a runtime must compute in {precision} on the {self.processor} of {self.name} to be chosen, "
                f"but none of {', '.join(names)} does: ask for another precision"
            )
        return AutoTarget(able)


def load_all() -> dict[str, Device]:
    """Every shipped device and every device of the user's own; the user's win by name."""
    devices: dict[str, Device] = {}
    for folder in (files.shipped("devices"), files.user_config() / "devices"):
        for path in sorted(folder.glob("*.toml")):
            device = read(path)
            devices[device.name] = device
    return devices


def load(name: str) -> Device:
    """The device of this name; raises DeviceError with the known names otherwise."""
    devices = load_all()
    own, slash, _ = name.partition("/")
    if slash and own in devices:
        raise DeviceError(
            f"a device must be named without a target, but got {name!r}: name {own!r}, and runtime and "
            "precision by options of their own"
        )
    if name not in devices:
        raise DeviceError(
            f"a device must be one of {sorted(devices)}, but got {name!r}: "
            f"add {files.user_config() / 'devices' / (name + '.toml')} to describe it"
        ).see("faq.md#how-do-i-build-a-latency-table-for-my-own-device")
    return devices[name]


def read(path: Path) -> Device:
    """Read one descriptor; raises DeviceError naming the file and what is wrong with it."""
    data = described(path, "a device", lambda _: _SHAPE)
    data |= {"runtimes": tuple(data.get("runtimes", (DEFAULT,))), "also": tuple(data.get("also", ()))}
    try:
        device = Device(**data)
    except (TypeError, DeviceError) as error:
        raise DeviceError(f"{path} must describe a device: {error}") from error
    _require(
        device.name == path.stem, f"a device must be named like its file, but {path} names {device.name!r}"
    )
    return device


def described(path: Path, what: str, shape: Callable[[Mapping[str, Any]], Shape]) -> dict[str, Any]:
    """A TOML file that describes something to measure on.

    Args:
        path: The file.
        what: What it describes, for messages.
        shape: Says which shape what is in it must have.

    Raises:
        DeviceError: It cannot be read, or is of another shape; what is wrong is named.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DeviceError(
            f"{what} must be described by a TOML file, but {path} cannot be read: {error.strerror}"
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DeviceError(f"{what} must be described by readable TOML, but {path} is not: {error}") from error
    try:
        require(data, shape(data), what, path, "mend that line")
    except SchemaMismatch as error:
        raise DeviceError(str(error)) from error
    return data


def _one_of(what: str, value: str, allowed: tuple[str, ...]) -> None:
    _require(value in allowed, f"{what} must be one of {allowed}, but got {value!r}")


def _at_least_one(what: str, value: object) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    _require(whole, f"{what} must be a whole number of at least 1, but got {value!r}")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise DeviceError(message)
