"""A session's picture is to scale, and says where it is not."""

from __future__ import annotations

import pytest

from sessiontap.cli.timeline import SECOND, CallTimes, Scale, TimelinePiece, lines, scale

HOUR = 3600 * SECOND


def call(label: str, start: float, end: float | None, token: float | None = None, failed: bool = False) -> CallTimes:
    """A call from `start` to `end`, in seconds."""
    first = None if token is None else round(token * SECOND)
    return CallTimes(label, round(start * SECOND), None if end is None else round(end * SECOND), first, failed=failed)


def picture(*spans: CallTimes, room: int = 60) -> list[str]:
    return [one.text for one in lines(spans, room)]


def test_what_ran_at_once_stands_one_above_the_other() -> None:
    assert picture(
        CallTimes("/plan", 0, 10 * SECOND, is_call=False),
        call("├─ a", 0, 4, token=1),
        call("├─ b", 2, 10),
        call("└─ c", 2, 7, failed=True),
    ) == [
        "       0                      5.0s",
        "/plan  ├────────────────────────────────────────────┤  10.0s",
        "├─ a   ░░░░███████████████                              4.0s",
        "├─ b            █████████████████████████████████████   8.0s",
        "└─ c            xxxxxxxxxxxxxxxxxxxxxxxx                5.0s",
        "",
        "each column is 217ms; ░ until the first token, █ running, x failed",
    ]


def test_a_long_pause_is_cut_and_said() -> None:
    assert picture(call("a", 0, 4), call("b", 3600, 3605), call("c", 3606, 3607), call("d", 90_000, 90_001)) == [
        "   0               ┊1h00m              1h00m   ┊",
        "a  ████████████████┊                           ┊      4.0s",
        "b                  ┊████████████████████       ┊      5.0s",
        "c                  ┊                       ████┊      1.0s",
        "d                  ┊                           ┊████  1.0s",
        "",
        "each column is 255ms; █ running",
        "┊ 2 pauses without a call are cut: 59m56s, 23h59m",
    ]


@pytest.mark.parametrize(
    ("spans", "pieces"),
    [
        pytest.param([call("a", 0, 60), call("b", 100, 160)], 1, id="a pause, but calls take more than half"),
        pytest.param([call(str(at), at, at + 0.1) for at in range(20)], 1, id="many pauses, none of them long"),
        pytest.param([call("a", 0, 0), call("b", 9, 9)], 1, id="calls that took no time"),
        pytest.param([call("a", 0, 1), call("b", 0.5, 900), call("c", 901, 902)], 1, id="a call is no pause"),
        pytest.param([call("a", 0, 1), call("b", 100, 101)], 2, id="a long one"),
        pytest.param([call("a", 0, None), call("b", 100, 101)], 2, id="after a call of unknown end"),
    ],
)
def test_pauses_that_are_cut(spans: list[CallTimes], pieces: int) -> None:
    assert len(scale(spans, 50).pieces) == pieces


@pytest.mark.parametrize(
    ("span", "drawn"),
    [
        pytest.param(call("a", 0, 1), "█" * 55, id="one call takes all of the room"),
        pytest.param(call("a", 5, 5), "▏", id="no time at all"),
        pytest.param(call("a", 5, None), "?", id="not over"),
        pytest.param(call("a", 0, 1, token=9), "░" * 54 + "█", id="a token after the end: told by another clock"),
    ],
)
def test_a_call_alone(span: CallTimes, drawn: str) -> None:
    assert picture(span, room=64)[1][3:].split("  ")[0] == drawn


def test_every_line_has_the_same_width_and_fits() -> None:
    spans = [call(f"call number {at} of a long name", at**3, at**3 + 1 + at % 3) for at in range(40)]
    for room in (40, 80, 100, 200):
        widths = {len(one) for one in picture(*spans, room=room)[1:41]}
        assert len(widths) == 1
        assert max(widths) <= room


def test_columns_are_in_proportion() -> None:
    spans = [call("a", 0, 100), call("b", 100, 150), call("c", 150, 160), call("d", 160, 200)]
    counts = [one.count("█") for one in picture(*spans, room=211)[1:5]]
    assert counts == pytest.approx([100, 50, 10, 40], abs=1)


def test_nothing_is_no_picture() -> None:
    assert picture() == []


def test_a_time_behind_the_picture_is_in_its_last_column() -> None:
    """A log may say that the first token came after the end."""
    picture = Scale([TimelinePiece(0, 100, 0, 10)], 10.0)

    assert (picture.column(50), picture.column(1 << 60), picture.column(1 << 60, is_end=True)) == (5, 9, 9)
