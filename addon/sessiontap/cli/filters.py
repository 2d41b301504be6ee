"""Which calls are meant: the filters of `ls`, `calls` and `tail`, one pure question to a recorded call.

Names, processes and models are globs without case, as in the rules; a filter that is not given lets everything through.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property
from typing import Any

from sessiontap.cli.errors import Misuse
from sessiontap.trace import BodyError, StoredCall, views


@dataclass(frozen=True)
class Filter:
    """All that are given must hold."""

    name: str | None = None
    """Of the session."""
    since: int | None = None
    """Unix nanoseconds: the call was still running then, or began later."""
    process: str | None = None
    model: str | None = None
    """Asked for or answering."""
    properties: tuple[str, ...] = ()
    """`K=V`, or `K`: has it."""
    error: bool = False
    search: str | None = None
    """Text in names, paths, models, errors, prompts or replies, without case."""

    def holds(self, call: StoredCall) -> bool:
        """Whether `call` is meant."""
        record = call.record
        session, llm, caller = record.get("session") or {}, record.get("llm") or {}, call.caller or {}
        if self.since is not None and views.end(record) < self.since:
            return False
        if self.error and not views.is_error(record):
            return False
        if self.name is not None and not self._glob(self.name, session.get("name")):
            return False
        if self.process is not None and not self._process(caller):
            return False
        if self.model is not None and not self._glob(self.model, llm.get("request_model"), llm.get("response_model")):
            return False
        if not all(self._has(record.get("properties") or {}, wanted) for wanted in self.properties):
            return False
        return self.search is None or self._found(call)

    @property
    def is_empty(self) -> bool:
        """Nothing is asked for."""
        return self == Filter()

    def check(self) -> None:
        """Raises Misuse for what can match nothing."""
        for wanted in self.properties:
            if not wanted.partition("=")[0]:
                raise Misuse(f"--property {wanted!r} names no property", "write --property mode=test")

    @cached_property
    def _globs(self) -> dict[str, re.Pattern[str]]:
        given = [self.name, self.process, self.model, *(wanted.partition("=")[2] for wanted in self.properties)]
        return {text: re.compile(translate(text), re.IGNORECASE) for text in given if text is not None}

    def _glob(self, pattern: str, *values: str | None) -> bool:
        return any(value is not None and self._globs[pattern].match(value) for value in values)

    def _process(self, caller: dict[str, Any]) -> bool:
        from sessiontap.cli.stored import process_names

        assert self.process is not None
        return bool(caller) and self._glob(self.process, *process_names(caller))

    def _has(self, properties: dict[str, Any], wanted: str) -> bool:
        key, equals, value = wanted.partition("=")
        if key not in properties:
            return False
        return not equals or self._glob(value, str(properties[key]))

    def _found(self, call: StoredCall) -> bool:
        assert self.search is not None
        wanted = self.search.casefold()
        return any(wanted in text.casefold() for text in _texts(call))


def _texts(call: StoredCall) -> Iterator[str]:
    """What can be searched, the cheap first: bodies are unpacked only where nothing before them fitted."""
    record = call.record
    session, llm = record.get("session") or {}, record.get("llm") or {}
    error = llm.get("error") or {}
    plain = [
        session.get("name"),
        session.get("path"),
        session.get("id"),
        llm.get("request_model"),
        llm.get("response_model"),
        error.get("type"),
        error.get("message"),
        record.get("user"),
        *(llm.get("tools_offered") or ()),
        *(llm.get("tool_calls") or ()),
        *(record.get("tags") or ()),
        *map(str, (record.get("properties") or {}).values()),
    ]
    yield from (text for text in plain if text)
    from sessiontap.cli.stored import read  # the readers of every wire family: only where they are needed

    try:
        asked, reply = read(call)
    except BodyError:
        return
    yield from strings(asked.json)
    if reply is not None:
        if reply.text:
            yield reply.text
        yield from (tool.arguments for tool in reply.tool_calls if tool.arguments)


def strings(value: Any) -> Iterator[str]:
    """Every string value in a piece of JSON."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
