"""A finished call's bodies are decoded as far as there is memory for them; what is not kept is said, never guessed."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard

from sessiontap.faults import Faults
from sessiontap.llm.call import Asked, Call, Endpoint
from sessiontap.recording.budget import COPIES, Budget, Lease
from sessiontap.recording.decode import DecodedExchange, decode_exchange
from sessiontap.recording.finished import BodyTransfer, FinishedCall, ReceivedResponse, SentRequest

CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda plain: brotli.compress(plain, quality=4),
    "zstd": zstandard.compress,
}
each = pytest.mark.parametrize("coding", CODINGS)
WORDS = random.Random(0).randbytes(400_000).hex()
REPLY = b'{"model":"m","choices":[{"index":0,"message":{"content":"%s"}}],"usage":{"prompt_tokens":7}}' % WORDS.encode()
EVENTS = b"".join(
    b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % WORDS[at : at + 100].encode()
    for at in range(0, len(WORDS), 100)
)
ASKED = b'{"model":"m"}'
LARGE_REQUEST = b'{"model":"m","messages":[{"role":"user","content":"%s"}]}' % WORDS.encode()


def exchanged(
    request: bytes,
    response: bytes,
    lease: Lease | None,
    *,
    request_coding: str = "",
    coding: str = "",
    sse: bool = False,
) -> DecodedExchange:
    """The exchange of a call to a chat model with these bodies, as they came."""
    media = b"text/event-stream" if sse else b"application/json"
    chunks = [(at, len(response[at : at + 1000])) for at in range(0, len(response), 1000)] if sse else []
    call = FinishedCall(
        id="0190a000-0000-7000-8000-000000000000",
        time=1,
        duration=1,
        outcome="ok",
        method="POST",
        url="https://llm.example/v1/chat/completions",
        host="llm.example",
        target="/v1/chat/completions",
        sent=SentRequest("llm.example", "HTTP/1.1", ((b"content-encoding", request_coding.encode()),)),
        received=ReceivedResponse(
            200, "HTTP/1.1", ((b"content-type", media), (b"content-encoding", coding.encode()))
        ),
        request_body=BodyTransfer(len(request)),
        response_body=BodyTransfer(len(response), chunks, 0),
        call=Call(Endpoint(None, "openai-chat", "chat", "/v1/chat/completions"), Asked(model="m")),
    )
    return decode_exchange(call, request, response, Faults(), lease=lease)


@each
@pytest.mark.parametrize("body", [REPLY, EVENTS], ids=["JSON", "a stream"])
def test_what_is_decoded_of_a_reply_counts_while_its_call_is_held(coding: str, body: bytes) -> None:
    budget = Budget(1 << 30)
    lease = Lease(budget)
    exchange = exchanged(ASKED, CODINGS[coding](body), lease, coding=coding, sse=body is EVENTS)
    assert exchange.response is not None
    assert exchange.response.body is not None
    assert exchange.response.body.data == body
    assert budget.used >= len(body) * COPIES


@each
@pytest.mark.parametrize("body", [REPLY, EVENTS], ids=["JSON", "a stream"])
def test_a_reply_for_which_there_is_no_memory_is_not_kept_and_its_usage_is_unknown(coding: str, body: bytes) -> None:
    packed = CODINGS[coding](body)
    lease = Lease(Budget(len(body) * COPIES, alone=len(body) * COPIES - 1))
    exchange = exchanged(ASKED, packed, lease, coding=coding, sse=body is EVENTS)
    assert {"response_cut", "unread"} <= set(exchange.flags)
    assert "request_cut" not in exchange.flags
    assert exchange.response is not None
    kept = exchange.response.body
    assert kept is not None
    assert (kept.data, kept.undecodable, kept.total) == (b"", True, len(packed))
    assert exchange.reply is not None
    assert (exchange.reply.usage, exchange.reply.text) == (None, None)
    assert "for which there was memory" in exchange.reply.problems[0]


@each
def test_both_bodies_of_a_call_share_its_memory(coding: str) -> None:
    encode = CODINGS[coding]
    both = len(LARGE_REQUEST) + len(REPLY)
    lease = Lease(Budget(both * COPIES, alone=(both - 1) * COPIES))
    exchange = exchanged(encode(LARGE_REQUEST), encode(REPLY), lease, request_coding=coding, coding=coding)
    assert exchange.request.body is not None
    assert exchange.request.body.data == LARGE_REQUEST
    assert "response_cut" in exchange.flags
    assert "request_cut" not in exchange.flags


@each
def test_a_request_for_which_there_is_no_memory_is_not_kept_and_its_reply_is_read(coding: str) -> None:
    small = b'{"model":"m","usage":{"prompt_tokens":7}}'
    packed = CODINGS[coding](LARGE_REQUEST)
    lease = Lease(Budget(1 << 30, alone=len(LARGE_REQUEST) * COPIES - 1))
    exchange = exchanged(packed, small, lease, request_coding=coding)
    assert "request_cut" in exchange.flags
    assert exchange.request.body is not None
    assert (exchange.request.body.data, exchange.request.body.total) == (b"", len(packed))
    assert exchange.reply is not None
    assert exchange.reply.usage is not None
    assert exchange.reply.usage.input == 7


def test_a_reply_that_is_not_encoded_is_kept_whole_and_read_as_far_as_there_is_memory() -> None:
    lease = Lease(Budget(len(REPLY) * 2))
    exchange = exchanged(ASKED, REPLY, lease)
    assert exchange.response is not None
    assert exchange.response.body is not None
    assert exchange.response.body.data is REPLY
    assert exchange.reply is not None
    assert exchange.reply.usage is not None
    assert (exchange.reply.usage.input, exchange.reply.text) == (7, None)
    assert exchange.reply.problems[0] == "the response is too large to be read in full"


def test_the_texts_of_a_reply_go_when_it_was_read_and_its_facts_stay() -> None:
    exchange = exchanged(ASKED, REPLY, None)
    assert exchange.reply is not None
    assert exchange.reply.text == WORDS
    without = exchange.without_texts().reply
    assert without is not None
    assert (without.text, without.usage, without.response_model) == (None, exchange.reply.usage, "m")
