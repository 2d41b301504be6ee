"""Scores as they are shown: a star, then each score by its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

STAR = "★"


def any_of(rows: Iterable[Mapping[str, Any]]) -> bool:
    """Return True if a session or call of these rows has a score, a star, or calls with scores."""
    return any(row["starred"] or row["scores"] or row.get("call_scores") for row in rows)


def of_call(row: Mapping[str, Any]) -> str:
    """`★, helpful 0.8, correct yes`."""
    return ", ".join([*([STAR] if row["starred"] else []), *own(row)])


def of_session(row: Mapping[str, Any]) -> str:
    """The same, and the means of its calls' scores behind it: `helpful 0.8, mean correct 0.5 of 2`."""
    return ", ".join([*([STAR] if row["starred"] else []), *own(row), *_means(row["call_scores"])])


def own(row: Mapping[str, Any]) -> list[str]:
    """`helpful 0.8` for each score."""
    return [f"{name} {value(one)}" for name, one in row["scores"].items()]


def means(scores: Mapping[str, Any]) -> str:
    """`mean helpful 0.75 of 3`."""
    return ", ".join(_means(scores))


def _means(scores: Mapping[str, Any]) -> list[str]:
    return [f"mean {name} {value(one['mean'])} of {one.get('calls', one.get('count'))}" for name, one in scores.items()]


def value(given: Any) -> str:
    """A score's value: `0.8`, `yes`, `good`."""
    if isinstance(given, bool):
        return "yes" if given else "no"
    return f"{given:.4g}" if isinstance(given, float) else str(given)


def of_score(one: Mapping[str, Any]) -> str:
    """A score of `Trace.query_scores`: `helpful 0.8 (missed one file)`; a star, or a note alone."""
    if one["name"] is None:
        return str(one["note"])
    text = STAR if one["name"] == "star" else f"{one['name']} {value(one['value'])}"
    return f"{text} ({one['note']})" if one["note"] else text
