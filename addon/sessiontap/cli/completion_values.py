"""The values of arguments and options that a shell completes: sessions, calls, paths, models, ... of the trace log.

Whatever goes wrong, a shell is told nothing: it asks at each press of a key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from sessiontap import private

if TYPE_CHECKING:
    from sessiontap.trace.index.completion import Candidate, IndexAsItStands

NEWEST = 9
"""Sessions or calls that are offered as `@1`, `@2`, ..."""


def candidates(what: str, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
    """The candidates for one of `FILTER_COLUMNS` or `_OTHERS`; none if there is no log, or it cannot be read."""
    from sessiontap.trace.index.completion import IndexAsItStands
    from sessiontap.trace.index.filter_columns import FILTER_COLUMNS

    try:
        with closing(IndexAsItStands(_folder(ctx))) as index:
            texts = FILTER_COLUMNS.get(what)
            found = index.texts(texts) if texts is not None else _OTHERS[what](index, incomplete)
            fitting = [one for one in found if one.text.startswith(incomplete)]
    except Exception:
        return []
    return [CompletionItem(one.text, help=_on_one_line(one.about)) for one in fitting]


def _folder(ctx: click.Context) -> Path:
    from sessiontap.trace.folders import read_together

    found: Path | None = ctx.params.get("trace")
    if found is not None:
        return found
    named = [one.expanduser() for one in ctx.find_root().params.get("trace") or ()]
    return read_together(named) if named else private.home() / "trace"


def _on_one_line(text: str) -> str | None:
    """A description as a shell may show it."""
    return "".join(one if one.isprintable() else " " for one in text)[:80] or None


def _newest(index: IndexAsItStands, about: Callable[[int], list[str]]) -> list[Candidate]:
    """`@1`, `@2`, ...; what they are is not said if it may be another by now."""
    from sessiontap.trace.index.completion import Candidate

    current = index.is_current
    return [Candidate(f"@{n}", text if current else "") for n, text in enumerate(about(NEWEST), 1)]


def _sessions(index: IndexAsItStands, incomplete: str) -> Iterable[Candidate]:
    if incomplete[:1] in ("", "@"):
        return _newest(index, index.newest_sessions)
    return index.sessions(incomplete)


def _calls(index: IndexAsItStands, incomplete: str) -> Iterable[Candidate]:
    session, slash, _ = incomplete.rpartition("/")
    if slash:
        return _steps(index, session)
    if incomplete[:1] in ("", "@"):
        return _newest(index, index.newest_calls)
    return [*index.calls(incomplete), *index.sessions(incomplete)]


def _either(index: IndexAsItStands, incomplete: str) -> Iterable[Candidate]:
    """Sessions or calls, where `@1` means a session first."""
    if "/" in incomplete or incomplete[:1] not in ("", "@"):
        return _calls(index, incomplete)
    return _sessions(index, incomplete)


def _steps(index: IndexAsItStands, session: str) -> list[Candidate]:
    return [one._replace(text=f"{session}/{one.text}") for one in index.steps(session)]


_OTHERS: dict[str, Callable[[IndexAsItStands, str], Iterable[Candidate]]] = {
    "session": _sessions,
    "call": _calls,
    "call or session": _either,
    "scores": lambda index, _: index.scores(),
    "properties": lambda index, incomplete: index.properties(incomplete),
    "machine": lambda index, _: index.machines(),
    "process": lambda index, _: index.processes(),
    "status": lambda index, _: index.statuses(),
}
