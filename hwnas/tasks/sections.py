"""What a task may show in the report, as data: the report makes a page of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Attributes:
        text: Plain text.
    """

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of text; the first column names them.

    Attributes:
        header: One text a column.
        rows: Texts, as many as columns.
        numeric: Columns with numbers.
        summary: Said instead of the table where it is folded away; empty where it is shown.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[int] = ()
    summary: str = ""


@dataclass(frozen=True)
class Confusion:
    """How often what is shown was taken for what.

    Attributes:
        names: Of rows and columns.
        counts: Row what is shown, column what it was taken for.
        caption: What rows and columns are.
    """

    names: Sequence[str]
    counts: Sequence[Sequence[int]]
    caption: str


@dataclass(frozen=True)
class Pictures:
    """Small pictures with their captions.

    Attributes:
        title: Above them.
        note: What they show.
        items: PNG in base64, and what is said of it.
        is_wide: Whether each is much wider than high.
    """

    title: str
    note: str
    items: Sequence[tuple[str, str]]
    is_wide: bool = False


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it.

    Attributes:
        title: The heading.
        parts: In order.
    """

    title: str
    parts: Sequence[Text | Table | Confusion | Pictures]
