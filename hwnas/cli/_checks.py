"""What is printed of checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from hwnas.cli._console import out

if TYPE_CHECKING:
    from hwnas.transport.doctor import Check

_MARKS = {
    "ok": "[green]ok[/]",
    "absent": "[dim]absent[/]",
    "warning": "[yellow]warning[/]",
    "failed": "[bold red]failed[/]",
}


def show_check(check: Check) -> None:
    """Print what was looked at and found, and what to do about it."""
    out.print(f"{_MARKS[check.state]:>22} {escape(check.name)}: {escape(check.found)}", soft_wrap=True)
    if check.remedy:
        out.print(f"        [bold]→ {escape(check.remedy)}[/]", soft_wrap=True)
