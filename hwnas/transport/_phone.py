"""What a phone or board says of itself, read by its shell: properties, clusters, conditions.

The texts that are parsed here are those of ``getprop`` and ``dumpsys`` of Android 10 and later.
What a device does not tell is left out, never invented.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from hwnas.errors import DeviceError

PROPERTIES = (
    "ro.product.manufacturer",
    "ro.product.brand",
    "ro.product.model",
    "ro.product.device",
    "ro.soc.manufacturer",
    "ro.soc.model",
    "ro.board.platform",
    "ro.build.version.release",
    "ro.build.version.sdk",
    "ro.build.fingerprint",
    "ro.product.cpu.abilist",
)
"""Android properties that say what a device is, and none that says which one."""

NAMES = ("board", "ro.product.manufacturer", "ro.product.model", "ro.soc.model")
"""The facts that people call a device by."""

FACTS = (
    "echo machine=$(uname -m); echo system=$(uname -s); echo kernel=$(uname -r)\n"
    "if [ -r /proc/device-tree/model ]; then echo board=$(tr -d '\\0' </proc/device-tree/model); fi\n"
    "if command -v getprop >/dev/null 2>&1; then\n"
    + "".join(f"  echo {name}=$(getprop {name})\n" for name in PROPERTIES)
    + "fi\n"
    "echo cpus_online=$(cat /sys/devices/system/cpu/online)\n"
    "echo cpus_allowed=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)\n"
    "for cpu in /sys/devices/system/cpu/cpu[0-9]*; do\n"
    "  echo cpu:${cpu##*/cpu}=$(cat $cpu/cpu_capacity 2>/dev/null || echo -)"
    "/$(cat $cpu/cpufreq/cpuinfo_max_freq 2>/dev/null || echo -)\n"
    "done"
)
"""A command whose output ``facts`` understands."""

CONDITIONS = (
    "dumpsys battery 2>/dev/null; echo ==; dumpsys thermalservice 2>/dev/null; echo ==\n"
    "dumpsys power 2>/dev/null | grep -E 'mWakefulness=|Display Power'; echo ==\n"
    "echo low_power=$(settings get global low_power 2>/dev/null)\n"
    "echo cpuset=$(cat /proc/self/cpuset 2>/dev/null)\n"
    "echo cpus_allowed=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)"
)
"""A command whose output ``conditions`` understands."""

DRIFT = 0.10  # the last third is slower than the first by more: heat or company
SLOWED = 0.90  # a clock fell below this share of what it was
CAPPED = 0.80  # a busy CPU runs below this share of its highest clock


@dataclass(frozen=True)
class Cluster:
    """CPUs of one kind.

    Attributes:
        cpus: Their numbers.
        capacity: The kernel's relative capacity, or None.
        max_khz: Highest clock, or None.
    """

    cpus: tuple[int, ...]
    capacity: int | None
    max_khz: int | None


def facts(text: str) -> dict[str, str]:
    """Name and value of every line; lines without a value are left out."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs if value.strip()}


def clusters(known: Mapping[str, str]) -> tuple[Cluster, ...]:
    """The online CPUs that may be used, grouped by capacity and highest clock, the fastest group first."""
    online = set(cpu_list(known.get("cpus_online", "")))
    if allowed := set(cpu_list(known.get("cpus_allowed", ""))):
        online = online & allowed if online else allowed
    groups: dict[tuple[int, int], list[int]] = {}
    for name, value in known.items():
        number = name.removeprefix("cpu:")
        if name == number or not number.isdigit() or (online and int(number) not in online):
            continue
        capacity, _, khz = value.partition("/")
        groups.setdefault((_whole(capacity) or 0, _whole(khz) or 0), []).append(int(number))
    ordered = sorted(groups.items(), reverse=True)
    return tuple(Cluster(tuple(sorted(c)), kind[0] or None, kind[1] or None) for kind, c in ordered)


def choose_cpus(groups: Sequence[Cluster], wanted: str, threads: int) -> tuple[int, ...]:
    """CPUs for a number of threads: those of the wanted cluster, and of its neighbours if too few.

    Args:
        groups: From ``clusters``, the fastest first.
        wanted: "fastest", "middle" or "slowest"; "middle" is the second fastest of three or more.
        threads: A pool with fewer CPUs than threads would spin against itself.

    Raises:
        DeviceError: The wish is unknown, or the device has fewer CPUs than threads.
    """
    starts = {"fastest": 0, "middle": min(1, len(groups) - 1), "slowest": len(groups) - 1}
    if wanted not in starts:
        raise DeviceError(f"the option cluster must be one of {tuple(starts)}, but got {wanted!r}")
    start = starts[wanted]
    order = [*groups[start:], *reversed(groups[:start])] if groups else []
    chosen: list[int] = []
    for group in order:
        chosen += group.cpus
        if len(chosen) >= threads:
            return tuple(sorted(chosen))
    raise DeviceError(f"threads must not exceed the online CPUs, but got {threads} > {len(chosen)}")


def cpu_list(text: str) -> list[int]:
    """Numbers of a list such as ``0-3,6``."""
    found = re.findall(r"(\d+)(?:-(\d+))?", text)
    return [n for first, last in found for n in range(int(first), int(last or first) + 1)]


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\d+", text.strip()) else None


def conditions(text: str) -> dict[str, Any]:
    """Battery, temperatures, thermal status, screen and power mode, as far as the phone tells."""
    battery, thermal, power, mode = ([*text.split("==\n"), "", "", "", ""])[:4]
    found: dict[str, Any] = {}
    level, tenths = _field(battery, "level"), _field(battery, "temperature")
    if level is not None:
        found["battery_percent"] = level
    if tenths is not None:
        found["battery_c"] = tenths / 10
    charge, millivolts = _field(battery, "Charge counter"), _field(battery, "voltage")
    if charge is not None and charge > 0:
        found["charge_uah"] = charge
    if millivolts is not None and millivolts > 0:
        found["voltage_mv"] = millivolts
    if re.search(r"powered: (true|false)", battery):
        found["powered"] = bool(re.search(r"powered: true", battery))
    status = re.search(r"Thermal Status: (\d+)", thermal)
    if status:
        found["thermal_status"] = int(status[1])
    zones = _temperatures(thermal)
    if zones:
        found["temperatures_c"] = zones
    for name, pattern in (("wakefulness", r"mWakefulness=(\w+)"), ("screen", r"Display Power: state=(\w+)")):
        match = re.search(pattern, power)
        if match:
            found[name] = match[1]
    told = facts(mode)
    if told.get("low_power") in ("0", "1"):
        found["power_saver"] = told["low_power"] == "1"
    return found | {name: told[name] for name in ("cpuset", "cpus_allowed") if name in told}


def _field(text: str, name: str) -> int | None:
    match = re.search(rf"^\s*{name}: (-?\d+)\s*$", text, re.MULTILINE)
    return int(match[1]) if match else None


def _temperatures(text: str) -> dict[str, float]:
    """Degrees Celsius by name: those of the hardware now, where the service gives them."""
    _, found, current = text.partition("Current temperatures from HAL:")
    pattern = r"Temperature\{mValue=(-?[\d.]+), mType=(-?\d+), mName=([^,]*), mStatus=\d+\}"
    matches = re.findall(pattern, current if found else text)
    return {name: float(value) for value, _, name in matches if -40 < float(value) < 200}


def throttling(reply: Mapping[str, Any], ceilings: Mapping[int, int] | None = None) -> dict[str, Any] | None:
    """Whether a job was slowed down: by its times, and by the clocks it ran on.

    Args:
        reply: An agent's reply.
        ceilings: Highest clock of each CPU in kHz, as far as known.

    Returns:
        ``drift``: median of the last third of the samples over that of the first, less 1.
        ``clock``: lowest over highest clock of the CPUs that were used while they were.
        ``of_max``: median clock over the highest that the hardware has.
        ``suspected``: it drifted and the clock fell (or cannot be read), or the clock was low all along.
        What cannot be known is None; None altogether for fewer than 6 samples.
    """
    samples = reply.get("samples_ns") or []
    third = len(samples) // 3
    if third < 2:
        return None
    drift = median(samples[-third:]) / median(samples[:third]) - 1
    used = {cpu for cpu in reply.get("cpu_ids") or [] if isinstance(cpu, int)}
    track = [row[1:] for row in reply.get("freq_track_khz") or []]
    seen = [(cpu, row[cpu]) for row in track for cpu in used if cpu < len(row) and row[cpu]]
    clocks = [khz for _, khz in seen]
    shares = [khz / ceilings[cpu] for cpu, khz in seen if ceilings and cpu in ceilings]
    clock = round(min(clocks) / max(clocks), 4) if clocks else None
    of_max = round(median(shares), 4) if shares else None
    suspected = (drift > DRIFT and (clock is None or clock < SLOWED)) or (
        of_max is not None and of_max < CAPPED
    )
    return {"drift": round(drift, 4), "clock": clock, "of_max": of_max, "suspected": suspected}
