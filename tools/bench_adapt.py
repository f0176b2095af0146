"""A user's network made to keep 70, 50 and 35 % of what it takes: every strategy of widths, tuned alike.

    python tools/bench_adapt.py --data clothing/ --work DIR > adapt.json

A network is trained on the pictures and exported; its PyTorch module, its ONNX and its TFLite file are
imported, and must be the same network. That is the user's network, and its own teacher. Whole networks of
random widths say how well the pairwise latency model predicts (LiteRT int8, one thread). Then every strategy
proposes widths for each share of its latency; what is measured to keep the budget is tuned for the same
number of epochs. Epochs are chosen on validation images; test images are answered once, in the end. The
strategy "blocks" is a search in cheaper blocks (``hwnas search --from``). With ``--bits``, layers are also
measured in each precision, and strategies choose which of them leave int8: of the network as it is, and made
hostile to int8 on purpose. Networks, tables and rows are kept with ``--work``, and a bench that was cut off
goes on. One JSON object on standard output.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _bench import Rows, environment, made_folder, names, parser, report, say, target
from _bits import Case, judged

from hwnas import blocks, device, files, known, release, spaces, tasks
from hwnas.adapt import STRATEGIES, costs
from hwnas.adapt.blocks import latency_of, learnt, searched
from hwnas.adapt.keeping import keep
from hwnas.adapt.latencies import Stopwatch
from hwnas.adapt.subject import Subject
from hwnas.compare import contender
from hwnas.errors import HwnasError
from hwnas.importing import import_model
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.runs.found import COMPARED, SearchRecord
from hwnas.train import TrainConfig, load_weights
from hwnas.train.adapting import adapted
from hwnas.train.scoring import predictions
from hwnas.train.teacher import load_teacher
from hwnas.train.training import dataset_of
from hwnas.widths import prunable, width_space

TARGET = device.Target("host", "litert", "int8")
_FORMS = ("module", "onnx", "tflite")
_UNIFORM, _BLOCKS = "uniform", "blocks"


@dataclass(frozen=True)
class Bench:
    """One network.

    Attributes:
        folder: Where everything of it is kept.
        name: Of the known network that the user's is.
        options: Of the bench.
    """

    folder: Path
    name: str
    options: argparse.Namespace

    @cached_property
    def trained(self) -> Path:
        """The user's network, as it was trained; from weights of a package, or from nothing."""
        run, options = self.folder / "trained", self.options
        config = TrainConfig(epochs=options.teacher_epochs, seed=options.seed)
        if self.name not in options.from_nothing:
            return adapted(run, self.name, options.data, resolution=options.resolution, config=config)
        if not RunFolder(run).train.exists():
            data = tasks.get(tasks.DEFAULT).load(
                options.data, resolution=options.resolution, seed=options.seed
            )
            outputs = tasks.of(data).outputs(data)
            arch = known.load(self.name, resolution=options.resolution, num_classes=outputs)
            record = SearchRecord(COMPARED, options.seed, data.describe(), ())
            files.write_json(made_folder(str(run)) / RunFolder.arch, arch.to_json())
            files.write_json(run / RunFolder.search, record.to_json())
            contender.trained(run, config, say)
        return run

    def imported(self, form: str) -> Path:
        """The user's network, brought in from one form."""
        folder = self.folder / f"from-{form}"
        if RunFolder(folder).imported.exists():
            return folder
        data = dataset_of(records.trained(self.trained).data)
        arch = spaces.architecture_from_json(records.arch(self.trained))
        module = blocks.network(arch)
        load_weights(module, RunFolder(self.trained).weights)
        given: Any = module.eval()
        if form != "module":
            if not RunFolder(self.trained).export.exists():
                release.export_run(self.trained, data)
            given = RunFolder(self.trained).export / f"model.{form}"
        shape = arch.space.input_shape if form == "module" else None
        import_model(given, folder, input_shape=shape, mean=data.mean, std=data.std)
        return folder

    @cached_property
    def teacher(self) -> Path:
        """The imported network, which goes on learning for an epoch: its own teacher from now on."""
        return adapted(
            self.folder / "teacher",
            str(self.imported(self.options.form)),
            self.options.data,
            config=TrainConfig(epochs=self.options.again_epochs, seed=self.options.seed),
        )

    def subject(self, measurer: Stopwatch) -> Subject:
        """It, on the device."""
        data = dataset_of(records.trained(self.teacher).data)
        teacher = load_teacher(self.teacher, data)
        found = prunable(teacher.network, data.image_shape)
        space = width_space(self.name, found.groups, self.options.step)
        return Subject(teacher, data, found, space, TARGET, measurer, self.options.seed)


def main() -> None:
    """Train, import, narrow, tune, print."""
    options = _options()
    torch.set_num_threads(options.threads)
    results: dict[str, Any] = {}
    with ExitStack() as stack:
        folder = options.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rows = Rows(folder / "rows.jsonl")
        measurer = stack.enter_context(Stopwatch(device.load("host")))
        for name in options.networks:
            bench = Bench(made_folder(str(folder / name)), name, options)
            results[name] = _network(bench, rows, measurer)
    report(options, results, _targets(results, options), environment("torch", "torch-pruning"))


def _network(bench: Bench, rows: Rows, measurer: Stopwatch) -> dict[str, Any]:
    name, options = bench.name, bench.options
    forms = rows.get(f"{name} forms", lambda: {form: _form(bench.imported(form)) for form in _FORMS})
    subject = bench.subject(measurer)
    whole = subject.space.whole
    latency = rows.get(f"{name} ms", lambda: subject.latencies([whole])[whole].ms)
    began = time.monotonic()
    predicted = costs.costs(subject, bench.folder / "tables", say)
    spent = time.monotonic() - began
    model = rows.get(f"{name} latency model", lambda: _model(subject, predicted, options, spent))
    found = {
        "forms": forms,
        "ms": latency,
        "latency_model": model,
        "whole": rows.get(f"{name} whole", lambda: _values(subject.teacher.network, subject)),
        "at": {},
    }
    for share in options.shares:
        budget_ms = latency * share / 100
        found["at"][str(share)] = {
            strategy: rows.get(
                f"{name} {share} {strategy}",
                lambda s=strategy, ms=budget_ms: _row(bench, subject, predicted, s, ms),
            )
            for strategy in options.strategies
        }
    if options.bits:
        case = Case(
            name,
            subject.teacher.network.eval(),
            subject.data,
            bench.folder / "bits",
            measurer,
            options.bits,
            options.seed,
        )
        found["bits"] = judged(case, rows)
    return found


def _form(folder: Path) -> dict[str, Any]:
    """What an import came to."""
    arch = spaces.architecture_from_json(records.arch(folder))
    said = records.read(RunFolder(folder).imported, "an import", {"parity": dict}, "import again")
    return {"macs": arch.macs, "blocks": len(arch.blocks), "max_error": said["parity"]["max_error"]}


def _values(network: torch.nn.Module, subject: Subject) -> dict[str, Any]:
    val, test = subject.seen(network), predictions(network, subject.data, "test")
    return {"val": val.value, "test": test.value, "test_interval": list(test.interval)}


def _model(subject: Subject, predicted: Any, options: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Errors on networks of random widths that the model was not fitted to."""
    rng = np.random.default_rng([options.seed, 1])
    wanted = [tuple(map(int, rng.integers(subject.space.sizes))) for _ in range(options.random)]
    found = subject.latencies(wanted)
    errors = predicted.of(np.array(wanted)) / np.array([latency.ms for latency in found.values()]) - 1
    return {
        "networks": len(wanted),
        "mape": float(np.abs(errors).mean()),
        "worst": float(np.abs(errors).max()),
        "session": next(iter(found.values())).word,
        "seconds_to_fit": seconds,
    }


def _row(bench: Bench, subject: Subject, predicted: Any, strategy: str, budget_ms: float) -> dict[str, Any]:
    """One strategy at one budget."""
    began = time.monotonic()
    config = TrainConfig(epochs=bench.options.epochs)
    try:
        if strategy == _BLOCKS:
            network, latency, kept = _blocks(bench, subject, budget_ms, config)
            chosen_s = {}  # the search tunes as well: no time of its own
        else:
            chosen = STRATEGIES[strategy](subject, predicted, say)
            found = keep(subject, chosen, predicted, budget_ms, say)
            latency, kept = found.latency.ms, found.latency.at_most_ms <= budget_ms
            chosen_s = {"seconds_to_choose": time.monotonic() - began}
            network = subject.tuned(subject.narrowed(found.indices), config)
    except HwnasError as error:
        return {"budget_ms": budget_ms, "refused": str(error), "seconds": time.monotonic() - began}
    seconds = time.monotonic() - began
    return {
        "budget_ms": budget_ms,
        "ms": latency,
        "kept": kept,
        **chosen_s,
        "seconds": seconds,
        **_values(network, subject),
    }


def _blocks(
    bench: Bench, subject: Subject, budget_ms: float, config: TrainConfig
) -> tuple[torch.nn.Module, float | None, bool]:
    folder = bench.folder / f"blocks-{budget_ms:.4f}"
    measurer = subject.measurer
    record = searched(
        bench.teacher,
        folder,
        measurer.device,
        TARGET,
        budget_ms,
        seed=bench.options.seed,
        measuring=measurer.options,
        tell=lambda _: None,
    )
    network = subject.tuned(learnt(folder / "search", subject.data), config)
    latency = latency_of(record)
    return network, latency and latency.ms, latency is not None and latency.at_most_ms <= budget_ms


def _targets(results: dict[str, Any], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Of each network, and of all."""
    found = []
    for name, result in results.items():
        at = {s: row for s, row in result["at"].get("50", {}).items() if "test" in row}
        best = max(at.values(), key=lambda row: float(row["val"]), default=None)  # never by test images
        if best is not None and _UNIFORM in at:
            over = best["test"] - at[_UNIFORM]["test"]
            found.append(target(f"{name}: best over uniform at 50 %", over, ">=", 0.01))
        lost = None if best is None else result["whole"]["test"] - best["test"]
        found.append(target(f"{name}: lost at 50 %", lost, "<=", 0.02))
        found.append(target(f"{name}: latency model", result["latency_model"]["mape"], "<=", 0.025))
        for runtime, each in result.get("bits", {}).items():
            broken = min(100 * (row["fp32"] - row["int8"]) for row in each["hostile"].values())
            found.append(target(f"{name}: points that int8 alone loses, {runtime}", broken, ">=", 10.0))
            for by, row in each["hostile"].items():
                found.append(target(f"{name}: hostile to int8, {runtime}, {by}", row["lost"], "<=", 0.5))
            found.append(target(f"{name}: precisions, {runtime}", each["costs"]["mape"], "<=", 0.05))
    rows = [row for result in results.values() for each in result["at"].values() for row in each.values()]
    kept = [row["kept"] for row in rows if "kept" in row]
    return [*found, target("share of budgets kept", float(np.mean(kept)) if kept else None, ">=", 1.0)]


def _options() -> argparse.Namespace:
    found = parser(__doc__, seed=0)
    shared = Path(__file__).resolve().parents[2] / "shared" / "data" / "clothing"
    found.add_argument(
        "--data", default=str(shared), help="pictures; photos of clothes in shared data by default"
    )
    found.add_argument("--networks", type=names, default=["efficientnet-lite0"], help="joined by commas")
    found.add_argument("--form", default="onnx", choices=_FORMS, help="which import goes on")
    found.add_argument("--resolution", type=int, default=96)
    found.add_argument(
        "--shares", type=lambda text: [int(part) for part in names(text)], default=[70, 50, 35]
    )
    found.add_argument(
        "--strategies", type=names, default=list(STRATEGIES), help=f"joined by commas; and {_BLOCKS}"
    )
    found.add_argument("--step", type=int, default=8, help="of widths")
    found.add_argument("--random", type=int, default=40, help="networks that the latency model is judged by")
    found.add_argument(
        "--from-nothing",
        type=names,
        default=["mobilenetv2"],
        help="those of them that begin with random weights, as theirs may have to be downloaded",
    )
    found.add_argument("--teacher-epochs", type=int, help="those of `hwnas train` by default")
    found.add_argument("--again-epochs", type=int, default=2, help="of the imported network")
    found.add_argument("--epochs", type=int, default=4, help="of what is narrowed, the same for all")
    found.add_argument(
        "--bits", type=int, default=0, help="networks of random precisions; none leaves precisions out"
    )
    found.add_argument("--threads", type=int, default=2)
    found.add_argument("--work", type=made_folder, help="folder to keep everything in")
    return found.parse_args()


if __name__ == "__main__":
    main()
