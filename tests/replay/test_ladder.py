"""Which recorded call answers a request, and at which rung."""

from __future__ import annotations

from typing import Any

import pytest
from tests.replay.recorded import WS, asks, calls_tool, live, recorded, result, user

from sessiontap.exchange import Headers
from sessiontap.replay.question import Answer, LiveRequest, Miss, Rung
from sessiontap.replay.replayer import LadderReplayer, UnknownCallError, open_replayer

GET = {"method": "GET", "url": "https://api.anthropic.com/api/settings", "conversation": None, "operation": "other"}
"""An errand of a known agent."""


def answered(found: Answer | Miss) -> tuple[Rung, str]:
    assert isinstance(found, Answer), found
    return found.rung, found.reply.call


def missed(found: Answer | Miss) -> str:
    assert isinstance(found, Miss), found
    return found.reason


def talk(*, told: str = "text of a", lane: str = "", first: str = "Read a.txt", id: str = "call_1") -> list[Any]:
    """A conversation that reads a file and then says what it holds: its three requests."""
    begin = [user(f"{first}{lane}")]
    read = [*begin, calls_tool(id), result(id, told)]
    return [asks(*begin), asks(*read), asks(*read, {"role": "assistant", "content": "It says a."}, user("Thanks"))]


def recording(lane: str = "", *, start: int = 1, process: str = "p-1", id: str = "call_1") -> list[Any]:
    one, two, three = talk(lane=lane, id=id)
    names = [f"r{start + number}" for number in range(3)]
    same: Any = {"conversation": f"c{lane or 1}", "process": process}
    return [
        recorded(names[0], one, tool_calls=[id], **same),
        recorded(names[1], two, {"text": "It says a."}, parent=names[0], **same),
        recorded(names[2], three, parent=names[1], **same),
    ]


def test_the_same_requests_are_answered_exactly() -> None:
    replayer = open_replayer(recording())
    assert [answered(replayer.answer(live(one))) for one in talk()] == [
        ("exact", "r1"),
        ("exact", "r2"),
        ("exact", "r3"),
    ]
    assert replayer.report().is_clean


def test_a_result_that_is_another_one_is_found_by_its_tool_call() -> None:
    replayer = open_replayer(recording())
    one, two, three = talk(told="text of b")
    assert answered(replayer.answer(live(one))) == ("exact", "r1")
    found = replayer.answer(live(two))
    assert answered(found) == ("tools", "r2")
    assert isinstance(found, Answer)
    assert found.difference == ("message 3 (tool): “b” instead of “a”",)
    assert answered(replayer.answer(live(three))) == ("tools", "r3")


def test_a_turn_that_says_another_thing_is_found_by_its_place() -> None:
    paris = {"role": "assistant", "content": "Paris"}
    replayer = open_replayer([
        recorded("r1", asks(user("Name a town")), {"text": "Paris"}),
        recorded("r2", asks(user("Name a town"), paris, user("And a river")), parent="r1"),
    ])  # fmt: skip
    assert answered(replayer.answer(live(asks(user("Name a town"))))) == ("exact", "r1")
    found = replayer.answer(live(asks(user("Name a town"), paris, user("And a mountain"))))
    assert answered(found) == ("place", "r2")
    assert isinstance(found, Answer)
    assert found.difference == ("message 3 (user): “mountain” instead of “river”",)


def test_a_changed_prompt_is_answered_by_the_opening_that_is_most_like_it() -> None:
    replayer = open_replayer([
        recorded("r1", asks(user("Write a title for the talk")), conversation="c-1"),
        recorded("r2", asks(user("Say which file of the folder is the largest one")), conversation="c-2"),
    ])  # fmt: skip
    found = replayer.answer(live(asks(user("Say which file of the folder is the oldest one"))))
    assert answered(found) == ("place", "r2")
    assert isinstance(found, Answer)
    assert found.difference == ("message 1 (user): “oldest” instead of “largest”",)


@pytest.mark.parametrize(
    ("strict", "reached"),
    [
        ("place", ["exact", "tools", "tools"]),
        ("tools", ["exact", "tools", "tools"]),
        ("canonical", ["exact", None, None]),
        ("exact", ["exact", None, None]),
    ],
)
def test_no_rung_below_the_lowest_allowed_answers(strict: Rung, reached: list[Rung | None]) -> None:
    replayer = open_replayer(recording(), strict=strict)
    found = [replayer.answer(live(one)) for one in talk(told="text of b")]
    assert [one.rung if isinstance(one, Answer) else None for one in found] == reached


def test_a_miss_below_the_lowest_rung_says_what_differs() -> None:
    replayer = open_replayer(recording(), strict="exact")
    replayer.answer(live(talk()[0]))
    found = replayer.answer(live(talk(told="text of b")[1]))
    assert missed(found) == "Call r2 would answer it at the rung tools, and the lowest allowed is exact."
    assert isinstance(found, Miss)
    assert (found.nearest, found.difference) == ("r2", ("message 3 (tool): “b” instead of “a”",))


def test_a_request_that_was_answered_is_not_answered_again() -> None:
    replayer = open_replayer(recording())
    assert answered(replayer.answer(live(talk()[0]))) == ("exact", "r1")
    assert missed(replayer.answer(live(talk()[0]))) == "Call r1 asked the same, and has answered already."


def test_a_failure_and_its_retry_come_in_their_order() -> None:
    asked = asks(user("hello"))
    replayer = open_replayer([
        recorded("r2", asked, {"text": "hi"}, parent=None, kind="retry", time=2),
        recorded("r1", asked, {"error": {}}, status=429, outcome="http_error", time=1),
    ])  # fmt: skip
    assert [answered(replayer.answer(live(asked))) for _ in range(2)] == [("exact", "r1"), ("exact", "r2")]


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(recorded("r1", None, **GET), id="a request that only reads"),
        pytest.param(recorded("r1", None, url=GET["url"], operation="count_tokens"), id="a token count"),
        pytest.param(
            recorded("r1", None, url="https://api.anthropic.com/api/settings", conversation=None, operation="other",
                     agent="claude-code"),
            id="an errand",
        ),
    ],
)  # fmt: skip
def test_what_changes_nothing_is_answered_again(call: Any) -> None:
    replayer = open_replayer([call])
    asked = live(None, url=GET["url"], method=call.record["request"]["method"])
    assert [answered(replayer.answer(asked)) for _ in range(3)] == [("exact", "r1")] * 3
    assert [one.again for one in replayer.report().asked] == [False, True, True]


def test_an_errand_that_says_another_thing_gets_the_next_answer_or_the_last_again() -> None:
    same: Any = {
        "url": "https://api.anthropic.com/api/events",
        "conversation": None,
        "operation": "other",
        "agent": "claude-code",
    }
    replayer = open_replayer([recorded("r1", {"events": [1]}, **same), recorded("r2", {"events": [2]}, **same)])
    found = [answered(replayer.answer(live({"events": [n, "x"]}, url=same["url"]))) for n in (7, 8, 9)]
    assert found == [("place", "r1"), ("place", "r2"), ("place", "r2")]


def test_no_call_answers_a_request_to_another_path() -> None:
    replayer = open_replayer(recording())
    found = replayer.answer(live(talk()[0], url="https://api.openai.com/v1/responses"))
    assert missed(found) == "No call to POST api.openai.com/v1/responses was recorded."


@pytest.mark.parametrize(
    ("recorded_url", "url"),
    [
        (
            "https://h.example/v1/x?key=[redacted:key:0123456789]&alt=sse",
            "https://h.example/v1/x?key=AIza-real&alt=sse",
        ),
        ("http://127.0.0.1:4711/v1/x", "http://127.0.0.1:39001/v1/x"),
        ("https://h.example/v1/x?b=1&a=2", "https://h.example/v1/x?a=2&b=1"),
    ],
    ids=["a credential in the query", "a port of this machine", "parameters in another order"],
)
def test_an_address_is_the_same_without(recorded_url: str, url: str) -> None:
    replayer = open_replayer([recorded("r1", asks(user("hello")), url=recorded_url)])
    found = replayer.answer(live(asks(user("hello")), url=url))
    assert isinstance(found, Answer)
    assert found.rung in ("exact", "canonical")


def test_parallel_lanes_keep_their_own_replies_in_any_order() -> None:
    """Three agents of the same prompt, whose first messages are equal: only the ids of their tool calls differ."""
    calls = [call for n in range(3) for call in recording(start=1 + 3 * n, process=f"p-{n}", id=f"call_{n}")]
    for number, call in enumerate(calls):
        call.record["conversation"] = f"lane-{number // 3}"
    replayer = open_replayer(calls)
    lanes: dict[str, str] = {}
    for caller in ("x", "y", "z"):
        found = replayer.answer(live(talk()[0], caller=caller))
        assert isinstance(found, Answer)
        lanes[caller] = found.reply.call
    assert sorted(lanes.values()) == ["r1", "r4", "r7"]
    for caller in ("z", "x", "y"):
        first = int(lanes[caller][1:])
        _, two, three = talk(id=f"call_{first // 3}", told=f"what {caller} saw")
        assert answered(replayer.answer(live(two, caller=caller))) == ("tools", f"r{first + 1}")
        assert answered(replayer.answer(live(three, caller=caller))) == ("tools", f"r{first + 2}")


def test_results_of_parallel_tools_have_no_order() -> None:
    called = {
        "role": "assistant",
        "tool_calls": [*calls_tool("call_1")["tool_calls"], *calls_tool("call_2")["tool_calls"]],
    }
    before, one, two = user("Read both"), result("call_1", "1"), result("call_2", "2")
    replayer = open_replayer([
        recorded("r1", asks(before), tool_calls=["call_1", "call_2"]),
        recorded("r2", asks(before, called, one, two), parent="r1"),
    ])  # fmt: skip
    replayer.answer(live(asks(before)))
    assert answered(replayer.answer(live(asks(before, called, two, one)))) == ("tools", "r2")


def test_the_replay_ends_with_the_call_that_until_names() -> None:
    replayer = open_replayer(recording(), until="r2")
    assert [answered(replayer.answer(live(one))) for one in talk()[:2]] == [("exact", "r1"), ("exact", "r2")]
    assert missed(replayer.answer(live(talk()[2]))) == "The replay ends with call r2, and call r3 is a later one."
    assert not replayer.report().unasked


def test_until_must_name_a_recorded_call() -> None:
    with pytest.raises(UnknownCallError, match="r9"):
        open_replayer(recording(), until="r9")


def test_a_conversation_that_goes_on_longer_than_recorded_is_a_miss() -> None:
    replayer = open_replayer(recording()[:1])
    one, two, _ = talk()
    replayer.answer(live(one))
    found = replayer.answer(live(two))
    assert missed(found) == "It goes on from call r1, with which the recorded conversation ends."


def test_a_request_that_nothing_is_like_is_a_miss_with_the_nearest_call() -> None:
    replayer = open_replayer([recorded("r1", asks(user("Name a town")))])
    found = replayer.answer(live(asks({"role": "system", "content": "Be brief"}, user("Sum 1 and 2"))))
    assert missed(found).startswith("It opens a conversation, and no recorded one")
    assert isinstance(found, Miss)
    assert found.nearest == "r1"
    assert found.difference


def test_results_that_are_given_without_their_calls_lead_on_by_the_ids_of_these() -> None:
    """OpenAI's Assistants."""

    def outputs(**said: str) -> dict[str, Any]:
        return {"tool_outputs": [{"tool_call_id": id, "output": output} for id, output in said.items()]}

    run = {"url": "https://api.openai.com/v1/threads/thread_abc/runs/run_abc/submit_tool_outputs", "conversation": None}
    first, second = recorded("r1", outputs(call_a="21", call_b="x"), **run), recorded("r2", outputs(call_c="21"), **run)
    replayer = open_replayer([first, second], strict="tools")
    url = run["url"]
    assert answered(replayer.answer(live(outputs(call_c="24"), url=url))) == ("tools", "r2")
    found = replayer.answer(live(outputs(call_b="x", call_a="24"), url=url))
    assert answered(found) == ("tools", "r1")
    assert missed(replayer.answer(live(outputs(call_d="24"), url=url))) != ""


def turn(id: str, said: str, **more: Any) -> Any:
    asked = {"type": "response.create", "input": [user(said)]}
    return recorded(
        id, asked, b'{"type":"a"}\n{"type":"b"}\n', url=WS, method="GET", status=101, flags=["websocket"], **more
    )


def test_an_upgrade_is_accepted_if_turns_were_recorded_and_uses_none_up() -> None:
    replayer: LadderReplayer = open_replayer([turn("r1", "hello")])
    upgrade = live(None, url=WS, method="GET", headers=[("Upgrade", "websocket")])
    found = replayer.answer(upgrade)
    assert isinstance(found, Answer)
    assert (found.reply.status, found.reply.pieces) == (101, ())
    asked = live({"type": "response.create", "input": [user("hello")]}, url=WS, method="GET", socket="s-1")
    found = replayer.answer(asked)
    assert answered(found) == ("exact", "r1")
    assert isinstance(found, Answer)
    assert [one.data for one in found.reply.pieces] == [b'{"type":"a"}\n{"type":"b"}\n']


def test_an_upgrade_that_was_refused_is_refused() -> None:
    refused = recorded("r0", None, {"error": {}}, url=WS, method="GET", status=426, outcome="http_error")
    replayer = open_replayer([refused])
    found = replayer.answer(live(None, url=WS, method="GET", headers=[("Upgrade", "websocket")]))
    assert isinstance(found, Answer)
    assert (found.reply.call, found.reply.status) == ("r0", 426)


def test_nothing_that_a_request_holds_raises() -> None:
    replayer = open_replayer(recording())
    odd = LiveRequest(live(None).request, "x", None)
    object.__setattr__(odd.request, "headers", Headers())
    for body in (b"\xff\xfe", b"[" * 100_000, b'{"messages": 7}', b'{"messages": [1, null, [[]]]}', b"{}", b"null"):
        assert isinstance(replayer.answer(live(body)), Answer | Miss)
