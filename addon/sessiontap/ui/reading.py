"""The sources that a page may ask: the log, prices, what the proxies and the rules say."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sessiontap.trace import BodyError, TraceError
from sessiontap.trace.folders import logs_in
from sessiontap.trace.index.records import BilledCalls
from sessiontap.trace.index.turns import BodiesRead, session_of
from sessiontap.ui.errors import BadParameter, NotFound

if TYPE_CHECKING:
    from sessiontap.analysis.part_costs import InputTerms
    from sessiontap.trace import Trace
    from sessiontap.trace.index.answers import Sort
    from sessiontap.trace.index.costs import Prices
    from sessiontap.trace.index.filters import Filters
    from sessiontap.trace.index.turns import Turn

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """The log as one request sees it. A request has it alone while it is answered."""

    trace: Trace
    prices: Prices | None = None
    """The costs of calls; without them costs are unknown."""
    terms_of_call: Callable[[Record], InputTerms] | None = None
    """The terms on which the input of a call's record was taken."""
    findings: Callable[[], list[dict[str, Any]]] = list
    """The findings of `sessiontap doctor`, as its `--json` gives them."""
    rules: Callable[[], dict[str, Any]] = lambda: {"file": None, "calls": 0, "rules": []}
    """The rules in force: `file`, the number of the newest `calls` that were looked at, and of which each rule set
    something."""
    user: str | None = None
    """Who gives scores on a page."""

    def sessions_after(
        self, last: str, filters: Filters, sort: Sort | None, limit: int, prices: Prices | None = None
    ) -> list[dict[str, Any]]:
        """The sessions that follow `last` in a list. Raises BadParameter if the log has no such session."""
        try:
            return self.trace.query_sessions_after(last, filters, sort, limit, prices)
        except TraceError as error:
            raise BadParameter(f"after={last!r}: {error}", "Leave `after` out: the list begins anew.") from None

    @property
    def writable(self) -> bool:
        """The user of the page may write to the log."""
        return any(os.access(one, os.W_OK | os.X_OK) for one in logs_in(self.trace.folder))

    def turns(self, session: str) -> tuple[list[Turn], dict[str, Any]]:
        """The turns of a session whose bodies have been read, oldest first, their calls in brief; and as JSON which
        session it is and how far its bodies have been read.

        Raises NotFound if no request of it can be read, and TraceError if there is no such session.
        """
        turns = self.trace.query_brief_turns(session)
        read = [turn for turn in turns if turn.is_read]
        if len(read) == len(turns) and not any(turn.request for turn in turns):
            name = turns[0].call["session_id"] if turns else session
            raise NotFound(
                f"session {name} has no request that can be read",
                "A rule may say `capture: metadata`, or no call has a body.",
            )
        return read, session_of(turns) | how_far(BodiesRead(len(read), len(turns)))

    def terms(self, session: str) -> dict[str, InputTerms]:
        """The terms of the calls of a session by their ids, as `analysis` takes them."""
        if self.terms_of_call is None:
            return {}
        return {id: self.terms_of_call(record) for id, record in self.trace.query_billing(session).items()}

    def windows(self, session: str, calls: Collection[str]) -> dict[str, int]:
        """The context windows of the models of some calls of a session, by the calls' ids; of the known ones."""
        from sessiontap.analysis.context import windows

        if self.terms_of_call is None:
            return {}
        billing = self.trace.query_billing(session, BilledCalls(calls))
        terms = {id: self.terms_of_call(record) for id, record in billing.items()}
        least = min((one.window for one in terms.values() if one.window is not None), default=None)
        if least is None:
            return {}
        billing |= self.trace.query_billing(session, BilledCalls(above=least))
        terms |= {id: self.terms_of_call(record) for id, record in billing.items() if id not in terms}
        return windows([{"id": id} | record["llm"] for id, record in billing.items()], terms)


def how_far(bodies: BodiesRead) -> dict[str, Any]:
    """Return the keys by which an answer says how many calls it is made of."""
    return {"complete": bodies.is_complete, "calls_read": bodies.read, "calls_in_all": bodies.calls}


def stored_body(reading: Reading, name: str, side: str) -> tuple[bytes, str]:
    """The bytes of a call's `request` or `response` as they are in the log, and the call's id. Raises NotFound."""
    call = reading.trace.call(name)
    try:
        body = call.body(side)
    except BodyError as error:
        raise NotFound(f"the {side} of call {call.id} cannot be read: {error}", "Its page has all else.") from None
    if body is None:
        recorded = ((call.record.get(side) or {}).get("body") or {}).get("size")
        why = "A rule says `capture: metadata`." if recorded else "It went by without one."
        raise NotFound(f"call {call.id} has no body of its {side}", why)
    return body, call.id
