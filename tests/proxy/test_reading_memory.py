"""What reading a request takes, measured, is no more than what is counted for it."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from sessiontap.exchange import Headers, Request
from sessiontap.llm.large_bodies import measured
from sessiontap.proxy.connections import Destination
from sessiontap.proxy.prepare import history_of, read
from sessiontap.proxy.reading_memory import ReadingMemory
from sessiontap.recording.budget import Budget, ReadingLease

SIZE = 1 << 17
OPENAI = Destination("api.openai.com", "openai"), "/v1/chat/completions"
PLACES = {
    "chat": OPENAI,
    "responses": (OPENAI[0], "/v1/responses"),
    "messages": (Destination("api.anthropic.com", "anthropic"), "/v1/messages"),
    "gemini": (
        Destination("generativelanguage.googleapis.com", "gemini"),
        "/v1beta/models/gemini-2.5-pro:generateContent",
    ),
}
TEXTS = {
    "ASCII": "to be or ",
    "Latin": "w\u00f6r ",
    "wide": "to \U0001f600 be ",
    "reminders": "<system-reminder>x</system-reminder> ",
}


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def said(text: str) -> Iterator[tuple[str, str, bytes]]:
    user = {"role": "user", "content": "go"}
    parts = [{"type": "text", "text": text[: len(text) // 4]} for _ in range(4)]
    called = {"id": "1", "function": {"name": "f", "arguments": json.dumps({"a": text}, ensure_ascii=False)}}
    used = {"type": "tool_use", "id": "1", "name": "f", "input": {"a": text}}
    yield "a message", "chat", dumped({"messages": [{"role": "user", "content": text}]})
    yield "a message in parts", "chat", dumped({"messages": [{"role": "user", "content": parts}]})
    yield "a reply", "chat", dumped({"messages": [user, {"role": "assistant", "content": text}]})
    yield "a reply in parts", "messages", dumped({"messages": [user, {"role": "assistant", "content": parts}]})
    yield "a system prompt", "chat", dumped({"messages": [{"role": "system", "content": text}, user]})
    yield "a system prompt in parts", "messages", dumped({"system": parts, "messages": [user]})
    yield "instructions", "responses", dumped({"instructions": text, "input": "go"})
    yield "an input", "responses", dumped({"input": text})
    yield "a tool", "chat", dumped({"messages": [user], "tools": [{"function": {"name": "f", "description": text}}]})
    yield "arguments as text", "chat", dumped({"messages": [user, {"role": "assistant", "tool_calls": [called]}]})
    yield "arguments", "messages", dumped({"messages": [user, {"role": "assistant", "content": [used]}]})
    yield "a result", "chat", dumped({"messages": [{"role": "tool", "tool_call_id": "1", "content": text}]})
    yield "of Gemini", "gemini", dumped({"contents": [{"role": "user", "parts": [{"text": text}]}]})
    image = {"type": "image_url", "image_url": {"url": text}}
    yield "an image", "chat", dumped({"messages": [{"role": "user", "content": [image]}]})


def many(item: bytes, size: int) -> bytes:
    numbered = (item.replace(b"%", b"%d" % n) for n in range(size // len(item)))
    return b",".join(numbered)


LISTS, MESSAGES, TOOLS, PLAIN = b'{"x":[%s]}', b'{"messages":[%s]}', b'{"messages":[],"tools":[%s]}', b"{%s}"
DENSE = {
    "lists": (LISTS, b"[]"),
    "lists of a number": (LISTS, b"[3000]"),
    "lists in lists": (LISTS, b"[" * 400 + b"]" * 400),
    "lists in maps": (LISTS, b'{"":[0]}'),
    "maps": (LISTS, b"{}"),
    "maps in maps": (LISTS, b'{"":' * 400 + b"0" + b"}" * 400),
    "maps of a text": (LISTS, b'{"%":"%"}'),
    "short texts": (LISTS, b'"ab"'),
    "short texts beyond Latin": (LISTS, '"a\U0001f600"'.encode()),
    "numbers": (LISTS, b"300"),
    "fractions": (LISTS, b"1.0"),
    "keys": (PLAIN, b'"%":0'),
    "messages": (MESSAGES, b'{"role":"user","content":"%"}'),
    "replies": (MESSAGES, b'{"role":"user","content":"a"},{"role":"assistant","content":"%"}'),
    "tools": (TOOLS, b'{"function":{"name":"%"}}'),
    "parts": (b'{"messages":[{"role":"user","content":[%s]}]}', b'{"text":"%"}'),
    "no JSON by the letter": (b'{"y":NaN,"x":[%s]}', b"[]"),
    "half a pair": (b'{"y":"\\ud83d","x":[%s]}', b"[]"),
    "a fraction and lists": (b'{"y":1.0,"x":[%s]}', b"[]"),
    "arguments of lists": (
        b'{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"[%s]"}}]}]}', b"[]"
    ),
}


LETTERS = "ab \u00e9\u4e2d\U0001f600\\\""


def random_value(source: random.Random, depth: int = 0) -> Any:
    kind = source.randrange(7 if depth < 5 else 4)
    if kind < 2:
        return "".join(source.choices(LETTERS, [9, 9, 5, 2, 1, 1, 1, 1], k=source.randrange(40)))
    if kind < 4:
        return source.choice([0, 1.0, 300, 10**12, True, None])
    items = [random_value(source, depth + 1) for _ in range(source.randrange(8))]
    return items if kind == 4 else {str(n) + source.choice("abc"): item for n, item in enumerate(items)}


def random_body(seed: int) -> bytes:
    source, body, size = random.Random(seed), {"model": "m", "messages": [], "tools": [], "x": []}, 0
    while size < SIZE // 4:
        one = random_value(source)
        place = source.choice(["messages", "tools", "x"])
        role = source.choice(["user", "assistant", "system", "tool"])
        body[place].append({"role": role, "content": one} if place == "messages" else one)
        size += len(json.dumps(one))
    return json.dumps(body, ensure_ascii=seed % 2 == 0).encode()


BODIES = {
    **{f"{what}, {name}": (to, body) for name, word in TEXTS.items() for what, to, body in said(word * (SIZE // 9))},
    **{what: ("chat", around.replace(b"%s", many(item, SIZE))) for what, (around, item) in DENSE.items()},
    **{f"random {seed}": ("chat", random_body(seed)) for seed in range(20)},
}


@pytest.mark.parametrize(("to", "body"), BODIES.values(), ids=BODIES)
def test_reading_a_request_takes_no_more_than_is_counted_for_it(to: str, body: bytes) -> None:
    destination, path = PLACES[to]
    request = Request("POST", destination.host, path, Headers([("content-type", "application/json")]))
    memory = ReadingMemory(ReadingLease(Budget(0, reading=1 << 40)))
    read(request, destination, body)  # what is loaded at the first use is nobody's
    tracemalloc.start()
    try:
        _, call, _ = read(request, destination, body, memory)
        history_of(call)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not call.partial
    assert peak < memory.lease.size, "the worst, while nobody has to count"
    assert peak < measured(body).memory
