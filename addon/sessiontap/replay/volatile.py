"""A table of what differs in a request from run to run and means nothing; `canonicalizer` takes it out.

A program that runs again asks the same with another session id, another date, other temporary folders. Two requests
whose canonical forms are equal ask for the same reply. The rules of the table:

- An entry is in the table because an agent or an SDK was seen to send it, or because it cannot mean anything to a
  model. Its reason says which.
- A value is **replaced**, never guessed: `2026-11-22` becomes `<date>`, so that a request with a date is never equal to
  one without.
- Whatever the table does not name counts, to the last character: model, limits, texts, tools, results of tools.
- Ids that tie a tool's result to its call become the position of the call in the history. Ids that name an earlier
  reply (`previous_response_id`) stay: a replay gives the recorded ones again.
- Arguments and results of tools are data. Texts in them lose dates and temporary paths as any text does, but no key of
  them is dropped or taken for an id.

Requests that are told apart only by what was set aside are still told apart: `canonical` keeps a digest of it, and of
several recorded calls with one canonical form the one with most of the same values answers.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sessiontap.llm.families import CACHE_MARKS
from sessiontap.llm.message_pieces import PASSING, without_element


class VolatileKey(NamedTuple):
    """A key of the request's JSON that is left out with its value."""

    key: str
    kind: str
    reason: str


class VolatileText(NamedTuple):
    """A stretch of a text that is replaced by `<kind>`."""

    kind: str
    pattern: re.Pattern[str]
    hint: tuple[str, ...]
    """One of these stands in each line in which the pattern is found; empty: anything may."""
    reason: str


# Keys --------------------------------------------------------------------------------------------------------------

DROPPED_ANYWHERE: dict[str, VolatileKey] = {
    one.key: one
    for one in (
        *(VolatileKey(key, "cache marks", "they move with every turn, and say nothing") for key in sorted(CACHE_MARKS)),
        VolatileKey("signature", "seals", "Anthropic seals its reasoning anew in every run"),
        VolatileKey("thoughtSignature", "seals", "Gemini seals its thoughts anew in every run"),
        VolatileKey("thought_signature", "seals", "the same, as Google's SDK for Python writes it"),
        VolatileKey("encrypted_content", "seals", "the Responses API encrypts its reasoning anew in every run"),
        VolatileKey(
            "internal_chat_message_metadata_passthrough", "ids", "Codex 0.169 puts turn ids and times into each message"
        ),
    )
}
"""Left out of messages, prompts and tools, however deep, but not within arguments and results of tools."""

DROPPED_FIELDS: dict[str, VolatileKey] = {
    one.key: one
    for one in (
        VolatileKey("metadata", "ids", "the caller's labels (Claude Code: user and session); no model sees them"),
        VolatileKey("client_metadata", "ids", "Codex 0.169: session, thread, turn, window, installation, a time"),
        VolatileKey("diagnostics", "ids", "Claude Code names the message before; the history says the same"),
        VolatileKey("prompt_cache_key", "ids", "a session's id that OpenAI's cache goes by (Codex, Agents SDK, pi)"),
        VolatileKey("user", "ids", "OpenAI's id of an end user; no model sees it"),
        VolatileKey("safety_identifier", "ids", "OpenAI's later name for the same"),
        VolatileKey("user_prompt_id", "ids", "Gemini CLI with a Google login"),
        VolatileKey("session_id", "ids", "Gemini CLI with a Google login, telemetry of agno and others"),
        VolatileKey("sessionId", "ids", "Qwen Code"),
        VolatileKey("request_id", "ids", "an id of the request itself"),
        VolatileKey("requestId", "ids", "the same in another spelling"),
        VolatileKey("run_id", "ids", "an id of the run (agno's telemetry)"),
        VolatileKey("event_id", "ids", "a client's id of a frame (OpenAI realtime)"),
        VolatileKey("sentAt", "dates", "when telemetry was sent (segment, posthog)"),
    )
}
"""Left out of the fields of a request, and of the request within a wrapper."""

OF_MODELS = frozenset(("metadata", "user"))
"""Of these fields, those that are left out only of a request to a model: elsewhere they may be what it is about."""

LINK_IDS = frozenset((
    "id", "tool_use_id", "tool_call_id", "call_id", "toolUseId", "toolCallId", "item_id", "previous_item_id",
))  # fmt: skip
"""Keys of messages and their parts that hold ids: of messages, of items, of calls of tools. Their values count by the
position at which they stand first."""

DATA = frozenset(("input", "arguments", "args", "parameters", "output", "response", "result", "json"))
"""Keys of messages under which a tool's arguments or results stand: keys in them are the tool's own."""

NAMES = frozenset((
    "model", "modelId", "previous_response_id", "previous_interaction_id", "conversation", "container",
    "anthropic_version", "api_version", "schemaVersion", "type", "role", "name",
))  # fmt: skip
"""Keys whose values are names and ids that mean something, whatever they look like: they stay as they are."""

# Texts -------------------------------------------------------------------------------------------------------------

REMINDERS = PASSING
"""Elements that agents put into a text for one request (`llm.message_pieces`): Claude Code's reminders, Codex's
environment with its folder, shell and date."""

_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sep(?:t(?:ember)?)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY = r"(?:(?:Mon|Tues?|Wed(?:nes)?|Thur?s?|Fri|Sat(?:ur)?|Sun)(?:day)?\.?,?\s+)?"
_CLOCK = r"[0-2]?\d:[0-5]\d(?::[0-6]\d(?:[.,]\d{1,9})?)?(?:\s?[AaPp]\.?[Mm]\b\.?)?"
_ZONE = r"(?:\s?(?:Z|UTC|GMT|[A-Z]{3,4}|[+-]\d\d:?\d\d)\b)?"

TEXTS: tuple[VolatileText, ...] = (
    VolatileText(
        "credential",
        re.compile(r"\[redacted:[\w.*-]{1,80}:[0-9a-f]{10}\]"),
        ("[redacted:",),
        "the log has a digest by the user's key in place of a credential; a replay redacts the live request by another",
    ),
    VolatileText(
        "id",
        re.compile(r"(?<![\w])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?!\w)"),
        ("-",),
        "a UUID is drawn for one run: sessions, turns, events of telemetry",
    ),
    VolatileText(
        "id",
        re.compile(
            r"\b(?:toolu|call|msg|resp|req|run|fc|rs|ses|session|thread|chatcmpl)[_-](?:[a-z]+_)?[0-9A-Za-z]{14,}\b"
        ),
        ("_", "-"),
        "an id that a provider or an SDK drew, quoted in a text",
    ),
    VolatileText(
        "id",
        re.compile(r"(?<![\w])(?=[0-9a-f]{0,40}[0-9])(?=[0-9a-f]{0,40}[a-f])[0-9a-f]{16,64}(?!\w)"),
        (),
        "Claude Code 2.1: `agentId: a91d21b22012a4ab2` in what a sub-agent returns; ids of traces",
    ),
    VolatileText(
        "date",
        re.compile(rf"(?<![\w-])(?:19|20)\d\d[-/][01]\d[-/][0-3]\d(?:[T ]{_CLOCK}{_ZONE})?(?![\w-])"),
        ("-", "/"),
        "ISO dates and times: Claude Code's `Today's date is 2026-11-22`, opencode's environment, time stamps",
    ),
    VolatileText(
        "date",
        re.compile(rf"\b{_DAY}{_MONTH}\.?\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+(?:{_CLOCK}{_ZONE}\s+)?(?:19|20)\d\d\b"),
        _MONTHS,
        "`Sunday, November 22, 2026` of Gemini CLI's first message, `Sun Nov 22 08:16:04 UTC 2026` of `date`",
    ),
    VolatileText(
        "date",
        re.compile(rf"\b{_DAY}\d{{1,2}}\s+{_MONTH}\.?,?\s+(?:19|20)\d\d(?:\s+{_CLOCK}{_ZONE})?"),
        _MONTHS,
        "`Sun, 22 Nov 2026 08:16:04 GMT`, as HTTP and mail write dates",
    ),
    VolatileText(
        "date",
        re.compile(r"(?<![\d/])[01]?\d/[0-3]?\d/(?:19|20)\d\d(?![\d/])"),
        ("/",),
        "`11/22/2026`, as JavaScript's toLocaleDateString writes it (opencode, Qwen Code)",
    ),
    VolatileText(
        "time",
        re.compile(
            r"(?<![\w:.])(?:[0-2]?\d:[0-5]\d:[0-5]\d(?:[.,]\d{1,9})?(?:\s?[AP]M\b)?|[01]?\d:[0-5]\d\s?[AaPp][Mm]\b)"
        ),
        (":",),
        "the time of day, with seconds or with AM and PM; `3:4` may be a ratio, and stays",
    ),
    VolatileText(
        "time",
        re.compile(r"(?<![\w.])1[5-9]\d{8}(?:\.\d{1,9}|\d{3}|\d{6}|\d{9})?(?!\w)"),
        ("1",),
        "seconds, milliseconds, microseconds or nanoseconds since 1970, in the years 2017 to 2033",
    ),
    VolatileText(
        "id",
        re.compile(r"(?<=_)1[5-9]\d{11}(?=_\d)"),
        ("_1",),
        "Gemini CLI 0.61 makes ids of tool calls of the time: `invoke_agent_1795335461320_0`",
    ),
    VolatileText(
        "duration",
        re.compile(r"\b(?:duration|elapsed|took)(?:_ms|_s)?[\"']?\s?[:=]?\s?\d+(?:\.\d+)?\s?(?:ms|s|m)?\b"),
        ("duration", "elapsed", "took"),
        "Claude Code 2.1: `duration_ms: 212` in what a sub-agent returns",
    ),
    VolatileText(
        "home",
        re.compile(
            r"(?<![\w.-])(?:/|~)[^\s\"'`<>]{0,200}?(?=/\.(?:claude|codex|gemini|qwen|kimi|config|local|cache)/)"
        ),
        ("/.claude/", "/.codex/", "/.gemini/", "/.qwen/", "/.kimi", "/.config/", "/.local/", "/.cache/"),
        "Claude Code, Codex and Gemini CLI name their folders in the user's home: `/root/.codex/skills`",
    ),
    VolatileText(
        "temporary folder",
        re.compile(
            r"(?<![\w.-])(?:(?:/private)?/var/folders/\w{2}/[\w+-]+/T|(?:/private|/var)?/tmp|/dev/shm|/run/user/\d+)/+[^\s/\"'`<>\\|:,;)\]}]+"
            r"(?:/pytest-\d+)?"
        ),
        ("/tmp/", "/T/", "/dev/shm/", "/run/user/"),
        "the first folder below the system's temporary one has a random name: mktemp, tempfile, pytest's numbered runs",
    ),
    VolatileText(
        "temporary folder",
        re.compile(
            r"(?i)[A-Z]:(?:\\\\?|/)Users(?:\\\\?|/)[^\\/\s\"']+(?:\\\\?|/)AppData(?:\\\\?|/)Local(?:\\\\?|/)Temp(?:\\\\?|/)[^\\/\s\"']+"
        ),
        ("AppData",),
        "the same on Windows",
    ),
    VolatileText(
        "place",
        re.compile(r"(?<=/projects/)-[\w.-]+"),
        ("/projects/-",),
        "Claude Code names the folder of a project by its path: `projects/-tmp-run-1-project/memory`",
    ),
    VolatileText(
        "port",
        re.compile(
            r"(?<=localhost:)\d{2,5}\b|(?<=127\.0\.0\.1:)\d{2,5}\b|(?<=0\.0\.0\.0:)\d{2,5}\b|(?<=\[::1\]:)\d{2,5}\b"
        ),
        ("localhost:", "127.0.0.1:", "0.0.0.0:", "[::1]:"),
        "a port of this machine is mostly one that was free",
    ),
    VolatileText(
        "pid",
        re.compile(r"(?i)\b(?:pid|process id|process)\b[\s:=#]{1,3}\d{2,7}\b"),
        ("pid", "PID", "Pid", "rocess"),
        "the number of a process",
    ),
    VolatileText(
        "place",
        re.compile(r"^[ \t]*(?:- )?(?:(?:Primary w|W)orking directory|Workspace root folder|OS Version): .*$"),
        ("irectory: ", "folder: ", "OS Version: "),
        "Claude Code and opencode say where they run: a checkout of a build stands elsewhere",
    ),
)
"""In this order: what an entry replaced, later ones do not see."""

_LONGEST_WORD = 1_000
"""Characters of a text without a blank that is looked at: beyond, it is encoded media."""
_DIGIT = re.compile(r"\d")
_PLACES = tuple({hint for one in TEXTS if one.kind in ("temporary folder", "home", "place") for hint in one.hint})
"""The hints in a line of interest that has no digit."""
_INTEREST = re.compile(
    r"\d\d[-/]\d\d|\d:\d\d|\d/\d|(?:19|20)\d\d|\d{8}|[0-9a-f]{16}|-[0-9a-fA-F]{4}-|[_-]\w{14}|:\d\d|redacted:|(?i:pid|process)"
    r"|duration|elapsed|took|" + "|".join(map(re.escape, _PLACES))
)
"""Found in each line that an entry changes: most lines of a prompt have nothing of it, and are done with."""


def stable_text(text: str, found: list[tuple[str, str]]) -> str:
    """Return a text without what the table names; `found` gets the kind and the value of each stretch."""
    if "<" in text:
        for name in REMINDERS:
            if f"<{name}>" in text and (less := without_element(text, name)) != text:
                found.append(("reminders", name))
                text = less.strip()
    in_place = any(hint in text for hint in _PLACES)
    if not in_place and _DIGIT.search(text) is None:
        return text
    if len(text) > _LONGEST_WORD and " " not in text[:_LONGEST_WORD] and "\n" not in text[:_LONGEST_WORD]:
        return text
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if (in_place or _DIGIT.search(line)) and _INTEREST.search(line):
            lines[number] = _stable_line(line, found)
    return "\n".join(lines)


def _stable_line(line: str, found: list[tuple[str, str]]) -> str:
    for kind, pattern, hint, _ in TEXTS:
        if not hint or any(one in line for one in hint):

            def replaced(match: re.Match[str], kind: str = kind) -> str:
                found.append((kind, match[0]))
                return f"<{kind}>"

            line = pattern.sub(replaced, line)
    return line


def is_epoch(number: float) -> bool:
    """Return True for a time since 1970 in seconds, or their thousandths, millionths or thousand-millionths."""
    return any(1_500_000_000 <= number / unit < 2_000_000_000 for unit in (1, 1_000, 1_000_000, 1_000_000_000))
