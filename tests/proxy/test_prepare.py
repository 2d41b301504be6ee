"""A request is read where it holds up nobody, and what it takes counts until it is planned."""

from __future__ import annotations

import gzip
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from tests.support.gate import PATIENCE

from sessiontap.callers import Found
from sessiontap.exchange import Headers, Request
from sessiontap.llm.call import Call
from sessiontap.llm.content_encoding import HARMLESS
from sessiontap.llm.large_bodies import DENSEST, measured
from sessiontap.proxy.call_context import CallContext, Plan
from sessiontap.proxy.connections import Connection, Destination
from sessiontap.proxy.prepare import (
    HEAVY,
    LIGHT,
    MANY_PARTS,
    NO_MEMORY,
    TOO_LARGE,
    is_heavy,
    read,
    slimmed,
)
from sessiontap.proxy.reading_memory import ReadingMemory
from sessiontap.recording.budget import Budget, Lease, ReadingLease, Shares
from sessiontap.rules.decision import Decision, FilledSettings

DESTINATION = Destination("api.openai.com", "openai")
BODY = b'{"model":"m","messages":[{"role":"user","content":"%s"}]}' % (b"every word counts " * 20_000)
ASKED = Request("POST", DESTINATION.host, "/v1/chat/completions", Headers([("content-encoding", "gzip")]))


@pytest.mark.parametrize(
    ("wire", "encoding", "expected"),
    [
        pytest.param(b"{}", None, False, id="small"),
        pytest.param(b"x" * LIGHT, None, False, id="of some size"),
        pytest.param(b"x" * (HEAVY + 1), None, True, id="large"),
        pytest.param(b"{" * (MANY_PARTS + LIGHT), None, True, id="many parts"),
        pytest.param(gzip.compress(bytes(HARMLESS), 9), "gzip", True, id="8 KB that stand for 8 MB"),
        pytest.param(b"", "gzip", False, id="encoded and empty"),
        pytest.param(gzip.compress(b"x" * HEAVY), "gzip", False, id="encoded and small"),
        pytest.param(gzip.compress(b"{" * (MANY_PARTS + LIGHT)), "gzip", True, id="encoded, small, many parts"),
        pytest.param(os.urandom(LIGHT + 1), "gzip", True, id="encoded and of some size"),
    ],
)
def test_a_request_that_may_take_long_is_not_read_on_the_loop(
    wire: bytes, encoding: str | None, expected: bool
) -> None:
    assert is_heavy(wire, encoding) is expected


def memory_of(budget: Budget, patience: float = 0) -> ReadingMemory:
    return ReadingMemory(ReadingLease(budget), patience)


def context_of(request: Request, call: Call, memory: ReadingMemory) -> CallContext:
    connection = Connection("c", ("127.0.0.1", 5000), Found(None))
    return CallContext("id", 1, 0, connection, request, DESTINATION, call=call, memory=memory)


def test_a_request_counts_until_it_is_planned_and_nothing_of_it_is_held_any_longer() -> None:
    budget = Budget(0, reading=1 << 30)
    memory = memory_of(budget)
    request, call, problem = read(ASKED, DESTINATION, gzip.compress(BODY), memory)
    assert (request.body, problem, budget.used) == (BODY, None, (1 + DENSEST) * len(BODY))
    context = context_of(request, call, memory)
    slimmed(context, Plan(Decision(), FilledSettings(), call))
    assert context.call is not None
    assert (context.request.body, context.call.json, context.call.asked.message, budget.used) == (None, None, None, 0)


def test_a_short_request_is_held_until_its_call_ends_and_counts_as_long() -> None:
    budget, short = Budget(1 << 30), b'{"model":"m"}'
    memory = memory_of(budget)
    request, call, _ = read(ASKED, DESTINATION, gzip.compress(short), memory)
    held = [context_of(request, call, memory)]
    del memory
    slimmed(held[0], Plan(Decision(), FilledSettings(), call))
    assert (held[0].request.body, budget.used) == (short, len(short) + measured(short).memory)
    held.clear()
    assert budget.used == 0


def test_a_request_is_decoded_and_read_though_bodies_have_all_of_theirs() -> None:
    """Rules go by what is read of it."""
    shares = Shares()
    budget = Budget(shares.proxy, reading=shares.reading)
    others, memory = Lease.of(budget, shares.proxy), memory_of(budget)
    _, call, _ = read(ASKED, DESTINATION, gzip.compress(BODY), memory)
    assert (call.asked.model, call.partial) == ("m", False)
    assert budget.used == others.size + memory.lease.size
    assert not Lease(budget).grow(1)


def test_a_request_that_finds_no_memory_decoded_is_not_read_and_that_is_said() -> None:
    budget = Budget(len(BODY))
    request, call, _ = read(ASKED, DESTINATION, gzip.compress(BODY), memory_of(budget))
    assert (request.body, call.partial, call.asked.problems[0], budget.used) == (None, True, NO_MEMORY, 0)


def test_a_bomb_in_a_request_counts_no_longer_when_it_is_known_to_be_one() -> None:
    budget = Budget(1 << 30)
    request, call, problem = read(ASKED, DESTINATION, gzip.compress(bytes(HARMLESS * 4), 9), memory_of(budget))
    assert (request.body, call.partial, call.asked.problems[0], budget.used) == (None, True, TOO_LARGE, 0)
    assert problem is not None
    assert "decoded only up to" in problem


MANY_LISTS = b'{"model":"m","messages":[%s]}' % b",".join([b'["ab"]'] * 100_000)


def plain() -> Request:
    return Request("POST", DESTINATION.host, "/v1/chat/completions", Headers())


def test_of_a_large_request_for_whose_objects_there_is_no_memory_the_small_fields_are_read_and_that_is_said() -> None:
    budget = Budget(1 << 20)
    _, call, _ = read(plain(), DESTINATION, MANY_LISTS, memory_of(budget))
    assert (call.asked.model, call.json, call.partial) == ("m", {"model": "m"}, True)
    assert call.asked.problems[0] == NO_MEMORY


def test_a_large_body_that_is_no_json_takes_no_memory_to_read() -> None:
    image = replace(plain(), headers=Headers([("content-type", "image/png")]))
    _, call, _ = read(image, DESTINATION, MANY_LISTS, memory_of(Budget(0)))
    assert not call.partial


def test_a_call_that_waits_counts_by_what_it_holds_once_bodies_would_have_less() -> None:
    roomy, tight = Budget(0, reading=1 << 30), Budget(1 << 30)
    for budget in (roomy, tight):
        memory = memory_of(budget)
        request, _, _ = read(plain(), DESTINATION, BODY, memory)
        memory.settle(request.body)
        expected = DENSEST * len(BODY) if budget is roomy else measured(BODY).memory
        assert budget.used == expected


def test_a_large_request_waits_for_the_memory_of_the_one_before_it() -> None:
    need = measured(MANY_LISTS).memory
    budget = Budget(0, reading=need)
    before = ReadingLease(budget)
    assert before.read(need)
    waiting = memory_of(budget, patience=PATIENCE)
    with ThreadPoolExecutor(1) as reader:
        done = reader.submit(read, plain(), DESTINATION, MANY_LISTS, waiting)
        before.end()
        _, call, _ = done.result(PATIENCE)
    assert not call.partial


def test_a_large_request_does_not_wait_for_memory_that_bodies_have() -> None:
    budget = Budget(1 << 20)
    body = Lease.of(budget, 1 << 20)
    _, call, _ = read(plain(), DESTINATION, MANY_LISTS, memory_of(budget, patience=3600))
    assert call.partial
    body.end()
