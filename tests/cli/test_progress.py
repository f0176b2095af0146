"""What is printed of a long command where nobody watches a terminal."""

from __future__ import annotations

import io

import pytest

from hwnas.cli import _console
from hwnas.cli._pace import Pace
from hwnas.durations import duration


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("hwnas.cli._console.time.monotonic", lambda: now[0])
    return now


def progress(terminal=False):
    file = io.StringIO()
    console = _console.Talker(file=file, force_terminal=terminal)
    return console.status("reading the images"), file


def test_each_step_is_a_line_and_what_counts_up_is_none(clock):
    status, file = progress()
    with status:
        for step in range(1, 40):
            status.update(f"warm-up {step}/400  loss 2.{step}")
        status.update("measuring on host/litert: 3 of 9")
        status.update("measuring on host/litert: 4 of 9")
    assert file.getvalue().splitlines() == ["reading the images", "warm-up", "measuring on host/litert"]


def test_a_number_that_counts_nothing_belongs_to_its_step(clock):
    said = ["tuning on images of 56 px", "measuring 40 networks of other widths"]
    status, file = progress()
    with status:
        for text in said:
            status.update(text)
        status.update(f"{said[0]}: epoch 1/3")
        status.update("measuring on host/litert, 2 threads: 1 of 9 rounds")
    assert file.getvalue().splitlines()[1:] == [*said, "measuring on host/litert, 2 threads"]


def test_a_long_step_is_heard_of_every_minute(clock):
    status, file = progress()
    with status:
        for minute in range(4):
            for second in range(0, 60, 20):
                clock[0] = 60.0 * minute + second
                status.update(f"search {minute}{second}/200")
    said = file.getvalue().splitlines()
    assert said == ["reading the images", "search", "search 10/200", "search 20/200", "search 30/200"]


def test_what_only_counts_is_heard_of_every_minute_alone(clock):
    status, file = progress()
    with status:
        for second in (1, 30, 61, 90, 122):
            clock[0] = float(second)
            status.update(f"{second} of 200 searches")
    assert file.getvalue().splitlines()[1:] == [
        "1 of 200 searches",
        "61 of 200 searches  about 2 min left",
        "122 of 200 searches  about 78 s left",
    ]


def test_brackets_of_others_are_shown_as_they_are(clock):
    status, file = progress()
    with status:
        status.update("reading [photos] and [/x]: 1")
    assert "reading [photos] and [/x]" in file.getvalue()


def test_a_terminal_has_one_line_that_changes(clock):
    status, file = progress(terminal=True)
    with status:
        status.update("warm-up 1/400")
    assert "\n".join(file.getvalue().splitlines()).count("reading the images") <= 1


@pytest.fixture
def pace(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("hwnas.cli._pace.time.monotonic", lambda: now[0])
    found = Pace()

    def told(text, at):
        now[0] = at
        return found.told(text)

    return told


def test_what_is_left_is_said_once_two_steps_are_done(pace):
    assert pace("training: epoch 1/10  loss 2", 0) == "training: epoch 1/10  loss 2"
    assert pace("training: epoch 2/10  loss 2", 60) == "training: epoch 2/10  loss 2"
    assert pace("training: epoch 3/10  loss 2", 120).endswith("[dim]about 7 min left[/]")
    assert pace("training: epoch 10/10  loss 2", 600) == "training: epoch 10/10  loss 2"


def test_a_run_that_goes_on_is_as_fast_as_it_is_now(pace):
    pace("search 180/200", 0)
    assert pace("search 190/200", 100).endswith("about 100 s left[/]") is False
    assert pace("search 190/200", 100).endswith("about 2 min left[/]")


def test_another_one_of_the_same_name_begins_anew(pace):
    pace("tuning a: 1 of 9 steps", 0)
    assert "left" in pace("tuning a: 5 of 9 steps", 40)
    assert "left" not in pace("tuning a: 1 of 9 steps", 50)
    assert pace("tuning a: 3 of 9 steps", 70).endswith("about 60 s left[/]")


@pytest.mark.parametrize(
    "text",
    [
        "netadapt: 3.214 of 4.000 ms, tuning",
        "measuring on host/litert-int8",
        "gates: 1.2% over 3.1 ms",
        "written to runs/3/4.json",
        "1 of 2.5",
    ],
)
def test_what_counts_nothing_is_told_as_it_is(pace, text):
    for at in range(0, 400, 50):
        assert pace(text, at) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (89, "89 s"), (600, "10 min"), (9000, "2.5 h"), (86400 * 3, "3 days")],
)
def test_a_duration_is_in_the_unit_that_fits(seconds, text):
    assert duration(seconds) == text


def test_a_long_step_says_what_is_left_where_nobody_watches(clock):
    status, file = progress()
    with status:
        for number in range(1, 5):
            clock[0] = 61.0 * number
            status.update(f"measuring: {number} of 100 rounds")
    assert file.getvalue().splitlines()[-1] == "measuring: 4 of 100 rounds  about 1.6 h left"
