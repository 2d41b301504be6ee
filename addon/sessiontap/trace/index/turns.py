"""The turns of a session: each call with the parts of its request and reply, and those that are new in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sessiontap.part import Part
from sessiontap.trace.index.parts import Placed, common, load, reply_list, request_list

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """A call of a session, in parts."""

    call: Row
    """As `calls --json` gives it."""
    request: tuple[Part, ...]
    """All parts of the request; turns share them."""
    first_new: int
    """`request[:first_new]` stood in the same order in the request, and behind it the reply, of the call that this one
    continues."""
    reply: tuple[Part, ...]
    based_on: str | None
    """The id of that call; None if it continues none that is known."""


def session_of(turns: Sequence[Turn]) -> Row:
    """The session that an answer about these turns, one at least, is about."""
    call = turns[0].call
    return {"session_id": call["session_id"], "session_name": call["session_name"]}


def turns(database: sqlite3.Connection, calls: Sequence[tuple[int, Row]]) -> list[Turn]:
    """The turns of calls with their numbers, in the order given: a call comes behind the one that it continues."""
    lists = _Lists(database)
    found: list[Turn] = []
    for number, row in calls:
        request, reply = lists.request(number), lists.reply(number)
        parent = lists.number(row["parent"])
        first = 0
        if parent is not None:
            before = lists.request(parent)
            first = common([n for n, _ in request], [n for n, _ in before])
            if first == len(before):
                first += answered(lists.parts(request[first:]), lists.parts(lists.reply(parent)))
        found.append(
            Turn(
                row,
                tuple(lists.parts(request)),
                first,
                tuple(lists.parts(reply)),
                row["parent"] if parent is not None else None,
            )
        )
    return found


def answered(behind: Sequence[Part], reply: Sequence[Part]) -> int:
    """The number of parts at the beginning of `behind` that a reply brought, as its client sends them back.

    Clients leave reasoning out or in, and write texts with other blanks.
    """
    left = {_said(part) for part in reply}
    if not left:
        return 0
    for at, part in enumerate(behind):
        if part.role != "assistant" or (part.kind != "reasoning" and _said(part) not in left):
            return at
    return len(behind)


def _said(part: Part) -> tuple[str, str]:
    """The words by which a part of a reply is known in the next request."""
    if part.kind == "tool_call":
        return part.kind, part.id or f"{part.name}\0{''.join((part.text or '').split())}"
    return part.kind, "".join((part.text or "").split())


def links(database: sqlite3.Connection, session: int) -> list[Row]:
    """The calls of a session, oldest first, with the keys of `calls --json` that say where each belongs.

    A list of them is quick to make: 10,000 in some 30 ms.
    """
    names = ("id", "step", "conversation", "parent", "errand", "kind", "subagent")
    found = database.execute(
        "SELECT id, step, conversation, parent, errand, kinds.text, agents.text FROM calls "
        "LEFT JOIN strings AS kinds ON kinds.n = kind LEFT JOIN strings AS agents ON agents.n = subagent "
        "WHERE session = ? ORDER BY time, calls.n",
        (session,),
    )
    return [dict(zip(names, row, strict=True)) | {"errand": bool(row[4])} for row in found]


class _Lists:
    """The lists of parts of calls, each read once, and the parts in them."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._requests: dict[int, list[Placed]] = {}
        self._replies: dict[int, list[Placed]] = {}
        self._stored: dict[int, Part] = {}
        self._placed: dict[Placed, Part] = {}
        self._tools: dict[str, str] = {}
        """The tools of calls by their ids, as replies and requests name them."""

    def number(self, call_id: str | None) -> int | None:
        """The number of a call whose parts have been read."""
        if call_id is None:
            return None
        found = self._database.execute(
            "SELECT n FROM calls JOIN call_parts ON call = n WHERE id = ? ORDER BY n DESC LIMIT 1", (call_id,)
        ).fetchone()
        return found[0] if found else None

    def request(self, call: int) -> list[Placed]:
        if call not in self._requests:
            self._requests[call] = self._grown(call)
        return self._requests[call]

    def _grown(self, call: int) -> list[Placed]:
        row = self._database.execute("SELECT base, shared FROM call_parts WHERE call = ?", (call,)).fetchone()
        if row is None or row[0] not in self._requests:
            return request_list(self._database, call)
        question = "SELECT part, message FROM added_parts WHERE call = ? AND reply = 0 ORDER BY position"
        return [*self._requests[row[0]][: row[1]], *self._database.execute(question, (call,))]

    def reply(self, call: int) -> list[Placed]:
        if call not in self._replies:
            self._replies[call] = reply_list(self._database, call)
        return self._replies[call]

    def parts(self, placed: Sequence[Placed]) -> list[Part]:
        """The parts of a list; those at one position of one content are one object."""
        missing = {n for n, _ in placed if n not in self._stored}
        if missing:
            self._stored.update(load(self._database, sorted(missing)))
        return [self._placed.get(one) or self._place(one) for one in placed]

    def _place(self, placed: Placed) -> Part:
        number, message = placed
        part = self._stored[number]
        if part.kind == "tool_call" and part.id and part.name:
            self._tools.setdefault(part.id, part.name)
        name = part.name
        if part.kind == "tool_result" and name is None and part.id:
            name = self._tools.get(part.id)
        if message is not None or name != part.name:
            part = replace(part, message=message, name=name)
        self._placed[placed] = part
        return part
