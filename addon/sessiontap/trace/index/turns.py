"""The turns of a session: each call with the parts of its request and reply, and those that are new in it."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from sessiontap.part import Part
from sessiontap.trace.index.packed_ids import id_text, pack_id
from sessiontap.trace.index.parts import Placed, load, reply_list, request_list
from sessiontap.trace.index.shared_list import SharedList
from sessiontap.value_classes import dataclass

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """A call of a session, in parts."""

    call: Row
    """As `calls --json` gives it, or the part of it that `records.brief_rows` gives."""
    request: Sequence[Part]
    """All parts of the request; turns share them."""
    first_new: int
    """`request[:first_new]` stood in the same order in the request, and behind it the reply, of the call that this one
    continues."""
    reply: tuple[Part, ...]
    based_on: str | None
    """The id of that call; None if it continues none that is known."""
    is_read: bool = True
    """Its bodies have been read. If not, nothing is known of its parts: there was not the time (`Trace.read_for`)."""


def session_of(turns: Sequence[Turn]) -> Row:
    """The session that an answer about these turns, one at least, is about."""
    call = turns[0].call
    return {"session_id": call["session_id"], "session_name": call["session_name"]}


class BodiesRead(NamedTuple):
    """How far the bodies of a session have been read."""

    read: int
    """Calls whose bodies have been read."""
    calls: int
    """All calls, errands included."""

    @property
    def is_complete(self) -> bool:
        return self.read == self.calls


def bodies_read(database: sqlite3.Connection, session: int) -> BodiesRead:
    """Count the calls of a session that have been read."""
    counts = "SELECT count(call), count(*) FROM calls LEFT JOIN call_parts ON call = n WHERE session = ?"
    return BodiesRead(*database.execute(counts, (session,)).fetchone())


def turns(database: sqlite3.Connection, calls: Sequence[tuple[int, Row]]) -> list[Turn]:
    """The turns of calls with their numbers, in the order given: a call comes behind the one that it continues."""
    lists = _Lists(database, calls)
    found: list[Turn] = []
    for number, row in calls:
        request, reply = lists.request(number), lists.reply(number)
        parent = lists.number(row["parent"])
        first = 0
        if parent is not None:
            before = lists.request(parent)
            first = request.common(before)
            if first == len(before):
                first += answered(request[first:], lists.reply(parent))
        based_on = row["parent"] if parent is not None else None
        found.append(Turn(row, request, first, reply, based_on, lists.is_read(number)))
    return found


def answered(behind: Sequence[Part], reply: Sequence[Part]) -> int:
    """The number of parts at the beginning of `behind` that a reply brought, as its client sends them back.

    Clients leave reasoning out or in, and write texts with other blanks.
    """
    if not reply or not behind:
        return 0
    same, left = {(part.kind, part.id, part.text) for part in reply}, None
    for at, part in enumerate(behind):
        if part.role != "assistant":
            return at
        if part.kind != "reasoning" and (part.kind, part.id, part.text) not in same:
            left = {_words(one) for one in reply} if left is None else left
            if _words(part) not in left:
                return at
    return len(behind)


def _words(part: Part) -> tuple[str, str]:
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
        f"SELECT id, step, {id_text('conversation')}, {id_text('parent')}, errand, kinds.text, agents.text FROM calls "
        "LEFT JOIN strings AS kinds ON kinds.n = kind LEFT JOIN strings AS agents ON agents.n = subagent "
        "WHERE session = ? ORDER BY time, calls.n",
        (session,),
    )
    return [dict(zip(names, row, strict=True)) | {"errand": bool(row[4])} for row in found]


class _Lists:
    """The lists of parts of calls, each read once. Parts at one position of one content are one object."""

    def __init__(self, database: sqlite3.Connection, calls: Sequence[tuple[int, Row]]) -> None:
        """`calls`: those that are asked for, with their numbers; what is stored of them is read at once."""
        self._database = database
        self._requests: dict[int, SharedList[Part]] = {}
        self._replies: dict[int, tuple[Part, ...]] = {}
        self._placed: dict[Placed, Part] = {}
        self._tools: dict[str, str] = {}
        """The tools of calls by their ids, as replies and requests name them."""
        chosen = (json.dumps([number for number, _ in calls]),)
        within = "WHERE {} IN (SELECT value FROM json_each(?))"
        known = database.execute(f"SELECT call, base, shared FROM call_parts {within.format('call')}", chosen)
        self._bases: dict[int, tuple[int | None, int]] = {call: (base, shared) for call, base, shared in known}
        self._added: defaultdict[tuple[int, int], list[Placed]] = defaultdict(list)
        """Of those calls, by whether it is of the reply: the parts that each adds to its base."""
        question = "SELECT call, reply, part, message FROM added_parts {} ORDER BY call, reply, position"
        for call, reply, part, message in database.execute(question.format(within.format("call")), chosen):
            self._added[call, reply].append((part, message))
        self._stored = load(database, sorted({n for placed in self._added.values() for n, _ in placed}))
        self._numbers: dict[str, int | None] = {}
        for number, row in sorted(calls, key=lambda call: call[0]):
            if number in self._bases:
                self._numbers[row["id"]] = number

    def is_read(self, call: int) -> bool:
        """The parts of a call that is asked for are known."""
        return call in self._bases

    def number(self, call_id: str | None) -> int | None:
        """The number of a call whose parts have been read."""
        if call_id is None:
            return None
        if call_id not in self._numbers:
            found = self._database.execute(
                "SELECT n FROM calls JOIN call_parts ON call = n WHERE packed_id = ? ORDER BY n DESC LIMIT 1",
                (pack_id(call_id),),
            ).fetchone()
            self._numbers[call_id] = found[0] if found else None
        return self._numbers[call_id]

    def request(self, call: int) -> SharedList[Part]:
        known = self._requests.get(call)
        if known is not None:
            return known
        base, shared = self._bases.get(call, (None, 0))
        before = self._requests.get(base) if base is not None else None
        if before is not None:
            found = before.followed_by(self._parts(self._added.get((call, 0), ())), shared)
        else:
            is_whole = call in self._bases and base is None
            found = SharedList(self._parts(self._added[call, 0] if is_whole else request_list(self._database, call)))
        self._requests[call] = found
        return found

    def reply(self, call: int) -> tuple[Part, ...]:
        known = self._replies.get(call)
        if known is None:
            placed = self._added.get((call, 1), ()) if call in self._bases else reply_list(self._database, call)
            known = self._replies[call] = tuple(self._parts(placed))
        return known

    def _parts(self, placed: Sequence[Placed]) -> list[Part]:
        known, stored, tools, found = self._placed, self._stored, self._tools, list[Part]()
        if missing := {n for n, _ in placed if n not in stored}:
            stored.update(load(self._database, sorted(missing)))
        for one in placed:
            part = known.get(one)
            if part is None:
                kind, role, text, size, name, id, error = stored[one[0]]
                if id and name and kind == "tool_call":
                    tools.setdefault(id, name)
                elif id and name is None and kind == "tool_result":
                    name = tools.get(id)
                part = known[one] = Part(kind, role, one[1], text, size, name, id, error)
            found.append(part)
        return found
