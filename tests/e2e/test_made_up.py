"""A wire family and an agent that nobody has heard of, added to a copy of the addon by one file and one line each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.lab import ROOT, Lab
from tests.support.dialogue import Request, Respond

from sessiontap.exchange import Headers

FAMILY = '''
"""A family of a theatre: lines of a play, answered by a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sessiontap.exchange import Request, Response
from sessiontap.llm.call import Asked, Call, Reply, Usage
from sessiontap.llm.family import Family, FamilyRoute
from sessiontap.llm.message_pieces import MessagePiece, ReasoningPiece, TextPiece
from sessiontap.llm.messages import ContentReader, MessageShape
from sessiontap.llm.pick import count, dicts, parse, text


def asked(request: Request, body: Any) -> Asked:
    lines = list(dicts(body, "play"))
    return Asked(model=text(body, "actor"), message=text(lines[-1], "says", 0, "line") if lines else None)


def reply(call: Call, response: Response) -> Reply:
    body, _ = parse(response.body)
    usage = Usage(input=count(body, "heard"), output=count(body, "spoken"))
    return Reply(response_model=text(body, "actor"), text=text(body, "line"), usage=usage)


def messages(body: dict[str, Any], content: ContentReader) -> Iterator[tuple[str, list[MessagePiece]]]:
    for one in dicts(body, "play"):
        role = "assistant" if text(one, "by") == "actor" else "user"
        yield role, content.pieces(one.get("says"))


FAMILY = Family(
    "theatre",
    asked,
    reply,
    routes=(FamilyRoute("POST", "/stage/{model}/speak", "chat"),),
    messages=(MessageShape(("play",), lambda body: isinstance(body.get("play"), list), messages),),
    parts={"line": lambda part, content: [TextPiece(part["line"])]},
    uncounted={"whisper": lambda part, content: [ReasoningPiece(part["whisper"])]},
    tools=(("props",),),
    cache_marks=frozenset({"remembered"}),
)
'''


AGENT = '''
"""The prompter of a theatre."""

from sessiontap.llm.agent_signs import KnownAgent, field, sends

AGENTS = (KnownAgent("prompter", signs=(sends("x-stage"),), session=(field("evening"),)),)
'''
ADDED = (
    ("made_up_theatre.py", FAMILY, "families.py", "MODULES = (\n", '    "made_up_theatre",\n'),
    ("made_up_prompter.py", AGENT, "agents.py", "MODULES = (\n", '    "made_up_prompter",\n'),
)
"""File and its text; the file with the list, the line before, and the line that is added."""


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    """The addon's entry in a copy that knows the made-up ones."""
    addon = tmp_path / "copy" / "addon"
    shutil.copytree(ROOT / "addon", addon, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    llm = addon / "sessiontap" / "llm"
    for name, code, table, before, line in ADDED:
        (llm / name).write_text(code, encoding="utf-8")
        text = (llm / table).read_text(encoding="utf-8")
        assert text.count(before) == 1
        (llm / table).write_text(text.replace(before, before + line), encoding="utf-8")
    return addon / "main.py"


async def act(request: Request, respond: Respond) -> None:
    """Answer with a line, and with the number of the lines that were heard."""
    heard = len(json.loads(await request.body())["play"])
    line = f"This is line {heard + 1}, and it is a good one."
    body = json.dumps({"actor": "garrick-2", "line": line, "heard": heard, "spoken": 5}).encode()
    await respond.whole(200, body, Headers([("content-type", "application/json")]))


def test_a_made_up_family_and_agent_are_read_grouped_and_recorded(lab: Lab, entry: Path) -> None:
    lab.upstream(act, ["llm.example"])
    rules = {
        "version": 1,
        "hosts": [{"host": "llm.example"}],
        "rules": [{"match": {"agent": "prompter", "operation": "chat"}, "session": {"name": "Play", "id": "native"}}],
    }
    proxy = lab.proxy(rules, entry=entry, environment={"PYTHONPATH": os.fspath(entry.parent)})
    url = "https://llm.example/stage/garrick/speak"
    play = [{"by": "author", "says": [{"line": "To be, or not to be?", "remembered": 1}]}]
    with proxy.client(headers={"x-stage": "left"}) as app:
        first = app.post(url, json={"play": play, "evening": "premiere"}).json()
        del play[0]["says"][0]["remembered"]  # the mark moves
        play += [
            {"by": "actor", "says": [{"line": first["line"]}, {"whisper": "Which line was it?"}]},
            {"by": "author", "says": [{"line": "That is the question.", "remembered": 1}]},
        ]
        proxy.wait_calls(1)
        app.post(url, json={"play": play, "evening": "premiere", "props": [{"name": "skull", "of": "Yorick"}]})

    one, two = (call.record for call in proxy.wait_calls(2))
    llm = two["llm"]
    assert (llm["family"], llm["operation"], llm["request_model"], llm["response_model"]) == (
        "theatre", "chat", "garrick", "garrick-2",
    )  # fmt: skip
    assert (llm["usage"]["input"], llm["usage"]["output"]) == (3, 5)
    assert two["route"] == "/stage/{model}/speak"
    assert [(call["agent"], call["session"]["id"], call["session"]["source"]) for call in (one, two)] == [
        ("prompter", "premiere", "native"),
        ("prompter", "premiere", "native"),
    ]
    assert (two["conversation"], two["parent"], two["evidence"]) == (one["conversation"], one["id"], "strong")
    for said, place in (("question", "text"), ("Which line", "reasoning"), ("Yorick", "tool_definition")):
        assert places(proxy.trace_folder, entry, said) == [(place, two["id"])]


def places(trace: Path, entry: Path, said: str) -> list[tuple[str, str]]:
    """Where a search by the copy finds a text: the kind of the part, and the id of its call."""
    found = subprocess.run(
        [sys.executable, "-m", "sessiontap.cli", "search", said, "--json", "--trace", os.fspath(trace)],
        env={**os.environ, "PYTHONPATH": os.fspath(entry.parent)},
        stdout=subprocess.PIPE,
        check=True,
    )
    return [(row["place"], row["call"]["id"]) for row in map(json.loads, found.stdout.splitlines())]
