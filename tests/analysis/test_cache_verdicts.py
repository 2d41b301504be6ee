"""Verdicts on 2,000 turns against a provider that really caches, read from a trace as the proxy writes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.analysis import recorded_sessions
from tests.analysis.made_sessions import CHANGES, made_sessions
from tests.support.seed import IS_FIXED, SEED

from sessiontap import trace
from sessiontap.analysis.cache import cache
from sessiontap.analysis.part_costs import InputTerms
from sessiontap.llm.recorded_parts import recorded_parts

TURNS = 2_000
RIGHT = 0.99


def test_verdicts_and_reasons_are_right(tmp_path: Path, record_property: Callable[[str, str], None]) -> None:
    sessions = made_sessions(TURNS, SEED)
    log = trace.open(recorded_sessions.write(tmp_path / "trace", sessions), parts_of=recorded_parts)
    hours = {call.id: (call.record["llm"].get("billed") or {}).get("cache_write_1h") or 0 for call in log.calls()}
    terms = {call: InputTerms(written_1h=hour) for call, hour in hours.items()}
    right, wrong, reasons = 0, list[str](), Counter[str | None]()
    for session in sessions:
        found = {row["call"]: row for row in cache(log.query_turns(session.name), terms)["turns"]}
        for turn in session.turns:
            row = found[turn.id]
            told = row["verdict"], row["reasons"][0]["reason"] if row["reasons"] else None
            reasons[turn.reason] += 1
            if told == (turn.verdict, turn.reason):
                right += 1
            else:
                read, readable = row["read_tokens"], row["readable_tokens"]
                wrong.append(f"{turn.id}: {turn.verdict} {turn.reason}, judged {told}, read {read} of {readable}")
    log.close()
    made = sum(len(session.turns) for session in sessions)
    told = f"cache verdicts: {right / made:.2%} of {made} turns right, by reason {dict(reasons.most_common())}"
    record_property("figure", told)
    assert made >= TURNS
    assert right >= RIGHT * made, "\n".join(wrong[:40])
    if IS_FIXED:
        expected = {"tools", "system", "message", "model", "idle", "first", "never_written", "too_short", "in_flight"}
        assert expected | {"lookback", "unknown"} <= set(reasons), CHANGES
