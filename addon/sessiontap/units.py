"""Times, durations, sizes and counts as people write and read them: on a terminal, on a page, in a rules file.

Times come as ISO 8601 in UTC, durations as seconds; what is unknown is None and shown as `-`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

UNKNOWN = "-"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PART_NAMES = {
    "input": "input",
    "cache_read": "read from cache",
    "cache_write": "written to cache",
    "output": "output",
    "other": "other",
}
"""The parts of a cost, as `trace.views.COST_PARTS` has them."""

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART = r"([0-9]+(?:\.[0-9]+)?)\s*(ms|[smhdw])"
_LATEST = 1 << 62
"""Unix nanoseconds: until 2116, as in the log."""
_DAY = re.compile(r"\d{4}-?\d{2}-?\d{2}|\d{4}-?W\d{2}(-?\d)?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*((?:[kmgt]i?)?b?)", re.IGNORECASE)


class UnitError(ValueError):
    """A text that is no time, age or size; `hint` says how one is written."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def seconds(text: str) -> float | None:
    """A duration as `500ms`, `90s`, `1h30m`, `1.5d`: the sum of its parts; None if the text is none."""
    if re.fullmatch(rf"(?:{_PART}\s*)+", text) is None:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in re.findall(_PART, text))


def since(text: str, now: int | None = None) -> int:
    """A point in time, Unix nanoseconds: `2h`, `1h30m` ago, or an ISO date or time, local unless it says otherwise.

    Raises UnitError if it is neither, or out of range.
    """
    return _point(text, now, days=0)


def until(text: str, now: int | None = None) -> int:
    """As `since`; a date is the end of its day."""
    return _point(text, now, days=1 if _DAY.fullmatch(text.strip()) else 0)


def _point(text: str, now: int | None, days: int) -> int:
    wanted = text.strip()
    ago = seconds(wanted)
    if ago is not None:
        return _in_range((time.time_ns() if now is None else now) - round(ago * 1e9), text)
    try:
        then = datetime.fromisoformat(wanted)
    except ValueError:
        raise UnitError(
            f"{text!r} is no point in time", "write `2h`, `1h30m`, `3d`, `2025-06-01` or `2025-06-01T14:30:00Z`"
        ) from None
    try:
        whole = (then.replace(microsecond=0) + timedelta(days=days)).timestamp()
    except (OverflowError, OSError, ValueError):
        whole = -1
    return _in_range(int(whole) * 10**9 + then.microsecond * 1000, text)


def _in_range(nanoseconds: int, text: str) -> int:
    if not 0 <= nanoseconds < _LATEST:
        raise UnitError(f"{text!r} is out of range", "write a time between the years 1970 and 2115")
    return nanoseconds


def age(text: str, now: int | None = None) -> int:
    """As `since`, for what is older than it: a point in time that is over. Raises UnitError."""
    now = time.time_ns() if now is None else now
    try:
        then = since(text, now)
    except UnitError as error:
        raise UnitError(f"{text!r} is no age", error.hint) from None
    if then > now:
        raise UnitError(f"{text!r} is still to come", "write how long ago, such as `30d`, or a date that is over")
    return then


def octets(text: str) -> int:
    """Bytes: `500MB`, `1.5 GB`, `64KiB`, `1000`. Raises UnitError."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UnitError(f"{text!r} is no size", "write `500MB`, `2GB`, `64KiB` or a number of bytes")
    number, unit = found.groups()
    power = "kmgt".find(unit[:1].lower()) + 1 if unit else 0
    return round(float(number) * (1024.0 if "i" in unit.lower() else 1000.0) ** power)


def moment(iso: str | None) -> str:
    """An ISO time as local date and time, to the second."""
    if iso is None:
        return UNKNOWN
    return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def short_moment(text: str, today: date | None = None) -> str:
    """The short form of `moment`'s text: `14:02` if it is of today, else `Nov 20`, or `2024-11-20` of another year."""
    try:
        then = datetime.strptime(text, "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return text
    now = today or date.today()
    if then.date() == now:
        return f"{then:%H:%M}"
    return f"{_MONTHS[then.month - 1]} {then.day:2}" if then.year == now.year else f"{then:%Y-%m-%d}"


def clock(iso: str | None) -> str:
    """An ISO time as local time of day, to the millisecond."""
    if iso is None:
        return UNKNOWN
    return datetime.fromisoformat(iso).astimezone().strftime("%H:%M:%S.%f")[:-3]


def day_and_clock(nanoseconds: int) -> str:
    """Unix nanoseconds as local date and time, to the second."""
    return datetime.fromtimestamp(nanoseconds // 10**9, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float | None) -> str:
    """`412ms`, `3.2s`, `4m05s`, `2h03m`, `3d04h`."""
    if seconds is None:
        return UNKNOWN
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms" if seconds >= 0.0095 or seconds == 0 else f"{seconds * 1000:.1f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02}h"


def elapsed(iso: str, now: float | None = None) -> float:
    """The seconds since an ISO time, 0 if it is to come; `now` in Unix seconds."""
    return max((time.time() if now is None else now) - datetime.fromisoformat(iso).timestamp(), 0.0)


def size(octets: int | None) -> str:
    """`812 B`, `3.4 KB`, `1.2 MB`: powers of 1000."""
    if octets is None:
        return UNKNOWN
    if octets < 1000:
        return f"{octets} B"
    value = float(octets)
    for unit in ("KB", "MB", "GB"):
        value /= 1000
        if value < 999.95 or unit == "GB":
            return f"{value:.1f} {unit}"
    raise AssertionError("unreachable")


def count(number: int | None) -> str:
    """`1,234`."""
    return UNKNOWN if number is None else f"{number:,}"


def short_count(text: str) -> str:
    """The short form of `count`'s text: `12k`, `1.2M`. Below ten thousand it stays."""
    digits = text.replace(",", "")
    if not digits.isdigit() or int(digits) < 10_000:
        return text
    value = int(digits) / 1000
    for unit in "kMG":
        if value < 999.5 or unit == "G":
            return f"{value:.1f}{unit}" if value < 9.95 else f"{value:,.0f}{unit}"
        value /= 1000
    raise AssertionError("unreachable")


def estimated(number: int | None) -> str:
    """`~1,234`: a number that nobody counted."""
    return UNKNOWN if number is None else f"~{number:,}"


def dollars(amount: float | None) -> str:
    """`$0.0123`: four places below ten dollars, two above. A small amount is never shown as zero."""
    if amount is None:
        return UNKNOWN
    if 0 < amount < 0.0001:
        return "<$0.0001"
    return f"${amount:.4f}" if amount < 10 else f"${amount:,.2f}"


def dollars_by_part(parts: Mapping[str, float] | None) -> str:
    """`input $0.01, output $0.02`: the parts of a cost that are not 0; empty if it is but one amount."""
    amounts = [f"{_PART_NAMES[name]} {dollars(usd)}" for name, usd in (parts or {}).items() if usd]
    return ", ".join(amounts) if len(amounts) > 1 else ""


def estimated_dollars(amount: float | None) -> str:
    """`~$0.0123`: an amount of which a share was estimated."""
    shown = dollars(amount)
    return f"~{shown}" if shown.startswith("$") else shown


def exact_dollars(amount: float) -> str:
    """`$0.00045`: all places, two at least."""
    whole, _, places = f"{amount:,.12f}".partition(".")
    return f"${whole}.{places.rstrip('0'):0<2}"


def tokens_in(number: int | None) -> str:
    """`1 token in`, `1,234 tokens in`."""
    return f"{count(number)} token{'' if number == 1 else 's'} in"


def plural(number: int, one: str, many: str | None = None) -> str:
    """`1 call`, `3 calls`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
