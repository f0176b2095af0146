"""Which phones are attached, which descriptor each matches, and what the preflight finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ports import free_port

from hwnas import device as devices
from hwnas import files
from hwnas.device import Device
from hwnas.errors import AgentError, DeviceError, TransportError
from hwnas.transport import adb as adb_module
from hwnas.transport import connect
from hwnas.transport.adb import Attached, best_match, choose
from hwnas.transport.doctor import FAILED, OK, WARNING, Check, examine

HWNAS = Path(sys.executable).with_name("hwnas")


def facts(maker, model, abis="arm64-v8a,armeabi-v7a,armeabi"):
    return {"ro.product.manufacturer": maker, "ro.product.model": model, "ro.product.cpu.abilist": abis}


class TestMatching:
    """Shipped descriptors against what real families say of themselves."""

    @pytest.mark.parametrize(
        ("found", "name"),
        [
            (facts("Google", "Pixel 8 Pro"), "pixel"),
            (facts("Google", "Pixel"), "pixel"),
            (facts("samsung", "SM-S911B"), "galaxy"),
            (facts("Xiaomi", "2201123G"), "android"),
            (facts("Google", "sdk_gphone64_x86_64", "x86_64,arm64-v8a"), "android"),
            (facts("Old", "Phone", "armeabi-v7a,armeabi"), None),
            ({}, None),
        ],
    )
    def test_the_most_specific_descriptor_wins(self, found, name):
        match = best_match(found, devices.load_all().values())
        assert (match.name if match else None) == name

    def test_without_rules_nothing_matches(self):
        assert not Device("x", "x", "adb").matches(facts("Google", "Pixel 8"))

    def test_rules_must_be_text(self):
        with pytest.raises(DeviceError, match="match must be a mapping from text to text"):
            Device("x", "x", "adb", match={"ro.product.model": 8})

    PIXEL = Attached("A", "device", facts("Google", "Pixel 8"))
    TWIN = Attached("B", "device", facts("Google", "Pixel 8"))
    OTHER = Attached("C", "device", facts("samsung", "SM-S911B"))

    def test_the_one_that_matches_is_taken(self):
        assert choose(devices.load("pixel"), [self.OTHER, self.PIXEL]) is self.PIXEL

    def test_a_descriptor_without_rules_takes_the_only_phone(self):
        assert choose(devices.load("android-gpu"), [self.PIXEL]) is self.PIXEL

    @pytest.mark.parametrize(
        ("phones", "message"),
        [
            ([], "adb sees none"),
            ([OTHER], "adb sees samsung SM-S911B"),
            ([PIXEL, TWIN], "several do: A .*, B .*--serial"),
            ([Attached("D", "unauthorized")], "D is 'unauthorized': unlock the phone"),
            ([Attached("D", "strange")], "see `adb devices`"),
        ],
    )
    def test_otherwise_the_message_says_what_to_do(self, phones, message):
        with pytest.raises(TransportError, match=message):
            choose(devices.load("pixel"), phones)


def test_every_phone_descriptor_has_options_that_are_understood():
    from hwnas.transport._gate import Gate
    from hwnas.transport._phone import choose_cpus, clusters

    known = {
        "folder",
        "cluster",
        "gate",
        "patience_s",
        "launcher",
        "agent_path",
        "flags",
        "address",
        "ssh",
        "back_end",
        "op_profile",
    }
    some = clusters({"cpu:0": "100/1", "cpu:1": "200/2"})
    remote = [d for d in devices.load_all().values() if d.transport != "local"]
    assert {"pixel", "galaxy", "android", "android-gpu", "raspberrypi5"} <= {d.name for d in remote}
    for device in remote:
        assert set(device.options) <= known
        Gate.of(device.options)
        assert choose_cpus(some, device.options.get("cluster", "fastest"), device.threads)


def test_phones_that_adb_sees_are_described(new_phone, adb, monkeypatch):
    phones = [new_phone(), new_phone()]
    phones[1].command("getprop", "[ $1 != ro.product.model ] || echo Other")
    for phone in phones:
        subprocess.run(["adb", "connect", phone.serial], capture_output=True, check=True)
    found = {phone.serial: phone for phone in adb_module.attached()}
    assert found[phones[0].serial].title == "Hwnas Test Phone"
    assert found[phones[1].serial].title == "Other"
    device = phones[0].device("adb")
    device = Device(
        device.name, device.title, "adb", match=device.match, options={"folder": str(phones[0].folder)}
    )
    with connect(device) as transport:
        assert transport.facts()["ro.product.model"] == "Test Phone"
    phones[0].stop()
    with pytest.raises(TransportError):
        connect(device)


def test_without_adb_an_address_is_needed(monkeypatch, tcp, new_phone):
    monkeypatch.setattr(adb_module.shutil, "which", lambda name: None)
    assert adb_module.attached() == ()
    with pytest.raises(TransportError, match=r"^pixel must be .* give it with --serial HOST:PORT"):
        connect(devices.load("pixel"))
    phone = new_phone()
    device = Device("testphone", "x", "adb", options={"folder": str(phone.folder)})
    with connect(device, phone.serial) as transport:
        assert transport.ask("echo hi") == "hi\n"


def test_without_adb_and_adb_shell_both_are_named(monkeypatch):
    monkeypatch.setattr(adb_module.shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "adb_shell", None)
    monkeypatch.delitem(sys.modules, "hwnas.transport._adb_tcp", raising=False)
    with pytest.raises(TransportError, match=r"pip install 'hwnas\[phone\]'"):
        connect(devices.load("pixel"), "127.0.0.1:5555")


@pytest.mark.parametrize("options", [{"agent_path": "/x"}, {"op_profile": 3}, {"serial": "x"}])
def test_what_only_phones_have_is_refused_for_this_machine(options):
    """Not to do what was asked for, and to be silent, would give numbers of something else."""
    [name] = options
    with pytest.raises(DeviceError, match=f"--{name.replace('_', '-')} must be for a phone or a board"):
        connect(devices.load("host").with_options(**options))


def test_a_gpu_is_never_measured_by_the_agent_of_the_cpu(new_phone, tcp, bundle):
    device = new_phone().device()
    device = Device("testphone", "x", "adb", processor="gpu", match=device.match, options=device.options)
    with connect(device) as transport, pytest.raises(AgentError, match="hwnas's own agent cannot use it"):
        list(transport.run("litert", [], silence_s=5))


def test_an_unknown_back_end_is_an_error():
    with pytest.raises(DeviceError, match="back_end must be one of"):
        connect(Device("x", "x", "adb", options={"back_end": "usb"}))


class TestDoctor:
    """The preflight, on phones that are well and on phones that are not."""

    @staticmethod
    def states(phone, **options):
        return {check.name: check for check in examine(phone.device(**options))}

    def test_a_good_phone_passes(self, new_phone, back_end, bundle):
        phone = new_phone()
        found = self.states(phone, back_end=back_end)
        assert list(found) == [
            "connection",
            "64-bit",
            "programs",
            "free space",
            "agent's files",
            "agent starts",
            "CPUs",
            "heat and battery",
            "screen and power",
        ]
        assert {check.state for check in found.values()} == {OK}, found
        assert "litert 2.3.0" in found["agent starts"].found

    def test_no_phone(self, new_phone, tcp):
        phone = new_phone()
        phone.stop()
        found = self.states(phone, patience_s=0.1)
        assert list(found) == ["connection"]
        assert found["connection"].state == FAILED
        assert "check the cable" in found["connection"].remedy

    def test_a_32_bit_phone(self, new_phone, tcp):
        phone = new_phone()
        phone.command("getprop", "case $1 in *abilist) echo armeabi-v7a;; *model) echo Test;; esac")
        phone.command("uname", "echo armv7l")
        found = self.states(phone)
        assert found["64-bit"].state == FAILED
        assert "armeabi-v7a" in found["64-bit"].found
        assert list(found)[-1] == "64-bit", "what comes later is not tried"

    def test_missing_programs(self, new_phone, tcp, monkeypatch):
        from hwnas.transport import doctor

        monkeypatch.setattr(doctor, "TOOLS", (*doctor.TOOLS, "no-such-tool"))
        assert "no-such-tool not there" in self.states(new_phone())["programs"].found

    def test_a_full_phone(self, new_phone, tcp):
        phone = new_phone()
        phone.command("df", "echo /dev/x 1000 900 100000 99% /data")
        found = self.states(phone)
        assert found["free space"].state == FAILED
        assert "97 MB" in found["free space"].found
        assert "hwnas devices clean" in found["free space"].remedy

    def test_no_bundle(self, new_phone, tcp, home, monkeypatch):
        monkeypatch.setattr(files, "user_cache", lambda: home / "empty")
        found = self.states(new_phone())
        assert found["agent's files"].state == FAILED
        assert found["agent's files"].remedy.startswith(f"run `{sys.executable} ")

    @pytest.mark.parametrize(
        ("script", "remedy"),
        [
            ("exit 126", "name another with the option folder"),
            ("kill -31 $$", "run over adb, not from inside an app"),
            ("echo cannot open shared object >&2; exit 1", "give Google's benchmark_model"),
        ],
    )
    def test_an_agent_that_does_not_start(self, new_phone, tcp, bundle, script, remedy):
        phone = new_phone()
        phone.command("launch", script)
        found = self.states(phone, launcher=["launch"])
        assert found["agent starts"].state == FAILED
        assert remedy in found["agent starts"].remedy

    def test_a_hot_sleeping_phone_is_a_warning(self, new_phone, tcp, bundle):
        phone = new_phone()
        phone.says(thermalservice="Thermal Status: 3\n", power="mWakefulness=Dozing\n")
        found = self.states(phone)
        assert found["heat and battery"].state == WARNING
        assert "thermal status 3" in found["heat and battery"].found
        assert found["screen and power"].state == WARNING
        assert "wake the phone" in found["screen and power"].remedy
        phone.command("settings", "echo 1")
        assert "power saver" in self.states(phone)["screen and power"].found

    def test_more_threads_than_cpus(self, new_phone, tcp, bundle):
        from dataclasses import replace

        phone = new_phone()
        device = replace(phone.device(), threads=500)
        *_, last = examine(device)
        assert last.state == FAILED
        assert "got 500 >" in last.found
        assert last.remedy == "change threads or cluster in a descriptor of your own"

    def test_fast_cpus_that_may_not_be_used_are_a_warning(self, new_phone, tcp, bundle, monkeypatch):
        from hwnas.transport import _phone

        usable = min(os.sched_getaffinity(0))
        told = (f"cpu:{usable}=100/-", "cpu:200=1024/-", "cpus_online=0-200", f"cpus_allowed={usable}")
        monkeypatch.setattr(_phone, "FACTS", "\n".join([_phone.FACTS, *(f"echo {line}" for line in told)]))
        found = self.states(new_phone())["CPUs"]
        assert found.state == WARNING
        assert "the fastest ones may not be used now" in found.found
        assert "keep its screen on" in found.remedy

    def test_a_gpu_without_its_program(self, new_phone, tcp):
        from dataclasses import replace

        phone = new_phone()
        *_, last = examine(replace(phone.device(), processor="gpu"))
        assert (last.name, last.state) == ("agent's files", FAILED)
        assert "the gpu of testphone must be measured by Google's benchmark_model" in last.found
        assert last.remedy.startswith("give --agent-path FILE")

    def test_nothing_attached(self, adb, monkeypatch):
        port = str(free_port())
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", port)  # a server that knows no phones of other tests
        try:
            [check] = examine(devices.load("pixel"))
        finally:
            subprocess.run(["adb", "kill-server"], capture_output=True, check=False)
        assert check.state == FAILED
        assert "a phone that matches pixel must be attached" in check.found
        assert "USB debugging" in check.remedy

    def test_there_is_no_bad_line_without_a_remedy(self):
        with pytest.raises(DeviceError, match="must say what to do"):
            Check("x", FAILED, "something")

    def test_this_machine(self):
        [check] = examine(devices.load("host"))
        assert check.name == "agent starts"
        assert check.state == OK


@pytest.fixture
def hwnas(monkeypatch, home, cache, tmp_path):
    """The command as a user runs it, with a device of the user's own."""
    config = tmp_path / "xdg"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdgcache"))
    (tmp_path / "xdgcache").mkdir()
    (tmp_path / "xdgcache" / "hwnas").symlink_to(cache)

    def run(phone, *words):
        text = (
            f'name = "testphone"\ntitle = "A phone for tests"\ntransport = "adb"\n'
            f'[match]\n"ro.product.manufacturer" = "Hwnas"\n"ro.product.model" = "Test*"\n'
            f'[options]\nfolder = "{phone.folder}"\n'
        )
        files.write_atomic(config / "hwnas" / "devices" / "testphone.toml", text)
        return subprocess.run([HWNAS, *words], capture_output=True, text=True, timeout=120, check=False)

    return run


@pytest.mark.slow
def test_without_a_phone_the_list_says_how_to_attach_one(hwnas, new_phone, adb):
    subprocess.run(["adb", "disconnect"], capture_output=True, check=True)  # phones of other tests
    listed = hwnas(new_phone(), "devices", "list")
    assert "No phone is attached: switch on USB debugging" in " ".join(listed.stdout.split())


def test_list_and_doctor_and_clean_on_the_command_line(hwnas, new_phone, adb, bundle):
    phone = new_phone()
    subprocess.run(["adb", "connect", phone.serial], capture_output=True, check=True)
    listed = hwnas(phone, "devices", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    mine = [entry for entry in json.loads(listed.stdout)["attached"] if entry["serial"] == phone.serial]
    assert mine == [
        {"serial": phone.serial, "state": "device", "title": "Hwnas Test Phone", "matches": "testphone"}
    ]
    assert "Hwnas Test Phone" in hwnas(phone, "devices", "list").stdout
    healthy = hwnas(phone, "devices", "doctor", "testphone", "--serial", phone.serial)
    assert healthy.returncode == 0, healthy.stdout
    assert "ok 64-bit: x86-64" in " ".join(healthy.stdout.split())
    assert phone.folder.is_dir()
    cleaned = hwnas(phone, "devices", "clean", "testphone", "--serial", phone.serial)
    assert cleaned.returncode == 0, cleaned.stderr
    assert not phone.folder.exists()
    phone.command("df", "echo /dev/x 1000 900 1000 99% /data")
    ill = hwnas(phone, "devices", "doctor", "testphone", "--serial", phone.serial, "--json")
    assert ill.returncode == 1
    assert json.loads(ill.stdout)[-1]["state"] == "failed"
