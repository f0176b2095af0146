"""Networks as files with random weights: latency does not depend on them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from hwnas import files, known, runtimes, spaces
from hwnas.benchmark.asked import NETWORK_PRECISIONS, Asked
from hwnas.errors import ExportError
from hwnas.export import lower, random_calibration, random_module
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.runtimes import PRECISIONS, Runtime
from hwnas.space import Architecture

_IMAGES = 8  # that the ranges of int8 come from
_LIKE_A_NAME = re.compile(r"[A-Za-z][\w-]*(\.\d[\w-]*)*")  # no folder and no suffix


def is_name(text: str) -> bool:
    """Whether a text is of a network and no file: of a run's folder, known, or like a misspelt known one."""
    if RunFolder(Path(text)).arch.is_file():
        return True
    return (known.knows(text) or bool(_LIKE_A_NAME.fullmatch(text))) and not Path(text).exists()


def made(asked: Asked, folder: Path, tell: Callable[[str], None]) -> list[Path]:
    """Files of the networks in every format that the runtimes read, and in every precision.

    Args:
        asked: Which networks, for which devices and runtimes, in which precisions.
        folder: Where the files go; created.
        tell: Called with a line for people before each.

    Raises:
        SpaceError: There is no such network.
        ExportError: One cannot be lowered.
    """
    made_for = _made_for(asked)
    folder.mkdir()
    found = []
    for text in asked.networks:
        name, arch = _network(text)
        shape = arch.space.input_shape
        module, images = random_module(arch.blocks, 0, arch.reads), random_calibration(shape, _IMAGES, 0)
        for (_, precision), runtime in made_for.items():
            tell(f"making {name} in {precision} as {runtime.format.suffix}")
            lowered = lower(module, shape, runtime.name, precision, calibration=images, check=False)
            found.append(folder / _file(name, precision, lowered.suffix))
            files.write_atomic(found[-1], lowered.model)
    return found


def planned(asked: Asked) -> Iterator[tuple[str, str, Runtime]]:
    """Name, precision and runtime of each file that ``made`` makes; raises what it raises."""
    made_for = _made_for(asked)
    for text in asked.networks:
        name, _ = _network(text)
        for (_, precision), runtime in made_for.items():
            yield _file(name, precision, runtime.format.suffix), precision, runtime


def _file(name: str, precision: str, suffix: str) -> str:
    return f"{name}{'' if precision == 'fp32' else f'.{precision}'}{suffix}"


def _made_for(asked: Asked) -> dict[tuple[str, str], Runtime]:
    """A runtime for each format and precision that networks are made in."""
    wanted = asked.precisions or NETWORK_PRECISIONS
    by_device = [
        (device, name)
        for device in asked.devices
        for name in asked.runtimes or device.runtimes
        if device.runs(name)
    ]
    made_for = {
        (runtime.format.name, PRECISIONS[precision].file): runtime
        for device, name in by_device
        for runtime in (runtimes.get(name),)
        for precision in wanted
        if precision in runtime.precisions_on(device.processor)
    }
    if asked.networks and not made_for:
        names = dict.fromkeys(f"{device.name}/{name}" for device, name in by_device)
        raise ExportError(
            f"a network must be made in a precision that {' or '.join(names)} computes in, but got "
            f"{', '.join(wanted)}: ask for another"
        )
    return made_for


def _network(text: str) -> tuple[str, Architecture]:
    """A network and what its files are called."""
    folder = Path(text)
    if not RunFolder(folder).arch.is_file():
        return text, known.load(text)
    return folder.resolve().name, spaces.architecture_from_json(records.arch(folder))
