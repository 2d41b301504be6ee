"""The recorded exchanges, replayed to themselves, and as another run of the same program would ask them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from tests.llm.llm_corpus import Recorded, needs_corpus
from tests.llm.llm_corpus import recorded as exchanges
from tests.replay.recorded import recorded

from sessiontap.replay.question import Answer, LiveRequest
from sessiontap.replay.replayer import open_replayer
from sessiontap.trace import RecordedCall

pytestmark = needs_corpus


def _recorded(number: int, item: Recorded) -> RecordedCall:
    call = item.call()
    response = item.response()
    conversation = item.expect.get("conversation")
    return recorded(
        f"call-{number}",
        item.request.body,
        response.body,
        url=item.request.url,
        method=item.request.method,
        conversation=f"{item.id.rpartition('#')[0]} {number if conversation is None else conversation}",
        status=item.response_status,
        headers=response.headers.fields,
        more={"llm": {"family": call.endpoint.family, "operation": call.endpoint.operation}},
    )


@cache
def _calls() -> tuple[RecordedCall, ...]:
    return tuple(_recorded(number, item) for number, item in enumerate(exchanges()))


def test_every_exchange_is_answered_exactly_with_its_own_reply() -> None:
    replayer = open_replayer(_calls())
    wrong: dict[str, Any] = {}
    for item in exchanges():
        found = replayer.answer(LiveRequest(item.request))
        assert isinstance(found, Answer), item.id
        reply = found.reply.status, b"".join(one.data for one in found.reply.pieces)
        if found.rung != "exact" or reply != (item.response_status, item.response().body):
            wrong[item.id] = found
    assert wrong == {}
    assert replayer.report().is_clean


def _misanswered(mutations: Callable[[int], Sequence[str]]) -> dict[Any, Any]:
    """The exchanges that their canonical form does not find, by the mutations that were made of the request.

    One may turn into the very request of another exchange.
    """
    wrong: dict[Any, Any] = {}
    replayer = open_replayer(_calls())
    known = {item.request.body for item in exchanges()}
    for number, item in enumerate(exchanges()):
        body = item.request.body
        for name in mutations(number):
            body = MUTATIONS[name](body)
        found = replayer.answer(LiveRequest(replace(item.request, body=body)))
        allowed = ("canonical", "exact") if body in known else ("canonical",)
        if not isinstance(found, Answer) or found.rung not in allowed:
            wrong[mutations(number), item.id] = found
    return wrong


def _in_json(change: Any) -> Any:
    """Change a body that is JSON; others stay as they are."""

    def changed(body: bytes | None) -> bytes | None:
        try:
            value = json.loads(body or b"")
        except ValueError:
            return body
        return json.dumps(change(value)).encode() if isinstance(value, dict) else body

    return changed


def _reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _reordered(inner) for key, inner in reversed(value.items())}
    return [_reordered(one) for one in value] if isinstance(value, list) else value


def _with_ids(value: Any) -> Any:
    """Another run's ids, and the labels of its caller."""
    said = json.dumps(value)
    for number, id in enumerate(dict.fromkeys(_IDS.findall(said))):
        said = said.replace(id, f"{id.partition('_')[0]}_{number:024d}")
    if not {"messages", "contents", "input", "prompt"} & value.keys():
        return json.loads(said)
    return json.loads(said) | {"metadata": {"user_id": "another"}, "user": "another", "prompt_cache_key": "another"}


_IDS = re.compile(r"(?:toolu|call)_[0-9A-Za-z_]{12,}")
_DATES = re.compile(r"(?<![\w-])20\d\d-\d\d-\d\d(?![\w-])")


def _with_cache_marks(value: Any) -> Any:
    for message in value.get("messages") or ():
        if isinstance(message, dict) and isinstance(message.get("content"), str) and message["content"]:
            said = {"type": "text", "text": message["content"], "cache_control": {"type": "ephemeral"}}
            message["content"] = [said]
    return value


def _with_reminders(value: Any) -> Any:
    for message in value.get("messages") or ():
        if isinstance(message, dict) and message.get("role") == "user" and isinstance(message.get("content"), str):
            message["content"] = f"{message['content'].strip()}\n<system-reminder>The list is empty.</system-reminder>"
    return value


def _with_dates(body: bytes | None) -> bytes | None:
    return _DATES.sub("2031-01-02", body.decode()).encode() if body and body.isascii() else body


MUTATIONS: dict[str, Callable[[bytes | None], bytes | None]] = {
    "keys in another order": _in_json(_reordered),
    "other ids": _in_json(_with_ids),
    "marks for the cache": _in_json(_with_cache_marks),
    "reminders": _in_json(_with_reminders),
    "other dates": _with_dates,
}


def test_every_exchange_of_another_run_is_found_by_its_canonical_form() -> None:
    names = tuple(MUTATIONS)
    assert _misanswered(lambda number: (names[number % len(names)],)) == {}


def test_every_exchange_is_found_whatever_differs_at_once() -> None:
    assert _misanswered(lambda number: tuple(MUTATIONS)) == {}


_RESULTS = ("tool_result", "function_call_output", "toolResult", "functionResponse", "function_response")


def _with_other_results(value: Any, within: bool = False) -> Any:
    """The same tools called, and another result of each."""
    if isinstance(value, dict):
        result = within or value.get("role") in ("tool", "function") or value.get("type") in _RESULTS
        said = ("content", "output", "text", "result", "temperature")
        return {
            key: _with_other_results(
                f"{inner} and more" if result and key in said and isinstance(inner, str) else inner,
                result or key in _RESULTS,
            )
            for key, inner in value.items()
        }
    return [_with_other_results(one, within) for one in value] if isinstance(value, list) else value


def test_every_exchange_with_other_results_of_tools_is_found_by_its_tool_calls() -> None:
    replayer = open_replayer(_calls())
    changed = 0
    wrong: dict[str, Any] = {}
    for item in exchanges():
        body = _in_json(_with_other_results)(item.request.body)
        if body == item.request.body or item.expect["family"] in (None, "other"):
            continue
        if json.loads(body or b"0") == json.loads(item.request.body or b"0"):
            continue
        changed += 1
        found = replayer.answer(LiveRequest(replace(item.request, body=body)))
        if not isinstance(found, Answer) or found.rung != "tools" or not found.difference:
            wrong[item.id] = found
    assert wrong == {}
    assert changed > 80
