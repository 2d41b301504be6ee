"""From a call that ended to its record: on the trace writer's thread, off the proxy's loop."""

from __future__ import annotations

import logging
import os
import platform
from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import mitmproxy.version

import sessiontap
from sessiontap.callers import Caller
from sessiontap.exchange import Headers, Response
from sessiontap.headers import trace_id
from sessiontap.llm.call import Call, Reply
from sessiontap.llm.decode import Decoded, decode, decode_chunks
from sessiontap.llm.history import Ending
from sessiontap.llm.history import ending as end_of
from sessiontap.llm.read import read_reply
from sessiontap.faults import Faults
from sessiontap.proxy.live import Body, Ended, Fields
from sessiontap.proxy.outcome import Outcome
from sessiontap.proxy.plan import Left, Plan
from sessiontap.proxy.report import Terminal, call_line
from sessiontap.proxy.settings import Settings
from sessiontap.rules import Rules
from sessiontap.sessions.conversations import heads
from sessiontap.trace import secret
from sessiontap.trace.record import (
    CallSeen,
    SeenBody,
    SeenRequest,
    SeenResponse,
    call_record,
    caller_record,
    is_kept,
    note_record,
)
from sessiontap.trace.redact import Redactor
from sessiontap.trace.restore import Restored, restore
from sessiontap.trace.writer import Writer

logger = logging.getLogger("sessiontap")


class Recorder:
    """The trace log's writer, and the work that is done on its thread. `on_read` runs on that thread, too."""

    def __init__(
        self, settings: Settings, rules: Rules, on_read: Callable[[Left], None], faults: Faults
    ) -> None:
        """Raises TraceError: the folder cannot be written."""
        self._closing = False
        self._on_read = on_read
        self._faults = faults
        self._terminal = Terminal()
        self._folder = settings.trace
        self._key = secret.load()
        self._redactor = self._redact_by(rules)
        self._last_caller: tuple[Caller | None, Redactor, dict[str, Any]] = (None, self._redactor, {})
        info = {
            "pid": os.getpid(),
            "host": platform.node(),
            "sessiontap": sessiontap.__version__,
            "mitmproxy": mitmproxy.version.VERSION,
        }
        self._writer = Writer(settings.trace, writer_info=info, fsync_seconds=settings.fsync, on_fault=self._say)
        self._writer.start()
        self._clean = _Clean(self)
        logger.addFilter(self._clean)

    def _say(self, kind: str, text: str) -> None:
        """What the writer has to tell. The disk's troubles are no fault of ours, and are said as they are."""
        if kind.startswith("record:"):
            self._faults.report("recording", text)
        else:
            logger.warning(f"sessiontap: {text}")

    def close(self) -> None:
        """Write what is queued, then end."""
        self._closing = True
        self._writer.close(10)
        logger.removeFilter(self._clean)

    def hurry(self) -> None:
        """Read at once the replies that wait."""
        self._writer.hurry()

    def rules_changed(self, rules: Rules) -> None:
        """Redact by the new rules' patterns from here on."""
        self._redactor = self._redact_by(rules)

    def redacted(self, text: str) -> str:
        """What we are about to say. From any thread."""
        return self._redactor.text(text)

    def _redact_by(self, rules: Rules) -> Redactor:
        return Redactor(self._key, rules.redact_headers, rules.redact_patterns)

    def restore(self, seconds: float) -> Restored:
        """The heads of the newest recorded calls, as many as can be read in `seconds`."""
        return restore(self._folder, seconds)

    def submit(self, ended: Ended) -> bool:
        """Queue a call. False: the queue is full and the call was dropped, which the writer counts and notes."""
        size = len(ended.request_body.data) + len(ended.reply_body.data) + 2048
        return self._writer.submit(lambda: self._records(ended), size)

    def note(self, kind: str, text: str, **facts: Any) -> None:
        """Queue a note. What goes wrong in the last moment has been said on the terminal, and stands there alone."""
        if self._closing:
            return
        redactor = self._redactor

        def make() -> Iterable[dict[str, Any]]:
            plain = {key: redactor.value(value) for key, value in facts.items()}
            return [note_record(kind, redactor.text(text), **plain)]

        self._writer.submit(make, 512)

    # -- on the writer's thread ----------------------------------------------------------------------------------------

    def _records(self, ended: Ended) -> Iterable[dict[str, Any]]:
        plan, ending = ended.live.plan, None
        link_extra: dict[str, Any] = {}
        try:
            came = come(ended, self._faults)
            with self._faults.guard("conversations"):
                if plan is not None and plan.history is not None:
                    ending = end_of(plan.history, came.reply, ended.status)
                    link_extra = _kept(plan, ended.live.call, ending)
        finally:
            session_id = plan.session.id if plan and plan.session else None
            at = ended.live.time + ended.duration
            self._on_read(Left(ended.live.id, session_id, at, ending, trace_id(_headers(ended.reply_headers))))
        seen = see(ended, came, link_extra)
        redactor = self._redactor
        own = redactor.knowing(seen.request.headers, seen.request.url)
        self._terminal.say(own.text(call_line(seen)))
        if not is_kept(seen):
            return []
        record = call_record(seen, redactor)
        return [record] if seen.caller is None else [self._caller(seen.caller, redactor), record]

    def _caller(self, caller: Caller, redactor: Redactor) -> dict[str, Any]:
        """The record of a caller, which is most often the last call's."""
        if self._last_caller[0] is not caller or self._last_caller[1] is not redactor:
            self._last_caller = caller, redactor, caller_record(caller, redactor)
        return self._last_caller[2]


class Came(NamedTuple):
    """What came of a call, decoded and read."""

    request_headers: Headers
    request_body: Decoded
    reply_headers: Headers
    reply_body: Decoded
    reply: Reply | None


def come(ended: Ended, faults: Faults) -> Came:
    """Decode and read what came back. Raises nothing of a damaged body."""
    live, call = ended.live, ended.live.call
    request_headers, reply_headers = _headers(ended.request_headers), _headers(ended.reply_headers)
    whole = ended.outcome in ("ok", "http_error")
    request_body = _decoded(ended.request_body, request_headers, whole)
    reply_body = _decoded(ended.reply_body, reply_headers, whole)
    reply = None
    if call is not None and ended.status is not None:
        response = Response(ended.status, reply_headers, reply_body.data, whole and "response_cut" not in live.flags)
        live.flags.append("unread")
        with faults.guard("reading a reply"):
            reply = read_reply(call, live.request, response)
            live.flags.remove("unread")
    return Came(request_headers, request_body, reply_headers, reply_body, reply)


class _Clean(logging.Filter):
    """No credential on the terminal: a fault may quote what it failed on."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._recorder.redacted(record.getMessage()), None
        return True


def see(ended: Ended, came: Came, link_extra: dict[str, Any]) -> CallSeen:
    """Put together what is kept."""
    live, plan, reply = ended.live, ended.live.plan, came.reply
    return CallSeen(
        id=live.id,
        time=live.time,
        request=SeenRequest(
            method=live.request.method,
            url=live.request.url,
            http_version=ended.http_version,
            headers=came.request_headers,
            body=_seen(ended.request_body, came.request_body, came.request_headers),
            trailers=_headers(ended.request_trailers) if ended.request_trailers else None,
        ),
        response=SeenResponse(
            status=ended.status,
            http_version=ended.reply_http_version or "",
            headers=came.reply_headers,
            body=_seen(ended.reply_body, came.reply_body, came.reply_headers),
            trailers=_headers(ended.reply_trailers) if ended.reply_trailers else None,
            chunks=ended.reply_body.chunks,
        )
        if ended.status is not None
        else None,
        outcome=_outcome(ended.outcome, reply),
        duration=ended.duration,
        time_to_first_byte=live.first_byte,
        time_to_first_token=_first_token(reply, came.reply_body.offsets, ended.reply_body.chunks),
        host=live.request.host,
        forwarded_host=ended.forwarded_host,
        caller=live.connection.caller,
        client=live.connection.client_ip,
        proxy_user=live.connection.proxy_user,
        call=live.call,
        reply=reply,
        decision=plan.decision if plan else None,
        labels=plan.labels if plan else None,
        session=plan.session if plan else None,
        session_extra={"key": plan.session.key} if plan and plan.session and plan.session.key else {},
        link=plan.link if plan else None,
        link_extra=link_extra,
        edits=(*plan.edits, *plan.reply_edits) if plan else (),
        gateway=plan.gateway if plan else None,
        flags=tuple(live.flags) if plan else (*live.flags, "undecided"),
    )


def _kept(plan: Plan, call: Call | None, ending: Ending) -> dict[str, Any]:
    """What the record keeps so that the conversation goes on after a restart."""
    link, past = plan.link, plan.history
    if call is None or past is None or plan.ground is None or link.conversation is None:
        return {}
    more = {"kind": link.kind, "root": link.root, "lineage": list(link.lineage)}
    return more | heads(plan.ground, call, past, ending)


def _headers(fields: Fields) -> Headers:
    return Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields])


def _decoded(body: Body, headers: Headers, complete: bool) -> Decoded:
    encoding = headers.get("content-encoding")
    complete = complete and len(body.data) == body.size
    if not body.chunks:
        return decode(body.data, encoding, complete=complete)
    pieces, at = [], 0
    for _, size in body.chunks:
        pieces.append(body.data[at : at + size])
        at += size
    if at < len(body.data):  # chunks beyond those whose arrival is kept
        pieces.append(body.data[at:])
    return decode_chunks(pieces, encoding, complete=complete)


def _seen(body: Body, decoded: Decoded, headers: Headers) -> SeenBody | None:
    if not body.size:
        return None
    encoding = headers.get("content-encoding")
    total = body.size if body.size > len(body.data) else None
    if decoded.problem is not None and encoding:
        return SeenBody(body.data, encoding, undecodable=True, total=total, legible=decoded.data)
    return SeenBody(decoded.data, encoding, total=total)


def _outcome(outcome: Outcome, reply: Reply | None) -> Outcome:
    if outcome == "ok" and reply is not None and reply.stream and reply.error is not None:
        return "stream_error"
    return outcome


def _first_token(
    reply: Reply | None, offsets: tuple[int, ...], chunks: tuple[tuple[int, int], ...]
) -> int | None:
    """When the chunk arrived that completed the event with the first generated content."""
    if reply is None or reply.first_token is None or not chunks:
        return None
    number = bisect_left(offsets, reply.first_token)
    return chunks[number][0] if number < len(chunks) else None
