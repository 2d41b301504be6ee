"""Where a real agent works: a home and a project folder of its own, the local LLM server, a proxy; what was seen."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.lab import KEYS, Lab, wait_until
from tests.support.llm_server import HOSTS, LlmService

from sessiontap.cli.environment import variables
from sessiontap.trace import RecordedCall

RULES: Any = {
    "version": 1,
    "rules": [
        # What an agent asks beside its LLM calls (settings, policies, telemetry) is no part of its session.
        {"rule": "errands", "match": {"operation": "other"}, "ignore": True},
        {"rule": "all", "session": {"id": "auto"}},
    ],
}
EVERYTHING: Any = {"version": 1, "rules": [{"rule": "all", "session": {"id": "auto"}}]}
"""What a user's own first rules record: errands, too."""
LIMIT = 300.0  # seconds, on a busy machine; the slowest takes ten on a quiet one
AGENT_KEYS = KEYS | {"CODEX_API_KEY": "sk-test-0000", "GEMINI_API_KEY": "test-0000"}


@dataclass(frozen=True)
class Turn:
    """One call to a model, as the trace tells it."""

    path: str
    called: tuple[str, ...] = ()
    """The tools that it asks for."""
    results: tuple[str, ...] = ()
    """The tools whose results it brings."""
    after: tuple[str, ...] | None = None
    """The tools that its parent call asked for; None: no parent is known."""
    evidence: str = "declared"


class Stage:
    def __init__(self, lab: Lab, folder: Path, *, websockets: bool = False, rules: Any = RULES) -> None:
        # chatgpt.com: what Codex asks there is answered at once rather than tried again.
        self.upstream = lab.upstream(LlmService(websockets=websockets), (*HOSTS, "chatgpt.com"))
        self.proxy = lab.proxy(rules)
        self.home, self.project = folder / "home", folder / "project"
        self.home.mkdir()
        self.project.mkdir()

    def run(self, command: Sequence[str | Path], *, stdin: str = "", more: Mapping[str, str] | None = None) -> str:
        """Run an agent to its end with nothing but what `sessiontap env` sets, and give its standard output."""
        ca = str(self.proxy.ca)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            **variables(self.proxy.url, ca, ca),
            **AGENT_KEYS,
            **(more or {}),
        }
        done = subprocess.run(
            [str(word) for word in command],
            cwd=self.project,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        said = f"{done.stdout}\n{done.stderr}\n{self.proxy.process.output}"
        assert done.returncode == 0, f"{command[0]} ended with {done.returncode}\n{said}"
        return done.stdout

    def calls(self, number: int) -> list[RecordedCall]:
        """The answered calls to models, oldest first, once there are that many; and they are sound (below)."""

        def found() -> list[RecordedCall]:
            calls = self.proxy.trace.calls(newest_first=False)
            return [call for call in calls if call.record["response"]["status"] in (101, 200)]

        wait_until(lambda: len(found()) >= number, lambda: f"{turns(found())}\n{self.proxy.process.output}")
        calls = found()
        assert len(calls) == number, turns(calls)
        for call in calls:
            assert_sound(call)
        return calls

    def told(self) -> Counter[tuple[str | None, ...]]:
        """How often the server was told which session and path, by whatever asked a model."""
        asked = [request for request in self.upstream.requests if request.host != "chatgpt.com"]
        headers = [(r.headers.get("helicone-session-id"), r.headers.get("helicone-session-path")) for r in asked]
        return Counter(pair for pair in headers if pair != (None, None))


def assert_sound(call: RecordedCall) -> None:
    """What holds of every call that a model answered."""
    record, llm = call.record, call.record["llm"]
    assert record["outcome"] == "ok"
    assert llm["operation"] == "chat"
    assert llm["response_model"] == llm["request_model"]
    assert llm["usage"]["input"] > 0
    assert llm["usage"]["output"] > 0
    assert record["time_to_first_token"] is not None or not llm["stream"]


def turns(calls: Sequence[RecordedCall]) -> list[Turn]:
    """What the agents did, without what they asked on the side (titles)."""
    known = {call.id: tuple(call.record["llm"]["tool_calls"]) for call in calls}
    return [
        Turn(
            path=call.record["session"]["path"],
            called=known[call.id],
            results=tuple(call.record["llm"]["tool_results"]),
            after=known.get(call.record["parent"]),
            evidence=call.record["evidence"],
        )
        for call in calls
        if call.record["link"]["kind"] != "auxiliary"
    ]


def one_session(calls: Sequence[RecordedCall]) -> dict[str, Any]:
    """The session of all these calls, whose steps count up from 0."""
    sessions = [call.record["session"] for call in calls]
    assert len({(session["id"], session["name"], session["source"]) for session in sessions}) == 1, sessions
    assert sorted(session["step"] for session in sessions) == list(range(len(sessions)))
    return dict(sessions[0])


def asked_as_told(stage: Stage, calls: Sequence[RecordedCall]) -> bool:
    """The server was told of each call what the log says of it. (For agents that ask by HTTP alone.)"""
    logged = Counter((call.session_id, call.record["session"]["path"]) for call in calls)
    return logged == stage.told()


def usage(calls: Sequence[RecordedCall], field: str) -> int:
    """The sum of one of the counts."""
    return sum(call.record["llm"]["usage"][field] for call in calls)
