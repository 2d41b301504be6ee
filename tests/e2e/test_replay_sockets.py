"""WebSockets that were recorded, replayed with their server gone: the same frames for each turn."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.lab import PYTHON, Lab, Proxy
from tests.support.llm_server import LlmService
from tests.support.socket_app import SocketApp

from sessiontap.replay.replayer import open_replayer
from sessiontap.replay.server import ReplayServer
from sessiontap.replay_link import VARIABLE

OPENAI = """
import asyncio
from openai import AsyncOpenAI

async def converse(client, question):
    said = []
    async with client.realtime.connect(model="gpt-realtime") as connection:
        async def until(last):
            async for event in connection:
                said.append(event.model_dump_json())
                if event.type == last:
                    return
        await until("session.created")
        for again in range(2):
            await connection.session.update(session={"type": "realtime", "instructions": question})
            await until("session.updated")
            content = [{"type": "input_text", "text": question}]
            await connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
            await until("conversation.item.added")
            await connection.response.create()
            await until("response.done")
    return said

async def main():
    client = AsyncOpenAI()
    for said in await asyncio.gather(*(converse(client, question) for question in ("Why?", "Where?", "When?"))):
        print(*said, sep="\\n")

asyncio.run(main())
"""
IDS = re.compile(r'"[a-z]+_\w+"')
RULES: Any = {"version": 1, "rules": [{"rule": "all", "session": {"name": "Sockets"}}]}
Talk = Callable[[SocketApp], list[str]]


def until(app: SocketApp, last: str) -> list[str]:
    """The frames up to the first of the type `last`."""
    found: list[str] = []
    while not found or json.loads(found[-1])["type"] != last:
        found.append(str(app.receive()))
    return found


def responses(app: SocketApp) -> list[str]:
    """Two turns; the second goes on from the first."""
    app.send(json.dumps({"type": "response.create", "model": "gpt-4o", "input": "Why?"}))
    first = until(app, "response.completed")
    previous = json.loads(first[-1])["response"]["id"]
    more = {"model": "gpt-4o", "input": "And then?", "previous_response_id": previous}
    app.send(json.dumps({"type": "response.create", **more}))
    return first + until(app, "response.completed")


def realtime(app: SocketApp) -> list[str]:
    """The server speaks first."""
    found = until(app, "session.created")
    content = [{"type": "input_text", "text": "Why?"}]
    item = {"type": "message", "role": "user", "content": content}
    app.send(json.dumps({"type": "conversation.item.create", "item": item}))
    app.send(json.dumps({"type": "response.create"}))
    return found + until(app, "response.done")


def realtime_step_by_step(app: SocketApp) -> list[str]:
    """Each frame waits for the answer to the one before."""
    found = until(app, "session.created")
    for question in ("Why?", "And then?"):
        content = [{"type": "input_text", "text": question}]
        item = {"type": "message", "role": "user", "content": content}
        app.send(json.dumps({"type": "session.update", "session": {"instructions": question}}))
        found += until(app, "session.updated")
        app.send(json.dumps({"type": "conversation.item.create", "item": item}))
        found += until(app, "conversation.item.added")
        app.send(json.dumps({"type": "response.create"}))
        found += until(app, "response.done")
    return found


@pytest.mark.parametrize(
    ("path", "talk", "turns"),
    [
        ("/v1/responses", responses, 2),
        ("/v1/realtime?model=gpt-realtime", realtime, 1),
        ("/v1/realtime?model=gpt-realtime", realtime_step_by_step, 2),
    ],
    ids=["responses", "realtime", "realtime, step by step"],
)
def test_a_recorded_socket_says_the_same_again(lab: Lab, path: str, talk: Talk, turns: int) -> None:
    def run(proxy: Proxy) -> list[str]:
        headers = {"Authorization": "Bearer any"}
        url = f"wss://api.openai.com{path}"
        with SocketApp(url, proxy=proxy.url, ca=proxy.ca, additional_headers=headers) as app:
            return talk(app)

    lab.upstream(LlmService(websockets=True))
    first = lab.proxy(RULES)
    said = run(first)
    first.wait_calls(turns)
    calls = first.stop()
    with ReplayServer() as server:
        replayer = open_replayer(calls)
        server.load(replayer)
        assert run(lab.proxy(None, environment={VARIABLE: str(server.address)})) == said
    assert replayer.report().is_clean


def test_openais_realtime_client_waits_for_what_it_waited_for(lab: Lab, tmp_path: Path) -> None:
    app = tmp_path / "talk.py"
    app.write_text(OPENAI, encoding="utf-8")
    lab.upstream(LlmService(websockets=True))
    first = lab.proxy(RULES)
    said = first.run([PYTHON, app]).stdout
    assert said.count('"session.updated"') == said.count('"response.done"') == 6
    first.wait_calls(6)
    calls = first.stop()
    with ReplayServer() as server:
        replayer = open_replayer(calls, strict="exact")
        server.load(replayer)
        again = lab.proxy(None, environment={VARIABLE: str(server.address)}).run([PYTHON, app]).stdout
    assert replayer.report().is_clean
    # Which of three equal sockets greets first is chance, and with it the ids.
    assert IDS.sub("ID", again) == IDS.sub("ID", said)
