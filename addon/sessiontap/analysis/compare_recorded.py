"""Two calls, or two sessions, of a log compared: their requests as their apps sent them, read from the log."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sessiontap.analysis.compare_sessions import ComparedSessions, NotComparedError, compare_sessions
from sessiontap.analysis.recorded_call import asked_request, endpoint_of
from sessiontap.llm.compare import Difference, ValueChange, changed_values, compare
from sessiontap.llm.read import read_request
from sessiontap.trace import BodyError, RecordedCall, Trace, TraceError

if TYPE_CHECKING:
    from sessiontap.trace.index.costs import Prices

_READ = 12
"""Requests that are kept parsed: those of a pair, the ones that they continue, and some for the next pairs."""
_FOLLOWS = "content-length"
"""A header that says nothing of its own."""


@dataclass(frozen=True, slots=True)
class ComparedRequest:
    """A request to compare. `json` is None if the body is not JSON."""

    id: str
    body: bytes
    json: Any
    line: dict[str, Any]
    """Method, URL and headers."""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


@dataclass(frozen=True, slots=True)
class RequestDifferences:
    """Two requests; `body` is None if one of them is not JSON: they are then compared as bytes."""

    before: ComparedRequest
    after: ComparedRequest
    request: tuple[ValueChange, ...]
    body: Difference | None

    @property
    def identical(self) -> bool:
        """The bodies are, byte for byte."""
        return self.before.body == self.after.body


def asked(call: RecordedCall) -> ComparedRequest:
    """A recorded call's own request, as its app sent it. Raises BodyError, NotComparedError."""
    request = asked_request(call)
    if request.body is None and (call.record.get("request") or {}).get("body"):
        message = f"the request body of call {call.id} was not recorded"
        raise NotComparedError(message, "a rule says `capture: metadata`")
    headers: dict[str, str] = {}
    for name, value in request.headers:
        if name.lower() != _FOLLOWS:
            headers[name.lower()] = ", ".join(filter(None, (headers.get(name.lower()), value)))
    understood = read_request(request, endpoint_of(call))
    return ComparedRequest(
        call.id,
        request.body or b"",
        understood.json,
        {"method": request.method, "url": request.url, "headers": headers},
    )


def differences(before: ComparedRequest, after: ComparedRequest) -> RequestDifferences:
    """From one to the other."""
    both = before.json is not None and after.json is not None
    return RequestDifferences(
        before, after, changed_values(before.line, after.line), compare(before.json, after.json) if both else None
    )


def as_json(found: RequestDifferences) -> dict[str, Any]:
    """One object; `messages`, `system`, `tools` and `parameters` are null if a body is not JSON."""
    body = asdict(found.body) if found.body is not None else dict.fromkeys(Difference.__slots__)
    return {
        "before": _side(found.before),
        "after": _side(found.after),
        "identical": found.identical,
        "request": [asdict(value) for value in found.request],
        **body,
    }


def _side(one: ComparedRequest) -> dict[str, Any]:
    return {"id": one.id, "bytes": len(one.body), "sha256": one.sha256}


def compare_recorded_sessions(
    log: Trace, before: str, after: str, prices: Prices | None, seconds: float | None = None
) -> ComparedSessions:
    """Compare the sessions of these ids. `seconds`: the time for requests; those behind it are not compared, and said
    so. Raises TraceError.
    """
    rows = [log.query_session(session, prices)["session"] for session in (before, after)]
    turns = [log.query_turns(session, prices) for session in (before, after)]
    return compare_sessions(rows[0], rows[1], turns[0], turns[1], _reader(log, seconds))


def _reader(
    log: Trace, seconds: float | None
) -> Callable[[Mapping[str, Any], Mapping[str, Any]], Difference]:
    """Compare the requests of two calls, without the messages that stand in what each continues."""

    @lru_cache(_READ)
    def read(call: str) -> ComparedRequest:
        try:
            return asked(log.call(call))
        except (BodyError, TraceError) as error:
            raise NotComparedError(str(error)) from None

    def known(call: Mapping[str, Any]) -> Any:
        try:
            return read(call["parent"]).json if call["parent"] else None
        except NotComparedError:
            return None

    until = None if seconds is None else time.monotonic() + seconds

    def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Difference:
        if until is not None and time.monotonic() > until:
            raise NotComparedError("not compared yet: time was up")
        old, new = read(before["id"]), read(after["id"])
        if old.body == new.body:
            return Difference()
        if old.json is None or new.json is None:
            raise NotComparedError("a request is not JSON")
        known_old, known_new = known(before), known(after)
        if known_old is None or known_new is None:
            return compare(old.json, new.json, by_ids=False)
        return compare(old.json, new.json, known_before=known_old, known_after=known_new, by_ids=False)

    return difference
