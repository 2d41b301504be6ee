"""Conversations that somebody declares, by what a request says."""

from __future__ import annotations

import pytest

from sessiontap.llm.call import Agent, Asked, Call, Endpoint
from sessiontap.llm.history import History
from sessiontap.sessions.declared import Declaration, declaration_of

ENDPOINT = Endpoint("openai", "openai-responses", "chat", "/v1/responses")


def declared(agent: Agent | None = None, conversation: str | None = None) -> Declaration | None:
    return declaration_of(Call(ENDPOINT, Asked(), agent), History(declared=conversation))


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        pytest.param(Agent("a", "s"), Declaration("a s", "a s", distinct=False), id="a session that may hold several"),
        pytest.param(Agent("a", "s", "s"), Declaration("a s", "a s"), id="the main thread, named as the session"),
        pytest.param(Agent("a", "s", "t"), Declaration("a s t", "a s"), id="a thread"),
        pytest.param(Agent("a", "s", "t", "p", "x"), Declaration("a s t", "a s", "a s p", "x"), id="a sub-agent's"),
        pytest.param(Agent("a", "s", "t", "s", "x"), Declaration("a s t", "a s", "a s", "x"), id="of the main thread"),
        pytest.param(Agent("a", "s", "t", None, "x"), Declaration("a s t", "a s", "a s", "x"), id="parent unsaid"),
        pytest.param(Agent("a", "s", "t", "t"), Declaration("a s t", "a s"), id="its own parent"),
        pytest.param(Agent("a", None, "t"), Declaration("a t", "a t"), id="a thread without a session"),
        pytest.param(Agent("a"), None, id="a client that says nothing"),
        pytest.param(None, None, id="no client"),
    ],
)
def test_a_known_clients(agent: Agent | None, expected: Declaration | None) -> None:
    assert declared(agent) == expected


def test_the_servers_own() -> None:
    assert declared(None, "conv_1") == Declaration("openai conv_1", "openai conv_1", on_server=True)


def test_a_clients_thread_comes_before_the_servers() -> None:
    assert declared(Agent("a", "s", "t"), "conv_1") == declared(Agent("a", "s", "t"))


def test_ids_need_no_memory() -> None:
    one, other = declared(Agent("a", "s", "t")), declared(Agent("a", "s", "u"))
    assert one is not None
    assert other is not None
    assert one.conversation != other.conversation
    assert one.root == other.root
    main = declared(Agent("a", "s"))
    assert main is not None
    assert main.conversation == main.root == one.root
