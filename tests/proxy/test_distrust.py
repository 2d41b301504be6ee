"""When a program counts as distrusting the proxy's certificate, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from sessiontap.proxy import distrust
from sessiontap.proxy.distrust import EXPIRES, LONGEST, Distrust, Failure, failure_of, fingerprint

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
        """`a`: an alert, `c`: closed, `o`: another failure, `t`: a request came through; a number: minutes pass."""
        said: list[str] = []
        kinds: dict[str, Failure] = {"a": "certificate", "c": "closed", "o": "other"}
        for event in events.split():
            if event == "t":
                self.distrust.trusts(who, host)
            elif event.isdigit():
                self.clock.now += 60 * int(event)
            else:
                said.append(self.distrust.failed(who, host, kinds[event]))
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
        pytest.param("a", False, id="one alert"),
        pytest.param("a a", True, id="two in a row"),
        pytest.param("a t a", False, id="a request came through between them"),
        pytest.param("a a t", False, id="a request came through after them"),
        pytest.param("a c a", True, id="a closed handshake between them says nothing"),
        pytest.param("a 11 a", False, id="two that are far apart"),
        pytest.param("c c c c c c", False, id="closed handshakes alone"),
        pytest.param("o o o", False, id="other failures"),
        pytest.param("a a 9", True, id="for a while"),
        pytest.param("a a 10", False, id="then it expires"),
        pytest.param("a a 10 a", True, id="after that one alert is enough"),
        pytest.param("a a 10 a 19", True, id="and counts for twice as long"),
        pytest.param("a a 10 a 20", False, id="which expires as well"),
        pytest.param("a a 10 t a", False, id="unless a request came through"),
    ],
)
def test_what_passes(events: str, passes: bool) -> None:
    desk = Desk()
    desk.after(events)
    assert desk.passes() is passes


def test_it_never_passes_for_longer_than_a_day() -> None:
    desk = Desk()
    desk.after("a a")
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
        pytest.param("a a", ["suspect", "distrusts"], id="alerts"),
        pytest.param("c c c c", ["nothing", "nothing", "closes", "nothing"], id="closed handshakes, told of once"),
        pytest.param("c c t c", ["nothing", "nothing", "nothing"], id="closed ones between requests that came through"),
        pytest.param("o a o", ["nothing", "suspect", "nothing"], id="others"),
    ],
)
def test_what_is_said(events: str, said: list[str]) -> None:
    assert Desk().after(events) == said


def test_one_program_is_not_another_nor_one_host_another() -> None:
    desk = Desk()
    desk.after("a a")
    desk.after("a", who="other")
    desk.after("a", host="other.example")
    assert [desk.passes(), desk.passes(who="other"), desk.passes(host="other.example")] == [True, False, False]


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distrust, "MOST", 2)
    desk = Desk()
    for who in ("first", "second", "third"):
        desk.after("a a", who=who)
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
