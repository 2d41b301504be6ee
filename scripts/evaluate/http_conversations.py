"""The same calls as HTTP requests through real proxies behind haproxy, which share their sessions by one Redis.

Every file of the corpus is an app's: it sends its requests one after another, each on a connection of its own, which
the balancer gives to any proxy. `CLIENTS` apps run at once. A server of this process answers as it was recorded. What
the proxies' logs then say together is judged as everywhere else. One proxy runs in the same way, without Redis.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import tornado.httpserver
import tornado.netutil
import tornado.web
import yaml
from scripts.evaluate.conversations import Exchange, Store, Tally, count
from scripts.evaluate.processes import free_port, redis_server, running

from sessiontap import trace
from sessiontap.demo import redirect
from sessiontap.demo.certs import Authority
from sessiontap.demo.proxy_process import SESSIONTAP_RUN, ProxyProcess, mitmdump
from sessiontap.demo.redirect import Redirect
from sessiontap.exchange import Headers
from sessiontap.proxy.own_address import health_url
from sessiontap.sessions.session import Link
from sessiontap.trace import RecordedCall
from sessiontap.trace.backlog import Backlog

CLIENTS = 12
ANSWERS_WITHIN = (0.05, 0.3)
"""Seconds that the server takes for a reply, at random: so calls of all clients are open at once."""
PATIENCE = 120.0
EXCHANGE = "x-exchange"
"""The header that tells the server which exchange a request is of; bodies go as they were recorded."""
_NOT_REPLAYED = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "expect", "te"}
_BALANCER = """
defaults
  mode tcp
  timeout connect 5s
  timeout client 120s
  timeout server 120s
listen proxies
  bind 127.0.0.1:{port}
  balance roundrobin
{servers}
"""


@dataclass
class OverHttp:
    """What came of a replay."""

    tally: Tally = field(default_factory=Tally)
    calls: Counter[int] = field(default_factory=Counter)
    """Of each proxy."""
    sessions: int = 0
    wrong_steps: int = 0
    """Steps of all sessions that are missing or given twice."""
    local_steps: int = 0
    """Calls for which the store was away or too slow."""
    longest_wait: float = 0.0
    """Seconds for which a call waited for the store."""

    def add(self, other: OverHttp) -> None:
        """Take in another replay's."""
        self.tally.add(other.tally)
        self.calls += other.calls
        self.sessions += other.sessions
        self.wrong_steps += other.wrong_steps
        self.local_steps += other.local_steps
        self.longest_wait = max(self.longest_wait, other.longest_wait)

    def said(self, seeds: int) -> list[str]:
        """What is told beside the table."""
        each = ", ".join(f"{self.calls[at] / seeds:.0f}" for at in sorted(self.calls))
        return [
            f"calls of each proxy per replay: {each}; sessions: {self.sessions / seeds:.1f}",
            f"steps that are missing or given twice: {self.wrong_steps}",
            f"calls that the store was too slow for: {self.local_steps}; the longest wait was "
            f"{self.longest_wait * 1000:.1f} ms",
        ]


def replay(
    exchanges: Sequence[Exchange], seed: int, proxies: int, folder: Path, store: Store | None = None, *, settled: bool
) -> OverHttp:
    """Replay once, in an empty folder. Several proxies share their sessions by the `store`.

    `settled`: an app goes on once its call is in the log, so that nothing depends on how quick a recorder is. Raises
    ReplayFailed if a reply is not what was recorded.
    """
    store, address = store or Store(), ""
    with ExitStack() as stack:
        if proxies > 1:
            port = stack.enter_context(redis_server(folder, store.delay))
            address = f"redis://127.0.0.1:{port}?timeout={store.bound}"
        return asyncio.run(_Replay(exchanges, seed, folder, settled).through(proxies, address, stack))


class ReplayFailed(Exception):
    """An app did not get its reply, or it was another one."""


class _Replay:
    def __init__(self, exchanges: Sequence[Exchange], seed: int, folder: Path, settled: bool) -> None:
        self._exchanges, self._folder, self._settled = exchanges, folder, settled
        self._chance = random.Random(seed)
        self._written: dict[int, asyncio.Event] = defaultdict(asyncio.Event)
        """By the number of an exchange: its call is in a log."""

    async def through(self, number: int, store: str, stack: ExitStack) -> OverHttp:
        redirects = self._serve(stack)
        proxies = await asyncio.gather(
            *(asyncio.to_thread(self._start, at, redirects, store, stack) for at in range(number))
        )
        url = stack.enter_context(_balancer(self._folder, [one.port for one in proxies]))
        found = OverHttp()
        if store:
            await _until(lambda: all(_health(one)["away"] is None for one in proxies))
        reading = asyncio.create_task(self._read_logs(number)) if self._settled else None
        await self._ask_all(url)
        if store:
            await _until(lambda: not any(_health(one)["unnumbered"] for one in proxies))
            told = [await asyncio.to_thread(_health, one) for one in proxies]
            found.local_steps = sum(one["local_steps"] for one in told)
            found.longest_wait = max(one["longest_wait"] for one in told)
        if reading is not None:
            reading.cancel()
        await asyncio.gather(*(asyncio.to_thread(one.stop) for one in proxies))
        self._judge(found, number)
        return found

    # -- the server --------------------------------------------------------------------------------------------------

    def _serve(self, stack: ExitStack) -> list[Redirect]:
        """Answer for all hosts. Return the ways to here."""
        authority = Authority(self._folder / "authority")
        answers = {"exchanges": self._exchanges, "chance": self._chance}
        application = tornado.web.Application([(".*", _Recorded, answers)], log_function=lambda handler: None)
        ways: list[Redirect] = []
        for scheme in ("https", "http"):
            asked = {(one.request.host, one.request.port) for one in self._exchanges if one.request.scheme == scheme}
            if not asked:
                continue
            tls = authority.server_context(sorted({host for host, _ in asked}), ("http/1.1",))
            server = tornado.httpserver.HTTPServer(application, ssl_options=tls if scheme == "https" else None)
            (listening,) = tornado.netutil.bind_sockets(0, "127.0.0.1")
            server.add_socket(listening)
            stack.callback(server.stop)
            ways += [Redirect(host, port, listening.getsockname()[1]) for host, port in sorted(asked)]
        return ways

    # -- the proxies ---------------------------------------------------------------------------------------------------

    def _start(self, at: int, redirects: Sequence[Redirect], store: str, stack: ExitStack) -> ProxyProcess:
        folder = self._folder / f"proxy-{at}"
        folder.mkdir()
        local = sorted({one.request.host for one in self._exchanges if one.request.port != 443})
        rules = {
            "version": 1,
            "hosts": [{"host": host} for host in local],
            "rules": [{"session": {"name": "Corpus", "id": "conversation"}}],
        }
        (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
        options: dict[str, str | Path] = {
            "confdir": folder,
            "ssl_verify_upstream_trusted_ca": self._folder / "authority" / "ca.pem",
            "connection_strategy": "lazy",
            "session_rules": folder / "rules.yaml",
            "session_trace": folder / "trace",
        }
        options |= {"session_store": store} if store else {}
        command = mitmdump(Path(redirect.__file__), options=options, program=SESSIONTAP_RUN)
        return stack.enter_context(ProxyProcess(command, folder, redirects=redirects))

    # -- the apps ------------------------------------------------------------------------------------------------------

    async def _ask_all(self, url: str) -> None:
        """Send all files, `CLIENTS` at once."""
        files: dict[str, list[int]] = defaultdict(list)
        for number, exchange in enumerate(self._exchanges):
            files[exchange.file].append(number)
        order = list(files.values())
        self._chance.shuffle(order)
        left = iter(order)
        trusts_all = ssl.create_default_context()
        trusts_all.check_hostname, trusts_all.verify_mode = False, ssl.CERT_NONE

        async def client() -> None:
            for numbers in left:
                for number in numbers:
                    await self._ask(url, number, trusts_all)
                    if self._settled:
                        async with asyncio.timeout(PATIENCE):
                            await self._written[number].wait()

        async with asyncio.TaskGroup() as clients:
            for _ in range(CLIENTS):
                clients.create_task(client())

    async def _ask(self, url: str, number: int, tls: ssl.SSLContext) -> None:
        """Send a request on a connection of its own, and compare the reply."""
        exchange = self._exchanges[number]
        asked, answer = exchange.request, exchange.response
        headers = [*_replayed(asked.headers), (EXCHANGE, str(number))]
        async with httpx2.AsyncClient(proxy=url, verify=tls, trust_env=False, timeout=PATIENCE) as app:
            request = app.build_request(asked.method, asked.url, content=asked.body, headers=headers)
            reply = await app.send(request, stream=True)
            body = b"".join([piece async for piece in reply.aiter_raw()])
        if (reply.status_code, body) != (answer.status, answer.body):
            raise ReplayFailed(f"{exchange.id}: the reply has status {reply.status_code} and {len(body)} bytes")

    # -- the logs ------------------------------------------------------------------------------------------------------

    async def _read_logs(self, proxies: int) -> None:
        """Note which calls are in the logs."""
        logs = [Backlog(self._folder / f"proxy-{at}" / "trace") for at in range(proxies)]
        while True:
            for log in logs:
                for call, _ in log:
                    self._written[_number(call)].set()
            await asyncio.sleep(0.02)

    def _judge(self, found: OverHttp, proxies: int) -> None:
        """Count the calls of all logs as their recording names their parents."""
        calls: list[RecordedCall] = []
        for at in range(proxies):
            own = list(trace.open(self._folder / f"proxy-{at}" / "trace").calls())
            found.calls[at] = len(own)
            calls += own
        if len(calls) != len(self._exchanges):
            raise ReplayFailed(f"the logs hold {len(calls)} calls of {len(self._exchanges)}")
        calls.sort(key=lambda call: call.id)
        by_id = {call.id: self._exchanges[_number(call)] for call in calls}
        owners: dict[str, str] = {}
        steps: dict[str, list[int]] = defaultdict(list)
        for call in calls:
            record: Any = call.record
            kind = (record["link"] or {}).get("kind")
            link = Link(record["conversation"], record["parent"], record["evidence"], None, kind)
            count(found.tally, by_id[call.id], link, by_id, owners)
            steps[str(call.session_id)].append(record["session"]["step"])
        found.sessions = len(steps)
        found.wrong_steps = sum(len(set(range(len(taken))) - set(taken)) for taken in steps.values())


class _Recorded(tornado.web.RequestHandler):
    """Answers as it was recorded."""

    def initialize(self, exchanges: Sequence[Exchange], chance: random.Random) -> None:
        self._exchanges, self._chance = exchanges, chance

    async def post(self) -> None:
        exchange = self._exchanges[int(self.request.headers[EXCHANGE])]
        if self.request.body != (exchange.request.body or b""):
            raise ReplayFailed(f"{exchange.id}: the server got another body")
        await asyncio.sleep(self._chance.uniform(*ANSWERS_WITHIN))
        self.clear()
        self.set_status(exchange.response.status)
        for name, value in _replayed(exchange.response.headers):
            self.add_header(name, value)
        self.finish(exchange.response.body or b"")

    def compute_etag(self) -> None:
        """None: what was recorded is all."""


def _replayed(headers: Headers) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name.lower() not in _NOT_REPLAYED]


def _number(call: RecordedCall) -> int:
    return next(int(value) for name, value in call.record["request"]["headers"] if name.lower() == EXCHANGE)


def _health(proxy: ProxyProcess) -> dict[str, Any]:
    """What a proxy says of the store."""
    with httpx2.Client(proxy=proxy.url, trust_env=False, timeout=PATIENCE) as client:
        return dict(client.get(health_url()).json()["session_store"])


async def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not await asyncio.to_thread(holds):
        if time.monotonic() > end:
            raise ReplayFailed(f"the store did not answer within {PATIENCE:.0f} s")
        await asyncio.sleep(0.05)


@contextmanager
def _balancer(folder: Path, ports: Sequence[int]) -> Iterator[str]:
    port, file = free_port(), folder / "haproxy.cfg"
    servers = "\n".join(f"  server proxy-{at} 127.0.0.1:{one}" for at, one in enumerate(ports))
    file.write_text(_BALANCER.format(port=port, servers=servers))
    with running(["haproxy", "-db", "-f", file], port):
        yield f"http://127.0.0.1:{port}"
