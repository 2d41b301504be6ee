"""Pictures by their numbers: marks of axes, places of bars, what is left out."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from sessiontap.ui.drawing import runs
from sessiontap.ui.drawing.columns import HEIGHT, Plot, PlotColumn, columns, ticks
from sessiontap.ui.drawing.plots import context_plot, layer_classes, money, spending_plot
from sessiontap.ui.drawing.ranges import Times, log_place, log_ticks, share
from sessiontap.ui.drawing.runs import time_step
from sessiontap.ui.drawing.svg import boxes, number, tag


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        (0, [0]),
        (1, [0, 0.5, 1]),
        (7, [0, 2, 4, 6, 8]),
        (8_611, [0, 5_000, 10_000]),
        (0.0322, [0, 0.01, 0.02, 0.03, 0.04]),
        (200_000, [0, 50_000, 100_000, 150_000, 200_000]),
    ],
)
def test_marks_are_round_and_reach_the_top(top: float, expected: list[float]) -> None:
    assert ticks(top) == pytest.approx(expected)


@pytest.mark.parametrize("top", [1e-9, 0.37, 3.3, 12, 99.9, 123_456, 5e12])
def test_there_are_few_marks(top: float) -> None:
    found = ticks(top)
    assert found[-1] >= top * (1 - 1e-9)
    assert 2 <= len(found) <= 5


@pytest.mark.parametrize(
    ("least", "expected"), [(0.0003, 0.0005), (0.9, 1), (11, 15), (70, 120), (50_000, 86_400), (100_000, 172_800)]
)
def test_marks_of_times_are_those_of_clocks(least: float, expected: float) -> None:
    assert time_step(least) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.2, 8.0], [0.1, 0.3, 1.0, 3.0, 10.0]), ([1.0], [1.0, 3.0]), ([], []), ([1e-9, 1e9], None)],
)
def test_marks_of_a_logarithmic_axis(values: list[float], expected: list[float] | None) -> None:
    found = log_ticks(values)
    assert found == expected if expected is not None else (found[0], found[-1]) == (0.001, 360_000.0)


def test_places_on_a_logarithmic_axis() -> None:
    assert [log_place(one, [0.1, 1.0, 10.0]) for one in (0.01, 0.1, 1, 10, 99)] == pytest.approx([0, 0, 0.5, 1, 1])


# Elements ------------------------------------------------------------------------------------------------------------


def test_all_that_is_written_is_escaped() -> None:
    drawn = tag("text", "<b>&", class_='"x', data_row=None, x=1.5)
    assert drawn == '<text class="&#34;x" x="1.5">&lt;b&gt;&amp;</text>'


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (12.0, "12"), (1.25, "1.25"), (0.0001, "0"), (100.0, "100"), (12.34567, "12.346")]
)
def test_places_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_many_boxes_are_one_path() -> None:
    assert boxes([(0, 10, 5, 2), (8, 0, 1, 12)]) == "M0 10h5v2h-5zM8 0h1v12h-1z"


# Columns -------------------------------------------------------------------------------------------------------------


def plot(**more: Any) -> Plot:
    given: dict[str, Any] = {"name": "p", "title": "Title", "text": "Text", "unit": str, **more}
    return Plot(**given)


def paths(svg: str) -> list[tuple[str, str]]:
    """The class and the shape of each path."""
    return re.findall(r'<path class="([^"]+)" d="([^"]*)">', svg)


def test_layers_stand_on_each_other() -> None:
    # 180 pixels are 4; two columns of 500 take 420 each.
    drawn = dict(paths(columns(plot(), [PlotColumn([1, 2], "0", "first"), PlotColumn([4, 0], "1", "second")])))
    assert drawn["c0"] == "M40 135h420v45h-420zM540 0h420v180h-420z"
    assert drawn["c1"] == "M40 45h420v90h-420z"
    assert drawn["grid"] == "M0 180h1000M0 135h1000M0 90h1000M0 45h1000M0 0h1000"


def test_a_level_is_broken_where_it_is_unknown() -> None:
    found = [PlotColumn([4], str(at), "") for at in range(4)]
    drawn = dict(paths(columns(plot(line=[2, 4, None, 1]), found)))
    assert drawn["level"] == "M0 90h250V0h250M750 135h250"


def test_a_column_leads_to_its_turn_and_says_what_it_is() -> None:
    drawn = columns(plot(chosen=0), [PlotColumn([1], "0", "step 0: <1>", "?turn=0")])
    assert '<a href="?turn=0" tabindex="-1">' in drawn
    assert "<title>step 0: &lt;1&gt;</title>" in drawn
    assert f'<rect class="chosen" x="0" y="0" width="1000" height="{HEIGHT:.0f}">' in drawn


def test_labels_below_leave_each_other_room() -> None:
    drawn = columns(plot(), [PlotColumn([1], str(at), "") for at in range(100)])
    labels = re.findall(r">(\d+)</text>", drawn.split("x-axis")[1])
    assert labels[:3] == ["0", "6", "11"]


def test_a_longer_label_takes_more_room() -> None:
    drawn = columns(plot(), [PlotColumn([1], str(10_000 + at), "") for at in range(100)])
    labels = re.findall(r'x="([\d.]+)%" y="12" text-anchor="(\w+)">\d+</text>', drawn.split("x-axis")[1])
    assert len(labels) == 8
    assert labels[0][1] == "start"
    assert all(float(after) - float(before) >= 12 for (before, _), (after, _) in itertools.pairwise(labels[1:]))


def test_a_picture_says_what_it_shows() -> None:
    drawn = columns(plot(), [])
    assert 'role="img" aria-labelledby="p-title p-text"' in drawn
    assert '<title id="p-title">Title</title><desc id="p-text">Text</desc>' in drawn


def in_context(tokens: int, window: int | None) -> str:
    """The picture of one turn."""
    column = {"step": 3, "call": "c", "input_tokens": tokens, "cache_read_tokens": 60, "window_tokens": window,
              "tokens_estimated": [tokens - 30, 30]}  # fmt: skip
    layers = {"split": "turn", "layers": ["system", "current"], "turns_in_column": 1, "columns": [column]}
    return context_plot(layers, 3, lambda **query: f"?turn={query['turn']}")


def test_the_plot_of_the_context() -> None:
    drawn = in_context(100, None)
    assert dict(paths(drawn))["level"] == "M0 72h1000"
    assert "step 3: 100 tokens, 60 read from the cache\ncurrent ~30\nsystem ~70" in drawn
    assert layer_classes(["(rest)", "Read", "Bash", "(others)"], "tool") == ["rest", "c0", "c1", "rest"]


@pytest.mark.parametrize(
    ("window", "line"),
    [
        pytest.param(200, "M0 0h1000", id="the picture reaches up to the window"),
        pytest.param(1_000, None, id="the window is far above: the picture keeps its scale"),
        pytest.param(None, None, id="the window is not known"),
    ],
)
def test_the_window_is_a_line_across_the_plot(window: int | None, line: str | None) -> None:
    drawn = in_context(100, window)
    assert dict(paths(drawn)).get("limit") == line
    assert ("of the window" in drawn) == (window is not None)


def test_the_plot_of_costs() -> None:
    spent = {
        "by": "model",
        "groups": [{"name": "opus"}, {"name": "haiku"}],
        "columns": [
            {"call": "a", "calls": 1, "step": 0, "cost_usd": [0.01, 0], "cumulative_usd": [0.01, 0]},
            {"call": "b", "calls": 1, "step": 1, "cost_usd": [0, 0.01], "cumulative_usd": [0.01, 0.01]},
        ],
    }
    drawn = spending_plot(spent, lambda *places: "/".join(places), cumulative=True)
    assert dict(paths(drawn))["c0"] == "M0 90h500v90h-500zM500 90h500v90h-500z"
    assert dict(paths(drawn))["c1"] == "M500 0h500v90h-500z"
    assert 'href="calls/b"' in drawn


@pytest.mark.parametrize(
    ("usd", "text"), [(0.05, "$0.05"), (12.0, "$12"), (1500.5, "$1,500.5"), (0.000002, "$0.000002")]
)
def test_marks_of_costs(usd: float, text: str) -> None:
    assert money(usd) == text


# Cells ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "top", "width"),
    [(5, 10, "50%"), (10, 10, "100%"), (20, 10, "100%"), (0.001, 10, "0.5%")],
    ids=["half", "all", "more", "little is seen"],
)
def test_a_share(value: float, top: float, width: str) -> None:
    assert f'width="{width}"' in share(value, top)


@pytest.mark.parametrize(("value", "top"), [(None, 10), (0, 10), (5, 0)], ids=["unknown", "nothing", "of nothing"])
def test_nothing_has_no_bar(value: float | None, top: float) -> None:
    assert share(value, top) == ""


def test_percentiles_on_an_axis() -> None:
    axis = Times([0.1, 1.0, 10.0, None])
    drawn = axis.range([1.0, 10.0])
    assert '<line class="span" x1="50%" x2="99.5%"' in drawn
    assert '<line class="middle" x1="50%"' in drawn
    assert axis.range([None, None]) == ""


@pytest.mark.parametrize("values", [[], [None, None], [0.0]], ids=["no rows", "unknown", "no time at all"])
def test_an_axis_without_times_has_no_marks(values: list[float | None]) -> None:
    axis = Times(values)
    assert (axis.axis(), axis.range(values)) == ("", "")


def test_marks_of_an_axis() -> None:
    axis = Times([0.1, 1.0, 10.0, None])
    assert re.findall(r">(\S+)</text>", axis.axis()) == ["100ms", "1.0s", "10.0s"]


# Calls in time -------------------------------------------------------------------------------------------------------

TO_SCALE = [{"from": 0.0, "to": 10.0, "at": 0.0, "size": 1.0, "squeezed": False}]
SQUEEZED = [
    {"from": 0.0, "to": 10.0, "at": 0.0, "size": 0.4, "squeezed": False},
    {"from": 10.0, "to": 310.0, "at": 0.4, "size": 0.2, "squeezed": True},
    {"from": 310.0, "to": 320.0, "at": 0.6, "size": 0.4, "squeezed": False},
]


def shown(scale: list[dict[str, Any]], begin: float = 0.0, end: float = 1000.0) -> dict[str, Any]:
    given = {"from": begin or None, "to": end if end < 1000 else None}
    return {"scale": scale, "view": {"from": begin, "to": end}, **given}


def row(**more: Any) -> dict[str, Any]:
    return {
        "start": 2.0, "duration": 4.0, "time_to_first_byte": 1.0, "time_to_first_token": 2.0, "lane": 0,
        "failed": False, "in_flight": False, "tools_before": None, **more,
    }  # fmt: skip


def rects(svg: str) -> list[tuple[str, float, float]]:
    """The class, place and width of each rectangle."""
    found = re.findall(r'<rect class="([^"]+)" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', svg)
    return [(name, float(x), float(width)) for name, x, width in found]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [("c0 wait", 2000, 1000), ("c0 first", 3000, 1000), ("c0 receives", 4000, 2000)]),
        ({"time_to_first_token": None}, [("c0 wait", 2000, 1000), ("c0 receives", 3000, 3000)]),
        ({"time_to_first_byte": None, "time_to_first_token": None}, [("c0 receives", 2000, 4000)]),
        ({"time_to_first_byte": 9.0}, [("c0 wait", 2000, 4000)]),
        ({"failed": True, "time_to_first_byte": None, "time_to_first_token": None}, [("failed receives", 2000, 4000)]),
        ({"duration": None}, [("c0 open", 2000, 14.286)]),
        ({"lane": 99, "duration": 0.001}, [("c7 wait", 2000, 14.286)]),
        (
            {"tools_before": {"tools": ["Bash"], "seconds_inferred": 1.5}, "time_to_first_byte": 4.0},
            [("tools", 500, 1500), ("c0 wait", 2000, 4000)],
        ),
    ],
    ids=["all", "no first token", "end alone", "beyond the end", "failed", "open", "a pixel at least", "tools"],
)  # fmt: skip
def test_the_bar_of_a_call(given: dict[str, Any], expected: list[tuple[str, float, float]]) -> None:
    found = shown(TO_SCALE)
    assert rects(runs.bar(found, row(**given), runs.View(found))) == expected


def test_a_zoom_shows_a_part() -> None:
    found = shown(SQUEEZED, 5.0, 315.0)
    assert runs.View(found).box == "2000 0 6000 10"


def test_the_axis_says_how_long_a_squeezed_pause_is() -> None:
    found = re.findall(r'<text x="([\d.]+)%" y="12" class="(\w+)[^"]*">([^<]+)</text>', runs.axis(shown(SQUEEZED)))
    assert ("50", "cut", "5m00s") in [(x, name, text.removeprefix("┊ ")) for x, name, text in found]
    assert [text for _, name, text in found if name == "clock"] == ["0", "5s", "5:10", "5:15"]


@pytest.mark.parametrize(
    ("seconds", "step", "text"),
    [
        (0.0, 1.0, "0"), (0.25, 0.05, "250ms"), (0.0005, 0.0005, "0.50ms"), (5.0, 1.0, "5s"), (12.5, 0.5, "12.5s"),
        (59.96, 1.0, "1:00"), (435.6, 5.0, "7:16"), (436.25, 0.05, "7:16.25"), (51_690.0, 15.0, "14:21:30"),
        (100_800.0, 3600.0, "28:00:00"),
    ],
)  # fmt: skip
def test_marks_are_as_exact_as_their_distance(seconds: float, step: float, text: str) -> None:
    assert runs.mark(seconds, step) == text


def test_phases_in_words() -> None:
    assert runs.phases(row(tools_before={"tools": ["Bash"], "seconds_inferred": 1.5})) == (
        "Bash 1.5s before (inferred); begins at 2.0s; first byte after 1.0s; first token after 2.0s; ends after 4.0s"
    )
    assert runs.phases(row(in_flight=True)).endswith("runs since 4.0s")
    assert runs.phases(row(duration=None)).endswith("its end is not known")


def test_the_strip_has_a_line_for_each_lane() -> None:
    lanes = [
        {"segments": [[0, 5]], "failures": [], "calls": 1, "seconds": 5.0},
        {"segments": [[4, 10]], "failures": [4], "calls": 2, "seconds": 6.0},
    ]
    drawn = dict(paths(runs.strip(shown(TO_SCALE, 0.0, 5.0) | {"lanes": lanes, "seconds": 10.0})))
    assert drawn["c0"] == "M0 3h5000v10h-5000z"
    assert drawn["c1"] == "M4000 19h6000v10h-6000z"
    assert drawn["failed"] == "M4000 17h14.286v14h-14.286z"
    assert drawn["outside"] == "M0 0h0v32h0zM5000 0h5000v32h-5000z"


def test_shares_of_a_whole() -> None:
    assert re.findall(r'x="([^"]+)" y="0" width="([^"]+)"', runs.shares([("a", 1.0), ("b", 0.0), ("c", 3.0)])) == [
        ("0%", "25%"),
        ("25%", "75%"),
    ]
