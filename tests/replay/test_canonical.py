"""What counts in a request, and what differs from run to run and means nothing: with what agents really send."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.replay.recorded import asks, body_of, calls_tool, result, user

from sessiontap.replay import volatile
from sessiontap.replay.canonicalizer import Canonicalizer
from sessiontap.replay.volatile import DROPPED_ANYWHERE, DROPPED_FIELDS, TEXTS, stable_text


def key(asked: Any) -> bytes:
    return Canonicalizer().read(body_of(asked)).key


UUID, OTHER_UUID = "c47eee28-3492-4646-9120-2c53d48f8db1", "1614d30c-f67f-43d1-b8e0-9f106e172f0d"

SAME_TEXTS = {
    "a UUID": (f"session {UUID}", f"session {OTHER_UUID}"),
    "an id of a tool call": ("see toolu_01KBqpqR73qWGsMaW3vBzEjz", "see toolu_01ECkKMJKV3QHdBn7BIPAp9S"),
    "Claude Code: a sub-agent's id": (
        "agentId: a91d21b22012a4ab2 (use SendMessage with to: 'a91d21b22012a4ab2')",
        "agentId: a7772960019360660 (use SendMessage with to: 'a7772960019360660')",
    ),
    "Claude Code: a duration": ("<usage>duration_ms: 212</usage>", "<usage>duration_ms: 250</usage>"),
    "an ISO date": ("Today's date is 2026-11-22.", "Today's date is 2027-01-02."),
    "a time stamp": ("at 2025-10-14T03:34:41.386273+00:00", "at 2026-11-22T08:16:04.000001+00:00"),
    "Gemini CLI: the date": ("Today's date is Sunday, November 22, 2026", "Today's date is Monday, May 4, 2026"),
    "the command date": ("Sun Nov 22 08:16:04 UTC 2026", "Mon Dec  7 23:59:59 UTC 2026"),
    "the date of HTTP": ("Sun, 22 Nov 2026 08:16:04 GMT", "Mon, 07 Dec 2026 23:59:59 GMT"),
    "toLocaleDateString": ("Today is 11/22/2026", "Today is 1/2/2027"),
    "the time of day": ("at 08:16:04 and 9:05 PM", "at 23:59:59 and 10:15 AM"),
    "seconds since 1970": ("now=1795335461", "now=1795335524"),
    "milliseconds since 1970": ("now: 1795335461320", "now: 1795335524022"),
    "Gemini CLI: an id made of the time": ("invoke_agent_1795335461320_0", "invoke_agent_1795335524022_0"),
    "a temporary folder": ("read /tmp/tmp.Xa12Bc/a.txt", "read /tmp/tmp.Yb34Cd/a.txt"),
    "pytest's temporary folder": (
        "/tmp/pytest-of-root/pytest-12/test_x0/a.txt", "/tmp/pytest-of-me/pytest-13/test_x0/a.txt",
    ),
    "macOS's temporary folder": (
        "in /var/folders/ab/c1d2e3/T/tmpq1w2/out", "in /private/var/folders/xy/z9y8x7/T/tmpe3r4/out",
    ),
    "Windows' temporary folder": (
        r"C:\Users\me\AppData\Local\Temp\tmp12\a", r"C:\Users\you\AppData\Local\Temp\tmp34\a",
    ),
    "Claude Code: a project's memory": (
        "`/tmp/rc_a1/home/.claude/projects/-tmp-rc-a1-project/memory/`",
        "`/Users/me/.claude/projects/-Users-me-project/memory/`",
    ),
    "another home": ("`/root/.codex/skills`, ~/.claude/x", "`/Users/me/.codex/skills`, /tmp/h/.claude/x"),
    "Claude Code: where it runs": (" - Primary working directory: /home/ci", " - Primary working directory: /Users/me"),
    "Claude Code: the system": ("OS Version: Linux 6.1.0", "OS Version: Darwin 25.1.0"),
    "a port": ("open http://localhost:43121/x and 127.0.0.1:9", "open http://localhost:8099/x and 127.0.0.1:9"),
    "a process": ("killed pid 4711", "killed pid 815"),
    "a credential": ("key [redacted:openai:0123456789]", "key [redacted:openai:abcdef0123]"),
    "a reminder": ("Go on.<system-reminder>3 todos</system-reminder>", "Go on."),
    "Codex's environment": ("<environment_context><cwd>/a</cwd></environment_context>", ""),
}  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SAME_TEXTS.values(), ids=SAME_TEXTS)
def test_a_text_is_the_same_with_another(one: str, other: str) -> None:
    assert stable_text(one, []) == stable_text(other, [])


def test_every_entry_of_the_table_has_an_example() -> None:
    found: set[str] = set()
    for texts in SAME_TEXTS.values():
        for text in texts:
            left: list[tuple[str, str]] = []
            stable_text(text, left)
            found |= {entry.reason for entry in TEXTS for _, value in left if entry.pattern.search(value)}
    looks_around = {entry.reason for entry in TEXTS if re.search(r"\(\?(?:<=|=/)", entry.pattern.pattern)}
    assert {entry.reason for entry in TEXTS} - found - looks_around == set()


@pytest.mark.parametrize(
    "said",
    [
        "gpt-4o-2024-08-06", "bedrock-2023-05-31", "a ratio of 3:4", "from 16:09 on", "room 1701", "29999999999",
        "version 2.1.197", "port 8080", "https://example.com:8443/x", "/home/me/a/tmp/a", "call_me_maybe", "10/20",
        "process the 3 files", "deadbeef", "it took long", "the May fair", "-1", "§ 12", "x" * 5_000, "3.14159",
    ],
)  # fmt: skip
def test_a_text_keeps(said: str) -> None:
    assert stable_text(said, []) == said


@pytest.mark.parametrize("hint_of", TEXTS, ids=lambda entry: entry.reason[:40])
def test_a_line_that_an_entry_changes_is_looked_at(hint_of: volatile.VolatileText) -> None:
    for texts in SAME_TEXTS.values():
        for text in texts:
            if hint_of.pattern.search(text) and (not hint_of.hint or any(one in text for one in hint_of.hint)):
                left: list[tuple[str, str]] = []
                stable_text(text, left)
                assert left


PASSED_ON = "internal_chat_message_metadata_passthrough"
ASSISTANT = {"role": "assistant", "content": "Yes."}
SAME_REQUESTS: dict[str, tuple[Any, Any]] = {
    "keys in another order": ({"model": "m", "n": 1}, {"n": 1, "model": "m"}),
    "blanks": (b'{"model":"m"}', b'{ "model" : "m" }'),
    "1.0 for 1": ({"temperature": 1.0}, {"temperature": 1}),
    "a text as the one part of a list": (
        asks(user("hello")), asks({"role": "user", "content": [{"type": "text", "text": "hello"}]}),
    ),
    "marks for the cache": (
        asks({"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]}),
        asks({"role": "user", "content": [{"type": "text", "text": "a"}]}),
    ),
    "Bedrock's marks for the cache": (
        asks({"role": "user", "content": [{"text": "a"}, {"text": "b"}, {"cachePoint": {"type": "default"}}]}),
        asks({"role": "user", "content": [{"text": "a"}, {"text": "b"}]}),
    ),
    "ids of tool calls at the same places": (
        asks(user("a"), calls_tool("call_1"), result("call_1", "x")),
        asks(user("a"), calls_tool("call_2"), result("call_2", "x")),
    ),
    "arguments of a tool written in another way": (
        asks(calls_tool("1", arguments='{"a":1,"b":2}')), asks(calls_tool("1", arguments='{"b": 2, "a": 1}')),
    ),
    "Claude Code: the billing header": (
        {"system": [{"type": "text", "text": "x-anthropic-billing-header: cch=90fcb;"}, {"type": "text", "text": "B"}]},
        {"system": [{"type": "text", "text": "x-anthropic-billing-header: cch=d4e1c;"}, {"type": "text", "text": "B"}]},
    ),
    "Claude Code: the user": (
        asks(metadata={"user_id": json.dumps({"device_id": "98d", "session_id": UUID})}),
        asks(metadata={"user_id": json.dumps({"device_id": "c9c", "session_id": OTHER_UUID})}),
    ),
    "Codex: session, turn, window": (
        {"prompt_cache_key": UUID, "client_metadata": {"thread_id": UUID, "x-codex-window-id": f"{UUID}:0"}},
        {"prompt_cache_key": OTHER_UUID, "client_metadata": {"thread_id": OTHER_UUID}},
    ),
    "Codex: ids and times of messages": (
        {"input": [user("a") | {"id": f"msg_{UUID}", PASSED_ON: {"turn_id": UUID, "create_time": 1795335429.1795774}}]},
        {"input": [user("a") | {"id": f"msg_{OTHER_UUID}", PASSED_ON: {"turn_id": OTHER_UUID, "create_time": 1.7e9}}]},
    ),
    "Gemini CLI: a call's id made of the time": (
        {"contents": [{"parts": [{"functionCall": {"id": "invoke_agent_1795335461320_0", "name": "f"}}]}]},
        {"contents": [{"parts": [{"functionCall": {"id": "invoke_agent_1795335524022_0", "name": "f"}}]}]},
    ),
    "Gemini CLI with a login: a prompt's id": (
        {"request": {"contents": [], "session_id": "a"}, "user_prompt_id": "b"},
        {"request": {"contents": [], "session_id": "c"}, "user_prompt_id": "d"},
    ),
    "Gemini: a seal": (
        {"contents": [{"role": "model", "parts": [{"text": "a", "thoughtSignature": "AAAA"}, {"text": "b"}]}]},
        {"contents": [{"role": "model", "parts": [{"text": "a", "thoughtSignature": "BBBB"}, {"text": "b"}]}]},
    ),
    "a message of nothing but reminders": (
        asks(user("a"), user("<system-reminder>now</system-reminder>")), asks(user("a")),
    ),
    "a time as a number": ({"events": [{"at": 1795335429.5}]}, {"events": [{"at": 1795335477}]}),
    "frames of a WebSocket": (
        b'{"type":"session.update","event_id":"e1"}\n{"type":"response.create","event_id":"e2"}\n',
        b'{"event_id":"e3","type":"session.update"}\n{"type":"response.create","event_id":"e4"}\n',
    ),
    "a form's boundary": (
        b'--3f2a\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--3f2a--\r\n',
        b'--99c1\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--99c1--\r\n',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SAME_REQUESTS.values(), ids=SAME_REQUESTS)
def test_a_request_is_the_same_with_other(one: Any, other: Any) -> None:
    assert key(one) == key(other)


OTHER_REQUESTS: dict[str, tuple[Any, Any]] = {
    "a word": (asks(user("a")), asks(user("b"))),
    "a model": (asks(user("a")), asks(user("a")) | {"model": "gpt-4o-2024-08-06"}),
    "a dated model": ({"model": "gpt-4o-2024-08-06"}, {"model": "gpt-4o-2024-05-13"}),
    "a role": (asks(user("a")), asks({"role": "system", "content": "a"})),
    "the order of messages": (asks(user("a"), user("b")), asks(user("b"), user("a"))),
    "a message more": (asks(user("a")), asks(user("a"), ASSISTANT)),
    "a limit": (asks(user("a"), max_tokens=1), asks(user("a"), max_tokens=2)),
    "true for 1": ({"stream": True}, {"stream": 1}),
    "a result of a tool": (asks(result("1", "a")), asks(result("1", "b"))),
    "an argument of a tool": (asks(calls_tool("1", arguments='{"id":1}')), asks(calls_tool("1", arguments='{"id":2}'))),
    "an argument that is called id": (
        asks({"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {"id": "a"}}]}),
        asks({"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {"id": "b"}}]}),
    ),
    "results at each other's call": (
        asks(calls_tool("1"), calls_tool("2"), result("1", "x"), result("2", "y")),
        asks(calls_tool("1"), calls_tool("2"), result("2", "x"), result("1", "y")),
    ),
    "an earlier reply": ({"previous_response_id": f"resp_{UUID}"}, {"previous_response_id": f"resp_{OTHER_UUID}"}),
    "a date for none": (asks(user("on 2026-11-22")), asks(user("on Sunday"))),
    "a file below a temporary folder": (asks(user("/tmp/x/a.txt")), asks(user("/tmp/x/b.txt"))),
    "a tool": (asks(user("a"), tools=[{"name": "f"}]), asks(user("a"), tools=[{"name": "g"}])),
    "a user, if no model is asked": ({"user": "ann"}, {"user": "bob"}),
    "metadata, if no model is asked": ({"id": 7, "metadata": {"a": 1}}, {"id": 7, "metadata": {"a": 2}}),
    "bytes": (b"\xff\x00", b"\xff\x01"),
}  # fmt: skip


@pytest.mark.parametrize(("one", "other"), OTHER_REQUESTS.values(), ids=OTHER_REQUESTS)
def test_a_request_is_not_the_same_with_another(one: Any, other: Any) -> None:
    assert key(one) != key(other)


def test_every_key_of_the_table_is_left_out() -> None:
    for name in DROPPED_FIELDS:
        assert key({"model": "m", name: "a"}) == key({"model": "m", name: "b"}) == key({"model": "m"}), name
    for name in DROPPED_ANYWHERE:
        one, other = (asks({"role": "user", "content": [{"type": "text", "text": "a", name: n}]}) for n in ("1", "2"))
        assert key(one) == key(other), name


def test_the_form_of_a_request_does_not_depend_on_earlier_requests() -> None:
    message = b'{"role": "user", "content": "hello"}'
    forms = Canonicalizer()
    forms.read(b'{"model": "m", "messages": %s}' % message)
    listed = b'{"model": "m", "messages": [%s]}' % message
    assert forms.read(listed) == Canonicalizer().read(listed)


@pytest.mark.parametrize("field", ["previous_response_id", "previous_interaction_id"])
def test_names_of_earlier_replies_are_the_same_if_equal_requests_got_them(field: str) -> None:
    forms = Canonicalizer()
    first = forms.read(body_of({"input": [], "generate": False}))
    forms.note_reply("resp_1", first)
    forms.note_reply("resp_2", first)
    one, other, third = (
        forms.read(body_of({"input": [user("a")], field: f"resp_{n}"})).key for n in (1, 2, 3)
    )
    assert one == other != third


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_any_json_has_one_form_however_it_is_written(value: Any) -> None:
    body = {"model": "m", "messages": value, "x": value}
    assert key(json.dumps(body).encode()) == key(
        json.dumps(body, indent=2, ensure_ascii=False).encode("utf-8", "replace")
    )


@given(st.binary(max_size=200))
def test_no_body_raises(body: bytes) -> None:
    assert Canonicalizer().read(body) == Canonicalizer().read(body)
