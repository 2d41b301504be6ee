from __future__ import annotations

import json
from typing import Any

import pytest
from tests.llm.llm_exchanges import asked, call, reply, streamed

from sessiontap.llm import routes
from sessiontap.llm.call import Billed, CallError, ToolCall, Usage
from sessiontap.llm.gemini_interactions import FAMILY
from sessiontap.llm.history import fingerprint_of, history
from sessiontap.llm.parts import request_parts

PATH = "/v1beta/interactions"

USAGE = {
    "total_tokens": 229,
    "total_input_tokens": 9,
    "total_cached_tokens": 4,
    "total_output_tokens": 13,
    "total_tool_use_tokens": 2,
    "total_thought_tokens": 207,
}
COUNTED = Usage(11, 220, 4, None, 207)

THOUGHT: dict[str, Any] = {"type": "thought", "signature": "CoEG", "summary": [{"type": "text", "text": "Look it up."}]}
CALL = {"type": "function_call", "id": "c1", "name": "weather", "arguments": {"city": "Oslo"}}
RESULT = {"type": "function_result", "call_id": "c1", "name": "weather", "result": {"sky": "rain"}}
SEARCH = {"type": "google_search_call", "id": "s1", "arguments": {"queries": ["Oslo"]}}
SAID = {"type": "model_output", "content": [{"type": "text", "text": "It "}, {"type": "text", "text": "rains."}]}
USER = {"type": "user_input", "content": [{"type": "text", "text": "Oslo?"}]}
TURN = ToolCall("weather", "c1", '{"city":"Oslo"}')


@pytest.mark.parametrize(
    ("given", "message", "results", "answered"),
    [
        pytest.param("Oslo?", "Oslo?", (), (), id="text"),
        pytest.param({"type": "text", "text": "Oslo?"}, "Oslo?", (), (), id="one content"),
        pytest.param(
            [{"type": "text", "text": "Oslo"}, {"type": "image", "uri": "a"}, {"type": "text", "text": "now?"}],
            "Oslo\nnow?", (), (), id="contents",
        ),
        pytest.param([USER], "Oslo?", (), (), id="step"),
        pytest.param([USER, THOUGHT, CALL, RESULT], "Oslo?", ("weather",), ("c1",), id="tool turn"),
        pytest.param([RESULT], None, ("weather",), ("c1",), id="result alone"),
        pytest.param(
            [USER, CALL, {**RESULT, "name": None}, SAID, {**USER, "content": [{"type": "text", "text": "And now?"}]}],
            "And now?", (), (), id="answered before",
        ),
        pytest.param(
            [{"role": "user", "content": "Oslo?"}, {"role": "model", "content": [CALL]},
             {"role": "user", "content": [{**RESULT, "name": None}]}],
            "Oslo?", ("weather",), ("c1",), id="older form",
        ),
        pytest.param([{"type": 7}, None, 3, {"type": "user_input", "content": 7}], None, (), (), id="nonsense"),
    ],
)  # fmt: skip
def test_input(given: Any, message: str | None, results: tuple[str, ...], answered: tuple[str, ...]) -> None:
    found = asked(PATH, {"model": "m", "input": given})
    assert (found.message, found.tool_results, found.answered) == (message, results, answered)


def test_the_rest_of_a_request() -> None:
    found = asked(
        PATH,
        {
            "model": "gemini-3-pro",
            "stream": True,
            "system_instruction": "Be brief.",
            "previous_interaction_id": "i1",
            "tools": [{"type": "function", "name": "weather"}, {"type": "google_search"}],
        },
    )
    assert (found.model, found.stream, found.prompt) == ("gemini-3-pro", True, "Be brief.")
    assert (found.previous, found.tools_offered) == (("i1",), ("weather", "google_search"))


def test_an_agent_s_interaction_names_no_model() -> None:
    assert asked(PATH, {"agent": "deep-research", "input": "Why?"}).model is None


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1beta/interactions", "/{version}/interactions"),
        ("/gemini/v1beta/interactions", "/gemini/{version}/interactions"),
        (
            "/v1beta1/projects/p/locations/global/interactions",
            "/v1beta1/projects/{project}/locations/{location}/interactions",
        ),
    ],
    ids=["google ai", "behind a gateway", "vertex"],
)
def test_routes(path: str, route: str) -> None:
    found = routes.endpoint_of("POST", "llm.example", path, None)
    assert (found.family, found.operation, found.route) == ("gemini-interactions", "chat", route)


def test_a_whole_interaction() -> None:
    found = reply(
        PATH,
        {
            "id": "i1",
            "object": "interaction",
            "status": "requires_action",
            "model": "gemini-3-pro",
            "service_tier": "standard",
            "usage": USAGE,
            "steps": [THOUGHT, SEARCH, {"type": "google_search_result", "call_id": "s1", "result": []}, SAID, CALL],
        },
    )
    assert (found.response_id, found.response_model, found.service_tier) == ("i1", "gemini-3-pro", "standard")
    assert (found.text, found.reasoning, found.usage) == ("It rains.", "Look it up.", COUNTED)
    assert (found.tool_calls, found.builtin_tool_calls) == ((TURN,), ("google_search_call",))
    assert found.billed == Billed(tools=("google_search",))


def test_an_interaction_that_is_fetched_again_holds_its_input_too() -> None:
    assert reply(PATH, {"id": "i1", "steps": [USER, SAID]}).text == "It rains."


def test_an_older_interaction_has_outputs() -> None:
    found = reply(PATH, {"id": "i1", "outputs": [THOUGHT, {"type": "text", "text": "Rain."}, CALL]})
    assert (found.text, found.reasoning, found.tool_calls) == ("Rain.", "Look it up.", (TURN,))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (
            {"status": "failed", "errors": [{"code": "overloaded", "message": "Try later."}]},
            CallError("overloaded", "Try later."),
        ),
        (
            {"steps": [{"type": "model_output", "error": {"code": 8, "message": "Too long."}}]},
            CallError(None, "Too long."),
        ),
        ({"error": {"code": "invalid_request", "message": "No."}}, CallError("invalid_request", "No.")),
        ({"status": "incomplete"}, None),
    ],
    ids=["failed", "in a step", "error", "incomplete"],
)
def test_errors(body: Any, error: CallError | None) -> None:
    assert reply(PATH, body).error == error


def test_an_error_s_code_is_its_type() -> None:
    found = reply(PATH, {"error": {"code": "invalid_request", "message": "No."}}, status=400).error
    assert found == CallError("invalid_request", "No.")


def test_modalities_that_cost_otherwise() -> None:
    usage = {
        **USAGE,
        "input_tokens_by_modality": [{"modality": "text", "tokens": 2}, {"modality": "audio", "tokens": 7}],
        "output_tokens_by_modality": [{"modality": "image", "tokens": 13}],
    }
    found = reply(PATH, {"usage": usage}).billed
    assert found == Billed(audio_input=7, audio_output=0, image_output=13)


def _event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"event_type": kind, **fields}


EVENTS = [
    _event("interaction.created", interaction={"id": "i1", "model": "gemini-3-pro", "status": "in_progress"},
           metadata={"usage": {"total_input_tokens": 1}}),
    _event("interaction.status_update", interaction_id="i1", status="in_progress"),
    _event("step.start", index=0, step={"type": "thought"}),
    _event("step.delta", index=0, delta={"type": "thought_signature", "signature": "CoEG"}),
    _event("step.delta", index=0, delta={"type": "thought_summary", "content": THOUGHT["summary"][0]}),
    _event("step.stop", index=0),
    _event("step.start", index=1, step={"type": "model_output"}),
    _event("step.delta", index=1, delta={"type": "text", "text": "It "}),
    _event("step.delta", index=1, delta={"type": "text", "text": "rains."}),
    _event("step.delta", index=1, delta={"type": "text_annotation_delta", "annotations": []}),
    _event("step.stop", index=1),
    _event("step.start", index=2, step={"type": "function_call", "id": "c1", "name": "weather", "arguments": {}}),
    _event("step.delta", index=2, delta={"type": "arguments_delta", "arguments": '{"city":'}),
    _event("step.delta", index=2, delta={"type": "arguments_delta", "arguments": '"Oslo"}'}),
    _event("step.stop", index=2),
    _event("interaction.completed", interaction={"id": "i1", "model": "gemini-3-pro", "status": "requires_action",
                                                 "usage": USAGE, "service_tier": "flex"}),
    "[DONE]",
]  # fmt: skip
OLDER = [
    _event("interaction.start", interaction={"id": "i1", "model": "gemini-3-pro", "status": "in_progress"}),
    _event("content.start", index=0, content={"type": "thought"}),
    _event(
        "content.delta", index=0, delta={"type": "thought_summary", "content": {"type": "text", "text": "Look it up."}}
    ),
    _event("content.start", index=1, content={"type": "text"}),
    _event("content.delta", index=1, delta={"type": "text", "text": "It rains."}),
    _event("content.start", index=2, content={"type": "function_call"}),
    _event("content.delta", index=2, delta=CALL),
    _event("interaction.complete", interaction={"id": "i1", "usage": USAGE, "service_tier": "flex"}),
]


@pytest.mark.parametrize("events", [EVENTS, OLDER], ids=["steps", "the older form"])
def test_a_stream(events: list[Any]) -> None:
    found = streamed(PATH, events)
    assert (found.response_id, found.response_model, found.service_tier) == ("i1", "gemini-3-pro", "flex")
    assert (found.text, found.reasoning, found.usage) == ("It rains.", "Look it up.", COUNTED)
    assert (found.tool_calls, found.problems) == ((TURN,), ())


def test_the_first_token_of_a_stream_is_the_first_thing_that_is_generated() -> None:
    at = streamed(PATH, EVENTS).first_token
    assert at == len(b"".join(_sent(event) for event in EVENTS[:5]))


def _sent(event: Any) -> bytes:
    return f"data: {json.dumps(event)}\n\n".encode()


@pytest.mark.parametrize("events", range(len(EVENTS) - 2))
def test_a_stream_that_breaks_off_has_no_usage(events: int) -> None:
    found = streamed(PATH, EVENTS[:events], complete=False)
    assert found.usage is None
    assert "It rains.".startswith(found.text or "")


@pytest.mark.parametrize(("status", "usage"), [("failed", COUNTED), ("in_progress", None)])
def test_usage_of_a_status_that_ends_an_interaction(status: str, usage: Usage | None) -> None:
    found = streamed(PATH, [_event("interaction.status_update", interaction_id="i1", status=status, usage=USAGE)])
    assert (found.response_id, found.usage) == ("i1", usage)


def test_an_error_in_a_stream() -> None:
    found = streamed(PATH, [*EVENTS[:8], _event("error", error={"code": "overloaded", "message": "Try later."})])
    assert (found.text, found.error) == ("It ", CallError("overloaded", "Try later."))


@pytest.mark.parametrize("stateless", [[USER, THOUGHT, SAID, CALL], [USER, SAID, CALL]], ids=["whole", "no thought"])
def test_a_history_that_is_sent_again_has_the_reply_in_its_chain(stateless: list[Any]) -> None:
    first = call(PATH, {"model": "m", "input": "Oslo?"})
    answer = reply(PATH, {"id": "i1", "steps": [THOUGHT, SEARCH, SAID, CALL]})
    key = fingerprint_of(history(first), answer, 200).key
    next_turn = history(call(PATH, {"model": "m", "input": [*stateless, RESULT]}))
    assert key is not None
    assert key in next_turn.chain


def test_parts_of_a_request() -> None:
    body = {"model": "m", "system_instruction": "Be brief.", "tools": [{"type": "function", "name": "weather"}],
            "input": [USER, THOUGHT, SEARCH, CALL, {**RESULT, "name": None, "is_error": True},
                      {"type": "user_input", "content": [{"type": "image", "data": "aGk=", "mime_type": "image/png"}]}],
            }  # fmt: skip
    found = [(part.kind, part.role, part.name, part.error) for part in request_parts(call(PATH, body))]
    assert found == [
        ("tool_definition", None, "weather", None),
        ("system", "system", None, None),
        ("text", "user", None, None),
        ("reasoning", "assistant", None, None),
        ("tool_call", "assistant", "google_search", None),
        ("tool_call", "assistant", "weather", None),
        ("tool_result", "tool", "weather", True),
        ("media", "user", "image/png", None),
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"model": "gpt", "input": [{"type": "message", "role": "user", "content": "Hi"}]},
        {"model": "gpt", "input": [{"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}]},
        {"model": "gpt", "input": [{"type": "function_call_output", "call_id": "c1", "output": "1"}]},
        {"model": "embed", "input": ["a", "b"]},
    ],
    ids=["message", "call", "result", "embeddings"],
)
def test_inputs_of_openai_s_kinds_are_not_taken_for_steps(body: Any) -> None:
    assert not FAMILY.messages[0].fits(body)
