"""Exchanges, mutated, through the addon's own hooks into a log, and from there into every format.

A case is a proxy's life: some exchanges pass, their replies streamed in chunks, whole or cut; then it ends. No hook has
a fault, every call is in the log, its bodies are those that passed, and each format gives them back.
"""

from __future__ import annotations

import asyncio
import io
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from mitmproxy import http
from mitmproxy.addons.script import ScriptLoader
from mitmproxy.test import taddons, tflow
from tests.fuzz.exporters import READ, Odd, plain
from tests.fuzz.material import Exchange, exchanges
from tests.fuzz.readers import Bodies, changed, disturbed, mangled, values_of
from tests.fuzz.rounds import Case, Make, Wrong

from sessiontap import trace
from sessiontap.export import FORMATS
from sessiontap.export.exported_call import export_call
from sessiontap.proxy.tap import Tap

EXCHANGES = 12
"""Of one proxy's life."""


def prepare(corpus: Path | None) -> Make:
    """The target. One exchange passes here: packages that are loaded once, such as those of formats, are no case's."""
    material = [one for one in exchanges(corpus) if one.response.status != 101]
    values = values_of(material)
    first = material[0]
    with tempfile.TemporaryDirectory(prefix="fuzz-pipeline-") as home:
        run([Passing(first, first.request.body, first.response.body, 1, is_cut=False)], Path(home))

    def make(chance: Random) -> Case:
        passing = [_passing(chance, chance.choice(material), values) for _ in range(EXCHANGES)]
        data = b"".join((one.asked or b"") + one.told for one in passing)

        def check() -> None:
            with tempfile.TemporaryDirectory(prefix="fuzz-pipeline-") as home:
                run(passing, Path(home))

        return Case(check, data, ", ".join(one.exchange.id for one in passing)[:500])

    return make


@dataclass(frozen=True, slots=True)
class Passing:
    exchange: Exchange
    asked: bytes | None
    told: bytes
    chunks: int
    """In which the reply comes, if it streams."""
    is_cut: bool


def _passing(chance: Random, one: Exchange, values: list[Any]) -> Passing:
    bodies: Bodies = one.request.body, one.response.body
    if chance.random() < 0.8:
        bodies = chance.choice((changed, disturbed, mangled))(chance, one, values)
    return Passing(one, *bodies, chance.randrange(1, 6), chance.random() < 0.2)


def run(passing: list[Passing], home: Path) -> None:
    """Let them pass, read the log, write and read every format. Raises `Wrong`."""
    by_id = asyncio.run(_life(passing, home))
    log = trace.open(home / "trace")
    calls = list(log.calls())
    if {call.id for call in calls} != set(by_id) or len(calls) != len(by_id):
        raise Wrong(f"{len(calls)} calls in the log, {len(by_id)} passed")
    for call in calls:
        one = by_id[call.id]
        bodies = call.request_body() or b"", call.response_body() or b""
        for side, found, wanted in zip(("request", "response"), bodies, (one.asked or b"", one.told), strict=True):
            if found != wanted and b"redacted" not in found:
                told = f"{_near(found, wanted)} in the log, and was {_near(wanted, found)}"
                raise Wrong(f"the {side} of {one.exchange.id} is {told}")
        for name, form in FORMATS.items():
            out = io.BytesIO()
            told = export_call(call)
            form.load()([plain(1), told, plain(2)], out)
            READ[name](out.getvalue(), Odd(told, *bodies, told.is_websocket, False))
    log.query_sessions()
    log.stats("model")


def _near(one: bytes, other: bytes) -> str:
    """Where two bodies begin to differ."""
    at = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return f"{one[max(0, at - 20) : at + 40]!r} at {at} of {len(one)}"


async def _life(passing: list[Passing], home: Path) -> dict[str, Passing]:
    """Call id -> what passed, of the calls that were decrypted."""
    by_id: dict[str, Passing] = {}
    before = os.environ.get("HOME")
    os.environ["HOME"] = str(home)
    os.chdir(home)
    tap = Tap()
    try:
        with taddons.context(ScriptLoader(), tap) as context:
            context.configure(tap, session_trace=str(home / "trace"))
            for one in passing:
                call_id = await _pass(tap, one)
                by_id |= {call_id: one} if call_id is not None else {}
            context.master.should_exit.set()
            tap.done()
    finally:
        os.chdir("/")
        os.environ.update({"HOME": before} if before is not None else {})
    if tap.faults.counts:
        raise Wrong(f"faults of our own: {dict(tap.faults.counts)}")
    return by_id


async def _pass(tap: Tap, one: Passing) -> str | None:
    """One exchange through the hooks, in mitmproxy's order."""
    request, response = one.exchange.request, one.exchange.response
    flow = http.HTTPFlow(tflow.tclient_conn(), tflow.tserver_conn())
    flow.request = http.Request.make(request.method, request.url, one.asked or b"", _fields(request.headers.fields))
    flow.request.host, flow.request.port, flow.request.scheme = request.host, request.port, request.scheme
    await tap.client_connected(flow.client_conn)
    if (rest := tap.requestheaders(flow)) is not None:
        await rest
    if callable(flow.request.stream):
        flow.request.stream(one.asked or b"")
        flow.request.stream(b"")
    if (rest := tap.request(flow)) is not None:
        await rest
    headers = [pair for pair in _fields(response.headers.fields) if pair[0].lower() not in (b"content-encoding",)]
    flow.response = http.Response.make(response.status, one.told, http.Headers(headers))
    tap.responseheaders(flow)
    if callable(flow.response.stream):
        size = max(1, len(one.told) // one.chunks)
        for at in range(0, len(one.told), size):
            flow.response.stream(one.told[at : at + size])
        if not one.is_cut:
            flow.response.stream(b"")
    if one.is_cut:
        flow.error = tflow.terr("Client disconnected.")
        tap.error(flow)
    else:
        tap.response(flow)
    await tap.client_disconnected(flow.client_conn)
    await asyncio.sleep(0)
    told: dict[str, Any] = flow.metadata.get("sessiontap", {})
    return told.get("call")


def _fields(fields: tuple[tuple[str, str], ...]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in fields]
