"""A runtime of somebody's own in one file: the agent that runs on the device, and what hwnas knows of it.

It "runs" a model in as many nanoseconds as its file has bytes. ``BYTE_COUNTER`` in the environment
changes what it says: "silent" of processors, "unproven" of which one took the model.
"""

import json
import os
import sys
from pathlib import Path

PROCESSORS = ("cpu", "npu")


def runtime():
    """What goes into the table of runtimes."""
    from hwnas.runtimes.base import TFLITE, Runtime
    from hwnas.runtimes.litert import HOST

    return Runtime(
        name="byte_counter",
        format=TFLITE,
        precisions=("int8",),
        processors=PROCESSORS,
        agent=str(Path(__file__).resolve().parent),
        host=HOST,
        proves_delegation=True,
    )


def main() -> None:
    """Speak the protocol."""
    said = os.environ.get("BYTE_COUNTER", "")
    hello = {"protocol": 1, "agent": "byte_counter", "runtime": "byte_counter", "runtime_version": "1"}
    say({"hello": hello | ({} if said == "silent" else {"processors": PROCESSORS})})
    jobs = [
        json.loads(line) for line in Path(sys.argv[sys.argv.index("--plan") + 1]).read_text().splitlines()
    ]
    for job in jobs:
        content = Path(job["model"]).read_bytes()
        assert content[4:8] == b"TFL3"
        took = {} if said == "unproven" else {"processor": job["processor"]}
        say({"job": job["job"], "samples_ns": [len(content)] * job["samples"], "inner": 1} | took)
    say({"bye": {"jobs": len(jobs)}})


def say(data: dict) -> None:
    """A line at once."""
    sys.stdout.write(json.dumps(data) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
