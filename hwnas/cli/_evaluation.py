"""The table of a model's errors."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from hwnas.cli._app import print_table


def show(title: str, summaries: Mapping[str, Mapping[str, float | None]]) -> None:
    """Print errors on measured networks, one row a split."""
    shown = Table(title=title, box=None, padding=(0, 2, 0, 0))  # fits a narrow terminal
    for heading in ("networks", "n", "MAPE", "±1 %", "±5 %", "±10 %", "Spearman", "Kendall", "in 90 %"):
        shown.add_column(heading, no_wrap=True)
    for split, item in summaries.items():
        shares = [item[name] for name in ("mape", "within_1", "within_5", "within_10")]
        ranks = [item[name] for name in ("spearman", "kendall")]
        shown.add_row(
            split,
            str(item["networks"]),
            *(f"{share:.1%}" for share in shares),
            *("–" if rank is None else f"{rank:.3f}" for rank in ranks),
            f"{item['coverage_90']:.0%}",
        )
    print_table(shown)
