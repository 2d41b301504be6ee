"""Sessions and calls that several proxies remember together, in Redis or Valkey.

A call asks once, for its step and for the calls that it may continue, and waits no longer than the address says. What
it leaves is sent behind its back. While the store is away (`presence.py`), calls go on with what this process knows,
and get local steps (`local_steps.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import batched, count
from typing import Any

import msgspec

from sessiontap.bounded_dict import BoundedDict
from sessiontap.faults import Faults
from sessiontap.limits.shared import CountAnswer
from sessiontap.sessions.conversations import Conversations
from sessiontap.sessions.registry import Registry
from sessiontap.sessions.session import Session
from sessiontap.sessions.shared_calls import EvidenceKey, SharedCall
from sessiontap.sessions.store import AskAhead, Begun, WantedSession
from sessiontap.stores.address import StoreAddress
from sessiontap.stores.connection import StoreError
from sessiontap.stores.local_steps import LOCAL_STEPS, LocalSteps, Run
from sessiontap.stores.presence import Presence

_MOST_TOLD_AGAIN = 1_000
"""Sessions, and calls, that a store is told of which may not know them."""
_MOST_SESSIONS_OF_CALLS = 8_000
_SESSIONS_AT_ONCE, _CALLS_AT_ONCE = 200, 20
_MOST_IN_FLIGHT = 256
"""Calls of a proxy whose steps the store can tell, if their answers were lost."""
_FOLLOWING = 4
"""Ids that a store may choose from for a session that follows another."""
_SLICES = 5
"""Of the time that a call waits."""
_MILLISECOND = 1_000_000

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(SharedCall).decode


class RedisStore:
    """A `SessionStore`. For the proxy's loop alone."""

    is_shared = True

    def __init__(
        self,
        address: StoreAddress,
        registry: Registry,
        conversations: Conversations,
        faults: Faults,
        tell: Callable[[str, bool], None],
        keep_steps: Callable[[Mapping[str, int]], Awaitable[None]],
    ) -> None:
        """For `tell` see `Presence`, for `keep_steps` `LocalSteps`."""
        self.address = address
        self._registry = registry
        self._conversations = conversations
        self._faults = faults
        self._local = LocalSteps(registry, keep_steps)
        self.presence = Presence(address, conversations, self._local, faults, tell, self._tell_known)
        self.longest_wait = 0.0
        """Seconds for which a call waited."""
        self._places = count()
        self._lost: deque[str] = deque(maxlen=_MOST_IN_FLIGHT)
        """Calls whose connection was lost with the answer: the store may have taken a step for them."""
        self._session_of: BoundedDict[str, tuple[str, int | None]] = BoundedDict(_MOST_SESSIONS_OF_CALLS)

    # -- its life ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look for the store."""
        self.presence.start()

    def close(self) -> None:
        """The proxy ends, or has another store."""
        self.presence.close()

    @property
    def away(self) -> str | None:
        """Why the store is away; None while it answers."""
        return self.presence.away

    def health(self) -> dict[str, Any]:
        """Return what `/health` says of it."""
        seconds = self.presence.seconds_away
        return {
            "address": str(self.address),
            "away": self.away,
            "seconds": round(seconds, 1) if seconds is not None else None,
            "local_steps": self._local.given,
            "unnumbered": len(self._local),
            "longest_wait": round(self.longest_wait, 6),
        }

    async def _tell_known(self, run: Run) -> None:
        """Tell the store what this proxy knows, before calls ask it."""
        if lost := [*self._lost]:
            await run("lost", self.presence.number, *lost)
            for _ in lost:
                self._lost.popleft()
        for some in batched(self._registry.newest(_MOST_TOLD_AGAIN), _SESSIONS_AT_ONCE):
            told = [
                value
                for id, state in some
                for value in (id, state.name, state.steps, state.last // _MILLISECOND, state.key or "")
            ]
            await run("merge", *told)
        for number, call in enumerate(self._conversations.newest_shared(_MOST_TOLD_AGAIN), 1):
            self._send_call(call)
            if number % _CALLS_AT_ONCE == 0:
                await asyncio.sleep(0)  # there are others on the loop

    # -- a call --------------------------------------------------------------------------------------------------------

    def assign(self, wanted: WantedSession) -> Session:
        """Return the session of a call by what this process knows; its step is a local one."""
        session, reserved = self._locally(wanted), wanted.reserved
        if reserved is not None and not reserved.is_local and reserved.id != session.id:
            self.release(reserved)
        return session

    def _locally(self, wanted: WantedSession) -> Session:
        session = self._registry.assign(wanted, local_from=self._local_from)
        if session.is_local:
            self._note_local(wanted, session)
        return session

    @property
    def _local_from(self) -> int:
        """The first local step of this proxy."""
        return self.presence.number * LOCAL_STEPS

    def _note_local(self, wanted: WantedSession, session: Session) -> None:
        if wanted.increments_step or wanted.reserved is not None:
            self._local.note(wanted.call, session.id, session.name, is_new=wanted.increments_step)

    async def begin(
        self, wanted: WantedSession, keys: Sequence[EvidenceKey], *, follows: bool, ahead: AskAhead | None = None
    ) -> Begun:
        """Ask the store once, within the bound."""
        counted = None
        if ahead is not None and self.presence.is_ready:
            with self._faults.guard("session store"):
                counted = ahead(self._registry.expected(wanted))
        question = self._question(wanted, keys, follows)
        asked = self.run("begin", *question, *(counted.arguments if counted is not None else ()))
        if asked is None:
            return Begun(self.assign(wanted), wanted.id)
        if counted is not None:
            asked.add_done_callback(partial(_give_count, counted.answer))
        try:
            answer = await self.within_bound(asked)
            self.presence.answered()
        except TimeoutError:
            session = self._locally(wanted)
            asked.add_done_callback(lambda late: self._give_back(late, wanted, session))
            self.presence.missed()
            return Begun(session, wanted.id)
        except StoreError as error:
            self.presence.go_away(str(error))
            self._lost.append(wanted.call)
            return Begun(self._locally(wanted), wanted.id)
        with self._faults.guard("session store"):
            return self._begun(wanted, answer)
        return Begun(self.assign(wanted), wanted.id)

    async def within_bound(self, asked: asyncio.Future[Any], *, is_waited_for: bool = True) -> Any:
        """Return the answer to what was asked. Raises StoreError, and TimeoutError if the store is late, not if
        this process is: its loop turns several times until then, so that what has come was read. `is_waited_for`: a
        call waits for it."""
        each, waited = self.address.timeout / _SLICES, 0.0
        try:
            for _ in range(_SLICES):
                began = time.perf_counter()
                done, _ = await asyncio.wait((asked,), timeout=each)
                waited += min(time.perf_counter() - began, each)
                if done:
                    return asked.result()
        finally:
            if is_waited_for:
                self.longest_wait = max(self.longest_wait, waited)
        raise TimeoutError

    def instead(self, wanted: WantedSession, taken: Session, *, is_own: bool) -> Session:
        """Without a second question: the first step of a session of the call's own is known, any other is local."""
        if wanted.increments_step:
            self.release(taken, wanted.call)
        wanted = replace(wanted, reserved=None)
        if not is_own:
            return self._locally(wanted)
        session = self._registry.assign(wanted)
        steps = session.step + wanted.increments_step
        self._send("merge", session.id, session.name, steps, wanted.now // _MILLISECOND, session.key or "")
        return session

    async def look(self, keys: Sequence[EvidenceKey]) -> Sequence[SharedCall]:
        """Ask the store behind a call's back."""
        parts = [part for key in keys for part in key]
        asked = self.run("look", self.presence.number, *parts)
        if asked is None:
            return ()
        try:
            return _calls(await self.within_bound(asked, is_waited_for=False))
        except (StoreError, TimeoutError):
            return ()

    def _question(
        self, wanted: WantedSession, keys: Sequence[EvidenceKey], follows: bool
    ) -> list[str | bytes | int]:
        reserved, ends = wanted.reserved, wanted.idle is not None or wanted.max_calls is not None
        following = [wanted.following(wanted.now + tick) if ends else "" for tick in range(_FOLLOWING)]
        return [
            self.presence.epoch,
            self.presence.number,
            wanted.now // _MILLISECOND,
            wanted.id,
            int(wanted.evidence.given),
            wanted.name,
            "" if wanted.idle is None else round(wanted.idle * 1000),
            "" if wanted.max_calls is None else wanted.max_calls,
            int(wanted.increments_step),
            int(follows),
            reserved.id if reserved is not None and not reserved.is_local else "",
            reserved.step if reserved is not None and not reserved.is_local else 0,
            *following,
            wanted.call,
            next(self._places) % _MOST_IN_FLIGHT,
            len(keys),
            *(part for key in keys for part in key),
        ]

    def _begun(self, wanted: WantedSession, answer: list[Any]) -> Begun:
        match answer:
            case [b"ok", bytes(key), bytes(id), bytes(name), int(step), list(found), _]:
                session = wanted.session(_text(id), _text(name), step)
                self._registry.restore(session.id, session.name, step, wanted.now, _text(key) if key != id else None)
                if step < 0:
                    step = self._registry.local_step(session.id, self._local_from)
                    session = wanted.session(session.id, session.name, step, is_local=True)
                    self._note_local(wanted, session)
                else:
                    self._local.forget(wanted.call)
                return Begun(session, _text(key), _calls(found))
            case [b"emptied"]:
                self.presence.emptied()
        return Begun(self.assign(wanted), wanted.id)

    def _give_back(self, late: asyncio.Future[Any], wanted: WantedSession, had: Session) -> None:
        """An answer came too late: the call `had` another step by then, so the one that it took here is given back."""
        if late.cancelled():
            return
        if late.exception() is not None:
            self._lost.append(wanted.call)
            return
        match late.result():
            case [b"ok", _, bytes(id), _, int(step), _, _] if step >= 0:
                reserved = wanted.reserved if wanted.reserved is not None and not wanted.reserved.is_local else None
                if (_text(id), step) == (had.id, had.step):
                    return
                if wanted.increments_step or (reserved is not None and reserved.id == _text(id)):
                    self._send("release", id, step)
                if not had.is_local and reserved is not None and reserved.id != _text(id):
                    self._local.note(wanted.call, had.id, had.name, is_new=False)  # the store gave its step to others

    def release(self, session: Session, call: str = "") -> None:
        """Give a step back, which the session's next call gets. A local one is nobody else's."""
        self._local.forget(call)
        if not session.is_local:
            self._registry.release(session)
            self._send("release", session.id, session.step)

    # -- what a call leaves --------------------------------------------------------------------------------------------

    def answered(self, call: str) -> None:
        """Tell others that a call's reply is yet to be read."""
        self.run("answered", call)

    def remember(self, call: SharedCall) -> None:
        """Tell others of a call. While the store is away nobody is told; it is made up for."""
        if call.session_key:
            self._session_of.put(call.id, (call.session_key, call.rank))
        if self.presence.is_ready:
            self._send_call(call)

    def ended(self, session_id: str, now: int, call: SharedCall | None = None) -> None:
        """Note that a call of the session ended, and tell others of it with its reply."""
        self._registry.ended(session_id, now)
        if not self.presence.is_ready:
            return
        at = now // _MILLISECOND
        if call is not None:
            self._send_call(call, session_id, at)
        else:
            self._send("ended", session_id, at)

    def _send_call(self, call: SharedCall, ended: str = "", at: int | str = "") -> None:
        session, rank = self._session_of.peek(call.id) or ("", None)
        self._send(
            "remember",
            self.presence.number,
            call.id,
            _pack(call),
            session,
            "" if rank is None else rank,
            call.parent if call.parent is not None and call.continues else "",
            ended,
            at,
            *call.evidence_keys(),
        )

    def run(self, script: str, *arguments: str | bytes | int) -> asyncio.Future[Any] | None:
        """Have the store run a script. Return None while it is away."""
        return self._send(script, *arguments) if self.presence.is_ready else None

    def _send(self, script: str, *arguments: str | bytes | int) -> asyncio.Future[Any] | None:
        """The same as long as there is a connection, also before calls ask it."""
        connection = self.presence.connection
        return connection.run(script, *arguments) if connection is not None else None


def _calls(found: list[list[bytes]]) -> list[SharedCall]:
    """Return the calls of an answer, the oldest first."""
    calls: list[SharedCall] = []
    for state, session, rank, child, answered in found:
        with suppress(msgspec.DecodeError, msgspec.ValidationError):  # another version's
            call = _unpack(state)
            calls.append(
                msgspec.structs.replace(
                    call,
                    state="unread" if answered and call.state == "open" else call.state,
                    session_key=_text(session),
                    rank=int(rank) if rank else None,
                    child=_text(child) or None,
                )
            )
    return sorted(calls, key=lambda call: call.id)


def _give_count(waiting: asyncio.Future[CountAnswer | None], asked: asyncio.Future[Any]) -> None:
    """Give on what an answer says of the call's count."""
    if waiting.done():
        return
    answer = asked.result() if not asked.cancelled() and asked.exception() is None else []
    match answer:
        case [b"ok", _, bytes(id), _, _, _, list(told)]:
            waiting.set_result(CountAnswer(_text(id), told))
        case _:
            waiting.set_result(None)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")
