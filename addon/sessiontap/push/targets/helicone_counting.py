"""The tokens that Helicone counts in a reply (its valhalla/jawn/src/lib/shared/bodyProcessors, read in code).

Where it would count others than the log has, such as those of Groq's streams or of Gemini's own tools, the reply is not
sent as it came.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class HeliconeCounts(NamedTuple):
    """Tokens in, with those from a cache, and out."""

    input: int
    output: int


def counted(reply: Any, provider: str) -> HeliconeCounts:
    """Return the counts in a reply as it is sent: JSON, or the text of a stream. What is not found is 0."""
    if provider == "GOOGLE":
        items = _events(reply) if isinstance(reply, str) else reply if isinstance(reply, list) else [reply]
        usage = _last(items, "usageMetadata")
        made = [usage.get("candidatesTokenCount"), usage.get("thoughtsTokenCount")]
        return _counts([usage.get("promptTokenCount")], made)
    if provider == "ANTHROPIC":
        usage = _anthropic(_events(reply)) if isinstance(reply, str) else _usage(reply)
        given = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        return _counts([usage.get(key) for key in given], [usage.get("output_tokens")])
    usage = _last(_events(reply), "usage") if isinstance(reply, str) else _usage(reply)
    counts = [usage.get("prompt_tokens"), usage.get("completion_tokens")]
    if not isinstance(reply, str):
        others = usage.get("input_tokens"), usage.get("output_tokens")
        counts = [other if one is None else one for one, other in zip(counts, others, strict=True)]
    return _counts(counts[:1], counts[1:])


def _events(text: str) -> list[Mapping[str, Any]]:
    found = []
    for line in text.splitlines():
        try:
            event = json.loads(line.removeprefix("data:"))
        except (ValueError, RecursionError):
            continue
        if isinstance(event, Mapping):
            found.append(event)
    return found


def _anthropic(events: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The usage of the first event, with the output of the last."""
    usage: dict[str, Any] = {}
    for event in events:
        message = event.get("message")
        usage |= _usage(message)
        if "output_tokens" in (counts := _usage(event)):
            usage["output_tokens"] = counts["output_tokens"]
    return usage


def _last(items: Iterable[Any], key: str) -> Mapping[str, Any]:
    found = [one[key] for one in items if isinstance(one, Mapping) and isinstance(one.get(key), Mapping)]
    return found[-1] if found else {}


def _usage(value: Any) -> Mapping[str, Any]:
    usage = value.get("usage") if isinstance(value, Mapping) else None
    return usage if isinstance(usage, Mapping) else {}


def _counts(given: Iterable[Any], made: Iterable[Any]) -> HeliconeCounts:
    return HeliconeCounts(*(sum(one for one in counts if isinstance(one, int)) for counts in (given, made)))
