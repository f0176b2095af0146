"""What a benchmark is of: files, the places where they ran, the sessions that they were measured in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hwnas.device import Target
from hwnas.runtimes.base import CPU, Description
from hwnas.tables.conditions import SessionQuality


@dataclass(frozen=True)
class BenchmarkPlace:
    """Where and how a file was run: a target without the precision, where that is the file's own.

    Attributes:
        device: Name of the device.
        runtime: Name of the runtime.
        processor: "cpu", "gpu" or "npu".
        threads: Threads of the runtime.
        precision: What the runtime was told to compute in; empty where that is as the file says.
    """

    device: str
    runtime: str
    processor: str
    threads: int
    precision: str = ""

    @classmethod
    def of(cls, target: Target) -> BenchmarkPlace:
        """That of a target."""
        own = target.precision == target.file_precision
        precision = "" if own else target.precision
        return cls(target.device, target.runtime, target.processor, target.threads, precision)

    def __str__(self) -> str:
        extra = [self.precision] if self.precision else []
        extra += [self.processor] if self.processor != CPU else []
        extra += [f"t{self.threads}"] if self.threads != 1 else []
        return "-".join((f"{self.device}/{self.runtime}", *extra))


@dataclass(frozen=True)
class Failure:
    """What was not measured.

    Attributes:
        file: Name of the file.
        place: Where; None where it cannot be measured anywhere.
        reason: Why, in a sentence.
    """

    file: str
    place: BenchmarkPlace | None
    reason: str


@dataclass(frozen=True)
class FileFacts:
    """A file that was measured.

    Attributes:
        name: By which rows call it: with as many of its folders as tell it from the others.
        path: As it was given; None where it was made of a name, and is no more.
        bytes: Its size, weights in files beside it included.
        sha256: Its digest, without those.
        format: What it is a file of.
        description: What it says of itself.
    """

    name: str
    path: str | None
    bytes: int
    sha256: str
    format: str
    description: Description


@dataclass(frozen=True)
class BenchmarkSession:
    """What was measured together.

    Attributes:
        id: Its identifier.
        place: Where.
        anchors: Precision of the anchors that the files were measured beside.
        quality: Whether it can be believed.
        environment: What its numbers are true of.
    """

    id: str
    place: BenchmarkPlace
    anchors: str
    quality: SessionQuality
    environment: Mapping[str, Any]
