"""Results as people meet them: a table in a console, in a terminal, in a notebook and in a data frame.

A class of results says once what is seen of it (``view``) and what its rows are (``flat``).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwnas.errors import HwnasError

if TYPE_CHECKING:
    from rich.console import RenderableType

_MOST = 20  # rows that are shown of a table; a data frame has them all


@dataclass(frozen=True)
class Display:
    """What is seen of a result.

    Attributes:
        title: What it says in a line; empty where the rows say all.
        columns: Names of the columns.
        rows: Cells, one a column.
        notes: What else is to be known, a line each.
    """

    title: str
    columns: tuple[str, ...] = ()
    rows: Sequence[tuple[str, ...]] = ()
    notes: tuple[str, ...] = ()

    @property
    def lines_below(self) -> list[str]:
        """The notes, after how many rows are left out."""
        rows, notes = len(self.rows) - _MOST, len(self.notes) - _MOST
        more = [f"… and {rows} more: to_pandas() has all"] * (rows > 0)
        return [*more, *self.notes[:_MOST], *([f"… and {notes} more"] * (notes > 0))]

    def text(self) -> str:
        """Plain lines, the cells below each other."""
        cells = [self.columns, *self.rows[:_MOST]] if self.rows else []
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
        return "\n".join([*([self.title] if self.title else []), *lines, *self.lines_below])

    def html(self) -> str:
        """A table of HTML."""
        from html import escape

        title = f"<p>{escape(self.title)}</p>" if self.title else ""
        table = ""
        if self.rows:
            head = "".join(f"<th>{escape(name)}</th>" for name in self.columns)
            rows = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in self.rows[:_MOST])
            body = "".join(f"<tr>{row}</tr>" for row in rows)
            table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return title + table + "".join(f"<p>{escape(line)}</p>" for line in self.lines_below)

    def rich(self) -> RenderableType:
        """What ``rich.print`` prints."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        parts: list[RenderableType] = [Text(self.title)] if self.title else []
        if self.rows:
            table = Table(*self.columns, box=None)
            for row in self.rows[:_MOST]:
                table.add_row(*map(Text, row))
            parts.append(table)
        return Group(*parts, *map(Text, self.lines_below))


class Shown:
    """A result that shows itself: in a console as text, by ``rich.print``, and in notebooks.

    A dataclass of this kind is made with ``repr=False``.
    """

    def view(self) -> Display:
        """What is seen of it."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return self.view().text()

    def __rich__(self) -> RenderableType:
        return self.view().rich()

    def _repr_html_(self) -> str:
        return self.view().html()


class ShownTable(Shown):
    """A result that shows itself, and whose rows go into a data frame."""

    def flat(self) -> list[dict[str, Any]]:
        """One flat object a row, as for a data frame; None of what is not known."""
        raise NotImplementedError

    def to_pandas(self) -> Any:
        """``flat`` as a ``pandas.DataFrame``.

        Raises:
            HwnasError: pandas is not installed.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ImportError as error:
            raise HwnasError(
                "pandas must be installed for a data frame, but is not: `pip install pandas`, or take flat()"
            ) from error
        return pandas.DataFrame(self.flat())


def cell(value: float | None, unit: str = "") -> str:
    """A number for a cell, with four digits; empty where there is none."""
    return "" if value is None else f"{value:.4g} {unit}".rstrip()


def ends(interval: Sequence[float] | None) -> str:
    """An interval for a cell; empty where there is none."""
    return "" if interval is None else "{:.4g}–{:.4g}".format(*interval)


def low_high(interval: Sequence[float] | None, suffix: str = "") -> dict[str, float | None]:
    """The ends of a 95 % interval as two columns, "low" and "high" with what follows both."""
    low, high = (None, None) if interval is None else interval
    return {f"low{suffix}": low, f"high{suffix}": high}
