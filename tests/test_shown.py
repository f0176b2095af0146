"""What verbs give shows itself: in a console, a terminal, a notebook and a data frame."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

import hwnas
from hwnas import api
from hwnas.device import Target
from hwnas.latency.evaluate import Evaluation
from hwnas.latency.lookup import Lookup
from hwnas.runs.adapting import AdaptRecord, AdaptStep
from hwnas.runs.compared import ComparedNetwork, ComparedQuality, ComparedVariant, SeedSpread
from hwnas.runs.comparison import ComparisonAsked, ComparisonRecord
from hwnas.search.session import SearchStep
from hwnas.shown import Display, Shown, ShownTable
from hwnas.statistics.metric import ACCURACY
from hwnas.statistics.verdict import Verdict
from hwnas.tables.table import LatencyTable, Round

TARGET = Target("host", "litert", "int8")
SLOW = Verdict("FAIL", ("latency must be at most 2 ms, but is at least <3> [ms]",))


def table() -> LatencyTable:
    good = [Round("block_a", "block", "s", n, (1.0 + n / 100,), (1.0,)) for n in range(8)]
    bad = Round("block_b", "block", "s", 0, (), failed="it is <odd> [red]")
    return LatencyTable(TARGET, {}, [*good, bad])


def fitted() -> Lookup:
    errors = Evaluation(
        *(2, 0.1, 0.1, 0.2, 0.0, 0.5, 1.0, None, None, 1.0),
        *(("net:a", "net:b"), (1.0, 2.0), (1.1, 2.1), (0.1, 0.2)),
    )
    return Lookup(TARGET, {}, "0" * 64, evaluation={"heldout": errors})


def comparison() -> ComparisonRecord:
    spread = SeedSpread(0.9, None, (0.9,))
    quality = ComparedQuality(spread, SeedSpread(0.0, None, (0.0,)), 100, (0.8, 0.95))
    variant = ComparedVariant("litert-int8", quality, 3.5, (3.0, 4.0), 1.0, budget_ms=2.0, on_budget=SLOW)
    return ComparisonRecord("found", (ComparedNetwork("found", 1e6, quality, (variant,)),), ComparisonAsked())


def adapted() -> AdaptRecord:
    whole = AdaptStep("as it is", "net <1>", TARGET, 4.0, None, "noisy", False)
    less = AdaptStep("widths", "net, 60 %", TARGET, 1.9, (1.8, 1.95), "stable", True, 0.8, (0.7, 0.9), 96)
    return AdaptRecord("net", TARGET, 2.0, "2", 0, ACCURACY, 100, (whole, less), 1, 9.0)


@pytest.mark.parametrize(
    ("result", "said", "columns"),
    [
        (table(), ("block_a", "1.035 ms", "block_b: it is <odd> [red]"), {"key", "latency_ms", "p90_ms"}),
        (
            fitted(),
            (
                "heldout",
                "off by 10.0% in the mean on 2",
            ),
            {"low_predicted_ms"},
        ),
        (comparison(), ("litert-int8", "90.0%", "3.5 ms", "3–4", "FAIL"), {"low_accuracy", "latency_ms"}),
        (
            adapted(),
            ("net, 60 %", "1.9 ms", "not proven", "taken: net"),
            {"resolution_px", "low_val_accuracy"},
        ),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_result_shows_itself(result, said, columns):
    assert isinstance(result, ShownTable)
    console = Console(width=250, file=io.StringIO(), record=True)
    console.print(result)
    in_terminal, in_notebook = console.export_text(), result._repr_html_()
    for text in said:
        assert text in repr(result)
        assert text in in_terminal
        assert text.replace("<", "&lt;").replace(">", "&gt;") in in_notebook
    assert str(result) == repr(result)
    frame = result.to_pandas()
    assert len(frame) == len(result.flat())
    assert columns <= set(frame)


def test_columns_of_a_data_frame_are_numbers_and_empty_where_nothing_is_known():
    frame = table().to_pandas().set_index("key")
    assert (
        frame.loc["block_a", "low_ms"]
        <= frame.loc["block_a", "latency_ms"]
        <= frame.loc["block_a", "high_ms"]
    )
    assert frame["latency_ms"].isna().tolist() == [False, True]
    steps = adapted().to_pandas()
    assert steps["taken"].tolist() == [False, True]
    assert steps["resolution_px"].isna().tolist() == [True, False]


def test_a_long_table_is_cut_short_and_says_so():
    view = Display("many", ("a",), [(str(n),) for n in range(30)], tuple(map(str, range(100, 125))))
    assert "19" in view.text()
    assert "\n20\n" not in view.text()
    assert "… and 10 more: to_pandas() has all" in view.text()
    assert view.text().endswith("119\n… and 5 more")
    assert "<td>20</td>" not in view.html()


def test_what_has_no_rows_is_a_line():
    assert Display("nothing").text() == "nothing"
    assert Display("<b>").html() == "<p>&lt;b&gt;</p>"
    assert repr(replace(comparison(), networks=())) == "found beside known networks"


def test_results_of_all_verbs_show_themselves():
    """By the annotations of the functions; a training, an export and a search are shown in test_api.py."""
    import typing

    from hwnas.annotations import _Public

    for name in set(api.__all__) - {"Exported", "Found", "Trained"}:
        function = getattr(api, name)
        found = typing.get_type_hints(function, localns=_Public(vars(sys.modules[function.__module__])))
        given = found["return"]
        kind = typing.get_args(given)[-1] if typing.get_args(given) else given
        assert issubclass(kind, Shown), name
        assert issubclass(kind, ShownTable) or name == "import_model"


def test_what_is_told_on_the_way_prints_as_a_line():
    step = SearchStep(phase="warm-up", step=3, steps=10, loss=[0.5, 0.1], eta_s=7.2)
    assert str(step) == "warm-up 3/10  loss 0.500  about 8 s left"
    assert step["loss"] == [0.5, 0.1]
    assert str(hwnas.Progress(TARGET, "export", 2, 5)) == "host/litert-int8: export 2/5"
    epoch = hwnas.EpochRecord(2, 0.31, 0.8, 0.75, 0.4, 0.01, 1.25, epochs=9)
    assert str(epoch) == "epoch 2/9  loss 0.310  validation 75.00%  1.2 s"


def test_a_result_needs_neither_rich_nor_pandas_nor_torch():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from test_shown import table; repr(table());"
        "print(sorted({'torch'} & sys.modules.keys()))"
    )
    words = [sys.executable, "-c", code, str(Path(__file__).parent)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
