"""The config of ``hwnas run``: what ``init`` writes is read, and what is odd is named with its line."""

from __future__ import annotations

import dataclasses
import re
import tomllib

import pytest

from hwnas import pipeline, settings
from hwnas.errors import HwnasError
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.measure import ProfileOptions
from hwnas.search import STRATEGIES
from hwnas.train import TrainConfig


def write(folder, text):
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_template_is_the_default_config(tmp_path, strategy):
    config = pipeline.read(write(tmp_path, pipeline.template(strategy)))
    same = pipeline.make(tmp_path, {"search": {"strategy": strategy}})
    assert config == same
    assert config.search.strategy == strategy


def test_every_option_is_in_the_template_with_its_default_and_its_meaning():
    text = pipeline.template()
    given = tomllib.loads(text)
    assert given["train"]["momentum"] == TrainConfig().momentum
    for kind in (TrainConfig, OneShotConfig, ProfileOptions):
        for field in dataclasses.fields(kind):
            if field.name == "training":  # what [search] says as evaluate
                continue
            assert re.search(rf"^(# )?{field.name} =", text, re.MULTILINE), field.name
    for keys in settings.sections(baseline="random").values():
        assert all(len(key.doc) > 5 for key in keys), [key.name for key in keys if not key.doc]


def test_a_new_field_of_a_dataclass_is_a_new_key(monkeypatch, tmp_path):
    @dataclasses.dataclass(frozen=True)
    class Longer(TrainConfig):
        """Longer.

        Attributes:
            wobble: How much it wobbles.
        """

        wobble: float = 0.5

    monkeypatch.setattr("hwnas.train.TrainConfig", Longer)
    assert "# How much it wobbles.\nwobble = 0.5" in pipeline.template()
    config = pipeline.read(write(tmp_path, "[train]\nwobble = 0\n"))
    assert Longer(**config.train[1] | {"seed": 0}).wobble == 0.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epocs = 3", ["epocs", "line 1"]),
        ("[train]\nseed = 1\nepocs = 3", ["epocs in [train]", "nearest is epochs", "line 3"]),
        ("[trian]\nepochs = 3", ["[trian]", "nearest is train", "line 1"]),
        ("[search]\n\n[search.setings]\nsteps = 1", ["[search.setings]", "search.settings", "line 3"]),
        ("[search.settings]\nsteps = 1", ["steps in [search.settings]", "line 2"]),
        ('[train]\nepochs = "8"', ["epochs in [train] must be a whole number", "'8'", "line 2"]),
        ("[train]\nepochs = 8.5", ["must be a whole number", "8.5"]),
        ("[train]\nepochs = true", ["must be a whole number", "True"]),
        ("[train]\naugment = 1", ["must be true or false", "line 2"]),
        ("[search]\nbudgets = [60]", ["budgets in [search] must be text", "line 2"]),
        ("[search]\nstrategy = 3", ["strategy in [search] must be text", "line 2"]),
        ('[search]\nstrategy = "fbnet"\n[baseline]\nstrategy = "fbnet"', ["another strategy", "line 4"]),
        ('[search]\nstrategy = "nope"', ["a strategy must be one of"]),
        ('[train]\ninit = "super"', ['init must be "seed" or "supernet"', "'super'", "line 2"]),
        ("[train]\nseed = 1\nepochs = 0", ["epochs must be at least 1, but got 0", "line 3"]),
        ("[search]\n[search.supernet]\n\nwidth = 7", ["width", "line 4"]),
        ("[profile]\nsamples = 3\nrounds = 0", ["rounds must be at least 1", "line 3"]),
        ("seed = 1\n[search.settings]\nfinalists = 0", ["finalists", "line 3"]),
        ('folder = "x\\u0000y"', ["folder must be text without NUL characters", "line 1"]),
        ('data = "x\\u0000y"', ["data must be text without NUL characters", "line 1"]),
        (
            '[train]\nteacher = "x\\u0000y"',
            ["teacher in [train] must be text without NUL characters", "line 2"],
        ),
        ('[profile]\nruntimes = ["x\\u0000y"]', ["text without NUL characters", "line 2"]),
        ('[train]\ninit = "supernet"', ["as wide as the network", "width is 0.5", "line 2"]),
        ("[train]\nepochs = 3\nauxiliary = 0.4", ["must be 0 for classification", "0.4", "line 3"]),
        ('[train]\nteacher = "t"\ndistill_weight = 0', ["must have a distill_weight over 0", "line 3"]),
        ("[train", ["must be readable TOML"]),
        ("train = 3", ["train", "line 1"]),
    ],
)
def test_what_is_odd_is_named_with_its_place(tmp_path, text, words):
    path = write(tmp_path, text)
    with pytest.raises(HwnasError) as caught:
        pipeline.read(path)
    message = str(caught.value)
    assert "\n" not in message.split("readable TOML")[0]
    for word in words:
        assert word in message


def test_what_a_dataclass_refuses_is_refused_with_its_section(tmp_path):
    with pytest.raises(HwnasError, match=r"\[train\].*epochs must be at least 1, but got 0"):
        pipeline.read(write(tmp_path, "[train]\nepochs = 0"))
    with pytest.raises(HwnasError, match=r"\[profile\].*rounds must be at least 1"):
        pipeline.read(write(tmp_path, "[profile]\nrounds = 0"))


def test_a_byte_order_mark_is_no_part_of_a_config(tmp_path):
    path = tmp_path / "marked.toml"
    path.write_bytes(b"\xef\xbb\xbffolder = 'mine'\r\n[train]\r\nepochs = 3\r\n")
    config = pipeline.read(path)
    assert (config.basics.folder, config.train[1]["epochs"]) == ("mine", 3)
    path.write_bytes(b"\xef\xbb\xbf[train]\nepochs = 0\n")
    with pytest.raises(HwnasError, match="line 2 of"):
        pipeline.read(path)


def test_a_config_that_is_not_there_says_how_to_get_one(tmp_path):
    with pytest.raises(HwnasError, match="hwnas init"):
        pipeline.read(tmp_path / "none.toml")


def test_paths_are_relative_to_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    config = pipeline.read(write(tmp_path, 'folder = "mine"\ndata = "pictures"'))
    assert config.folder == tmp_path / "mine"
    assert config.data == str(tmp_path / "pictures")
    assert pipeline.read(write(tmp_path, "")).data == "digits"


def test_a_teacher_counts_as_much_as_is_said_and_without_one_nothing_does(tmp_path):
    alone = pipeline.read(write(tmp_path, "[train]\ndistill_weight = 0.7"))
    assert alone.train[1]["distill_weight"] == 0.0
    assert alone.teacher is None
    taught = pipeline.read(write(tmp_path, '[train]\nteacher = "other/fbnet"'))
    assert taught.train[1]["distill_weight"] == 0.5
    assert taught.teacher == tmp_path / "other" / "fbnet"
    full = pipeline.read(write(tmp_path, '[search.supernet]\nwidth = 1\n[train]\ninit = "supernet"'))
    assert full.train[0].init == "supernet"


def test_numbers_and_lists_may_be_written_shortly(tmp_path):
    config = pipeline.read(
        write(tmp_path, '[search]\nbudgets = "5 ms"\nconfidence = 0.5\n[train]\nmomentum = 0')
    )
    assert config.search.budgets == ("5 ms",)
    assert config.values["train"]["momentum"] == 0.0


INTERNALS = re.compile(
    r"``|None|NaN|\.py\b|tools/|hwnas\.|prox|\bjobs?\b|\bkeys?\b|\bagent|\blogit|\bgate|arXiv"
)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_comments_are_for_users(strategy):
    """They speak of networks, images and minutes, and not of classes, modules and fields."""
    comments = [line for line in pipeline.template(strategy).splitlines() if line.startswith("# ")]
    assert len(comments) > 100
    said = [line for line in comments if INTERNALS.search(line)]
    assert not [line for line in said if not re.match(r"# \w+ =$", line)]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_networks_are_scored_blockwise_unless_the_strategy_trains_a_supernet(tmp_path, strategy):
    """Where nothing is said; a new config says which."""
    trains_one = strategy in (
        *("darts", "enas", "fbnet", "gdas", "petridish", "proxylessnas", "rsws", "snas", "spos"),
    )
    usual = "supernet" if trains_one else "scratch" if strategy in ("asha", "hyperband") else "blockwise"
    assert pipeline.make(tmp_path, {"search": {"strategy": strategy}}).search.evaluate == usual
    assert f'evaluate = "{usual}"' in pipeline.template(strategy)
    if usual == "blockwise":
        said = {"strategy": strategy, "evaluate": "blockwise"}
        assert pipeline.make(tmp_path, {"search": said}).search.evaluate == "blockwise"


def test_the_strategy_is_exact_where_none_is_named(tmp_path):
    assert pipeline.make(tmp_path, {}).search.strategy == "exact"
    assert pipeline.template() == pipeline.template("exact")


BAD = {
    'device = ["host", "host"]': "device",
    '[search]\nevaluate = "guess"': "evaluate",
    '[search]\npool = "processes:2"': r"set layerwise = true in \[search.supernet\]",
    '[search]\nstrategy = "fbnet"\npool = "processes:2"': "a pool must be processes:1",
    '[search]\nstrategy = "fbnet"\n[search.supernet]\nlayerwise = true': "layerwise must be left out",
    '[search]\nevaluate = "scratch"': "or use evolution",
    '[search]\nstrategy = "fbnet"\nevaluate = "scratch"': "strategy",
    '[search]\nstrategy = "fbnet"\nevaluate = "blockwise"': "strategy",
    '[search]\nobjectives = ["speed"]': "an objective must",
    '[search]\nlimits = ["bytes"]': "a limit must",
    "seed = -1": "seed",
    'space = "nonsense"': "space",
    'data = ""': "data",
    'folder = ""': "folder",
    "[profile]\nrounds = 0": "rounds",
    "[profile]\nmax_rounds = -1": "max_rounds",
    '[profile]\nruntimes = ["nonsense"]': "runtimes",
    '[profile]\nruntimes = ["litert", "auto"]': "auto must stand before the runtimes that it chooses from",
    '[search]\nbudgets = ["auto:60%"]': r'set runtimes = \["auto"\] in \[profile\] for the fastest',
    '[profile]\nprecisions = ["int4"]': "precisions",
    '[profile]\nprecisions = ["int8", "int8"]': "precisions",
    "[profile]\ncpus = [-1]": "cpus",
    "[profile]\nmax_minutes = 0": "max_minutes",
    "[profile]\ntarget_ci = nan": "target_ci",
    "[profile]\nmin_round_s = inf": "min_round_s",
    "[profile]\nmin_round_s = 1e30": "min_round_s",
    '[fit]\nmodel = "nonsense"': "model",
    '[search]\nstrategy = "nonsense"': "strategy",
    "[search]\nconfidence = 1.5": "confidence",
    "[search]\ntraining_steps = 0": "training_steps",
    "[search]\nbudgets = []": "budget",
    '[search]\nbudgets = ["-5"]': "budget",
    '[search]\nbudgets = ["0 ms"]': "budget",
    '[search]\nbudgets = ["150%"]': "budget",
    '[search]\nbudgets = ["fast"]': "budget",
    "[search.supernet]\nresolution = 0": "resolution",
    '[search.supernet]\ndevice = "tpu"': "device",
    '[search.supernet]\nblock_score = "nonsense"': "block_score",
    '[search]\nstrategy = "fbnet"\n[search.supernet]\nblock_score = "loss"': "block_score",  # of no block
    '[search.settings]\nloss = "nonsense"': "loss",
    '[promise]\nrank = "int4"': "rank",
    "[promise]\ngallery_points = -1": "gallery_points",
    "[promise]\ngallery_each = 0": "gallery_each",
    "[promise.measuring]\nrounds = 0": "rounds",
    "[train]\nepochs = 0": "epochs",
    "[train]\nseed = -1": "seed",
    "[train]\nlearning_rate = nan": "learning_rate",
    '[train]\ndevice = "tpu"': "device",
    '[train]\nteacher = ""': "teacher",
    "[export]\ncalibration_images = 0": "calibration_images",
    "[export]\nqat_if_worse = 2": "qat_if_worse",
    "[export]\nqat_epochs = 0": "qat_epochs",
    "[verify]\nrounds = 0": "rounds",
    "[verify]\nsamples = 0": "samples",
    "[verify]\nmin_round_s = -1": "min_round_s",
}


@pytest.mark.parametrize("text", BAD)
def test_what_a_later_stage_would_refuse_is_refused_at_once(tmp_path, text):
    with pytest.raises(HwnasError, match=rf"{BAD[text]}.*(line \d|\[)"):
        pipeline.read(write(tmp_path, text))


def test_budgets_must_fit_the_targets_before_anything_is_measured(tmp_path):
    config = pipeline.make(tmp_path, {"search": {"budgets": ["50%", "50%", "50%"]}})
    with pytest.raises(HwnasError, match=r"one for all or one for each of .*litert-int8.* but got 3"):
        pipeline.run(config)
    assert not list(tmp_path.iterdir())
