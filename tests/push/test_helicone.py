"""Helicone's asynchronous log: the entry of a call, where it goes, and what its answers mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from tests.export.calls import ID, START, call, turn, unanswered
from tests.push.pushed_calls import CHAT, GEMINI, MESSAGES, OTHER, chat, pushed

from sessiontap.exchange import Headers
from sessiontap.push.delivery import Delivery, Journal
from sessiontap.push.target import HttpReply, NotReached, PushedCall, TargetAnswer, TargetSettings
from sessiontap.push.targets import helicone
from sessiontap.push.targets.helicone import MOST_BYTES, address, log_entry, open_sender, request_id

KEY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
CLOUD = "https://api.worker.helicone.ai"


class Receiver:
    """Takes what is posted, and answers as it was told."""

    def __init__(self, answer: HttpReply | NotReached | None = None) -> None:
        self.answer = answer or HttpReply(200, Headers(), b"ok")
        self.posted: list[tuple[str, Any, Mapping[str, str]]] = []

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HttpReply:
        self.posted.append((url, json.loads(body), headers))
        if isinstance(self.answer, NotReached):
            raise self.answer
        return self.answer


def settings(receiver: Receiver, endpoint: str = CLOUD, *, content: bool = True) -> TargetSettings:
    return TargetSettings(endpoint, {"HELICONE_API_KEY": KEY}, content, receiver)


def entry(one: PushedCall, *, content: bool = True) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(log_entry(one, content).body)
    return found


def test_a_call_with_its_session() -> None:
    assert entry(chat(user="ada", time_to_first_token=250_000_000)) == {
        "providerRequest": {
            "url": "https://api.openai.com/v1/chat",
            "json": {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]},
            "meta": {
                "Helicone-Request-Id": request_id(ID),
                "Helicone-Session-Id": "1db5055c-ed54-5a42-b919-793b95b7114c",
                "Helicone-Session-Name": "Course",
                "Helicone-Session-Path": "/outline",
                "Helicone-User-Id": "ada",
                "Helicone-Property-mode": "test",
            },
        },
        "providerResponse": {
            "status": 200,
            "headers": {"content-type": "application/json"},
            "json": {
                "model": "gpt-4o-2024-08-06",
                "choices": [{"message": {"content": "Hello"}}],
                "usage": {"prompt_tokens": 20, "completion_tokens": 5},
            },
        },
        "timing": {
            "startTime": {"seconds": START // 10**9, "milliseconds": 0},
            "endTime": {"seconds": START // 10**9 + 1, "milliseconds": 500},
            "timeToFirstToken": 250,
        },
        "provider": "OPENAI",
    }


def test_the_entrys_id_is_a_uuid_that_helicone_takes_and_the_same_each_time() -> None:
    assert UUID(request_id(ID)).version == 5
    assert request_id(ID) == request_id(ID) != request_id("01a1fce0-ea05-7202-8000-000000000002")


def test_a_call_without_a_session_has_no_session_headers() -> None:
    meta = entry(chat(session=None, user="ada"))["providerRequest"]["meta"]
    assert sorted(meta) == ["Helicone-Property-mode", "Helicone-Request-Id", "Helicone-User-Id"]


def test_meta_is_what_the_gateways_headers_would_be() -> None:
    session = {"id": "s", "name": "Straße – 1", "path": "a//b/", "step": 3}
    meta = entry(chat(session=session, properties={"größe": "ø\n1", "empty": ""}))["providerRequest"]["meta"]
    assert meta["Helicone-Session-Name"] == "Strasse - 1"
    assert meta["Helicone-Session-Path"] == "/a/b"
    assert meta["Helicone-Property-grosse"] == "o 1"
    assert "Helicone-Property-empty" not in meta


@pytest.mark.parametrize(
    ("llm", "counts"),
    [
        (CHAT, {"usage": {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25,
                          "prompt_tokens_details": {"cached_tokens": 8}}}),
        (MESSAGES, {"usage": {"input_tokens": 8, "output_tokens": 5, "cache_read_input_tokens": 8,
                              "cache_creation_input_tokens": 4}}),
        (GEMINI, {"usageMetadata": {"promptTokenCount": 20, "candidatesTokenCount": 5, "totalTokenCount": 25}}),
        (OTHER, {"usage": {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}}),
        (CHAT | {"usage": {"input": 20}}, {"usage": {"prompt_tokens": 20}}),
        (CHAT | {"usage": None}, {}),
    ],
    ids=["openai", "anthropic: net of the cache", "google", "another family", "half known", "unknown"],
)  # fmt: skip
def test_without_content_it_gets_what_it_counts_by(llm: dict[str, Any], counts: dict[str, Any]) -> None:
    asked = b'{"model": "m", "stream": true, "messages": [{"role": "user", "content": "SECRET"}]}'
    one = pushed(call(asked, b'{"content": "SECRET"}', llm=llm), content=False)
    found = entry(one, content=False)
    assert found["providerRequest"]["json"] == {"model": llm["request_model"]}
    assert found["providerResponse"]["json"] == {"model": llm.get("response_model") or llm["request_model"]} | counts
    assert "SECRET" not in json.dumps(found)


SSE = b'data: {"choices": [{"delta": {"content": "Hel"}}]}\n\ndata: [DONE]\n\n'
STREAM = {"stream": True, "usage": None}


@pytest.mark.parametrize(
    ("request_body", "response_body", "llm", "stream", "reply"),
    [
        (b'{"model": "m", "stream": true}', SSE, CHAT | STREAM, True, "textBody"),
        (b'{"contents": []}', SSE, GEMINI | STREAM, True, "textBody"),
        (b'{"contents": []}', b'[{"candidates": []}]', GEMINI | STREAM, None, "json"),
        (b'{"model": "m", "stream": true}', b'{"error": {"message": "no"}}', CHAT | STREAM, None, "json"),
        (b'{"model": "m", "stream": true}', SSE, CHAT | STREAM | {"family": "openai-responses"}, None, "json"),
        (b'{"model": "m", "stream": true}', b"\xff\x00", OTHER | STREAM, None, "json"),
    ],
    ids=["a stream", "asked for by the URL", "an array is JSON", "refused", "a form that is not counted", "binary"],
)
def test_a_reply_is_text_exactly_if_the_request_asks_for_a_stream(
    request_body: bytes, response_body: bytes, llm: dict[str, Any], stream: bool | None, reply: str
) -> None:
    found = entry(pushed(call(request_body, response_body, llm=llm)))
    assert found["providerRequest"]["json"].get("stream") is stream
    assert {"json", "textBody"} & found["providerResponse"].keys() == {reply}


def test_a_stream_is_given_as_it_came() -> None:
    found = entry(pushed(call(b'{"model": "m", "stream": true}', SSE, llm=CHAT | STREAM)))
    assert found["providerResponse"]["textBody"] == SSE.decode()


def test_a_stream_that_is_kept_in_part_would_be_counted_wrong() -> None:
    llm = CHAT | {"stream": True}
    found = entry(pushed(call(b'{"model": "m", "stream": true}', SSE, llm=llm, flags=["response_cut"])))
    assert found["providerResponse"]["json"]["usage"]["total_tokens"] == 25


X_GROQ = b'data: {"choices": [], "x_groq": {"usage": {"prompt_tokens": 20, "completion_tokens": 5}}}\n\n'
GOOGLE_TOOL = {"usageMetadata": {"promptTokenCount": 3, "toolUsePromptTokenCount": 17, "candidatesTokenCount": 5}}
THOUGHTS = {"usageMetadata": {"promptTokenCount": 20, "candidatesTokenCount": 2, "thoughtsTokenCount": 3}}
CLAUDE = (
    b'event: message_start\ndata: {"type": "message_start", "message": {"usage": {"input_tokens": 8,'
    b' "output_tokens": 1, "cache_read_input_tokens": 8, "cache_creation_input_tokens": 4}}}\n\n'
    b'event: message_delta\ndata: {"type": "message_delta", "usage": {"output_tokens": 5}}\n\n'
)


@pytest.mark.parametrize(
    ("reply", "llm", "as_it_came"),
    [
        (b'{"usage": {"prompt_tokens": 20, "completion_tokens": 5}}', CHAT, True),
        (b'{"usage": {"total_tokens": 25}}', CHAT, False),
        (b'{"usage": {"input_tokens": 20, "output_tokens": 5}}', CHAT | {"family": "openai-responses"}, True),
        (b'data: {"usage": {"prompt_tokens": 20, "completion_tokens": 5}}\n\n', CHAT | {"stream": True}, True),
        (X_GROQ, CHAT | {"stream": True, "provider": "groq"}, False),
        (CLAUDE, MESSAGES | {"stream": True}, True),
        (CLAUDE.partition(b"event: message_delta")[0], MESSAGES | {"stream": True}, False),
        (json.dumps(GOOGLE_TOOL).encode(), GEMINI, False),
        (json.dumps(THOUGHTS).encode(), GEMINI, True),
    ],
    ids=[
        "as OpenAI states them", "a total alone", "as its Responses do", "a stream's last event", "Groq's own place",
        "the first and last event", "cut before the last", "a tool's prompt", "thoughts are output",
    ],
)  # fmt: skip
def test_a_reply_in_which_helicone_would_count_other_tokens_is_not_sent_as_it_came(
    reply: bytes, llm: dict[str, Any], as_it_came: bool
) -> None:
    told = entry(pushed(call(b'{"model": "m"}', reply, llm=llm)))["providerResponse"]
    assert (told.get("textBody", "").encode() == reply or told.get("json") == _json_of(reply)) is as_it_came


def _json_of(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return ""


def test_a_model_that_only_the_url_names_is_added() -> None:
    found = entry(pushed(call(b'{"contents": []}', b'{"candidates": []}', llm=GEMINI | {"usage": None})))
    assert found["providerRequest"]["json"] == {"model": "gemini-2.5-flash", "contents": []}


def test_a_family_that_helicone_does_not_read_goes_as_openais_chat() -> None:
    asked = b'{"system": [{"text": "Be brief"}], "messages": [{"role": "user", "content": [{"text": "Hi"}]}]}'
    told = b'{"output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}}, "stopReason": "end_turn"}'
    found = entry(pushed(call(asked, told, llm=OTHER)))
    assert found["providerRequest"]["json"] == {
        "model": "amazon.nova-lite-v1:0",
        "messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}],
    }
    (choice,) = found["providerResponse"]["json"]["choices"]
    assert choice == {"index": 0, "finish_reason": "end_turn", "message": {"role": "assistant", "content": "Hello"}}
    assert found["providerResponse"]["json"]["usage"]["total_tokens"] == 25


@pytest.mark.parametrize(
    ("one", "status"),
    [
        (chat(), 200),
        (chat(told={"status": 429}, outcome="http_error"), 429),
        (pushed(unanswered(), content=False), 502),
        (pushed(turn(), content=False), 200),
        (pushed(call(b'{"model": "m"}', SSE, llm=CHAT | STREAM, outcome="client_gone")), -3),
    ],
    ids=["ok", "refused", "no response", "a turn of a WebSocket", "its client left the stream"],
)
def test_statuses(one: PushedCall, status: int) -> None:
    assert entry(one, content=one.parts is not None)["providerResponse"]["status"] == status


@pytest.mark.parametrize(
    ("provider", "family", "url"),
    [
        ("openai", "openai-responses", "/oai/v1/log"),
        ("azure", "openai-chat", "/oai/v1/log"),
        ("anthropic", "anthropic-messages", "/anthropic/v1/log"),
        ("google", "gemini", "/googleapis/v1/log"),
        ("vertex", "anthropic-messages", "/custom/v1/log"),
        ("groq", "openai-chat", "/custom/v1/log"),
        (None, "other", "/custom/v1/log"),
    ],
)
def test_each_provider_has_its_endpoint(provider: str | None, family: str, url: str) -> None:
    receiver = Receiver()
    sender = open_sender(settings(receiver))
    one = chat(llm={"provider": provider, "family": family})
    assert sender.send(list(sender.call_items(one))) == TargetAnswer("accepted")
    assert [posted[0] for posted in receiver.posted] == [CLOUD + url]


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        (CLOUD, f"{CLOUD}/oai/v1/log"),
        ("http://helicone.lan:8585", "http://helicone.lan:8585/v1/trace/custom/log"),
        ("http://127.0.0.1:8788/oai/v1/log", "http://127.0.0.1:8788/oai/v1/log"),
    ],
    ids=["Helicone's own", "self-hosted", "a path of one's own"],
)
def test_where_entries_go(endpoint: str, url: str) -> None:
    assert address(endpoint, "oai") == url


def test_the_key_is_the_authorization_alone() -> None:
    receiver = Receiver()
    sender = open_sender(settings(receiver))
    sender.send(list(sender.call_items(chat())))
    ((_, body, headers),) = receiver.posted
    assert headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in json.dumps(body)


@pytest.mark.parametrize(
    "one",
    [
        chat(forwarded_host="oai.helicone.ai"),
        chat(host="gateway.helicone.ai"),
        chat(told={"headers": [["Helicone-Id", "b7d4"]]}),
    ],
    ids=["sent there by a rule", "the app's own doing", "self-hosted"],
)
def test_a_call_that_went_through_helicone_is_there_already(one: PushedCall) -> None:
    assert list(open_sender(settings(Receiver())).call_items(one)) == []


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (HttpReply(200, Headers(), b"ok"), TargetAnswer("accepted")),
        (
            HttpReply(200, Headers(), b'{"error": "Error logging"}'),
            TargetAnswer("later", "Helicone did not store the call: Error logging"),
        ),
        (
            HttpReply(200, Headers(), b'{"error": "Auth failed! undefined"}'),
            TargetAnswer(
                "misconfigured", "Helicone did not store the call: Auth failed! undefined. Check HELICONE_API_KEY"
            ),
        ),
        (HttpReply(400, Headers(), b"Payload too large"), TargetAnswer("too_much", "400 Payload too large")),
        (HttpReply(400, Headers(), b'{"error": "x"}'), TargetAnswer("refused", '400 {"error": "x"}')),
        (HttpReply(401, Headers(), b"Unauthorized"), TargetAnswer("misconfigured", "401 Unauthorized")),
        (HttpReply(429, Headers([("Retry-After", "7")]), b""), TargetAnswer("later", "429", 7.0)),
        (NotReached("connection refused"), TargetAnswer("later", "connection refused")),
    ],
    ids=["stored", "not stored", "another's key", "too large", "malformed", "no key", "busy", "down"],
)
def test_answers(reply: HttpReply | NotReached, answer: TargetAnswer) -> None:
    sender = open_sender(settings(Receiver(reply)))
    assert sender.send(list(sender.call_items(chat()))) == answer


def test_an_entry_that_is_too_large_is_set_aside_before_it_is_sent() -> None:
    receiver = Receiver()
    aside: list[str] = []
    journal = Journal(lambda *_: None, lambda item, reason: aside.append(reason), lambda *_: None, lambda _: None)
    sender = open_sender(settings(receiver))
    large = b'{"model": "m", "messages": [{"role": "user", "content": "%s"}]}' % (b"x" * MOST_BYTES)
    items = [*sender.call_items(pushed(call(large, llm=CHAT))), *sender.call_items(chat())]
    Delivery(sender, journal, lambda seconds: True).send(items)
    assert len(receiver.posted) == 1
    assert aside == [f"its {items[0].size:,} bytes are more than the target takes in a request"]


@pytest.mark.parametrize("body", [b'{"x": NaN}', b'"text"', b"", b"[" * 100_000], ids=["NaN", "text", "none", "deep"])
def test_odd_bodies_go_without_content(body: bytes) -> None:
    one = pushed(call(body, body, llm=CHAT), content=False)
    assert helicone.log_entry(one, content=True) == helicone.log_entry(one, content=False)


def test_headers_that_could_not_be_headers_again_are_left_out() -> None:
    told = {"headers": [["x-request-id", "r1"], ["Set-Cookie", "a=b"], ["bad name", "x"], ["x-odd", "ä"]]}
    assert entry(chat(told=told))["providerResponse"]["headers"] == {"x-request-id": "r1"}
