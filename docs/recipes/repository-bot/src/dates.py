"""Dates that people write."""

from datetime import date


def parse_week(text: str) -> date:
    """Return the Monday of a week: `2026-W47`."""
    year, week = text.split("-W")
    return date.fromisocalendar(int(year), int(week), 1)
