"""The calls that got local steps: while the store was away, or because it was too slow for them.

Local steps begin at the proxy's number times a million, so that no two proxies give the same one. Once the store is
there it is told of these calls, and at the next look gives each a step of its session: by then other proxies have told
it of theirs, and the steps follow the order in which the calls began.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from itertools import batched
from typing import Any

from sessiontap.bounded_dict import BoundedDict
from sessiontap.sessions.registry import Registry

LOCAL_STEPS = 1_000_000
"""Local steps of a session that a proxy can give."""
_MOST_UNNUMBERED = 10_000
"""Calls with local steps for which a step of the store is asked."""
_AT_ONCE = 200

Run = Callable[..., Awaitable[Any]]
"""Has the store run a script, by its name and arguments, and gives its answer. Raises StoreError."""


class LocalSteps:
    """For the proxy's loop alone."""

    def __init__(self, registry: Registry, keep_steps: Callable[[Mapping[str, int]], Awaitable[None]]) -> None:
        """`keep_steps` keeps the steps that calls got in place of local ones, by the calls' ids; what it raises is a
        fault, and it is given them again."""
        self._registry = registry
        self._keep_steps = keep_steps
        self._unnumbered: BoundedDict[str, tuple[str, str]] = BoundedDict(_MOST_UNNUMBERED)
        """Call with a local step -> its session and that one's name."""
        self._has_told = False
        """The store knows of these calls: at the next look it gives them steps."""
        self.given = 0
        """Since the start."""
        self.given_meanwhile = 0
        """Since the store went away."""

    def __len__(self) -> int:
        """The calls that have no step of the store yet."""
        return len(self._unnumbered)

    def note(self, call: str, session: str, name: str, *, is_new: bool) -> None:
        """A call has a local step. `is_new`: it takes one; else it has the one that was reserved for it."""
        self.given += is_new
        self.given_meanwhile += is_new
        self._unnumbered.put(call, (session, name))

    def forget(self, call: str) -> None:
        """A call has a step of the store, or needs none."""
        self._unnumbered.pop(call)

    async def look(self, run: Run, *, gives: bool) -> None:
        """The store was looked at. `gives`: it gives steps."""
        give = gives and self._has_told
        await self._ask(run, give=give)
        self._has_told = not give and bool(self._unnumbered)

    async def catch_up(self, run: Run, others_tell: float) -> None:
        """The store is back. Others that were without it, too, tell it of their calls within `others_tell` seconds."""
        if self._unnumbered:
            await self._ask(run, give=False)
            await asyncio.sleep(others_tell)
            await self._ask(run, give=True)
        self._has_told = bool(self._unnumbered)

    async def _ask(self, run: Run, *, give: bool) -> None:
        """Tell the store of the calls. `give`: take the steps that it gives them instead."""
        for some in batched(self._unnumbered.items(), _AT_ONCE):
            told = [value for call, (session, name) in some for value in (session, name, call)]
            steps = await run("number", int(give), *told)
            if not steps:
                continue
            await self._keep_steps({call: step for (call, _), step in zip(some, steps, strict=True)})
            for (call, (session, _)), step in zip(some, steps, strict=True):
                self._unnumbered.pop(call)
                self._registry.numbered(session, step)
