"""docs/recipes/flight-agent: an agent on a TraceForge server that gets its session, step, state and parent unasked."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.e2e.lab import Lab
from tests.recipes.recipe import FOLDER, Ended, Recipe, missing_lines, page, said, shown
from tests.recipes.traceforge_server import TraceForge
from tests.rules.build import CALLER, call, facts

from sessiontap.demo.redirect import Redirect
from sessiontap.rules import decide, load_file
from sessiontap.sessions.id_sources import SessionEvidence
from sessiontap.sessions.registry import Registry
from sessiontap.sessions.store import wanted_session
from sessiontap.trace import RecordedCall

NAME = "flight-agent"
KEYS = {"OPENAI_API_KEY": "sk-test-0000"}
TRIP, FLEXIBLE = ["LIS", "OSL"], ["LIS", "OSL", "--flexible"]


@dataclass
class Run:
    """The agent has booked through the proxy, once for a user who knows the day and once for one who does not."""

    recipe: Recipe
    through: Ended
    flexible: Ended
    past: Ended
    traces: list[dict[str, str | None]]
    """What the server got of the trip, and then of the flexible one."""
    calls: list[RecordedCall]
    trace: Path

    @property
    def told(self) -> list[dict[str, str]]:
        """The server's session headers as the agent got them, call by call, on the trip."""
        return [json.loads(line) for line in self.through.stderr.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def run(lab: Lab) -> Run:
    server = TraceForge()
    port = lab.upstream(server, [], tls=False).port
    lab.redirect(Redirect("localhost", 8787, port))
    recipe = Recipe(NAME, lab)
    proxy = recipe.proxy()
    flexible = recipe.through([sys.executable, "app.py", *FLEXIBLE], KEYS)
    through = recipe.through([sys.executable, "app.py", *TRIP], KEYS)
    traces = list(server.traces)
    past = recipe.past([sys.executable, "app.py", *TRIP], {**KEYS, "TRACEFORGE_URL": f"http://localhost:{port}"})
    return Run(recipe, through, flexible, past, traces, proxy.stop(), proxy.trace_folder)


def test_the_agent_books_the_same(run: Run) -> None:
    assert run.through.seen == run.past.seen
    assert run.through.seen == (0, ["Tp 762 is booked, reference tp762-7q"], "")
    assert run.flexible.status == 0


def test_it_knows_nothing_of_us(run: Run) -> None:
    source = (run.recipe.folder / "app.py").read_text("utf-8").lower()
    assert not any(word in source for word in ("sessiontap", "proxy", "step-index", "session-id"))


def test_the_server_is_told_session_step_state_and_parent(run: Run) -> None:
    trip = run.traces[-4:]
    assert len({one["session-id"] for one in trip}) == 1
    assert [one["step-index"] for one in trip] == ["0", "1", "2", "3"]
    assert [one["parent-trace-id"] for one in trip] == [None, *(one["trace"] for one in trip[:-1])]
    states = [json.loads(one["state"] or "") for one in trip]
    assert [state.pop("phase") for state in states] == ["searching", "choosing", "choosing", "booked"]
    assert states == [{"trip": {"from": "LIS", "to": "OSL", "dates": "1 or 3 March"}, "max_steps": 5}] * 4


def test_the_agent_is_told_what_the_server_says(run: Run) -> None:
    trip = run.traces[-4:]
    assert run.told == [
        {
            "x-traceforge-session-id": one["session-id"],
            "x-traceforge-trace-id": one["trace"],
            "x-traceforge-next-step": str(step + 1),
        }
        for step, one in enumerate(trip)
    ]


def test_after_the_most_steps_a_new_session_begins_and_names_its_parent(run: Run) -> None:
    flexible = run.traces[:-4]
    assert [one["step-index"] for one in flexible] == ["0", "1", "2", "3", "4", "0", "1", "2"]
    first, second = list(dict.fromkeys(one["session-id"] for one in flexible))
    assert [one["session-id"] for one in flexible] == [first] * 5 + [second] * 3
    assert flexible[5]["parent-trace-id"] == flexible[4]["trace"]


@pytest.mark.parametrize(("minutes", "sessions"), [(15, 1), (16, 2)], ids=["within", "after"])
def test_after_the_idle_time_a_new_session_begins(minutes: int, sessions: int) -> None:
    messages = [{"role": "system", "content": ""}, {"role": "user", "content": "Fly LIS to OSL, 1 or 3 March."}]
    body = {"messages": messages}
    asked = facts(caller=replace(CALLER, names=("app.py",)), call=replace(call(message="Fly"), json=body))
    decision, _ = decide(load_file(FOLDER / NAME / "rules.yaml"), asked, {})
    registry, evidence = Registry(), SessionEvidence("process", CALLER.id)
    ids = {registry.assign(wanted_session(decision, evidence, now=at * 60_000_000_000)).id for at in (0, minutes)}
    assert len(ids) == sessions


def test_the_records_have_the_tokens(run: Run) -> None:
    records = [one.record for one in run.calls]
    assert all(record["llm"]["usage"]["input"] > 0 for record in records)
    assert {record["llm"]["provider"] for record in records} == {"traceforge"}


def test_the_page_shows_what_is_said(run: Run) -> None:
    commands = shown(page(NAME))
    assert [command.split()[1] for command, _ in commands] == ["ls", "show", "cat"]
    for command, text in commands:
        assert missing_lines(text, said(command, NAME, run.trace)) == []


def test_the_page_shows_what_the_agent_is_told(run: Run) -> None:
    (told,) = re.findall(r'^(\{"x-traceforge.*\})$', page(NAME), re.MULTILINE)
    assert json.loads(told).keys() == run.told[2].keys()
    assert json.loads(told)["x-traceforge-next-step"] == run.told[2]["x-traceforge-next-step"]
