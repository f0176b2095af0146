"""What is printed of a long command where nobody watches a terminal."""

from __future__ import annotations

import io

import pytest

from hwnas.cli import _app


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("hwnas.cli._app.time.monotonic", lambda: now[0])
    return now


def progress(terminal=False):
    file = io.StringIO()
    console = _app._Console(file=file, force_terminal=terminal, emoji=False)
    return console.status("reading the images"), file


def test_each_step_is_a_line_and_what_counts_up_is_none(clock):
    status, file = progress()
    with status:
        for step in range(1, 40):
            status.update(f"warm-up {step}/400  loss 2.{step}")
        status.update("measuring on host/litert: 3 of 9")
        status.update("measuring on host/litert: 4 of 9")
    assert file.getvalue().splitlines() == ["reading the images", "warm-up", "measuring on host/litert"]


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
        "61 of 200 searches",
        "122 of 200 searches",
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
