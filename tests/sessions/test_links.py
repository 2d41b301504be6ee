"""A call hangs on an earlier one only where that is certain."""

from __future__ import annotations

import pytest

from sessiontap.callers import Caller
from sessiontap.llm.call import Asked
from sessiontap.sessions import Link, Links, Session, scope_of

HERE = ("session s-1", "process p-1")
NONE = Link()


def noted(*replies: tuple[str, str | None, tuple[str, ...]], scope: tuple[str, ...] = HERE) -> Links:
    links = Links()
    for call, response, tools in replies:
        links.note_reply(scope, call, None, response, tools)
    return links


@pytest.mark.parametrize(
    ("asked", "parent"),
    [
        pytest.param(Asked(previous=("resp_abc",)), "call-1", id="the reply, named outright"),
        pytest.param(Asked(answered=("toolu_01abcx",)), "call-2", id="a tool call's result"),
        pytest.param(Asked(answered=("toolu_01abcx", "call_1Fq8")), "call-2", id="the newest result"),
        pytest.param(Asked(answered=("unheard-of", "toolu_01abcx")), None, id="the newest result is not known"),
        pytest.param(Asked(previous=("resp_unheard",), answered=("toolu_01abcx",)), "call-2", id="an unknown reply"),
        pytest.param(Asked(previous=("resp_abc",), answered=("toolu_01abcx",)), "call-1", id="the reply before tools"),
        pytest.param(Asked(previous=("toolu_01abcx",)), None, id="a tool call is no reply"),
        pytest.param(Asked(), None, id="nothing named: never merely the last call"),
    ],
)
def test_links(asked: Asked, parent: str | None) -> None:
    links = noted(("call-1", "resp_abc", ("call_1Fq8",)), ("call-2", "resp_def", ("toolu_01abcx",)))
    found = links.link(HERE, asked)
    assert (found.parent, found.evidence) == (parent, "exact" if parent else None)


@pytest.mark.parametrize(
    ("scope", "parent"),
    [
        pytest.param(("session s-1",), "call-1", id="same session, another process"),
        pytest.param(("session s-2", "process p-1"), "call-1", id="same process, another session"),
        pytest.param(("session s-2", "process p-2"), None, id="neither"),
    ],
)
def test_ids_mean_something_only_in_their_scope(scope: tuple[str, ...], parent: str | None) -> None:
    assert noted(("call-1", "resp_abc", ())).link(scope, Asked(previous=("resp_abc",))).parent == parent


def test_an_id_that_two_replies_issued_says_nothing() -> None:
    links = noted(("call-1", "chatcmpl-abc", ()), ("call-2", "chatcmpl-abc", ()))
    assert links.link(HERE, Asked(previous=("chatcmpl-abc",))) == NONE


def test_the_same_id_in_two_scopes_is_two_ids() -> None:
    links = Links()
    links.note_reply(("session a",), "call-a", None, "chatcmpl-abc")
    links.note_reply(("session b",), "call-b", None, "chatcmpl-abc")
    assert links.link(("session a",), Asked(previous=("chatcmpl-abc",))).parent == "call-a"
    assert links.link(("session b",), Asked(previous=("chatcmpl-abc",))).parent == "call-b"


def test_an_id_that_many_issued_is_nobodys_for_good() -> None:
    links = Links()
    for n in range(20):
        links.note_reply((f"session {n}",), f"call-{n}", None, "chatcmpl-abc")
    assert [links.link((f"session {n}",), Asked(previous=("chatcmpl-abc",))) for n in (0, 19)] == [NONE, NONE]


def test_a_reply_noted_twice_is_one() -> None:
    links = noted(("call-1", "resp_abc", ()), ("call-1", "resp_abc", ()))
    assert links.link(HERE, Asked(previous=("resp_abc",))).parent == "call-1"


@pytest.mark.parametrize("id", ["call_0", "call_12", "0", "tool3", "functions.search:3", "chatcmpl-123", ""])
def test_ids_that_servers_count_anew_are_not_kept(id: str) -> None:
    links = noted(("call-1", id, (id,)))
    assert len(links) == 0
    assert links.link(HERE, Asked(previous=(id,), answered=(id,))) == NONE


@pytest.mark.parametrize(
    "id",
    ["call_abCDefGHijKLmnOPqrSTuv12", "toolu_01A09q90qw90lq917835lq9", "D681PevKs", "fc_67ca09c5efe0819096d0511c92b8"],
)
def test_ids_of_the_usual_shapes_are(id: str) -> None:
    assert noted(("call-1", None, (id,))).link(HERE, Asked(answered=(id,))).parent == "call-1"


@pytest.mark.parametrize(("trace", "expected"), [("trace-7", "trace-7"), (None, "call-1")], ids=["server's", "ours"])
def test_the_parents_trace_is_as_its_server_named_it(trace: str | None, expected: str) -> None:
    links = Links()
    links.note_reply(HERE, "call-1", trace, "resp_abc", conversation="conv-1")
    assert links.link(HERE, Asked(previous=("resp_abc",))) == Link("conv-1", "call-1", "exact", expected)


def test_memory_is_bounded() -> None:
    links = Links(max_ids=3)
    for n in range(10):
        links.note_reply(HERE, f"call-{n}", None, f"resp_{n}x")
    assert len(links) == 3
    assert links.link(HERE, Asked(previous=("resp_0x",))) == NONE
    assert links.link(HERE, Asked(previous=("resp_9x",))).parent == "call-9"


def test_the_scope_of_a_call() -> None:
    session = Session("s-1", "n", 0, "process")
    assert scope_of(session, Caller(id="p-1", pid=1, started=1, name=None)) == HERE
    assert scope_of(session, None) == ("session s-1",)
