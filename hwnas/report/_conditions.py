"""What was measured on which device, under which conditions, and whether it can be believed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import median

from hwnas.latency.provenance import table_sha256
from hwnas.release.verification import VariantCheck
from hwnas.report import _page
from hwnas.report._record import Json, Record, fitted_to
from hwnas.statistics.verdict import NOISY, STABLE, UNUSABLE
from hwnas.tables import conditions, operations
from hwnas.tables.table import LatencyTable

_SESSION = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)\d\dZ")
_COLOURS = {STABLE: "good", NOISY: "warn", UNUSABLE: "bad"}


def measured(record: Record) -> str:
    """The sessions behind the latency models, with their verdicts, and the verification."""
    parts = [_tables(record)] if record.tables else []
    for checked in record.verifications:
        parts.append(f"<h3>What ships, measured on {_page.code(checked.device)}</h3>")
        parts.append(_verified(checked.variants))
        parts += [_page.paragraph(note) for note in checked.notes]
    return _page.section("What was measured, and how well", *parts) if parts else ""


def _tables(record: Record) -> str:
    """Where, and every session behind the latency models."""
    places: dict[str, list[str]] = {}
    for target, table in record.tables.items():
        places.setdefault(_place(table), []).append(str(target))
    rows = [row for target, table in record.tables.items() for row in _sessions(str(target), table)]
    header = ("target", "session", "verdict", "measured", "±", "what speaks against it")
    text = "± is half the 95 % interval over the latency, in the median of what was measured."
    return (
        _named(places)
        + _page.table(header, rows, numeric=(4,))
        + _page.paragraph(text, "fine")
        + "".join(_page.paragraph(note, "fine") for note in _strange(record))
    )


def _named(places: Mapping[str, Sequence[str]]) -> str:
    """What was measured where, one paragraph a place."""
    return "".join(_page.paragraph(f"{', '.join(names)}: {where}.") for where, names in places.items())


def _place(table: LatencyTable) -> str:
    threads = f"{table.target.threads} thread{'s' if table.target.threads > 1 else ''}"
    how = f"{threads}, batch {table.target.batch}, {table.target.processor}"
    return place({"runtime": table.target.runtime, **table.environment}, how)


def place(found: Json, how: str = "") -> str:
    """What numbers are true of: processor, system and runtime."""
    device = found.get("device", {})
    system = " ".join(str(device[name]) for name in ("system", "kernel", "machine") if name in device)
    runtime = f"{found.get('runtime', '')} {found.get('runtime_version', '')}".strip()
    gpu = operations.gpu_name(found)
    return ", ".join(str(word) for word in (gpu, found.get("cpu_model"), system, runtime, how) if word)


def _sessions(target: str, table: LatencyTable) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for session, quality in conditions.qualities(table).items():
        rounds = [item for item in table.rounds if item.session == session]
        keys = {item.key for item in rounds if not item.failed}
        half = median(table.measurements[key].relative_ci for key in keys) if keys else None
        rows.append(
            (
                target,
                _when(session),
                quality_mark(quality.word),
                f"{len(keys)} models, {len(rounds)} rounds",
                "–" if half is None else f"{half:.1%}",
                "; ".join((*quality.reasons, *quality.notes)) or "nothing",
            )
        )
    return rows


def _strange(record: Record) -> list[str]:
    """Tables that are not the ones that the models were fitted to."""
    found = []
    for target, table in record.tables.items():
        model = record.model(str(target))
        if model is not None and fitted_to(model) not in (None, table_sha256(table)):
            found.append(f"The latency model of {target} was fitted to another state of this table.")
    return found


def _when(session: str) -> str:
    """The time in the name of a session; the name where there is none in it."""
    found = _SESSION.match(session)
    if not found:
        return session
    year, month, day, hour, minute = found.groups()
    return f"{year}-{month}-{day} {hour}:{minute} UTC"


def quality_mark(word: str) -> _page.Html:
    """What a session is called, in its colour."""
    return _page.mark(word, _COLOURS.get(word, "bad"))


def _verified(variants: Sequence[VariantCheck]) -> str:
    """Each variant's own session; an earlier version did not note it."""
    places: dict[str, list[str]] = {}
    rows: list[tuple[str, ...]] = []
    for item in variants:
        cells: tuple[str, ...] = ("–", "–", "–", "–")
        if session := item.session:
            places.setdefault(place(session.environment), []).append(item.name)
            reasons = "; ".join((*session.reasons, *session.notes)) or "nothing"
            cells = (_when(session.id), quality_mark(session.verdict), str(session.rounds), reasons)
        rows.append((item.name, *cells, "; ".join(_facts(item.conditions)) or "–"))
    header = ("variant", "session", "verdict", "rounds", "what speaks against it", "in the last round")
    return _named(places) + _page.table(header, rows, numeric=(3,))


def _facts(found: Mapping[str, object]) -> list[str]:
    """What an agent saw, in short words; what it could not tell is left out."""
    facts = []
    nodes, taken = found.get("nodes"), found.get("delegated_nodes")
    if isinstance(nodes, int) and isinstance(taken, int):
        facts.append(f"{taken} of {nodes} nodes taken by the delegate")
    if isinstance(cpus := found.get("cpus"), list) and cpus:
        facts.append(f"on CPU {', '.join(map(str, cpus))}")
    if isinstance(inner := found.get("inner"), int):
        facts.append(f"{inner} inference{'s' if inner != 1 else ''} a sample")
    if isinstance(runs := found.get("warmup_runs"), int):
        facts.append(f"{runs} to warm up")
    if isinstance(flags := found.get("preempted"), list) and flags:
        facts.append(f"{sum(map(bool, flags))} of {len(flags)} samples preempted")
    clocks = found.get("freq_khz")
    if isinstance(clocks, list) and (known := [k for k in clocks if k]):
        facts.append(f"{max(known) / 1e6:.2f} GHz")
    return facts
