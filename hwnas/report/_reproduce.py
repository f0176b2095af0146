"""How to do it again: the commands with their seeds, versions, hashes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from hwnas import __version__, ship
from hwnas.device import Target
from hwnas.report import _page
from hwnas.report._record import Json, Record
from hwnas.table import LatencyTable

_SEARCH_OPTIONS = ("warmup_steps", "steps", "queries", "loss")
_PROXY_OPTIONS = {"proxy-width": "width", "proxy-resolution": "resolution", "batch-size": "batch_size"}
_TRAIN_OPTIONS = ("epochs", "batch_size", "learning_rate", "seed")
_REPORT = "report.html"


def reproduce(record: Record) -> str:
    """Commands that make the same again, and all that shows that they did."""
    text = "The seeds fix everything that is drawn. Latencies are measured anew, so that they and what "
    text += "follows from them differ as measurements do."
    return _page.section(
        "How to reproduce it",
        _page.preformatted("\n".join(commands(record))),
        _page.paragraph(text, "fine"),
        _page.table(("what", "value"), list(_identity(record))),
        _page.details("Hashes of the files", _page.table(("file", "SHA-256"), list(_hashes(record)))),
    )


def commands(record: Record) -> Iterator[str]:
    """The chain as it is typed, in its order."""
    space = record.arch.space.name
    targets = [Target.from_json(item["target"]) for item in record.constraints]
    for target in targets:
        where = ["--device", target.device, "--space", space, "--runtime", target.runtime]
        where += ["--precision", target.precision]
        yield _typed("profile", *where, *_profiling(record.tables.get(target)))
        yield _typed("fit", *where, "--out", _latency_file(target))
    yield _typed("search", *_searching(record, targets))
    if record.trained:
        config = record.trained["config"]
        options = [
            o for name in _TRAIN_OPTIONS if name in config for o in (_flag(name), _plain(config[name]))
        ]
        yield _typed("train", "RUN", *options)
    if record.manifest:
        yield _typed("export", "RUN")
    if record.verification:
        yield _typed("verify", "RUN", "--device", record.verification["device"])
    yield _typed("report", "RUN", *(o for t in targets for o in ("--latency", _latency_file(t))))


def _typed(verb: str, *options: str) -> str:
    return shlex.join(["hwnas", verb, *options])


def _latency_file(target: Target) -> str:
    return f"{target.device}-{target.slug}.json"


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _plain(value: Any) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def _profiling(table: LatencyTable | None) -> list[str]:
    """What the first session of a table was asked for."""
    asked: Mapping[str, Any] = {}
    if table is not None:
        asked = next((note.facts for note in table.notes if note.moment == "begin"), {})
    known = ("rounds", "max_rounds", "target_ci", "seed")
    return [o for name in known if asked.get(name) is not None for o in (_flag(name), _plain(asked[name]))]


def _searching(record: Record, targets: list[Target]) -> Iterator[str]:
    search = record.search
    for target in targets:
        yield from ("--latency", _latency_file(target))
    for item in record.constraints:
        yield from ("--budget-ms", _plain(item["budget_ms"]))
    yield from ("--space", record.arch.space.name, "--data", str(search["data"]["source"]))
    yield from ("--strategy", str(search["strategy"]), "--seed", str(search["seed"]))
    settings = {name: search.get("config", {}).get(name) for name in _SEARCH_OPTIONS}
    proxy = search.get("oneshot", {})
    settings |= {flag: proxy.get(name) for flag, name in _PROXY_OPTIONS.items()}
    settings["confidence"] = search.get("confidence")
    for name, value in settings.items():
        if value is not None:
            yield from (_flag(name), _plain(value))
    yield from ("--out", "RUN")


def _identity(record: Record) -> Iterator[tuple[str, str]]:
    arch, search, manifest = record.arch, record.search, record.manifest
    yield "architecture", _page.code(f"{arch.id} ({'.'.join(map(str, arch.indices))})")
    yield "space", _page.code(f"{arch.space.name} ({arch.space.fingerprint})")
    yield "data", _page.code(f"{search['data']['source']} ({search['data']['fingerprint']})")
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
        if name not in (_REPORT, ship.MANIFEST):
            yield name, _page.code(str(digest))
