"""Session paths: `/Course-Plan/outline-gpt-4o`.

Levels are what the template's own slashes part; a slash inside a value (`openai/gpt-4o`) is no level. In a level
letters, digits and `_ . -` stay, every run of others becomes one `-`. A path starts with `/` and does not end with one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from sessiontap.rules.scope import Scope

OTHERS = re.compile(r"[^\w.\-]+")


def slug(level: str) -> str:
    """One level: `Course Plan` -> `Course-Plan`."""
    return OTHERS.sub("-", unicodedata.normalize("NFC", level))


def path_of(pieces: Iterable[tuple[str, bool]]) -> str:
    """Rendered pieces of a template, each with whether it is a value, as a path."""
    text = "".join(piece.replace("/", " ") if is_value else piece for piece, is_value in pieces)
    return "/" + "/".join(slug(level) for level in text.split("/") if level)


def default_path(scope: Scope) -> str:
    """`/main` and `/main/<subagent>` for known agents, else, and for what they ask of no model, `/<operation>`."""
    if scope.agent is None or scope.operation == "other":
        return "/" + slug(scope.operation or "other")
    return "/main" if scope.subagent is None else f"/main/{slug(scope.subagent)}"
