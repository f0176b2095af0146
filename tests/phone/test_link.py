"""Commands and files over a link that breaks: both back ends of ADB against a real daemon."""

from __future__ import annotations

from hwnas.transport import connect
from hwnas.transport._shell import ask_once


def test_a_command_brings_its_status_and_its_output(new_phone, back_end):
    phone = new_phone()
    with connect(phone.device(back_end)) as transport:
        shell = transport._link.shell
        assert ask_once(shell, "echo hi; echo err >&2; exit 7") == (7, "hi\nerr\n")
        assert ask_once(shell, "printf 'no newline'") == (0, "no newline")
        assert ask_once(shell, "exit 0")[0] == 0
