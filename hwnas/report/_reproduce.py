"""How to do it again: the commands with their seeds, versions, hashes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from typing import Any

from hwnas import __version__, ship
from hwnas.device import Target
from hwnas.report import _page
from hwnas.report._record import Json, Record
from hwnas.space import SearchSpace
from hwnas.table import LatencyTable
from hwnas.train import TrainConfig

_SEARCH_OPTIONS = ("warmup_steps", "steps", "queries", "loss")
_PROXY_OPTIONS = {"proxy_width": "width", "proxy_resolution": "resolution", "batch_size": "batch_size"}
_TRAIN_OPTIONS = ("epochs", "batch_size", "learning_rate", "seed")
_TRAIN_FLAGS = ("augment", "flip")
_RARE_TRAIN_OPTIONS = (
    *("weight_decay", "warmup_share", "label_smoothing", "ema", "crop", "erasing", "mixup", "cutmix"),
    *("distill_weight", "temperature", "class_weights", *_TRAIN_FLAGS),
)
_PROFILE_OPTIONS = ("rounds", "max_rounds", "target_ci", "seed")
_REPORT = "report.html"

Command = tuple[str, ...]
"""Parts that stay together on a line: the verb, then an option with its value each."""


def reproduce(record: Record) -> str:
    """Commands that make the same again, and all that shows that they did."""
    text = "RUN is the folder of the run" if record.is_searched else "RUN is a folder that hwnas compare made"
    text += ". The seeds fix everything that is drawn; latencies are measured anew, "
    text += "so that they and what follows from them differ as measurements do."
    return _page.section(
        "How to reproduce it",
        _page.commands(list(commands(record))),
        _page.paragraph(text, "fine"),
        _page.table(("what", "value"), list(_identity(record))),
        _page.details("Hashes of the files", _page.table(("file", "value"), list(_hashes(record)))),
    )


def commands(record: Record) -> Iterator[Command]:
    """The chain as it is typed, in its order."""
    space = record.arch.space
    targets = [Target.from_json(item["target"]) for item in record.constraints]
    latencies = tuple(f"--latency {shlex.quote(_latency_file(target))}" for target in targets)
    if record.is_searched:
        yield from _profiling(space, targets, record.tables)
        for target in targets:
            where = {"device": target.device, "runtime": target.runtime, "precision": target.precision}
            yield _typed("fit", {"space": space.name, **where, "out": _latency_file(target)})
        yield (*_typed("search"), *latencies, *_searching(record))
    if record.trained:
        yield (*_typed("train RUN"), *_training(record.trained))
    if record.manifest:
        yield _typed("export RUN")
    if record.verification:
        yield _typed("verify RUN", {"device": record.verification.device})
    yield (*_typed("report RUN"), *(latencies if record.is_searched else ()))


def _typed(verb: str, options: Mapping[str, Any] | None = None) -> Command:
    """A command; options without a value are left out."""
    return (f"hwnas {verb}", *_options(options or {}))


def _options(options: Mapping[str, Any]) -> list[str]:
    return [
        f"--{name.replace('_', '-')} {shlex.quote(repr(value) if isinstance(value, float) else str(value))}"
        for name, value in options.items()
        if value is not None
    ]


def _latency_file(target: Target) -> str:
    return f"{target.device}-{target.slug}.json"


def _profiling(
    space: SearchSpace, targets: Sequence[Target], tables: Mapping[Target, LatencyTable]
) -> Iterator[Command]:
    """One command for all targets of a device that were asked the same, where one says them all."""
    groups: dict[tuple[str, tuple[str, ...]], list[Target]] = {}
    for target in targets:
        asked = tuple(_options(_asked(space, tables.get(target))))
        groups.setdefault((target.device, asked), []).append(target)
    for (device, asked), members in groups.items():
        runtimes, precisions = (list(dict.fromkeys(n)) for n in zip(*map(_kind, members), strict=True))
        is_product = sorted(map(_kind, members)) == sorted(product(runtimes, precisions))
        for some in [members] if is_product else [[member] for member in members]:
            named = [",".join(dict.fromkeys(names)) for names in zip(*map(_kind, some), strict=True)]
            where = {"device": device, "space": space.name, "runtime": named[0], "precision": named[1]}
            yield (*_typed("profile", where), *asked)


def _kind(target: Target) -> tuple[str, str]:
    return target.runtime, target.precision


def _asked(space: SearchSpace, table: LatencyTable | None) -> dict[str, Any]:
    """What the first session of a table was asked for, and what it measured for this space."""
    if table is None:
        return {}
    facts = next((note.facts for note in table.notes if note.moment == "begin"), {})
    asked = {name: facts.get(name) for name in _PROFILE_OPTIONS}
    networks = [m for key, m in table.measurements.items() if key.startswith(f"net:{space.name}:")]
    return asked | {
        "samples": next((len(item.samples_ms) for item in table.rounds if item.samples_ms), None),
        "calibration_networks": sum(m.kind == "calibration" for m in networks),
        "heldout_networks": sum(m.kind == "heldout" for m in networks),
    }


def _searching(record: Record) -> list[str]:
    search = record.search
    settings = {name: search.get("config", {}).get(name) for name in _SEARCH_OPTIONS}
    proxy = search.get("oneshot", {})
    settings |= {flag: proxy.get(name) for flag, name in _PROXY_OPTIONS.items()}
    if scratch := search.get("scratch"):
        settings |= {"evaluate": "scratch", "evaluate_epochs": scratch["config"]["epochs"]}
        settings |= {"workers": scratch["workers"], "batch_size": scratch["config"]["batch_size"]}
    budgets = [option for item in record.constraints for option in _options({"budget_ms": item["budget_ms"]})]
    first = {
        "space": record.arch.space.name,
        "data": search["data"]["source"],
        "strategy": search["strategy"],
    }
    last = {"confidence": search.get("confidence"), "out": "RUN"}
    return budgets + _options({**first, "seed": search["seed"], **settings, **last})


def _training(trained: Json) -> list[str]:
    """The common settings, and those of the others that are not the defaults."""
    config, usual = trained["config"], asdict(TrainConfig())
    settings = {name: config.get(name) for name in _TRAIN_OPTIONS}
    rare = {n: config[n] for n in _RARE_TRAIN_OPTIONS if n in config and config[n] != usual[n]}
    flags = [f"--{name}" if rare[name] else f"--no-{name}" for name in _TRAIN_FLAGS if name in rare]
    settings |= {name: value for name, value in rare.items() if name not in _TRAIN_FLAGS}
    start, teacher = trained.get("start", {}).get("from"), trained.get("teacher", {}).get("run")
    return [
        *_options({**settings, "init": "supernet" if start == "supernet" else None, "teacher": teacher}),
        *flags,
    ]


def _identity(record: Record) -> Iterator[tuple[str, str]]:
    arch, search, manifest = record.arch, record.search, record.manifest
    yield "architecture", _page.code(f"{arch.id} ({'.'.join(map(str, arch.indices))})")
    yield "space", _page.code(f"{arch.space.name} ({arch.space.fingerprint})")
    yield "data", _page.code(f"{search['data']['source']} ({search['data']['fingerprint']})")
    if record.is_searched:
        yield "seed of the search", str(search["seed"])
    if record.trained:
        yield "seed of the training", str(record.trained["config"]["seed"])
    yield "hwnas", __version__ if manifest is None else str(manifest.get("hwnas", "–"))
    if manifest:
        yield "exported", str(manifest["created"])
        versions = manifest.get("versions", {})
        yield "versions", ", ".join(f"{name} {value}" for name, value in versions.items())
        yield "licence of the models", str(manifest.get("licence") or "not stated")


def _hashes(record: Record) -> Iterator[tuple[str, str]]:
    for item in record.constraints:
        if "latency_sha256" in item:
            yield f"latency model of {item['name']}", _page.code(str(item["latency_sha256"]))
    if record.trained and "weights_sha256" in record.trained:
        yield "weights.safetensors", _page.code(str(record.trained["weights_sha256"]))
    files: Json = (record.manifest or {}).get("files", {})
    for name, digest in files.items():
        if name == ship.REPORT:  # this very page, as it was before
            continue
        if name not in (_REPORT, ship.MANIFEST):
            yield name, _page.code(str(digest))
