"""The result of one run of a program: its sessions, for the end of `exec`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sessiontap import trace
from sessiontap.cli.output import line
from sessiontap.units import count, duration, plural, tokens_in

if TYPE_CHECKING:
    from sessiontap.proxy.own_address import ProcessAnswer
    from sessiontap.trace import RecordedCall

WRITTEN_WITHIN = 30.0
"""Seconds for the recorder of a proxy that has ended."""
SHOWN = 3
"""Processes that are named."""
SETTLED = 0.3
"""Seconds without a new call after which a proxy that goes on has written what it had."""


def calls_of_proxy(folder: Path, pid: int, since: int) -> list[RecordedCall]:
    """Every call that the proxy `pid` wrote since `since` (Unix nanoseconds): its own segments hold nothing else."""
    import tempfile

    with tempfile.TemporaryDirectory() as own:
        for segment in trace.open(folder).segments():
            header = segment.header or {}
            if (header.get("writer") or {}).get("pid") == pid and header.get("started", 0) >= since:
                (Path(own) / segment.path.name).symlink_to(segment.path)
        return list(trace.open(own).calls())


def calls_of_stopped_proxy(folder: Path, pid: int, since: int) -> list[RecordedCall]:
    """As `calls_of_proxy`, of one that has ended: waits for its recorder. Raises TraceError if that takes too long."""
    from sessiontap.trace.restore import wait_for_orphans

    if not wait_for_orphans(folder, WRITTEN_WITHIN):
        late = f"they are still being written after {WRITTEN_WITHIN:.0f} seconds"
        raise trace.TraceError(late, "sessiontap ls shows them")
    return calls_of_proxy(folder, pid, since)


def calls_of_program(folder: Path, pid: int, since: int) -> list[RecordedCall]:
    """Every call since `since` of the process `pid` and what it started, in a folder that others write to as well.

    For a proxy that does not tell when it has written them: asks until the answer stays the same.
    """
    return _settled(lambda: recorded_calls_of_program(folder, pid, since))


def recorded_calls_of_program(folder: Path, pid: int, since: int) -> list[RecordedCall]:
    """As `calls_of_program`, of a proxy that has said that they are written."""
    found: list[RecordedCall] = []
    for call in trace.open(folder).calls():
        if call.record["time"] < since:
            break
        if descends(call, pid):
            found.append(call)
    return found


def segment_sizes(folder: Path) -> dict[str, int]:
    """Return the size of each file of the trace `folder`'s segments; nothing if it cannot be read.

    Two that are equal tell that nothing was written between them, without loading what reads a log.
    """
    try:
        with os.scandir(folder) as entries:
            return {one.name: one.stat().st_size for one in entries if one.name.endswith((".mpk", ".mpk.zst"))}
    except OSError:
        return {}


def no_calls(folder: Path, pid: int, since: int) -> list[RecordedCall]:
    """The calls of a program during whose run nothing was written."""
    return []


def missing(answer: ProcessAnswer | None) -> str:
    """A line for what the proxy says is not in the log yet; empty if nothing."""
    if answer is None or answer.recorded:
        return ""
    if answer.in_flight:
        return f"sessiontap: {plural(answer.in_flight, 'call')} had not ended yet and will be in the log\n"
    return "sessiontap: the proxy is still writing; sessiontap ls shows all calls in a moment\n"


def still_running(pids: Sequence[int]) -> str:
    """A line for what the program left running."""
    from sessiontap.callers.procfs import ProcessFolder

    names = []
    for pid in pids[:SHOWN]:
        try:
            with ProcessFolder(pid) as folder:
                names.append(f"{folder.stat().comm} {pid}")
        except (OSError, ValueError):
            names.append(str(pid))
    more = ", ..." if len(pids) > SHOWN else ""
    run = "runs" if len(pids) == 1 else "run"
    return (
        line(
            f"sessiontap: {plural(len(pids), 'process', 'processes')} of it still {run} ({', '.join(names)}{more}); "
            "the proxy stays until the last has ended"
        )
        + "\n"
    )


def descends(call: RecordedCall, pid: int) -> bool:
    """Return True if the process `pid` or a descendant of it made the call."""
    caller = call.caller or {}
    return caller.get("pid") == pid or any(one.get("pid") == pid for one in caller.get("ancestors") or ())


def summarize(
    find: Callable[[Path, int, int], list[RecordedCall]], folder: Path, pid: int, since: int, rules: Path | None = None
) -> tuple[str, int]:
    """Return `text` of the calls that `find` gives, or why they cannot be listed, and how many they are."""
    try:
        calls = find(folder, pid, since)
        return text(folder, calls, rules), len(calls)
    except (trace.TraceError, OSError) as error:
        return f"sessiontap: its calls cannot be listed: {line(str(error))}\n", 0


def text(folder: Path, calls: list[RecordedCall], rules: Path | None) -> str:
    """A line for all, and one for each session: the one with the oldest last call first."""
    if not calls:
        return "sessiontap: no LLM call was seen\n"
    from sessiontap.cli.call_costs import Costs
    from sessiontap.cli.listing import cost
    from sessiontap.trace.errands import is_errand
    from sessiontap.trace.index.filters import Filters

    log = trace.open(folder)
    try:
        wanted = Filters(ids=tuple(call.id for call in calls), without_errands=True)
        found = log.stats("session", wanted, Costs(rules).prices)
    finally:
        log.close()
    oldest_first = sorted(calls, key=lambda call: call.record["time"])
    last = {call.session_id: number for number, call in enumerate(oldest_first)}
    names = {call.session_id: call.record["session"].get("name") for call in reversed(oldest_first) if call.session_id}
    rows = sorted((row for row in found if row["session"] is not None), key=lambda row: last[row["session"]])
    errors = sum(row["errors"] for row in rows)
    failed = f", {plural(errors, 'error')}" if errors else ""
    number = sum(not is_errand(call.record) for call in calls)
    lines = [f"sessiontap: {plural(number, 'call')} in {plural(len(rows), 'session')}{failed}"]
    for row in rows:
        tokens = f"{tokens_in(row['input_tokens'])}, {count(row['output_tokens'])} out"
        span = duration(row["session_duration_p50"])  # of one session: its own
        parts = [names[row["session"]], plural(row["calls"], "call"), span, tokens]
        if row["cost_usd"] is not None:
            parts.append(cost(row["cost_usd"], row["cost_unknown_calls"]))
        lines.append(f"  {', '.join(map(str, parts))}  (sessiontap show {row['session']})")
    return "".join(line(one) + "\n" for one in lines)


def _settled(find: Callable[[], list[RecordedCall]]) -> list[RecordedCall]:
    """Ask until the answer stays the same: a record is written a moment after its call ended."""
    found = find()
    while True:
        time.sleep(SETTLED)
        again = find()
        if len(again) == len(found):
            return again
        found = again
