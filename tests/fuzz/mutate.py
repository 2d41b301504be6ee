"""What is done to values, bytes and streams. Everything is drawn from the generator that is given."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

Path = tuple[str | int, ...]
"""Where a value lies in a JSON value."""

NUMBERS: tuple[Any, ...] = (
    *(0, -0.0, 1, -1, 1.5, 28.0, 255, -(2**31), 2**31, 2**53 - 1, 2**53, 2**63 - 1, 2**63, -(2**63), 2**64, 10**30),
    *(1e15, 1e308, -1e308, 5e-324, 1e19, 10**12, 10**12 + 1, 10**400),
)
STRINGS: tuple[str, ...] = (
    *("", " ", "0", "12", "true", "null", "{}", "[", '{"a": 1}', "[DONE]", "\n", "\r\n\r\n", "data: x\n\n", "\0"),
    *("\x1b[31m", "\x9b31m", "é", "🙂", "\u2028", "\ufeff", "\ud83d", "\udc00x", "a" * 3000, "../..", "%", "%00"),
    *("http://[", "::1"),
)
WORDS: tuple[str, ...] = ("user", "assistant", "tool", "model", "text", "tool_use", "function", "message", "error")
"""Words that mean something."""
CONTAINERS: tuple[Any, ...] = (
    *([], {}, [[]], [{}], [None], [1, "a", None], {"": None}, {"type": "text"}, {"type": 1}, {"type": []}),
    *({"text": {}}, {"function": 1}, [{"function": 1}], {"error": "x"}, {"error": []}, {"message": 3}),
    *({"a": {"b": [{"c": {}}]}}, [["a"], {"role": []}], {"role": {}}, {"content": [[["x"]]]}),
)


def odd(chance: Random, *, meaningless: bool = False) -> Any:
    """A value that nobody expects; if `meaningless`, it is no word that means something in its place."""
    kind = chance.randrange(8)
    if kind == 4 and not meaningless and chance.random() < 0.4:
        return chance.choice(WORDS)
    if kind < 3:
        return chance.choice(NUMBERS)
    if kind < 5:
        return chance.choice(STRINGS)
    if kind < 7:
        return copy.deepcopy(chance.choice(CONTAINERS))
    return chance.choice((None, True, False, _deep(chance)))


def _deep(chance: Random) -> Any:
    value: Any = "x"
    for _ in range(chance.choice((10, 60, 200))):
        value = [value] if chance.random() < 0.5 else {chance.choice(("content", "text", "a", "parts")): value}
    return value


# JSON values ----------------------------------------------------------------------------------------------------------


DEEPEST = 100
"""Levels of a value that are looked into."""


def paths(value: Any, most: int = 4000) -> list[Path]:
    """Where values lie in a JSON value, itself left out; of large ones as many as `most`, and not the deepest."""
    found: list[Path] = []
    left: list[tuple[Path, Any]] = [((), value)]
    while left and len(found) < most:
        at, one = left.pop()
        inner = one.items() if isinstance(one, dict) else enumerate(one) if isinstance(one, list) else ()
        for key, part in inner:
            found.append((*at, key))
            if len(at) < DEEPEST:
                left.append(((*at, key), part))
    return found


def leaves(value: Any) -> list[Path]:
    """Where strings, numbers, true, false and null lie."""
    return [path for path in paths(value) if not isinstance(get(value, path), dict | list)]


def get(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value


def put(value: Any, path: Path, new: Any) -> Any:
    """The value with another one at `path`; nothing of it is shared with what was given on the way there."""
    if not path:
        return new
    key, *rest = path
    changed = value.copy()
    changed[key] = put(value[key], tuple(rest), new)
    return changed


def without(value: Any, path: Path) -> Any:
    """The value without what lies at `path`."""
    key, *rest = path
    changed = value.copy()
    if rest:
        changed[key] = without(value[key], tuple(rest))
    else:
        del changed[key]
    return changed


def changed(chance: Random, value: Any, others: Sequence[Any] = ()) -> Any:
    """A JSON value with one thing changed: replaced, left out, doubled, wrapped, exchanged, brought in from another."""
    places = paths(value)
    if not places:
        return odd(chance)
    at = chance.choice(places)
    part = get(value, at)
    match chance.randrange(9):
        case 0 | 1 | 2:
            return put(value, at, odd(chance))
        case 3:
            return without(value, at)
        case 4:
            return put(value, at, [part] if chance.random() < 0.7 else {chance.choice(STRINGS): part})
        case 5:
            other = chance.choice(places)
            return put(value, at, copy.deepcopy(get(value, other)))
        case 6 if isinstance(part, list) and part:
            items = list(part)
            items.insert(chance.randrange(len(items) + 1), copy.deepcopy(chance.choice(items)))
            chance.shuffle(items)
            return put(value, at, items)
        case 6 | 7 if isinstance(part, dict):
            keys = [*part, *(str(key) for path in places[:50] for key in path[-1:])]
            return put(value, at, {**part, chance.choice(keys): odd(chance)})
        case _ if others:
            other = chance.choice(others)
            inner = paths(other)
            return put(value, at, copy.deepcopy(get(other, chance.choice(inner)) if inner else other))
    return put(value, at, odd(chance))


def grown(chance: Random, value: Any, size: int) -> Any:
    """A JSON value in which one list or text is repeated until it is about `size` bytes."""
    places = [path for path in paths(value) if isinstance(get(value, path), list | str) and get(value, path)]
    if not places:
        return value
    at = chance.choice(places)
    part = get(value, at)
    times = max(1, size // max(1, len(dumped(part))))
    return put(value, at, part * min(times, 200_000))


def dumped(value: Any) -> bytes:
    """As JSON; lone surrogates as escapes. What is nested too deeply for that is empty."""
    try:
        return json.dumps(value).encode()
    except RecursionError:
        return b""


def rewritten(chance: Random, value: Any) -> bytes:
    """The same JSON value, written down in another way: escapes, blanks, the order of keys."""
    if chance.random() < 0.5:
        value = _reordered(chance, value)
    separators = chance.choice(((",", ":"), (", ", ": "), (" ,\t", " :  ")))
    text = json.dumps(value, ensure_ascii=chance.random() < 0.5, separators=separators)
    return text.encode("utf-8", "surrogatepass")


def _reordered(chance: Random, value: Any) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        chance.shuffle(keys)
        return {key: _reordered(chance, value[key]) for key in keys}
    return [_reordered(chance, one) for one in value] if isinstance(value, list) else value


DEPTHS = (700, 1200, 5000, 100_000)
DEEP = tuple(head * depth + b"1" + tail * depth for depth in DEPTHS for head, tail in ((b"[", b"]"), (b'{"a":', b"}")))
"""Nested more deeply than a reader may follow."""
NO_JSON = (
    *(b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"00", b"+1", b"1.", b".5", b"'a'", b"undefined"),
    b"1" * 5000,
)
"""What writers of JSON put in place of a value, and what no reader of it need know."""


def token_changed(chance: Random, body: bytes) -> bytes:
    """JSON text with one of its numbers, or what stands between, as no JSON has it."""
    places = [at for at in range(len(body)) if body[at : at + 1].isdigit() and not body[at - 1 : at].isalnum()]
    if not places:
        return body
    at = chance.choice(places)
    end = at
    while end < len(body) and body[end : end + 1] in b"0123456789.eE+-":
        end += 1
    return body[:at] + chance.choice(DEEP if chance.random() < 0.2 else NO_JSON) + body[end:]


# Bytes ----------------------------------------------------------------------------------------------------------------


def mangled(chance: Random, body: bytes) -> bytes:
    """Bytes with one thing done to them."""
    at = chance.randrange(len(body) + 1)
    end = min(len(body), at + int(chance.expovariate(1 / 20)) + 1)
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: body[:at] + bytes([chance.randrange(256)]) + body[at + 1 :],
        lambda: body[:at] + bytes([(body[at] if at < len(body) else 0) ^ (1 << chance.randrange(8))]) + body[at + 1 :],
        lambda: body[:at] + chance.randbytes(chance.randrange(1, 9)) + body[at:],
        lambda: body[:at] + body[end:],
        lambda: body[:at] + body[at:end] * chance.randrange(2, 30) + body[end:],
        lambda: body[:at],
        lambda: body[at:],
        lambda: body[:at] + chance.choice(STRINGS).encode("utf-8", "surrogatepass") + body[at:],
        lambda: body[:at] + chance.choice((b"\r", b"\n", b"\r\n", b"\n\n", b":", b"\0", b"\xff\xfe")) + body[at:],
    )
    return chance.choice(ways)()


def disturbed[Item](chance: Random, items: Sequence[Item], others: Sequence[Item] = ()) -> list[Item]:
    """A list with one thing done to its order: left out, doubled, exchanged, turned round, shuffled, mixed."""
    found = list(items)
    if not found:
        return list(others)
    at, other = chance.randrange(len(found)), chance.randrange(len(found))
    match chance.randrange(8):
        case 0:
            del found[at]
        case 1:
            found.insert(other, found[at])
        case 2:
            found[at], found[other] = found[other], found[at]
        case 3:
            found.reverse()
        case 4:
            chance.shuffle(found)
        case 5:
            del found[min(at, other) : max(at, other)]
        case 6:
            found *= chance.randrange(2, 5)
        case _ if others:
            for one in others[: chance.randrange(1, len(others) + 1)]:
                found.insert(chance.randrange(len(found) + 1), one)
    return found
