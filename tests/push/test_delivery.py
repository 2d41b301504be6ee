"""How items are sent: in requests of what size, when again, and what is set aside. The clock is the test's own."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from tests.push.logs import ACCEPTED, ScriptedSender

from sessiontap.push import delivery
from sessiontap.push.delivery import Delivery, Journal, NotDelivered, Stopped
from sessiontap.push.target import Item, TargetAnswer

LATER, REFUSED, TOO_MUCH = TargetAnswer("later", "503"), TargetAnswer("refused", "400"), TargetAnswer("too_much", "413")


class Told:
    """What a delivery tells, and the pauses that it makes."""

    def __init__(
        self, sender: ScriptedSender, *, tries: int | None = None, most_pauses: int = 100, **more: object
    ) -> None:
        self.aside: list[tuple[str, str]] = []
        self.failed: list[tuple[str, float | None]] = []
        self.misconfigured: list[str] = []
        self.pauses: list[float] = []
        self.accepted = 0
        self._most = most_pauses
        journal = Journal(
            self._accepted,
            lambda item, why: self.aside.append((item.call, why)),
            lambda why, wait: self.failed.append((why, wait)),
            self.misconfigured.append,
        )
        self.delivery = Delivery(sender, journal, self._pause, tries=tries, chance=lambda: 1.0, **more)  # type: ignore[arg-type]

    def _accepted(self, items: int, size: int) -> None:
        self.accepted += items

    def _pause(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        return len(self.pauses) < self._most


def items(names: Iterable[str] | str, size: int = 100) -> list[Item]:
    return [Item(name, name, size) for name in names]


def test_requests_are_of_a_bounded_size_and_number_of_items() -> None:
    sender = ScriptedSender()
    sender.max_bytes, sender.max_items = 1000, 3
    Told(sender).delivery.send([*items("abcd"), *items("ef", 600), *items("g")])
    assert sender.requests == [["a", "b", "c"], ["d", "e"], ["f", "g"]]


def test_a_request_is_at_most_four_mebibytes_whatever_the_target_takes() -> None:
    sender = ScriptedSender()
    Told(sender).delivery.send(items("abc", 2 << 20))
    assert sender.requests == [["a", "b"], ["c"]]


def test_an_item_that_is_larger_than_the_target_takes_is_never_sent() -> None:
    sender = ScriptedSender()
    sender.max_bytes = 1000
    told = Told(sender)
    told.delivery.send([*items("a"), *items("b", 1001)])
    assert (sender.requests, told.aside) == (
        [["a"]],
        [("b", "its 1,001 bytes are more than the target takes in a request")],
    )


def test_a_target_that_is_down_is_asked_less_and_less_often() -> None:
    answers = iter([LATER] * 11 + [ACCEPTED])
    told = Told(ScriptedSender(lambda sent: next(answers)))
    told.delivery.send(items("a"))
    assert told.pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert told.accepted == 1


@pytest.mark.parametrize(("after", "pause"), [(None, 1.0), (0.0, 1.0), (7.5, 7.5), (3600.0, 3600.0)])
def test_it_waits_as_long_as_the_target_asks(after: float | None, pause: float) -> None:
    answers = iter([TargetAnswer("later", "429", after), ACCEPTED])
    told = Told(ScriptedSender(lambda sent: next(answers)))
    told.delivery.send(items("a"))
    assert told.pauses == [pause]


def test_after_its_tries_it_gives_up_and_sets_nothing_aside() -> None:
    told = Told(ScriptedSender(lambda sent: LATER), tries=3)
    with pytest.raises(NotDelivered, match="503"):
        told.delivery.send(items("ab"))
    assert (told.pauses, told.aside, told.failed[-1]) == ([1, 2], [], ("503", None))


def test_it_ends_while_it_waits() -> None:
    told = Told(ScriptedSender(lambda sent: LATER), most_pauses=2)
    with pytest.raises(Stopped):
        told.delivery.send(items("a"))


@pytest.mark.parametrize("answer", [REFUSED, TOO_MUCH], ids=["400", "413"])
def test_a_request_is_split_until_the_item_at_fault_stands_alone(answer: TargetAnswer) -> None:
    sender = ScriptedSender(lambda sent: answer if "f" in sent else ACCEPTED)
    told = Told(sender)
    told.delivery.send(items("abcdefgh"))
    assert sender.requests == [[*"abcdefgh"], [*"abcd"], [*"efgh"], [*"ef"], ["e"], ["f"], [*"gh"]]
    assert (sender.taken, told.aside) == ([*"abcdegh"], [("f", answer.reason)])


def test_what_is_too_much_once_is_not_sent_in_that_size_again() -> None:
    sender = ScriptedSender(lambda sent: TOO_MUCH if len(sent) > 2 else ACCEPTED)
    told = Told(sender)
    told.delivery.send(items("abcd", 200_000))
    told.delivery.send(items("efgh", 200_000))
    assert sender.requests == [[*"abcd"], [*"ab"], [*"cd"], [*"ef"], [*"gh"]]
    assert told.aside == []


def test_items_that_are_rejected_by_place_are_set_aside() -> None:
    sender = ScriptedSender(lambda sent: TargetAnswer("accepted", rejected={1: "no such id", 9: "?"}))
    told = Told(sender)
    told.delivery.send(items("abc"))
    assert (sender.taken, told.aside, told.accepted) == (["a", "c"], [("b", "no such id")], 2)


def test_a_target_that_takes_no_request_is_told_and_nothing_is_set_aside() -> None:
    told = Told(ScriptedSender(lambda sent: TargetAnswer("misconfigured", "401")), tries=4)
    with pytest.raises(NotDelivered) as caught:
        told.delivery.send(items("ab"))
    assert (caught.value.is_misconfigured, told.misconfigured, told.aside) == (True, ["401"], [])


def test_while_it_follows_it_tries_such_a_target_slowly() -> None:
    answers = iter([TargetAnswer("misconfigured", "401")] * 2 + [ACCEPTED])
    told = Told(ScriptedSender(lambda sent: next(answers)))
    told.delivery.send(items("a"))
    assert (told.pauses, told.accepted) == ([300, 300], 1)


def test_a_target_that_has_never_taken_anything_and_refuses_all_is_misconfigured() -> None:
    told = Told(ScriptedSender(lambda sent: REFUSED))
    with pytest.raises(NotDelivered, match="it refuses all that it gets: 400"):
        told.delivery.send(items("abcdefghijkl"))
    assert told.aside == []


def test_once_it_has_taken_something_what_it_refuses_is_set_aside() -> None:
    told = Told(ScriptedSender(lambda sent: REFUSED), has_delivered=True)
    told.delivery.send(items("abcdefghijkl"))
    assert len(told.aside) == 12


def test_a_few_refused_items_at_the_very_beginning_are_set_aside() -> None:
    told = Told(ScriptedSender(lambda sent: REFUSED))
    few = items("abcdefgh"[: delivery.ENOUGH_REFUSED - 1])
    told.delivery.send(few)
    assert len(told.aside) == len(few)


def test_an_item_that_its_sender_fails_on_is_set_aside() -> None:
    def fail(sent: list[str]) -> TargetAnswer:
        if "b" in sent:
            raise ValueError("secret")
        return ACCEPTED

    told = Told(ScriptedSender(fail))
    told.delivery.send(items("abc"))
    assert told.aside == [("b", "it could not be sent: ValueError")]
