"""The ends of calls, and the calls that count for the success of their session.

A call is judged by its record alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessiontap.trace.errands import is_errand

Record = Mapping[str, Any]
ERRORS = frozenset(("http_error", "stream_error", "upstream_gone", "upstream_unreachable"))
"""Outcomes that are errors. `client_gone` is the app's own decision."""

WARM_UP = "warm_up"
"""The flag of a request that prepares a later one and generates nothing: recorded, and no call of its session's."""

LOCAL_STEP = "local_step"
"""The flag of a call whose step is its proxy's own, since the store that proxies share was away."""

REFUSED = "refused"
"""The flag of a call that a limit of the rules refused: its server never got it."""

ACTIVE_SECONDS = 300
"""A session is active for this long after the end of its last call."""


def is_error(call: Record) -> bool:
    """Return True if the call failed, or a reply with a good status brought an error."""
    return call.get("outcome") in ERRORS or bool(part(call, "llm").get("error"))


CUT_OFF = frozenset(
    (
        "length", "max_tokens", "max_output_tokens", "model_context_window_exceeded", "incomplete",
        "content_filter", "content_filtered", "guardrail_intervened", "refusal", "safety", "recitation", "blocklist",
        "prohibited_content", "spii", "image_safety", "language", "malformed_function_call", "unexpected_tool_call",
        "error", "error_limit", "error_toxic",
    )
)  # fmt: skip
"""Finish reasons, in lower case, of replies that did not come to their own end."""
_GOES_ON = frozenset(("tool_calls", "tool_use", "tool_call", "function_call", "pause_turn"))
"""Finish reasons of replies after which somebody is expected to do something."""


def ended_well(call: Record) -> bool | None:
    """Return False if a call failed, or its reply was cut off; None if that is unknown: the app did not wait for the
    end, or the reply asks for a tool."""
    return False if is_error(call) else came_to_an_end(call.get("outcome"), part(call, "llm"))


def came_to_an_end(outcome: str | None, llm: Record) -> bool | None:
    """`ended_well` of a call that did not fail."""
    if outcome != "ok":
        return None
    finish = str(llm.get("finish_reason") or "").lower()
    if finish in CUT_OFF:
        return False
    return None if llm.get("tool_calls") or finish in _GOES_ON else True


AUXILIARY = "auxiliary"
"""The kind of a call beside the conversation."""


def is_main(call: Record) -> bool:
    """Return True if the call is the session's own work: no sub-agent's, none beside the conversation, no errand."""
    return call.get("subagent") is None and part(call, "link").get("kind") != AUXILIARY and not is_errand(call)


STATEMENTS = ("success", "outcome")
"""Properties by which a session says itself how it ended, in any case of letters; the first counts."""
_SUCCEEDED = frozenset(("true", "yes", "1", "success", "succeeded", "ok", "pass", "passed", "completed", "solved"))
_FAILED = frozenset(("false", "no", "0", "failure", "failed", "fail", "error", "incomplete", "aborted", "unsolved"))


def stated_success(value: Any) -> bool | None:
    """Return the success that the value of such a property states; None if it is another word."""
    word = str(value).strip().lower()
    return True if word in _SUCCEEDED else False if word in _FAILED else None


def is_warm_up(call: Record) -> bool:
    """Return True for a warm-up, which lists and sums leave out."""
    return WARM_UP in (call.get("flags") or ())


def end(call: Record) -> int:
    """Return the time at which the call was over, in Unix nanoseconds."""
    return int(call.get("time") or 0) + int(call.get("duration") or 0)


def part(record: Record, key: str) -> Record:
    """Return a map within a record; an empty one if there is none."""
    value = record.get(key)
    return value if type(value) is dict or isinstance(value, Mapping) else {}
