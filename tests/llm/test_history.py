"""What a request of any family holds of its conversation, and what its reply adds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessiontap.exchange import Headers, Request
from sessiontap.llm.call import Call, CallError, Reply, ToolCall
from sessiontap.llm.history import (
    START,
    DelegatedPrompt,
    History,
    fingerprint_of,
    history,
    lines_of,
    reply_digest,
    text_digest,
)
from sessiontap.llm.read import read_request
from sessiontap.llm.routes import endpoint_of

CHAT = "/v1/chat/completions"
PATHS = {
    "anthropic": "/v1/messages",
    "responses": "/v1/responses",
    "gemini": "/v1beta/models/gemini-2.5-pro:generateContent",
    "converse": "/model/m/converse",
    "cohere": "/v1/chat",
    "ollama": "/api/chat",
    "chat": CHAT,
}
PROVIDERS = {"cohere": "cohere", "ollama": "ollama"}
ARGUMENTS = {"city": "Rome"}
TEXT = json.dumps(ARGUMENTS)


def call(body: Any, family: str = "chat") -> Call:
    path = PATHS[family]
    request = Request("POST", "h", path, Headers([("content-type", "application/json")]), json.dumps(body).encode())
    return read_request(request, endpoint_of("POST", "h", path, PROVIDERS.get(family)))


def told(body: Any, family: str = "chat") -> History:
    return history(call(body, family))


TURNS: dict[str, dict[str, Any]] = {
    "chat": {
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Weather?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "look", "arguments": TEXT}}],
            },
            {"role": "tool", "tool_call_id": "t1", "content": "sunny"},
        ]
    },
    "anthropic": {
        "system": [{"type": "text", "text": "x-anthropic-billing-header: 7"}, {"type": "text", "text": "Be kind."}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Weather?", "cache_control": {}}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm", "signature": "s"},
                    {"type": "tool_use", "id": "t1", "name": "look", "input": ARGUMENTS},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "sunny"}]},
        ],
    },
    "responses": {
        "instructions": "Be kind.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "function_call", "id": "fc_1", "call_id": "t1", "name": "look", "arguments": TEXT},
            {"type": "function_call_output", "call_id": "t1", "output": "sunny"},
        ],
    },
    "gemini": {
        "systemInstruction": {"parts": [{"text": "Be kind."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Weather?"}]},
            {"role": "model", "parts": [{"functionCall": {"id": "t1", "name": "look", "args": ARGUMENTS}}]},
            {
                "role": "user",
                "parts": [{"functionResponse": {"id": "t1", "name": "look", "response": {"result": "sunny"}}}],
            },
        ],
    },
    "converse": {
        "system": [{"text": "Be kind."}],
        "messages": [
            {"role": "user", "content": [{"text": "Weather?"}]},
            {
                "role": "assistant",
                "content": [{"toolUse": {"toolUseId": "t1", "name": "look", "input": ARGUMENTS}}],
            },
            {"role": "user", "content": [{"toolResult": {"toolUseId": "t1", "content": [{"text": "sunny"}]}}]},
        ],
    },
    "ollama": {
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Weather?"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "t1", "function": {"name": "look", "arguments": ARGUMENTS}}],
            },
            {"role": "tool", "tool_call_id": "t1", "content": "sunny"},
        ]
    },
}


@pytest.mark.parametrize("family", TURNS)
def test_a_turn_with_a_tool(family: str) -> None:
    found = told(TURNS[family], family)
    assert found.opening == "Weather?"
    assert found.system == told(TURNS["chat"]).system != None  # noqa: E711
    assert [entry.role for entry in found.entries][:2] == ["user", "assistant"]
    assert len(found.entries) == 3
    assert found.entries[1].issued == ("t1",)
    assert found.entries[2].answered == ("t1",)


@pytest.mark.parametrize("family", TURNS)
def test_its_reply_has_the_digest_of_the_run_that_it_became(family: str) -> None:
    found = told(TURNS[family], family)
    reply = Reply(tool_calls=(ToolCall("look", "t1", TEXT),))
    assert reply_digest(reply) == found.entries[1].digest
    first = history_of_first(TURNS[family], family)
    assert first.end == found.chain[1]
    assert fingerprint_of(first, reply, 200).key == found.chain[2]


def history_of_first(body: dict[str, Any], family: str) -> History:
    key = next(key for key in ("messages", "input", "contents") if key in body)
    upto = next(n for n, one in enumerate(body[key]) if one.get("role") == "user") + 1
    return told({**body, key: body[key][:upto]}, family)


@pytest.mark.parametrize("family", TURNS)
def test_the_opening_is_the_same_in_every_family(family: str) -> None:
    assert told(TURNS[family], family).chain[1] == told({"messages": [{"role": "user", "content": "Weather?"}]}).end


def test_cohere_v1_tells_its_history_apart_from_the_message() -> None:
    body = {
        "message": "And?",
        "chat_history": [
            {"role": "SYSTEM", "message": "Be kind."},
            {"role": "User", "message": "Weather?"},
            {"role": "CHATBOT", "message": "Sunny."},
        ],
    }
    found = told(body, "cohere")
    assert [entry.role for entry in found.entries] == ["user", "assistant", "user"]
    assert found.entries[1].digest == reply_digest(Reply(text="Sunny."))
    assert found.system == told(TURNS["chat"]).system


def test_a_prompt_is_one_message() -> None:
    assert told({"prompt": "Weather?"}).end == told({"messages": [{"role": "user", "content": "Weather?"}]}).end


def test_code_assist_wraps_the_request() -> None:
    wrapped = {"model": "m", "project": "p", "request": TURNS["gemini"]}
    assert told(wrapped, "gemini").chain == told(TURNS["gemini"], "gemini").chain


SAID = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi."},
    {"role": "user", "content": "And?"},
]


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([{"role": "system", "content": "x"}, *SAID], id="a system prompt"),
        pytest.param([*SAID[:2], {"role": "system", "content": "now!"}, SAID[2]], id="a system message on the way"),
        pytest.param(
            [
                SAID[0],
                SAID[1],
                {"role": "user", "content": "<system-reminder>Be quick.</system-reminder>"},
                SAID[2],
            ],
            id="a message that is a reminder",
        ),
        pytest.param([SAID[0], {**SAID[1], "id": "m", "status": "done", "name": "bot"}, SAID[2]], id="ids and names"),
        pytest.param([SAID[0], {**SAID[1], "reasoning_content": "Hm."}, SAID[2]], id="reasoning beside the text"),
        pytest.param(
            [SAID[0], {"role": "assistant", "content": [{"type": "text", "text": "Hi."}]}, SAID[2]], id="parts"
        ),
        pytest.param(
            [SAID[0], {"role": "assistant", "content": "H"}, {"role": "assistant", "content": "i."}, SAID[2]],
            id="a run in two messages",
        ),
        pytest.param([SAID[0], SAID[1], {"role": "assistant", "content": ""}, SAID[2]], id="an empty message"),
        pytest.param(
            [
                SAID[0],
                {"role": "assistant", "content": [{"text": "Hi "}, {"text": " ."}, {"type": "image", "url": "x"}]},
                SAID[2],
            ],
            id="parts with blanks between, and a picture beside",
        ),
    ],
)
def test_histories_that_are_the_same(messages: list[dict[str, Any]]) -> None:
    assert told({"messages": messages}).chain == told({"messages": SAID}).chain


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param(SAID[1:], id="without the first"),
        pytest.param([*SAID, SAID[1]], id="one more"),
        pytest.param([{**SAID[0], "role": "assistant"}, *SAID[1:]], id="said by another"),
        pytest.param([SAID[2], SAID[1], SAID[0]], id="in another order"),
    ],
)
def test_histories_that_are_not(messages: list[dict[str, Any]]) -> None:
    assert told({"messages": messages}).end != told({"messages": SAID}).end


@pytest.mark.parametrize(
    "body",
    [None, [], "text", {}, {"messages": None}, {"messages": [None, 1, {}]}, {"input": None}, {"contents": 7}],
    ids=repr,
)
def test_what_holds_no_messages_has_an_empty_history(body: Any) -> None:
    assert told(body).entries == ()
    assert told(body).end == START


@pytest.mark.parametrize(
    ("change", "same"),
    [
        pytest.param({}, True, id="nothing"),
        pytest.param({"temperature": 1}, False, id="a setting"),
        pytest.param({"model": "other"}, False, id="the model"),
        pytest.param({"stream": True}, False, id="the stream"),
        pytest.param({"tools": [{"type": "function", "function": {"name": "look"}}]}, False, id="the tools"),
        pytest.param({"messages": SAID[:1]}, False, id="the messages"),
    ],
)
def test_a_retry_repeats_everything(change: dict[str, Any], same: bool) -> None:
    body = {"model": "m", "messages": SAID}
    assert (told(body).whole == told(body | change).whole) is same


@pytest.mark.parametrize(
    ("reply", "status", "failed", "again"),
    [
        pytest.param(Reply(text="Hi."), 200, False, False, id="a reply"),
        pytest.param(Reply(), 200, False, False, id="one that says nothing"),
        pytest.param(Reply(error=CallError("overloaded_error", None)), 200, True, True, id="an error inside a 200"),
        pytest.param(Reply(error=CallError("content_filter", None)), 200, True, False, id="one that stays"),
        pytest.param(Reply(error=CallError(None, "?")), 200, True, False, id="one of no kind"),
        pytest.param(Reply(text="Hi", error=CallError("x", None)), 200, False, False, id="an error behind some text"),
        pytest.param(Reply(text="Hi", error=CallError("overloaded_error", None)), 200, False, True, id="that passes"),
        pytest.param(Reply(), 429, True, True, id="too many"),
        pytest.param(Reply(), 400, True, False, id="a bad request"),
        pytest.param(None, None, True, True, id="nothing came"),
    ],
)
def test_how_a_call_ended(reply: Reply | None, status: int | None, failed: bool, again: bool) -> None:
    found = fingerprint_of(told({"messages": SAID}), reply, status)
    assert (found.failed, found.retryable) == (failed, again)


@pytest.mark.parametrize(
    ("asks", "reply", "complete", "told_apart"),
    [
        pytest.param({}, Reply(text="Sunny."), True, True, id="whole"),
        pytest.param({}, Reply(text="Sun"), False, False, id="cut: a client may keep less of it"),
        pytest.param({}, Reply(text="Sun", error=CallError("x", None)), True, False, id="an error behind it"),
        pytest.param({"n": 2}, Reply(text="Sunny."), True, False, id="one of several"),
        pytest.param({"n": 1}, Reply(text="Sunny."), True, True, id="one of one"),
        pytest.param({"generationConfig": {"candidateCount": 2}}, Reply(text="x"), True, False, id="Gemini's"),
    ],
)
def test_another_text_in_the_replys_place(asks: Any, reply: Reply, complete: bool, told_apart: bool) -> None:
    found = fingerprint_of(told({"messages": SAID, **asks}), reply, 200, complete=complete)
    assert (found.outline is not None, found.incomplete) == (told_apart, not complete or reply.error is not None)


def test_a_reply_goes_on_with_what_the_request_put_into_its_mouth() -> None:
    begun = [*SAID, {"role": "assistant", "content": '{"a":'}]
    whole = told({"messages": [*SAID, {"role": "assistant", "content": '{"a": 1}'}]})
    for asked in (told({"messages": begun}), told({"messages": begun}).tail()):
        assert fingerprint_of(asked, Reply(text=" 1}"), 200).key == whole.end


def test_a_reply_that_says_nothing_leaves_nothing_to_go_on_from() -> None:
    found = fingerprint_of(told({"messages": SAID}), Reply(response_id="r"), 200)
    assert (found.key, found.outline, found.pair, found.response_id) == (None, None, None, "r")


@pytest.mark.parametrize(
    ("text", "tools", "substantial"),
    [("Hi.", (), False), ("Hi. " * 20, (), True), (None, (ToolCall("look"),), True)],
    ids=["a short text", "a long one", "a tool"],
)
def test_only_a_substantial_reply_is_known_by_itself(
    text: str | None, tools: tuple[ToolCall, ...], substantial: bool
) -> None:
    found = fingerprint_of(told({"messages": SAID}), Reply(text=text, tool_calls=tools), 200)
    assert (found.pair is not None) is substantial


@pytest.mark.parametrize(
    ("arguments", "handed"),
    [
        pytest.param(
            {"prompt": "Find the old parser's tests.", "subagent_type": "explore"},
            [DelegatedPrompt(text_digest("Find the old parser's tests."), "explore", "t1")],
            id="a typed sub-agent",
        ),
        pytest.param(
            {"input": " Find the old parser's tests.\n"},
            [DelegatedPrompt(text_digest("Find the old parser's tests."), "Task", "t1")],
            id="any tool",
        ),
        pytest.param({"prompt": "Go on, please."}, [], id="a text that anybody may say"),
        pytest.param({"prompt": {"text": "Find the old parser's tests."}}, [], id="no text"),
        pytest.param([1], [], id="no object"),
    ],
)
def test_texts_handed_to_tools(arguments: Any, handed: list[DelegatedPrompt]) -> None:
    reply = Reply(tool_calls=(ToolCall("Task", "t1", json.dumps(arguments)),))
    assert list(fingerprint_of(told({"messages": SAID}), reply, 200).delegated) == handed


def test_the_lines_of_a_summary() -> None:
    asks = {"messages": [{"role": "user", "content": "Summarize the conversation above."}]}
    text = "short\nA line that is long enough to be told from others.\n\n"
    assert fingerprint_of(told(asks), Reply(text=text), 200).lines == frozenset(lines_of(text))
    assert len(frozenset(lines_of(text))) == 1
    assert fingerprint_of(told({"messages": SAID}), Reply(text=text), 200).lines == frozenset()


KEYS = [
    *("role", "content", "type", "text", "parts", "tool_calls", "function", "function_call", "name", "arguments", "id"),
    *(
        "input",
        "output",
        "call_id",
        "functionCall",
        "functionResponse",
        "toolUse",
        "toolResult",
        "tool_use_id",
        "images",
    ),
]
BODY_KEYS = [
    *("messages", "input", "contents", "prompt", "system", "instructions", "chat_history", "message", "tool_results"),
    *("request", "conversation", "systemInstruction", "generateContentRequest", "tools", "max_tokens", "diagnostics"),
]
SHAPES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.text(max_size=4)
    | st.sampled_from(["tool_result", "tool", "user"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=15,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(BODY_KEYS), SHAPES, max_size=4), st.sampled_from(sorted(PATHS)))
def test_no_shape_raises(body: dict[str, Any], family: str) -> None:
    found = told(body, family)
    assert len(found.chain) == len(found.entries) + 1
    assert found == told(body, family)


def test_very_deep_shapes_do_not_raise() -> None:
    content: Any = "x"
    for _ in range(400):
        content = [content]
    assert told({"messages": [{"role": "user", "content": content}]}).entries == ()


def test_the_servers_own_conversation() -> None:
    assert told({"input": "Hello", "conversation": {"id": "conv_1"}}, "responses").declared == "conv_1"
    assert told({"input": "Hello", "conversation": "conv_1"}, "responses").declared == "conv_1"
