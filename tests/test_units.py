"""Times and sizes as people write and read them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date

import pytest

from sessiontap import units
from sessiontap.units import UnitError

NOW = 1_750_000_000 * 10**9  # 2025-06-15T15:06:40Z


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2h", NOW - 7200 * 10**9, id="hours ago"),
        pytest.param("90s", NOW - 90 * 10**9, id="seconds ago"),
        pytest.param("1h30m", NOW - 5400 * 10**9, id="hours and minutes"),
        pytest.param("1.5d", NOW - 129_600 * 10**9, id="part of a day"),
        pytest.param("2w", NOW - 1_209_600 * 10**9, id="weeks"),
        pytest.param("2025-06-15T15:06:40Z", NOW, id="ISO in UTC"),
        pytest.param("2025-06-15T17:06:40.000001+02:00", NOW + 1000, id="ISO with offset and microsecond"),
        pytest.param("2025-06-15", 1_749_945_600 * 10**9, id="a day, local"),
        pytest.param("2025-06-15 15:06", 1_749_999_960 * 10**9, id="a minute, local"),
    ],
)
def test_since(text: str, expected: int) -> None:
    assert units.since(text, now=NOW) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2h", NOW - 7200 * 10**9, id="hours ago"),
        pytest.param("2025-06-15T15:06:40Z", NOW, id="a time"),
        pytest.param("2025-06-15", 1_750_032_000 * 10**9, id="a day is over at its end"),
        pytest.param("20250615", 1_750_032_000 * 10**9, id="a day without dashes"),
    ],
)
def test_until(text: str, expected: int) -> None:
    assert units.until(text, now=NOW) == expected


@pytest.mark.parametrize("text", ["2999-01-01", "0001-01-01", "9999-12-31", "1969-12-30", "1000000d"])
@pytest.mark.parametrize("read", [units.since, units.until])
def test_a_time_out_of_range_is_refused(read: Callable[..., int], text: str) -> None:
    with pytest.raises(UnitError, match="is out of range"):
        read(text, now=NOW)


@pytest.mark.parametrize("text", ["", "yesterday", "2", "h", "2 hours ago", "2025-13-01", "-2h"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UnitError, match="is no point in time"):
        units.since(text, now=NOW)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "-"),
        (0, "0ms"),
        (0.0004, "0.4ms"),
        (0.0123, "12ms"),
        (0.9994, "999ms"),
        (0.9996, "1.0s"),
        (3.21, "3.2s"),
        (59.94, "59.9s"),
        (59.96, "1m00s"),
        (245, "4m05s"),
        (3599.7, "1h00m"),
        (7380, "2h03m"),
        (273_600, "3d04h"),
    ],
)
def test_duration(seconds: float | None, expected: str) -> None:
    assert units.duration(seconds) == expected


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (None, "-"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KB"),
        (999_960, "1.0 MB"),
        (1_234_567, "1.2 MB"),
        (5 * 10**12, "5000.0 GB"),
    ],
)
def test_size(octets: int | None, expected: str) -> None:
    assert units.size(octets) == expected


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (None, "-"),
        (0, "$0.0000"),
        (0.00001, "<$0.0001"),
        (0.01234, "$0.0123"),
        (12.345, "$12.35"),
        (1234.5, "$1,234.50"),
    ],
)
def test_unknown_cost_is_never_shown_as_nothing(amount: float | None, expected: str) -> None:
    assert units.dollars(amount) == expected


def test_times_are_shown_in_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Etc/GMT-2")
    time.tzset()
    assert units.moment("2025-06-15T15:06:40.123456Z") == "2025-06-15 17:06:40"
    assert units.clock("2025-06-15T15:06:40.123456Z") == "17:06:40.123"
    assert units.moment(None) == "-"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-11-21 14:02:59", "14:02"),
        ("2025-11-20 14:02:59", "Nov 20"),
        ("2025-03-04 14:02:59", "Mar  4"),
        ("2024-11-21 14:02:59", "2024-11-21"),
        ("-", "-"),
    ],
    ids=["today", "this year", "a day of one digit", "another year", "unknown"],
)
def test_a_short_time_says_what_tells_it_from_others(text: str, expected: str) -> None:
    assert units.short_moment(text, date(2025, 11, 21)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-", "-"),
        ("9,999", "9,999"),
        ("12,345", "12k"),
        ("999,499", "999k"),
        ("999,500", "1.0M"),
        ("1,234,567", "1.2M"),
        ("99,949,999", "100M"),
        ("5,000,000,000", "5.0G"),
    ],
)
def test_a_short_count_has_four_characters_or_so(text: str, expected: str) -> None:
    assert units.short_count(text) == expected


@pytest.mark.parametrize(
    ("amount", "shown"), [(None, "-"), (0.0123, "~$0.0123"), (0.00001, "<$0.0001"), (0.0, "~$0.0000")]
)
def test_estimated_dollars(amount: float | None, shown: str) -> None:
    assert units.estimated_dollars(amount) == shown
