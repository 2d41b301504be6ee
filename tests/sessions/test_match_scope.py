"""What two calls must share before their messages are compared."""

from __future__ import annotations

import pytest

from sessiontap.callers import Caller
from sessiontap.sessions.id_sources import ClientConnection
from sessiontap.sessions.match_scope import MatchScope, match_scope_of

CALLER = Caller(id="p-1", pid=1, started=1, name=None)
REMOTE = ClientConnection("conn-1", "10.0.0.9")


def test_a_known_process_is_the_scope_whatever_the_session_is_called() -> None:
    one, other = (match_scope_of("openai-chat", CALLER, REMOTE, name) for name in ("day", "night"))
    assert one == other == MatchScope("process p-1", "openai-chat")


@pytest.mark.parametrize(
    ("connection", "process"),
    [
        pytest.param(REMOTE, "client 10.0.0.9", id="another machine"),
        pytest.param(ClientConnection("conn-1", "127.0.0.1", "ci"), "client 127.0.0.1 ci", id="a proxy user"),
        pytest.param(ClientConnection("conn-1", "127.0.0.1"), "connection conn-1", id="this machine, not found"),
    ],
)
def test_without_a_process_the_client_and_the_name(connection: ClientConnection, process: str) -> None:
    assert match_scope_of("openai-chat", None, connection, "night") == MatchScope(process, "openai-chat", "night")


@pytest.mark.parametrize(
    ("other", "shared"),
    [
        pytest.param(MatchScope("p", "f"), True, id="the same"),
        pytest.param(MatchScope("p", "other"), True, id="another family"),
        pytest.param(MatchScope("q", "f"), False, id="another process"),
        pytest.param(MatchScope("q", "f", session="s"), True, id="another process of the same given session"),
        pytest.param(MatchScope("q", "f", session="t"), False, id="another session"),
    ],
)
def test_where_an_id_means_something(other: MatchScope, shared: bool) -> None:
    assert MatchScope("p", "f", session="s").shares_ids_with(other) is shared


def test_two_unknown_sessions_are_not_the_same() -> None:
    assert not MatchScope("p", "f").shares_ids_with(MatchScope("q", "f"))


def test_the_key_prefix_is_of_process_name_and_family() -> None:
    scopes = [
        MatchScope("p", "f"),
        MatchScope("q", "f"),
        MatchScope("p", "g"),
        MatchScope("p", "f", "n"),
        MatchScope("pf", ""),
        MatchScope("", "pf"),
    ]
    assert len({scope.key_prefix for scope in scopes}) == len(scopes)
    assert MatchScope("p", "f", session="s").key_prefix == MatchScope("p", "f").key_prefix


GIVEN = MatchScope("client 10.0.0.9 ada", "openai-chat", "Ada's diary", "the-session-of-ada")


def test_what_is_kept_of_a_scope_says_nothing_of_the_user() -> None:
    digested = GIVEN.pseudonymized(b"key")

    kept = repr([digested.process, digested.family, digested.name, digested.session])
    assert not [word for word in ("10.0.0.9", "ada", "Ada", "diary", "session") if word in kept]
    assert digested.given_session == "the-session-of-ada"


def test_a_scope_can_not_be_guessed_without_the_key() -> None:
    assert GIVEN.pseudonymized(b"key") == GIVEN.pseudonymized(b"key")
    assert GIVEN.pseudonymized(b"key").origin != GIVEN.pseudonymized(b"another").origin
    assert GIVEN.pseudonymized(b"key").key_prefixes != GIVEN.pseudonymized(b"another").key_prefixes


@pytest.mark.parametrize("other", [MatchScope("q", "f", session="s"), MatchScope("p", "f"), MatchScope("q", "f")])
def test_digested_scopes_share_ids_as_plain_ones_do(other: MatchScope) -> None:
    scope = MatchScope("p", "f", session="s")

    assert scope.pseudonymized(b"key").shares_ids_with(other.pseudonymized(b"key")) is scope.shares_ids_with(other)
