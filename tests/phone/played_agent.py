"""An agent for test phones that times nothing: what a model takes follows from its content and the phone.

A file ``speed.json`` in the phone's folder says how fast it is (``factor``), how much it scatters (``noise``)
and how long a job lasts (``sleep_s``). It stands in for phones that cannot be here: their agents would share
this machine's cores, and none would be like another.
"""

import json
import random
import sys
import time
import zlib
from pathlib import Path


def main() -> None:
    plan = Path(sys.argv[sys.argv.index("--plan") + 1]).resolve()
    speed = {"factor": 1.0, "noise": 0.002, "sleep_s": 0.0}
    for folder in plan.parents:
        if (folder / "speed.json").exists():
            speed |= json.loads((folder / "speed.json").read_text())
            break
    conditions = {"monotonic_ns": time.monotonic_ns(), "tick_ns": 10**7, "own_cpu_ns": 0}
    hello = {"protocol": 1, "agent": "played", "runtime": "litert", "runtime_version": "1.0"}
    hello |= {"library_sha256": "aa", "machine": "played", "cpu_model": "played", "cpus_online": [0, 1]}
    say({"hello": hello | {"conditions": conditions}})
    jobs = [json.loads(line) for line in plan.read_text().splitlines()]
    chance = random.Random(f"{folder}{plan}")
    for job in jobs:
        took = (1 + zlib.crc32(Path(job["model"]).read_bytes()) / 2**32) * 1e6 * speed["factor"]
        took *= 1 + speed["noise"] * chance.gauss(0, 1)
        time.sleep(speed["sleep_s"])
        samples = [round(2 * took * (1 + 0.0001 * n)) for n in range(job["samples"])]
        say({"job": job["job"], "samples_ns": samples, "inner": 2, "start_ns": time.monotonic_ns()})
    say({"bye": {"jobs": len(jobs), "conditions": conditions | {"monotonic_ns": time.monotonic_ns()}}})


def say(data: dict) -> None:
    sys.stdout.write(json.dumps(data) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
