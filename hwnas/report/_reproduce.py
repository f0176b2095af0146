"""How to do it again: the commands with their seeds, versions, hashes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from typing import Any

from hwnas import __version__, release
from hwnas.data import is_embedded
from hwnas.device import Target
from hwnas.finalists import PromiseOptions
from hwnas.report import _page
from hwnas.report._record import Json, Record
from hwnas.runs.folder import RunFolder, model_name
from hwnas.space import SearchSpace
from hwnas.tables.table import LatencyTable
from hwnas.train import TrainConfig

_SEARCH_OPTIONS = ("warmup_steps", "steps", "queries", "loss")
_PROXY_OPTIONS = {"proxy_width": "width", "proxy_resolution": "resolution", "batch_size": "batch_size"}
_PROXY_OPTIONS |= {"class_weights": "class_weights"}
_TRAIN_OPTIONS = ("epochs", "batch_size", "learning_rate", "seed", "device")
_TRAIN_FLAGS = ("augment", "flip")
_RARE_TRAIN_OPTIONS = (
    *("weight_decay", "warmup_share", "label_smoothing", "ema", "crop", "erasing", "mixup", "cutmix"),
    *("distill_weight", "temperature", "class_weights", *_TRAIN_FLAGS),
)
_PROFILE_OPTIONS = ("rounds", "max_rounds", "target_ci", "samples", "seed")
_NETWORKS = {"calibration_networks": "calibration", "heldout_networks": "heldout"}

Command = tuple[str, ...]
"""Parts that stay together on a line: the verb, then an option with its value each."""


def reproduce(record: Record) -> str:
    """Commands that make the same again, and all that shows that they did."""
    text = "RUN is the folder of the run" if record.is_searched else "RUN is a folder that hwnas compare made"
    if record.baseline is not None or "supernet_sha256" in record.search:
        text += ", OTHER_RUN that of another one that was used"
    text += ". The seeds fix everything that is drawn; latencies are measured anew, "
    text += "so that they and what follows from them differ as measurements do."
    if not is_embedded(record.source):
        text += f" {record.source} is where the images are."
    return _page.section(
        "How to reproduce it",
        _page.commands(list(commands(record))),
        _page.paragraph(text, "fine"),
        *(_page.paragraph(said) for said in _not_typed(record)),
        _page.table(("what", "value"), list(_identity(record))),
        _page.details("Hashes of the files", _page.table(("file", "value"), list(_hashes(record)))),
    )


def commands(record: Record) -> Iterator[Command]:
    """The chain as it is typed, in its order; each command with the plug-ins that the search had."""
    own = [f"--plugin {shlex.quote(name)}" for name in record.search.get("plugins", ())]
    for command in _chain(record):
        yield (*command, *own)


def _chain(record: Record) -> Iterator[Command]:
    space = record.arch.space
    targets = [Target.from_json(item["target"]) for item in record.constraints]
    latencies = tuple(f"--latency {shlex.quote(model_name(target))}" for target in targets)
    if record.is_searched:
        yield from _profiling(space, targets, record.tables)
        for target in targets:
            where = {"device": target.device, "runtime": target.runtime, "precision": target.precision}
            model = _model(record, target)
            yield _typed("fit", {"space": space.name, **where, "model": model, "out": model_name(target)})
        yield (*_typed("search"), *latencies, *_searching(record))
    if record.trained:
        yield (*_typed("train RUN"), *_training(record))
    if record.manifest:
        licence = record.manifest.get("licence")
        settings = record.manifest.get("settings", {}) | {"licence": licence}
        if settings.get("qat_if_worse") is None:  # then this does nothing, and is refused
            settings.pop("qat_epochs", None)
        yield _typed("export RUN", settings)
    if record.verification:
        yield (*_typed("verify RUN", {"device": record.verification.device}), *_verifying(record))
    if record.comparison and record.comparison.get("architecture") in (None, record.arch.id):
        yield _typed("compare RUN", _comparing(record.comparison))
    other = {"baseline": None if record.baseline is None else "OTHER_RUN"}
    yield (*_typed("report RUN", other), *(latencies if record.is_searched else ()))


def _not_typed(record: Record) -> Iterator[str]:
    """What decided the search and no option of the command line sets: it takes ``hwnas run``."""
    if not record.is_searched:
        return
    settings = record.search.get("request", {}).get("settings", {})
    odd = {name: value for name, value in settings.items() if name not in _SEARCH_OPTIONS}
    bounds, usual = record.search.get("promise", {}).get("options", {}), asdict(PromiseOptions())
    odd |= {n: value for n, value in bounds.items() if n in usual and value != usual[n]}
    if odd:
        listed = ", ".join(f"{name} = {value}" for name, value in odd.items())
        yield f"Set in the file of hwnas run, not on the command line: {listed}."


def _typed(verb: str, options: Mapping[str, Any] | None = None) -> Command:
    """A command; options without a value are left out."""
    return (f"hwnas {verb}", *_options(options or {}))


def _options(options: Mapping[str, Any]) -> list[str]:
    return [
        f"--{name.replace('_', '-')} {shlex.quote(repr(value) if isinstance(value, float) else str(value))}"
        for name, value in options.items()
        if value is not None
    ]


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
    """What the first session of a table was asked for; older ones did not note all of it."""
    if table is None:
        return {}
    facts = next((note.facts for note in table.notes if note.moment == "begin"), {})
    threads = None if table.target.threads == 1 else table.target.threads
    asked = {name: facts.get(name) for name in _PROFILE_OPTIONS} | {"threads": threads}
    if asked["samples"] is None:
        asked["samples"] = next((len(item.samples_ms) for item in table.rounds if item.samples_ms), None)
    networks = [m for key, m in table.measurements.items() if key.startswith(f"net:{space.name}:")]
    if _is_few(space, table):
        return asked | {"few": len(networks)}
    counts = {name: sum(m.kind == kind for m in networks) or None for name, kind in _NETWORKS.items()}
    return asked | {name: facts.get(name, count) for name, count in counts.items()}


def _is_few(space: SearchSpace, table: LatencyTable) -> bool:
    """Whether only some whole networks of a space were measured, and none of its blocks."""
    keys = set(table.measurements)
    blocks = any(workload.key() in keys for workload in space.workloads())
    return not blocks and any(key.startswith(f"net:{space.name}:") for key in keys)


def _model(record: Record, target: Target) -> str | None:
    """The kind of the latency model of a target; None where it is not known."""
    table = record.tables.get(target)
    if table is not None and _is_few(record.arch.space, table):
        return "transfer"
    found = record.model(str(target))
    return None if found is None else found.name


def _searching(record: Record) -> list[str]:
    search = record.search
    request = search.get("request", {})
    known = {**search.get("config", {}), **request.get("settings", {})}
    settings = {name: known.get(name) for name in _SEARCH_OPTIONS}
    proxy = search.get("oneshot", {})
    settings |= {flag: proxy.get(name) for flag, name in _PROXY_OPTIONS.items()}
    steps = request.get("training_steps")
    if scratch := search.get("scratch"):
        settings |= {"evaluate": "scratch", "evaluate_epochs": scratch["config"]["epochs"]}
        settings |= {"workers": scratch["workers"], "batch_size": scratch["config"]["batch_size"]}
        weights = scratch["config"].get("class_weights")
        settings |= {"class_weights": None if weights == "none" else weights}
    elif steps and settings["warmup_steps"] is None:  # a sampling strategy: only their sum counts
        settings |= {"warmup_steps": 0, "steps": steps}
    budgets = [option for item in record.constraints for option in _options({"budget_ms": item["budget_ms"]})]
    first = {"space": record.arch.space.name, "data": record.source, "strategy": search["strategy"]}
    promise = search.get("promise", {})
    last = {"confidence": search.get("confidence"), "rank": promise.get("rank"), "out": "RUN"}
    last |= {"gallery": _gallery(record), "train_on": request.get("oneshot", {}).get("device")}
    if "supernet_sha256" in search:  # its own settings are used, and nothing is trained
        settings = {name: settings.get(name) for name in ("queries", "loss")}
        first["supernet"] = f"OTHER_RUN/{RunFolder.supernet}"
        if _trains_gates(known):
            settings |= {name: known.get(name) for name in ("warmup_steps", "steps")}
    many = [f"--objective {shlex.quote(str(name))}" for name in search.get("objectives", ())]
    many += [f"--limit {shlex.quote(f'{n}={value!r}')}" for n, value in search.get("limits", {}).items()]
    measured = bool(promise.get("networks_measured")) or bool(request.get("measured"))
    return [
        *budgets,
        *_options({**first, "seed": search["seed"], **settings, **last}),
        *many,
        "--measure" if measured else "--no-measure",
    ]


def _gallery(record: Record) -> int | None:
    """Budgets that the gallery was drawn for; None where an earlier version does not say."""
    return 0 if record.gallery is None else record.gallery.get("points")


def _trains_gates(settings: Json) -> bool:
    """Whether a strategy takes steps of its own beside those of a supernet."""
    return settings.get("steps") is not None


def _verifying(record: Record) -> list[str]:
    checked = record.verification
    if checked is None:
        return []
    skipped = all(variant.test_accuracy is None for variant in checked.variants)
    flags = {"--skip-accuracy": skipped, "--accept-noise": checked.accepted_noise}
    data = None if checked.further is None else checked.further["name"]
    return [
        *_options({"rounds": checked.rounds, "data": data}),
        *(flag for flag, is_on in flags.items() if is_on),
    ]


def _comparing(found: Json) -> dict[str, Any]:
    """What a comparison was asked for; older ones say only what came of it."""
    matches = found.get("matches", ())
    chosen = {found["found"], *(item["chosen"] for item in matches)}
    names = [item["name"] for item in found["networks"] if item["name"] not in chosen]
    variants = [item["name"] for item in found["networks"][0]["variants"]]
    asked = {"against": names, "match_latency": [item["family"] for item in matches], "variants": variants}
    asked |= found.get("asked", {})
    settings = {name: ",".join(asked[name]) or None for name in ("against", "match_latency", "variants")}
    seeds = len(found.get("seeds", ())) or None
    return settings | {"seeds": seeds, "device": found.get("device"), "rounds": asked.get("rounds")}


def _training(record: Record) -> list[str]:
    """The common settings, and those of the others that are not the defaults."""
    trained: Json = record.trained or {}
    config, usual = trained["config"], asdict(TrainConfig())
    settings = {name: config.get(name) for name in _TRAIN_OPTIONS}
    rare = {n: config[n] for n in _RARE_TRAIN_OPTIONS if n in config and config[n] != usual[n]}
    idle: tuple[str, ...] = ("temperature", "distill_weight") if not trained.get("teacher") else ()
    idle += ("crop", "flip", "erasing") if not rare.get("augment", True) else ()
    rare = {name: value for name, value in rare.items() if name not in idle}  # does nothing, and is refused
    flags = [f"--{name}" if rare[name] else f"--no-{name}" for name in _TRAIN_FLAGS if name in rare]
    settings |= {name: value for name, value in rare.items() if name not in _TRAIN_FLAGS}
    start, teacher = trained.get("start", {}).get("from"), trained.get("teacher", {}).get("run")
    if trained["data"]["fingerprint"] != record.search["data"]["fingerprint"]:
        settings["data"] = release.public_name(str(trained["data"]["source"]))
    settings["init"] = "supernet" if start == "supernet" else None
    settings["teacher"] = None if teacher is None else release.public_name(str(teacher))
    return [*_options(settings), *flags]


def _identity(record: Record) -> Iterator[tuple[str, str]]:
    arch, search, manifest = record.arch, record.search, record.manifest
    yield "architecture", _page.code(f"{arch.id} ({'.'.join(map(str, arch.indices))})")
    yield "space", _page.code(f"{arch.space.name} ({arch.space.fingerprint})")
    yield "data", _page.code(f"{record.source} ({search['data']['fingerprint']})")
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
        yield RunFolder.weights, _page.code(str(record.trained["weights_sha256"]))
    files: Json = (record.manifest or {}).get("files", {})
    for name, digest in files.items():
        if name not in (release.REPORT, release.MANIFEST):  # the first is this very page, as it was before
            yield name, _page.code(str(digest))
