"""Hits and misses of the provider's prompt cache, and the reason of each miss.

A request is compared with the one that it continues: what that one left in the cache (read and written, by the
provider's count) could have been read again. If it was not, the requests tell why: another model, other tools, another
system prompt or a changed message, or too long a time in between. What nothing explains stays unknown.

The first request of a conversation may read what another conversation left (sub-agents with the same tools); it is
compared with the one that begins most alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sessiontap.analysis.cache_changes import first_change
from sessiontap.analysis.cache_terms import HOUR, CacheTerms, cache_terms
from sessiontap.analysis.part_costs import UNKNOWN, InputTerms, Terms, range_cost, read_cost
from sessiontap.analysis.part_tokens import Tokens, estimate
from sessiontap.analysis.tool_runs import started, without_errands

if TYPE_CHECKING:
    from sessiontap.trace.index.turns import Turn

Verdict = Literal["hit", "partly", "miss"]
Reason = Literal[
    "first", "never_written", "too_short", "model", "tools", "system", "message", "idle", "in_flight", "lookback",
    "unknown",
]  # fmt: skip

TOLERATED = 0.02
"""The share of what could be read that may be missing in a hit of a cache that is not marked: providers round."""
OPERATIONS = ("chat", "text_completion")
"""Calls that have a cache at all."""
LOOKBACK = 20
"""From a mark Anthropic looks back over so many parts for what was written before."""


@dataclass(frozen=True, slots=True)
class _Earlier:
    """The request that a turn is compared with."""

    at: int
    common: int
    """Parts at the beginning that both have."""
    continued: bool
    """The turn continues it; else it only begins alike."""


def cache(turns: Sequence[Turn], terms: Terms, tokens: Tokens | None = None) -> dict[str, Any]:
    """Return, for each turn, how much of its input was read from the cache, how much could have been, and why not.

    `tokens`: those of the turns without errands, if they have been estimated.
    """
    turns = without_errands(turns)
    tokens = estimate(turns) if tokens is None else tokens
    earlier = _find_earlier(turns, tokens)
    kept = _seconds_kept(turns, terms, earlier)
    rows = []
    for at, turn in enumerate(turns):
        if turn.call["operation"] in OPERATIONS:
            rows.append(_judge(at, turns, tokens, terms, earlier[at], kept))
    return {"turns": rows, "sum": _sum(rows)}


# What a turn is compared with ----------------------------------------------------------------------------------------


def _find_earlier(turns: Sequence[Turn], tokens: Sequence[Sequence[float] | None]) -> list[_Earlier | None]:
    places = {turn.call["id"]: at for at, turn in enumerate(turns)}
    openings: dict[int, int] = {}
    opened: list[int] = []
    latest: dict[int, int] = {}
    found: list[_Earlier | None] = []
    for at, turn in enumerate(turns):
        one = _continued(at, turns, places)
        opened.append(at if one is None else opened[one.at])
        if one is None:
            opening, common = _alike(at, turn, openings)
            one = _Earlier(latest.get(opening, opening), common, continued=False) if opening is not None else None
            if one is not None and _is_short(turn, tokens[at], common):
                one = None
        if _size(turn) is not None:
            latest[opened[at]] = at
        found.append(one)
    return found


def _size(turn: Turn) -> int | None:
    """The input tokens of a call; None if it failed, or its provider states none."""
    size: int | None = (turn.call["usage"] or {}).get("input")
    return size


def _continued(at: int, turns: Sequence[Turn], places: dict[str, int]) -> _Earlier | None:
    """The request that this one continues; if that failed, the one before it: a failed one writes nothing.

    A sub-agent's first request continues none, although it has a parent.
    """
    turn, common = turns[at], len(turns[at].request)
    while turn.based_on is not None and (before := places.get(turn.based_on)) is not None and before < at:
        if turns[before].call["conversation"] != turn.call["conversation"]:
            return None
        common = min(common, turn.first_new, len(turns[before].request))
        turn = turns[before]
        if _size(turn) is not None:
            return _Earlier(before, common, continued=True)
    return None


def _alike(at: int, turn: Turn, openings: dict[int, int]) -> tuple[int | None, int]:
    """The latest of the requests whose beginnings have the most parts in common with this one, and how many.

    `openings`: a digest of a beginning -> the last turn that opened a conversation with it.
    """
    chain, best, common = 0, None, 0
    for number, part in enumerate(turn.request):
        chain = hash((chain, part.kind, part.role, part.name, part.id, part.text, part.bytes))
        known = openings.get(chain)
        if known is not None and common == number:
            best, common = known, number + 1
        if _size(turn) is not None:
            openings[chain] = at
    return best, common


def _is_short(turn: Turn, tokens: Sequence[float] | None, common: int) -> bool:
    """Return True if what two requests have in common is too short to be cached."""
    terms = cache_terms(turn.call["provider"], turn.call["family"], turn.call["request_model"])
    return tokens is not None and sum(tokens[:common]) < terms.least


def _seconds_kept(turns: Sequence[Turn], terms: Terms, earlier: Sequence[_Earlier | None]) -> list[float | None]:
    """For how long, in seconds, what each turn left in the cache is kept; None if only the provider's terms say it."""
    found: list[float | None] = []
    for turn, before in zip(turns, earlier, strict=True):
        written = (turn.call["usage"] or {}).get("cache_write") or 0
        for_an_hour = terms.get(turn.call["id"], UNKNOWN).written_1h
        if written:
            found.append(HOUR if for_an_hour >= written else None)
        else:
            found.append(found[before.at] if before is not None and before.continued else None)
    return found


# Verdicts ------------------------------------------------------------------------------------------------------------


def _judge(
    at: int,
    turns: Sequence[Turn],
    tokens: Sequence[Sequence[float] | None],
    terms: Terms,
    earlier: _Earlier | None,
    kept: Sequence[float | None],
) -> dict[str, Any]:
    turn, call = turns[at], turns[at].call
    usage = call["usage"] or {}
    row: dict[str, Any] = {
        "step": call["step"],
        "call": call["id"],
        "time": call["time"],
        "path": call["path"],
        "model": call["request_model"] or call["response_model"],
        "verdict": None,
        "input_tokens": usage.get("input"),
        "read_tokens": usage.get("cache_read"),
        "written_tokens": usage.get("cache_write"),
        "compared_with": turns[earlier.at].call["id"] if earlier else None,
        "readable_tokens": None,
        "lost_tokens": None,
        "reasons": [],
        "idle_seconds": None,
        "extra_cost_usd": None,
    }
    size, read = usage.get("input"), usage.get("cache_read")
    if size is None or read is None:
        return row
    of_call = cache_terms(call["provider"], call["family"], row["model"])
    if earlier is None:
        reason: Reason = "too_short" if size < of_call.least else "first"
        return row | _verdict(read, 0, 0.0, [] if read else [_reason(reason)])
    before = turns[earlier.at]
    left = _tokens_left(before, of_call)
    readable, exact = _readable(tokens[at], earlier, left)
    row["readable_tokens"] = None if readable is None else round(readable)
    row["idle_seconds"] = _idle(before, turn)
    tolerated = 0.0 if of_call.marked else max(of_call.multiple, TOLERATED * (readable or 0))
    if read > 0 and (readable is None or not exact or read >= readable - tolerated):
        return row | _verdict(read, 0, 0.0, [])
    if not left and before.call["usage"].get("cache_read") is not None:
        return row | _unwritten(at, turns, tokens, terms, earlier, of_call)
    reasons = _reasons(at, turns, earlier, of_call, kept[earlier.at])
    lost = max(0, min(round(readable or 0), size) - read)
    lost = min(lost, _recurring(turn, before, tokens[at], earlier, size, read))
    return row | _verdict(read, lost, _extra(usage, lost, terms.get(call["id"], UNKNOWN)), reasons)


def _verdict(read: int, lost: int, extra: float | None, reasons: list[dict[str, Any]]) -> dict[str, Any]:
    verdict: Verdict = "hit" if not reasons else "partly" if read else "miss"
    return {"verdict": verdict, "lost_tokens": lost, "extra_cost_usd": extra, "reasons": reasons}


def _reason(reason: Reason, certain: bool = True, **facts: Any) -> dict[str, Any]:
    return {"reason": reason, "certain": certain} | facts


def _tokens_left(before: Turn, terms: CacheTerms) -> int:
    """The tokens that a call left in the cache, by the provider's count."""
    usage = before.call["usage"]
    if terms.marked:
        return int((usage.get("cache_read") or 0) + (usage.get("cache_write") or 0))
    size = int(usage["input"])
    return size // terms.multiple * terms.multiple if size >= terms.least else 0


def _readable(of_turn: Sequence[float] | None, earlier: _Earlier, left: int) -> tuple[float | None, bool]:
    """The tokens that could have been read if nothing had changed, and whether that is more than an estimate."""
    if earlier.continued:
        return left, True
    return (None, False) if of_turn is None else (min(left, sum(of_turn[: earlier.common])), False)


def _idle(before: Turn, turn: Turn) -> float | None:
    """Seconds from the start of the request before, when its entry was used last, to the start of this one."""
    begin, end = started(before.call), started(turn.call)
    return None if begin is None or end is None else round(end - begin, 6)


def _reasons(
    at: int, turns: Sequence[Turn], earlier: _Earlier, terms: CacheTerms, kept: float | None
) -> list[dict[str, Any]]:
    """All that explains why this turn did not read what the earlier one left; the first would do alone."""
    turn, before = turns[at], turns[earlier.at]
    found: list[dict[str, Any]] = []
    was, now = (one.call["request_model"] or one.call["response_model"] for one in (before, turn))
    if was != now or before.call["host"] != turn.call["host"]:
        found.append(_reason("model", was=was, now=now))
    if earlier.continued and earlier.common < len(before.request):
        changed, facts = first_change(before.request, turn.request, earlier.common)
        found.append(_reason(changed, **facts))
    idle, for_seconds = _idle(before, turn), kept or terms.kept
    if idle is not None and idle < float(before.call["time_to_first_byte"] or 0):
        found.append(_reason("in_flight"))  # an entry can be read once the reply to its request has begun
    elif idle is not None and for_seconds is not None and idle > for_seconds:
        sure = kept is not None or (terms.kept_at_most is not None and idle > terms.kept_at_most)
        found.append(_reason("idle", certain=sure, seconds=idle, kept_seconds=for_seconds))
    if not found and terms.marked and len(turn.request) - len(before.request) > LOOKBACK:
        found.append(_reason("lookback", certain=False, parts=len(turn.request) - len(before.request)))
    return found or [_reason("unknown", certain=False)]


def _unwritten(
    at: int,
    turns: Sequence[Turn],
    tokens: Sequence[Sequence[float] | None],
    terms: Terms,
    earlier: _Earlier,
    of_call: CacheTerms,
) -> dict[str, Any]:
    """The verdict if the earlier call left nothing in the cache."""
    turn, before = turns[at], turns[earlier.at]
    usage, of_turn = turn.call["usage"], tokens[at]
    common = sum(of_turn[: earlier.common]) if of_turn is not None else 0.0
    if before.call["usage"]["input"] < of_call.least or (not earlier.continued and common < of_call.least):
        return _verdict(usage["cache_read"], 0, 0.0, [_reason("too_short", least_tokens=of_call.least)])
    lost = round(common)
    extra = _extra(usage, lost, terms.get(turn.call["id"], UNKNOWN))
    return _verdict(usage["cache_read"], lost, extra, [_reason("never_written")])


def _recurring(
    turn: Turn, before: Turn, tokens: Sequence[float] | None, earlier: _Earlier, size: int, read: int
) -> int:
    """The tokens of this request, beyond what was read, that stood in the earlier one as well, wherever."""
    if tokens is None or earlier.common >= len(before.request):
        return size - read
    had = Counter((part.kind, part.role, part.id, part.text) for part in before.request)
    same = 0.0
    for part, number in zip(turn.request, tokens, strict=True):
        key = (part.kind, part.role, part.id, part.text)
        if had[key]:
            had[key] -= 1
            same += number
    return max(0, round(same) - read)


def _extra(usage: dict[str, Any], lost: int, terms: InputTerms) -> float | None:
    """The cost of the lost tokens beyond what reading them would have cost, in US dollars."""
    read = usage["cache_read"]
    paid, would = range_cost(usage, read, read + lost, terms), read_cost(lost, terms)
    return None if paid is None or would is None else round(paid - would, 9)


def _sum(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    verdicts = Counter(row["verdict"] for row in rows)
    costs = [row["extra_cost_usd"] for row in rows if row["extra_cost_usd"] is not None]
    known = [row for row in rows if row["verdict"] is not None]
    return {
        "hit": verdicts["hit"],
        "partly": verdicts["partly"],
        "miss": verdicts["miss"],
        "unknown": verdicts[None],
        "input_tokens": sum(row["input_tokens"] for row in known) if known else None,
        "read_tokens": sum(row["read_tokens"] for row in known) if known else None,
        "lost_tokens": sum(row["lost_tokens"] for row in known) if known else None,
        "extra_cost_usd": round(sum(costs), 9) if costs else None,
        "extra_cost_unknown_calls": sum(row["extra_cost_usd"] is None for row in known),
    }
