"""Files and packages that bring blocks, spaces, tasks, runtimes and strategies."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hwnas
from hwnas import blocks, plugins, runtimes, search, spaces, tasks
from hwnas.cli import app
from hwnas.errors import PluginError

SPACE = """
from hwnas import spaces
@spaces.register
def {name}(resolution=32, num_classes=10):
    return spaces.macro(resolution, num_classes)
"""
BLOCK = """
from hwnas import blocks
@blocks.register
class Own(blocks.Conv):
    kind = "{name}"
"""


def cli(*arguments, **environment):
    command = [sys.executable, "-m", "hwnas", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


def written(folder, text, name="own.py"):
    (folder / name).write_text(text)
    return folder / name


def tables():
    return [list(t) for t in (blocks.KINDS, spaces.SPACES, tasks.TASKS, runtimes.RUNTIMES, search.STRATEGIES)]


def test_what_a_file_registers_is_known_by_name_and_goes_again(mine):
    before = tables()
    hwnas.load_plugins(mine)
    block = blocks.parse("twin_i8_o16_s2")
    assert block.out_shape((8, 9, 9)) == (16, 5, 5)
    assert spaces.load("tiny-r16-c3").num_classes == 3
    assert search.strategy("simple")(queries=3).queries == 3
    assert json.loads(os.environ[plugins.ENVIRONMENT]) == [str(mine)]
    kind = type(block)
    hwnas.load_plugins(str(mine))
    assert blocks.KINDS["twin"] is kind
    assert not (mine.parent / "__pycache__" / "mine.cpython-311.pyc").exists(), "nothing is written beside it"
    plugins.forget()
    assert tables() == before
    assert plugins.ENVIRONMENT not in os.environ


def test_a_process_that_works_for_this_one_has_them_before_it_is_asked(mine):
    from hwnas.pools import PoolSpec, opened, ordered

    hwnas.load_plugins(mine)
    module = sys.modules[blocks.KINDS["twin"].__module__]
    with opened(PoolSpec(count=2)) as pool:
        assert list(ordered(pool, module.size_of, ["tiny"])) == [16]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def f(:", "SyntaxError: .* .line 1."),
        ("\n\nimport nowhere_at_all", "ModuleNotFoundError: .*own.py, line 3"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines .own.py, line 1."),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        (BLOCK.format(name="conv"), "a kind of block must have a name of its own, but 'conv' is taken"),
        (BLOCK.format(name="Own_1"), "the name of a kind of block must match"),
        (SPACE.format(name="macro"), "a space must have a name of its own, but 'macro' is taken"),
        (SPACE.format(name="mnasnet"), "'mnasnet' is taken"),
        (SPACE.format(name="shufflenetv2"), "'shufflenetv2' is a known network"),
        (SPACE.format(name="my_own"), "the name of a space must match"),
        (
            "from hwnas import search\n@search.register\nclass Own:\n    name = 'random'",
            "a strategy must have a name of its own, but 'random' is taken",
        ),
        (
            "from hwnas import search\ndef f():\n class A:\n  name = 'own'\n return A\nsearch.register(f())",
            "a strategy must be a class at the top of its file",
        ),
        (
            "from hwnas import tasks\n@tasks.register\nclass Own:\n    name = 'classification'",
            "a task must have a name of its own, but 'classification' is taken",
        ),
        (
            "from hwnas import runtimes\nruntimes.register(3)",
            "the name of a runtime must match .* but got None",
        ),
    ],
)
def test_a_broken_file_is_one_sentence_and_nothing_of_it_stays(tmp_path, text, said):
    before = tables()
    file = written(tmp_path, SPACE.format(name="first") + "\n" + text if "SyntaxError" not in said else text)
    if "line 3" in said or "line 1" in said:
        file = written(tmp_path, text)
    with pytest.raises(PluginError, match=said) as caught:
        plugins.load(file)
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)
    assert tables() == before
    assert plugins.files() == ()
    file.write_text(SPACE.format(name="mended"))
    plugins.load(file)
    assert spaces.load("mended-r16-c3").num_classes == 3


@pytest.mark.parametrize("name", ["missing.py", "."])
def test_what_is_no_file_is_one_sentence(tmp_path, name):
    with pytest.raises(PluginError, match=r"a plug-in must be a Python file, but .* is none"):
        plugins.load(tmp_path / name)


def test_two_files_cannot_bring_the_same_name(tmp_path):
    plugins.load(written(tmp_path, SPACE.format(name="own"), "one.py"))
    with pytest.raises(PluginError, match=r"two.py does not: a space .* 'own' is taken"):
        plugins.load(written(tmp_path, SPACE.format(name="own"), "two.py"))


def test_a_file_that_registers_nothing_is_told(tmp_path, caplog):
    plugins.load(written(tmp_path, "x = 1"))
    assert re.search("own.py registers nothing: call hwnas.blocks.register", caplog.text)


def test_types_of_fields_may_be_types(tmp_path):
    """Without ``from __future__ import annotations`` they are no text."""
    text = """
from dataclasses import dataclass
from typing import ClassVar
from hwnas import blocks

@blocks.register
@dataclass(frozen=True)
class Odd(blocks.Conv):
    kind: ClassVar[str] = "odd"
    ratio: float = blocks.tagged("r", 0.5)
"""
    plugins.load(written(tmp_path, text))
    block = blocks.parse("odd_i3_o8_k3_s1_arelu_r0.25")
    assert block.ratio == 0.25


class TestInstalled:
    """A package that names a module under the entry points of the group ``hwnas``."""

    @pytest.fixture
    def package(self, tmp_path, monkeypatch):
        def made(text):
            (tmp_path / "brought.py").write_text(text)
            folder = tmp_path / "brought-1.0.dist-info"
            folder.mkdir(exist_ok=True)
            (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1.0\n")
            (folder / "entry_points.txt").write_text("[hwnas]\nmine = brought\n")
            return tmp_path

        monkeypatch.syspath_prepend(str(tmp_path))
        yield made
        sys.modules.pop("brought", None)

    def test_it_is_loaded(self, package):
        package(SPACE.format(name="brought"))
        plugins.ready()
        plugins.ready()
        assert spaces.load("brought-r16-c3").num_classes == 3

    def test_a_broken_one_is_named(self, package):
        package("import nowhere_at_all")
        with pytest.raises(PluginError, match="brought of brought does not: ModuleNotFoundError"):
            plugins.ready()

    def test_the_command_line_has_it(self, package):
        folder = package(SPACE.format(name="brought"))
        path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
        done = cli("spaces", "show", "brought", "--json", PYTHONPATH=path)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["name"] == "macro-r32-c10", "which it wraps"


class TestCommandLine:
    def test_a_name_may_stand_before_the_file(self, mine):
        done = cli("spaces", "show", "tiny-r16-c3", "--json", "--plugin", mine)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["candidates"][1] == ["skip_i16_o16_s1_arelu", "twin_i16_o16_s1"]

    @pytest.mark.slow
    def test_a_space_is_measured_with_a_runtime(self, tmp_path, mine):
        """A device of the user's own names the runtime; the process that exports knows the block."""
        bench = 'name = "bench"\ntitle = "x"\ntransport = "local"\nruntimes = ["byte_counter"]\n'
        (tmp_path / "hwnas" / "devices").mkdir(parents=True)
        written(tmp_path / "hwnas" / "devices", bench, "bench.toml")
        few = {"rounds": 2, "max-rounds": 2, "samples": 2, "calibration-networks": 1, "heldout-networks": 1}
        asked = ["--device", "bench", "--space", "tiny", "--precision", "int8", "--out", tmp_path]
        asked += [word for name, value in few.items() for word in (f"--{name}", value)]
        own = ["--plugin", mine, "--plugin", Path(__file__).with_name("counted.py")]
        done = cli("profile", *asked, *own, "--json", XDG_CONFIG_HOME=str(tmp_path))
        assert done.returncode == 0, done.stderr
        [table] = json.loads(done.stdout)["tables"]
        assert table["target"] == "bench/byte_counter-int8"
        assert table["failed"] == {}
        assert "twin_i8_o16_s2@8x8x8" in (tmp_path / "byte_counter-int8.jsonl").read_text()

    @pytest.mark.usefixtures("warm_processes", "hurried")
    @pytest.mark.slow
    def test_what_is_advised_has_it_too(self, tmp_path, mine, monkeypatch):
        """A command without it would not know the space."""
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
        asked = ["search", "--device", "host=60%", "--space", "tiny-r8-c10", "--out", tmp_path / "run"]
        done = cli(*asked, "--plugin", mine, COLUMNS="1000")
        assert done.returncode == 1, done.stderr
        (advised,) = re.findall(r"`hwnas (profile [^`]*)`", done.stderr)
        assert shlex.split(advised)[-2:] == ["--plugin", str(mine)]
        few = ["--rounds", "1", "--max-rounds", "1", "--calibration-networks", "1", "--heldout-networks", "1"]
        done = CliRunner().invoke(app, [*shlex.split(advised), *few])
        assert done.exit_code == 0, done.output

    @pytest.mark.slow
    @pytest.mark.parametrize("verb", [["spaces", "list"], ["profile"], ["run", "nothing.toml"]])
    def test_a_broken_file_ends_with_1(self, tmp_path, verb):
        done = cli(*verb, "--plugin", written(tmp_path, "1 / 0"))
        assert done.returncode == 1
        said, page = done.stderr.splitlines()
        assert page.startswith("see ")
        assert said.startswith("error: a plug-in must load without an error, but ")
        assert "ZeroDivisionError: division by zero (own.py, line 1)" in done.stderr

    @pytest.mark.slow
    def test_without_it_the_message_says_what_is_missing(self):
        done = cli("spaces", "show", "tiny")
        assert done.returncode == 2
        assert "--plugin" in done.stderr


class TestConfig:
    def test_names_of_a_config_may_be_of_its_plugins(self, tmp_path, mine):
        from hwnas import pipeline

        text = f'plugins = ["{mine}"]\nspace = "tiny"\n[search]\nstrategy = "simple"\n'
        text += "[search.settings]\nqueries = 3\n"
        config = pipeline.read(written(tmp_path, text, "hwnas.toml"))
        assert config.basics.plugins == (str(mine),)
        assert config.values["search.settings"]["queries"] == 3

    def test_a_path_is_relative_to_the_config(self, tmp_path):
        from hwnas import pipeline

        written(tmp_path, SPACE.format(name="beside"))
        config = written(tmp_path, 'plugins = ["own.py"]\nspace = "beside"\n', "hwnas.toml")
        assert pipeline.read(config).basics.space == "beside"

    def test_a_task_is_known_by_its_name(self, tmp_path):
        from hwnas import pipeline

        text = "from hwnas import tasks\nfrom hwnas.tasks.classification import Classification\n"
        file = written(tmp_path, text + "@tasks.register\nclass Own(Classification):\n    name = 'own'\n")
        config = pipeline.make(tmp_path, {"plugins": [str(file)], "task": "own"})
        assert config.basics.task == tasks.get("own").name == "own"
        with pytest.raises(hwnas.HwnasError, match=r"must be .*classification.*but got 'other'"):
            pipeline.make(tmp_path, {"task": "other"})

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ('plugins = "own.py"', "plugins must be a list of files, but got 'own.py' .line 1 of"),
            ("plugins = [3]", "plugins must be a list of files"),
            ('seed = 1\nplugins = ["nowhere.py"]', "a plug-in must be a Python file, but .*line 2 of"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_line(self, tmp_path, text, said):
        from hwnas import pipeline

        with pytest.raises(hwnas.HwnasError, match=said):
            pipeline.read(written(tmp_path, text, "hwnas.toml"))

    def test_a_stage_depends_on_what_plugins_hold(self, tmp_path):
        from hwnas import device, pipeline
        from hwnas.pipeline.stages import Stages
        from hwnas.pipeline.state import RunState

        file = written(tmp_path, SPACE.format(name="own"))
        config = pipeline.make(tmp_path, {"space": "own", "folder": "run", "plugins": [str(file)]})

        def settings():
            return next(iter(Stages(config, [device.load("host")], RunState(tmp_path / "run")))).settings

        (tmp_path / "run").mkdir()
        before = settings()
        assert list(before["plugins"]) == ["own.py"]
        file.write_text(file.read_text() + "\n")
        assert settings() != before
        plugins.forget()
        plain = pipeline.make(tmp_path, {"folder": "run"})
        assert (
            "plugins"
            not in next(iter(Stages(plain, [device.load("host")], RunState(tmp_path / "run")))).settings
        )
