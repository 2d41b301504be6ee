"""Long pauses take half of the picture at most, by one length that follows from them."""

from __future__ import annotations

import pytest

from sessiontap.analysis.time_scale import MOST_SQUEEZED, Stretch, time_scale, united


def test_without_squeezing_places_are_to_scale() -> None:
    scale = time_scale([(0.0, 2.0), (8.0, 10.0)], squeeze=False)
    assert [scale.place(time) for time in (0, 1, 5, 10)] == pytest.approx([0, 0.1, 0.5, 1])


def test_pauses_shorter_than_the_calls_stay() -> None:
    scale = time_scale([(0.0, 4.0), (6.0, 10.0)], squeeze=True)
    assert scale.pieces == [Stretch(0.0, 10.0, 0.0, 1.0)]


def test_a_long_pause_takes_as_much_as_the_calls() -> None:
    scale = time_scale([(0.0, 2.0), (100.0, 102.0)], squeeze=True)
    assert [(one.begin, one.end, one.squeezed) for one in scale.pieces] == [
        (0.0, 2.0, False),
        (2.0, 100.0, True),
        (100.0, 102.0, False),
    ]
    assert [scale.place(time) for time in (0, 2, 51, 100, 102)] == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_short_pauses_keep_their_length_and_long_ones_share_the_rest() -> None:
    # Calls take 12 s, pauses 2, 20 and 300 s: 2 + 5 + 5 s are drawn.
    busy = [(0.0, 3.0), (5.0, 8.0), (28.0, 31.0), (331.0, 334.0)]
    scale = time_scale(busy, squeeze=True)
    assert [(one.begin, one.end) for one in scale.pieces if one.squeezed] == [(8.0, 28.0), (31.0, 331.0)]
    assert [round(one.size * 24, 6) for one in scale.pieces] == [8, 5, 3, 5, 3]


def test_calls_that_take_no_time_leave_nothing_to_squeeze_for() -> None:
    scale = time_scale([(0.0, 0.0), (10.0, 10.0)], squeeze=True)
    assert [scale.place(time) for time in (0, 5, 10)] == [0, 0.5, 1]


def test_a_scale_stays_short() -> None:
    busy = [(float(at), at + 0.001) for at in range(0, 10_000, 10)]
    scale = time_scale(busy, squeeze=True)
    assert len(scale.pieces) <= 2 * MOST_SQUEEZED + 1
    assert scale.pieces[-1].at + scale.pieces[-1].size == pytest.approx(1)


@pytest.mark.parametrize(
    ("time", "place"), [(-5.0, 0.0), (15.0, 1.0)], ids=["before the first call", "behind the last one"]
)
def test_what_is_outside_stands_at_the_border(time: float, place: float) -> None:
    assert time_scale([(0.0, 10.0)], squeeze=True).place(time) == place


def test_a_session_without_calls_has_a_scale() -> None:
    assert time_scale([], squeeze=True).place(3.0) == 0


def test_what_overlaps_or_touches_is_one_time() -> None:
    assert united([(5, 7), (0, 2), (2, 3), (6, 9), (1, 2)]) == [(0, 3), (5, 9)]
