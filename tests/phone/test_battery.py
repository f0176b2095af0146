"""Energy by a phone's battery gauge. No phone was there: a test phone says what one would, or it is given."""

from __future__ import annotations

import pytest
import tinymodels
from quick_measuring import form

from hwnas.benchmark import battery
from hwnas.benchmark.row import Endurance
from hwnas.errors import UnstableMeasurement
from hwnas.measure import Measurer
from hwnas.measure.alone import WithoutPause

BEFORE = {"charge_uah": 3_000_000, "voltage_mv": 4_100, "powered": False, "screen": "OFF"}
AFTER = BEFORE | {"charge_uah": 2_950_000, "voltage_mv": 3_900}


def run(before=BEFORE, after=AFTER, seconds=900.0):
    points = ((0.0, 1.0), (seconds, 1.0))
    return WithoutPause(points, 100_000, {"phone": before}, {"phone": after})


def test_charge_times_voltage_is_energy():
    """50 mAh at 4 V are 720 J; the readings show steps of 1 mAh at most."""
    after = AFTER | {"charge_uah": 2_947_000}
    assert battery.energy_mj(run(after=after)) == pytest.approx(7.2 * 53 / 50)
    assert battery.energy_mj(WithoutPause(((0.0, 1.0),), 1, {"load_1min": 0.1}, {})) is None, "no phone"


@pytest.mark.parametrize(
    ("before", "after", "seconds", "said"),
    [
        ({"powered": True}, {}, 900, "must run on its battery alone, but is powered: unplug it"),
        ({}, {"powered": True}, 900, "must run on its battery alone"),
        ({"screen": "ON"}, {}, 900, "must have its screen off, but it is not: press its power key"),
        ({"screen": None}, {}, 900, r"screen off, but it is not: press its power key \(it does not tell\)"),
        ({"charge_uah": None}, {}, 900, "must tell charge and voltage of its battery before and after"),
        ({}, {"voltage_mv": None}, 900, "must tell charge and voltage"),
        ({}, {"charge_uah": 2_947_000}, 200, "fell by 53000 uAh in 200 s"),
        ({}, {"charge_uah": 2_951_000}, 900, "fell by 49000 uAh in 900 s .its steps may be 1000 uAh"),
        ({}, {"charge_uah": 3_000_000}, 900, "fell by 0 uAh"),
        ({}, {"charge_uah": 3_100_000}, 900, "fell by -100000 uAh"),
    ],
)
def test_what_the_gauge_cannot_tell_is_refused(before, after, seconds, said):
    with pytest.raises(UnstableMeasurement, match=said):
        battery.energy_mj(run(BEFORE | before, AFTER | after, seconds))


def test_it_is_said_beside_the_latency():
    points = run().points
    assert "7.2 mJ an inference by the gauge of the battery, unplugged" in Endurance(points, 7.2).said
    assert Endurance(points, no_energy="it charges").said.endswith("; no energy: it charges")
    assert "energy" not in Endurance(points).said


def test_a_phone_is_asked_at_both_ends_of_the_run(new_phone, tcp, bundle, tmp_path):
    """This one says that it is plugged in."""
    model, device = tinymodels.write(tmp_path / "model.tflite"), new_phone().device()
    with Measurer(device, form(2)) as measurer:
        run = measurer.run_on(device.target("litert", "fp32"), model, 1.0)
    assert run.inferences > 5
    assert run.before["phone"]["powered"] is run.after["phone"]["powered"] is True
    with pytest.raises(UnstableMeasurement, match="must run on its battery alone, but is powered"):
        battery.energy_mj(run)
