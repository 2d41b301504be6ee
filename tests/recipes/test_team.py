"""docs/recipes/team: the proxies of several machines, one rules file, one collector."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.lab import Lab, wait_until
from tests.push.otlp_collector import Collector, attributes_of, served
from tests.recipes import chat_model
from tests.recipes.recipe import Ended, Recipe, missing_lines, page, push_row, said, session_headers, shown
from tests.support.dialogue import Request, Respond

NAME = "team"
MACHINES = (("ada-laptop", "ada"), ("build-server", "ci"))
TURNS = 4
"""Each call is a turn: a user's message and its answer."""
KEYS = {"OPENAI_API_KEY": "sk-test-0000"}
COLUMNS = {
    "host.name": "host.name",
    "user.id": "user.id",
    "session": "sessiontap.session.name",
    "path": "sessiontap.session.path",
    "model": "gen_ai.request.model",
    "input": "gen_ai.usage.input_tokens",
    "output": "gen_ai.usage.output_tokens",
    "cost": "sessiontap.cost.usd",
}
"""The columns of the page's table, and the attributes that they show."""


async def openai(request: Request, respond: Respond) -> None:
    asked = json.loads(await request.body())
    first = len(asked["messages"]) == 1
    await chat_model.reply(respond, asked, "It asks a model about a file." if first else "Asks about a file, twice.")


@dataclass
class Run:
    """The app has run on every machine; their proxies have ended, and so have the processes that push."""

    recipe: Recipe
    through: list[Ended]
    past: Ended
    traces: list[Path]
    spans: list[dict[str, Any]]
    """The attributes of all spans that the collector has, with those of their resources."""
    received: list[Request]
    """What came to OpenAI through the proxies."""

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The spans of calls to a model, machine by machine."""
        names = [name for name, _ in MACHINES]
        found = [span for span in self.spans if "gen_ai.usage.input_tokens" in span]
        return sorted(found, key=lambda span: (names.index(span["host.name"]), span["sessiontap.session.step"]))


@pytest.fixture(scope="module")
def run(lab: Lab) -> Iterator[Run]:
    provider = lab.upstream(openai, ["api.openai.com"])
    other = lab.upstream(openai, ["localhost"])
    collector = Collector()
    through, traces = [], []
    command = [sys.executable, "app.py", "app.py"]
    with served(collector) as url:
        for machine, user in MACHINES:
            recipe = Recipe(NAME, lab, home=machine)
            named = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_RESOURCE_ATTRIBUTES": f"host.name={machine}"}
            proxy = recipe.proxy(named)
            through.append(recipe.through(command, {**KEYS, "USER": user}))
            proxy.stop()
            traces.append(proxy.trace_folder)
        past = recipe.past(command, {**KEYS, "OPENAI_BASE_URL": f"https://localhost:{other.port}/v1"})
        wait_until(lambda: sum(not span.parent_span_id for span in collector.spans.values()) == TURNS)
        wait_until(lambda: all(push_row(trace)["pid"] is None for trace in traces))
        spans = [
            {**attributes_of(one.resource), **attributes_of(span), "name": span.name}
            for request in collector.requests
            for one in request.resource_spans
            for scope in one.scope_spans
            for span in scope.spans
        ]
        assert len(spans) == len(collector.spans)
        yield Run(recipe, through, past, traces, spans, provider.requests)


def test_the_app_sees_no_difference(run: Run) -> None:
    assert [ended.seen for ended in run.through] == [run.past.seen] * 2
    assert run.past.seen == (0, ["Asks about a file, twice."], "")


def test_neither_the_app_nor_the_rules_name_a_machine_or_a_person(run: Run) -> None:
    app = (run.recipe.folder / "app.py").read_text("utf-8").lower()
    assert not any(word in app for word in ("sessiontap", "otel", "otlp", "session", "proxy"))
    rules = run.recipe.rules.read_text("utf-8")
    assert not any(name in rules for machine in MACHINES for name in machine)


def test_the_collector_has_every_machines_session_apart(run: Run) -> None:
    sessions = {(span["host.name"], span["user.id"]): span["session.id"] for span in run.calls}
    assert list(sessions) == list(MACHINES)
    assert len(set(sessions.values())) == 2
    assert [span["sessiontap.session.step"] for span in run.calls] == [0, 1] * 2
    for span in run.spans:
        assert span["session.id"] == sessions[span["host.name"], span["user.id"]]
        assert span["sessiontap.session.name"] == "Explain"


def test_what_was_said_stays_on_the_machines(run: Run) -> None:
    everything = json.dumps(run.spans)
    assert "What does this do?" not in everything
    assert "Asks about a file" not in everything
    assert "What does this do?" in said("sessiontap show @1 --conversation", NAME, run.traces[0])


def test_nothing_is_added_to_what_the_app_sends(run: Run) -> None:
    assert [session_headers(request) for request in run.received] == [{}] * 4


def table(run: Run) -> list[list[str]]:
    """The page's table of what the collector has."""
    return [list(COLUMNS), *([str(span[name]) for name in COLUMNS.values()] for span in run.calls)]


def test_the_page_shows_what_the_collector_has(run: Run) -> None:
    (block,) = re.findall(r"^```\n(host\.name .*?)^```$", page(NAME), re.DOTALL | re.MULTILINE)
    assert [re.split(" {2,}", line.strip()) for line in block.splitlines()] == table(run)


def test_the_page_shows_what_is_said(run: Run) -> None:
    commands = shown(page(NAME))
    assert [command.split()[1] for command, _ in commands] == ["ls", "push"]
    for command, text in commands:
        assert missing_lines(text, said(command, NAME, run.traces[0])) == []
