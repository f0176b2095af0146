"""A network is made to keep a budget: what costs least first, measured, trained, a run like any other."""

from __future__ import annotations

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import quick_measuring
from torch import nn
from typer.testing import CliRunner

from hwnas import adapt as adapting
from hwnas import device, files, release, report, spaces
from hwnas.adapt import costs, keeping, ladder, latencies, narrowable, rungs, steps, subject
from hwnas.adapt.ladder import AdaptOptions, require_kept
from hwnas.adapt.latencies import Latency
from hwnas.adapt.original import ORIGINAL, GivenModel, original
from hwnas.adapt.strategies.uniform import Uniform
from hwnas.budget import Budget
from hwnas.cli import app
from hwnas.errors import DeviceError, HwnasError, InfeasibleBudget, SpaceError
from hwnas.importing import import_model
from hwnas.latency.layers import at_widths, cost_of
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.widths import prunable
from hwnas.widths.layers import layers_of

pytestmark = pytest.mark.usefixtures("warm_processes")
TARGET = device.load("host").target("litert", "int8")
FEW = AdaptOptions(
    rungs=("widths",),
    strategy="knapsack",
    step=8,
    short_epochs=1,
    epochs=1,
    measuring=quick_measuring.form(2),
)


@pytest.fixture
def by_size(monkeypatch):
    """A clock that is never wrong, by the number of parameters: what is tested are decisions."""

    def told(_measurer, _target, networks, _shape):
        count = {name: sum(p.numel() for p in net.parameters()) / 1e5 for name, net in networks.items()}
        shuffled = sorted(count.items(), key=lambda pair: pair[1])  # sessions keep no order
        return {name: Latency(ms, (0.999 * ms, 1.001 * ms), "stable") for name, ms in shuffled}

    for module in (subject, rungs, ladder):
        monkeypatch.setattr(module, "latencies", told)
    monkeypatch.setattr(costs, "costs", lambda one, _folder, _tell: _predicted(one, 1e5))


def by_pixels(monkeypatch):
    """A clock that is never wrong, by the number of pixels."""

    def told(_measurer, _target, networks, shape):
        return {name: Latency(shape[1] ** 2 / 1e3, (shape[1] ** 2 / 1e3,) * 2, "stable") for name in networks}

    for module in (subject, rungs, ladder):
        monkeypatch.setattr(module, "latencies", told)


def adapted(run, to, budget="60%", options=FEW, **more):
    return adapting.adapt(GivenModel(str(run), None), to, Budget.read(budget, TARGET), options, **more)


def test_what_ships_keeps_the_budget_and_is_a_run_like_any_other(exported_run, tmp_path, by_size):
    to = tmp_path / "adapted"
    record = adapted(exported_run, to)
    assert [step.rung for step in record.steps] == ["as it is", "widths"]
    assert record.taken == 1
    taken = record.steps[1]
    assert taken.keeps
    assert 0.5 * record.budget_ms < taken.ms <= record.budget_ms == pytest.approx(0.6 * record.steps[0].ms)
    arch = spaces.architecture_from_json(records.arch(to))
    whole = spaces.architecture_from_json(records.arch(exported_run))
    assert arch.params <= 0.62 * whole.params
    assert records.trained(to).teacher["architecture"] == whole.id
    assert records.search(to).budgets[0].budget_ms == record.budget_ms
    assert records.adapting(to) == record
    manifest = release.export_run(to, release.load_data(records.trained(to).data))
    assert {model.precision for model in release.read_manifest(manifest.parent).models} == {"fp32", "int8"}
    noisy = replace(record, steps=(replace(record.steps[0], session="noisy"), *record.steps[1:]))
    files.write_json(to / RunFolder.adapting, noisy.to_json())
    page = report.write(to).read_text()
    assert "measured in a session that was noisy: litert, int8<" in page
    assert "From the whole network to the budget" in page
    assert taken.what in page


@pytest.mark.slow
def test_a_rung_that_is_enough_ends_the_climb(exported_run, tmp_path, by_size):
    """The whole network keeps a budget above what it takes: nothing is narrowed, nothing is trained again."""
    to = tmp_path / "adapted"
    record = adapted(exported_run, to, "120%")
    assert [step.rung for step in record.steps] == ["as it is"]
    assert record.taken == 0
    assert (to / RunFolder.weights).read_bytes() == (exported_run / RunFolder.weights).read_bytes()
    release.export_run(to, release.load_data(records.trained(to).data))


def test_another_runtime_is_taken_where_that_is_enough(exported_run, tmp_path, monkeypatch):
    def told(_measurer, target, networks, _shape):
        if target.threads > 1:
            raise DeviceError("threads must have cores of their own")
        ms = 1.0 if target.runtime == "litert" else 0.5
        return {name: Latency(ms, (0.9 * ms, 1.1 * ms), "stable") for name in networks}

    for module in (rungs, ladder):
        monkeypatch.setattr(module, "latencies", told)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    to, options = tmp_path / "adapted", replace(FEW, rungs=("runtime", "widths"))
    record = adapted(exported_run, to, options=options, is_open=True)
    assert {step.rung for step in record.steps} == {"as it is", "runtime"}
    assert record.steps[record.taken].what == "onnxruntime, int8, 1 thread"
    assert "litert, int8, 2 threads: threads must have cores of their own" in record.notes
    assert records.search(to).budgets[0].target.runtime == "onnxruntime"
    assert (to / RunFolder.weights).read_bytes() == (exported_run / RunFolder.weights).read_bytes()


def test_smaller_images_are_tried_before_fewer_channels(exported_run, tmp_path, monkeypatch):
    by_pixels(monkeypatch)
    options = AdaptOptions(**{**vars(FEW), "rungs": ("resolution",), "accept": 1.0})
    to = tmp_path / "adapted"
    record = adapted(exported_run, to, "70%", options)
    assert [(step.rung, step.resolution) for step in record.steps] == [("as it is", 16), ("resolution", 8)]
    assert record.taken == 1
    arch, whole = (spaces.architecture_from_json(records.arch(each)) for each in (to, exported_run))
    assert arch.space.input_shape[1:] == (8, 8)
    assert arch.space.name == whole.space.name.replace("r16", "r8")  # not read off the module again
    assert arch.indices == whole.indices
    assert records.trained(to).data["resolution"] == 8


@pytest.mark.slow
def test_it_measures(exported_run, tmp_path, monkeypatch):
    """The real clock: numbers of no worth, but all of the way there and back."""
    monkeypatch.setattr(costs, "_NETWORKS", 7)
    monkeypatch.setattr(costs, "_IN_ALL", 10)
    monkeypatch.setattr(costs, "_EACH", 2)
    record = adapted(exported_run, tmp_path / "adapted", "50%")
    assert record.steps[0].ms > 0
    assert record.steps[0].session in ("stable", "noisy", "unusable")
    if record.taken is None:
        with pytest.raises(InfeasibleBudget, match="raise the budget"):
            require_kept(record)
    else:
        assert (tmp_path / "adapted" / RunFolder.train).exists()


@pytest.mark.slow
def test_nothing_that_keeps_the_budget_is_said_and_trains_nothing(exported_run, tmp_path, by_size):
    to = tmp_path / "adapted"
    record = adapted(exported_run, to, "1%", replace(FEW, rungs=("runtime", "widths")))
    assert record.taken is None
    assert not (to / RunFolder.train).exists()
    assert [note.partition(":")[0] for note in record.notes] == ["runtime", "widths"]
    assert "must be at least that of the fastest" in record.notes[1]
    with pytest.raises(HwnasError, match="of an adaptation in which nothing kept the budget"):
        report.write(to)
    with pytest.raises(InfeasibleBudget, match=r"none of 1 networks is proven to take at most"):
        require_kept(record)


@pytest.mark.slow
def test_the_command_says_what_was_tried_with_its_intervals_and_why_the_rest_came_to_nothing(
    exported_run, tmp_path, by_size
):
    words = ["adapt", exported_run, "--device", "host/litert-int8=1%", "--out", tmp_path / "to"]
    done = CliRunner(env={"COLUMNS": "500"}).invoke(app, [*map(str, words), "--try", "widths", "--step", "8"])
    assert done.exit_code == 1
    assert isinstance(done.exception, InfeasibleBudget)
    said = done.stdout + done.stderr
    record = records.adapting(tmp_path / "to")
    whole = record.steps[0]
    assert f"takes {whole.ms:.3f} ms (95 %: {whole.interval_ms[0]:.3f} to {whole.interval_ms[1]:.3f})" in said
    assert all(end in said for end in record.metric.within(whole.interval).split(" to "))
    assert record.notes[0] in said
    words[-1] = exported_run / "arch.json"
    refused = str(CliRunner().invoke(app, [*map(str, words)]).exception)
    assert "the folder of an adaptation must be writable" in refused


def test_what_is_predicted_wrong_is_corrected_by_what_is_measured(exported_run, by_size):
    """A model that believes all to be half as slow as they are: the third session is right."""
    found = original(GivenModel(str(exported_run), None), exported_run)
    one = _subject(found)
    true = {tuple(row): None for row in [one.space.at_share(share / 100) for share in range(100, 20, -2)]}
    half = _predicted(one, 2e5)
    kept = keeping.keep(one, Uniform(one, half, print), half, _whole(one) * 0.5, lambda _: None)
    assert kept.indices in true
    assert 0.4 * _whole(one) < kept.latency.ms <= 0.5 * _whole(one)


def _subject(run):
    from hwnas.train.teacher import load_teacher
    from hwnas.train.training import dataset_of
    from hwnas.widths import prunable, width_space

    data = dataset_of(records.trained(run).data)
    teacher = load_teacher(run, data)
    found = prunable(teacher.network, data.image_shape)
    return subject.Subject(teacher, data, found, width_space("it", found.groups, 8), TARGET, None)


def _whole(one):
    indices = one.space.whole
    return one.latencies([indices])[indices].ms


def _predicted(one, unit):
    """What widths cost by the parameters of their layers."""
    layers = layers_of(one.found)

    def each(number, pairs):
        return np.array([at_widths(layers[number], *pair).block.params() / unit for pair in pairs])

    return cost_of(layers, one.space.widths, each)


@pytest.mark.parametrize(
    ("dense", "depthwise", "expected"), [(64, 16, 16), (32, 64, 32), (64, 64, 64), (16, 1, 8), (1, 1, 8)]
)
def test_the_step_of_widths_is_read_off_the_device(exported_run, monkeypatch, dense, depthwise, expected):
    """Kernels that compute so many channels at once: the shorter step is taken."""
    wide = iter((dense, depthwise))

    def told(_target, models):
        step = next(wide)
        count = {name: -(-int(name) // step) * step for name in models}
        return {name: Latency(1 + channels / 10, None, "stable") for name, channels in count.items()}

    monkeypatch.setattr(steps, "_CHOICES", 0)  # as for a large network
    one = _subject(original(GivenModel(str(exported_run), None), exported_run))
    assert steps.step_of(one.found, SimpleNamespace(latencies=told), TARGET) == expected
    assert next(wide, None) is None


@pytest.mark.parametrize(
    ("channels", "expected"),
    [([16, 32, 1000], 8), ([16, 96, 96], 32), ([64, 200, 600], 64), ([8], 8), ([16, 300], 64)],
)
def test_small_networks_have_a_finer_step_than_the_device(channels, expected):
    assert steps.fine_enough(64, channels) == expected


def test_a_network_that_cannot_be_narrowed_has_the_other_rungs(exported_run, tmp_path, by_size, monkeypatch):
    def refused(*_):
        raise SpaceError("a network must not shuffle its channels")

    monkeypatch.setattr(narrowable, "prunable", refused)
    options = AdaptOptions(**{**vars(FEW), "rungs": ("resolution", "widths"), "step": None})
    record = adapted(exported_run, tmp_path / "adapted", "120%", options)
    assert record.taken == 0
    assert record.more["rungs"] == ["resolution"]
    with pytest.raises(SpaceError, match="must not shuffle"):
        adapted(exported_run, tmp_path / "other")


def test_a_network_of_fewer_channels_than_a_step_has_the_other_rungs(
    exported_run, tmp_path, by_size, monkeypatch
):
    """It has no residual block that could be left out either."""

    def unbranched(network, shape):
        found = prunable(network, shape)
        return replace(found, groups=tuple(replace(group, branch="") for group in found.groups))

    monkeypatch.setattr(narrowable, "prunable", unbranched)
    options = replace(FEW, rungs=("resolution", "widths"), step=4096)
    record = adapted(exported_run, tmp_path / "adapted", "120%", options)
    assert record.taken == 0
    assert any(note.startswith("widths: a network must have more than 4096") for note in record.notes)
    resolution = replace(options, rungs=("resolution",))
    assert adapted(exported_run, tmp_path / "asked for none", "120%", resolution).notes == ()


def test_what_less_than_the_budget_cannot_be_kept_with_takes_nothing_from_what_keeps_it(
    exported_run, by_size
):
    """The fastest network is all that fits: aiming at a share of the budget comes to nothing."""
    one = _subject(exported_run)
    true = _predicted(one, 1e5)
    fastest = one.space.at_share(0)
    least = one.latencies([fastest])[fastest].at_most_ms
    kept = keeping.keep(one, Uniform(one, true, print), true, 1.01 * least, lambda _: None)
    assert kept.indices == fastest
    with pytest.raises(InfeasibleBudget, match="must be kept by the narrowest network"):
        keeping.keep(one, Uniform(one, true, print), true, 0.9 * least, lambda _: None)


def test_another_run_is_never_written_over(exported_run, tmp_path, by_size):
    before = {path.name: path.read_bytes() for path in exported_run.iterdir() if path.is_file()}
    with pytest.raises(HwnasError, match="holds a run: give another"):
        adapted(exported_run, exported_run)
    assert {name: (exported_run / name).read_bytes() for name in before} == before
    to = tmp_path / "adapted"
    adapted(exported_run, to, "120%")
    with pytest.raises(HwnasError, match=r"holds another adaptation \(it differs in budget\): give another"):
        adapted(exported_run, to)


@pytest.mark.slow
@pytest.mark.parametrize("rung", ["widths", "resolution"])
def test_a_training_that_was_cut_off_goes_on_with_what_was_taken(
    exported_run, tmp_path, by_size, monkeypatch, rung
):
    """Nothing is measured again: another session might choose another network."""

    def stop(_record):
        raise KeyboardInterrupt

    if rung == "resolution":
        by_pixels(monkeypatch)
    to, options = tmp_path / "adapted", replace(FEW, rungs=(rung,), strategy="uniform", epochs=2)
    with pytest.raises(KeyboardInterrupt):
        adapted(exported_run, to, options=options, on_epoch=stop)
    assert (to / RunFolder.adapted_weights).exists()
    monkeypatch.setattr(ladder, "latencies", None)
    epochs = []
    record = adapted(exported_run, to, options=options, on_epoch=epochs.append)
    assert [epoch.epoch for epoch in epochs] == [2]
    assert record.steps[record.taken].rung == rung
    assert not (to / RunFolder.adapted_weights).exists()
    assert len(records.trained(to).history) == 2
    before = {path: path.read_bytes() for path in to.iterdir() if path.is_file()}
    assert adapted(exported_run, to, options=options, on_epoch=stop) == record
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.slow
def test_where_nothing_kept_the_budget_a_higher_one_may_follow(exported_run, tmp_path, by_size):
    to = tmp_path / "adapted"
    assert adapted(exported_run, to, "1%").taken is None
    assert adapted(exported_run, to, "120%").taken == 0


@pytest.mark.parametrize(
    ("before", "then"),
    [
        ({}, {"mean": (0.5,)}),
        ({"mean": (0.5,)}, {"mean": None}),
        ({"mean": (0.5,)}, {"std": (0.25,)}),
        ({}, {"input_shape": (1, 9, 9)}),
        ({}, {"model": "other.onnx"}),
    ],
)
def test_another_model_does_not_go_on_with_what_was_imported(
    exported_run, tmp_path, monkeypatch, before, then
):
    """An adaptation that was cut off before it tried anything."""
    monkeypatch.chdir(tmp_path)
    for name in ("model.onnx", "other.onnx"):
        shutil.copy(exported_run / "export" / "model.onnx", name)
    import_model("model.onnx", tmp_path / "import", **before)
    (tmp_path / ORIGINAL).write_text("in the way")
    given = GivenModel("model.onnx", "digits", **before)
    with pytest.raises(HwnasError, match="original is a file"):
        original(given, tmp_path)
    with pytest.raises(HwnasError, match="was begun with another model, other weights, or images of another"):
        original(replace(given, **then), tmp_path)


def test_a_network_of_several_outputs_is_not_narrowed(exported_run):
    """It could be measured, and not be written as blocks at the end."""
    one = _subject(exported_run)
    narrowable.require_whole_again(one.found)
    pair = nn.ModuleList([one.found.module, one.found.module])
    pair.forward = lambda images: tuple(each(images) for each in pair)
    with pytest.raises(SpaceError, match=r"to be narrowed, but this one gives 2: .*--try"):
        narrowable.require_whole_again(replace(one.found, module=pair))
    with pytest.raises(SpaceError, match="must be read as blocks again to be narrowed, but this one is not"):
        narrowable.require_whole_again(replace(one.found, module=nn.Sequential(nn.Softsign())))


def test_what_a_trained_run_is_for_cannot_be_said_otherwise(exported_run, tmp_path):
    for given in (None, "classification"):
        assert original(GivenModel(str(exported_run), None, task=given), tmp_path) == exported_run
    with pytest.raises(HwnasError, match="that of a trained run, classification, but got 'detection'"):
        original(GivenModel(str(exported_run), None, task="detection"), tmp_path)


def test_bad_options_are_refused_in_a_sentence(exported_run, tmp_path):
    for given, said in (
        ({"strategy": "magic"}, "strategy must be one of uniform, "),
        ({"rungs": ("magic",)}, "rungs must be of runtime, resolution, widths"),
        ({"accept": 2.0}, r"accept must be in \[0, 1\]"),
        ({"step": 0}, "step must be at least 1"),
    ):
        with pytest.raises(HwnasError, match=said):
            AdaptOptions(**given)
    with pytest.raises(HwnasError, match="data must be those that a trained run is of"):
        original(GivenModel(str(exported_run), "elsewhere"), tmp_path)
    with pytest.raises(HwnasError, match=r"resolution must be left out where .*, but got 8 for"):
        original(GivenModel(str(exported_run), None, resolution=8), tmp_path)
    with pytest.raises(HwnasError, match=r"mean must be left out where"):
        original(GivenModel("efficientnet-lite0", "digits", mean=(0.5,)), tmp_path)
    with pytest.raises(HwnasError, match="pictures must be given"):
        original(GivenModel("efficientnet-lite0", None), tmp_path)
    with pytest.raises(HwnasError, match="a network must be a known one"):
        original(GivenModel("resnet-9000", "digits"), tmp_path)
    assert latencies.Latency(1.0, None, "noisy").at_most_ms == 1.0
