"""What phones say of themselves, and what follows: texts as Android prints them, known answers."""

from __future__ import annotations

from typing import ClassVar

import pytest
import tinymodels
from testphone import job

from hwnas.errors import DeviceError
from hwnas.tables.conditions import quality
from hwnas.tables.measurement import Round
from hwnas.transport import _gate, _phone
from hwnas.transport._gate import Gate

# Origin: written after AOSP's dump() of ThermalManagerService, BatteryService and PowerManagerService.
BATTERY = """\
Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Max charging current: 500000
  Charge counter: 3271000
  status: 2
  health: 2
  present: true
  level: 85
  scale: 100
  voltage: 4123
  temperature: 291
  technology: Li-ion
"""
THERMAL = """\
IsStatusOverride: false
ThermalEventListeners:
\tcallbacks: 2
\tkilled: false
\tbroadcasts count: -1
Thermal Status: 1
Cached temperatures:
\tTemperature{mValue=44.0, mType=3, mName=VIRTUAL-SKIN, mStatus=1}
HAL Ready: true
HAL connection:
\tThermalHAL 2.0 connected: yes
Current temperatures from HAL:
\tTemperature{mValue=30.599998, mType=3, mName=VIRTUAL-SKIN, mStatus=0}
\tTemperature{mValue=-3.4028235E38, mType=9, mName=absent, mStatus=0}
\tTemperature{mValue=999.0, mType=9, mName=broken, mStatus=0}
\tTemperature{mValue=41.0, mType=0, mName=BIG, mStatus=0}
Current cooling devices from HAL:
\tCoolingDevice{mValue=0, mType=2, mName=thermal-cpufreq-0}
"""
POWER = "  mWakefulness=Asleep\nDisplay Power: state=OFF\n"


def text(battery=BATTERY, thermal=THERMAL, power=POWER, saver="0"):
    return f"{battery}==\n{thermal}==\n{power}==\nlow_power={saver}\n"


def test_conditions_are_read():
    assert _phone.conditions(text()) == {
        "battery_percent": 85,
        "battery_c": 29.1,
        "charge_uah": 3_271_000,
        "voltage_mv": 4_123,
        "powered": True,
        "thermal_status": 1,
        "temperatures_c": {"VIRTUAL-SKIN": 30.599998, "BIG": 41.0},
        "wakefulness": "Asleep",
        "screen": "OFF",
        "power_saver": False,
    }


def test_the_cpus_that_android_leaves_are_noted():
    found = _phone.conditions(text() + "cpuset=/background\ncpus_allowed=0-3\n")
    assert (found["cpuset"], found["cpus_allowed"]) == ("/background", "0-3")


def test_what_a_phone_does_not_tell_is_left_out():
    assert _phone.conditions(text("", "", "", "null")) == {}
    assert _phone.conditions("") == {}
    assert _phone.conditions(text(thermal="Can't find service: thermalservice\n"))["battery_percent"] == 85


def test_before_the_hardware_tells_the_cached_temperatures_are_taken():
    cached = THERMAL.partition("HAL Ready")[0]
    assert _phone.conditions(text(thermal=cached))["temperatures_c"] == {"VIRTUAL-SKIN": 44.0}


class TestClusters:
    """Which CPUs runs go to: derived from what the phone says, never from a mask."""

    FACTS = (
        "machine=aarch64\nro.product.model=Pixel 6\nro.soc.model=\ncpus_online=0-7\n"
        + "".join(f"cpu:{n}=240/1803000\n" for n in range(4))
        + "".join(f"cpu:{n}=760/2253000\n" for n in (4, 5))
        + "".join(f"cpu:{n}=1024/2802000\n" for n in (6, 7))
    )

    def test_the_fastest_come_first(self):
        facts = _phone.facts(self.FACTS)
        assert "ro.soc.model" not in facts
        groups = _phone.clusters(facts)
        assert [group.cpus for group in groups] == [(6, 7), (4, 5), (0, 1, 2, 3)]
        assert groups[0].capacity == 1024
        assert groups[0].max_khz == 2802000

    @pytest.mark.parametrize(
        ("wanted", "threads", "cpus"),
        [
            ("fastest", 1, (6, 7)),
            ("fastest", 2, (6, 7)),
            ("fastest", 3, (4, 5, 6, 7)),
            ("middle", 1, (4, 5)),
            ("middle", 4, (0, 1, 2, 3, 4, 5)),
            ("slowest", 2, (0, 1, 2, 3)),
            ("slowest", 5, (0, 1, 2, 3, 4, 5)),
            ("slowest", 8, tuple(range(8))),
        ],
    )
    def test_there_are_never_fewer_cpus_than_threads(self, wanted, threads, cpus):
        groups = _phone.clusters(_phone.facts(self.FACTS))
        assert _phone.choose_cpus(groups, wanted, threads) == cpus

    def test_cpus_that_are_offline_are_not_chosen(self):
        facts = _phone.facts(self.FACTS.replace("cpus_online=0-7", "cpus_online=0-3,6"))
        assert [group.cpus for group in _phone.clusters(facts)] == [(6,), (0, 1, 2, 3)]

    def test_cpus_that_may_not_be_used_are_not_chosen(self):
        """Android takes fast CPUs away from what runs while the screen is off."""
        facts = _phone.facts(self.FACTS + "cpus_allowed=0-3\n")
        assert [group.cpus for group in _phone.clusters(facts)] == [(0, 1, 2, 3)]
        facts.pop("cpus_online")
        assert [group.cpus for group in _phone.clusters(facts)] == [(0, 1, 2, 3)]

    def test_without_capacities_the_clock_decides_and_without_either_they_are_one(self):
        clocks = _phone.clusters(_phone.facts("cpu:0=-/1800000\ncpu:1=-/2400000\n"))
        assert [group.cpus for group in clocks] == [(1,), (0,)]
        assert clocks[0].capacity is None
        alone = _phone.clusters(_phone.facts("cpu:0=-/-\ncpu:1=-/-\n"))
        assert [group.cpus for group in alone] == [(0, 1)]

    def test_one_cluster_is_fastest_middle_and_slowest(self):
        groups = _phone.clusters(_phone.facts("cpu:0=1024/-\ncpu:1=1024/-\n"))
        assert {_phone.choose_cpus(groups, name, 1) for name in ("fastest", "middle", "slowest")} == {(0, 1)}

    def test_wishes_that_cannot_be_met_are_errors(self):
        groups = _phone.clusters(_phone.facts(self.FACTS))
        with pytest.raises(DeviceError, match="cluster must be one of"):
            _phone.choose_cpus(groups, "biggest", 1)
        with pytest.raises(DeviceError, match="got 9 > 8"):
            _phone.choose_cpus(groups, "fastest", 9)


def test_lists_of_cpus():
    assert _phone.cpu_list("0-2,5,7-8\n") == [0, 1, 2, 5, 7, 8]
    assert _phone.cpu_list("") == []


class TestThrottling:
    """A job that slowed down while it ran."""

    @staticmethod
    def reply(samples, clocks=()):
        return {
            "samples_ns": samples,
            "cpu_ids": [6] * len(samples),
            "freq_track_khz": [[n, *[100] * 6, khz] for n, khz in enumerate(clocks)],
        }

    def test_a_steady_one_is_not_suspected(self):
        found = _phone.throttling(self.reply([10, 11, 10, 10, 11, 10], [2800, 2800]))
        assert found == {"drift": 0.0, "clock": 1.0, "of_max": None, "suspected": False}

    def test_slower_times_on_a_slower_clock_are(self):
        found = _phone.throttling(self.reply([10, 10, 11, 12, 13, 13], [2800, 2800, 1400]))
        assert found == {"drift": 0.3, "clock": 0.5, "of_max": None, "suspected": True}

    def test_without_clocks_the_times_decide(self):
        assert _phone.throttling(self.reply([10, 10, 10, 10, 12, 12]))["suspected"] is True
        assert _phone.throttling(self.reply([10, 10, 10, 10, 12, 12], [None]))["clock"] is None

    def test_slower_times_on_a_steady_clock_are_company_not_heat(self):
        assert _phone.throttling(self.reply([10, 10, 10, 10, 12, 12], [2800, 2800]))["suspected"] is False

    def test_only_clocks_that_were_used_count(self):
        reply = self.reply([10] * 6, [2800, 2800]) | {"cpu_ids": [0] * 6}
        assert _phone.throttling(reply)["clock"] == 1.0

    def test_a_clock_that_is_low_all_along_is(self):
        steady = self.reply([10] * 6, [2000, 2000])
        assert _phone.throttling(steady, {6: 2800})["of_max"] == 0.7143
        assert _phone.throttling(steady, {6: 2800})["suspected"] is True
        assert _phone.throttling(steady, {6: 2100})["suspected"] is False

    def test_few_samples_say_nothing(self):
        assert _phone.throttling(self.reply([10] * 5)) is None
        assert _phone.throttling({"error": "x"}) is None


class TestSession:
    """What the verdict on a session makes of it."""

    @staticmethod
    def verdict(anchors, throttling):
        rounds = [
            Round("k", "block", "s", n, (1.0,) * 3, (ms,) * 4, {"throttling": throttling})
            for n, ms in enumerate(anchors)
        ]
        return quality(rounds, ())

    STEADY: ClassVar = {"drift": 0.0, "clock": 1.0, "of_max": 1.0, "suspected": False}

    def test_a_phone_that_stays_cool_is_stable(self):
        assert self.verdict([1.0] * 9, self.STEADY).word == "stable"

    def test_a_phone_that_heats_up_in_minutes_is_not(self):
        """No job alone was slow, but the last third was against the first."""
        found = self.verdict([1.0, 1.0, 1.0, 1.04, 1.04, 1.04, 1.08, 1.08, 1.08], self.STEADY)
        assert found.facts["drift"] == pytest.approx(0.08)
        assert any("last third" in reason for reason in found.reasons)

    def test_rounds_on_a_slow_clock_are_counted(self):
        found = self.verdict([1.0] * 9, self.STEADY | {"clock": 0.5, "suspected": True})
        assert found.word == "unusable"
        assert "100% of the rounds look throttled" in found.reasons

    def test_without_clocks_a_slow_job_is_no_sign_of_heat(self):
        blind = {"drift": 0.3, "clock": None, "of_max": None, "suspected": True}
        assert "throttled" not in self.verdict([1.0] * 9, blind).facts

    def test_few_rounds_say_nothing_of_drift(self):
        assert "drift" not in self.verdict([1.0, 1.0, 1.0, 2.0, 2.0], self.STEADY).facts


class TestGate:
    """Runs start on a cool phone, or say that they did not."""

    HOT: ClassVar = {
        "thermal_status": 2,
        "battery_c": 41.5,
        "temperatures_c": {"VIRTUAL-SKIN": 42.0, "BIG": 70.0},
    }

    def test_a_cool_phone_is_let_through_at_once(self):
        said = []
        found = _gate.wait(
            Gate(), lambda: {"thermal_status": 0, "battery_percent": 80}, said.append, sleep=None
        )
        assert found["gate"] == {"waited_s": 0.0, "open": True, "reasons": []}
        assert not said

    def test_a_hot_phone_is_waited_for(self):
        states, said, slept = [self.HOT, self.HOT, {"thermal_status": 0}], [], []
        found = _gate.wait(Gate(), lambda: dict(states.pop(0)), said.append, sleep=slept.append)
        assert found["gate"]["open"] is True
        assert found["gate"]["waited_s"] == sum(slept) == 10
        assert said == [
            "waiting up to 300 s for the phone: thermal status 2 > 0; battery 41.5 °C > 38 °C; "
            "VIRTUAL-SKIN 42 °C > 38 °C"
        ]

    def test_the_wait_is_bounded_and_the_conditions_say_so(self):
        said, slept = [], []
        found = _gate.wait(Gate(wait_s=12), lambda: dict(self.HOT), said.append, sleep=slept.append)
        assert sum(slept) == 12
        assert found["gate"]["open"] is False
        assert len(found["gate"]["reasons"]) == 3
        assert said[-1].startswith("starting all the same after 12 s")

    def test_a_low_battery_is_a_reason_and_the_unknown_is_none(self):
        assert Gate().reasons({"battery_percent": 5}) == ["battery 5 % < 20 %"]
        assert Gate().reasons({}) == []

    @pytest.mark.parametrize("wrong", [{"gate": {"heat": 3}}, {"gate": {"wait_s": "long"}}, {"gate": 5}])
    def test_limits_that_make_no_sense_are_errors(self, wrong):
        with pytest.raises(DeviceError, match="the option gate must hold numbers"):
            Gate.of(wrong)

    def test_limits_come_from_the_descriptor(self):
        assert Gate.of({"gate": {"battery_c": 35}}) == Gate(battery_c=35)
        assert Gate.of({}) == Gate()


def test_a_hot_phone_delays_a_run(new_phone, tcp, bundle, tmp_path):
    """End to end: the gate, its messages, and the conditions of the run."""
    from hwnas.transport._adb_tcp import AdbTcp
    from hwnas.transport.remote import RemoteTransport

    phone = new_phone()
    phone.says(thermalservice=THERMAL, battery=BATTERY, power=POWER)
    said = []
    device = phone.device(gate={"wait_s": 0.2})
    with RemoteTransport(AdbTcp(phone.serial), device, say=said.append) as transport:
        list(transport.run("litert", [], silence_s=20))
        assert not said, "without a job there is nothing to wait for"
        remote = transport.push(tinymodels.write(tmp_path / "m.tflite"))
        hello, *_ = transport.run("litert", [job("a", remote)], silence_s=20)
    assert len(said) == 2
    assert hello["hello"]["conditions"]["phone"]["gate"] == {
        "waited_s": 0.2,
        "open": False,
        "reasons": ["thermal status 1 > 0"],
    }
    assert hello["hello"]["conditions"]["phone"]["screen"] == "OFF"
