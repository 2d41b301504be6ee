"""The checks of `sessiontap doctor`. Each gives a sentence, and says if something is wrong."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from sessiontap.cli import local_proxies, unrecorded
from sessiontap.cli.environment import PROXY, original
from sessiontap.cli.errors import Failure, Misuse
from sessiontap.cli.local_proxies import OURS, RunningProxy
from sessiontap.cli.output import line
from sessiontap.cli.rules_files import rules_file
from sessiontap.limits.threshold import amount
from sessiontap.proxy import own_address
from sessiontap.trace.folders import are_several, shown
from sessiontap.units import day_and_clock, duration, plural

CALLS = 2000
"""The newest calls that are asked which rules matched."""
ALERTS = 3
"""The newest alerts that are told."""


class Finding(NamedTuple):
    """The result of one check."""

    about: str
    text: str
    is_wrong: bool = False


def text(found: list[Finding]) -> str:
    """Return the findings for people, a line for each."""
    return "".join(line(f"{'wrong' if one.is_wrong else 'ok':<6} {one.about}: {one.text}") + "\n" for one in found)


def setup(rules: Path | None, trace: Path) -> Iterator[Finding]:
    """Yield the findings about all that must be in order before a call can be recorded."""
    proxies = list(local_proxies.running())
    usable = next(local_proxies.usable(), None)
    yield from _proxy(proxies, usable)
    yield from _terminal(usable)
    yield _rules(rules, usable)
    yield _trace(usable.trace if usable else trace)
    yield _ca(usable)


def traffic(trace: Path, rules: Path | None) -> Iterator[Finding]:
    """Yield the findings about traffic: what passed unrecorded, gaps of the log, pushes that fail, rules that matched
    nothing."""
    usable = next(local_proxies.usable(), None)
    if usable is not None:
        answer = unrecorded.passed(usable)
        for text in unrecorded.after_run(answer, (), calls=0, whole=True):
            yield Finding("passed", text)
        trace = usable.trace
    yield from _log(trace)
    yield from _pushes(trace)
    yield from _unmatched(trace, rules, usable)


def rules_in_force(trace: Path, given: Path | None) -> dict[str, Any]:
    """The rules that the proxy uses, or that one would use: `file`, and `rules` with the number of the newest `calls`
    of which each set something, and the start of the `newest` of them."""
    usable = next(local_proxies.usable(), None)
    return _matched(usable.trace if usable else trace, given, usable)


def _matched(folder: Path, given: Path | None, usable: RunningProxy | None) -> dict[str, Any]:
    from sessiontap import trace
    from sessiontap.rules import RulesError, load_file
    from sessiontap.trace import TraceError
    from sessiontap.trace.values import iso

    file, labels, calls = None, [], []
    with suppress(Misuse, RulesError, TraceError, OSError):  # `setup` says what is wrong
        file = rules_file(given) if given or usable is None else usable.rules
        labels = [rule.label for rule in load_file(file).rules] if file is not None else []
        calls = list(islice(trace.open(folder).calls(), CALLS)) if labels else []
    times: dict[str, list[int]] = {label: [] for label in labels}
    for call in calls:
        for label in call.record.get("rules") or ():
            times.setdefault(label, []).append(call.record["time"])
    rules = [
        {"rule": label, "calls": len(times[label]), "newest": iso(max(times[label], default=None))} for label in labels
    ]
    return {"file": str(file) if file is not None else None, "calls": len(calls), "rules": rules}


def _proxy(running: list[RunningProxy], usable: RunningProxy | None) -> Iterator[Finding]:
    for one in running:
        if one is not usable and one != usable:
            how = ", ".join(f"{listener.mode} at {listener.host}:{listener.port}" for listener in one.listeners)
            why = f"it is private to exec {one.private_to}" if one.private_to else "env and exec do not take it"
            yield Finding("proxy", f"another one runs ({how}, pid {one.pid}); {why}")
    if usable is None:
        yield Finding("proxy", "none runs; exec starts one for its program, `sessiontap run` one for all")
        return
    if local_proxies.ask(usable, own_address.recorded_url(os.getpid())) is None:
        what = "it does not answer a request: it is of another version, or asks for a password"
        yield Finding("proxy", f"{usable.url} (pid {usable.pid}): {what}", True)
    else:
        yield Finding("proxy", f"{usable.url} (pid {usable.pid}) answers, and records to {usable.trace}")
        health = local_proxies.ask(usable, own_address.health_url()) or {}
        yield from _gateways(health)
        yield from _alerts(health)
        yield from _notified(health)
        yield from _session_store(health)


def _alerts(health: Mapping[str, Any]) -> Iterator[Finding]:
    """The newest alerts that were reached."""
    for one in health.get("alerts", ())[-ALERTS:]:
        value, most = (amount(one["measure"], one[key]) for key in ("value", "threshold"))
        counted, when = f"{one['measure']} was {value} (of {most}) per {one['per']}", day_and_clock(one["time"])
        yield Finding(one["kind"], f"{one['name']}: {counted} at {when}")


def _notified(health: Mapping[str, Any]) -> Iterator[Finding]:
    """The command or webhook that could not be told of the last alert."""
    for by, why in health.get("alerts_failing", {}).items():
        yield Finding("alerts", f"the {by} could not be told of the last one: {why}", True)


def _gateways(health: Mapping[str, Any]) -> Iterator[Finding]:
    """The gateways that the proxy leaves alone because they fail."""
    for one in health.get("gateways", ()):
        what = f"{one['name']} at {one['origin']} fails, for {duration(one['seconds'])} now; its calls go to their own"
        skipped = plural(one["skipped"], "call")
        yield Finding("gateway", f"{what} hosts, {skipped} so far. It is tried again now and then", True)


def _session_store(health: Mapping[str, Any]) -> Iterator[Finding]:
    """The store that proxies share their sessions by."""
    store = health.get("session_store")
    if store is None:
        return
    local = plural(store["local_steps"], "local step")
    if store["away"] is None:
        yield Finding("sessions", f"shared by {store['address']}; {local} since the proxy started")
    else:
        what = f"{store['address']} is away, for {duration(store['seconds'])} now: {store['away']}. {local} so far"
        yield Finding("sessions", what, True)


def _terminal(usable: RunningProxy | None) -> Iterator[Finding]:
    if dead := local_proxies.dead_proxy(os.environ):
        what = f"its variables name the proxy at {dead}, which has ended, so calls fail: env --undo, or env again"
        yield Finding("terminal", what, True)
    elif OURS in os.environ:
        named = os.environ.get("HTTPS_PROXY")
        ours = named == os.environ[OURS]
        what = f"programs go through {named}" if ours else f"HTTPS_PROXY was changed to {named} since env set it"
        yield Finding("terminal", what, not ours)
    elif usable is not None:
        before = original(os.environ)
        other = next((name for name in PROXY if before.get(name)), None)
        through = f"through the proxy that {other} names" if other else "directly"
        yield Finding("terminal", f'its programs call {through}, unless exec runs them or eval "$(sessiontap env)"')


def _rules(given: Path | None, usable: RunningProxy | None) -> Finding:
    from sessiontap.rules import RulesError, load_file

    try:
        file = rules_file(given) if given or usable is None else usable.rules
    except Misuse as error:
        return Finding("rules", error.message, True)
    if file is None:
        text = "there is no rules.yaml: calls to known LLM hosts are recorded, one session for each process"
        return Finding("rules", text)
    try:
        loaded = load_file(file)
    except RulesError as error:
        return Finding("rules", f"not valid: {error}", True)
    hosts = ", ".join(entry.host for entry in loaded.hosts)
    return Finding(
        "rules", f"{file} is valid, {loaded.counted}" + (f"; hosts: {hosts}" if hosts else "")
    )


def _trace(folder: Path) -> Finding:
    if are_several(folder):
        return Finding("log", f"these are read together: {shown(folder)}")
    if not os.path.lexists(folder):
        return _future_trace(folder)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Finding("log", f"{folder} cannot be written: {error.strerror or error}", True)
    return Finding("log", f"{folder} can be written")


def _future_trace(folder: Path) -> Finding:
    """A folder that is not there yet is not made: it is asked if the one above it would allow that."""
    above = next(one for one in folder.parents if os.path.lexists(one))
    if not above.is_dir():
        return Finding("log", f"{folder} cannot be made: {above} is not a folder", True)
    if not os.access(above, os.W_OK | os.X_OK):
        return Finding("log", f"{folder} cannot be made: {above} cannot be written", True)
    return Finding("log", f"{folder} is not there yet; the first proxy makes it")


def _ca(usable: RunningProxy | None) -> Finding:
    from sessiontap.cli.environment import prepare

    try:
        bundle = prepare(usable.confdir if usable else None, original(os.environ)).bundle
    except Failure as error:
        return Finding("CA", error.message, True)
    return Finding("CA", f"in place, with the system's roots: {bundle.pem}")


def _log(folder: Path) -> Iterator[Finding]:
    from sessiontap import trace
    from sessiontap.cli import gaps
    from sessiontap.trace import TraceError

    try:
        log = trace.open(folder)
        notes, clocks = log.notes(None), log.query_clock_gaps()
    except (TraceError, OSError):
        return  # there is none yet
    for text in gaps.lost(notes):
        yield Finding("log", text, True)
    for text in gaps.killed(notes):
        yield Finding("log", text, True)
    for text in gaps.uncaptured(notes):
        yield Finding("passed", text)
    for text in gaps.differing_clocks(clocks):
        yield Finding("clocks", text, True)


def _pushes(folder: Path) -> Iterator[Finding]:
    """Targets that took nothing at the last try, and those that did not take everything."""
    from sessiontap.push.cursor import CursorError, cursors

    for file in cursors(folder):
        try:
            cursor = file.read()
        except CursorError as error:
            yield Finding("push", str(error), True)
            continue
        if cursor is None:
            continue
        target = f"{cursor.target} at {cursor.endpoint}"
        if cursor.last_error is not None:
            what = f"{target}: {cursor.last_error['text']}"
            yield Finding("push", f"{what}. `sessiontap push status` says how many calls wait", True)
        if cursor.set_aside_count:
            what = f"{target} did not take {plural(cursor.set_aside_count, 'item')}"
            yield Finding("push", f"{what}, set aside. `sessiontap push status` says which, and why")


def _unmatched(folder: Path, given: Path | None, usable: RunningProxy | None) -> Iterator[Finding]:
    """Rules of which the newest calls show no match."""
    found = _matched(folder, given, usable)
    idle = [one["rule"] for one in found["rules"] if not one["calls"]]
    if found["calls"] and idle:
        what = f"set nothing in the newest {plural(found['calls'], 'call')}: {', '.join(idle)}"
        yield Finding("rules", f"{what}. `sessiontap rules explain CALL` says why")
