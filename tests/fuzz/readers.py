"""Requests and replies of every wire family, mutated, and what is read of them.

Whatever comes: no fault of the readers' own, nothing unbounded, every value of its declared type and range. And:

    written in another way       the same bytes of JSON, other blanks, escapes, order: everything reads as before
    one value changed            what does not depend on it reads as before; a number is the one stated, or unknown
    cut                          nothing is read that the whole does not say
    changed, mangled, shuffled   no fault
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from tests.fuzz import mutate
from tests.fuzz.material import Exchange, exchanges
from tests.fuzz.rounds import Case, Make, Wrong
from tests.fuzz.streams import Part, joined, parts_of, rewritten

from sessiontap.exchange import Response
from sessiontap.llm import call, compare, history, outline, read, usage
from sessiontap.llm.call import Call, Reply
from sessiontap.llm.pick import MOST, MOST_DOLLARS
from sessiontap.llm.pick import parse as parsed
from sessiontap.llm.response_facts import rate_limits, request_id

Found = dict[str, Any]
"""What was read, by field; counts by names such as `usage.input`."""

Bodies = tuple[bytes | None, bytes]
"""Of a request and its reply."""

NUMBERS = tuple(f"usage.{one.name}" for one in fields(call.Usage)) + tuple(
    f"billed.{one.name}" for one in fields(call.Billed) if one.type == "int | None"
)


def prepare(corpus: Path | None) -> Make:
    """The target."""
    material = exchanges(corpus)
    values = values_of(material)
    ways: tuple[tuple[Callable[[Random, Exchange, list[Any]], Case], int], ...] = (
        (_same, 2), (_one_value, 5), (_cut, 2), (_changed, 4), (_mangled, 3), (_disturbed, 3), (_grown, 1),
    )  # fmt: skip
    choices, weights = zip(*ways, strict=True)

    def make(chance: Random) -> Case:
        (way,) = chance.choices(choices, weights)
        return way(chance, chance.choice(material), values)

    return make


def values_of(material: Sequence[Exchange]) -> list[Any]:
    """JSON values of exchanges, to be brought into others."""
    values = [value for one in material[:300] if (value := parsed(one.request.body or b"null")[0]) is not None]
    return values + [
        part.value for one in material[:300] for part in parts_of(one.kind, one.response.body) if part.value
    ]


# Reading --------------------------------------------------------------------------------------------------------------


def read_whole(one: Exchange, asked: bytes | None, told: bytes, complete: bool = True) -> tuple[Call, Reply]:
    """Read both, and see that what holds of any exchange holds of them."""
    request = one.asked(asked)
    understood = one.call(asked)
    response = one.came(told, complete=complete)
    reply = read.read_reply(understood, request, response)
    sound(understood, reply, response)
    return understood, reply


def sound(understood: Call, reply: Reply, response: Response) -> None:
    """What holds whatever was read. Raises `Wrong`, or what the readers of a conversation raise."""
    for problem in (*understood.asked.problems, *reply.problems):
        if "could not be read as" in problem:
            raise Wrong(f"a fault of our own: {problem}")
        if len(problem) > 2000:
            raise Wrong(f"a problem of {len(problem)} characters")
    for value in (understood.asked, reply):
        told = msgspec.to_builtins(value)
        if msgspec.convert(told, type(value)) != value:
            raise Wrong(f"a value of another type than {type(value).__name__} declares")
    found = flat(understood, reply)
    for name in NUMBERS:
        number = found.get(name)
        if number is not None and (not isinstance(number, int) or not 0 <= number <= MOST):
            raise Wrong(f"{name} is {number!r}")
    if reply.cost_reported is not None and not 0 <= reply.cost_reported <= MOST_DOLLARS:
        raise Wrong(f"a cost of {reply.cost_reported}")
    if reply.first_token is not None and not 0 < reply.first_token <= len(response.body):
        raise Wrong(f"the first token at {reply.first_token} of {len(response.body)} bytes")
    past = history.history(understood)
    history.fingerprint_of(past.tail(), reply, response.status, complete=response.complete)
    outline.outline(understood.json)
    rate_limits(response.headers)
    request_id(response.headers)


def flat(understood: Call, reply: Reply) -> Found:
    """Both by field."""
    found = {f"asked.{name}": value for name, value in asdict(understood.asked).items()}
    for name, value in asdict(reply).items():
        if name in ("usage", "billed"):
            inner = value or {one.name: None for one in fields(call.Usage if name == "usage" else call.Billed)}
            found |= {f"{name}.{key}": part for key, part in inner.items()}
        elif name == "tool_calls":
            found["tool_calls"] = value
        else:
            found[name] = value
    return found


def _without_offsets(found: Found) -> Found:
    return {name: value for name, value in found.items() if name not in ("first_token", "problems", "asked.problems")}


def _differing(one: Found, other: Found) -> set[str]:
    before, after = _without_offsets(one), _without_offsets(other)
    return {name for name in before if before[name] != after[name]}


# Ways -----------------------------------------------------------------------------------------------------------------


def _same(chance: Random, one: Exchange, _: list[Any]) -> Case:
    """Everything reads as before when it is written in another way."""
    sent = parsed(one.request.body or b"")[0]
    parts = parts_of(one.kind, one.response.body)
    socket = one.response.status == 101
    asked = mutate.rewritten(chance, sent) if sent is not None and not socket else one.request.body
    if one.kind == "json" and parts[0].value is not None and parts[0].raw == one.response.body:
        told = mutate.rewritten(chance, parts[0].value)
    else:
        again = [
            part.holding(part.value, mutate.rewritten(chance, part.value))
            if part.value is not None and chance.random() < 0.5
            else part
            for part in parts
        ]
        told = rewritten(chance, one.kind, again)

    def check() -> None:
        before, after = flat(*read_whole(one, one.request.body, one.response.body)), flat(*read_whole(one, asked, told))
        if wrong := _differing(before, after) - _written(before, after):
            name = min(wrong)
            raise Wrong(f"{name} is {after[name]!r:.200} and was {before[name]!r:.200}, of {one.id}")

    return Case(check, (asked or b"") + told, f"{one.id}: written in another way")


def _written(before: Found, after: Found) -> set[str]:
    """Fields that hold JSON as it is written: arguments that came as an object, an error's message."""
    same = set()
    if len(before["tool_calls"]) == len(after["tool_calls"]):
        calls = [
            [one | {"arguments": _value(one["arguments"])} for one in found["tool_calls"]] for found in (before, after)
        ]
        if calls[0] == calls[1]:
            same.add("tool_calls")
    errors = before["error"], after["error"]
    if all(errors) and _value(errors[0]["message"]) == _value(errors[1]["message"]):
        same.add("error")
    return same


def _value(text: str | None) -> Any:
    if text is None:
        return None
    value, problem = parsed(text)
    return text if problem else value


def _one_value(chance: Random, one: Exchange, _: list[Any]) -> Case:
    """What does not depend on a value reads as before when that value is odd."""
    parts = parts_of(one.kind, one.response.body)
    in_request = chance.random() < 0.35 and one.response.status != 101
    if in_request:
        sent = parsed(one.request.body or b"")[0]
        target = Part(one.request.body or b"", sent)
        at = -1
    else:
        at = chance.randrange(len(parts)) if parts else 0
        target = parts[at] if parts else Part(b"")
    places = mutate.leaves(target.value) if target.value is not None else []
    if not places:
        return _mangled(chance, one, [])
    place = chance.choice(places)
    before_value = mutate.get(target.value, place)
    new = mutate.odd(chance, meaningless=True)

    def bodies(value: Any) -> tuple[bytes | None, bytes]:
        if in_request:
            return mutate.dumped(value), one.response.body
        return one.request.body, joined([*parts[:at], target.holding(value, mutate.dumped(value)), *parts[at + 1 :]])

    mutated = mutate.put(target.value, place, new)
    fed = bodies(mutated)

    def check() -> None:
        again = bodies(target.value)
        before = flat(*read_whole(one, *again))
        depends: set[str] = set()
        for other in _others(target.value, place, before_value):
            depends |= _differing(before, flat(*read_whole(one, *bodies(other))))
        after = flat(*read_whole(one, *fed))
        if not fed[not in_request]:
            return  # nested too deeply to be written down
        strange = _differing(before, after) - depends
        where = ".".join(map(str, place))
        if strange and not _breaks_json(new):
            name = min(strange)
            told = f"{name} is {after[name]!r:.200}, was {before[name]!r:.200}, and does not depend on {where}"
            raise Wrong(f"{told}, which is {new!r:.60}, of {one.id}")
        if isinstance(before_value, int | float) and not isinstance(before_value, bool):
            _numbers(before, after, before_value, new, f"{where} of {one.id}")

    return Case(check, (fed[0] or b"") + fed[1], f"{one.id}: {'.'.join(map(str, place))} is {new!r:.80}")


def _others(value: Any, place: mutate.Path, before: Any) -> list[Any]:
    """The value without what lies at `place`, with nothing there, and with others of each type."""
    text = f"{before}-other" if isinstance(before, str) else "other"
    number = before + 7 if isinstance(before, int | float) else 7
    found = [mutate.put(value, place, other) for other in (None, text, number, [], True, before is False)]
    if not isinstance(mutate.get(value, place[:-1]), list):
        found.append(mutate.without(value, place))
    return found


def _breaks_json(value: Any) -> bool:
    """Whether a strict reader of JSON refuses it: lone surrogates, numbers and nesting beyond measure."""
    return parsed(mutate.dumped(value))[1] is not None or not mutate.dumped(value)


def _numbers(before: Found, after: Found, old: float, new: Any, where: str) -> None:
    """A count is the one that is stated, alone or within its sum, else unknown."""
    if new is None:
        return
    valid = isinstance(new, int | float) and not isinstance(new, bool) and new == int(new) and 0 <= new <= MOST
    for name in NUMBERS:
        was, now = before[name], after[name]
        if was == now or now is None or was is None:
            continue
        if not valid:
            raise Wrong(f"{name} is {now}, was {was}, although {where} is {new!r:.60}")
        if now not in (int(new), was - int(old) + int(new)):
            raise Wrong(f"{name} is {now}, was {was}, while {where} went from {old} to {new}")


def _cut(chance: Random, one: Exchange, _: list[Any]) -> Case:
    """A part of a reply says nothing that the whole does not."""
    told = one.response.body[: chance.randrange(len(one.response.body) + 1)]

    def check() -> None:
        whole = read_whole(one, one.request.body, one.response.body)[1]
        part = read_whole(one, one.request.body, told, complete=False)[1]
        if wrong := false_claims(part, whole):
            raise Wrong(f"cut at {len(told)}, {one.id} says {wrong[0]} that the whole does not")

    return Case(check, told, f"{one.id}: cut at {len(told)}")


def false_claims(part: Reply, whole: Reply) -> list[str]:
    """The fields in which a reply that was cut claims what the whole does not bear out."""
    simple = ("stream", "response_model", "response_id", "finish_reason", "cost_reported", "service_tier")
    wrong = [name for name in simple if getattr(part, name) not in (None, getattr(whole, name))]
    if not (whole.text or "").startswith(part.text or ""):
        wrong.append("text")
    if part.usage is not None:
        of_whole = asdict(whole.usage) if whole.usage else {}
        wrong += [f"usage.{name}" for name, one in asdict(part.usage).items() if one not in (None, of_whole.get(name))]
    if part.error is not None and (whole.error is None or part.error.type not in (None, whole.error.type)):
        wrong.append("error")
    if whole.builtin_tool_calls[: len(part.builtin_tool_calls)] != part.builtin_tool_calls:
        wrong.append("builtin_tool_calls")
    pairs = list(zip(part.tool_calls, whole.tool_calls, strict=False))
    same = all((a.name, a.id) == (b.name, b.id) and (b.arguments or "").startswith(a.arguments or "") for a, b in pairs)
    if not same or len(part.tool_calls) > len(whole.tool_calls):
        wrong.append("tool_calls")
    return wrong


def _changed(chance: Random, one: Exchange, values: list[Any]) -> Case:
    return _faultless(one, *changed(chance, one, values), chance.random() < 0.7, "changed")


def changed(chance: Random, one: Exchange, values: list[Any]) -> Bodies:
    """Request and reply with several things changed."""
    sent = parsed(one.request.body or b"")[0]
    asked = one.request.body
    if sent is not None:
        for _ in range(chance.randrange(1, 5)):
            sent = mutate.changed(chance, sent, values)
        asked = mutate.dumped(sent)
    if asked and chance.random() < 0.1:
        asked = mutate.token_changed(chance, asked)
    parts = parts_of(one.kind, one.response.body)
    for _ in range(chance.randrange(1, 5)):
        if parts:
            at = chance.randrange(len(parts))
            value = mutate.changed(chance, copy.deepcopy(parts[at].value), values)
            written = mutate.dumped(value)
            if chance.random() < 0.1:
                written = mutate.token_changed(chance, written)
            parts[at] = parts[at].holding(value, written)
    return asked, joined(parts)


def _mangled(chance: Random, one: Exchange, _: list[Any]) -> Case:
    return _faultless(one, *mangled(chance, one), chance.random() < 0.5, "mangled")


def mangled(chance: Random, one: Exchange, _: list[Any] | None = None) -> Bodies:
    """The bytes of both damaged."""
    asked, told = one.request.body or b"", one.response.body
    for _ in range(chance.randrange(1, 4)):
        asked, told = mutate.mangled(chance, asked), mutate.mangled(chance, told)
    return asked, told


def _disturbed(chance: Random, one: Exchange, values: list[Any]) -> Case:
    return _faultless(one, *disturbed(chance, one, values), chance.random() < 0.7, "disturbed")


def disturbed(chance: Random, one: Exchange, values: list[Any]) -> Bodies:
    """The parts of a stream left out, doubled, in another order, with those of others among them."""
    parts = parts_of(one.kind, one.response.body)
    others = [part.holding(chance.choice(values)) for part in parts[:3]] if values else []
    for _ in range(chance.randrange(1, 4)):
        parts = mutate.disturbed(chance, parts, others)
    return one.request.body, joined(parts[:2000])


def _grown(chance: Random, one: Exchange, _: list[Any]) -> Case:
    """Much of the same."""
    size = chance.choice((30_000, 100_000, 300_000))
    asked, told = one.request.body, one.response.body
    if chance.random() < 0.5:
        sent = parsed(asked or b"")[0]
        asked = mutate.dumped(mutate.grown(chance, sent, size)) if sent is not None else asked
    else:
        parts = parts_of(one.kind, told)
        at = chance.randrange(len(parts)) if parts else 0
        if chance.random() < 0.5 and parts:
            parts[at : at + 1] = [parts[at]] * min(20_000, max(1, size // max(1, len(parts[at].raw))))
        elif parts and parts[at].value is not None:
            grown = mutate.grown(chance, parts[at].value, size)
            parts[at] = parts[at].holding(grown, mutate.dumped(grown))
        told = joined(parts)
    return _faultless(one, asked, told, True, "grown")


def _faultless(one: Exchange, asked: bytes | None, told: bytes, complete: bool, what: str) -> Case:
    def check() -> None:
        understood, _ = read_whole(one, asked, told, complete)
        compare.compare(one.call().json, understood.json)
        usage.billed_of(understood.json)

    return Case(check, (asked or b"") + told, f"{one.id}: {what}")
