from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.llm.llm_exchanges import asked, reply, sse, streamed
from tests.llm.llm_frames import received

from sessiontap.llm.call import CallError, Reply, ToolCall, Usage

PATH = "/v1beta/models/gemini-9:generateContent"
STREAM = "/v1beta/models/gemini-9:streamGenerateContent"
CODE_ASSIST = "/v1internal:streamGenerateContent"


def candidate(*parts: Any, finish: Any = None, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if finish is not None:
        found["finishReason"] = finish
    return {"candidates": [found], **more}


def said(text: str, finish: Any = None, **more: Any) -> dict[str, Any]:
    return candidate({"text": text}, finish=finish, **more)


# What is asked

CONTENTS = [
    {"role": "user", "parts": [{"text": "old"}]},
    {"role": "model", "parts": [{"text": "hm"}]},
    {"parts": [{"text": "new"}, {"inlineData": {"mimeType": "image/png", "data": ""}}, {"text": "er"}]},
    {"role": "model", "parts": [{"functionCall": {"name": "search", "args": {}}}]},
    {"role": "user", "parts": [{"functionResponse": {"id": "f1", "name": "search", "response": {}}}]},
]


def test_a_turn_with_tool_results() -> None:
    body = {
        "systemInstruction": {"parts": [{"text": "Be brief."}, {"text": "And kind."}]},
        "tools": [{"functionDeclarations": [{"name": "search"}, {"name": "run"}]}, {"googleSearch": {}}],
        "contents": CONTENTS,
    }
    found = asked(PATH, body)
    assert (found.model, found.stream) == ("gemini-9", False)
    assert found.tools_offered == ("search", "run", "googleSearch")
    assert (found.tool_results, found.answered) == (("search",), ("f1",))
    assert found.message == "new\ner"
    assert found.prompt == "Be brief.\nAnd kind."


def test_snake_case_is_the_same() -> None:
    body = {
        "system_instruction": {"parts": [{"text": "Be brief."}]},
        "tools": [{"function_declarations": [{"name": "search"}]}],
        "contents": [
            {"role": "user", "parts": [{"text": "go"}]},
            {"role": "model", "parts": [{"function_call": {"name": "search"}}]},
            {"role": "function", "parts": [{"function_response": {"name": "search", "response": {}}}]},
        ],
    }
    found = asked(PATH, body)
    assert (found.prompt, found.tools_offered) == ("Be brief.", ("search",))
    assert (found.message, found.tool_results) == ("go", ("search",))


def test_code_assist_wraps_the_request_and_names_the_model_in_it() -> None:
    body = {"model": "gemini-9-pro", "project": "p", "request": {"contents": CONTENTS[:3], "session_id": "s"}}
    found = asked(CODE_ASSIST, body)
    assert (found.model, found.stream, found.message) == ("gemini-9-pro", True, "new\ner")


@pytest.mark.parametrize(
    ("path", "stream"),
    [
        (PATH, False),
        (STREAM, True),
        (f"{STREAM}?alt=sse", True),
        ("/v1/projects/p/locations/l/publishers/google/models/gemini-9:streamGenerateContent", True),
    ],
)
def test_the_path_says_whether_a_stream_is_asked_for(path: str, stream: bool) -> None:
    assert asked(path, {}).stream is stream
    assert asked(path, None).stream is stream
    assert asked(path, None).model == "gemini-9"


@pytest.mark.parametrize("contents", ["no list", [None, 7, {"role": ["x"]}, {"parts": "x"}], {"parts": []}])
def test_contents_of_any_shape(contents: Any) -> None:
    found = asked(PATH, {"contents": contents, "tools": contents, "systemInstruction": contents})
    assert (found.message, found.tool_results, found.problems) == (None, (), ())


# What comes back

PARTS: dict[str, tuple[list[Any], str | None]] = {
    "one": ([{"text": "hello"}], "hello"),
    "several": ([{"text": "hel"}, {"text": "lo"}], "hello"),
    "a thought": ([{"text": "hmm", "thought": True}, {"text": "hello"}], "hello"),
    "code that Google ran": (
        [{"executableCode": {"code": "1+1"}}, {"codeExecutionResult": {"output": "2"}}, {"text": "2"}],
        "2",
    ),
    "empty": ([{"text": ""}], None),
    "none": ([], None),
}


@pytest.mark.parametrize(("parts", "text"), PARTS.values(), ids=PARTS)
def test_text(parts: list[Any], text: str | None) -> None:
    assert reply(PATH, candidate(*parts)).text == text
    assert streamed(STREAM, [candidate(part) for part in parts]).text == text


USAGES: dict[str, tuple[Any, Usage | None]] = {
    "none": (None, None),
    "a traffic type alone (Vertex)": ({"trafficType": "ON_DEMAND"}, None),
    "plain": ({"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}, Usage(3, 2)),
    "thoughts": (
        {"promptTokenCount": 3, "candidatesTokenCount": 2, "thoughtsTokenCount": 7},
        Usage(3, 9, reasoning=7),
    ),
    "nothing but thoughts": ({"promptTokenCount": 3, "thoughtsTokenCount": 7}, Usage(3, 7, reasoning=7)),
    "cached": (
        {"promptTokenCount": 9, "candidatesTokenCount": 2, "cachedContentTokenCount": 8},
        Usage(9, 2, cache_read=8),
    ),
    "tools add to the prompt": (
        {"promptTokenCount": 3, "toolUsePromptTokenCount": 40, "candidatesTokenCount": 2},
        Usage(43, 2),
    ),
    "no prompt count": ({"candidatesTokenCount": 2, "toolUsePromptTokenCount": 40}, Usage(None, 2)),
    "a blocked prompt": ({"promptTokenCount": 3}, Usage(3)),
}


@pytest.mark.parametrize(("usage", "expected"), USAGES.values(), ids=USAGES)
def test_usage(usage: Any, expected: Usage | None) -> None:
    body = said("x", "STOP", usageMetadata=usage)
    assert reply(PATH, body).usage == expected
    assert streamed(STREAM, [said("y", usageMetadata={"trafficType": "ON_DEMAND"}), body]).usage == expected


def test_counts_change_along_a_stream_and_only_those_at_its_end_are_told() -> None:
    early = said("a", usageMetadata={"promptTokenCount": 15})
    late = said("b", "STOP", usageMetadata={"promptTokenCount": 14, "candidatesTokenCount": 2})
    assert streamed(STREAM, [early, late]).usage == Usage(14, 2)
    assert streamed(STREAM, [early], complete=False).usage is None
    assert streamed(STREAM, [early, late], complete=False).usage == Usage(14, 2)


def test_while_another_candidate_goes_on_the_counts_are_not_final() -> None:
    second = {"candidates": [{"index": 1, "content": {"parts": [{"text": "b"}]}}]}
    first = said("a", "STOP", usageMetadata={"promptTokenCount": 1, "candidatesTokenCount": 2})
    found = streamed(STREAM, [second, first], complete=False)
    assert (found.text, found.finish_reason, found.usage) == ("a", "STOP", None)


def test_tool_calls() -> None:
    parts = [
        {"functionCall": {"id": "f1", "name": "f", "args": {"x": 1}}, "thoughtSignature": "abc"},
        {"functionCall": {"name": "g"}},
    ]
    expected = (ToolCall("f", "f1", '{"x":1}'), ToolCall("g"))
    assert reply(PATH, candidate(*parts, finish="STOP")).tool_calls == expected
    assert streamed(STREAM, [candidate(part) for part in parts]).tool_calls == expected


@pytest.mark.parametrize(("finish", "expected"), [("MAX_TOKENS", "MAX_TOKENS"), (1, None), (None, None)])
def test_a_finish_reason_that_is_a_number_is_none(finish: Any, expected: str | None) -> None:
    assert reply(PATH, said("x", finish)).finish_reason == expected


def test_a_blocked_prompt_has_no_candidate_but_a_reason() -> None:
    found = reply(PATH, {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}})
    assert (found.text, found.finish_reason, found.usage) == (None, "SAFETY", Usage(3))


EVENTS = [
    said("Hel", usageMetadata={"trafficType": "ON_DEMAND"}, modelVersion="gemini-9-001", responseId="r1"),
    said("lo", modelVersion="gemini-9-001", responseId="r1"),
    candidate(finish="STOP", usageMetadata={"promptTokenCount": 1, "candidatesTokenCount": 2}),
]
WHOLE = Reply(
    stream=True,
    response_model="gemini-9-001",
    response_id="r1",
    text="Hello",
    finish_reason="STOP",
    usage=Usage(1, 2),
)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_a_stream_of_events(line_end: bytes) -> None:
    body, first = (sse(events).replace(b"\n", line_end) for events in (EVENTS, EVENTS[:1]))
    found = received(f"{STREAM}?alt=sse", body, "text/event-stream")
    assert found == replace(WHOLE, first_token=len(first))


ARRAY = ("[" + "\n,\r\n".join(json.dumps(event, indent=2) for event in EVENTS) + "\n]\n").encode()


def test_a_stream_that_is_a_json_array() -> None:
    first = len("[" + json.dumps(EVENTS[0], indent=2))
    found = received(STREAM, ARRAY, "application/json; charset=UTF-8")
    assert found == replace(WHOLE, stream=None, first_token=first)


def test_a_json_array_cut_anywhere_gives_what_was_whole() -> None:
    texts = [received(STREAM, ARRAY[:end], "application/json", complete=False).text for end in range(len(ARRAY) + 1)]
    assert list(dict.fromkeys(texts)) == [None, "Hel", "Hello"]
    assert received(STREAM, ARRAY[:-40], "application/json", complete=False).problems == ()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (ARRAY[:-40], "the response is no JSON behind byte "),
        (ARRAY.rstrip()[:-1], "the response ends in the middle of an array"),
        (ARRAY.replace(b'"lo"', b"lo"), "the response is no JSON behind byte "),
    ],
    ids=["in an element", "between elements", "no JSON"],
)
def test_a_damaged_array_is_told_and_the_rest_is_read(body: bytes, problem: str) -> None:
    found = received(STREAM, body, "application/json")
    assert found.text in ("Hel", "Hello")
    assert found.problems[0].startswith(problem)


@pytest.mark.parametrize(
    ("piece", "text"),
    [
        pytest.param(b'"\xff"', "Hel\ufffd", id="no UTF-8"),
        pytest.param(b'"\\ud83d"', "Hel\ufffd", id="half a pair"),
        pytest.param(b"NaN", "Hel", id="no number"),
    ],
)
def test_what_is_nearly_json_in_an_array_is_read(piece: bytes, text: str) -> None:
    found = received(STREAM, ARRAY.replace(b'"lo"', piece), "application/json")
    assert (found.text, found.problems) == (text, ())


def test_code_assist_wraps_the_answer() -> None:
    found = streamed(CODE_ASSIST, [{"response": event, "traceId": "t"} for event in EVENTS], asked={"request": {}})
    assert replace(found, first_token=None) == WHOLE


ERROR = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}


def test_an_error_inside_a_stream() -> None:
    expected = CallError("UNAVAILABLE", "overloaded")
    assert streamed(STREAM, [said("Hel"), ERROR]).error == expected
    assert received(STREAM, json.dumps([said("Hel"), ERROR]).encode(), "application/json").error == expected


@pytest.mark.parametrize("body", [ERROR, [ERROR]], ids=["object", "array"])
def test_an_error_by_status(body: Any) -> None:
    assert reply(STREAM, body, status=503).error == CallError("UNAVAILABLE", "overloaded")


def test_counting_tokens_uses_none() -> None:
    asks = {"generateContentRequest": {"model": "models/gemini-9", "contents": CONTENTS[:1]}}
    path = "/v1beta/models/gemini-9:countTokens"
    assert asked(path, asks).message == "old"
    assert reply(path, {"totalTokens": 5, "cachedContentTokenCount": 2}, asked=asks).usage is None
