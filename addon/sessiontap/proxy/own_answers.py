"""The answers that a proxy gives for itself (own_address.py): what this process knows, and all workers together.

A worker that is asked asks the others through the front (front.py), and puts the answers together.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitmproxy import http

from sessiontap import trust
from sessiontap.proxy import flows, in_flight, own_address
from sessiontap.proxy.alerts import MOST_LATEST
from sessiontap.proxy.call_context import CallContext
from sessiontap.proxy.in_flight import progress_of
from sessiontap.proxy.own_address import Question
from sessiontap.proxy.passed import Passed, put_together
from sessiontap.proxy.service import Service

if TYPE_CHECKING:
    from sessiontap.proxy.sockets import Socket

HEALTH_SECONDS = 2.0
"""For the recorder to write what it has, and for the folder of the log."""
_PROBE = b"\0" * 4096
_BAD_REQUEST = (OSError, ValueError, EOFError, asyncio.LimitOverrunError)
"""Errors by which a request at the port of their own gets no answer; a time that is up is an OSError."""


class Answers:
    """For the loop alone."""

    def __init__(
        self,
        service: Service,
        calls: Mapping[str, CallContext],
        sockets: Mapping[str, Socket],
        passed: Passed,
    ) -> None:
        """`calls` are those over HTTP that have not ended, `sockets` the WebSockets that are open."""
        self._service = service
        self._calls = calls
        self._sockets = sockets
        self._passed = passed
        self.ask_others: Callable[[str], Awaitable[list[Any]]] | None = None
        """Returns what the other workers answer to a request's target; None for one that does not."""

    async def reply(self, flow: http.HTTPFlow) -> None:
        """Reply to a request to the proxy itself, if a program of this machine sent it."""
        question, client = own_address.asked(flow.request.path), flow.client_conn
        is_local = trust.is_local(flows.host_of(client.peername), flows.host_of(client.sockname), False)
        if not is_local or question is None:
            flow.response = http.Response.make(404)
            return
        status, answer = await self.to(question, flow.request.path)
        flow.response = flows.json_response(answer)
        flow.response.status_code = status

    async def listen(self) -> asyncio.Server:
        """Answer at a port of their own: the proxy takes no connection any more, but has calls in flight. Raises
        OSError."""
        return await asyncio.start_server(self._answer_at_port, "127.0.0.1", 0)

    async def _answer_at_port(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._service.faults.guard("own address"), contextlib.suppress(*_BAD_REQUEST), contextlib.closing(writer):
            async with asyncio.timeout(own_address.LIMIT):
                head = await reader.readuntil(b"\r\n\r\n")
            method, target, _ = head.partition(b"\r\n")[0].decode("ascii").split(" ")
            question = own_address.asked(target) if target.startswith(f"http://{own_address.HOST}/") else None
            status, answer = await self.to(question, target) if question and method == "GET" else (404, {})
            body = json.dumps(answer).encode()
            writer.write(f"HTTP/1.1 {status} -\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()

    async def to(self, question: Question, target: str) -> tuple[int, dict[str, Any]]:
        """Return the status and the JSON that answer a question, which is a request's `target`."""
        if question.asks in ("in_flight", "limits") and not hmac.compare_digest(
            (question.token or "").encode(), self._service.token.encode()
        ):
            return 404, {}
        if self.ask_others is None:
            answers: list[Any] = [await self.own(question)]
        else:
            answer, others = await asyncio.gather(self.own(question), self.ask_others(target))
            answers = [answer, *others]
        match question.asks:
            case "recorded":
                return 200, all_recorded(answers)
            case "passed":
                return 200, all_passed(answers)
            case "health":
                found = whole_health(answers)
                return 200 if found["ok"] else 503, found
            case "in_flight":
                return 200, all_in_flight(answers)
            case "limits":
                return 200, all_limits(answers)

    async def own(self, question: Question) -> dict[str, Any]:
        """Return the answer of this process alone."""
        match question.asks:
            case "recorded":
                return await self._recorded(question.pid or 0)
            case "passed":
                recorder = self._service.recorder
                return {
                    "passed": self._passed.about(question.pid),
                    "forgotten": self._passed.forgotten,
                    "lost_records": recorder.lost if recorder is not None else None,
                }
            case "health":
                return await self._health()
            case "in_flight":
                return {"calls": await self._in_flight()}
            case "limits":
                alerts = self._service.calls.alerts
                lifted = await alerts.lift(question.lift) if question.lift is not None else None
                return {"limits": await alerts.refusing(), "lifted": [lifted] if lifted is not None else []}

    async def _recorded(self, pid: int) -> dict[str, Any]:
        def in_flight() -> int:
            callers = [socket.caller for socket in self._sockets.values()]
            callers += [context.connection.caller for context in self._calls.values()]
            return sum(own_address.descends(caller, pid) for caller in callers)

        return (await own_address.when_recorded(in_flight, self._service.calls.receipt))._asdict()

    async def _in_flight(self) -> list[dict[str, Any]]:
        recorder = self._service.recorder
        if recorder is None:
            return []
        contexts = [(context, progress_of(context)) for context in self._calls.values()]
        contexts += [turn for socket in self._sockets.values() for turn in socket.in_flight()]
        return await in_flight.records(contexts, recorder.redactor)

    async def _health(self) -> dict[str, Any]:
        service = self._service
        settings, recorder = service.settings, service.recorder
        assert settings is not None
        loop = asyncio.get_running_loop()
        probe = loop.run_in_executor(None, why_not_writable, settings.trace)
        answer = await own_address.when_recorded(lambda: 0, service.calls.receipt, HEALTH_SECONDS)
        done, _ = await asyncio.wait([probe], timeout=HEALTH_SECONDS)
        error = probe.result() if done else f"{settings.trace} does not answer"
        if recorder is not None and recorder.failing is not None:
            error = error or recorder.failing
        rules = service.rules_file
        return {
            "listening": [f"{one['host']}:{one['port']}" for one in service.listeners()],
            "rules": {
                "file": str(rules.path) if rules is not None and rules.path else None,
                "in_force": service.rules.count,
                "error": rules.error if rules is not None else None,
            },
            "recorder": recorder is not None and recorder.is_alive and answer.recorded,
            "lost_records": recorder.lost if recorder is not None else None,
            "trace": {"folder": str(settings.trace), "writable": error is None, "error": error},
            "gateways": [
                {**one.gateway._asdict(), "seconds": round(one.seconds, 1), "skipped": one.skipped}
                for one in service.planner.breakers.open_ones()
            ],
            "alerts": list(service.calls.alerts.latest),
            "alerts_failing": dict(service.calls.alerts.notifier.failing),
            "session_store": service.store.health() if service.store is not None else None,
        }


def why_not_writable(folder: Path) -> str | None:
    """Return why no record can be written in `folder`; None if one can."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            file.write(_PROBE)
    except OSError as error:
        return f"{folder} cannot be written: {error.strerror or error}"
    return None


def all_recorded(answers: list[Any]) -> dict[str, Any]:
    """Put the answers of all workers together. Of one that gives none nothing is known to be recorded."""
    given = [one for one in answers if one is not None]
    recorded = len(given) == len(answers) and all(one["recorded"] for one in given)
    return {"recorded": recorded, "in_flight": sum(one["in_flight"] for one in given)}


def all_passed(answers: list[Any]) -> dict[str, Any]:
    """The same of what passed unrecorded."""
    given = [one for one in answers if one is not None]
    lost = [one["lost_records"] for one in given]
    return {
        "passed": put_together([item for one in given for item in one["passed"]]),
        "forgotten": sum(one["forgotten"] for one in given),
        "lost_records": sum(lost) if len(given) == len(answers) and None not in lost else None,
    }


def all_limits(answers: list[Any]) -> dict[str, Any]:
    """The same of the limits that refuse calls, and of those that were lifted. All workers have the same counts."""
    given = [one for one in answers if one is not None]
    return {
        key: [*{limit["id"]: limit for one in given for limit in one[key]}.values()] for key in ("limits", "lifted")
    }


def all_in_flight(answers: list[Any]) -> dict[str, Any]:
    """The same of the calls in flight, oldest first."""
    calls = [call for one in answers if one is not None for call in one["calls"]]
    return {"calls": sorted(calls, key=lambda call: (call["time"], call["id"]))}


def _all_gateways(given: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Put the gateways together that are left alone: each has a breaker in every worker."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for one in (gateway for answer in given for gateway in answer["gateways"]):
        known = found.setdefault((one["name"], one["origin"]), {**one, "seconds": 0.0, "skipped": 0})
        known["seconds"] = max(known["seconds"], one["seconds"])
        known["skipped"] += one["skipped"]
    return sorted(found.values(), key=lambda one: -float(one["seconds"]))


def _session_store(given: list[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """The store as the worker sees it that has been without it for the longest."""
    known = [one for one in given if one is not None]
    if not known:
        return None
    worst = max(known, key=lambda one: float(one["seconds"] or 0.0))
    added = {key: sum(one[key] for one in known) for key in ("local_steps", "unnumbered")}
    return {**worst, **added, "longest_wait": max(one["longest_wait"] for one in known)}


def whole_health(answers: list[Any]) -> dict[str, Any]:
    """The same of their health: it is ok if all can write records."""
    given: list[Mapping[str, Any]] = [one for one in answers if one is not None]
    first = given[0]
    lost = [one["lost_records"] for one in given]
    bad = next((one for one in given if not one["trace"]["writable"]), first)
    recorder = len(given) == len(answers) and all(one["recorder"] for one in given)
    return {
        "ok": recorder and bool(bad["trace"]["writable"]) and bool(first["listening"]),
        "listening": first["listening"],
        "rules": next((one["rules"] for one in given if one["rules"]["error"]), first["rules"]),
        "recorder": recorder,
        "lost_records": sum(lost) if None not in lost else None,
        "trace": bad["trace"],
        "gateways": _all_gateways(given),
        "alerts": sorted((alert for one in given for alert in one["alerts"]), key=lambda one: int(one["time"]))[
            -MOST_LATEST:
        ],
        "alerts_failing": {by: why for one in given for by, why in one["alerts_failing"].items()},
        "session_store": _session_store([one["session_store"] for one in given]),
        "workers": {"running": len(given), "of": len(answers)},
    }
