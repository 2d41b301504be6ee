"""The ladder: which recorded call answers a live request.

    replayer = open_replayer(calls, strict="tools")
    match replayer.answer(LiveRequest(request, caller="p-1")):
        case Answer(rung, reply, difference): ...
        case Miss(reason, nearest, difference): ...
    print(report.text(replayer.report()))

A request is answered by a recorded call of the same API: method, host, path, and query without credentials. Headers
take no part. The rungs are tried in order, and the first at which a call is found that has not answered yet is taken:

    exact       the same bytes
    canonical   the same canonical form (`canonicalizer`, `volatile`)
    tools       the same calls of tools in the history, in the same order (`CanonicalRequest.tool_chain`), in no other
                lane than the request goes on with
    place       the next call of the lane that the request goes on with, or of those that open one the likest (`lanes`)

**Each recorded call answers once.** Calls with the same request answer in the order of the recording within their lane,
so that a recorded failure and its retry come as they came. A request that equals one that has answered already, and no
other, is a miss ("already answered"): giving it the next call of its lane would pair it wrongly. Two kinds of calls
answer again, marked as `again`: errands of agents (settings, telemetry, token counts), of which a program makes as
many as it has time for, and requests that only read (GET, HEAD, OPTIONS). An errand that differs from all recorded ones
of its API is answered by the next of them, or by the last one again, at the rung `place`.

**The upgrade to a WebSocket** is asked for as a plain request without a socket, with the header `upgrade: websocket`.
It is answered by a recorded refusal, or with status 101, the recorded headers and no body if turns of that address were
recorded; that uses no call up. Each turn is then a request of its own with a `socket`; its body is its frames.
Before a turn begins, `expected` tells of which recorded turn the server's frames are that come between the client's.

**`until`** names the last call that is replayed. What a later one would answer is a miss, so that a caller may go on
live from there.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from sessiontap.redaction import Redactor
from sessiontap.replay.api import Api, address_of, api_of, url_of
from sessiontap.replay.canonical import CanonicalRequest
from sessiontap.replay.canonicalizer import Canonicalizer
from sessiontap.replay.differences import NOTHING_TOLD, ComparedBodies, ToldMessages, differences
from sessiontap.replay.lanes import Lanes
from sessiontap.replay.question import RUNGS, Answer, LiveRequest, Miss, RecordedReply, Rung
from sessiontap.replay.recording import EMPTY, Exchange, Unplayable, read_recording
from sessiontap.replay.report import AskedCall, Report, UnaskedCall
from sessiontap.trace import BodyError, RecordedCall
from sessiontap.trace.errands import is_errand

logger = logging.getLogger("sessiontap")


class UnknownCallError(ValueError):
    """The call that a replay is to end with is not in the recording."""


@dataclass(frozen=True, slots=True)
class _Hit:
    """A recorded call that answers, at a rung."""

    rung: Rung
    exchange: Exchange
    again: bool = False


@dataclass(frozen=True, slots=True)
class _Gone:
    """No call answers, and this one is why."""

    reason: str
    exchange: Exchange | None = None


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The result of a request, and the facts of it that the report tells."""

    result: Answer | Miss
    marks: tuple[str, ...] = ()
    again: bool = False
    errand: bool = False


def open_replayer(calls: Iterable[RecordedCall], *, strict: Rung = "place", until: str | None = None) -> LadderReplayer:
    """Return a replayer of these recorded calls: those of a session, of several, of a range; in any order.

    Give it warm-ups and errands, too: a program that runs again makes them as well. `strict`: the lowest rung that is
    allowed. `until`: the id of the last call that is replayed, or its beginning. Raises UnknownCallError.
    """
    return LadderReplayer(calls, strict=strict, until=until)


class LadderReplayer:
    """Answers each request by the recorded call that it matches at the surest rung. For one thread."""

    def __init__(self, calls: Iterable[RecordedCall], *, strict: Rung, until: str | None) -> None:
        self._strict = strict
        self._forms = Canonicalizer()
        self._recording = read_recording(calls, self._forms)
        self._last = _end_with(self._recording, until) if until is not None else None
        self._lanes = Lanes(self._recording, self._forms)
        self._asked: list[AskedCall] = []
        self._messages: dict[str, ToldMessages] = {}
        """Of each call that answered: the messages of its request, and of the one that it answered."""
        self._redactor = Redactor(secrets.token_bytes(32))
        self._known_ids = self._lanes.tool_call_ids
        self._has_redacted = any(one.canonical is not None and one.canonical.is_redacted for one in self._recording)
        self._of_api: dict[Api, list[Exchange]] = defaultdict(list)
        self._exact: dict[tuple[str, bytes], list[Exchange]] = defaultdict(list)
        self._canonical: dict[tuple[Api, bytes], list[Exchange]] = defaultdict(list)
        self._tools: dict[tuple[Api, bytes], list[Exchange]] = defaultdict(list)
        self._greeted: set[str] = set()
        """The recorded turns whose server's greeting was given."""
        self._expected: dict[str, str] = {}
        """By WebSocket: the recorded turn that its frames so far lead to."""
        for one in self._recording:
            self._of_api[one.api].append(one)
            if one.sha256 is not None:
                self._exact[one.address, one.sha256].append(one)
            if one.canonical is not None:
                self._canonical[one.api, one.canonical.key].append(one)
                if chain := one.canonical.tool_chain(self._known_ids):
                    self._tools[one.api, chain].append(one)

    def answer(self, live: LiveRequest) -> Answer | Miss:
        """Return the recorded reply to a live request, or why there is none. Raises nothing."""
        try:
            outcome = self._upgrade(live) or self._answer(live)
        except Exception as fault:
            outcome = _Outcome(Miss(f"a fault of the replay itself: {type(fault).__name__}: {fault}"))
        result = outcome.result
        is_answer = isinstance(result, Answer)
        self._asked.append(
            AskedCall(
                method=live.request.method,
                url=url_of(live.request),
                rung=result.rung if isinstance(result, Answer) else None,
                call=result.reply.call if isinstance(result, Answer) else result.nearest,
                difference=result.difference,
                marks=outcome.marks,
                reason=result.reason if isinstance(result, Miss) else None,
                again=outcome.again and is_answer,
                errand=outcome.errand,
            )
        )
        return result

    def expected(self, live: LiveRequest, begun: str | None) -> RecordedReply | None:
        """Return the reply of the recorded turn that the frames of a WebSocket so far lead to; None if there is none.

        The body of `live` is these frames. `begun`: the call of which frames were sent already. Raises nothing.
        """
        try:
            return self._expect(live, begun)
        except Exception as fault:
            logger.warning(f"sessiontap: a fault of the replay itself: {type(fault).__name__}: {fault}")
            return None

    def _expect(self, live: LiveRequest, begun: str | None) -> RecordedReply | None:
        known = self._of_api.get(api_of(live.request, is_turn=True), ())
        free = [one for one in known if (not one.answers or one.id == begun) and not one.is_beyond]
        form = self._forms.read(live.request.body)
        continued = self._lanes.continued(live, form)
        lane = continued.conversation if continued is not None else None
        others = {call for socket, call in self._expected.items() if socket != live.socket}

        def score(one: Exchange) -> tuple[bool, bool, bool, bool, int]:
            begins = one.canonical is not None and one.canonical.begins_with(form)
            in_lane = lane is not None and one.conversation == lane
            return begins, one.id == begun, in_lane, one.id not in others, -one.number

        best = max(free, key=score, default=None)
        reply = best.reply() if best is not None else None
        if best is None or not isinstance(reply, tuple):
            return None
        if live.socket is not None:
            self._expected[live.socket] = best.id
        if not best.asks:
            best.answers = 1
        return reply[0]

    def report(self) -> Report:
        """Return what was asked so far, and what was never asked for."""
        never = (one for one in self._recording if not one.answers and not one.is_beyond)
        return Report(
            tuple(self._asked), tuple(UnaskedCall(one.id, one.method, one.url, one.is_errand) for one in never)
        )

    def _upgrade(self, live: LiveRequest) -> _Outcome | None:
        """Answer the upgrade to a WebSocket of which turns were recorded; None if that is for `_answer`."""
        if live.socket is not None or (live.request.headers.get("upgrade") or "").lower() != "websocket":
            return None
        refusals = self._exact.get((address_of(live.request, is_turn=False), EMPTY), ())
        turns = [one for one in self._of_api.get(api_of(live.request, is_turn=True), ()) if one.is_turn]
        if not turns or any(not one.answers for one in refusals):
            return None
        later = next((one for one in turns if one.is_beyond), None)
        if self._last is not None and later is not None and all(one.answers or one.is_beyond for one in turns):
            reason = f"The replay ends with call {self._last.id}, and the turns of this WebSocket are later ones."
            return _Outcome(Miss(reason, later.id))
        first = next((one for one in turns if one.speaks_first and one.id not in self._greeted), turns[0])
        self._greeted.add(first.id)
        return _Outcome(Answer("exact", first.upgrade()))

    def _answer(self, live: LiveRequest) -> _Outcome:
        api = api_of(live.request, is_turn=live.socket is not None)
        known = self._of_api.get(api)
        if known is None:
            errand = is_errand({"host": live.request.host, "route": live.request.path, "llm": {"operation": "other"}})
            return _Outcome(Miss(f"No call to {api} was recorded."), errand=errand)
        exact = self._exact.get((address_of(live.request, is_turn=live.socket is not None), _sha256(live.request.body)))
        form = exact[0].canonical if exact else None
        if form is None:
            body = live.request.body
            form = self._forms.read(self._redacting(live)(body) if body and self._has_redacted else body)
        errands = all(one.is_errand for one in known)
        found = self._equal(live, api, form, exact or ()) or (
            self._errand(live, known, form) if errands else self._similar(live, api, form)
        )
        if isinstance(found, _Hit):
            found = self._allowed(found) or found
        if isinstance(found, _Gone):
            nearest = found.exchange or _nearest(known, form)
            differs = self._difference(nearest, live, form) if nearest is not None else ()
            return _Outcome(Miss(found.reason, nearest.id if nearest is not None else None, differs), errand=errands)
        return self._outcome(found, live, form)

    def _outcome(self, found: _Hit, live: LiveRequest, form: CanonicalRequest) -> _Outcome:
        one = found.exchange
        reply = one.reply()
        if isinstance(reply, Unplayable):
            return _Outcome(Miss(f"Call {one.id} would answer it, but {reply.reason}.", one.id), errand=one.is_errand)
        difference: tuple[str, ...] = ()
        if found.rung == "canonical" and one.canonical is not None:
            kinds = one.canonical.left_out(form)
            difference = (f"only in {', '.join(kinds)}" if kinds else "only in how it is written",)
        elif found.rung != "exact":
            difference = self._difference(one, live, form)
        one.answers += 1
        self._lanes.note(live, form, one, is_sure=found.rung != "place")
        self._messages[one.id] = ToldMessages(len(one.canonical.messages) if one.canonical else 0, len(form.messages))
        return _Outcome(Answer(found.rung, reply[0], difference), reply[1], found.again, one.is_errand)

    def _equal(
        self, live: LiveRequest, api: Api, form: CanonicalRequest, exact: Sequence[Exchange]
    ) -> _Hit | _Gone | None:
        """Return the recorded call that asked the same, or that it has answered already; None if none asked it."""
        used: _Hit | None = None
        rungs: tuple[tuple[Rung, Sequence[Exchange]], ...] = (
            ("exact", exact),
            ("canonical", self._canonical.get((api, form.key), ())),
        )
        for rung, candidates in rungs:
            if free := [one for one in candidates if not one.answers]:
                return _Hit(rung, self._lanes.preferred(free, live, form))
            if candidates and used is None:
                used = _Hit(rung, candidates[-1], again=True)
                if used.exchange.may_repeat:  # rather than what another one was answered that is the same but for ids
                    return used
        if used is None:
            return None
        return _Gone(f"Call {used.exchange.id} asked the same, and has answered already.", used.exchange)

    def _similar(self, live: LiveRequest, api: Api, form: CanonicalRequest) -> _Hit | _Gone:
        """Return the recorded call with the same tool calls, or at the same place."""
        chain = form.tool_chain(self._known_ids)
        continued = self._lanes.continued(live, form)
        alike = self._tools.get((api, chain), ()) if chain else ()
        if free := [one for one in alike if not one.answers and self._lanes.may_take(one, continued, form)]:
            return _Hit("tools", self._lanes.preferred(free, live, form))
        if not form.messages:
            return _Gone(f"No recorded call to {api} is like it.")
        if continued is None:
            opening = self._lanes.opening(live, api, form)
            if opening is not None:
                return _Hit("place", opening)
            return _Gone(f"It opens a conversation, and no recorded one that is left to {api} begins like it.")
        following = self._lanes.following(continued, api, form)
        if following.next is not None:
            return _Hit("place", following.next)
        if following.answered is not None:
            return _Gone(f"Call {following.answered.id} has its place, and has answered already.", following.answered)
        return _Gone(f"It goes on from call {continued.id}, with which the recorded conversation ends.")

    def _errand(self, live: LiveRequest, known: Sequence[Exchange], form: CanonicalRequest) -> _Hit:
        """Return the next errand of an API of which nothing else is recorded, or the last one again."""
        if free := [one for one in known if not one.answers]:
            return _Hit("place", self._lanes.preferred(free, live, form))
        return _Hit("place", known[-1], again=True)

    def _allowed(self, hit: _Hit) -> _Gone | None:
        """Return why a call may not answer, None if it may."""
        one = hit.exchange
        if one.is_beyond and self._last is not None:
            return _Gone(f"The replay ends with call {self._last.id}, and call {one.id} is a later one.", one)
        if RUNGS.index(hit.rung) > RUNGS.index(self._strict):
            why = f"Call {one.id} would answer it at the rung {hit.rung}, and the lowest allowed is {self._strict}."
            return _Gone(why, one)
        return None

    def _difference(self, one: Exchange, live: LiveRequest, form: CanonicalRequest) -> tuple[str, ...]:
        """Return how a request differs from a recorded one, without what was told of the request that it goes on from,
        if the recorded one goes on from the call that answered that."""
        continued = self._lanes.continued(live, form)
        retold = self._messages.get(continued.id) if continued and continued.id == one.parent else None
        if one.unread is not None:
            return (f"{one.unread}, so that it cannot be compared",)
        try:
            bodies = ComparedBodies(one.request_body(), live.request.body)
            return differences(self._forms, bodies, self._redacting(live), retold or NOTHING_TOLD)
        except BodyError as error:
            return (f"its request cannot be read, so that it cannot be compared: {error}",)

    def _redacting(self, live: LiveRequest) -> Callable[[bytes], bytes]:
        """Return what takes the credentials out of a live body, as they are out of the log."""
        return self._redactor.with_credentials(live.request.headers, live.request.url).body


def _sha256(body: bytes | None) -> bytes:
    return hashlib.sha256(body).digest() if body else EMPTY


def _end_with(recording: Sequence[Exchange], until: str) -> Exchange:
    """Mark the calls behind the last one that is replayed, and return that one. Raises UnknownCallError."""
    last = next((one for one in reversed(recording) if one.id.startswith(until)), None)
    if last is None:
        raise UnknownCallError(f"no recorded call of the replay has the id {until}")
    for one in recording:
        one.is_beyond = one.number > last.number
    return last


def _nearest(known: Sequence[Exchange], form: CanonicalRequest) -> Exchange | None:
    """Return the recorded call with the same prompts and tools, and most of the same messages from the beginning."""

    def score(one: Exchange) -> tuple[int, bool, int, bool, int]:
        other = one.canonical
        if other is None:
            return -1, False, 0, False, -one.number
        pairs = zip(other.messages, form.messages, strict=False)
        same = sum(1 for _ in takewhile(lambda pair: pair[0].digest == pair[1].digest, pairs))
        apart = -abs(len(other.messages) - len(form.messages))
        return same, other.setting == form.setting, apart, not one.answers, -one.number

    return max(known, key=score, default=None)
