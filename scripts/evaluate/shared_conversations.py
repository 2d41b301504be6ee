"""The same calls through several proxies that share their sessions by Redis: each request lands at any of them.

The proxies are planners of this process, each with a memory and a connection of its own; Redis is a server that is
started for the run. Nothing is waited for between a reply and the next request but what a proxy itself waits for.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.evaluate.conversations import SECOND, Exchange, Store, Tally, count, interleaved
from scripts.evaluate.processes import redis_server

from sessiontap import stores
from sessiontap.callers import Caller, Found
from sessiontap.faults import Faults
from sessiontap.proxy.call_context import CallContext
from sessiontap.proxy.connections import Connection, Destination
from sessiontap.proxy.plan import Planner
from sessiontap.recording.finished import PlannerUpdate
from sessiontap.rules import load_text
from sessiontap.sessions.session import CallIds
from sessiontap.stores import RedisStore

RULES = load_text("version: 1\nrules: [{session: {name: Corpus, id: conversation}}]", "rules.yaml")
START = 1_763_701_200 * SECOND
PATIENCE = 20.0


async def evaluate_shared(
    exchanges: Sequence[Exchange], seeds: int, proxies: int, folder: Path, to: Store
) -> tuple[Tally, int, list[str]]:
    """Replay `seeds` times. Return what came of it, the first turns that were joined across processes, and what else
    is to be said."""
    tally, across, wrong_steps, questions, local = Tally(), 0, 0, 0, 0
    with redis_server(folder, to.delay) as port:
        for seed in range(seeds):
            for own_processes in (False, True):
                run = _Run(f"redis://127.0.0.1:{port}?timeout={to.bound}&prefix={seed}-{own_processes}", proxies, seed)
                found = await run.replay(exchanges, to.delay, own_processes=own_processes)
                wrong_steps += run.wrong_steps()
                if own_processes:
                    across += found.first["false"]
                else:
                    tally.add(found)
                    questions += run.questions
                    local += run.local_steps
    said = [
        f"steps that are missing or given twice: {wrong_steps}",
        f"questions to the store: {questions / seeds / len(exchanges):.3f} a call",
        f"calls that the store was too slow for: {local} of {seeds * len(exchanges)}",
    ]
    return tally, across, said


class _Run:
    """One replay."""

    def __init__(self, store: str, proxies: int, seed: int) -> None:
        self._address = stores.parse(store, {})
        self._proxies = [Planner({}, Faults(), lambda caller: False) for _ in range(proxies)]
        self._seed, self._chance = seed, random.Random(seed)
        self._sessions: dict[str, tuple[str, int | None]] = {}
        """Of each call: its session, and its step; None while that is a local one."""
        self.questions = 0
        self.local_steps = 0

    def wrong_steps(self) -> int:
        """Steps of all sessions that are missing or given twice. A store that is never quick enough gave none."""
        steps: dict[str, list[int]] = defaultdict(list)
        for session, step in self._sessions.values():
            if step is not None:
                steps[session].append(step)
        return sum(len(set(range(len(taken))) - set(taken)) for taken in steps.values())

    async def replay(self, exchanges: Sequence[Exchange], delay: float, *, own_processes: bool) -> Tally:
        """Replay all, each request at any proxy."""
        tally, ids = Tally(), CallIds()
        by_id: dict[str, Exchange] = {}
        owners: dict[str, str] = {}
        asked: dict[str, tuple[Planner, CallContext]] = {}
        running = [self._store(one) for one in self._proxies]
        for one in running:
            one.start()
        is_quick = delay < self._address.timeout
        if is_quick:
            await _until(running, "away", None)
        for tick, (event, exchange) in enumerate(interleaved(exchanges, self._seed)):
            now = START + tick * SECOND // 10
            if event == "reply":
                planner, context = asked.pop(exchange.id)
                assert context.plan is not None
                assert context.plan.session is not None
                planner.update(PlannerUpdate(context.id, context.plan.session.id, now, exchange.ending, None))
                continue
            caller = Caller(id=exchange.file if own_processes else "one", pid=1, started=1, name="app.py")
            connection = Connection("c", ("127.0.0.1", 5000), Found(caller), proxy=("127.0.0.1", 8080))
            destination = Destination(exchange.request.host, exchange.call.endpoint.provider)
            context = CallContext(ids.next(now), now, 0, connection, exchange.request, destination)
            context.call, context.history = exchange.call, exchange.history
            planner = self._chance.choice(self._proxies)
            context.plan = plan = await planner.plan_shared(context, RULES)
            session = plan.session
            assert session is not None
            self._sessions[context.id] = session.id, None if session.is_local else session.step
            self.local_steps += session.is_local
            by_id[context.id], asked[exchange.id] = exchange, (planner, context)
            count(tally, exchange, plan.link, by_id, owners)
        if is_quick:
            await _until(running, "unnumbered", 0)
        for one in running:
            one.close()
        return tally

    def _store(self, planner: Planner) -> RedisStore:
        async def keep_steps(steps: Mapping[str, int]) -> None:
            for call, step in steps.items():
                self._sessions[call] = self._sessions[call][0], step

        store = RedisStore(
            self._address, planner.registry, planner.conversations, planner.faults, lambda text, _: None, keep_steps
        )
        begin = store.begin

        async def counted(*given: object, **options: object) -> object:
            self.questions += 1
            return await begin(*given, **options)  # type: ignore[arg-type]

        store.begin = counted  # type: ignore[assignment, method-assign]
        planner.store = store
        return store


async def _until(running: Sequence[RedisStore], key: str, value: object) -> None:
    """Wait until all stores say this of themselves."""
    end = time.monotonic() + PATIENCE
    while any(one.health()[key] != value for one in running):
        if time.monotonic() > end:
            raise SystemExit(f"the store is away: {[one.health() for one in running]}")
        await asyncio.sleep(0.01)
