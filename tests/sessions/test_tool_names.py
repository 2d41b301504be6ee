"""The names of the tools whose results a request holds without their calls."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sessions.talk import Talk, read

from sessiontap.sessions.match_scope import MatchScope

RESPONSES = MatchScope("process 1", "openai-responses", session="s-1")


def gave(*ids: str) -> list[dict[str, Any]]:
    return [{"type": "function_call_output", "call_id": id, "output": "done"} for id in ids]


def named(talk: Talk, body: dict[str, Any], scope: MatchScope = RESPONSES) -> tuple[str | None, ...]:
    """The names of the results, in order, as far as they are known."""
    asked = talk.conversations.with_tool_names(scope, read(body, "/v1/responses").asked)
    assert [name for _, name in asked.results if name] == list(asked.tool_results)
    return tuple(name for _, name in asked.results)


def talked(*tools: tuple[str, str]) -> Talk:
    """One call whose reply asks for tools, given as (id, name)."""
    talk = Talk(scope=RESPONSES, path="/v1/responses")
    asked = tuple((id, name, {}) for id, name in tools)
    talk.turn("first", {"input": "Look."}, tools=asked, response_id="resp_XyZw9Qq")
    return talk


@pytest.mark.parametrize(
    ("issued", "given", "previous", "names"),
    [
        pytest.param(("call_aBcD1eF",), ("call_aBcD1eF",), "resp_XyZw9Qq", ("look",), id="of the reply that is named"),
        pytest.param(("call_aBcD1eF",), ("call_aBcD1eF",), None, ("look",), id="by its id alone"),
        pytest.param(("call_aBcD1eF",), ("call_XyZw9Qq",), "resp_XyZw9Qq", (None,), id="nobody's"),
        pytest.param(("call_0",), ("call_0",), "resp_XyZw9Qq", ("look",), id="a counted id of the reply that is named"),
        pytest.param(("call_0",), ("call_0",), None, (None,), id="a counted id alone"),
        pytest.param(
            ("call_aBcD1eF", "call_XyZw9Qq"),
            ("call_XyZw9Qq", "call_none1x", "call_aBcD1eF"),
            "resp_XyZw9Qq",
            ("find", None, "look"),
            id="in the order of the results",
        ),
    ],
)
@pytest.mark.parametrize("restarted", [False, True], ids=["", "after a restart"])
def test_named_by_the_reply_that_asked(
    issued: tuple[str, ...],
    given: tuple[str, ...],
    previous: str | None,
    names: tuple[str | None, ...],
    restarted: bool,
) -> None:
    talk = talked(*zip(issued, ("look", "find"), strict=False))
    talk = talk.restarted() if restarted else talk
    assert named(talk, {"input": gave(*given), "previous_response_id": previous}) == names


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        pytest.param(MatchScope("process 1", "openai-responses", "another name"), ("look",), id="whatever its name"),
        pytest.param(MatchScope("process 2", "openai-responses", session="s-1"), ("look",), id="of the same session"),
        pytest.param(MatchScope("process 2", "openai-responses"), (None,), id="another process"),
    ],
)
def test_where_an_id_is_believed(scope: MatchScope, names: tuple[str | None, ...]) -> None:
    assert named(talked(("call_aBcD1eF", "look")), {"input": gave("call_aBcD1eF")}, scope) == names


def test_what_the_request_names_is_left_alone() -> None:
    call = {"type": "function_call", "call_id": "call_aBcD1eF", "name": "mine", "arguments": "{}"}
    asked = read({"input": [call, *gave("call_aBcD1eF")]}, "/v1/responses").asked
    assert talked(("call_aBcD1eF", "look")).conversations.with_tool_names(RESPONSES, asked).tool_results == ("mine",)
