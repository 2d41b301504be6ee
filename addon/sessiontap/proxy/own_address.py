"""The address at which a proxy answers for itself, to programs of its machine: `http://sessiontap.invalid/`.

`.invalid` is nobody's (RFC 6761): a request to it that goes through any other proxy ends there. The questions:

    GET http://sessiontap.invalid/recorded?pid=PID    are the calls of process PID, and what it started, in the log?
    GET http://sessiontap.invalid/passed?pid=PID      what of theirs went through unrecorded? Without a pid: of all?
    GET http://sessiontap.invalid/health              does the proxy record?
    GET http://sessiontap.invalid/in-flight?token=TOKEN    which calls have not ended?
    GET http://sessiontap.invalid/limits?token=TOKEN       which limits refuse calls? With `&lift=ID`: lift that one

The answer to the first comes when they are, or after `LIMIT` seconds: `{"recorded": BOOLEAN, "in_flight": NUMBER}`.
`exec` asks it before it says what a program's run came to. That to the second comes at once; unknown is null:

    {"passed": [{"program": "app.py",        the name that a person uses; null if the process is not known
                 "exe": "/usr/bin/python3",
                 "pids": [4711],             of all processes of that program, also of those that have ended
                 "client": null,             its address, if the process is not known
                 "host": "api.example",
                 "port": 443,
                 "why": "unknown_host",      the reasons are listed in passed.py
                 "connections": 3,
                 "requests": 0,              of plain HTTP, which can be counted
                 "sent": 1200,               bytes from the client; null if a connection's were not counted
                 "received": 54000,
                 "first": 1763712000.1,      Unix seconds
                 "last": 1763712009.5}],
     "forgotten": 0,                         entries that had to make room for others since the proxy started
     "lost_records": 0}                      records that could not be written since then

The third is answered within a few seconds, with status 200, or 503 if records cannot be written now:

    {"ok": true,
     "listening": ["127.0.0.1:8080"],
     "rules": {"file": "/etc/rules.yaml",    null: there is none, the built-in defaults are in force
               "in_force": 3,                rules
               "error": null},               why the file as it stands is not in force; the last good rules are then
     "recorder": true,                       its process runs and has written what it was given
     "lost_records": 0,
     "trace": {"folder": "/var/trace", "writable": true, "error": null},
     "gateways": [{"name": "mine",           those that fail, so that calls go to their own hosts
                   "origin": "http://127.0.0.1:8585",
                   "seconds": 41.2,          for which they have
                   "skipped": 17}],          calls that did not go there in that time
     "alerts": [{"time": 1763712009500000000,    Unix nanoseconds; the newest 20, oldest first
                 "kind": "alert",
                 "name": "agent",            of the alert, else of its rule
                 "measure": "cost_usd", "per": "session",
                 "value": 1.02, "threshold": 1.0,
                 "within": null}],           seconds of its window
     "alerts_failing": {"webhook": "it answered with status 404"},    who could not be told of the last one, and why
     "session_store": {"address": "redis://10.0.0.5:6379/0",    null: the proxy remembers its own sessions
                       "away": null,         why, if it is; `seconds` are those since then
                       "seconds": null,
                       "local_steps": 0,     given since the start because it was away
                       "unnumbered": 0,      calls with local steps that the store has given none yet
                       "longest_wait": 0.0007},    seconds for which a call waited for it
     "workers": {"running": 1, "of": 1}}     of `--workers`

The fourth is answered at once, to whoever has the token that stands in the state file (state_file.py): only the proxy's
user does. Each call has the keys of its record (docs/trace-format.md), as far as they are known; its caller stands in
it, and its bodies are the bytes that went by so far. `ignore` and `capture: none` keep a call out of it (in_flight.py):

    {"calls": [{"id", "time", "session", "conversation", "parent", "evidence", "link": {"kind"}, "llm",
                "time_to_first_byte", "agent", "subagent", "user", "properties", "tags", "rules",
                "host", "forwarded_host", "route",
                "caller": {"id", "pid", "started", "name", "names", "cwd"},
                "request": {"method", "body": {"size"}},
                "response": {"status", "body": {"size"}}}]}     null until its headers come

The fifth is answered at once, to whoever has the token. `limits` are those that refused a call when they were last
looked at; with `lift` there is the one that was lifted, if it was among them:

    {"limits": [{"id", "time", "text", "scope_text", and the facts of the note of kind `limit`}],
     "lifted": [...]}

Plain Python: the command line imports it, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from sessiontap.callers import Caller

HOST = "sessiontap.invalid"
LIMIT = 10.0
"""Seconds that an answer takes at most."""
ENDED_WITHIN = 2.0
"""Seconds of these for calls to end: a program's own do at once when it ends, those of what it left behind may not."""
_BETWEEN_FIRST, _BETWEEN = 0.001, 0.01
"""Seconds between two looks: a recorder that has nothing to do answers within a millisecond."""
OTHERS_WITHIN = 0.1
"""Seconds that a worker waits for what the others have in flight: who asks does not wait long."""
_Asks = Literal["recorded", "passed", "health", "in_flight", "limits"]


class Question(NamedTuple):
    """A question, and the process that it is about."""

    asks: _Asks
    pid: int | None = None
    token: str | None = None
    """Of whoever asks for calls in flight, or for limits."""
    lift: str | None = None
    """The id of a limit."""

    @property
    def others_within(self) -> float:
        """Seconds that other workers' answers are waited for."""
        return OTHERS_WITHIN if self.asks == "in_flight" else LIMIT + 1


class ProcessAnswer(NamedTuple):
    """The answer about a process's calls."""

    recorded: bool
    in_flight: int
    """Calls that have not ended."""


def recorded_url(pid: int) -> str:
    """Return the address of the question whether the calls of process `pid` are in the log."""
    return f"http://{HOST}/recorded?pid={pid}"


def passed_url(pid: int | None = None) -> str:
    """Return the address of the question what went through unrecorded: of process `pid`, or of all."""
    return f"http://{HOST}/passed" + (f"?pid={pid}" if pid is not None else "")


def health_url() -> str:
    """Return the address of the question whether the proxy records."""
    return f"http://{HOST}/health"


def in_flight_url(token: str) -> str:
    """Return the address of the question which calls are in flight."""
    from urllib.parse import quote  # 5 ms that `exec` does not spend

    return f"http://{HOST}/in-flight?token={quote(token)}"


def limits_url(token: str, lift: str | None = None) -> str:
    """Return the address of the question which limits refuse calls. `lift`: the id of one that is to be lifted."""
    from urllib.parse import quote

    return f"http://{HOST}/limits?token={quote(token)}" + (f"&lift={quote(lift)}" if lift is not None else "")


def asked(target: str) -> Question | None:
    """Return what a request's target asks; None if it asks nothing that is answered."""
    from urllib.parse import parse_qs, urlsplit

    parts = urlsplit(target)
    query = parse_qs(parts.query, keep_blank_values=True)
    if parts.path == "/in-flight":
        return Question("in_flight", token=query["token"][0]) if "token" in query else None
    if parts.path == "/limits":
        lift = query["lift"][0] if "lift" in query else None
        return Question("limits", token=query["token"][0], lift=lift) if "token" in query else None
    given = query.get("pid", [])
    if not all(one.isascii() and one.isdigit() for one in given) or len(given) > 1:
        return None
    pid = int(given[0]) if given else None
    match parts.path:
        case "/recorded" if pid is not None:
            return Question("recorded", pid)
        case "/passed":
            return Question("passed", pid)
        case "/health" if pid is None:
            return Question("health")
    return None


def descends(caller: Caller | None, pid: int) -> bool:
    """True if a caller is the process `pid`, or one that it started."""
    return caller is not None and (caller.pid == pid or any(one.pid == pid for one in caller.ancestors))


async def when_recorded(
    in_flight: Callable[[], int], written: Callable[[], Callable[[], bool]], limit: float = LIMIT
) -> ProcessAnswer:
    """Wait until no call is in flight and those that ended are written, at most `limit` seconds.

    `written` returns a function that tells whether what has ended until now is written.
    """
    begun = time.monotonic()
    await _wait(lambda: not in_flight(), begun + min(limit, ENDED_WITHIN))
    is_written = await _wait(written(), begun + limit)
    left = in_flight()
    return ProcessAnswer(is_written and not left, left)


async def _wait(holds: Callable[[], bool], until: float) -> bool:
    """Ask until it holds, or it is `until`: what tells it is another process and another thread."""
    import asyncio  # here: the command line does without

    pause = _BETWEEN_FIRST
    while True:
        if holds():
            return True
        if time.monotonic() >= until:
            return False
        await asyncio.sleep(pause)
        pause = min(2 * pause, _BETWEEN)
