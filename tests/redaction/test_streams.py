"""Credentials that streams spell out in pieces."""

import base64
import gzip
import json
from pathlib import Path

import pytest
from tests.llm.llm_frames import error, event
from tests.redaction.shaped import SHAPED, sse

from sessiontap.llm.eventstream import frames
from sessiontap.redaction import fragments


@pytest.mark.parametrize("step", [1, 3, 7, 20])
@pytest.mark.parametrize("field", fragments.FIELDS)
def test_a_secret_that_a_stream_spells_out_is_found(redactor, field, step):
    secret = SHAPED["anthropic-key"]
    text = f"it is {secret}, ok?"
    pieces = [text[at : at + step] for at in range(0, len(text), step)]

    found = redactor.body(sse(pieces, field))

    events = [json.loads(line[6:]) for line in found.decode().splitlines() if line]
    said = "".join(event["choices"][0]["delta"][field] for event in events)
    assert len(events) == len(pieces)
    assert said == f"it is {redactor.token('anthropic-key', secret.encode())}, ok?"


def test_a_stream_without_secrets_is_untouched(redactor):
    body = sse(["I ", "ask-", "ed for\n", '"sk-', 'nothing"'])

    assert redactor.body(body) == body


def test_recorded_traffic_is_touched_only_where_credentials_stand(redactor):
    folder = Path(__file__).parents[2] / ".." / "shared" / "corpus"
    files = sorted(folder.glob("*.jsonl.gz"))
    if not files:
        pytest.skip(f"no recorded exchanges in {folder.resolve()}")
    touched = set()
    for file in files:
        for line in gzip.decompress(file.read_bytes()).splitlines():
            exchange = json.loads(line)
            for side in ("request", "response"):
                body = exchange[side].get("body")
                if body is not None and redactor.body(body.encode()) != body.encode():
                    assert "X-Amz-Signature=" in body or body.startswith("apikey=test_api_key&")
                    touched.add(exchange["id"])

    assert len(touched) == 8


def ndjson(*values: object) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def test_choices_that_alternate_do_not_mix(redactor):
    one, two = SHAPED["anthropic-key"], SHAPED["groq-key"]
    cuts = zip(*([text[at : at + 30] for at in range(0, 90, 30)] for text in (f"a {one}", f"b {two}")), strict=True)
    events = [{"choices": [{"delta": {"content": p}, "index": n}]} for pair in cuts for n, p in enumerate(pair)]

    found = redactor.body(b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events))

    said = {0: "", 1: ""}
    for line in found.decode().split("\n\n")[:-1]:
        (choice,) = json.loads(line[6:])["choices"]
        said[choice["index"]] += choice["delta"]["content"]
    assert said == {
        0: f"a {redactor.token('anthropic-key', one[:88].encode())}",
        1: f"b {redactor.token('groq-key', two.encode())}",
    }


def test_a_stream_of_lines_may_begin_with_a_long_one(redactor):
    secret = SHAPED["groq-key"]
    body = ndjson({"instructions": "x" * 9000}, {"delta": "it is " + secret[:20]}, {"delta": secret[20:] + "."})

    found = redactor.body(body)

    assert [json.loads(line) for line in found.splitlines()][1:] == [
        {"delta": f"it is {redactor.token('groq-key', secret.encode())}"},
        {"delta": "."},
    ]


@pytest.mark.parametrize("inner", [False, True], ids=["converse", "invoke"])
def test_frames_of_an_event_stream_are_whole_again(redactor, inner):
    secret = SHAPED["openai-key"]

    def framed(text: str) -> bytes:
        value = {"delta": {"text": text}}
        return event("chunk", {"bytes": base64.b64encode(json.dumps(value).encode()).decode()} if inner else value)

    body = b"".join(framed(text) for text in ("it is ", secret[:9], secret[9:], " ok")) + error("E", f"bad {secret}")

    found = list(frames(redactor.body(body)))

    assert [one.fault for one in found] == [None] * 5
    token = redactor.token("openai-key", secret.encode())
    assert found[-1].headers[":error-message"] == f"bad {token}"
    payloads = [json.loads(one.payload) for one in found[:-1]]
    values = [json.loads(base64.b64decode(one["bytes"])) if inner else one for one in payloads]
    assert [value["delta"]["text"] for value in values] == ["it is ", token, "", " ok"]


def test_an_event_stream_without_secrets_is_untouched(redactor):
    body = event("a", {"text": "it is fine, all of it"}) + event("b", b"no json") + b"\0\0\0\x10 cut"

    assert redactor.body(body) == body


def test_the_end_of_an_event_stream_that_was_cut_is_searched_too(redactor):
    secret = SHAPED["openai-key"]
    value = {"bytes": base64.b64encode(json.dumps({"text": f"is {secret} ok"}).encode()).decode()}
    body = event("chunk", {"text": "first"}) + event("chunk", value)[:-9]

    found = redactor.body(body)

    assert secret.encode() not in base64.b64decode(found[found.rindex(b'"bytes": "') + 10 :][:80])
    assert base64.b64encode(secret.encode())[4:-4] not in found
