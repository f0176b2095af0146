"""What ``nvidia-smi`` says of a GPU; nothing is made up where it is not there, or does not tell."""

from __future__ import annotations

import subprocess

_CONDITIONS = {
    "clock_mhz": "clocks.sm",
    "max_clock_mhz": "clocks.max.sm",
    "temperature_c": "temperature.gpu",
    "power_w": "power.draw",
}


def told(gpu: str | None, *fields: str) -> list[str | None]:
    """What it tells of some fields.

    Args:
        gpu: Number, identifier or place on the bus, as the program takes it; None where that is not known.
        fields: As the program calls them.
    """
    if gpu is None:
        return [None] * len(fields)
    try:
        asked = ["nvidia-smi", f"--query-gpu={','.join(fields)}", f"--id={gpu}"]
        done = subprocess.run(
            [*asked, "--format=csv,noheader,nounits"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return [None] * len(fields)
    found = [None if "N/A" in text else text.strip() for text in done.stdout.split(",")]
    return found if len(found) == len(fields) else [None] * len(fields)


def conditions(gpu: str | None) -> dict[str, float | None]:
    """Clocks, heat and power, now."""
    return dict(zip(_CONDITIONS, map(_number, told(gpu, *_CONDITIONS.values())), strict=True))


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
