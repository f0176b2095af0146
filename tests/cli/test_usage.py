"""Wrong usage is exit code 2, before any work; what files and devices get wrong is 1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from click.testing import CliRunner

from hwnas.cli import app

SEARCH = ["search", "--out", "new", "--device", "host=50%"]
SCRATCH = [*SEARCH, "--strategy", "random", "--evaluate", "scratch"]
BY_FILE = ["search", "--out", "new", "--latency", "l.json", "--budget-ms", "1"]
IMPORT = ["--device", "pixel", "--source", "me", "--licence", "mine"]
ARCHS = ["import", "networks", "f.csv", *IMPORT, "--space", "macro"]
BLOCKS = ["import", "blocks", "f.csv", *IMPORT]
INT8 = ["--runtime", "litert", "--precision", "int8"]
ADAPT = ["adapt", "mobilenetv2", "--device", "host=3", "--out", "new", "--data", "digits"]
MEASURE = ["measure", "m.onnx"]
BENCH = ["bench", "table.json", "--out", "new"]
BENCHMARK = ["profile", "--device", "android", "--agent"]

WRONG_VALUES = {
    "search --device": ["search", "--out", "new", "--device", "nope=50%"],
    "search --runtime": [*SEARCH, "--runtime", "nope"],
    "search --precision": [*SEARCH, "--precision", "int7"],
    "search --rank": [*SEARCH, "--rank", "int7"],
    "search --gallery": [*SEARCH, "--gallery", "-1"],
    "search --budget-ms": [*BY_FILE[:-1], "fast"],
    "search --task": [*SEARCH, "--task", "nope"],
    "search --space": [*SEARCH, "--space", "nope"],
    "search --strategy": [*SEARCH, "--strategy", "nope"],
    "search --seed": [*SEARCH, "--seed", "-1"],
    "search --warmup-steps": [*SEARCH, "--warmup-steps", "-1"],
    "search --steps": [*SEARCH, "--steps", "0"],
    "search --queries": [*SEARCH, "--strategy", "random", "--queries", "0"],
    "search --evaluate": [*SEARCH, "--evaluate", "nope"],
    "search --evaluate-epochs": [*SCRATCH, "--evaluate-epochs", "0"],
    "search --evaluate-images": [
        *SEARCH,
        "--strategy",
        "random",
        "--evaluate",
        "naswot",
        "--evaluate-images",
        "1",
    ],
    "search --pool": [*SCRATCH, "--pool", "threads:2"],
    "search --loss": [*SEARCH, "--loss", "nope"],
    "search --batch-size": [*SEARCH, "--batch-size", "1"],
    "search --proxy-width": [*SEARCH, "--proxy-width", "1.5"],
    "search --proxy-resolution": [*SEARCH, "--proxy-resolution", "0"],
    "search --confidence": [*SEARCH, "--confidence", "1"],
    "search --objective": [*SEARCH, "--objective", "nope"],
    "search --limit": [*SEARCH, "--limit", "nope=3"],
    "search --train-on": [*SEARCH, "--train-on", "nope"],
    "search --set": [*SEARCH, "--set", "search.supernet.momentum=2"],
    "search --class-weights": [*SEARCH, "--class-weights", "nope"],
    "search --from": [*SEARCH, "--data", "digits", "--from", "nope"],
    "search --resolution": [*SEARCH, "--from", "mobilenetv2", "--data", "digits", "--resolution", "3"],
    "search --width": [*SEARCH, "--from", "mobilenetv2", "--data", "digits", "--width", "0.75,2"],
    "search --compound": [*SEARCH, "--from", "mobilenetv2", "--data", "digits", "--compound", "1"],
    "search --strides": [*SEARCH, "--from", "mobilenetv2", "--data", "digits", "--strides", "cifar"],
    "search --track": [*SEARCH, "--track", "nope"],
    "train --track": ["train", "r", "--track", "nope:here"],
    "export --track": ["export", "r", "--track", "file"],
    "verify --track": ["verify", "r", "--track", "MLflow"],
    "report --track": ["report", "r", "--track", "nope"],
    "run --track": ["run", "c.toml", "--track", "nope"],
    "quickstart --track": ["quickstart", "--track", "nope"],
    "train --from": ["train", "r", "--data", "digits", "--from", "nope"],
    "train --task": ["train", "r", "--from", "mobilenetv2", "--data", "digits", "--task", "dreaming"],
    "train --resolution": ["train", "r", "--from", "mobilenetv2", "--data", "digits", "--resolution", "3"],
    "train --head-epochs": ["train", "r", "--head-epochs", "-1"],
    "train --layer-decay": ["train", "r", "--layer-decay", "0"],
    "train --auxiliary": ["train", "r", "--auxiliary", "2"],
    "train --freeze-share": ["train", "r", "--freeze-share", "1"],
    "train --frozen-stride": ["train", "r", "--frozen-stride", "-1"],
    "train --epochs": ["train", "r", "--epochs", "0"],
    "train --batch-size": ["train", "r", "--batch-size", "1"],
    "train --learning-rate": ["train", "r", "--learning-rate", "nan"],
    "train --optimizer": ["train", "r", "--optimizer", "adam"],
    "train --precision": ["train", "r", "--device", "cpu", "--precision", "fp16"],
    "train --momentum": ["train", "r", "--momentum", "1"],
    "train --clip-norm": ["train", "r", "--clip-norm", "0"],
    "train --weight-decay": ["train", "r", "--weight-decay", "2"],
    "train --warmup-share": ["train", "r", "--warmup-share", "1"],
    "train --label-smoothing": ["train", "r", "--label-smoothing", "-1"],
    "train --ema": ["train", "r", "--ema", "1"],
    "train --class-weights": ["train", "r", "--class-weights", "nope"],
    "train --init": ["train", "r", "--init", "nope"],
    "train --seed": ["train", "r", "--seed", "-1"],
    "train --device": ["train", "r", "--device", "nope"],
    "train --crop": ["train", "r", "--crop", "0.6"],
    "train --erasing": ["train", "r", "--erasing", "inf"],
    "train --mixup": ["train", "r", "--mixup", "-1"],
    "train --cutmix": ["train", "r", "--cutmix", "-1"],
    "train --distill-weight": ["train", "r", "--teacher", "t", "--distill-weight", "2"],
    "train --temperature": ["train", "r", "--teacher", "t", "--temperature", "0"],
    "export --calibration-images": ["export", "r", "--calibration-images", "0"],
    "export --qat-if-worse": ["export", "r", "--qat-if-worse", "2"],
    "export --qat-epochs": ["export", "r", "--qat-if-worse", "0.1", "--qat-epochs", "0"],
    "export --int8-drop": ["export", "r", "--int8-drop", "-1"],
    "import-model --input": ["import-model", "my.code:network", "--out", "new", "--input", "3x32"],
    "adapt --device": ["adapt", "mobilenetv2", "--device", "nope=3", "--out", "new"],
    "adapt --precision": [*ADAPT, "--precision", "int7"],
    "adapt --input": [*ADAPT, "--input", "3x32"],
    "adapt --mean": [*ADAPT, "--mean", "half"],
    "adapt --std": [*ADAPT, "--std", "0"],
    "adapt --resolution": [*ADAPT, "--resolution", "0"],
    "adapt --task": [*ADAPT, "--task", "dreaming"],
    "adapt --try": [*ADAPT, "--try", "magic"],
    "adapt --strategy": [*ADAPT, "--strategy", "nope"],
    "adapt --accept": [*ADAPT, "--accept", "-1"],
    "adapt --step": [*ADAPT, "--step", "0"],
    "adapt --short-epochs": [*ADAPT, "--short-epochs", "0"],
    "adapt --epochs": [*ADAPT, "--epochs", "0"],
    "adapt --seed": [*ADAPT, "--seed", "-1"],
    "export --keep-int8-loss": ["export", "r", "--keep-int8-loss", "-1"],
    "export --keep-by": ["export", "r", "--keep-int8-loss", "1", "--keep-by", "nope"],
    "import-model --mean": ["import-model", "my.code:network", "--out", "new", "--mean", "0.5,half"],
    "import-model --std": ["import-model", "my.code:network", "--out", "new", "--std", "0.5,0,0.5"],
    "export --also": ["export", "r", "--also", "int4"],
    "verify --device": ["verify", "r", "--device", "nope"],
    "verify --rounds": ["verify", "r", "--rounds", "0"],
    "verify --samples": ["verify", "r", "--samples", "0"],
    "verify --budget-ms": ["verify", "m.onnx", "--budget-ms", "0"],
    "verify --min-round-s": ["verify", "r", "--min-round-s", "-1"],
    "pick --budget-ms": ["pick", "r", "--out", "o", "--budget-ms", "fast"],
    "pick --device": ["pick", "r", "--out", "o", "--device", "host=fast"],
    "pick --confidence": ["pick", "r", "--out", "o", "--budget-ms", "1", "--confidence", "2"],
    "compare --against": ["compare", "r", "--against", "nope"],
    "compare --match-latency": ["compare", "r", "--match-latency", "nope"],
    "compare --seeds": ["compare", "r", "--against", "mobilenetv2", "--seeds", "0"],
    "compare --device": ["compare", "r", "--against", "mobilenetv2", "--device", "nope"],
    "compare --variants": ["compare", "r", "--against", "mobilenetv2", "--variants", "nope"],
    "compare --rounds": ["compare", "r", "--against", "mobilenetv2", "--rounds", "0"],
    "bench --space": [*BENCH, "--space", "nope"],
    "bench --dataset": [*BENCH, "--dataset", "mnist"],
    "bench --strategies": [*BENCH, "--strategies", "nope"],
    "bench --budgets": [*BENCH, "--budgets", "50%,fast"],
    "bench --queries": [*BENCH, "--queries", "25,0"],
    "bench --seeds": [*BENCH, "--seeds", "0"],
    "bench --pool": [*BENCH, "--pool", "processes:0"],
    "fit --space": ["fit", "--space", "nope"],
    "fit --device": ["fit", "--space", "macro", "--device", "nope"],
    "fit --runtime": ["fit", "--space", "macro", "--runtime", "nope"],
    "fit --precision": ["fit", "--space", "macro", "--precision", "int7"],
    "fit --model": ["fit", "--space", "macro", "--model", "nope"],
    "fit --threads": ["fit", "--space", "macro", "--threads", "0"],
    "profile --device": ["profile", "--device", "nope"],
    "profile --space": ["profile", "--space", "nope"],
    "profile --resolution": ["profile", "--resolution", "0"],
    "profile --classes": ["profile", "--classes", "0"],
    "profile --strides": ["profile", "--strides", "nope"],
    "profile --runtime": ["profile", "--runtime", "nope"],
    "profile --precision": ["profile", "--precision", "int7"],
    "profile --rounds": ["profile", "--rounds", "0"],
    "profile --max-rounds": ["profile", "--max-rounds", "-1"],
    "profile --target-ci": ["profile", "--target-ci", "nan"],
    "profile --samples": ["profile", "--samples", "0"],
    "profile --calibration-networks": ["profile", "--calibration-networks", "-1"],
    "profile --heldout-networks": ["profile", "--heldout-networks", "-1"],
    "profile --seed": ["profile", "--seed", "-1"],
    "profile --threads": ["profile", "--threads", "0"],
    "profile --cpus": ["profile", "--cpus", "3-1"],
    "profile --agent": [*BENCHMARK, "nope", "--agent-path", "p"],
    "profile --few": ["profile", "--few", "1"],
    "profile --op-profile": ["profile", "--device", "android", "--op-profile", "0"],
    "profile --pool": ["profile", "--pool", "threads:2"],
    "profile --max-minutes": ["profile", "--max-minutes", "nan"],
    "measure --device": [*MEASURE, "--device", "nope"],
    "measure --runtime": [*MEASURE, "--runtime", "nope"],
    "measure --precision": ["measure", "mobilenetv2-0.5", "--precision", "int7"],
    "measure --threads": [*MEASURE, "--threads", "1,0"],
    "measure --shape": [*MEASURE, "--shape", "x=1xy"],
    "measure --budget-ms": [*MEASURE, "--budget-ms", "0"],
    "measure --repeat-over": [*MEASURE, "--repeat-over", "1s"],
    "measure --rounds": [*MEASURE, "--rounds", "0"],
    "measure --max-rounds": [*MEASURE, "--max-rounds", "-1"],
    "measure --cpus": [*MEASURE, "--cpus", "3-1"],
    "quickstart --device": ["quickstart", "--device", "nope"],
    "quickstart --space": ["quickstart", "--space", "nope"],
    "quickstart --budget-ms": ["quickstart", "--budget-ms", "0"],
    "quickstart --epochs": ["quickstart", "--epochs", "0"],
    "quickstart --seed": ["quickstart", "--seed", "-1"],
    "init --strategy": ["init", "--strategy", "nope"],
    "doctor --device": ["doctor", "--device", "nope"],
    "doctor --runtime": ["doctor", "--runtime", "nope"],
    "spaces show NAME": ["spaces", "show", "nope"],
    "spaces show --resolution": ["spaces", "show", "macro", "--resolution", "0"],
    "spaces show --classes": ["spaces", "show", "macro", "--classes", "0"],
    "spaces show --strides": ["spaces", "show", "macro", "--strides", "nope"],
    "devices doctor NAME": ["devices", "doctor", "nope"],
    "devices shelf PATH": ["devices", "shelf"],
    "devices borrow PATH": ["devices", "borrow"],
    "devices borrow COMMAND": ["devices", "borrow", "s.toml", "--device", "pixel"],
    "devices borrow --device": ["devices", "borrow", "s.toml", "--device", "nope", "--", "true"],
    "devices serve PATH": ["devices", "serve"],
    "devices serve --host": ["devices", "serve", "s.toml", "--token-file", "t", "--host", "a b"],
    "devices serve --lease-s": ["devices", "serve", "s.toml", "--token-file", "t", "--lease-s", "0"],
    "devices serve --port": ["devices", "serve", "s.toml", "--token-file", "t", "--port", "0"],
    "serve RUNS": ["serve"],
    "serve --host": ["serve", ".", "--host", "a b"],
    "serve --port": ["serve", ".", "--port", "0"],
    "devices clean NAME": ["devices", "clean", "nope"],
    "table diff --least": ["table", "diff", "a", "b", "--least", "-1"],
    "import networks --device": [*ARCHS, "--device", "Not A Name", *INT8],
    "import networks --runtime": [*ARCHS, "--runtime", "nope", "--precision", "int8"],
    "import networks --precision": [*ARCHS, "--runtime", "litert", "--precision", "int7"],
    "import networks --space": [*ARCHS, *INT8, "--space", "nope"],
    "import blocks --device": [*BLOCKS, "--device", "Not A Name", *INT8],
    "import blocks --runtime": [*BLOCKS, "--runtime", "nope", "--precision", "int8"],
    "import blocks --precision": [*BLOCKS, "--runtime", "litert", "--precision", "int7"],
}
"""Each option that can have a wrong value, with one."""

ANY_TEXT = {
    "column",
    "data",
    "licence",
    "serial",
    "source",
}
"""Options of which every text may be right: names in the user's own files, addresses, prose."""

PATHS = {"agent_path", "baseline", "csv", "folder", "latency", "path", "supernet", "table", "tables"}
PATHS |= {
    "alike",
    "costs",
    "html",
    "inputs",
    "layers_of",
    "plugin",
    "shelf",
    "teacher",
    "to",
    "token_file",
    "weights",
}

COMBINATIONS = [
    (["profile", "--shelf", "s.toml", "--serial", "x"], "--serial must only be given without --shelf"),
    ([*BENCH, "--strategies", "fbnet"], "fbnet trains a supernet, and a table has none"),
    ([*BENCH, "--strategies", "exact"], "exact needs errors of blocks, and a table has none"),
    ([*BENCH, "--queries", "many"], "queries must be whole numbers"),
    ([*BENCH, "--budgets", "120%"], "up to"),
    (["compare", "r", "--against", "."], "must be with known networks"),
    (["adapt", "mobilenetv2", "--device", "host=0%", "--out", "new"], "must be over 0 %"),
    (["search", "--out", "o"], "either --device"),
    ([*SEARCH, "--latency", "l.json", "--budget-ms", "1"], "either --device"),
    (["search", "--out", "o", "--latency", "l.json"], "--budget-ms"),
    ([*BY_FILE, "--budget-ms", "2"], "one for all or one a --latency"),
    ([*BY_FILE, "--runtime", "litert"], "--runtime"),
    (
        [*MEASURE, "--rounds", "8", "--max-rounds", "7"],
        "must be at least --rounds, which all get, but got 7 < 8",
    ),
    (["profile", "--max-rounds", "3"], "must be at least --rounds, which all get, but got 3 < 9"),
    ([*BY_FILE, "--precision", "int8"], "--precision"),
    ([*BY_FILE, "--tables", "t"], "--tables"),
    ([*BY_FILE, "--accept-noise"], "--accept-noise"),
    ([*SEARCH, "--no-measure", "--accept-noise"], "--accept-noise"),
    (["search", "--out", "o", "--device", "host/litert-int8=1", "--runtime", "litert"], "--runtime"),
    (["search", "--out", "o", "--device", "host=1", "--device", "host=2"], "has two"),
    ([*SEARCH, "--strategy", "fbnet", "--queries", "4"], "--queries"),
    ([*SEARCH, "--strategy", "random", "--loss", "hold"], "--loss"),
    ([*SEARCH, "--pool", "processes:2"], "search.supernet.layerwise"),
    ([*SEARCH, "--supernet", "s", "--pool", "processes:2"], "--pool"),
    ([*SEARCH, "--evaluate-epochs", "2"], "--evaluate-epochs"),
    ([*SEARCH, "--alike", "r"], "alike must be left out"),
    ([*SEARCH, "--strategy", "random", "--evaluate", "similarity"], "alike must say whom"),
    ([*SEARCH, "--evaluate", "scratch"], "or use evolution"),
    ([*SEARCH, "--evaluate", "supernet"], "or use evolution"),
    ([*SEARCH, "--strategy", "fbnet", "--evaluate", "scratch"], "sampling"),
    ([*SEARCH, "--strategy", "fbnet", "--evaluate", "blockwise"], "sampling"),
    ([*SCRATCH, "--steps", "3"], "--steps"),
    ([*SEARCH, "--supernet", "s", "--proxy-width", "1"], "--proxy-width"),
    ([*SEARCH, "--supernet", "s", "--batch-size", "8"], "--batch-size"),
    ([*SEARCH, "--supernet", "s", "--class-weights", "balanced"], "--class-weights"),
    ([*SEARCH, "--strategy", "random", "--supernet", "s", "--warmup-steps", "8"], "--warmup-steps"),
    ([*SEARCH, "--set", "temperature"], "SECTION.KEY=VALUE"),
    ([*SEARCH, "--set", "train.epochs=3"], "SECTION.KEY=VALUE"),
    ([*SEARCH, "--strategy", "fbnet", "--set", "temprature=3"], "the nearest is temperature"),
    ([*SEARCH, "--set", "promise.finalists=many"], "finalists in [promise] must be a whole number"),
    (["train", "r", "--distill-weight", "0.5"], "--distill-weight"),
    (["train", "r", "--temperature", "2"], "--temperature"),
    (["train", "r", "--no-augment", "--crop", "0.1"], "--crop"),
    (["train", "r", "--no-augment", "--flip"], "--flip"),
    (["train", "r", "--no-augment", "--erasing", "0.1"], "--erasing"),
    (["export", "r", "--qat-epochs", "3"], "--qat-epochs"),
    (["export", "r", "--keep-by", "haq"], "--keep-by"),
    (["verify", "r", "--skip-accuracy", "--data", "digits"], "--data"),
    (["verify", "r", "--no-record", "--track", "tensorboard"], "without --no-record"),
    (["verify", "m.onnx", "--budget-ms", "1", "--track", "tensorboard"], "with a folder"),
    (["train", "r", "--track", "tensorboard", "--track", "tensorboard:x"], "tensorboard is there twice"),
    (["pick", "r", "--out", "o"], "--budget-ms"),
    (["pick", "r", "--out", "o", "--device", "host"], "NAME=BUDGET"),
    (["pick", "r", "--out", "o", "--device", "host=1", "--device", "host=2"], "has two"),
    (["compare", "r"], "something"),
    ([*BENCHMARK, "benchmark_model"], "--agent-path"),
    (["profile", "--device", "android", "--agent-path", "p"], "--agent"),
    (["profile", "--serial", "x"], "--serial"),
    (["measure", "m.onnx", "./m.onnx"], "is there twice"),
    ([*MEASURE, "--threads", "1,1"], "is there twice"),
    ([*MEASURE, "--device", "host", "--device", "host"], "is there twice"),
    ([*MEASURE, "--shape", "x=1", "--shape", "x=2"], "must have one --shape"),
    (["profile", "--op-profile", "5"], "--op-profile"),
    (["profile", "--few", "5", "--heldout-networks", "3"], "--heldout-networks"),
    (["profile", "--layers-of", "r", "--space", "fbnet"], "--space"),
    (["profile", "--layers-of", "r", "--few", "5"], "--few"),
    (["profile", "--few", "5", "--calibration-networks", "3"], "--calibration-networks"),
]


PROGRAM = typer.main.get_command(app)  # made once: with every call it would take longer than the call


def invoke(arguments: list[str]) -> tuple[int, str]:
    done = CliRunner(env={"COLUMNS": "1000"}).invoke(PROGRAM, arguments)
    return done.exit_code, done.output


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def no_work(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("work began")

    for name in ("data.load", "measure.profile", "measure.new_device.profile_few", "pipeline.run"):
        monkeypatch.setattr(f"hwnas.{name}", refuse)


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("arguments", WRONG_VALUES.values(), ids=WRONG_VALUES)
def test_a_wrong_value_is_wrong_usage(arguments, tmp_path):
    code, said = invoke(arguments)
    assert code == 2, said
    assert "Error" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(("arguments", "said"), COMBINATIONS, ids=lambda item: str(item)[:60])
def test_what_does_not_go_together_is_wrong_usage(arguments, said, tmp_path):
    code, output = invoke(arguments)
    assert code == 2, output
    assert said in output
    assert not list(tmp_path.iterdir())


def commands(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


def test_each_option_of_each_command_is_tried():
    wanted = {
        f"{verb} {parameter.opts[0]}"
        for verb, command in commands(PROGRAM)
        for parameter in command.params
        if parameter.param_type_name == "option"
        and not parameter.is_flag
        and parameter.name not in ANY_TEXT | PATHS
    }
    assert wanted == {key for key in WRONG_VALUES if "--" in key}


@pytest.mark.parametrize(
    "arguments",
    [
        ["profile", "--space", "darts", "--space", "nasnet"],
        ["devices", "list", "--json", "--json"],
        ["train", "r", "--augment", "--no-augment"],
    ],
    ids=" ".join,
)
def test_an_option_that_counts_once_is_not_given_twice(arguments):
    code, said = invoke(arguments)
    assert code == 2
    assert "must be given once, but is there twice" in said


def test_an_option_of_several_values_is_given_several_times():
    said = invoke(["search", "--out", "o", "--device", "a=1", "--device", "b=2"])[1]
    assert "twice" not in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "not-there"],
        ["export", "not-there"],
        ["verify", "not-there"],
        ["table", "show", "not-there"],
        ["pick", "not-there", "--out", "o", "--budget-ms", "1"],
        ["run", "not-there.toml"],
        ["bench", "not-there.json", "--out", "o"],
        [*BENCHMARK, "benchmark_model", "--agent-path", "not-there"],
        [*SEARCH, "--data", "not-there"],
        ["measure", "not-there.onnx"],
        ["serve", "not-there"],
        ["measure", "not-there.onnx", "--inputs", "not-there.npz"],
    ],
    ids=" ".join,
)
def test_what_files_get_wrong_is_no_wrong_usage(arguments):
    assert invoke(arguments)[0] == 1


def test_a_damaged_description_of_a_device_is_no_wrong_usage(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "hwnas" / "devices").mkdir(parents=True)
    (tmp_path / "hwnas" / "devices" / "mine.toml").write_text("name = ")
    for arguments in (["profile", "--device", "mine"], [*MEASURE, "--device", "mine"], SEARCH):
        assert invoke(arguments)[0] == 1
