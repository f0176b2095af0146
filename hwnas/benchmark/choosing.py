"""Which files are measured on which targets, in which precisions, and what is left out by that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from hwnas import runtimes
from hwnas.benchmark.asked import Asked
from hwnas.benchmark.facts import Failure
from hwnas.benchmark.files import ReadFile
from hwnas.device import Device, Target
from hwnas.runtimes import Runtime

_FLOATS, _WHOLE = "fp32", "int8"


def unused(asked: Asked, found: Sequence[ReadFile]) -> Iterator[str]:
    """What a runtime or a precision that was asked for by its name does nothing for, and where."""
    formats = {model.format for model in found}
    for name in asked.runtimes:
        if not formats & runtimes.get(name).read:
            yield f"{name} reads none of the files: nothing is measured with it"
        for device in asked.devices:
            if not device.runs(name):
                yield f"{device.name} has no {name}: nothing is measured with it there"
    for device in asked.devices:
        for runtime in _known(_there(asked, device, found)):
            yield from _unused_precisions(asked.precisions, device, runtime, found)


def _unused_precisions(
    asked: Sequence[str], device: Device, runtime: Runtime, found: Sequence[ReadFile]
) -> Iterator[str]:
    """Those that a runtime does nothing in, but something in others; that of each file is said elsewhere."""
    used = {
        name
        for model in found
        if model.format in runtime.read
        for name in _precisions(model, runtime, device.processor, asked)
    }
    able = {*runtime.precisions_on(device.processor)}
    for name in asked if used else ():
        if name not in used:
            why = f"none of the files that it reads is of {runtimes.PRECISIONS[name].file}"
            why = why if name in able else f"that does not compute in it on the {device.processor}"
            yield f"nothing is measured in {name} on {device.name}/{runtime.name}: {why}"


def chosen(
    asked: Asked, device: Device, found: Sequence[ReadFile], unread: list[Failure]
) -> Iterator[tuple[Target, list[ReadFile]]]:
    """Targets of a device with the files that they measure; says which files have none."""
    there = _there(asked, device, found)
    known = _known(there)
    formats = frozenset[str]().union(*(runtime.read for runtime in known))
    for model in found:
        if model.format not in formats:
            readers = [item.name for item in _known(device.all_runtimes) if model.format in item.read]
            reason = f"{device.name} must have a runtime that reads {model.name} to measure it there, but "
            reason += f"{', '.join(there) or 'none that it has'} is asked for"
            reason += f": ask for {' or '.join(readers)}" if readers else ""
            unread.append(Failure(model.name, None, reason))
    sent = [model for model in found if not model.description.beside or device.transport == "local"]
    unread += [Failure(model.name, None, _not_sent(model, device)) for model in found if model not in sent]
    for runtime in known:
        models = [model for model in sent if model.format in runtime.read]
        unread += [
            Failure(model.name, None, _not_computed(model, runtime, device, asked.precisions))
            for model in models
            if not _precisions(model, runtime, device.processor, asked.precisions)
        ]
        for precision, alike in _groups(models, runtime, device.processor, asked.precisions):
            for threads in asked.threads or (device.threads,):
                yield device.target(runtime.name, precision, threads=threads), alike


def _not_sent(model: ReadFile, device: Device) -> str:
    return (
        f"a model must be one file to be measured on {device.name}, but the weights of {model.name} are in "
        f"{', '.join(model.description.beside)}: save it as one file"
    )


def _not_computed(model: ReadFile, runtime: Runtime, device: Device, asked: Sequence[str]) -> str:
    """Why a file is not measured in any precision that was asked for, and what would do it."""
    able = " or ".join(_precisions(model, runtime, device.processor))
    others = [
        f"--runtime {other.name}"
        for other in _known(device.all_runtimes)
        if model.format in other.read and _precisions(model, other, device.processor, asked)
    ]
    return (
        f"{model.name} must be computed in {' or '.join(asked)} to be measured on "
        f"{device.name}/{runtime.name}, but that computes it in {able}: ask for "
        f"{' or '.join((f'--precision {able}', *others))}"
    )


def _there(asked: Asked, device: Device, found: Sequence[ReadFile]) -> list[str]:
    """Names of the runtimes of a device that are asked for."""
    return [name for name in asked.runtimes or _fitting(device, found) if device.runs(name)]


def _known(names: Iterable[str]) -> list[Runtime]:
    """Those runtimes that are loaded: a device may name one of a plug-in that is not."""
    return [runtimes.RUNTIMES[name] for name in names if name in runtimes.RUNTIMES]


def _fitting(device: Device, found: Sequence[ReadFile]) -> tuple[str, ...]:
    """The runtimes of a device, and further ones of its for files that no common runtime reads."""
    rare = {model.format for model in found} - {runtime.format.name for runtime in runtimes.shipping()}
    return (*device.runtimes, *(item.name for item in _known(device.also) if item.format.name in rare))


def _groups(
    models: Sequence[ReadFile], runtime: Runtime, processor: str, asked: Sequence[str] = ()
) -> Iterator[tuple[str, list[ReadFile]]]:
    """What is measured together, with the precision of its target and anchors.

    That is all files, except where a runtime is told what it computes in: then those of one precision.
    """
    by_precision: dict[str, list[ReadFile]] = {}
    for model in models:
        for name in _precisions(model, runtime, processor, asked or [_own(model, runtime, processor)]):
            by_precision.setdefault(name, []).append(model)
    if processor in runtime.proves_precision:
        yield from (
            (name, by_precision[name]) for name in asked or sorted(by_precision) if name in by_precision
        )
    elif by_precision:
        alike = [model for model in models if any(model in group for group in by_precision.values())]
        yield _anchors(alike, runtime.precisions), alike


def _precisions(
    model: ReadFile, runtime: Runtime, processor: str, asked: Sequence[str] = ()
) -> tuple[str, ...]:
    """Those that a runtime can compute a file in, of those that are asked for; of all where none is."""
    own = _own(model, runtime, processor)
    able = [own]
    if processor in runtime.proves_precision:
        able = [name for name in runtime.precisions_on(processor) if runtimes.PRECISIONS[name].file == own]
    return tuple(name for name in able if not asked or name in asked)


def _own(model: ReadFile, runtime: Runtime, processor: str) -> str:
    """What a file is computed in where nothing is asked: as it is written, unless that cannot be told."""
    own = model.description.precision
    is_told = processor in runtime.proves_precision and own not in runtime.files
    return _anchors([model], runtime.precisions) if is_told else own


def _anchors(models: Sequence[ReadFile], precisions: Sequence[str]) -> str:
    """Precision of the anchors beside files: that of whole numbers where all files are of those."""
    kinds = {model.description.precision for model in models}
    wanted = _WHOLE if kinds == {_WHOLE} else _FLOATS
    return wanted if wanted in precisions else precisions[0]
