"""Proxies of one process that share a store: planners with stores of their own, no network but the one to Redis."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import Any
from uuid import uuid4

from redis import Redis
from tests.support.gate import PATIENCE

from sessiontap import stores
from sessiontap.callers import Caller, Found
from sessiontap.exchange import Headers, Request
from sessiontap.faults import Faults
from sessiontap.limits.shared import CountAhead
from sessiontap.llm.call import Reply, ToolCall
from sessiontap.llm.history import fingerprint_of
from sessiontap.proxy.call_context import CallContext, Plan
from sessiontap.proxy.connections import Connection, Destination
from sessiontap.proxy.plan import Planner
from sessiontap.proxy.prepare import history_of, read
from sessiontap.recording.finished import PlannerUpdate
from sessiontap.rules import Rules, load_text
from sessiontap.sessions.session import call_id
from sessiontap.stores import RedisStore, StoreAddress

OPENAI = Destination("api.openai.com", "openai")
BY_PROCESS = "version: 1\nrules: [{session: {name: App}}]"
BY_CONVERSATION = "version: 1\nrules: [{session: {name: App, id: conversation}}]"
_clock = count(1_763_701_200 * 10**9, 10**6)


@dataclass
class Proxy:
    """A planner, and its store."""

    planner: Planner
    store: RedisStore
    rules: Rules
    said: list[str] = field(default_factory=list)
    given: dict[str, int] = field(default_factory=dict)
    """Call -> the step that it got in place of a local one."""

    async def ask(
        self,
        messages: list[dict[str, Any]],
        process: str = "app",
        *,
        previous: str | None = None,
        ahead: Callable[[str, Plan], CountAhead | None] | None = None,
    ) -> tuple[str, Plan]:
        """Plan a call of a process; return its id, too."""
        context = await self.context(messages, process, previous=previous, ahead=ahead)
        assert context.plan is not None
        return context.id, context.plan

    async def context(
        self,
        messages: list[dict[str, Any]],
        process: str = "app",
        *,
        previous: str | None = None,
        ahead: Callable[[str, Plan], CountAhead | None] | None = None,
    ) -> CallContext:
        """Return a planned call. `previous`: the id of the reply that it names. `ahead` is told of the plan that is
        likely."""
        now = next(_clock)
        id = call_id(now)
        data = json.dumps({"model": "m", "messages": messages}).encode()
        request = Request(
            "POST", OPENAI.host, "/v1/chat/completions", Headers([("content-type", "application/json")]), data
        )
        found = Found(Caller(id=process, pid=1, started=1, name="app.py"))
        connection = Connection("conn-1", ("127.0.0.1", 5000), found, proxy=("127.0.0.1", 8080))
        request, call, _ = read(request, OPENAI, data)
        if previous is not None:
            call = replace(call, asked=replace(call.asked, previous=(previous,)))
        context = CallContext(id, now, 0, connection, request, OPENAI, call=call)
        context.history = history_of(call)
        counted = partial(ahead, id) if ahead is not None else None
        context.plan = await self.planner.plan_shared(context, self.rules, counted)
        assert not self.planner.faults.counts
        return context

    def reply(
        self, id: str, plan: Plan, text: str | None = None, *tools: ToolCall, response_id: str | None = None
    ) -> None:
        """The reply to a call was read."""
        assert plan.history is not None
        came = fingerprint_of(plan.history.tail(), Reply(response_id=response_id, text=text, tool_calls=tools), 200)
        session = plan.session.id if plan.session else None
        self.planner.update(PlannerUpdate(id, session, next(_clock), came, None))

    async def turn(
        self, messages: list[dict[str, Any]], text: str, process: str = "app"
    ) -> tuple[str, Plan, list[dict[str, Any]]]:
        """A call and its reply; return the messages with both."""
        id, plan = await self.ask(messages, process)
        self.reply(id, plan, text)
        return id, plan, [*messages, {"role": "assistant", "content": text}]

    async def until(
        self,
        *,
        away: bool | str | None = None,
        said: bool = False,
        asked: bool = False,
        given: int = 0,
        others: int = 0,
    ) -> None:
        """Wait until its store is away (for a reason), or gives steps; until something was said of it; until calls ask
        it; until it gave so many steps in place of local ones; until it told of so many proxies."""
        end = time.monotonic() + PATIENCE
        store = self.store
        while (
            away not in (None, store.away is not None, store.away)
            or said > bool(self.said)
            or asked > store.presence.is_ready
            or given > len(self.given)
            or others > len(store.presence.others)
        ):
            assert time.monotonic() < end, self.said
            await asyncio.sleep(0.01)


def questions(proxy: Proxy) -> list[str]:
    """The names of the scripts that a proxy has run for calls from here on, as long as its connection lasts."""
    connection, asked = proxy.store.presence.connection, list[str]()
    assert connection is not None
    run = connection.run

    def told(script: str, *arguments: Any) -> Any:
        if script not in ("meet", "number"):  # by which it looks for the store
            asked.append(script)
        return run(script, *arguments)

    connection.run = told  # type: ignore[method-assign]
    return asked


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


@asynccontextmanager
async def proxies(
    url: str,
    number: int,
    rules: str = BY_PROCESS,
    *,
    bound: str = "200ms",
    is_there: bool = True,
    environ: Mapping[str, str] | None = None,
    prefix: str = "",
) -> AsyncIterator[list[Proxy]]:
    """Run so many. The bound is far from what a busy machine takes, unless a test is about it. If no `prefix` is given,
    their store has been in use; else it gives no steps for a second."""
    if not prefix:
        prefix = uuid4().hex[:8]
        if is_there:
            await asyncio.to_thread(_use, url, prefix)
    address = stores.parse(f"{url}?timeout={bound}&prefix={prefix}", environ or {})
    running: list[Proxy] = []
    try:
        for _ in range(number):
            running.append(proxy_at(address, rules))
        for one in running if is_there else ():
            await one.until(away=False)
        yield running
    finally:
        for one in running:
            one.store.close()


def proxy_at(address: StoreAddress, rules: str = BY_PROCESS) -> Proxy:
    """Begin one. Whoever does closes its store."""
    planner, said, given = Planner({}, Faults()), list[str](), dict[str, int]()

    async def keep_steps(steps: Mapping[str, int]) -> None:
        given.update(steps)

    def tell(text: str, _: bool) -> None:
        said.append(text)

    store = RedisStore(address, planner.registry, planner.conversations, planner.faults, tell, keep_steps)
    planner.store = store
    store.start()
    return Proxy(planner, store, load_text(rules, "rules.yaml"), said, given)


def _use(url: str, prefix: str) -> None:
    """Have a store been in use: it gives steps at once."""
    with Redis.from_url(url) as client:
        known = {"epoch": "1", "key": bytes(32), "start": client.info("server")["run_id"], "begun": 0, "last": 0}
        client.hset(f"{prefix}:store", mapping=known)
