"""The place of a request in the recording: the conversation of one agent that it goes on with, its **lane**.

Parallel sub-agents, and processes that run at the same time, keep their own places. The recording's side is known: a
record names its conversation and the call that it continues (`sessions.links`). The live side is found here, by what
earlier answers gave:

1. an id of an earlier reply that the request names;
2. its history, which begins with that of an earlier request and goes on with the reply to it;
3. the ids of tool calls that an earlier answer gave, in the history or before a result, unless several lanes were
   given the same: some servers count them anew in each reply (`call_0`);
4. the WebSocket that it came on.

If none is known, the request opens a lane. Which one, its process tells, then its prompt and first message. Pids are
never the recorded ones: a live process stands for the recorded one whose call it asked for first.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sessiontap.analysis.recorded_call import read
from sessiontap.replay.api import Api
from sessiontap.replay.canonical import CanonicalRequest
from sessiontap.replay.canonicalizer import Canonicalizer, shown, spoken_digest
from sessiontap.replay.question import LiveRequest
from sessiontap.replay.recording import Exchange
from sessiontap.trace import BodyError

_BESIDE = ("auxiliary", "subagent")
"""Kinds of calls that go on with no lane although they name a parent."""
_GOES_ON = ("continue", "retry", "branch", "parallel")
_ALIKE = 0.3
"""Share of the words of two openings that makes one a new version of the other."""
_LOOKED_AT = 20_000
"""Characters of an opening."""
_DEEPEST = 40
_WORD = re.compile(r"\w+")


class Lanes:
    """The lanes of a recording, and the places in them that a replay has come to. For one thread."""

    def __init__(self, recording: Sequence[Exchange], forms: Canonicalizer) -> None:
        self._forms = forms
        self.tool_call_ids = _of_one_lane(recording)
        """The ids of tool calls that the replies of one lane alone gave."""
        self._words: dict[str, frozenset[str]] = {}
        self._spoken: dict[str, bytes | None] = {}
        known = {one.id for one in recording}
        self._lanes: dict[str, list[Exchange]] = defaultdict(list)
        self._next: dict[str, list[Exchange]] = defaultdict(list)
        self._openings: list[Exchange] = []
        for one in recording:
            if one.conversation is None:
                continue
            self._lanes[one.conversation].append(one)
            if one.parent in known and one.kind in _GOES_ON:
                self._next[one.parent or ""].append(one)
            if one.parent not in known or one.kind not in _GOES_ON:
                self._openings.append(one)
        self._by_response: dict[str, Exchange] = {}
        self._by_tool_call: dict[str, Exchange] = {}
        self._by_history: dict[bytes, list[tuple[Exchange, str | None]]] = defaultdict(list)
        self._by_socket: dict[str, Exchange] = {}
        self._processes: dict[str, str] = {}
        """Live process -> recorded one."""

    def note(self, live: LiveRequest, form: CanonicalRequest, exchange: Exchange, *, is_sure: bool) -> None:
        """Take in that a recorded call answered a request. `is_sure`: not by its place alone, so that it shows the
        process."""
        if exchange.response_id:
            self._by_response[exchange.response_id] = exchange
        for id in self.tool_call_ids.intersection(exchange.tool_call_ids):
            self._by_tool_call[id] = exchange
        if form.messages:
            self._by_history[form.prefixes()[-1]].append((exchange, live.caller))
        if live.socket is not None:
            self._by_socket[live.socket] = exchange
        known = exchange.process is None or exchange.process in self._processes.values()
        if is_sure and live.caller is not None and not known:
            self._processes.setdefault(live.caller, exchange.process or "")

    def continued(self, live: LiveRequest, form: CanonicalRequest) -> Exchange | None:
        """Return the recorded call whose reply the request goes on from; None if it opens a lane."""
        for id in form.previous:
            if id in self._by_response:
                return self._by_response[id]
        chain = form.prefixes()
        by_history, at = None, 0
        for at in range(len(chain) - 2, 0, -1):
            found = self._by_history.get(chain[at])
            if found and form.messages[at].role == "assistant":
                by_history = self._one_of(found, live, form, at)
                break
        for number in range(len(form.messages) - 1, -1, -1):
            if by_history is not None and number < at:
                break
            for event in reversed(form.messages[number].events):
                if event.id is not None and event.id in self._by_tool_call:
                    later = self._by_tool_call[event.id]
                    return later if by_history is None or number > at else by_history
        if by_history is not None:
            return by_history
        return self._by_socket.get(live.socket) if live.socket is not None else None

    def _one_of(
        self, found: Sequence[tuple[Exchange, str | None]], live: LiveRequest, form: CanonicalRequest, at: int
    ) -> Exchange:
        """Of calls that answered equal histories, the one whose reply stands in this history at the message `at`."""
        if len(found) == 1:
            return found[0][0]
        message = form.messages[at]
        called = {event.id for event in message.events if event.kind == "call"}

        def score(one: tuple[Exchange, str | None]) -> tuple[bool, bool, bool, bool, int]:
            exchange, caller = one
            return (
                not called.isdisjoint(exchange.tool_call_ids),
                message.spoken is not None and message.spoken == self._spoken_by(exchange),
                _is_set_as(exchange, form),
                caller is not None and caller == live.caller,
                exchange.number,
            )

        return max(found, key=score)[0]

    def preferred(self, candidates: Iterable[Exchange], live: LiveRequest, form: CanonicalRequest) -> Exchange:
        """Return the one of several recorded calls that answers: of the lane that the request goes on with, with its
        prompts and tools, of its process, with most of the same values in what does not count, the earliest."""
        found = list(candidates)
        if len(found) == 1:
            return found[0]
        continued = self.continued(live, form)
        lane = continued.conversation if continued is not None else None

        def score(one: Exchange) -> tuple[bool, bool, bool, int, int, int]:
            return (
                continued is not None and one.parent == continued.id,
                lane is not None and one.conversation == lane,
                _is_set_as(one, form),
                self._of_process(one, live),
                form.likeness(one.canonical) if one.canonical is not None else 0,
                -one.number,
            )

        return max(found, key=score)

    def may_take(self, one: Exchange, continued: Exchange | None, form: CanonicalRequest) -> bool:
        """Return False of a call of another lane than the request goes on with: the same tools may be called there."""
        if continued is None or continued.conversation is None or form.names_any(self.tool_call_ids):
            return True  # an id that both requests name is of one lane
        return one.parent == continued.id or one.conversation == continued.conversation

    def _of_process(self, one: Exchange, live: LiveRequest) -> int:
        stands_for = self._processes.get(live.caller) if live.caller is not None else None
        if stands_for is not None:
            return 2 if one.process == stands_for else 0
        return 1 if one.process not in self._processes.values() else 0

    def following(self, continued: Exchange, api: Api, form: CanonicalRequest) -> Following:
        """Return the next call of the lane behind the call `continued`."""
        lane = [one for one in self._lanes.get(continued.conversation or "", ()) if one.api == api]
        ahead = [one for one in self._next[continued.id] if one.api == api]
        if not ahead:
            ahead = [one for one in lane if one.number > continued.number and one.kind not in _BESIDE]
        beside = [one for one in lane if one.kind == "auxiliary" and _is_set_as(one, form)]
        free = [one for one in (*ahead, *beside) if not one.answers]
        if free:
            return Following(max(free, key=lambda one: (_is_set_as(one, form), one in ahead, -one.number)))
        return Following(None, ahead[-1] if ahead else None)

    def opening(self, live: LiveRequest, api: Api, form: CanonicalRequest) -> Exchange | None:
        """Return the recorded call that opens a lane and is most like a request that does; None if none is like it.

        Its prompts and tools, or its first message, are the same, or its messages share many words.
        """
        best: tuple[tuple[bool, bool, int, float, int], Exchange] | None = None
        spoken: frozenset[str] | None = None
        for one in self._openings:
            if one.answers or one.api != api or one.canonical is None:
                continue
            is_set_as, begins = _is_set_as(one, form), _begins_as(one.canonical, form)
            spoken = _words(self._forms, live.request.body) if spoken is None else spoken
            words = self._words_of(one)
            alike = len(words & spoken) / max(1, len(words | spoken))
            if not is_set_as and not begins and alike < _ALIKE:
                continue
            score = (is_set_as, begins, self._of_process(one, live), alike, -one.number)
            if best is None or score > best[0]:
                best = score, one
        return best[1] if best is not None else None

    def _words_of(self, one: Exchange) -> frozenset[str]:
        if one.id not in self._words:
            try:
                self._words[one.id] = _words(self._forms, one.request_body())
            except BodyError:
                self._words[one.id] = frozenset()
        return self._words[one.id]

    def _spoken_by(self, one: Exchange) -> bytes | None:
        """The digest of the text of a recorded reply."""
        if one.id not in self._spoken:
            try:
                _, reply = read(one.call)
            except BodyError:
                reply = None
            self._spoken[one.id] = spoken_digest(reply.text) if reply is not None and reply.text else None
        return self._spoken[one.id]


class Following(NamedTuple):
    """The next call of a lane."""

    next: Exchange | None
    """None if there is no more."""
    answered: Exchange | None = None
    """It was given already."""


def _of_one_lane(recording: Iterable[Exchange]) -> frozenset[str]:
    lanes: dict[str, set[str]] = defaultdict(set)
    for one in recording:
        for id in one.tool_call_ids:
            lanes[id].add(one.conversation or "")
    return frozenset(id for id, found in lanes.items() if len(found - {""}) < 2)


def _is_set_as(one: Exchange, form: CanonicalRequest) -> bool:
    return one.canonical is not None and form.setting is not None and one.canonical.setting == form.setting


def _begins_as(one: CanonicalRequest, other: CanonicalRequest) -> bool:
    first, second = (next((item for item in form.messages if item.role == "user"), None) for form in (one, other))
    return first is not None and second is not None and first.digest == second.digest


def _words(forms: Canonicalizer, body: bytes | None) -> frozenset[str]:
    """The words of a request's messages."""
    shown_text = "\n".join(text for one in forms.entries(body) or () if one.is_message for text in _texts(shown(one)))
    return frozenset(_WORD.findall(shown_text[:_LOOKED_AT]))


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict) and depth < _DEEPEST:
        for one in value if isinstance(value, list) else value.values():
            yield from _texts(one, depth + 1)
