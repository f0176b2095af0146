"""Which of two known networks is faster on this machine, and is the difference real?

    python examples/which_is_faster.py mobilenetv2-0.5 mobilenetv3-small

Any file .tflite or .onnx may stand in the place of a name.
"""

from __future__ import annotations

import argparse

import hwnas


def main() -> None:
    """Measure both, interleaved, in int8."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("models", nargs="*", default=["mobilenetv2-0.5", "mobilenetv3-small"])
    asked.add_argument("--rounds", type=int, default=24, help="at most; fewer where that is enough")
    options = asked.parse_args()

    found = hwnas.measure(
        options.models,
        runtimes=["litert"],
        precisions=["int8"],
        compare=True,
        options=hwnas.ProfileOptions(rounds=min(12, options.rounds), max_rounds=options.rounds),
    )
    for row in found.rows:
        low, high = row.interval_ms or (float("nan"),) * 2
        print(f"{row.file:28} {row.latency_ms:7.3f} ms  (95 %: {low:.3f} to {high:.3f})")
    for difference in found.differences:
        print(difference.said)
    for failure in found.failures:
        print(failure.reason)


if __name__ == "__main__":
    main()
