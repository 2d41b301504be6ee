"""Plan the edits of a request's and of a reply's headers. Pure: nothing is carried out here.

For each header, in this order:

1. what cannot be written is withheld, with the reason: names that are no tokens, headers that frame the message or
   belong to the connection, headers that AWS signed, and what would make the headers too many for a server;
2. a session header that the app sent stays, unless `existing` is `replace` and a rule (no default) set its field; to
   one that holds members (`baggage`, metadata) ours are added, and the same goes for each member;
3. `headers.set` of the rules stands above the dialects;
4. `headers.remove` takes out what the app sent; what is written anew instead is one `set`;
5. what a gateway needs is written in any case, unless `headers.set` has another value for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import parse_qsl

from sessiontap.dialects import DIALECTS, SESSION_PREFIXES, WRITTEN, Dialect, ProposedHeader, SessionInfo, reads
from sessiontap.dialects.header_text import ascii_text, is_token
from sessiontap.exchange import Headers
from sessiontap.header_edit import CONNECTION_HEADERS, Edit
from sessiontap.rules.decision import Decision, FilledSettings
from sessiontap.rules.match_patterns import header_pattern
from sessiontap.sessions.session import Link, Session

MOST_BYTES = 15 * 1024
"""Of all request headers together, ours included. Node refuses 16 KiB with a 431, the request line counted in."""

_SIGNED_HEADERS = re.compile(r"\bSignedHeaders=([^,\s]+)", re.IGNORECASE)
_ALWAYS = frozenset({"authorization", "host", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"})
"""Headers of the signature itself, named in it or not."""

_KEYS = tuple((name, one.own_key) for name, one in WRITTEN.items() if one.own_key is not None)
_NOTHING: Mapping[str, str] = MappingProxyType({})
_NO_DIALECTS: Mapping[str, Dialect] = MappingProxyType({})


class OutgoingCall(NamedTuple):
    """A request on its way: as the app sent it, and its destination."""

    headers: Headers
    """The app's own."""
    host: str
    """The host that the call goes to: the gateway's host if it is rerouted."""
    provider: str | None = None
    """That host's provider."""
    target: str = "/"
    """Path and query, as the app sent them."""
    proxy_env: Mapping[str, str] = _NOTHING
    why_no_key: str | None = "it is not known who asks"
    """Why the call may not carry the proxy's own key; None if it may."""
    gateway: tuple[Edit, ...] = ()
    """The edits that the way through a gateway needs."""
    id: str = ""
    """The call's id."""
    turn: str = ""
    """The id of the call with which its turn began, as far as that is known."""
    dialects: Mapping[str, Dialect] = _NO_DIALECTS
    """The rules' own dialects."""
    gateway_reads: frozenset[str] = frozenset()
    """The dialects that the gateway reads."""


def plan(
    decision: Decision, filled: FilledSettings, session: Session, link: Link, call: OutgoingCall
) -> tuple[Edit, ...]:
    """The edits of a request's headers, those that do nothing (`keep`, `withhold`) among them."""
    needed = {edit.header.lower(): edit for edit in call.gateway}
    proposed: dict[str, ProposedHeader] = {}
    refused: list[ProposedHeader] = []
    if decision.wants_session:
        info = _info(session, link, filled, call)
        for dialect in _dialects(decision, call, needed):
            assert dialect.request_headers is not None
            for header in dialect.request_headers(info):
                if header.value is None and header.members is None:
                    refused.append(header)
                else:
                    proposed.setdefault(header.header.lower(), header)
    by_rule = {
        header.lower(): ProposedHeader(header, ascii_text(value), f"headers.set.{header}")
        for header, value in filled.headers_set.items()
    }
    proposed |= by_rule
    if decision.wants_session:
        for edit in _own_keys(decision, filled, call):
            needed.setdefault(edit.header.lower(), edit)
    needed = {key: edit for key, edit in needed.items() if key not in by_rule}
    edits = [Edit("withhold", one.header, call.headers.get(one.header), None, one.reason) for one in refused]
    edits += [
        Edit("withhold", one.field.removeprefix("headers.set."), rule=f"{one.rule}: {one.reason}")
        for one in (*decision.withheld, *filled.withheld)
    ]
    if proposed or filled.headers_remove:
        edits += _edits(proposed, needed, decision, filled, call)
    return (*edits, *needed.values())


def reply_plan(request_edits: Iterable[Edit], headers: Headers, *, session: Session, call_id: str) -> tuple[Edit, ...]:
    """The edits of a response's headers; `request_edits` are those of its request."""
    edits = tuple(request_edits)
    return tuple(
        edit
        for dialect in WRITTEN.values()
        if dialect.reply_headers is not None
        for edit in dialect.reply_headers(edits, headers, session.step, call_id)
    )


def trace_id(headers: Headers) -> str | None:
    """The server's own name for a call, from the response's headers."""
    for dialect in DIALECTS:
        value = (headers.get(dialect.trace_id) or "").strip() if dialect.trace_id is not None else ""
        if 0 < len(value) <= 256 and value.isprintable():
            return value
    return None


def _info(session: Session, link: Link, filled: FilledSettings, call: OutgoingCall) -> SessionInfo:
    field = "state"
    if filled.state is not None:
        field = next((key for key in filled.set_by if key == field or key.startswith("state.")), field)
    return SessionInfo(
        session.id,
        session.name,
        session.step,
        filled.path,
        filled.user,
        filled.properties,
        filled.state,
        field,
        link.parent_trace,
        filled.tags,
        call.id,
        call.turn,
    )


def _own_keys(decision: Decision, filled: FilledSettings, call: OutgoingCall) -> Iterator[Edit]:
    """The proxy's own keys for the servers of the dialects that are sent."""
    for name, key in _KEYS:
        if not _sends(decision, name):
            continue
        sent = call.headers.get(key.header)
        if sent is not None and _globs(filled.headers_remove)(key.header.lower()):
            sent = None
        if (edit := key.edit(call.host, sent, call.proxy_env, call.why_no_key)) is not None:
            yield edit


def _sends(decision: Decision, dialect: str) -> bool:
    return decision.send == "auto" or dialect in decision.send


def _dialects(decision: Decision, call: OutgoingCall, needed: Mapping[str, Edit]) -> list[Dialect]:
    """The dialects to write."""
    if decision.send != "auto":
        return [known for name in decision.send if (known := WRITTEN.get(name) or call.dialects.get(name)) is not None]
    provider = call.provider
    if provider is None:
        # Whoever is given a dialect's key reads its headers, be it a gateway of one's own.
        provider = next((name for name, key in _KEYS if key.header.lower() in needed), None)
    read = reads(call.host, call.headers, provider) | call.gateway_reads
    found = [WRITTEN[name] for name in WRITTEN if name in read] if read else []
    if provider is not None and provider in call.dialects:
        found.append(call.dialects[provider])
    return found


def _edits(
    proposed: Mapping[str, ProposedHeader],
    needed: Mapping[str, Edit],
    decision: Decision,
    filled: FilledSettings,
    call: OutgoingCall,
) -> Iterator[Edit]:
    signed = signed_headers(call.headers, call.target)
    room = MOST_BYTES - sum(_size(edit.header, edit.new or "") for edit in needed.values())
    present: dict[str, tuple[str, str]] = {}
    for name, sent in call.headers:
        key = name.lower()
        if key not in needed:
            room -= _size(name, sent)
            present[key] = (name, f"{present[key][1]}, {sent}") if key in present else (name, sent)
    removes = _globs(filled.headers_remove)

    def replaces(field: str) -> bool:
        return decision.existing == "replace" and (field in decision.set_by or field in filled.set_by)

    written: set[str] = set()
    for key, (header, value, field, cut, members) in proposed.items():
        if key in needed or (value is None and members is None):
            continue
        old = present[key][1] if key in present else None
        stays = bool(old) and not removes(key)
        if members is not None:
            value, cut = members.value(old if stays else None, replaces)
        elif stays:
            # A header that a rule sets by name replaces the app's, if it is no session header.
            is_session = not field.startswith("headers.set.") or key.startswith(SESSION_PREFIXES)
            stays = is_session and not replaces(field)
        label = decision.set_by.get(field) or filled.set_by.get(field) or "default"
        if cut is not None:
            label = f"{label}; {cut}"
        more = _size(header, value or "") - (_size(header, old) if old is not None else 0)
        if reason := _why_not(header, key, signed):
            yield Edit("withhold", header, old, value, reason)
        elif value is None or (stays and members is None):
            yield Edit("keep" if stays else "withhold", header, old, value, label)
        elif more > max(room, 0):
            yield Edit("withhold", header, old, value, f"with it the headers would be over {MOST_BYTES:,} bytes")
        else:
            room -= more
            written.add(key)
            yield Edit("set", header, old, value, label)

    remover = filled.set_by.get("headers.remove")
    for key, (name, old) in present.items():
        if key not in written and removes(key):
            reason = _why_not(name, key, signed)
            yield Edit("withhold" if reason else "remove", name, old, None, reason or remover)


def _why_not(header: str, key: str, signed: frozenset[str]) -> str | None:
    if not is_token(header):
        return "not a header's name"
    if key in CONNECTION_HEADERS:
        return "it belongs to the connection or frames the message"
    return "AWS signed it" if key in signed else None


def _size(name: str, value: str) -> int:
    return len(name) + len(value) + 4  # ": " and the line's end


@lru_cache(maxsize=256)
def _globs(globs: tuple[str, ...]) -> Callable[[str], bool]:
    """A function that returns True for a header's name that one of the globs matches."""
    patterns = tuple(header_pattern(glob) for glob in globs)
    return lambda name: any(pattern.find(name) is not None for pattern in patterns)


def signed_headers(headers: Headers, target: str = "") -> frozenset[str]:
    """The lower-case names of the headers that AWS signed (Signature Version 4); empty if the request is not signed.

    They must reach the server as they are, or it refuses the call.

    Signed requests name them in `Authorization: AWS4-HMAC-SHA256 Credential=..., SignedHeaders=a;b, Signature=...`
    (Version 4A: AWS4-ECDSA-P256-SHA256), presigned URLs in the query parameter X-Amz-SignedHeaders. `target` is the
    request's path and query.
    """
    names: list[str] = []
    for value in headers.all("authorization"):
        if value[:5].upper() == "AWS4-":
            found = _SIGNED_HEADERS.search(value)
            names += ["authorization", *(found[1].split(";") if found else ())]
    if "x-amz-sign" in target.lower():
        for name, value in parse_qsl(target.partition("?")[2], keep_blank_values=True):
            if name.lower() == "x-amz-signedheaders":
                names += ["host", *value.split(";")]
            elif name.lower() == "x-amz-signature":
                names.append("host")
    return frozenset(name.strip().lower() for name in names if name.strip()) | _ALWAYS if names else frozenset()
