"""What ``import hwnas`` offers: everything by name, nothing heavy before it is used, and a whole chain."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from quick_measuring import form

import hwnas

VERBS = ("profile", "fit", "search", "train", "export", "verify", "compare")
MINE = Path(__file__).parent / "plugins" / "mine.py"


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


@pytest.mark.usefixtures("warm_exporter")
def test_a_whole_chain_with_a_space_a_block_and_a_strategy_of_ones_own(tmp_path):
    """The process that exports blocks loads the same file."""
    hwnas.load_plugins(MINE)
    quick = form(2, calibration_networks=2, heldout_networks=1)
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
        found = hwnas.search(
            "tiny",
            [hwnas.Budget(target, 100, "%")],
            tmp_path / "run",
            models=[model],
            strategy="simple",
            settings={"queries": 2},
            scratch=hwnas.TrainConfig(epochs=1, batch_size=256),
            options=hwnas.SearchOptions(measure=False, gallery_points=0),
        )
        assert isinstance(found.architecture, hwnas.Architecture)
        assert found.verdict is None, "nothing was measured"
        assert 0 <= found.score <= 1
        assert found.record["plugins"].keys() == {"mine.py"}
        trained = hwnas.train(found.run, epochs=2, batch_size=64)
        assert trained.metric == "accuracy"
        assert trained.interval[0] <= trained.value <= trained.interval[1]
        shipped = hwnas.export(found.run, calibration_images=32, int8_drop=1.0)
        assert shipped.models["litert-int8"].is_file()
        checked = hwnas.verify(found.run, device=host, options=quick)
        assert isinstance(checked, hwnas.Verification)
        measured = {item.name: item.measured_ms is not None for item in checked.variants}
        assert measured == {name: name.startswith("litert") for name in shipped.models}
    finally:
        hwnas.plugins.forget()


def test_what_does_not_go_together_is_refused(tmp_path):
    with pytest.raises(hwnas.TrainingError, match=r"fields of TrainConfig, but got epoch$"):
        hwnas.train(tmp_path, epoch=3)
    with pytest.raises(hwnas.TrainingError, match="by config or by name, but got both"):
        hwnas.train(tmp_path, hwnas.TrainConfig(), epochs=3)
    with pytest.raises(hwnas.DeviceError, match="must be written NAME=BUDGET"):
        hwnas.search("macro", {"host/": 3.0}, tmp_path / "run")
