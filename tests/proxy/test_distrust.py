"""When a program counts as distrusting the proxy's certificate, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from sessiontap.proxy import distrust
from sessiontap.proxy.distrust import AT_ONCE, EXPIRES, LONGEST, Distrust, Failure, failure_of, fingerprint

OPENSSL = "OpenSSL Error([('SSL routines', '', '{}')])"
DISTRUST = "The client does not trust the proxy's certificate for api.openai.com (" + OPENSSL + ")"
MAYBE = "The client may not trust the proxy's certificate for api.openai.com (" + OPENSSL + ")"
CLOSED = (
    "The client disconnected during the handshake. If this happens consistently for api.openai.com, "
    "this may indicate that the client does not trust the proxy's certificate."
)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Desk:
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.distrust = Distrust(self.clock)

    def after(self, events: str, who: str = "app", host: str = "llm.example") -> list[str]:
        """`a`: an alert, `c`: a handshake that was closed, `o`: another failure, `t`: a connection came through, `u`:
        one was closed at once behind its handshake, unused, `s`: the same after a while; a number: minutes pass."""
        said: list[str] = []
        kinds: dict[str, Failure] = {"a": "certificate", "c": "closed", "o": "other"}
        for event in events.split():
            if event.isdigit():
                self.clock.now += 60 * int(event)
                continue
            began = self.distrust.begins(who, host)
            if event == "t":
                self.distrust.trusts(who, host)
                self.distrust.ends(who, host, began, None)
            elif event in "us":
                stood = 0.1 if event == "u" else AT_ONCE + 1
                self.clock.now += stood
                said.append(self.distrust.ends(who, host, began, stood))
            else:
                said.append(self.distrust.failed(who, host, kinds[event]))
                self.distrust.ends(who, host, began, None)
        return said

    def passes(self, who: str = "app", host: str = "llm.example") -> bool:
        return self.distrust.passes(who, host)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        pytest.param(DISTRUST.format("tlsv1 alert unknown ca"), "certificate", id="unknown ca"),
        pytest.param(DISTRUST.format("sslv3 alert bad certificate"), "certificate", id="bad certificate"),
        pytest.param(DISTRUST.format("ssl/tls alert certificate unknown"), "certificate", id="certificate unknown"),
        pytest.param(MAYBE.format("sslv3 alert certificate expired"), "certificate", id="certificate expired"),
        pytest.param(MAYBE.format("sslv3 alert unsupported certificate"), "certificate", id="unsupported certificate"),
        pytest.param(MAYBE.format("tlsv1 alert internal error"), "other", id="another alert"),
        pytest.param(MAYBE.format("no shared cipher"), "other", id="no shared cipher"),
        pytest.param(CLOSED, "closed", id="closed"),
        pytest.param("connection closed early", "closed", id="closed at once"),
        pytest.param(None, "closed", id="no word"),
    ],
)
def test_only_an_alert_about_the_certificate_counts(error: str | None, failure: Failure) -> None:
    assert failure_of(error) == failure


@pytest.mark.parametrize(
    ("events", "passes"),
    [
        pytest.param("", False, id="nothing yet"),
        pytest.param("a", True, id="an alert"),
        pytest.param("t a", False, id="an alert of a program that came through"),
        pytest.param("t a a", True, id="two of them"),
        pytest.param("t a t a", False, id="another that came through between them"),
        pytest.param("t 11 a", True, id="an alert long after it came through"),
        pytest.param("a t", False, id="one that came through after it"),
        pytest.param("c c c c c c", False, id="closed handshakes alone"),
        pytest.param("o o o", False, id="other failures"),
        pytest.param("u", False, id="one that was not used"),
        pytest.param("u u", True, id="two that were not used"),
        pytest.param("u t u", False, id="one that came through between them"),
        pytest.param("t u u u u", False, id="spare ones of a program that came through"),
        pytest.param("s s s s", False, id="spare ones that were kept for a while"),
        pytest.param("u s u", True, id="a spare one between two that were not used"),
        pytest.param("u 11 u", False, id="two that are far apart"),
        pytest.param("u a", True, id="one that was not used, and an alert"),
        pytest.param("c u u u c u u", False, id="calls that are cancelled at any time"),
        pytest.param("c u u u u", True, id="many that were not used behind a closed handshake"),
        pytest.param("c 11 u u", True, id="two that were not used long after a closed handshake"),
        pytest.param("c a", True, id="an alert behind a closed handshake"),
        pytest.param("a 9", True, id="for a while"),
        pytest.param("a 10", False, id="then it expires"),
        pytest.param("a 10 u", True, id="after that one refusal is enough"),
        pytest.param("a 10 a 19", True, id="and counts for twice as long"),
        pytest.param("a 10 a 20", False, id="which expires as well"),
        pytest.param("a 10 t a", False, id="unless one came through"),
    ],
)
def test_what_passes(events: str, passes: bool) -> None:
    desk = Desk()
    desk.after(events)
    assert desk.passes() is passes


@pytest.mark.parametrize("ends", ["the older first", "the newer first"])
def test_spare_connections_that_are_open_beside_each_other_say_nothing(ends: str) -> None:
    """As a pool opens them, or a browser that races two: none came through, and all are closed at once."""
    desk = Desk()
    for _ in range(5):
        older = desk.distrust.begins("app", "llm.example")
        desk.clock.now += 0.1
        newer = desk.distrust.begins("app", "llm.example")
        order = (older, newer) if ends == "the older first" else (newer, older)
        assert [desk.distrust.ends("app", "llm.example", began, 0.1) for began in order] == ["nothing"] * 2
    assert not desk.passes()


def test_spare_connections_beside_one_that_is_used_say_nothing() -> None:
    desk = Desk()
    used = desk.distrust.begins("app", "llm.example")
    desk.after("u u u")
    desk.distrust.trusts("app", "llm.example")
    desk.distrust.ends("app", "llm.example", used, None)
    assert not desk.passes()


def test_it_never_passes_for_longer_than_a_day() -> None:
    desk = Desk()
    desk.after("a")
    for _ in range(20):
        desk.clock.now += LONGEST
        assert not desk.passes()
        desk.after("a")
        desk.clock.now += EXPIRES / 2
        assert desk.passes()
        desk.clock.now += LONGEST


@pytest.mark.parametrize(
    ("events", "said"),
    [
        pytest.param("a a", ["distrusts", "distrusts"], id="alerts"),
        pytest.param("t a a", ["suspect", "distrusts"], id="alerts of a program that came through"),
        pytest.param("u u", ["suspect", "distrusts"], id="two that were not used"),
        pytest.param("t u u", ["nothing", "nothing"], id="spare ones"),
        pytest.param("c c c c", ["nothing", "nothing", "closes", "nothing"], id="closed handshakes, told of once"),
        pytest.param("c c t c", ["nothing", "nothing", "nothing"], id="closed ones between some that came through"),
        pytest.param("o a o", ["nothing", "distrusts", "nothing"], id="others"),
    ],
)
def test_what_is_said(events: str, said: list[str]) -> None:
    assert Desk().after(events) == said


def test_one_program_is_not_another_nor_one_host_another() -> None:
    desk = Desk()
    desk.after("u u")
    desk.after("u", who="other")
    desk.after("u", host="other.example")
    assert [desk.passes(), desk.passes(who="other"), desk.passes(host="other.example")] == [True, False, False]


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distrust, "MOST", 2)
    desk = Desk()
    for who in ("first", "second", "third"):
        desk.after("a", who=who)
    assert [desk.passes(who) for who in ("first", "second", "third")] == [False, True, True]


GREASE = (0x1A1A, 0xFAFA)
HELLO = ([4865, 4866], [0, 16, 43], [b"h2", b"http/1.1"])


@pytest.mark.parametrize(
    ("hello", "same"),
    [
        pytest.param(HELLO, True, id="again"),
        pytest.param(([4866, 4865], [43, 16, 0], [b"http/1.1", b"h2"]), True, id="in another order"),
        pytest.param(([*GREASE, 4865, 4866], [0, *GREASE, 16, 43], HELLO[2]), True, id="with values by lot"),
        pytest.param(([4865], *HELLO[1:]), False, id="other ciphers"),
        pytest.param((HELLO[0], [0, 16, 43, 51], HELLO[2]), False, id="other extensions"),
        pytest.param((*HELLO[:2], [b"http/1.1"]), False, id="other protocols"),
    ],
)
def test_programs_behind_one_address_are_told_by_their_tls(
    hello: tuple[list[int], list[int], list[bytes]], same: bool
) -> None:
    assert (fingerprint(*hello) == fingerprint(*HELLO)) is same
