"""A conversation as a test writes it: requests and replies, and what they were linked to."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from sessiontap.exchange import Headers, Request
from sessiontap.llm.call import Call, Reply, ToolCall
from sessiontap.llm.history import History, ReplyFingerprint, fingerprint_of, history
from sessiontap.llm.hosts import provider_of
from sessiontap.llm.read import read_request
from sessiontap.llm.routes import endpoint_of
from sessiontap.sessions.conversations import Conversations, to_state
from sessiontap.sessions.match_scope import MatchScope
from sessiontap.sessions.session import Link

HERE = MatchScope("process 1", "openai-chat")
CLAUDE = {"x_claude_code_session_id": "c1a0de00-session"}
ANTHROPIC = MatchScope("process 1", "anthropic-messages")
RESPONSES = MatchScope("process 1", "openai-responses")
ANSWER = "An answer long enough to be told from others by itself."
TASK = "Find every place where the parser drops a comment."
_SECOND = 1_000_000_000
_ROLES = {"s": "system", "u": "user", "a": "assistant"}

Said = str | dict[str, Any]


def chat(*said: Said, **rest: Any) -> dict[str, Any]:
    """A chat's body: `u Hello` is what the user says, `a` the assistant, `s` the system; anything else as it is."""
    messages = [{"role": _ROLES[one[0]], "content": one[2:]} if isinstance(one, str) else one for one in said]
    return {"model": "m", "messages": messages, **rest}


def calls(*tools: tuple[str, str], said: str | None = None, **arguments: Any) -> dict[str, Any]:
    """An assistant's message that calls tools, each given as (id, name)."""
    text = json.dumps(arguments)
    made = [{"id": id, "type": "function", "function": {"name": name, "arguments": text}} for id, name in tools]
    return {"role": "assistant", "content": said, "tool_calls": made}


def gives(id: str, said: str = "done") -> dict[str, Any]:
    """A tool's result."""
    return {"role": "tool", "tool_call_id": id, "content": said}


def read(
    body: dict[str, Any], path: str = "/v1/chat/completions", host: str = "api.openai.com", **headers: str
) -> Call:
    """A request, read. Header names are written with `_` for `-`."""
    fields = [("content-type", "application/json"), *((k.replace("_", "-"), v) for k, v in headers.items())]
    request = Request("POST", host, path, Headers(fields), json.dumps(body).encode())
    return read_request(request, endpoint_of("POST", host, path, provider_of(host)))


@dataclass
class Talk:
    """Requests are named by the test; each takes a second."""

    conversations: Conversations = field(default_factory=Conversations)
    scope: MatchScope = HERE
    path: str = "/v1/chat/completions"
    host: str = "api.openai.com"
    now: int = 0
    asked: dict[str, tuple[MatchScope, Call, History, Link]] = field(default_factory=dict)
    kept: list[tuple[str, int, Link, dict[str, Any], ReplyFingerprint]] = field(default_factory=list)
    """What the records of the calls that ended hold."""

    def ask(
        self,
        id: str,
        body: dict[str, Any],
        *,
        scope: MatchScope | None = None,
        path: str | None = None,
        **headers: str,
    ) -> Link:
        """A request goes out, from the talk's own scope and on its path unless it says otherwise."""
        self.now += _SECOND
        scope = scope or self.scope
        call = read(body, path or self.path, self.host, **headers)
        found = history(call)
        link = self.conversations.link(scope, call, found, id, self.now)
        scope = scope if link.session is None else replace(scope, session=link.session)
        self.asked[id] = scope, call, found, link
        return link

    def reply(
        self,
        id: str,
        text: str | None = None,
        *,
        tools: tuple[tuple[str | None, str, dict[str, Any]], ...] = (),
        response_id: str | None = None,
        status: int | None = 200,
        complete: bool = True,
    ) -> None:
        """Its reply has been read; `tools` as (id, name, arguments)."""
        self.now += _SECOND
        scope, call, found, link = self.asked[id]
        made = tuple(ToolCall(name, tool, json.dumps(arguments)) for tool, name, arguments in tools)
        reply = Reply(text=text, tool_calls=made, response_id=response_id) if status == 200 else Reply()
        came = fingerprint_of(found.tail(), reply, status, complete=complete)
        self.conversations.note_reply(id, came, self.now)
        kept = to_state(scope.pseudonymized(self.conversations.key), call, found, came)
        self.kept.append((id, self.now, link, kept, came))

    def turn(self, id: str, body: dict[str, Any], text: str | None = None, **more: Any) -> Link:
        """A request and its reply."""
        came = {key: more.pop(key) for key in ("tools", "response_id", "status", "complete") if key in more}
        link = self.ask(id, body, **more)
        self.reply(id, text, **came)
        return link

    def restarted(self) -> Talk:
        """The same after a restart, with what the records hold."""
        after = Talk(scope=self.scope, path=self.path, host=self.host, now=self.now)
        for id, at, link, kept, came in self.kept:
            warm_up = self.asked[id][2].purpose == "warmup"
            session = self.asked[id][0].session  # as the record names it
            after.conversations.restore(
                id, at, link, kept, came.response_id, came.tools, warm_up=warm_up, session=session
            )
        return after


def opened(*, tools: tuple[tuple[str | None, str, dict[str, Any]], ...] = ()) -> Talk:
    """One call, `Where is it?`, that has its reply: `Over there.` or tool calls."""
    talk = Talk()
    talk.turn("first", chat("u Where is it?"), None if tools else "Over there.", tools=tools)
    return talk


def outcome(link: Link) -> tuple[str | None, str | None, str | None]:
    return link.parent, link.evidence, link.kind


def delegated(**arguments: str) -> Talk:
    talk = Talk()
    talk.turn("main", chat("u Clean up."), tools=(("call_aBcD1eF", "Task", {"prompt": TASK, **arguments}),))
    return talk


def claude(*said: str, previous: str | None = None) -> dict[str, Any]:
    body = chat(*said, max_tokens=100)
    return body | ({"diagnostics": {"previous_message_id": previous}} if previous else {})
