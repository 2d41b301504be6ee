"""A request is read where it holds up nobody, and what it takes decoded counts until it is planned."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from dataclasses import replace

import pytest

from sessiontap.callers import Found
from sessiontap.exchange import Headers, Request
from sessiontap.llm.content_encoding import HARMLESS
from sessiontap.proxy.call_context import CallContext, Plan
from sessiontap.proxy.connections import Connection, Destination
from sessiontap.proxy.prepare import HEAVY, LIGHT, MANY_PARTS, NO_MEMORY, is_heavy, read, slimmed
from sessiontap.recording.budget import Budget, Lease, ReadingLease
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


def test_a_decoded_request_counts_until_it_is_planned() -> None:
    budget = Budget(1 << 30)
    lease = ReadingLease(budget)
    request, call, problem = read(ASKED, DESTINATION, gzip.compress(BODY), lease)
    assert (request.body, problem, budget.used) == (BODY, None, len(BODY))
    connection = Connection("c", ("127.0.0.1", 5000), Found(None))
    context = CallContext("id", 1, 0, connection, request, DESTINATION, call=call, decoded=lease)
    slimmed(context, Plan(Decision(), FilledSettings(), call))
    assert (context.request.body, budget.used) == (None, 0)


def test_a_request_is_decoded_though_all_memory_is_in_use_and_bodies_find_less() -> None:
    """Rules go by what is read of it."""
    budget = Budget(len(BODY))
    others, lease = Lease.of(budget, len(BODY)), ReadingLease(budget)
    _, call, _ = read(ASKED, DESTINATION, gzip.compress(BODY), lease)
    assert call.asked.model == "m"
    assert budget.used == others.size + len(BODY)
    assert not Lease(budget).grow(1)


def test_a_bomb_in_a_request_counts_no_longer_when_it_is_known_to_be_one() -> None:
    budget = Budget(1 << 30)
    lease = ReadingLease(budget)
    request, call, problem = read(ASKED, DESTINATION, gzip.compress(bytes(HARMLESS * 4), 9), lease)
    assert (request.body, call.partial, budget.used) == (None, True, 0)
    assert problem is not None
    assert "decoded only up to" in problem


def test_a_small_request_that_was_encoded_keeps_its_body_and_counts_no_longer() -> None:
    budget = Budget(1 << 30)
    lease = ReadingLease(budget)
    small = b'{"model":"m"}'
    request, call, _ = read(ASKED, DESTINATION, gzip.compress(small), lease)
    assert budget.used == len(small)
    context = CallContext("id", 1, 0, Connection("c", ("", 0), Found(None)), request, DESTINATION, decoded=lease)
    slimmed(context, Plan(Decision(), FilledSettings(), call))
    assert (context.request.body, budget.used) == (small, 0)


MANY_LISTS = b'{"model":"m","messages":[%s]}' % b",".join([b'["ab"]'] * 100_000)


def plain() -> Request:
    return Request("POST", DESTINATION.host, "/v1/chat/completions", Headers())


def test_the_objects_of_a_large_request_count_until_it_is_planned() -> None:
    budget = Budget(0, reading=1 << 30)
    lease = ReadingLease(budget)
    tracemalloc.start()
    try:
        request, call, _ = read(plain(), DESTINATION, MANY_LISTS, lease)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert call.json is not None
    assert 10 * len(MANY_LISTS) < held < budget.used
    context = CallContext("id", 1, 0, Connection("c", ("", 0), Found(None)), request, DESTINATION, decoded=lease)
    slimmed(context, Plan(Decision(), FilledSettings(), call))
    assert budget.used == 0


def test_of_a_large_request_for_whose_objects_there_is_no_memory_the_small_fields_are_read_and_that_is_said() -> None:
    budget = Budget(1 << 20)
    lease = ReadingLease(budget)
    _, call, _ = read(plain(), DESTINATION, MANY_LISTS, lease)
    assert (call.asked.model, call.json, call.partial) == ("m", {"model": "m"}, True)
    assert call.asked.problems[0] == NO_MEMORY
    assert budget.used == 0


def test_a_large_body_that_is_no_json_takes_no_memory_to_read() -> None:
    image = replace(plain(), headers=Headers([("content-type", "image/png")]))
    _, call, _ = read(image, DESTINATION, MANY_LISTS, ReadingLease(Budget(0)))
    assert not call.partial
