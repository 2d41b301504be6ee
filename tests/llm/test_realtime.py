from __future__ import annotations

import json
from typing import Any

import pytest

from sessiontap.exchange import Headers, Request, Response
from sessiontap.llm import read, routes
from sessiontap.llm.call import Asked, Billed, Call, CallError, Reply, ToolCall, Usage


def call(*frames: Any, target: str = "/v1/realtime?model=gpt-realtime") -> Call:
    body = b"".join(json.dumps(frame).encode() + b"\n" for frame in frames)
    request = Request("GET", "api.openai.com", target, body=body or None)
    return read.read_request(request, routes.endpoint_of("GET", request.host, request.path, "openai"))


def asked(*frames: Any, target: str = "/v1/realtime?model=gpt-realtime") -> Asked:
    return call(*frames, target=target).asked


def reply(*events: Any, complete: bool = True) -> Reply:
    body = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    response = Response(101, Headers([("upgrade", "websocket")]), body, complete)
    return read.read_reply(call(CREATE), Request("GET", "api.openai.com", "/v1/realtime"), response)


CREATE = {"type": "response.create"}
SESSION = {
    "type": "session.update",
    "session": {"instructions": "Be brief.", "tools": [{"type": "function", "name": "f"}]},
}


def item(**fields: Any) -> dict[str, Any]:
    return {"type": "conversation.item.create", "item": fields}


def test_the_upgrade_says_the_model_alone() -> None:
    assert asked() == Asked(model="gpt-realtime")
    assert asked(target="/openai/realtime?deployment=mine").model == "mine"


def test_settings_hold_unless_the_turn_has_its_own() -> None:
    found = asked(SESSION, item(role="user", content=[{"type": "input_text", "text": "hi"}]), CREATE)
    assert found == Asked("gpt-realtime", True, ("f",), message="hi", prompt="Be brief.")
    own = {"instructions": "Be long.", "tools": [{"type": "mcp", "server_label": "docs"}], "model": "other"}
    found = asked(SESSION, {"type": "response.create", "response": own})
    assert (found.prompt, found.tools_offered, found.model) == ("Be long.", ("docs",), "other")


@pytest.mark.parametrize(
    ("items", "message", "results", "answered"),
    [
        ([{"role": "user", "content": [{"type": "input_audio", "transcript": "spoken"}]}], "spoken", (), ()),
        (
            [
                {"type": "function_call_output", "call_id": "a", "output": "1"},
                {"type": "function_call_output", "call_id": "b", "output": "2"},
            ],
            None,
            (),
            ("b", "a"),
        ),
        (
            [
                {"type": "function_call", "call_id": "a", "name": "f"},
                {"type": "function_call_output", "call_id": "a", "output": "1"},
            ],
            None,
            ("f",),
            ("a",),
        ),
        ([7, {"role": "user", "content": 7}, {}], None, (), ()),
    ],
    ids=["spoken", "results", "results with their calls", "nonsense"],
)
def test_items(items: list[Any], message: str | None, results: tuple[str, ...], answered: tuple[str, ...]) -> None:
    added = asked(*({"type": "conversation.item.create", "item": one} for one in items), CREATE)
    instead = asked({"type": "response.create", "response": {"input": items}})
    for found in (added, instead):
        assert (found.message, found.tool_results, found.answered) == (message, results, answered)


def done(status: str = "completed", **fields: Any) -> dict[str, Any]:
    return {"type": "response.done", "response": {"id": "resp_1", "status": status, **fields}}


USAGE = {
    "total_tokens": 12,
    "input_tokens": 7,
    "output_tokens": 5,
    "input_token_details": {"cached_tokens": 4, "text_tokens": 3, "audio_tokens": 4},
}
MESSAGE = {"id": "i1", "type": "message", "content": [{"type": "output_audio", "transcript": "Good day."}]}
CALL = {"id": "i2", "type": "function_call", "name": "f", "call_id": "c1", "arguments": '{"x": 1}'}
EVENTS = [
    {"type": "session.created", "session": {"model": "gpt-realtime-2025-08-28"}},
    {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}},
    {"type": "response.output_item.added", "item": {"id": "i1", "type": "message"}},
    {"type": "response.output_audio_transcript.delta", "item_id": "i1", "delta": "Good "},
    {"type": "response.output_audio_transcript.delta", "item_id": "i1", "delta": "day."},
    {"type": "response.output_item.added", "item": {"id": "i2", "type": "function_call", "name": "f", "call_id": "c1"}},
    {"type": "response.function_call_arguments.delta", "item_id": "i2", "delta": '{"x": '},
    {"type": "response.function_call_arguments.delta", "item_id": "i2", "delta": "1}"},
]


def test_a_reply() -> None:
    found = reply(*EVENTS, done(output=[MESSAGE, CALL], usage=USAGE))
    assert found == Reply(
        stream=True,
        response_model="gpt-realtime-2025-08-28",
        response_id="resp_1",
        text="Good day.",
        tool_calls=(ToolCall("f", "c1", '{"x": 1}'),),
        finish_reason="completed",
        usage=Usage(7, 5, cache_read=4),
        billed=Billed(audio_input=4),
        first_token=sum(len(json.dumps(event)) + 1 for event in EVENTS[:4]),
    )


def test_every_cut_is_a_prefix_of_the_truth() -> None:
    whole = reply(*EVENTS, done(output=[MESSAGE, CALL], usage=USAGE))
    for end in range(len(EVENTS)):
        part = reply(*EVENTS[:end], complete=False)
        assert (whole.text or "").startswith(part.text or "")
        assert [tool.name for tool in part.tool_calls] in ([], ["f"])
        assert (part.usage, part.finish_reason, part.error, part.problems) == (None, None, None, ())


@pytest.mark.parametrize(
    ("last", "finish", "error"),
    [
        (done("cancelled", status_details={"reason": "turn_detected"}), "turn_detected", None),
        (done("incomplete", status_details={"reason": "max_output_tokens"}), "max_output_tokens", None),
        (
            done("failed", status_details={"error": {"type": "server_error", "code": "x", "message": "Sorry."}}),
            "failed",
            CallError("server_error", "Sorry."),
        ),
        (done("failed"), "failed", CallError(None, None)),
        (
            {"type": "error", "error": {"type": "invalid_request_error", "message": "No such voice."}},
            None,
            CallError("invalid_request_error", "No such voice."),
        ),
    ],
    ids=["interrupted", "too long", "failed", "failed without a word", "refused"],
)
def test_other_ends(last: dict[str, Any], finish: str | None, error: CallError | None) -> None:
    found = reply(last)
    assert (found.finish_reason, found.error) == (finish, error)


def test_an_error_about_another_frame_is_not_the_replys() -> None:
    assert reply({"type": "error", "error": {"message": "odd frame"}}, done()).error is None


def test_xais_usage_stands_beside_the_response() -> None:
    found = reply(done() | {"usage": {"input_tokens": 3, "output_tokens": 0}})
    assert found.usage == Usage(3, 0)


def test_usage_that_is_not_reported_is_unknown() -> None:
    assert reply(done(usage=None)).usage is None
