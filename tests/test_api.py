"""What ``import hwnas`` offers: everything by name, nothing heavy before it is used, and a whole chain."""

from __future__ import annotations

import inspect
import subprocess
import sys
import typing
from pathlib import Path

import numpy as np
import pytest
from quick_measuring import form

import hwnas
from hwnas.annotations import _Public, require_types

VERBS = ("profile", "fit", "search", "train", "export", "verify", "compare", "measure", "import_model")
MINE = Path(__file__).parents[1] / "examples" / "plugin.py"


@pytest.mark.parametrize("name", hwnas.__all__)
def test_every_public_name_is_there(name):
    assert getattr(hwnas, name).__doc__
    assert name in dir(hwnas)


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_is_called_and_documented_whoever_imported_its_package(name):
    verb = getattr(hwnas, name)
    assert callable(verb)
    own = inspect.signature(verb)
    assert {"args", "kwargs"}.isdisjoint(own.parameters)
    for section in ("Args:", "Returns:", "Raises:"):
        assert section in verb.__doc__
    for parameter in own.parameters:
        assert f"{parameter}: " in verb.__doc__


def test_packages_of_verbs_stay_packages():
    from hwnas import search
    from hwnas.search import strategy

    assert search.strategy is strategy
    assert inspect.ismodule(hwnas.search)
    with pytest.raises(AttributeError, match="no attribute 'dreams'"):
        _ = hwnas.dreams


def test_nothing_heavy_is_imported_by_names():
    code = (
        "import sys, hwnas; [getattr(hwnas, n) for n in ('profile', 'fit', 'Target', 'Op', 'spaces')];"
        "heavy = ('torch', 'onnx', 'onnxruntime', 'sklearn', 'scipy', 'pyarrow', 'ai_edge_litert');"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_is_typed():
    assert (Path(hwnas.__file__).parent / "py.typed").is_file()


@pytest.mark.usefixtures("warm_processes")
def test_a_whole_chain_with_a_space_a_block_and_a_strategy_of_ones_own(tmp_path):
    """The process that exports blocks loads the same file."""
    hwnas.load_plugins(MINE)
    quick, told = form(2, calibration_networks=2, heldout_networks=1), list[str]()
    host = hwnas.Device("host", "This machine", "local", runtimes=("litert",))
    try:
        tables = hwnas.profile(
            "tiny", device=host, precisions=["int8"], out=tmp_path / "tables", options=quick
        )
        [(target, table)] = tables.items()
        assert str(target) == "host/litert-int8"
        assert any(key.startswith("twin_") for key in table.measurements)
        model = hwnas.fit(table, "tiny", out=tmp_path / "latency.json")
        assert (model.target, (tmp_path / "latency.json").is_file()) == (target, True)
        assert model.to_pandas()["measured_ms"].notna().all()
        found = hwnas.search(
            "tiny",
            [hwnas.Budget(target, 100, "%")],
            tmp_path / "run",
            models=[model],
            strategy="simple",
            settings={"queries": 2},
            confidence=0.5,  # so that noise of a busy machine needs no margin
            scratch=hwnas.TrainConfig(epochs=1, batch_size=256),
            options=hwnas.SearchOptions(measure=False, gallery_points=0),
            progress=lambda step: told.append(str(step)),
        )
        assert isinstance(found.architecture, hwnas.Architecture)
        assert found.verdict is None, "nothing was measured"
        assert 0 <= found.score <= 1
        assert found.record["plugins"].keys() == {"plugin.py"}
        front = found.to_pandas()
        assert front["is_found"].sum() == 1
        assert set(front["target"]) == {str(target)}
        assert (front["latency_ms"] <= front["budget_ms"]).all()
        assert "nothing was measured" in repr(found)
        trained = hwnas.train(found.run, epochs=2, batch_size=64, progress=lambda e: told.append(str(e)))
        assert [line.partition("  ")[0] for line in told] == [
            *("scoring 1/2", "scoring 2/2", "epoch 1/2", "epoch 2/2")
        ]
        assert trained.to_pandas()["epoch"].tolist() == [1, 2]
        assert f"accuracy {trained.value:.1%}" in repr(trained)
        assert trained.metric == "accuracy"
        assert trained.interval[0] <= trained.value <= trained.interval[1]
        shipped = hwnas.export(found.run, calibration_images=32, int8_drop=1.0)
        assert shipped.models["litert-int8"].is_file()
        files = shipped.to_pandas().set_index("file")
        assert files.loc["model.int8.tflite", "bytes"] == shipped.models["litert-int8"].stat().st_size
        assert {"labels.txt", "preprocessing.json"} <= set(files.index)
        assert "model.int8.tflite" in shipped._repr_html_()
        checked = hwnas.verify(found.run, device=host, options=quick)
        assert isinstance(checked, hwnas.Verification)
        measured = {item.name: item.measured_ms is not None for item in checked.variants}
        assert measured == {name: name.startswith("litert") for name in shipped.models}
        checks = checked.to_pandas().set_index("variant")
        assert checks["latency_ms"].notna().to_dict() == measured
        assert checks.loc["litert-int8", "check_answers"] == "PASS"
        assert "litert-int8" in repr(checked)
    finally:
        hwnas.plugins.forget()


def test_whatever_a_function_takes_or_returns_is_public():
    """The classes in annotations of the functions, and in the fields of the classes that they take."""
    wanted: set[str] = set()
    seen: set[type] = set()
    waiting = [getattr(hwnas.api, name) for name in (*VERBS, "Exported")]
    while waiting:
        owner = waiting.pop()
        hints = typing.get_type_hints(owner, localns=_Public(vars(sys.modules[owner.__module__])))
        for kind in (part for hint in hints.values() for part in parts_of(hint)):
            if inspect.isclass(kind) and kind.__module__.startswith("hwnas") and kind not in seen:
                seen.add(kind)
                wanted.add(kind.__name__)
                waiting += [kind] if kind.__name__.endswith(("Options", "Config")) else []
    assert {"OneShotConfig", "FinalistsOptions", "ComparisonRecord", "Manifest", "TrainConfig"} <= wanted
    assert wanted <= set(hwnas.__all__)


def parts_of(hint: object) -> list[object]:
    """All types within a type."""
    inner = [typing.get_args(hint)] if typing.get_origin(hint) else []
    flat = [p for some in inner for part in some for p in (part if isinstance(part, list) else [part])]
    return [hint, *(found for part in flat for found in parts_of(part))]


def test_what_does_not_go_together_is_refused(tmp_path):
    with pytest.raises(hwnas.TrainingError, match=r"fields of TrainConfig, but got epoch$"):
        hwnas.train(tmp_path, epoch=3)
    with pytest.raises(hwnas.TrainingError, match="by config or by name, but got both"):
        hwnas.train(tmp_path, hwnas.TrainConfig(), epochs=3)
    with pytest.raises(hwnas.DeviceError, match="must be written NAME=BUDGET"):
        hwnas.search("macro", {"host/": 3.0}, tmp_path / "run")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda f: hwnas.profile(5), "space must be text or SearchSpace or a list of .*, but got 5$"),
        (lambda f: hwnas.profile("macro", device=3), "device must be text or Device, but got 3$"),
        (lambda f: hwnas.profile("macro", precisions="int8"), "precisions must be a list of text, but got"),
        (lambda f: hwnas.profile("macro", options={"rounds": 3}), "must be ProfileOptions or None"),
        (lambda f: hwnas.fit(3, "macro"), "table must be LatencyTable or text or a path, but got 3$"),
        (lambda f: hwnas.search(5, {"host": 1}, f), "space must be text or SearchSpace or None, but got 5$"),
        (lambda f: hwnas.search("macro", "host=1", f), "budgets must be a mapping .*, but got 'host=1'$"),
        (
            lambda f: hwnas.search("macro", ["host=1"], f),
            "budgets must be a mapping .* or a list of Budget, but got",
        ),
        (lambda f: hwnas.search("macro", {"host": None}, f), r"budgets must be .* a number or text"),
        (lambda f: hwnas.search("macro", {}, f), "must have a budget at least, but got none"),
        (lambda f: hwnas.search("macro", [hwnas.Budget("nowhere", 3)], f), "a device must be one of"),
        (
            lambda f: hwnas.search("macro", {"host": 1}, f, seed="a"),
            "seed must be a whole number, but got 'a'$",
        ),
        (
            lambda f: hwnas.search("macro", {"host": 1}, f, seed=True),
            "seed must be a whole number, but got True",
        ),
        (
            lambda f: hwnas.search("macro", {"host": 1}, f, data=7),
            "data must be text or a path or None, but got 7$",
        ),
        (lambda f: hwnas.search("macro", {"host": 1}, f, progress=1), "progress must be a function or None"),
        (lambda f: hwnas.train(None), "run must be text or a path, but got None$"),
        (lambda f: hwnas.train(f, epochs="x"), "epochs must be a whole number or None, but got 'x'$"),
        (lambda f: hwnas.train(f, {"epochs": 3}), "config must be TrainConfig or None, but got"),
        (lambda f: hwnas.export(f, calibration_images="x"), "must be a whole number, but got 'x'$"),
        (lambda f: hwnas.verify(7), "folder must be text or a path, but got 7$"),
        (lambda f: hwnas.compare(f, against="mobilenetv2"), "against must be a list of text, but got"),
        (lambda f: hwnas.Budget("host", "60%"), "limit of a budget must be a number, but got '60%'"),
        (lambda f: hwnas.TrainConfig(epochs="x"), "^epochs must be a whole number or None, but got 'x'$"),
        (lambda f: hwnas.TrainConfig(momentum=None), "^momentum must be a number, but got None$"),
        (lambda f: hwnas.TrainConfig(augment="no"), "^augment must be True or False, but got 'no'$"),
        (lambda f: hwnas.TrainConfig(class_weights=["none"]), "^class_weights must be text, but got"),
        (lambda f: hwnas.OneShotConfig(width="0.5"), "^width must be a number, but got '0.5'$"),
        (lambda f: hwnas.ProfileOptions(rounds="9"), "^rounds must be a whole number, but got '9'$"),
        (lambda f: hwnas.ProfileOptions(rounds=2.5), "^rounds must be a whole number, but got 2.5$"),
        (
            lambda f: hwnas.ProfileOptions(cpus=["0"]),
            "^cpus must be a list of a whole number or None",
        ),
        (lambda f: hwnas.FinalistsOptions(slack="1 %"), "^slack must be a number, but got '1 %'$"),
        (
            lambda f: hwnas.SearchOptions(measuring={"rounds": 3}),
            "^measuring must be ProfileOptions, but",
        ),
        (lambda f: hwnas.SearchOptions(tables=3), "^tables must be a path or None, but got 3$"),
        (lambda f: hwnas.Target("host", 3, "int8"), "^runtime must be text, but got 3$"),
        (
            lambda f: hwnas.Device("mine", "Mine", "local", threads="2"),
            "^threads must be a whole number",
        ),
    ],
)
def test_what_is_of_another_type_is_refused_in_one_sentence(tmp_path, call, sentence):
    """By the verb, before anything is read or made."""
    with pytest.raises(hwnas.HwnasError, match=sentence):
        call(tmp_path / "run")
    assert not any(tmp_path.iterdir())


def test_numbers_of_numpy_and_anything_to_be_listed_are_taken():
    take = {
        "seeds": np.int64(3),
        "against": iter(["mobilenetv2"]),
        "variants": {"litert-int8"},
        "run": Path(),
    }
    require_types(take, hwnas.api.compare)
    require_types({"confidence": np.float32(0.9), "budgets": {"host": 1}}, hwnas.api.search)
