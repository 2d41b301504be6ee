"""A `Replayer` of fixed answers, for tests of what serves a replay."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sessiontap.exchange import Headers
from sessiontap.replay.question import Answer, Ending, LiveRequest, Miss, Piece, RecordedReply

Chooses = Callable[[LiveRequest], Answer | Miss]


class FixedReplayer:
    """Gives each request what `choose` says; `asked` keeps them."""

    def __init__(self, choose: Chooses) -> None:
        self.asked: list[LiveRequest] = []
        self._choose = choose

    def answer(self, live: LiveRequest) -> Answer | Miss:
        self.asked.append(live)
        return self._choose(live)


def recorded(
    *pieces: bytes,
    status: int = 200,
    headers: Sequence[tuple[str, str]] = (("content-type", "application/json"),),
    ending: Ending = "whole",
    delay: int = 0,
) -> Answer:
    """An exact answer whose pieces came `delay` nanoseconds apart."""
    made = tuple(Piece(delay, one) for one in pieces)
    return Answer("exact", RecordedReply("01a2", status, Headers(headers), made, ending))
