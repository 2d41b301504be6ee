"""Sessions and calls that several proxies remember together, in Redis or Valkey.

A call asks once, for its step and for the calls that it may continue, and waits no longer than the address says. What
it leaves is sent behind its back. While the store is away, calls go on with what this process knows: they get **local**
steps, which begin at the proxy's number times a million, so that no two proxies give the same one. A task looks in now
and then, and brings the store up to date before calls ask it again; no call finds out for itself. The store then gives
a step to each call that had a local one, and the log is told of it.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from itertools import batched
from typing import Any

import msgspec

from sessiontap.bounded_dict import BoundedDict
from sessiontap.faults import Faults
from sessiontap.sessions.conversations import Conversations
from sessiontap.sessions.registry import Registry
from sessiontap.sessions.session import Session
from sessiontap.sessions.shared_calls import EvidenceKey, SharedCall
from sessiontap.sessions.store import Begun, Patience, WantedSession
from sessiontap.stores.address import StoreAddress
from sessiontap.stores.connection import StoreConnection, StoreError

LOOK_IN_SECONDS = 0.25
SETTLE_SECONDS = 1.0
"""For which a store that was started gives no steps: its proxies tell it first what they know."""
AWAITED_SECONDS = 60.0
"""For which it waits at most for a proxy that others know of."""
HUNG_SECONDS = 10.0
"""After which a connection without an answer is given up."""
MISSES = 3
"""Answers in a row that come too late until the store counts as away."""
LOCAL_STEPS = 1_000_000
"""Local steps of a session that a proxy can give."""
_LAST_NUMBERS, _UNKNOWN_NUMBERS = (0, 9_000), (10_000, 1_000_000)
"""Ranges of numbers by chance: the last one of an empty store, so that it gives none that a proxy has already; a
proxy's before it has met a store."""
_MOST_TOLD_AGAIN = 1_000
"""Sessions, and calls, that a store is told of which may not know them."""
_MOST_SESSIONS_OF_CALLS = 8_000
_MOST_UNNUMBERED = 10_000
"""Calls with local steps for which a step of the store is asked."""
_SESSIONS_AT_ONCE, _CALLS_AT_ONCE, _NUMBERS_AT_ONCE = 200, 20, 200
_FOLLOWING = 4
"""Ids that a store may choose from for a session that follows another."""
_SLICES = 5
"""Of the time that a call waits."""
_MILLISECOND = 1_000_000

_STARTED = "it was started anew"
_WAITS = f"{_STARTED}, and waits for what other proxies know"

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
        """`tell` is told, in a sentence, that the store is away (True) or back. `keep_steps` keeps the steps that calls
        got in place of local ones, by the calls' ids; what it raises is a fault, and it is given them again."""
        self.address = address
        self._registry = registry
        self._conversations = conversations
        self._faults = faults
        self._tell = tell
        self._keep_steps = keep_steps
        self._connection: StoreConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._ready = False
        self.away: str | None = "it was not reached yet"
        """Why the store is away; None while it answers."""
        self._away_since = time.monotonic()
        self._was_told = False
        self._misses = 0
        self._epoch = ""
        """Of the store: another one after each start of it."""
        self._key = secrets.token_bytes(32)
        """Of the digests of match scopes, which all proxies of a store make with one key."""
        self._number = random.randrange(*_UNKNOWN_NUMBERS)
        self._has_number = False
        self.local_steps = 0
        """Given since the start."""
        self._local_now = 0
        """The same since the store went away."""
        self._unnumbered: BoundedDict[str, tuple[str, str]] = BoundedDict(_MOST_UNNUMBERED)
        """Call with a local step -> its session and that one's name."""
        self._has_told_local = False
        """The store knows of these calls: at the next look it gives them steps. So others have told theirs by then."""
        self._others: list[bytes] = []
        """The numbers of the proxies that have told the store what they know."""
        self.longest_wait = 0.0
        """Seconds for which a call waited."""
        self._session_of: BoundedDict[str, tuple[str, int | None]] = BoundedDict(_MOST_SESSIONS_OF_CALLS)

    # -- its life ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look for the store."""
        self._task = asyncio.get_running_loop().create_task(self._look_in())

    def close(self) -> None:
        """The proxy ends, or has another store."""
        if self._task is not None:
            self._task.cancel()
        if self._connection is not None:
            self._connection.close()

    def health(self) -> dict[str, Any]:
        """Return what `/health` says of it."""
        seconds = time.monotonic() - self._away_since if self.away is not None else None
        return {
            "address": str(self.address),
            "away": self.away,
            "seconds": round(seconds, 1) if seconds is not None else None,
            "local_steps": self.local_steps,
            "unnumbered": len(self._unnumbered),
            "longest_wait": round(self.longest_wait, 6),
        }

    # -- a call --------------------------------------------------------------------------------------------------------

    def patience(self) -> Patience:
        """Return the bound."""
        return Patience(self.address.timeout)

    def assign(self, wanted: WantedSession) -> Session:
        """Return the session of a call by what this process knows; its step is a local one."""
        session, reserved = self._locally(wanted), wanted.reserved
        if reserved is not None and not reserved.is_local and reserved.id != session.id:
            self.release(reserved)
        return session

    def _locally(self, wanted: WantedSession) -> Session:
        session = self._registry.assign(wanted, local_from=self._number * LOCAL_STEPS)
        if session.is_local:
            self._note_local(wanted, session)
        return session

    def _note_local(self, wanted: WantedSession, session: Session) -> None:
        if wanted.increments_step:
            self.local_steps += 1
            self._local_now += 1
        if wanted.increments_step or wanted.reserved is not None:
            self._unnumbered.put(wanted.call, (session.id, session.name))

    async def begin(
        self, wanted: WantedSession, keys: Sequence[EvidenceKey], patience: Patience, *, follows: bool
    ) -> Begun:
        """Ask the store, within what is left of the bound."""
        connection = self._connection
        if not self._ready or connection is None or patience.left <= 0:
            return Begun(self.assign(wanted), wanted.id)
        is_first = not patience.waited
        asked = connection.run("begin", *self._question(wanted, keys, follows))
        try:
            answer = await self._within(patience, asked)
            self._misses = 0
        except TimeoutError:
            asked.add_done_callback(lambda late: self._give_back(late, wanted))
            self._misses += is_first  # else the store had less than the bound
            if self._misses >= MISSES:
                self._go_away(f"it does not answer within {self.address.timeout * 1000:g} ms")
            return Begun(self._locally(wanted), wanted.id)
        except StoreError as error:
            self._go_away(str(error))
            return Begun(self._locally(wanted), wanted.id)
        finally:
            self.longest_wait = max(self.longest_wait, patience.waited)
        with self._faults.guard("session store"):
            return self._begun(wanted, answer)
        return Begun(self.assign(wanted), wanted.id)

    async def _within(self, patience: Patience, asked: asyncio.Future[Any]) -> Any:
        """Return the answer. Raises TimeoutError if the store is late, not if this process is: its loop turns several
        times until then, so that what has come was read."""
        each = patience.left / _SLICES
        for _ in range(_SLICES):
            began = time.perf_counter()
            done, _ = await asyncio.wait((asked,), timeout=each)
            patience.spend(min(time.perf_counter() - began, each))
            if done:
                return asked.result()
        raise TimeoutError

    def _question(self, wanted: WantedSession, keys: Sequence[EvidenceKey], follows: bool) -> list[str | bytes | int]:
        reserved, ends = wanted.reserved, wanted.idle is not None or wanted.max_calls is not None
        following = [wanted.following(wanted.now + tick) if ends else "" for tick in range(_FOLLOWING)]
        return [
            self.address.prefix,
            self._epoch,
            self._number,
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
            *(part for key in keys for part in key),
        ]

    def _begun(self, wanted: WantedSession, answer: list[Any]) -> Begun:
        match answer:
            case [b"ok", bytes(key), bytes(id), bytes(name), int(step), list(found)]:
                session = wanted.session(_text(id), _text(name), step)
                self._registry.restore(session.id, session.name, step, wanted.now, session.key)
                if step < 0:
                    step = self._registry.local_step(session.id, self._number * LOCAL_STEPS)
                    session = wanted.session(session.id, session.name, step, is_local=True)
                    self._note_local(wanted, session)
                else:
                    self._unnumbered.pop(wanted.call)
                return Begun(session, _text(key), _calls(found))
            case [b"ended", bytes(key), list(found)]:
                return Begun(None, _text(key), _calls(found))
            case [b"emptied"]:
                self._go_away(_STARTED)
        return Begun(self.assign(wanted), wanted.id)

    def _give_back(self, late: asyncio.Future[Any], wanted: WantedSession) -> None:
        """An answer came too late: the call has a local step, so the step that it took here is given back."""
        if late.cancelled() or late.exception() is not None or not wanted.increments_step:
            return
        match late.result():
            case [b"ok", _, bytes(id), _, int(step), _] if self._connection is not None and step >= 0:
                if wanted.reserved is None or wanted.reserved.id != _text(id):
                    self._connection.run("release", self.address.prefix, id, step)

    def release(self, session: Session, call: str = "") -> None:
        """Give a step back, which the session's next call gets. A local one is nobody else's."""
        self._unnumbered.pop(call)
        if self._connection is not None and not session.is_local:
            self._connection.run("release", self.address.prefix, session.id, session.step)

    # -- what a call leaves --------------------------------------------------------------------------------------------

    def remember(self, call: SharedCall) -> None:
        """Tell others of a call. While the store is away nobody is told; it is made up for."""
        if call.session_key:
            self._session_of.put(call.id, (call.session_key, call.rank))
        if self._ready:
            self._send_call(call)

    def ended(self, session_id: str, now: int) -> None:
        """Note that a call of the session ended."""
        self._registry.ended(session_id, now)
        if self._ready and self._connection is not None:
            self._connection.run("ended", self.address.prefix, session_id, now // _MILLISECOND)

    def _send_call(self, call: SharedCall) -> None:
        if self._connection is None:
            return
        session, rank = self._session_of.peek(call.id) or ("", None)
        self._connection.run(
            "remember",
            self.address.prefix,
            self._number,
            call.id,
            _pack(call),
            session,
            "" if rank is None else rank,
            call.parent if call.parent is not None and call.continues else "",
            *call.evidence_keys(),
        )

    def run(self, script: str, *arguments: str | bytes | int) -> asyncio.Future[Any] | None:
        """Have the store run a script that is about no session. Return None while it is away."""
        if not self._ready or self._connection is None:
            return None
        return self._connection.run(script, self.address.prefix, *arguments)

    # -- beside calls --------------------------------------------------------------------------------------------------

    async def _look_in(self) -> None:
        """Find out whether the store answers, and whether it is the same."""
        while True:
            with self._faults.guard("session store"):
                try:
                    await self._look()
                except StoreError as error:
                    self._go_away(str(error))
            await asyncio.sleep(LOOK_IN_SECONDS)

    async def _look(self) -> None:
        is_new = self._connection is None or self._connection.closed is not None
        if is_new:
            self._connection = None
            self._connection = await StoreConnection.open(self.address)
        connection = self._connection
        assert connection is not None
        began = time.perf_counter()
        left = await self._meet(connection, is_new=is_new, has_told=self._ready)
        took = time.perf_counter() - began
        if not self._ready and took > self.address.timeout:
            self._go_away(f"it answers only within {took * 1000:.0f} ms")
            return
        if not self._ready:
            await self._tell_all(connection)
            left = await self._meet(connection, is_new=False, has_told=True)
            self._ready, self._misses = True, 0
        gives = not left and self._has_told_local
        await self._ask_numbers(connection, give=gives)
        self._has_told_local = not gives and bool(self._unnumbered)
        if left:
            self.away = _WAITS
        elif self.away is not None:
            self._say_back()

    async def _meet(self, connection: StoreConnection, *, is_new: bool, has_told: bool) -> int:
        """Learn the store's epoch and key, and our number. Return the milliseconds until it gives steps."""
        asked = connection.run(
            "meet",
            self.address.prefix,
            self._epoch,
            self._number if self._has_number else 0,
            round(SETTLE_SECONDS * 1000),
            round(AWAITED_SECONDS * 1000),
            secrets.token_hex(8),
            self._key,
            random.randrange(*_LAST_NUMBERS),
            int(is_new),
            int(has_told),
            *self._others,
        )
        answer = await self._patiently(asked)
        epoch, self._key, self._number, left = _text(answer[0]), bytes(answer[1]), int(answer[2]), int(answer[3])
        self._has_number, self._conversations.key, self._others = True, self._key, answer[4]
        if epoch != self._epoch:
            if self._ready:
                self._go_away(_STARTED)
            self._epoch = epoch
        return left

    async def _tell_all(self, connection: StoreConnection) -> None:
        """Bring the store up to date, before calls ask it."""
        await self._tell_sessions(connection)
        for number, call in enumerate(self._conversations.newest_shared(_MOST_TOLD_AGAIN), 1):
            self._send_call(call)
            if number % _CALLS_AT_ONCE == 0:
                await asyncio.sleep(0)  # there are others on the loop
        if self._unnumbered:
            await self._ask_numbers(connection, give=False)
            await asyncio.sleep(LOOK_IN_SECONDS)  # others that were without the store, too, tell it of their calls
            await self._ask_numbers(connection, give=True)
        self._has_told_local = bool(self._unnumbered)

    def _say_back(self) -> None:
        if self._was_told:
            seconds, local = time.monotonic() - self._away_since, self._local_now
            given = f"{local} calls got local steps meanwhile" if local != 1 else "1 call got a local step meanwhile"
            self._tell(f"the session store {self.address} answers again, after {seconds:.1f} s. {given}", False)
        self.away, self._was_told, self._local_now = None, False, 0

    async def _tell_sessions(self, connection: StoreConnection) -> None:
        known = self._registry.newest(_MOST_TOLD_AGAIN)
        for some in batched(known, _SESSIONS_AT_ONCE):
            told = [
                value
                for id, state in some
                for value in (id, state.name, state.steps, state.last // _MILLISECOND, state.key or "")
            ]
            await self._patiently(connection.run("merge", self.address.prefix, *told))

    async def _ask_numbers(self, connection: StoreConnection, *, give: bool) -> None:
        """Tell the store of the calls that have local steps. `give`: take the steps that it gives them instead."""
        for some in batched(self._unnumbered.items(), _NUMBERS_AT_ONCE):
            told = [value for call, (session, name) in some for value in (session, name, call)]
            steps = await self._patiently(connection.run("number", self.address.prefix, int(give), *told))
            if not steps:
                continue
            await self._keep_steps({call: step for (call, _), step in zip(some, steps, strict=True)})
            for (call, (session, _)), step in zip(some, steps, strict=True):
                self._unnumbered.pop(call)
                self._registry.numbered(session, step)

    async def _patiently(self, asked: asyncio.Future[Any]) -> Any:
        """Return the answer to a request that no call waits for. Raises StoreError."""
        done, _ = await asyncio.wait((asked,), timeout=max(self.address.timeout * MISSES, LOOK_IN_SECONDS))
        if not done:
            self._go_away("it does not answer")
            done, _ = await asyncio.wait((asked,), timeout=HUNG_SECONDS)
        if not done:
            if self._connection is not None:
                self._connection.close("it hangs")
            raise StoreError("it does not answer")
        return asked.result()

    def _go_away(self, why: str) -> None:
        """Ask it no more until it was looked for."""
        self._ready = False
        if self.away is None or not self._was_told:
            self._away_since = time.monotonic() if self.away is None else self._away_since
            self._was_told = True
            self._tell(
                f"the session store {self.address} is away: {why}. Calls go on with what this proxy knows; their steps "
                "are local until it answers",
                True,
            )
        self.away = why


def _calls(found: list[list[bytes]]) -> list[SharedCall]:
    """Return the calls of an answer, the oldest first."""
    calls: list[SharedCall] = []
    for state, session, rank, child in found:
        with suppress(msgspec.DecodeError, msgspec.ValidationError):  # another version's
            calls.append(
                msgspec.structs.replace(
                    _unpack(state),
                    session_key=_text(session),
                    rank=int(rank) if rank else None,
                    child=_text(child) or None,
                )
            )
    return sorted(calls, key=lambda call: call.id)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")
