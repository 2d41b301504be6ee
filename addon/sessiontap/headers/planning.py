"""Who must be told what: the edits of a request's and a reply's headers. Pure: nothing is carried out here.

For each header, in this order:

1. what cannot be written is withheld, with the reason: names that are no tokens, headers that frame the message or
   belong to the connection, headers that AWS signed, and what would make the headers too many for a server;
2. a session header that the app sent stays, but where `existing` is `replace` and a rule (no default) set its field;
3. `headers.set` of the rules stands above the dialects;
4. `headers.remove` takes out what the app sent; what is written anew instead is one `set`;
5. what a gateway needs is written in any case, unless `headers.set` has another value for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache

from sessiontap.exchange import Headers
from sessiontap.headers import helicone, traceforge
from sessiontap.headers.aws import signed_headers
from sessiontap.headers.dialect import Dialect, Told, Wish
from sessiontap.headers.edit import Edit
from sessiontap.headers.values import ascii_text, is_token
from sessiontap.rules.decision import Decision, Labels
from sessiontap.rules.patterns import header_pattern
from sessiontap.sessions.session import Link, Session

DIALECTS: Mapping[str, Dialect] = {dialect.NAME: dialect for dialect in (helicone, traceforge)}

MOST_BYTES = 15 * 1024
"""Of all request headers together, ours included. Node refuses 16 KiB with a 431, the request line counted in."""

_PREFIXES = tuple(prefix for dialect in DIALECTS.values() for prefix in dialect.PREFIXES)
_FRAMING = """
    host content-length transfer-encoding content-encoding connection keep-alive te trailer upgrade expect
    proxy-connection proxy-authorization proxy-authenticate http2-settings
    sec-websocket-key sec-websocket-version sec-websocket-extensions sec-websocket-protocol sec-websocket-accept
"""
_NOT_OURS = frozenset(_FRAMING.split())
"""They frame the message or belong to one connection: changing them breaks the call."""


def reads(host: str, headers: Headers | None = None, provider: str | None = None) -> frozenset[str]:
    """The dialects that a destination is known to read. `headers` are the app's own."""
    headers = headers or Headers()
    return frozenset(name for name, dialect in DIALECTS.items() if dialect.reads(host, headers, provider))


def plan(
    *,
    decision: Decision,
    labels: Labels,
    session: Session,
    link: Link,
    headers: Headers,
    target: str = "/",
    host: str,
    provider: str | None = None,
    proxy_env: Mapping[str, str],
    why_no_key: str | None,
    gateway: Iterable[Edit] = (),
) -> tuple[Edit, ...]:
    """The edits of a request's headers, those that do nothing (`keep`, `withhold`) among them.

    `headers` and `target` (path and query) are the app's own; `host` is where the call goes, so the gateway's where it
    is rerouted, and `gateway` the edits which that way needs. `provider` is the host's. `why_no_key`: why the call may
    not carry the proxy's key for Helicone, None if it may.
    """
    needed = {edit.header.lower(): edit for edit in gateway}
    wishes: dict[str, Wish] = {}
    refused: list[Wish] = []
    if decision.wants_session:
        told = Told(session, link, labels)
        # Whoever is given Helicone's key reads its headers, be it a gateway of one's own.
        reader = helicone.NAME if provider is None and "helicone-auth" in needed else provider
        for name in _dialects(decision, host, headers, reader):
            for wish in DIALECTS[name].wishes(told):
                if wish.value is None:
                    refused.append(wish)
                else:
                    wishes.setdefault(wish.header.lower(), wish)
    by_rule = {
        header.lower(): Wish(header, ascii_text(value), f"headers.set.{header}")
        for header, value in labels.headers_set.items()
    }
    wishes |= by_rule

    if decision.wants_session and _sends(decision, helicone.NAME):
        sent = headers.get("helicone-auth")
        if sent is not None and _globs(labels.headers_remove)("helicone-auth"):
            sent = None
        auth = helicone.auth(host=host, sent=sent, proxy_env=proxy_env, why_no_key=why_no_key)
        if auth is not None:
            needed.setdefault("helicone-auth", auth)
    needed = {key: edit for key, edit in needed.items() if key not in by_rule}
    edits = [Edit("withhold", wish.header, headers.get(wish.header), None, wish.reason) for wish in refused]
    edits += [
        Edit("withhold", one.field.removeprefix("headers.set."), rule=f"{one.rule}: {one.reason}")
        for one in (*decision.withheld, *labels.withheld)
    ]
    if wishes or labels.headers_remove:
        edits += _edits(wishes, needed, decision, labels, headers, signed_headers(headers, target))
    return (*edits, *needed.values())


def reply_plan(request_edits: Iterable[Edit], headers: Headers, *, session: Session, call_id: str) -> tuple[Edit, ...]:
    """The edits of a response's headers; `request_edits` are those of its request."""
    return tuple(traceforge.reply(tuple(request_edits), headers, session.step, call_id))


def _sends(decision: Decision, dialect: str) -> bool:
    return decision.send == "auto" or dialect in decision.send


def _dialects(decision: Decision, host: str, headers: Headers, provider: str | None) -> Iterable[str]:
    if decision.send == "auto":
        read = reads(host, headers, provider)
        return [name for name in DIALECTS if name in read]
    return [name for name in decision.send if name in DIALECTS]


def _edits(
    wishes: Mapping[str, Wish],
    needed: Mapping[str, Edit],
    decision: Decision,
    labels: Labels,
    headers: Headers,
    signed: frozenset[str],
) -> Iterator[Edit]:
    room = MOST_BYTES - sum(_size(edit.header, edit.new or "") for edit in needed.values())
    present: dict[str, tuple[str, str]] = {}
    for name, sent in headers:
        key = name.lower()
        if key not in needed:
            room -= _size(name, sent)
            present[key] = (name, f"{present[key][1]}, {sent}") if key in present else (name, sent)
    removes = _globs(labels.headers_remove)

    written: set[str] = set()
    for key, (header, value, field, _) in wishes.items():
        if key in needed or value is None:
            continue
        old = present[key][1] if key in present else None
        more = _size(header, value) - (_size(header, old) if old is not None else 0)
        if reason := _why_not(header, key, signed):
            yield Edit("withhold", header, old, value, reason)
        elif old and not removes(key) and _stays(key, field, decision, labels):
            yield Edit("keep", header, old, value, _label(field, decision, labels))
        elif more > max(room, 0):
            yield Edit("withhold", header, old, value, f"with it the headers would be over {MOST_BYTES:,} bytes")
        else:
            room -= more
            written.add(key)
            yield Edit("set", header, old, value, _label(field, decision, labels))

    remover = labels.set_by.get("headers.remove")
    for key, (name, old) in present.items():
        if key not in written and removes(key):
            reason = _why_not(name, key, signed)
            yield Edit("withhold" if reason else "remove", name, old, None, reason or remover)


def _why_not(header: str, key: str, signed: frozenset[str]) -> str | None:
    if not is_token(header):
        return "not a header's name"
    if key in _NOT_OURS:
        return "it belongs to the connection or frames the message"
    return "AWS signed it" if key in signed else None


def _stays(key: str, field: str, decision: Decision, labels: Labels) -> bool:
    """Whether a header that the app sent stays. What is no session header is the rule's to set."""
    if not key.startswith(_PREFIXES):
        return False
    return decision.existing == "keep" or not (field in decision.set_by or field in labels.set_by)


def _label(field: str, decision: Decision, labels: Labels) -> str:
    return decision.set_by.get(field) or labels.set_by.get(field) or "default"


def _size(name: str, value: str) -> int:
    return len(name) + len(value) + 4  # ": " and the line's end


@lru_cache(maxsize=256)
def _globs(globs: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether one of the globs matches a header's name."""
    patterns = tuple(header_pattern(glob) for glob in globs)
    return lambda name: any(pattern.find(name) is not None for pattern in patterns)
