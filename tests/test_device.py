"""Devices and targets."""

from __future__ import annotations

import json

import pytest

from hwnas import device, files
from hwnas.device import Target
from hwnas.errors import DeviceError, SchemaMismatch


def test_every_shipped_device_can_be_read():
    folder = files.shipped("devices")
    names = {path.stem for path in folder.glob("*.toml")}
    assert "host" in names
    for name in names:
        assert device.read(folder / f"{name}.toml").name == name


def test_a_target_survives_json_and_names_its_file():
    target = Target("host", "litert", "int8", threads=2)
    assert Target.from_json(json.loads(json.dumps(target.to_json()))) == target
    assert target.slug == "litert-int8-t2"
    assert str(Target("host", "litert", "fp32")) == "host/litert-fp32"


@pytest.mark.parametrize(
    "change",
    [
        {"runtime": "x"},
        {"precision": "int4"},
        {"threads": 0},
        {"threads": -1},
        {"threads": 1.5},
        {"batch": 0},
        {"device": "../x"},
    ],
)
def test_a_target_refuses_what_it_does_not_know(change):
    with pytest.raises(DeviceError, match="but got"):
        Target(**({"device": "host", "runtime": "litert", "precision": "int8"} | change))


def test_a_target_with_a_missing_field_is_a_schema_mismatch():
    data = Target("host", "litert", "int8").to_json()
    del data["threads"]
    with pytest.raises(SchemaMismatch) as caught:
        Target.from_json(data)
    assert caught.value.field == "threads"


def test_the_users_own_device_is_found_and_wins(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "user_config", lambda: tmp_path)
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "host.toml").write_text(
        'name = "host"\ntitle = "mine"\ntransport = "local"\nruntimes = ["onnxruntime"]\n'
    )
    assert device.load("host").title == "mine"
    with pytest.raises(DeviceError, match="runtime must be one of"):
        device.load("host").target("litert", "int8")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "readable TOML"),
        ('name = "x"\ntitle = "x"\ntransport = "carrier pigeon"\n', "transport must be one of"),
        ('name = "y"\ntitle = "x"\ntransport = "local"\n', "named like its file"),
        ('name = "x"\ntitle = "x"\ntransport = "local"\nbogus = 1\n', "bogus"),
        ('name = "x"\ntitle = "x"\ntransport = "local"\nruntimes = []\n', "at least one runtime"),
    ],
)
def test_a_bad_descriptor_is_named(tmp_path, text, message):
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(DeviceError, match=message):
        device.read(path)


def test_an_unknown_device_lists_the_known_ones():
    with pytest.raises(DeviceError, match="host"):
        device.load("nope")


def test_a_target_where_a_device_is_asked_for_is_told_apart():
    """As ``profile --device host/litert-int8``, after a search that is written so."""
    with pytest.raises(DeviceError, match="without a target, but got 'host/litert-int8': name 'host'"):
        device.load("host/litert-int8")
    with pytest.raises(DeviceError, match="a device must be one of"):
        device.load("nope/litert-int8")


@pytest.mark.parametrize("threads", [0, -2])
def test_no_threads_are_not_the_default_number_of_threads(threads):
    with pytest.raises(DeviceError, match=f"threads must be a whole number of at least 1, but got {threads}"):
        device.load("host").target("litert", "fp32", threads=threads)
