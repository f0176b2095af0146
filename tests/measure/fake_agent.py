"""An agent that times nothing: a model file says what it should do.

Content of a model file: ``<milliseconds> <deed>``. Deeds: "ok"; "error"; "die"; "hang"; "garbage";
"nonsense" (samples that are no times); "coarse" (of its energy, one step); "once-die:<path>" does it unless
the path exists, and makes it.
"""

import json
import os
import signal
import sys
import time
import zlib
from pathlib import Path


def say(data: dict) -> None:
    sys.stdout.write(json.dumps(data) + "\n")
    sys.stdout.flush()


def misbehave(deed: str) -> None:
    if deed == "die":
        sys.stderr.write("out of memory, or so\n")
        os.kill(os.getpid(), signal.SIGKILL)
    if deed == "hang":
        time.sleep(600)
    if deed == "garbage":
        sys.stdout.write("Segmentation fault (core dumped)\n")
        sys.stdout.flush()


def main() -> None:
    plan = Path(sys.argv[sys.argv.index("--plan") + 1])
    conditions = {"monotonic_ns": time.monotonic_ns(), "tick_ns": 10**7, "own_cpu_ns": 0}
    hello = {"protocol": 1, "agent": "fake", "runtime": plan_runtime(), "runtime_version": "1.0"}
    hello |= {"library_sha256": os.environ.get("FAKE_LIBRARY", "aa"), "machine": "fake", "cpu_model": "fake"}
    hello |= {"cpus_online": [0, 1], "conditions": conditions}
    watts = float(os.environ.get("FAKE_WATTS", "0"))
    energy = {"source": "fake"} if watts else {"missing": "nothing was put there"}
    say({"hello": hello | {"energy": {"cpu": energy}}})
    jobs = 0
    for line in plan.read_text().splitlines():
        job = json.loads(line)
        jobs += 1
        milliseconds, deed = Path(job["model"]).read_text().split(" ", 1)
        if deed.startswith("once-"):
            deed, _, flag = deed.removeprefix("once-").partition(":")
            if Path(flag).exists():
                deed = "ok"
            else:
                Path(flag).touch()
        misbehave(deed)
        if deed == "error":
            say({"job": job["job"], "error": "no such operator", "stage": "load"})
            continue
        wobble = zlib.crc32(line.encode()) / 2**32  # the same for the same job
        sample = float(milliseconds) * 1e6 * (1 + 0.01 * wobble)
        samples = (
            [-1.0]
            if deed == "nonsense"
            else [round(sample * 2 * (1 + 0.001 * i)) for i in range(job["samples"])]
        )
        time.sleep(float(os.environ.get("FAKE_SLEEP", "0")))
        reply = {"job": job["job"], "samples_ns": samples, "inner": 2, "preempted": [0] * len(samples)}
        if job.get("energy_steps"):
            counted = {"elapsed_ns": sum(samples), "inferences": 2 * len(samples), "resolution_uj": 1}
            counted |= {"steps": 1 if deed == "coarse" else job["energy_steps"], "idle_uw": [10, 20, 15]}
            reply["energy"] = {"source": "fake", "uj": round(watts * sum(samples) / 1e3), **counted}
        say(reply | {"start_ns": time.monotonic_ns()})
    say({"bye": {"jobs": jobs, "conditions": conditions | {"monotonic_ns": time.monotonic_ns()}}})


def plan_runtime() -> str:
    return os.environ.get("FAKE_RUNTIME", "litert")


if __name__ == "__main__":
    main()
