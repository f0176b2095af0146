"""From a device to a network that keeps a budget, stage by stage, on the digits of scikit-learn.

    python examples/search_under_a_budget.py --out runs/digits

Takes some minutes; ``--quick`` learns next to nothing and measures just for the form.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import hwnas

SPACE = "macro-r16-c10"
TARGET = "host/litert-int8"


def main() -> None:
    """Profile, search, train, export, verify."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--out", type=Path, required=True, help="a new folder")
    asked.add_argument("--data", default="digits")
    asked.add_argument("--budget", default="60%")
    asked.add_argument("--quick", action="store_true")
    options = asked.parse_args()

    quick = (
        hwnas.ProfileOptions(rounds=2, max_rounds=2, samples=2, min_sample_ms=0.1, min_round_s=0.0)
        if options.quick
        else None
    )
    tables = options.out / "tables"
    profiled = hwnas.profile(
        SPACE, runtimes=["litert"], precisions=["int8"], out=tables / "host", options=quick
    )
    for target, table in profiled.items():
        model = hwnas.fit(table, SPACE)
        print(
            f"{target}: wrong by {model.evaluation['heldout'].mape:.1%} on networks that it was not fitted to"
        )

    run = options.out / "run"
    wanted = hwnas.SearchOptions(tables=tables, gallery_points=0)
    found = hwnas.search(
        SPACE,
        {TARGET: options.budget},
        run,
        data=options.data,
        training_steps=20 if options.quick else None,
        options=wanted if quick is None else replace(wanted, measuring=quick),
    )
    print(f"found {found.architecture.id}: {found.verdict}")

    hwnas.train(run, epochs=1 if options.quick else None)
    hwnas.export(run)
    checked = hwnas.verify(run, options=quick)
    for variant in checked.variants:
        if variant.measured_ms is not None:
            print(f"{variant.name}: {variant.measured_ms:.3f} ms")
    print(checked.verdict)


if __name__ == "__main__":
    main()
