"""What is seen of a call becomes the keys of the format, and no secret gets into them."""

import json
import math
from dataclasses import fields, replace

import msgpack
import pytest
from tests.redaction.shaped import PEM, SHAPED, SHAPELESS, sse
from tests.support.call_spec import CallSpec, RequestSpec, ResponseSpec, call_record

from sessiontap import trace
from sessiontap.callers import Caller, Process
from sessiontap.exchange import Headers
from sessiontap.gateways import Direct, Route
from sessiontap.header_edit import Edit
from sessiontap.llm.call import Agent, Asked, Billed, Call, CallError, Endpoint, Reply, ToolCall, Usage
from sessiontap.recording import record
from sessiontap.recording.decode import DecodedBody
from sessiontap.recording.finished import CallCounted
from sessiontap.recording.record import caller_record, is_kept
from sessiontap.redaction import Redactor
from sessiontap.redaction.memory_in_use import HIT
from sessiontap.rules.decision import Decision, FilledSettings
from sessiontap.sessions.session import Link, Session
from sessiontap.trace import Writer, body
from sessiontap.trace.body import Plain
from sessiontap.trace.notes import note_record
from sessiontap.trace.pack import Packer

REDACTOR = Redactor(b"k" * 32)

CALLER = Caller(
    id="caller-1", pid=7, started=5, name="bot.py", exe="/usr/bin/python3", argv=("python3", "bot.py"), cwd="/srv",
    user="me", uid=1000, ancestors=(Process(1, "init", None),), env={"RUN_ID": "r1"},
)  # fmt: skip

SEEN = CallSpec(
    counted=CallCounted("0190a000-0000-7000-8000-000000000000", 1, cost_usd=0.5),
    id="0190a000-0000-7000-8000-000000000000",
    time=1_000,
    request=RequestSpec(
        "POST", "https://api.openai.com/v1/chat/completions", "HTTP/1.1", Headers([("Host", "api.openai.com")]),
        DecodedBody(b'{"model": "gpt-4o"}'),
    ),
    outcome="ok",
    response=ResponseSpec(
        200, "HTTP/2", Headers([("content-type", "text/event-stream")]), DecodedBody(b"data: [DONE]\n\n", "gzip"),
        Headers([("x-sum", "1")]), [(2_000_000, 14)],
    ),
    duration=9,
    time_to_first_byte=4,
    time_to_first_token=5,
    host="api.openai.com",
    forwarded_host="oai.helicone.ai",
    caller=CALLER,
    caller_unknown="gone",
    client="127.0.0.1",
    proxy_user="team-a",
    call=Call(
        Endpoint("openai", "openai-chat", "chat", "/v1/chat/completions"),
        Asked(model="gpt-4o", tools_offered=("search",), tool_results=("fetch",), problems=("odd",)),
        Agent("codex", subagent="review"),
    ),
    reply=Reply(
        stream=True, response_model="gpt-4o-2024", response_id="chatcmpl-1", tool_calls=(ToolCall("search", "call_1"),),
        finish_reason="stop", usage=Usage(input=3, output=4), cost_reported=0.5, service_tier="default",
        billed=Billed(cache_write_1h=2, speed="fast"),
        error=CallError("server_error", "it broke"),
    ),
    decision=Decision(rules=("one", "#2"), set_by={"gateway": "one"}),
    filled=FilledSettings(
        path="/a/b", user="u1", properties={"mode": "x"}, tags=("t",), state={"n": 1}, rules=("#2", "three")
    ),
    session=Session("session-1", "Demo", 3, "app", renamed_to="Other", key="k"),
    link=Link("conversation-1", "call-0", "exact"),
    edits=(Edit("set", "Helicone-Session-Id", None, "session-1", "one"),),
    gateway=Route("https", "oai.helicone.ai", 443, kind="helicone", name="mine"),
    flags=("streamed_request", "streamed_request"),
)  # fmt: skip


def test_a_call_in_full():
    record = call_record(SEEN, REDACTOR)

    assert record == {
        "type": "call",
        "id": SEEN.id,
        "time": 1_000,
        "session": {
            "id": "session-1", "name": "Demo", "path": "/a/b", "step": 3, "source": "app", "renamed_to": "Other",
            "key": "k",
        },
        "conversation": "conversation-1",
        "parent": "call-0",
        "evidence": "exact", "link": None,
        "caller": "caller-1", "caller_unknown": None,
        "llm": {
            "provider": "openai", "family": "openai-chat", "operation": "chat", "request_model": "gpt-4o",
            "response_model": "gpt-4o-2024", "response_id": "chatcmpl-1", "stream": True, "finish_reason": "stop",
            "tools_offered": ["search"], "tool_calls": ["search"], "tool_call_ids": ["call_1"],
            "tool_results": ["fetch"],
            "usage": {"input": 3, "output": 4, "cache_read": None, "cache_write": None, "reasoning": None},
            "cost_reported": 0.5, "service_tier": "default", "billed": {"cache_write_1h": 2, "speed": "fast"},
            "error": {"type": "server_error", "message": "it broke"}, "problems": ["odd"],
        },
        "outcome": "ok",
        "flags": ["streamed_request"],
        "duration": 9,
        "time_to_first_byte": 4,
        "time_to_first_token": 5,
        "client": "127.0.0.1",
        "proxy_user": "team-a",
        "agent": "codex",
        "subagent": "review",
        "user": "u1",
        "properties": {"mode": "x"},
        "tags": ["t"],
        "state": {"n": 1},
        "rules": ["one", "#2", "three"],
        "host": "api.openai.com",
        "forwarded_host": "oai.helicone.ai",
        "route": "/v1/chat/completions",
        "changes": [
            ["set", "Helicone-Session-Id", None, "session-1", "one"],
            ["route", None, "api.openai.com", "https://oai.helicone.ai:443", "one"],
        ],
        "counted": {"cost_usd": 0.5},
        "gateway": {"kind": "helicone", "name": "mine"},
        "request": {
            "method": "POST", "url": "https://api.openai.com/v1/chat/completions", "http_version": "HTTP/1.1",
            "headers": [["Host", "api.openai.com"]], "trailers": None, "body": Plain(b'{"model": "gpt-4o"}'),
        },
        "response": {
            "status": 200, "http_version": "HTTP/2", "headers": [["content-type", "text/event-stream"]],
            "trailers": [["x-sum", "1"]], "chunks": [2000, 14], "body": Plain(b"data: [DONE]\n\n", "gzip"),
        },
    }  # fmt: skip


def test_what_scanning_needs_stands_first_and_bodies_last():
    record, stored = call_record(SEEN, REDACTOR), Packer().at(call_record(SEEN, REDACTOR), 0)["request"]

    assert list(record)[:4] == ["type", "id", "time", "session"]
    assert list(record)[-2:] == ["request", "response"]
    assert list(stored)[-1] == "body"
    assert list(stored["body"])[-1] == "data"


def test_a_call_of_which_nothing_is_known_is_nil_throughout():
    bare = CallSpec("id", 1, RequestSpec("GET", "https://h.example/", "HTTP/1.1", Headers()), "upstream_unreachable")

    record = call_record(bare, REDACTOR)

    assert record["llm"]["usage"] is None
    assert {key for key, value in record.items() if value is None} == {
        "session", "conversation", "parent", "evidence", "link", "caller", "caller_unknown", "time_to_first_byte",
        "time_to_first_token", "client", "proxy_user", "agent", "subagent", "user", "state", "route",
        "gateway", "response",
    }  # fmt: skip


def test_what_a_gateway_says_of_a_call_is_recorded():
    route = Route("http", "127.0.0.1", 4000, target="/v1/chat/completions?key=secret", kind="litellm", name="mine")
    headers = Headers([("x-litellm-call-id", "c-1"), ("x-litellm-attempted-retries", "2"), ("x-litellm-response-cost",
                       "1.95e-06"), ("x-litellm-attempted-fallbacks", "none")])  # fmt: skip
    body = b'{"error": {"message": "Budget has been exceeded!", "type": "budget_exceeded", "code": "422"}}'
    response = replace(SEEN.response, status=422, headers=headers, body=DecodedBody(body))

    record = call_record(replace(SEEN, gateway=route, response=response), REDACTOR)

    assert record["gateway"] == {
        "kind": "litellm", "name": "mine", "id": "c-1", "retries": 2, "cost": 1.95e-06,
        "failure": "policy", "failure_code": "budget_exceeded",
    }  # fmt: skip
    assert record["changes"][-1][3] == "http://127.0.0.1:4000/v1/chat/completions"


def test_a_call_that_went_directly_says_why():
    record = call_record(replace(SEEN, gateway=Direct("HELICONE_API_KEY is not set"), edits=()), REDACTOR)

    assert record["changes"] == [["direct", None, "api.openai.com", None, "HELICONE_API_KEY is not set"]]


@pytest.mark.parametrize("odd", [1 << 64, (1 << 63) - 1, 10**12 + 1, -1], ids=str)
def test_a_number_of_tokens_that_cannot_be_is_unknown(odd):
    """Else no reader would take the call."""
    reply = replace(SEEN.reply, usage=Usage(input=odd, output=7, reasoning=odd), billed=Billed(input=odd, output=3))

    record = call_record(replace(SEEN, reply=reply), REDACTOR)

    assert (record["llm"]["usage"]["input"], record["llm"]["usage"]["output"]) == (None, 7)
    assert record["llm"]["billed"] == {"output": 3}


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, 1e300], ids=str)
def test_a_cost_that_cannot_be_is_unknown(odd):
    record = call_record(replace(SEEN, reply=replace(SEEN.reply, cost_reported=odd)), REDACTOR)

    assert record["llm"]["cost_reported"] is None


def test_capture_metadata_keeps_sizes_alone():
    record = call_record(replace(SEEN, decision=Decision(capture="metadata")), REDACTOR)

    for side, stored in (("request", {"size": 19}), ("response", {"size": 14, "wire": "gzip"})):
        assert record[side]["body"] == stored
        assert body.decode(stored) is None


@pytest.mark.parametrize(("capture", "kept"), [("full", True), ("metadata", True), ("none", False)])
def test_capture_none_is_not_recorded(capture, kept):
    assert is_kept(replace(SEEN, decision=Decision(capture=capture)).finished) is kept


def test_a_body_that_cannot_be_decoded_is_kept_as_it_came_and_flagged():
    wire = b"\x1f\x8b not gzip"
    seen = replace(SEEN, response=replace(SEEN.response, body=DecodedBody(wire, "gzip", undecodable=True)))

    record = call_record(seen, REDACTOR)

    assert record["flags"] == ["streamed_request", "undecodable"]
    assert record["response"]["body"] == Plain(wire, "gzip", {"undecodable": True})


def test_a_body_that_was_cut_says_how_long_it_was():
    seen = replace(SEEN, request=replace(SEEN.request, body=DecodedBody(b"abc", total=1000)))

    stored = Packer().at(call_record(seen, REDACTOR), 0)["request"]["body"]

    assert (stored["size"], stored["total"]) == (3, 1000)


def test_a_call_whose_caller_is_not_known_says_why():
    key = "sk-proj-" + "k4Jq" * 10
    record = call_record(replace(SEEN, caller=None, caller_unknown=f"look-up failed: {key}"), REDACTOR)
    assert record["caller"] is None
    assert record["caller_unknown"].startswith("look-up failed: [redacted:")


def test_a_caller():
    assert caller_record(CALLER, REDACTOR) == {
        "type": "caller", "id": "caller-1", "pid": 7, "started": 5, "name": "bot.py",
        "names": [], "exe": "/usr/bin/python3", "argv": ["python3", "bot.py"], "cwd": "/srv", "user": "me", "uid": 1000,
        "ancestors": [{"pid": 1, "name": "init", "started": None}], "tree": None, "container": None,
        "env": {"RUN_ID": "r1"},
    }  # fmt: skip


def test_a_caller_names_the_root_of_its_process_tree():
    caller = replace(CALLER, tree=Process(3, "agent.sh", 1, ("agent.sh",), "caller-0"))

    assert caller_record(caller, REDACTOR)["tree"] == {"id": "caller-0", "pid": 3}


def test_a_note_keeps_its_own_keys():
    note = note_record("fault", "it broke", kind="other", count=2)

    assert (note["type"], note["kind"], note["text"], note["count"]) == ("note", "fault", "it broke", 2)


def everywhere(secret: str) -> CallSpec:
    """A call with a credential in each place that is kept."""
    said = f"it is {secret}."
    document = json.dumps({"messages": [{"content": said}, {"content": f"{said}\n{said}"}]}).encode()
    return replace(
        SEEN,
        proxy_user=said,
        request=RequestSpec(
            "POST",
            f"https://me:{secret}@h.example/{secret}/x?key={secret}&q={secret}",
            "HTTP/1.1",
            Headers([("Authorization", f"Bearer {secret}"), ("X-Api-Key", secret), ("Cookie", f"a={secret}"),
                     ("X-Other", said), ("Referer", f"https://h.example/?token={secret}")]),
            DecodedBody(document),
            Headers([("x-api-key", secret)]),
        ),
        response=ResponseSpec(
            200, "HTTP/2", Headers([("Set-Cookie", f"a={secret}; Path=/"), ("Location", f"https://h.example/?sig={secret}")]),
            DecodedBody(sse([said[at : at + 5] for at in range(0, len(said), 5)])), Headers([("x-echo", said)]),
        ),
        caller=replace(CALLER, argv=("bot", "--api-key", secret, said, f"-H=Authorization: {secret}"), cwd=f"/{secret}",
                       env={"OPENAI_API_KEY": secret, "TEXT": said}),
        call=replace(SEEN.call, asked=Asked(secret, tools_offered=(secret,), tool_results=(secret,), problems=(said,))),
        reply=replace(SEEN.reply, error=CallError("invalid_api_key", f"Incorrect API key provided: {secret}"),
                      tool_calls=(ToolCall(secret),)),
        filled=FilledSettings(path=f"/{secret}", user=said, properties={"token": secret, "text": said, secret: "x"},
                      tags=(secret,), state={"deep": [{"secret": secret, "text": said}]}),
        session=Session(secret, said, 0, "app", renamed_to=said, key=secret),
        edits=(Edit("set", "Helicone-Auth", secret, f"Bearer {secret}", "r"), Edit("set", "X-Other", said, said)),
    )  # fmt: skip


@pytest.mark.parametrize("secret", [*SHAPED.values()], ids=[*SHAPED.keys()])
def test_no_byte_of_a_secret_is_in_the_segment(tmp_path, monkeypatch, secret):
    """Compression is off, so that a search of the file's bytes sees everything."""
    monkeypatch.setattr("sessiontap.trace.body.SMALL", 1 << 30)
    folder = tmp_path / "trace"
    writer = Writer(folder, writer_info={})
    writer.start()
    seen = everywhere(secret)
    writer.submit(lambda: [caller_record(seen.caller, REDACTOR), call_record(seen, REDACTOR)], 0)
    assert writer.close(5)

    (segment,) = folder.iterdir()
    data = segment.read_bytes()
    assert len(list(trace.open(folder).calls())) == 1
    assert secret.encode() not in data
    assert secret[len(secret) // 2 :].encode() not in data
    assert data.count(REDACTOR.token("x", secret.encode()).split(":")[2].encode()) > 30, "equal digests everywhere"


def test_a_shapeless_key_is_gone_wherever_a_name_gives_it_away():
    seen = replace(
        SEEN,
        request=replace(
            SEEN.request,
            url=f"https://h.example/?api-key={SHAPELESS}",
            headers=Headers([("api-key", SHAPELESS), ("Ocp-Apim-Subscription-Key", SHAPELESS)]),
            body=DecodedBody(f'{{"api_key": "{SHAPELESS}"}}'.encode()),
        ),
        filled=FilledSettings(properties={"api_key": SHAPELESS}, state={"password": SHAPELESS}),
    )
    caller = replace(CALLER, argv=("x", f"--api-key={SHAPELESS}"), env={"AZURE_OPENAI_API_KEY": SHAPELESS})

    written = msgpack.packb([Packer().at(call_record(seen, REDACTOR), 0), caller_record(caller, REDACTOR)])

    assert SHAPELESS.encode() not in written


def test_a_private_key_is_gone_from_bodies_and_variables():
    seen = replace(SEEN, request=replace(SEEN.request, body=DecodedBody(json.dumps({"k": PEM}).encode())))
    caller = replace(CALLER, env={"DEPLOY_KEY": PEM})

    written = [Packer().at(call_record(seen, REDACTOR), 0), caller_record(caller, REDACTOR)]
    assert b"q8dXo3" not in msgpack.packb(written)


def test_every_field_of_a_call_is_in_the_example():
    """So that a field that is added is tested too."""
    call, exchange = SEEN.finished, SEEN.exchange
    missing = [field.name for field in fields(SEEN) if getattr(SEEN, field.name) is None]
    missing += [name for name in call.__struct_fields__ if getattr(call, name) is None]
    missing += [field.name for field in fields(exchange) if getattr(exchange, field.name) is None]
    assert missing == []


def test_what_the_providers_headers_say_of_the_request_and_its_limits():
    headers = Headers([("x-request-id", "req_1"), ("x-ratelimit-remaining-tokens", "12"), ("retry-after", "3")])
    llm = call_record(replace(SEEN, response=replace(SEEN.response, headers=headers)), REDACTOR)["llm"]

    assert llm["request_id"] == "req_1"
    assert llm["rate_limits"] == {"x-ratelimit-remaining-tokens": "12", "retry-after": "3"}


def test_memory_is_told_of_for_each_body_that_is_full_of_credentials() -> None:
    keys = DecodedBody(b" ".join(b"sk-proj-%040dabcDEF" % number for number in range(1_000)))
    told: list[int] = []
    one = replace(SEEN, request=replace(SEEN.request, body=keys))
    record.call_record(one.finished, one.exchange, REDACTOR, used=told.append)
    of_one = sum(told)
    assert of_one >= 1_000 * HIT
    assert SEEN.response is not None
    both = replace(one, response=replace(SEEN.response, body=keys))
    record.call_record(both.finished, both.exchange, REDACTOR, used=told.append)
    assert sum(told) == 3 * of_one
