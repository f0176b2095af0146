"""How to do it again: the commands with their seeds, versions, hashes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from hwnas import __version__, release
from hwnas.data import is_embedded
from hwnas.device import Target
from hwnas.release.verification import Verification
from hwnas.report import _page
from hwnas.report._record import Record
from hwnas.runs.comparison import ComparisonRecord
from hwnas.runs.folder import RunFolder, model_name
from hwnas.runs.training import SEED, TrainingRecord, named_by
from hwnas.search import STRATEGIES
from hwnas.settings import Key, options, section, sections
from hwnas.settings.kinds import SCARCE
from hwnas.space import SearchSpace
from hwnas.tables.table import LatencyTable
from hwnas.tasks import DEFAULT
from hwnas.train.config import BEFORE_ADAPTING

_TRAIN_COMMON = ("epochs", "batch_size", "learning_rate", "seed", "device")
_PROFILE_OPTIONS = ("rounds", "max_rounds", "target_ci", "samples", "seed")
_OF_TEACHER = ("width", "resolution", "teacher_share")
_NETWORKS = {"calibration_networks": "calibration", "heldout_networks": "heldout"}

Command = tuple[str, ...]
"""Parts that stay together on a line: the verb, then an option with its value each."""


def reproduce(record: Record) -> str:
    """Commands that make the same again, and all that shows that they did."""
    own = record.is_searched or record.search.is_known
    text = "RUN is the folder of the run" if own else "RUN is a folder that hwnas compare made"
    if record.baseline is not None or record.search.supernet_sha256:
        text += ", OTHER_RUN that of another one that was used"
    text += ". The seeds fix everything that is drawn; latencies are measured anew, "
    text += "so that they and what follows from them differ as measurements do."
    if not is_embedded(record.source):
        text += f" {record.source} is where the images are."
    return _page.section(
        "How to reproduce it",
        _page.commands(list(commands(record))),
        _page.paragraph(text, "fine"),
        _page.table(("what", "value"), list(_identity(record))),
        _page.details("Hashes of the files", _page.table(("file", "value"), list(_hashes(record)))),
    )


def commands(record: Record) -> Iterator[Command]:
    """The chain as it is typed, in its order; each command with the plug-ins that the search had."""
    own = [f"--plugin {shlex.quote(name)}" for name in record.search.plugins]
    for command in _chain(record):
        yield (*command, *own)


def _chain(record: Record) -> Iterator[Command]:
    space = record.arch.space
    targets = record.search.targets
    asked = record.search.asked
    latencies = tuple(f"--latency {shlex.quote(model_name(target))}" for target in targets)
    if asked:  # such a search fits its own models
        latencies = ()
    if record.is_searched:
        yield from _profiling(space, targets, record.tables)
        for target in () if asked else targets:
            where = {"device": target.device, "runtime": target.runtime, "precision": target.precision}
            where |= {} if target.threads == 1 else {"threads": str(target.threads)}
            model = _model(record, target)
            yield _typed("fit", {"space": space.name, **where, "model": model, "out": model_name(target)})
        wanted = [f"--device {shlex.quote(text)}" for text in asked] or [*latencies, *_budgets(record)]
        yield (*_typed("search"), *wanted, *_searching(record))
    if record.trained:
        for words in _trainings(record, record.trained):
            yield (*_typed("train RUN"), *words)
    if record.manifest:
        settings = {**record.manifest.settings, "licence": record.manifest.licence}
        if settings.get("qat_if_worse") is None:  # then this does nothing, and is refused
            settings.pop("qat_epochs", None)
        yield _typed("export RUN", settings)
    for checked in record.verifications:
        yield (*_typed("verify RUN", {"device": checked.device}), *_verifying(checked))
    if record.comparison and record.comparison.architecture in ("", record.arch.id):
        yield _typed("compare RUN", _comparing(record.comparison))
    other = {"baseline": None if record.baseline is None else "OTHER_RUN"}
    yield (*_typed("report RUN", other), *(latencies if record.is_searched else ()))


def _typed(verb: str, given: Mapping[str, Any] | None = None) -> Command:
    """A command; options without a value are left out."""
    return (f"hwnas {verb}", *_options(given or {}))


def _options(given: Mapping[str, Any]) -> list[str]:
    return [word for name, value in given.items() for word in options.words(name, value)]


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


def _budgets(record: Record) -> list[str]:
    """What was asked for of latency models; in ms where an earlier version does not say."""
    texts = record.search.request.get("budgets") or [item.budget_ms for item in record.budgets]
    return [word for text in texts for word in _options({"budget_ms": text})]


def _searching(record: Record) -> list[str]:
    """Every setting of the search: those that have an option of their own, and what else is unusual."""
    search, values = record.search, _settings_of(record)
    usual = {name: {key.name: key.default for key in keys} for name, keys in _known(search.strategy)}
    if search.scratch is not None:
        usual["promise"] |= SCARCE
    own = (*options.SEARCH, *options.OF_STRATEGIES)
    words = [word for o in own for word in o.words(values.get(o.section, {}).get(o.key))]
    typed = {(option.section, option.key) for option in own}
    for room, found in values.items():
        for key, value in found.items():
            if (room, key) not in typed and value is not None and value != usual[room].get(key):
                words.append(options.set_words(room, key, value))
    made = search.finalists
    measured = bool(made and made.networks_measured) or bool(search.request.get("measured"))
    supernet = f"OTHER_RUN/{RunFolder.supernet}" if search.supernet_sha256 else None
    return [
        *words,
        *_options({"supernet": supernet, "out": "RUN"}),
        "--measure" if measured else "--no-measure",
    ]


def _known(strategy: str) -> Iterator[tuple[str, Sequence[Key]]]:
    """The settings of a search by section; those of a strategy that is not known here are all unusual."""
    is_known = strategy in STRATEGIES
    for name, keys in sections(strategy if is_known else "random").items():
        yield name, keys if is_known or name != "search.settings" else ()


def _settings_of(record: Record) -> dict[str, dict[str, Any]]:
    """Section to key to value: what was recorded of a search."""
    search = record.search
    request, made = search.request, search.finalists
    strategy, seed = search.strategy, search.seed
    wanted: dict[str, Any] = {"strategy": strategy, "confidence": search.confidence, "evaluate": "supernet"}
    wanted |= {"objectives": list(search.objectives)}
    wanted |= {"limits": [f"{name}={value!r}" for name, value in search.limits.items()]}
    keys = {name: {key.name for key in found} for name, found in _known(strategy)}
    recorded = {**search.config, **request.get("settings", {})}
    settings = {
        n: v for n, v in recorded.items() if n in keys["search.settings"] or n in request.get("settings", {})
    }
    supernet = {n: v for n, v in (search.oneshot or {}).items() if n in keys["search.supernet"]}
    supernet["device"] = request.get("oneshot", {}).get("device")
    supernet |= {"seed": None} if supernet.get("seed") == seed else {}
    training = settings.pop("training_steps", None) or request.get("training_steps")
    if scratch := search.scratch:
        supernet = {"device": supernet["device"]}
        supernet |= {name: scratch["config"].get(name) for name in ("batch_size", "class_weights")}
        wanted |= {"evaluate": "scratch", "evaluate_epochs": scratch["config"]["epochs"]}
        wanted |= {"pool": scratch.get("pool") or f"processes:{scratch['workers']}"}
        if alike := scratch.get("alike") or scratch.get("alike_early"):
            wanted |= {"alike": release.public_name(alike["reference"]), "evaluate_images": alike["images"]}
    elif untrained := search.untrained:
        supernet = {"device": supernet["device"]}
        wanted |= {"evaluate": untrained["measure"], "evaluate_images": untrained["images"]}
        if alike := untrained.get("alike"):
            wanted |= {"alike": release.public_name(alike)}
    elif (search.oneshot or {}).get("training") == "blockwise":
        wanted |= {"evaluate": "blockwise", "pool": (search.oneshot or {}).get("pool")}
        if (teacher := request.get("teacher_run")) is not None:  # whose size and weights are used
            wanted |= {"teacher": release.public_name(str(teacher))}
            supernet = {n: v for n, v in supernet.items() if n not in _OF_TEACHER}
        settings |= {"warmup_steps": 0, "steps": training}
    elif search.supernet_sha256:  # its own settings are used, and nothing is trained
        supernet = {"device": supernet["device"]}
    elif training and settings.get("steps") is None:  # who only scores with a supernet: their sum counts
        settings |= {"warmup_steps": 0, "steps": training}
    bounds = {n: v for n, v in (made.options if made else {}).items() if n in keys["promise"]}
    bounds |= {"rank": made.rank if made else None}
    bounds |= {"gallery_each": record.gallery.each if record.gallery else None}
    bounds |= {"gallery_points": record.gallery.points if record.gallery else 0}
    return {
        "": {"space": record.arch.space.name, "data": record.source, "task": _task(record), "seed": seed},
        "search": wanted,
        "search.supernet": supernet,
        "search.settings": settings,
        "promise": bounds,
        "promise.measuring": dict(made.measuring) if made else {},
    }


def _task(record: Record) -> str | None:
    """What need not be said is None."""
    return None if record.task.name == DEFAULT else record.task.name


def _verifying(checked: Verification) -> list[str]:
    skipped = all(variant.value is None for variant in checked.variants)
    flags = {"--skip-accuracy": skipped, "--accept-noise": checked.accepted_noise}
    data = None if checked.further is None else checked.further["name"]
    return [
        *_options({name: getattr(checked, name) for name in ("rounds", "samples", "min_round_s")}),
        *_options({"data": data}),
        *(flag for flag, is_on in flags.items() if is_on),
    ]


def _comparing(found: ComparisonRecord) -> dict[str, Any]:
    """What a comparison was asked for; older ones say only what came of it."""
    names = ("against", "match_latency", "variants")
    settings = {name: ",".join(getattr(found.asked, name)) or None for name in names}
    rest = {"seeds": len(found.seeds) or None, "device": found.device or None, "rounds": found.asked.rounds}
    return settings | rest


def _trainings(record: Record, trained: TrainingRecord) -> Iterator[list[str]]:
    """The words of what made the weights: with a known network, how it began stands before the settings.

    One that was trained again, by another seed or on other images, is begun by a command of its own: its
    first seed drew the splits.
    """
    words = _training(record, trained)
    is_other = trained.data["fingerprint"] != record.search.data["fingerprint"]
    data = _options({"data": release.public_name(str(trained.data["source"]))}) if is_other else []
    if not record.search.is_known:
        yield words + data
        return
    name = record.search.config["network"] if _is_random(record, trained) else named_by(trained.start)
    side = record.arch.space.input_shape[1]
    begun = _options({"from": name, "data": record.source, "resolution": side, "task": _task(record)})
    if is_other or record.search.seed != trained.config.get("seed"):
        yield begun + _options({"init": SEED, "epochs": 1, "seed": record.search.seed})
        yield words + data
    else:
        yield begun + words


def _is_random(record: Record, trained: TrainingRecord) -> bool:
    """Whether a known network began with random weights."""
    return record.search.is_known and trained.start.get("from") == SEED


def _training(record: Record, trained: TrainingRecord) -> list[str]:
    """The common settings, and those of the others that are not the defaults."""
    start, teacher = trained.start.get("from"), (trained.teacher or {}).get("run")
    values = dict(trained.config)
    values["init"] = start if start == "supernet" or _is_random(record, trained) else None
    values["teacher"] = None if teacher is None else release.public_name(str(teacher))
    idle: tuple[str, ...] = () if teacher else ("temperature", "distill_weight")
    idle += tuple(name for name, value in BEFORE_ADAPTING.items() if values.get(name) == value)
    idle += () if values.get("augment", True) else ("crop", "flip", "erasing")  # it would be refused
    usual = {name: key.default for name, key in section("train").items()}
    return [
        word
        for option in options.of_section("train")
        if option.key not in idle
        if option.key in _TRAIN_COMMON or values.get(option.key) != usual[option.key]
        for word in option.words(values.get(option.key))
    ]


def _identity(record: Record) -> Iterator[tuple[str, str]]:
    arch, search, manifest = record.arch, record.search, record.manifest
    yield "architecture", _page.code(f"{arch.id} ({'.'.join(map(str, arch.indices))})")
    yield "space", _page.code(f"{arch.space.name} ({arch.space.fingerprint})")
    yield "data", _page.code(f"{record.source} ({search.data['fingerprint']})")
    if record.is_searched:
        yield "seed of the search", str(search.seed)
    if record.trained:
        yield "seed of the training", str(record.trained.config["seed"])
    if record.trained and (origin := record.trained.began_with) is not None:
        cut = f", cut from {origin['narrowed_from']}" if "narrowed_from" in origin else ""
        yield "weights began with", f"{origin['from']}{cut}, {origin['licence'] or 'no licence said'}"
    yield "hwnas", __version__ if manifest is None else manifest.hwnas or "–"
    if manifest:
        yield "exported", manifest.created or "–"
        yield "versions", ", ".join(f"{name} {value}" for name, value in manifest.versions.items())
        yield "licence of the models", manifest.licence or "not stated"


def _hashes(record: Record) -> Iterator[tuple[str, str]]:
    for item in record.budgets:
        if item.latency_sha256:
            yield f"latency model of {item.name}", _page.code(item.latency_sha256)
    if record.trained and record.trained.weights_sha256:
        yield RunFolder.weights, _page.code(record.trained.weights_sha256)
    for name, digest in (record.manifest.files if record.manifest else {}).items():
        if name not in (release.REPORT, release.MANIFEST):  # the first is this very page, as it was before
            yield name, _page.code(digest)
