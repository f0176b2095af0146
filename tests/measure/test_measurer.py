"""One open way to a device serves many sessions, of several targets."""

from __future__ import annotations

import resource
import signal
from dataclasses import replace

import pytest

from hwnas import device, spaces
from hwnas.device import Target
from hwnas.errors import DeviceError, WriteError
from hwnas.measure import Measurer, ProfileOptions

pytestmark = pytest.mark.usefixtures("warm_processes")
QUICK = ProfileOptions(rounds=2, max_rounds=2, samples=2, min_round_s=0.0)


@pytest.mark.slow
def test_targets_take_turns_with_models_of_the_same_name():
    """Both runtimes have an anchor and a network of the same keys, in formats of their own."""
    space = spaces.load("macro-r8-c10")
    small, large = (space.architecture([n] * 8) for n in (0, 2))
    targets = [Target("host", "litert", "fp32"), Target("host", "onnxruntime", "fp32")]
    kept = []
    with Measurer(device.load("host"), QUICK) as measurer:
        models = {target: measurer.export(target, [small, large]) for target in targets}
        assert not set(models[targets[0]].values()) & set(models[targets[1]].values())
        for target in (*targets, *targets):
            found = measurer.measure(target, models[target], on_round=kept.append)
            ms = {key: m.latency_ms for key, m in found.measurements.items()}
            assert ms[small.key()] < ms[large.key()]
            assert found.environment["runtime"] == target.runtime
        assert len({item.session for item in kept}) == 4
        assert {item.kind for item in kept} == {"finalist"}
        with pytest.raises(DeviceError, match="must be of the device host"):
            measurer.environment(Target("pixel", "litert", "fp32"))


def test_a_model_that_does_not_run_is_an_error_with_its_name():
    with (
        Measurer(device.load("host"), QUICK) as measurer,
        pytest.raises(DeviceError, match="broken must run on host/litert-fp32, but"),
    ):
        measurer.measure(Target("host", "litert", "fp32"), {"broken": b"no model"})


def test_rounds_that_are_in_are_never_more_than_all():
    """Rows with a wide interval get further ones, which are not known at the beginning."""
    told = []
    target = Target("host", "litert", "int8")
    arch = spaces.load("macro-r8-c10").architecture([0] * 8)
    with Measurer(device.load("host"), replace(QUICK, max_rounds=3, target_ci=1e-9)) as measurer:
        models = measurer.export(target, [arch])
        measurer.measure(target, models, progress=lambda state: told.append((state.done, state.total)))
    assert told == [(1, 2), (2, 2), (3, 3)]


def test_a_full_disk_is_named_with_its_file_before_a_model_is_measured():
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    target = Target("host", "litert", "int8")
    with Measurer(device.load("host"), QUICK) as measurer:
        with pytest.raises(DeviceError):  # the anchors are there then
            measurer.measure(target, {"it": b"no model"})
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, hard))
        try:
            with pytest.raises(WriteError, match=r"a file must be written whole, but .*: free some space"):
                measurer.measure(target, {"it": b"x" * 100_000})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
