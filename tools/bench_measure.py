"""How well `hwnas measure` repeats itself on models that others made, beside repeated naive runs.

    python tools/bench_measure.py FILE... > measure.json                # on this machine, with all runtimes
    python tools/bench_measure.py FILE... --runtimes litert,openvino --sessions 3 --shape image=1x3x640x640

Every session measures all files that a runtime reads, interleaved and beside the anchors, as `hwnas measure`
does. Between two sessions each file is timed as people do it by hand: in a process of its own, one file
after the other, warm-up and then the median of its samples, by the same agent. Told is how far latencies, and
ratios of each file to the first of its runtime, lie from their own median over the sessions, both ways. A
figure of the official benchmark program can stand beside them: ``--official FILE=MS``.

One JSON object on standard output; with ``--rows`` finished sessions are kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from _bench import Rows, environment, names, parser, report, say, target

from hwnas import device as devices
from hwnas.benchmark import Asked, benchmark, shape_of
from hwnas.benchmark.files import read
from hwnas.errors import DeviceError
from hwnas.measure import Measurer, ProfileOptions
from hwnas.measure.engine import samples_ms

Figures = dict[str, dict[str, float]]
"""Milliseconds by runtime and file."""


def main() -> None:
    """Measure again and again, compare, print."""
    options = _options()
    rows = Rows(options.rows)
    sessions = []
    for number in range(options.sessions):
        key = f"{options.device}/{','.join(path.name for path in options.files)}/{options.seed}/{number}"
        sessions.append(rows.get(key, lambda n=number: _session(options, n)))
    found = {
        "figures": sessions,
        "repeats": {way: _repeats([session[way] for session in sessions]) for way in ("measured", "naive")},
        "official": {name: _beside(sessions, name, ms) for name, ms in options.official},
    }
    ours, naive = (found["repeats"][way]["ratios"]["median"] for way in ("measured", "naive"))
    report(
        options,
        found,
        [
            target("files that are measured", len({n for s in sessions for n in _named(s)}), ">=", 10),
            target("median distance of a ratio from its median", ours, "<=", 0.01),
            target("the same over that of naive runs", ours / naive if ours and naive else None, "<=", 1.0),
        ],
        environment("ai-edge-litert", "onnxruntime"),
    )


def _session(options: argparse.Namespace, number: int) -> dict[str, Any]:
    """One session of each runtime, and the same files by hand."""
    asked = _asked(options)
    found = benchmark(asked, ProfileOptions(seed=options.seed + number), say)
    measured: Figures = {}
    for row in found.rows:
        measured.setdefault(row.place.runtime, {})[row.file] = row.latency_ms
    return {
        "measured": measured,
        "naive": _naive(asked),
        "sessions": {item.place.runtime: item.quality.word for item in found.sessions},
        "half intervals": {
            f"{row.file} on {row.place}": (row.interval_ms[1] - row.interval_ms[0]) / 2 / row.latency_ms
            for row in found.rows
            if row.interval_ms is not None
        },
        "failures": [item.reason for item in found.failures],
    }


def _naive(asked: Asked) -> Figures:
    """Every file alone, one after the other."""
    found: Figures = {}
    models, _ = read(asked)
    (device,) = asked.devices
    with Measurer(device, ProfileOptions()) as measurer:
        for name in asked.runtimes or device.runtimes:
            where = device.target(name, "fp32")
            for model in models:
                try:
                    reply = measurer.look(where, model.path, given=model.given)
                except DeviceError as error:
                    say(f"{model.name} on {name}: {error}")
                    continue
                found.setdefault(name, {})[model.name] = median(samples_ms(reply))
    return found


def _repeats(sessions: Sequence[Figures]) -> dict[str, Any]:
    """Distances from the median over sessions, of latencies and of ratios to the first file."""
    return {
        "latencies": _distances(sessions, lambda found, name: found[name]),
        "ratios": _distances(
            sessions, lambda found, name: found[name] / next(iter(found.values())), skips_first=True
        ),
    }


def _distances(
    sessions: Sequence[Figures],
    value: Callable[[Mapping[str, float], str], float],
    *,
    skips_first: bool = False,
) -> dict[str, Any]:
    distances: dict[str, list[float]] = {}
    for runtime, first in sessions[0].items():
        for name in list(first)[1 if skips_first else 0 :]:
            values = [value(found[runtime], name) for found in sessions if name in found.get(runtime, {})]
            middle = median(values)
            distances[f"{name} on {runtime}"] = [abs(v / middle - 1) for v in values]
    everything = sorted(d for values in distances.values() for d in values)
    return {
        "median": median(everything) if everything else None,
        "largest": everything[-1] if everything else None,
        "by file": {name: max(values) for name, values in distances.items()},
    }


def _named(session: Mapping[str, Any]) -> set[str]:
    return {name for found in session["measured"].values() for name in found}


def _beside(sessions: Sequence[Mapping[str, Any]], name: str, official_ms: float) -> dict[str, float]:
    """What another program says of a file, over what is measured here, by runtime."""
    found: dict[str, list[float]] = {}
    for session in sessions:
        for runtime, figures in session["measured"].items():
            if name in figures:
                found.setdefault(runtime, []).append(figures[name])
    return {runtime: official_ms / median(values) for runtime, values in found.items()}


def _asked(options: argparse.Namespace) -> Asked:
    return Asked(
        files=options.files,
        devices=[devices.load(options.device)],
        runtimes=options.runtimes,
        shapes=dict(options.shape),
    )


def _official(text: str) -> tuple[str, float]:
    name, _, ms = text.rpartition("=")
    return name, float(ms)


def _options() -> argparse.Namespace:
    found = parser(__doc__, seed=0, rows="sessions")
    found.add_argument("files", type=Path, nargs="+", help="model files")
    found.add_argument("--device", default="host")
    found.add_argument("--runtimes", type=names, default=[], help="joined by commas; those of the device")
    found.add_argument("--shape", type=shape_of, action="append", default=[], help="NAME=1x3x224x224")
    found.add_argument("--sessions", type=int, default=5)
    found.add_argument("--official", type=_official, action="append", default=[], help="FILE=MILLISECONDS")
    return found.parse_args()


if __name__ == "__main__":
    main()
