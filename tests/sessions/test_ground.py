"""What two calls must share before their messages are compared."""

from __future__ import annotations

import pytest

from sessiontap.callers import Caller
from sessiontap.sessions.ground import Ground, ground_of
from sessiontap.sessions.ladder import Peer

CALLER = Caller(id="p-1", pid=1, started=1, name=None)
REMOTE = Peer("conn-1", "10.0.0.9")


def test_a_known_process_is_the_ground_whatever_the_session_is_called() -> None:
    one, other = (ground_of("openai-chat", CALLER, REMOTE, name) for name in ("day", "night"))
    assert one == other == Ground("process p-1", "openai-chat")


@pytest.mark.parametrize(
    ("peer", "process"),
    [
        pytest.param(REMOTE, "client 10.0.0.9", id="another machine"),
        pytest.param(Peer("conn-1", "127.0.0.1", "ci"), "client 127.0.0.1 ci", id="a proxy user"),
        pytest.param(Peer("conn-1", "127.0.0.1"), "connection conn-1", id="this machine, not found"),
    ],
)
def test_without_a_process_the_client_and_the_name(peer: Peer, process: str) -> None:
    assert ground_of("openai-chat", None, peer, "night") == Ground(process, "openai-chat", "night")


@pytest.mark.parametrize(
    ("other", "akin"),
    [
        pytest.param(Ground("p", "f"), True, id="the same"),
        pytest.param(Ground("p", "other"), True, id="another family"),
        pytest.param(Ground("q", "f"), False, id="another process"),
        pytest.param(Ground("q", "f", session="s"), True, id="another process of the same given session"),
        pytest.param(Ground("q", "f", session="t"), False, id="another session"),
    ],
)
def test_where_an_id_means_something(other: Ground, akin: bool) -> None:
    assert Ground("p", "f", session="s").akin(other) is akin


def test_two_unknown_sessions_are_not_the_same() -> None:
    assert not Ground("p", "f").akin(Ground("q", "f"))


def test_the_seed_is_of_process_name_and_family() -> None:
    grounds = [
        Ground("p", "f"),
        Ground("q", "f"),
        Ground("p", "g"),
        Ground("p", "f", "n"),
        Ground("pf", ""),
        Ground("", "pf"),
    ]
    assert len({ground.seed for ground in grounds}) == len(grounds)
    assert Ground("p", "f", session="s").seed == Ground("p", "f").seed


GIVEN = Ground("client 10.0.0.9 ada", "openai-chat", "Ada's diary", "the-session-of-ada")


def test_what_is_kept_of_a_ground_says_nothing_of_the_user() -> None:
    sealed = GIVEN.sealed(b"key")

    kept = repr([sealed.process, sealed.family, sealed.name, sealed.session])
    assert not [word for word in ("10.0.0.9", "ada", "Ada", "diary", "session") if word in kept]
    assert sealed.told == "the-session-of-ada"


def test_a_ground_can_not_be_guessed_without_the_key() -> None:
    assert GIVEN.sealed(b"key") == GIVEN.sealed(b"key")
    assert GIVEN.sealed(b"key").place != GIVEN.sealed(b"another").place
    assert GIVEN.sealed(b"key").seeds != GIVEN.sealed(b"another").seeds


@pytest.mark.parametrize("other", [Ground("q", "f", session="s"), Ground("p", "f"), Ground("q", "f")])
def test_sealed_grounds_are_akin_as_plain_ones_are(other: Ground) -> None:
    ground = Ground("p", "f", session="s")

    assert ground.sealed(b"key").akin(other.sealed(b"key")) is ground.akin(other)
