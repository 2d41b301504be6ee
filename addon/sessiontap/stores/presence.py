"""The presence of the store: it is looked for now and then, and brought up to date before calls ask it again.

No call finds out for itself that the store is back: a task looks in, so a store that hangs costs the bound a few times
in all. Each start of the store has an epoch. What is behind another one than was known may be empty: it learns first
what the proxies know.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

from sessiontap.faults import Faults
from sessiontap.sessions.conversations import Conversations
from sessiontap.stores.address import StoreAddress
from sessiontap.stores.connection import StoreConnection, StoreError
from sessiontap.stores.local_steps import LocalSteps, Run

LOOK_IN_SECONDS = 0.25
SETTLE_SECONDS = 1.0
"""For which a store that was started gives no steps: its proxies tell it first what they know."""
AWAITED_SECONDS = 60.0
"""For which it waits at most for a proxy that others know of."""
HUNG_SECONDS = 10.0
"""After which another connection is looked for in the place of one without an answer."""
MISSES = 3
"""Answers in a row that come too late until the store counts as away."""
_LAST_NUMBERS, _UNKNOWN_NUMBERS = (0, 9_000), (10_000, 1_000_000)
"""Ranges of numbers by chance: the last one of an empty store, so that it gives none that a proxy has already; a
proxy's before it has met a store."""

_STARTED = "it was started anew"
_WAITS = f"{_STARTED}, and waits for what other proxies know"


class Presence:
    """Of the store, as this proxy sees it. For the proxy's loop alone."""

    def __init__(
        self,
        address: StoreAddress,
        conversations: Conversations,
        local: LocalSteps,
        faults: Faults,
        tell: Callable[[str, bool], None],
        tell_known: Callable[[Run], Awaitable[None]],
    ) -> None:
        """`tell` is told, in a sentence, that the store is away (True) or back. `tell_known` tells the store of the
        sessions and calls that this proxy knows."""
        self._address = address
        self._conversations = conversations
        self._local = local
        self._faults = faults
        self._tell = tell
        self._tell_known = tell_known
        self._task: asyncio.Task[None] | None = None
        self.connection: StoreConnection | None = None
        self._hung: StoreConnection | None = None
        """The one before, which did not answer. The steps that it took are given back when it does."""
        self._hangs = False
        """`connection` does not answer; it is kept until there is another one."""
        self._nodes: list[StoreAddress] = []
        """Of the store, if it is a cluster: the one that its address names may have gone."""
        self.is_ready = False
        """Calls ask it."""
        self.away: str | None = "it was not reached yet"
        """Why the store is away; None while it answers."""
        self._away_since = time.monotonic()
        self._was_told = False
        self._misses = 0
        self.epoch = ""
        """Of the store: another one after each start of it."""
        self._key = secrets.token_bytes(32)
        """Of the digests of match scopes, which all proxies of a store make with one key."""
        self.number = random.randrange(*_UNKNOWN_NUMBERS)
        """This proxy's."""
        self._has_number = False
        self.others: list[bytes] = []
        """The numbers of the proxies that have told the store what they know."""

    def start(self) -> None:
        """Begin to look for the store."""
        self._task = asyncio.get_running_loop().create_task(self._look_in())

    def close(self) -> None:
        """The proxy ends, or has another store."""
        if self._task is not None:
            self._task.cancel()
        for one in (self.connection, self._hung):
            if one is not None:
                one.close()

    @property
    def seconds_away(self) -> float | None:
        """For which it is away; None while it answers."""
        return time.monotonic() - self._away_since if self.away is not None else None

    def answered(self) -> None:
        """It answered a call in time."""
        self._misses = 0

    def missed(self) -> None:
        """It had the whole bound for a call's question, and did not answer."""
        self._misses += 1
        if self._misses >= MISSES:
            self.go_away(f"it does not answer within {self._address.timeout * 1000:g} ms")

    def emptied(self) -> None:
        """It is not the store that was known."""
        self.go_away(_STARTED)

    def go_away(self, why: str) -> None:
        """Ask it no more until it was looked for."""
        self.is_ready = False
        if self.away is None or not self._was_told:
            self._away_since = time.monotonic() if self.away is None else self._away_since
            self._was_told = True
            self._tell(
                f"the session store {self._address} is away: {why}. Calls go on with what this proxy knows; their "
                "steps are local until it answers",
                True,
            )
        self.away = why

    async def _look_in(self) -> None:
        """Find out whether the store answers, and whether it is the same."""
        while True:
            with self._faults.guard("session store"):
                try:
                    await self._look()
                except StoreError as error:
                    self.go_away(str(error))
                    # the next one knows the scripts, and a primary that is another
                    if self.connection is not None and not self._hangs:
                        self.connection.close(str(error))
            await asyncio.sleep(LOOK_IN_SECONDS)

    async def _look(self) -> None:
        is_new = self.connection is None or self.connection.closed is not None or self._hangs
        if is_new:
            await self._connect()
        began = time.perf_counter()
        left = await self._meet(is_new=is_new, has_told=self.is_ready)
        took = time.perf_counter() - began
        if not self.is_ready and took > self._address.timeout:
            self.go_away(f"it answers only within {took * 1000:.0f} ms")
            return
        if not self.is_ready:
            await self._tell_known(self._run)
            await self._local.catch_up(self._run, LOOK_IN_SECONDS)
            left = await self._meet(is_new=False, has_told=True)
            self.is_ready, self._misses = True, 0
        await self._local.look(self._run, gives=not left)
        if left:
            self.away = _WAITS
        elif self.away is not None:
            self._say_back()

    async def _connect(self) -> None:
        """Have a connection in the place of the one that is closed, or hangs."""
        new = await StoreConnection.open(self._address, self._nodes)
        if self.connection is not None and self._hangs:
            if self._hung is not None:
                self._hung.close()
            self._hung = self.connection
            self._hung.retire()
        self.connection, self._nodes, self._hangs = new, new.nodes, False

    async def _meet(self, *, is_new: bool, has_told: bool) -> int:
        """Learn the store's epoch and key, and our number. Return the milliseconds until it gives steps."""
        answer = await self._run(
            "meet",
            self.epoch,
            self.number if self._has_number else 0,
            round(SETTLE_SECONDS * 1000),
            round(AWAITED_SECONDS * 1000),
            secrets.token_hex(8),
            self._key,
            random.randrange(*_LAST_NUMBERS),
            int(is_new),
            int(has_told),
            *self.others,
        )
        epoch, self._key, self.number, left = answer[0].decode(), bytes(answer[1]), int(answer[2]), int(answer[3])
        self._has_number, self._conversations.key, self.others = True, self._key, answer[4]
        if epoch != self.epoch:
            if self.is_ready:
                self.emptied()
            self.epoch = epoch
        return left

    def _say_back(self) -> None:
        if self._was_told:
            seconds, local = time.monotonic() - self._away_since, self._local.given_meanwhile
            given = f"{local} calls got local steps meanwhile" if local != 1 else "1 call got a local step meanwhile"
            self._tell(f"the session store {self._address} answers again, after {seconds:.1f} s. {given}", False)
        self.away, self._was_told, self._local.given_meanwhile = None, False, 0

    async def _run(self, script: str, *arguments: str | bytes | int) -> Any:
        """Return the answer to a request that no call waits for. Raises StoreError."""
        assert self.connection is not None
        asked = self.connection.run(script, *arguments)
        done, _ = await asyncio.wait((asked,), timeout=max(self._address.timeout * MISSES, LOOK_IN_SECONDS))
        if not done:
            self.go_away("it does not answer")
            done, _ = await asyncio.wait((asked,), timeout=HUNG_SECONDS)
        if not done:
            self._hangs = True
            raise StoreError("it does not answer")
        return asked.result()
