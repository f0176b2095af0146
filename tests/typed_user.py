"""A program of a user's, which type checkers read and nobody runs: every public name, what each verb gives.

``tools/check_wheel.py`` has it checked against the installed wheel; ``tests/test_typing.py`` looks that no
name is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_type

import hwnas
from hwnas.search import register, strategy
from hwnas.search.problem import Problem

target = hwnas.Target("host", "litert", "int8")
device = hwnas.Device("mine", "Mine", "local", runtimes=("litert",))
budget = hwnas.Budget(target, 60, "%")
measuring = hwnas.ProfileOptions(rounds=3)


def told(line: str) -> None:
    print(line)


def counted(where: hwnas.Progress) -> None:
    print(where.target, where.stage, where.done / where.total)


def learnt(epoch: hwnas.EpochRecord) -> None:
    print(epoch.epoch, epoch.val_value)


def stepped(step: Mapping[str, Any]) -> None:
    print(step)


tables = hwnas.profile("macro", device=device, options=measuring, progress=counted)
assert_type(tables, dict[hwnas.Target, hwnas.LatencyTable])
tables[target].to_pandas()

model = hwnas.fit(tables[target], "macro", out=Path("latency.json"))
assert_type(model, hwnas.FittedModel)
believed: hwnas.LatencyModel = model
space: hwnas.SearchSpace = hwnas.spaces.load("macro")
choice: hwnas.Choice = space.choices[0]
block: hwnas.Block = choice.candidates[0]
work: hwnas.Workload = space.workloads()[0]
operations: tuple[hwnas.Op, ...] = tuple(block.ops(work.in_shape))

found = hwnas.search(
    space,
    [budget],
    "run",
    models=[believed],
    oneshot=hwnas.OneShotConfig(),
    untrained=hwnas.ZeroCostConfig(),
    options=hwnas.SearchOptions(finalists=hwnas.FinalistsOptions()),
    progress=stepped,
    warn=told,
)
assert_type(found, hwnas.Found)
network: hwnas.Architecture = found.architecture
verdict: hwnas.Verdict | None = found.verdict
assert_type(hwnas.search("macro", {"host": "60%", target: 3.5}, Path("run")), hwnas.Found)
print(Problem, strategy("exact"), register)

trained = hwnas.train(found.run, hwnas.TrainConfig(epochs=3), progress=learnt)
assert_type(trained, hwnas.Trained)
shipped = hwnas.export(trained.run, progress=told)
assert_type(shipped, hwnas.Exported)
manifest: hwnas.Manifest = shipped.manifest
checked = hwnas.verify(shipped.folder, device="host", progress=told)
assert_type(checked, hwnas.Verification)
variant: hwnas.VariantCheck = checked.variants[0]
compared = hwnas.compare(trained.run, against=["mobilenetv2"], progress=told)
assert_type(compared, hwnas.ComparisonRecord)
adapted = hwnas.adapt("mobilenetv2", "host=5", "adapted", options=hwnas.AdaptOptions(), progress=print)
assert_type(adapted, hwnas.AdaptRecord)
step: hwnas.AdaptStep = adapted.steps[0]
brought = hwnas.import_model("mine.onnx", "mine", progress=told)
assert_type(brought, hwnas.Imported)
measured = hwnas.measure(["a.tflite", Path("b.onnx")], device=["host", device], progress=told)
assert_type(measured, hwnas.FileBenchmark)
for row in measured.rows:
    print(row.file, row.latency_ms, row.interval_ms)


def predicted(model: hwnas.LatencyModel, space: hwnas.SearchSpace) -> hwnas.Prediction:
    """What a model says of the fastest and the slowest network."""
    return model.predict(space, model.costs(space).ends[0])


hwnas.load_plugins("mine.py")
print(hwnas.plugins.files(), hwnas.runtimes.RUNTIMES, hwnas.tasks.TASKS, hwnas.tracking.TRACKERS)
print(hwnas.blocks.KINDS, hwnas.testing.check_space)
try:
    print(predicted(model, space), manifest.device, variant.verdict, step.keeps, operations, network, verdict)
except (
    hwnas.AgentError,
    hwnas.DataError,
    hwnas.DeviceError,
    hwnas.ExportError,
    hwnas.InfeasibleBudget,
    hwnas.LatencyModelError,
    hwnas.PluginError,
    hwnas.SpaceError,
    hwnas.TableError,
    hwnas.TrainingError,
) as error:
    said: hwnas.HwnasError = error
    print(said)
