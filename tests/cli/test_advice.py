"""Verbs in a wrong order: what is advised is typed as it stands, until what was wanted is done."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import report_run
import typer.main
from click.testing import CliRunner

import hwnas
from hwnas import device, latency, measure, spaces
from hwnas.cli import app
from hwnas.errors import HwnasError, typed
from hwnas.release import MANIFEST
from hwnas.tables import places
from hwnas.tables.table import LatencyTable

SPACE = "macro-r8-c10"
TINY: dict[str, str] = {
    "search": f"--space={SPACE} --strategy=random --queries=2 --warmup-steps=1 --steps=1 --proxy-width=0.25 "
    "--no-measure --rank=fp32 --gallery=1",
    "train": "--epochs=1 --batch-size=256",
    "export": "--calibration-images=16 --int8-drop=1",
    "verify": "--skip-accuracy",
}
"""What makes a verb quick, where that is not typed already; everything else is typed as it was advised."""

PROGRAM = typer.main.get_command(app)  # made once: with every call it would take longer than the call
COMMAND = re.compile(r"`hwnas ([^`]+)`")


def hwnas_(*words: object) -> tuple[int, str]:
    """Exit code and what was said, an error as the program would print it included."""
    verb, *rest = map(str, words)
    quick = [word for word in TINY.get(verb, "").split() if word.partition("=")[0] not in rest]
    done = CliRunner(env={"COLUMNS": "1000"}).invoke(PROGRAM, [verb, *rest, *quick])
    if done.exception is not None and not isinstance(done.exception, HwnasError | SystemExit):
        raise done.exception
    return done.exit_code, done.output + (str(done.exception) if done.exit_code == 1 else "")


def follow(*words: object, most: int = 8) -> list[str]:
    """Type what is advised until the command itself works; returns the verbs in their order."""
    code, said = hwnas_(*words)
    if code == 0:
        return [str(words[0])]
    assert most, said
    advised = [shlex.split(found) for found in COMMAND.findall(said)]
    assert advised, said
    done = [verb for command in advised for verb in follow(*command, most=most - 1)]
    return [*done, *follow(*words, most=most - len(done))]


def made_up(
    device_: Any, loaded: Any, targets: Any, folder: Path | None, *_: object, **__: object
) -> dict[Any, Path]:
    """In the place of ``measure.profile``: tables that are made up, where they were asked for."""
    folder = folder or places.of_device(device_.name)
    found = {target: places.table(folder, target) for target in targets}
    for target, path in found.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        report_run.table_of(loaded[0].architecture([0] * 8), target, speed=2e6).save(path)
    return found


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder to work in, and a device that is not measured: that is not what is advised here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measure, "profile", made_up)


@pytest.fixture
def profiled() -> None:
    assert hwnas_("profile", "--space", SPACE, "--runtime", "litert", "--precision", "int8")[0] == 0


RUN = "my run"  # a folder that a shell wants quoted
SEARCH = ("search", "--device", "host=60%", "--out", RUN)
PICK = ("pick", RUN, "--budget-ms", "90%", "--out", "picked")
COMPARE = ("compare", RUN, "--against", "mnasnet-a1", "--data", "nowhere")


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A run that came of nothing but what was advised to one who began with the export; the verbs."""
    folder = tmp_path_factory.mktemp("followed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(folder / "data"))
        patch.chdir(folder)
        patch.setattr(measure, "profile", made_up)
        assert hwnas_("profile", "--space", SPACE, "--runtime", "litert", "--precision", "int8")[0] == 0
        verbs = follow("export", RUN)
    return folder / RUN, verbs


@pytest.fixture
def run(followed: tuple[Path, list[str]], profiled: None) -> Path:
    shutil.copytree(followed[0], RUN)
    return Path(RUN)


def test_who_begins_with_the_export_is_led_to_it(followed):
    run, verbs = followed
    assert verbs == ["search", "train", "export"]
    assert (run / "export" / MANIFEST).is_file()


AFTER = ("train.json", "weights.safetensors", "mistakes.json", "export")  # what comes after a search
TRAIN, EXPORT = f"train '{RUN}'", f"export '{RUN}'"
FIRST, OTHER = shlex.join(SEARCH), shlex.join([*SEARCH[:-1], f"{RUN}-2"])
STATES: dict[str, tuple[tuple[str, ...] | None, tuple[str, ...], list[str]]] = {
    "train first": (None, ("train", RUN), [FIRST]),
    "export first": (None, ("export", RUN), [TRAIN]),
    "verify first": (None, ("verify", RUN), [FIRST, TRAIN, EXPORT]),
    "report first": (None, ("report", RUN), [FIRST]),
    "pick first": (None, PICK, [FIRST]),
    "compare first": (None, COMPARE, [FIRST]),
    "export before training": (AFTER, ("export", RUN), [TRAIN]),
    "verify before training": (AFTER, ("verify", RUN), [TRAIN, EXPORT]),
    "compare before training": (AFTER, COMPARE, [TRAIN]),
    "verify before export": (("export",), ("verify", RUN), [EXPORT]),
    "verify of the folder before export": (("export",), ("verify", f"{RUN}/export"), [EXPORT]),
    "no weights": (("weights.safetensors",), ("export", RUN), [TRAIN]),
    "no architecture": (("arch.json",), ("train", RUN), [OTHER]),
    "no record of the search": (("search.json",), ("train", RUN), [FIRST]),
    "a model is missing": (("export/model.onnx",), ("verify", RUN), [EXPORT]),
}
"""What is missing in a run (all of it for None), what is typed, and what is advised then."""


@pytest.mark.parametrize("state", STATES)
def test_what_is_missing_is_said_with_the_commands_that_make_it(state, request):
    missing, words, advised = STATES[state]
    run = None if missing is None else request.getfixturevalue("run")
    for name in missing or ():
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    code, said = hwnas_(*words)
    assert code == 1
    assert COMMAND.findall(said) == advised


@pytest.mark.slow
def test_whoever_follows_it_comes_to_verify_report_pick_and_compare(run, monkeypatch):
    """As far as their own work begins; and a second export says what is of the first one."""
    from hwnas import verify

    def came(*_: object, **__: object) -> None:
        raise HwnasError("it came to verifying")

    monkeypatch.setattr(verify, "verify_on", came)
    assert "it came to verifying" in hwnas_("verify", RUN)[1]
    assert COMMAND.findall(hwnas_(*COMPARE)[1]) == []
    assert "nowhere" in hwnas_(*COMPARE)[1], "it came to the data"
    assert hwnas_("report", RUN)[0] == 0
    manifest = run / "export" / MANIFEST
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"verification": {"device": 3}}))
    assert COMMAND.findall(hwnas_("verify", RUN)[1]) == [EXPORT]
    code, said = hwnas_("export", RUN)
    assert code == 0
    assert COMMAND.findall(said) == [f"verify '{RUN}'", f"report '{RUN}'"]
    assert hwnas_("report", RUN)[0] == 0


@pytest.mark.slow
def test_a_gallery_that_is_missing_or_damaged_is_made_by_the_same_search(run):
    gallery = run / "gallery.json"
    gallery.unlink()
    code, said = hwnas_(*PICK)
    assert code == 1
    assert "start the same search once more, with its options and --gallery 10" in said
    assert hwnas_(*SEARCH)[0] == 0
    assert gallery.is_file()
    gallery.write_text("{}")
    assert f"delete {gallery}, then start the same search once more" in hwnas_(*PICK)[1]
    assert "give another one" in hwnas_(*SEARCH)[1], "without deleting it, it would be refused"
    gallery.unlink()
    assert hwnas_(*SEARCH)[0] == 0
    assert hwnas_(*PICK)[0] == 0


@pytest.mark.slow
def test_a_model_or_a_search_without_a_table_asks_for_the_profile():
    wanted = ("fit", "--space", SPACE, "--table", "t/litert-int8.jsonl", "--out", "l.json")
    assert hwnas_(*wanted)[0] == 1
    assert follow(*wanted) == ["profile", "fit"]
    assert follow(*SEARCH, "--tables", "mine", "--space", SPACE) == ["profile", "search"]


@pytest.mark.slow
def test_a_search_by_a_file_that_is_not_there_asks_for_the_fit():
    wanted = ("search", "--latency", "mine.json", "--budget-ms", "60%", "--out", RUN, "--space", SPACE)
    said = hwnas_(*wanted)[1]
    assert COMMAND.findall(said) == [f"fit --space {SPACE} --out mine.json"]
    assert follow(*wanted) == ["profile", "fit", "search"]
    with pytest.raises(HwnasError) as caught:
        latency.load(Path("mine.json")).costs(spaces.load("macro-r16-c10"))
    (advised,) = map(shlex.split, COMMAND.findall(str(caught.value)))
    assert follow(*advised) == ["fit"]
    assert latency.load(Path("latency.json")).costs(spaces.load("macro-r16-c10")).range[0] > 0


@pytest.mark.slow
def test_a_table_without_blocks_or_networks_asks_for_them(monkeypatch):
    target = device.load("host").target("litert", "int8")
    whole = report_run.table_of(spaces.load(SPACE).architecture([0] * 8), target, speed=2e6)
    path = places.table(places.of_device("host"), target)
    path.parent.mkdir(parents=True)
    networks = [item for item in whole.rounds if item.kind != "block"]
    LatencyTable(target, whole.environment, networks).save(path)
    assert hwnas_("fit", "--space", SPACE, "--model", "transfer")[0] == 0
    assert follow("fit", "--space", SPACE) == ["profile", "fit"]
    LatencyTable(target, whole.environment, [item for item in whole.rounds if item.kind == "block"]).save(
        path
    )
    assert hwnas_("fit", "--space", SPACE)[0] == 0
    (advised,) = COMMAND.findall(hwnas_("fit", "--space", SPACE, "--model", "transfer")[1])
    told: list[int] = []
    few = "hwnas.measure.new_device.profile_few"
    monkeypatch.setattr(few, lambda device, space, target, count, *_: told.append(count) or stop())
    assert "as it was asked" in hwnas_(*shlex.split(advised))[1]
    assert told == [10]


def stop() -> None:
    raise HwnasError("as it was asked")


def test_a_config_that_is_not_there_is_written_first(monkeypatch):
    from hwnas import pipeline

    read: list[object] = []

    def run(config: object, **_: object) -> None:
        read.append(config)
        raise HwnasError("it came to the run")

    monkeypatch.setattr(pipeline, "run", run)
    code, said = hwnas_("run", "my configs/mine.toml")
    assert code == 1
    (advised,) = map(shlex.split, COMMAND.findall(said))
    assert hwnas_(*advised)[0] == 0
    assert "it came to the run" in hwnas_("run", "my configs/mine.toml")[1]
    assert len(read) == 1


def test_a_damaged_table_is_repaired_by_what_is_said(tmp_path):
    target = device.load("host").target("litert", "int8")
    path = tmp_path / "my tables" / "t.jsonl"
    path.parent.mkdir()
    report_run.table_of(spaces.load(SPACE).architecture([0] * 8), target, speed=2e6).save(path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:5], lines[5][:-9], *lines[6:]]) + "\n")
    code, said = hwnas_("table", "show", path)
    assert code == 1
    (advised,) = map(shlex.split, COMMAND.findall(said))
    assert hwnas_(*advised)[0] == 0
    assert hwnas_("table", "show", path)[0] == 0


def test_a_shipping_folder_away_from_its_run_is_not_told_to_search(run):
    shipped = Path(shutil.move(run / "export", "elsewhere"))
    (shipped / MANIFEST).unlink()
    code, said = hwnas_("verify", shipped)
    assert code == 1
    assert "copy the whole folder again from where it was exported" in said
    assert not COMMAND.findall(said)


NAMED = {"report", "run", "fit"}
"""Verbs that are named without what they need, where that is not known: "the `hwnas run` that it is of"."""


def advice() -> Iterator[tuple[str, list[str]]]:
    """Every command that a message of the program advises, with a placeholder for what is put in."""
    for path in sorted(Path(hwnas.__file__).parent.rglob("*.py")):
        tree = ast.parse(path.read_text())
        idle = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "help":
                idle |= {id(inner) for inner in ast.walk(node.value)}
            if isinstance(node, ast.Dict) and path.name == "comments.py":
                idle |= {id(inner) for inner in ast.walk(node)}
        for node in ast.walk(tree):
            where = f"{path.name}:{getattr(node, 'lineno', 0)}"
            if path.name != "errors.py" and isinstance(node, ast.Call) and name_of(node) == "typed":
                yield where, [word for argument in node.args for word in words_of(argument)]
            if (
                path.name == "errors.py"
                or id(node) in idle
                or not isinstance(node, ast.JoinedStr | ast.Constant)
            ):
                continue
            for found in COMMAND.findall(text_of(node)):
                yield where, shlex.split(found)


def name_of(node: ast.Call) -> str:
    return getattr(node.func, "id", "")


def words_of(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Starred):
        inner = node.value
        return [w for item in inner.elts for w in words_of(item)] if isinstance(inner, ast.Tuple) else []
    return [str(node.value) if isinstance(node, ast.Constant) else "x"]


def text_of(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) if isinstance(part, ast.Constant) else "x" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


@pytest.mark.slow
def test_every_command_that_is_advised_is_one_that_can_be_typed():
    seen = 0
    for where, words in advice():
        if words[:1] == ["x"]:  # the verb is put in: such are followed above
            continue
        command: Any = PROGRAM
        while hasattr(command, "commands"):
            assert words, where
            assert words[0] in command.commands, (where, words)
            name, *words = words
            command = command.commands[name]
        if not words and name in NAMED:
            continue
        values, _, _ = command.make_parser(click.Context(command)).parse_args(args=list(words))
        missing = [p.name for p in command.params if p.required and not given(values.get(p.name))]
        computed = where.split(":")[0] in ("places.py", "records.py")  # put together from parts: typed above
        assert computed or not missing, (where, words, missing)
        seen += 1
    assert seen > 15


def given(value: object) -> bool:
    return isinstance(value, str | list | tuple) and bool(value)


def test_a_command_is_quoted_for_a_shell():
    assert typed("train", Path("my run"), "--epochs", 3) == "`hwnas train 'my run' --epochs 3`"
