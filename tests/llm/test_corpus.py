"""Reading the recorded exchanges gives what was expected of them; reading a part of one gives a part of the truth."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from tests.llm.llm_corpus import Recorded, needs_corpus, recorded

from sessiontap.llm import hosts, routes
from sessiontap.llm.call import CallError, Reply, Usage
from sessiontap.llm.families import BY_NAME
from sessiontap.llm.streaming import body_kind

pytestmark = needs_corpus

EXCEPTIONS: dict[str, str] = {}
"""Id of an exchange -> why our reading is right and the expectation is not."""

CUTS = 10


def _family(item: Recorded) -> str:
    provider = hosts.provider_of(item.request.host, item.request.port)
    return routes.endpoint_of(item.request.method, item.request.host, item.request.path, provider).family


def _of(family: str) -> list[Recorded]:
    """Exchanges of a family. Other people's traffic (`expect.family` null) is no LLM call and has no reader."""
    return [item for item in recorded() if item.expect["family"] is not None and _family(item) == family]


def test_provider_and_family_of_every_exchange() -> None:
    found, expected = {}, {}
    for item in recorded():
        call = item.call()
        found[item.id] = (call.endpoint.provider, call.endpoint.family)
        expected[item.id] = (item.expect["provider"], item.expect["family"] or "other")
    assert found == expected


def test_kind_of_every_body() -> None:
    found = {i.id: body_kind(i.response_headers.get("content-type"), i.response().body) for i in recorded()}
    assert found == {item.id: item.expect["body_kind"] for item in recorded()}


def test_no_known_llm_host_is_passed_through() -> None:
    assert {
        item.request.host
        for item in recorded()
        if item.expect["provider"] not in (None, "ollama") and not hosts.serves(item.request.host, item.request.target)
    } == set()


def test_no_other_host_is_intercepted() -> None:
    assert {
        item.request.host
        for item in recorded()
        if item.expect["provider"] is None and hosts.is_llm_host(item.request.host)
    } == set()


@pytest.mark.parametrize("family", BY_NAME)
def test_every_exchange_reads_as_expected(family: str, record_property: Callable[[str, str], None]) -> None:
    wrong, agree, items = [], 0, _of(family)
    for item in items:
        found, expected = _found(item), _expected(item)
        differ = {key: (found[key], expected[key]) for key in found if found[key] != expected[key]}
        agree += not differ
        if differ and item.id not in EXCEPTIONS:
            wrong.append((item.id, differ))
    record_property("figure", f"{family:<20} {agree:>4} of {len(items):>4} recorded exchanges read as expected")
    assert wrong == []


def test_every_exception_is_still_one() -> None:
    agreed = [item.id for item in recorded() if item.id in EXCEPTIONS and _found(item) == _expected(item)]
    assert agreed == []


@pytest.mark.parametrize("family", BY_NAME)
def test_no_response_is_told_to_be_damaged(family: str) -> None:
    assert {item.id: item.reply().problems for item in _of(family) if item.reply().problems} == {}


@pytest.mark.parametrize("family", BY_NAME)
def test_a_cut_response_says_nothing_false(family: str) -> None:
    chance = random.Random(2)
    wrong = []
    for item in _of(family):
        truth = item.reply()
        for _ in range(CUTS):
            length = chance.randrange(len(item.response_raw) + 1)
            part = item.reply(length)
            if false := _false(part, truth):
                wrong.append((item.id, length, false))
    assert wrong == []


def _found(item: Recorded) -> dict[str, Any]:
    call, reply = item.call(), item.reply()
    return {
        "stream": reply.stream,
        "request_model": call.asked.model,
        "response_model": reply.response_model,
        "usage": reply.usage and asdict(reply.usage),
        "finish_reason": reply.finish_reason,
        "error": reply.error and asdict(reply.error),
        "tool_calls": [tool.name for tool in reply.tool_calls],
        "builtin_tool_calls": list(reply.builtin_tool_calls),
        "text": reply.text,
    }


def _expected(item: Recorded) -> dict[str, Any]:
    expect = item.expect
    return {
        **expect,
        "error": expect["error"] or expect.get("error_in_200"),
        "tool_calls": expect["tool_calls"] or [],
        "builtin_tool_calls": expect["builtin_tool_calls"] or [],
    }


def _false(part: Reply, truth: Reply) -> list[str]:
    """The fields in which `part` claims what `truth` does not bear out."""
    wrong = [
        name
        for name in ("stream", "response_model", "response_id", "finish_reason", "cost_reported", "service_tier")
        if getattr(part, name) not in (None, getattr(truth, name))
    ]
    if not (truth.text or "").startswith(part.text or ""):
        wrong.append("text")
    if not _usage_holds(part.usage, truth.usage):
        wrong.append("usage")
    if not _error_holds(part.error, truth.error):
        wrong.append("error")
    if truth.builtin_tool_calls[: len(part.builtin_tool_calls)] != part.builtin_tool_calls:
        wrong.append("builtin_tool_calls")
    if len(part.tool_calls) > len(truth.tool_calls):
        wrong.append("tool_calls")
    for mine, true in zip(part.tool_calls, truth.tool_calls, strict=False):
        same = (mine.name, mine.id) == (true.name, true.id)
        if not same or not (true.arguments or "").startswith(mine.arguments or ""):
            wrong.append("tool_calls")
    return wrong


def _usage_holds(part: Usage | None, truth: Usage | None) -> bool:
    if part is None:
        return True
    return truth is not None and all(value in (None, getattr(truth, name)) for name, value in asdict(part).items())


def _error_holds(part: CallError | None, truth: CallError | None) -> bool:
    if part is None:
        return True
    return truth is not None and part.type in (None, truth.type) and part.message in (None, truth.message)
