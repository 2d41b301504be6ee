"""The conversation so far as digests, from a request, and the fingerprint that its reply adds.

A request's messages are **entries**: a user's or a tool's message each, and an assistant's run (see `messages`). The
**chain** is the rolling digest over them: `chain[0]` of none, `chain[i]` = digest(chain[i-1] + entry i), so that one
value stands for a whole history up to its entry, and a later request that goes on from here has it in its own chain. A
reply gives the value that the chain will have behind it. System prompts are apart, wherever they stand: they change on
the way.

The shapes of all families are told apart by their keys (`families.messages_of`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import NamedTuple

from sessiontap.llm.call import Call, Reply
from sessiontap.llm.families import CHOICES, SAID, WRAPPERS, messages_of, prompts_of
from sessiontap.llm.message_pieces import (
    CallPiece,
    MediaPiece,
    MessagePiece,
    ResultPiece,
    TextPiece,
    digest,
    json_bytes,
    message_digest,
    plain,
    rough_digest,
    run_digest,
    said_digest,
)
from sessiontap.llm.messages import AGENT, ROLES, Role
from sessiontap.llm.pick import count, parse, text
from sessiontap.llm.purpose import Purpose, goes_on, purpose_of
from sessiontap.value_classes import dataclass

START = b"\0" * 16
"""The chain of no message at all."""

_SYSTEM = ("system", "developer")
_PASSING = (408, 409, 425, 429)
"""Statuses that are worth another try; all of 5xx are."""
_PASSING_KINDS = re.compile(
    "overload|rate.?limit|time.?out|unavailable|throttl|internal|server|api_error|exhausted|deadline", re.IGNORECASE
)
"""The same of an error inside a 200, by its type."""
SHORTEST_PROMPT = 20
"""Characters of a text that a sub-agent is recognised by: shorter ones anybody may say."""
_SUBSTANTIAL = 40
"""Characters of a reply that is told from others by itself."""
_LONGEST_LINE_TABLE = 256
_SHORTEST_LINE = 24


class HistoryEntry(NamedTuple):
    """One message, or one assistant's run."""

    role: Role
    digest: bytes
    issued: tuple[str, ...] = ()
    """Ids of the tool calls in it."""
    answered: tuple[str, ...] = ()
    """Ids of the tool calls whose results are in it."""
    text: str = ""
    """Of an assistant's run: its text, and the tools it calls."""
    called: tuple[str, ...] = ()

    @property
    def outline(self) -> bytes:
        """See `message_pieces.rough_digest`."""
        return rough_digest(self.text, self.called)


@dataclass(frozen=True, slots=True)
class History:
    """The conversation so far, as a request tells it."""

    entries: tuple[HistoryEntry, ...] = ()
    chain: tuple[bytes, ...] = (START,)
    """`chain[i]` stands for the first i entries."""
    opening: str | None = None
    """The first user message's text, or what another agent sent to begin with."""
    parts: tuple[str, ...] = ()
    """Its parts, if it is written in several."""
    latest: str | None = None
    """The newest user message's text."""
    system: bytes | None = None
    """Digest of the system prompt."""
    settings: bytes | None = None
    """Digest of everything else that the request says: model, tools, limits."""
    choices: bool = False
    """It asks for several replies, of which any may be gone on from."""
    purpose: Purpose | None = None
    """The purpose of a request that is not the conversation itself."""
    goes_on: bool = False
    """It opens with what a compaction left of an earlier history."""
    declared: str | None = None
    """The server's own conversation that it names (`conversation` of the Responses API)."""

    @property
    def end(self) -> bytes:
        """The chain's last value."""
        return self.chain[-1]

    @property
    def whole(self) -> bytes:
        """Stands for all that a retry repeats."""
        return whole(self.end, self.system, self.settings)

    def tail(self) -> History:
        """Return the part that `fingerprint_of` needs."""
        return History(
            entries=self.entries[-1:],
            chain=self.chain[-2:],
            system=self.system,
            settings=self.settings,
            choices=self.choices,
            purpose=self.purpose,
            declared=self.declared,
        )

    def quotes(self, words: str) -> bool:
        """Return whether the user's first or newest text holds `said`."""
        return any(words in text for text in (self.opening, self.latest) if text is not None)


@dataclass(frozen=True, slots=True)
class DelegatedPrompt:
    """A text that a reply hands to a tool: if a request opens with it, that is the tool's sub-agent."""

    digest: bytes
    tool: str
    """The sub-agent's type if the arguments tell it, else the tool's name."""
    id: str | None = None


@dataclass(frozen=True, slots=True)
class ReplyFingerprint:
    """The traces of a reply by which a later request that goes on from it is recognised."""

    key: bytes | None = None
    """The chain's value behind the reply; None if it said nothing that a later request would hold."""
    outline: bytes | None = None
    """See `message_pieces.rough_digest`; None if what will stand in the history may be another or a part of it."""
    digest: bytes | None = None
    """Stands for the reply alone if it is substantial."""
    pair: bytes | None = None
    """The same with the request's last entry."""
    response_id: str | None = None
    tools: tuple[tuple[str, str | None], ...] = ()
    """(id, name) of the tool calls in it that have an id."""
    delegated: tuple[DelegatedPrompt, ...] = ()
    lines: frozenset[bytes] = field(default=frozenset())
    """Of a summary: its lines, to find them where a compacted conversation begins."""
    failed: bool = False
    """There was no reply to go on from: an error, or nothing at all."""
    retryable: bool = False
    """It failed in a way that the same request may get over: no response, too many requests, a fault of the server."""
    incomplete: bool = False
    """It did not come to its end: a part of it may be gone on from, or the request be sent again."""


def history(call: Call) -> History:
    """The history in a request's parsed JSON; an empty one if there is none."""
    body = call.json
    if not isinstance(body, dict):
        return History()
    for key in WRAPPERS:
        body = inner if isinstance(inner := body.get(key), dict) else body
    system: list[str] = [*prompts_of(body)]
    entries: list[HistoryEntry] = []
    opening: str | None = None
    parts: tuple[str, ...] = ()
    latest: str | None = None
    run: list[MessagePiece] = []
    for role, pieces in messages_of(body):
        if role in _SYSTEM:
            if not entries and not run:
                system += (piece.text for piece in pieces if isinstance(piece, TextPiece))
            continue
        if role == "assistant":
            run += pieces
            continue
        if run:
            entries += _run(run)
            run = []
        if not pieces:
            continue
        answered = tuple(piece.id for piece in pieces if isinstance(piece, ResultPiece) and piece.id)
        own_role = ROLES.get(role, "user")
        entries.append(HistoryEntry(own_role, message_digest(own_role, pieces), (), answered))
        if role in ("user", AGENT) and (texts := [piece.text for piece in pieces if isinstance(piece, TextPiece)]):
            words = "\n".join(texts)
            latest = words if role == "user" else latest
            if opening is None:
                opening, parts = words, tuple(texts)
    if run:
        entries += _run(run)
    chain = [START]
    for entry in entries:
        chain.append(digest(chain[-1], entry.digest))
    prompt = "\n".join(system)
    hashed = said_digest(prompt) if prompt else None
    rest = {key: value for key, value in body.items() if key not in SAID}
    return History(
        entries=tuple(entries),
        chain=tuple(chain),
        opening=opening,
        parts=parts if len(parts) > 1 else (),
        latest=latest,
        system=hashed,
        settings=digest(json_bytes([call.asked.model, call.asked.stream, call.endpoint.operation, rest])),
        choices=max([count(body, *path) or 1 for path in CHOICES if path[0] in body], default=1) > 1,
        purpose=purpose_of(call, prompt, opening, latest),
        goes_on=goes_on(opening),
        declared=text(body, "conversation") or text(body, "conversation", "id"),
    )


def fingerprint_of(
    asked: History, reply: Reply | None, status: int | None, *, complete: bool = True
) -> ReplyFingerprint:
    """Return the fingerprint of a reply to a request with the history `asked`.

    `reply` and `status` are None if none came; `complete`: all of it came.
    """
    if reply is None or status is None or status >= 400 or (reply.error and not reply.text and not reply.tool_calls):
        return ReplyFingerprint(failed=True, retryable=_passes(reply, status))
    cut = not complete or reply.error is not None
    calls = [(tool.name, tool.arguments) for tool in reply.tool_calls]
    found, key = reply_digest(reply), None
    last = asked.entries[-1] if asked.entries else None
    prefilled = last is not None and last.role == "assistant" and not last.called
    answer = last.text + (reply.text or "") if last is not None and prefilled else reply.text or ""
    whole_run = run_digest(answer, calls) if found is not None and prefilled else found
    if whole_run is not None:
        key = digest(asked.chain[-2] if prefilled else asked.end, whole_run)
    substantial = bool(reply.tool_calls) or len(reply.text or "") >= _SUBSTANTIAL
    return ReplyFingerprint(
        key=key,
        outline=None if key is None or cut or asked.choices else rough_digest(answer, (name for name, _ in calls)),
        digest=found if substantial else None,
        pair=digest(last.digest, found) if found and substantial and last is not None else None,
        response_id=reply.response_id,
        tools=tuple((tool.id, tool.name) for tool in reply.tool_calls if tool.id),
        delegated=tuple(_delegated(reply)),
        lines=frozenset(lines_of(reply.text)) if asked.purpose == "summary" else frozenset(),
        retryable=not complete or _passes(reply, status),
        incomplete=cut,
    )


def _passes(reply: Reply | None, status: int | None) -> bool:
    """Return whether the same request may succeed when it is sent again."""
    if status is None or status >= 400:
        return status is None or status >= 500 or status in _PASSING
    kind = reply.error.type if reply is not None and reply.error is not None else None
    return kind is not None and _PASSING_KINDS.search(kind) is not None


def whole(end: bytes, system: bytes | None, settings: bytes | None) -> bytes:
    """Stands for all that a retry of a request repeats."""
    return digest(end, system or START, settings or START)


def reply_digest(reply: Reply) -> bytes | None:
    """The digest of the assistant's run that a reply becomes in the next request; None if it says nothing."""
    return run_digest(reply.text or "", ((tool.name, tool.arguments) for tool in reply.tool_calls))


def text_digest(text: str) -> bytes:
    """Return the digest of a text by itself, as a tool is handed it and as a request opens with it."""
    return said_digest(plain(text))


def lines_of(text: str | None) -> Iterator[bytes]:
    """Digests of the lines that are long enough to be told from others."""
    lines = (line.strip() for line in (text or "").splitlines()[:_LONGEST_LINE_TABLE])
    return (digest(line.encode("utf-8", "surrogatepass"))[:8] for line in lines if len(line) >= _SHORTEST_LINE)


_KIND_OF_SUBAGENT = ("subagent_type", "agent_type", "agent_name", "agent", "recipient_name", "task_name")


def _delegated(reply: Reply) -> Iterator[DelegatedPrompt]:
    for tool in reply.tool_calls:
        given, _ = parse(tool.arguments) if tool.arguments else (None, None)
        if not isinstance(given, dict):
            continue
        kind = next((named for key in _KIND_OF_SUBAGENT if (named := text(given, key))), tool.name)
        for value in given.values():
            if isinstance(value, str) and len(value) >= SHORTEST_PROMPT:
                yield DelegatedPrompt(text_digest(value), kind, tool.id)


def _run(pieces: Iterable[MessagePiece]) -> Iterator[HistoryEntry]:
    """The entry of an assistant's run; nothing if it says nothing that counts."""
    pieces = list(pieces)
    calls = [piece for piece in pieces if isinstance(piece, CallPiece)]
    words = "".join(piece.text for piece in pieces if isinstance(piece, TextPiece))
    found = run_digest(words, [call[:2] for call in calls])
    if found is None and (media := [piece.digest for piece in pieces if isinstance(piece, MediaPiece)]):
        found = digest(*media)  # beside a text they count for nothing: what a reply has of them is not read
    if found is not None:
        issued = tuple(call.id for call in calls if call.id)
        yield HistoryEntry("assistant", found, issued, (), words, tuple(call.name for call in calls))
