"""Small bodies lean on one of their endpoint, and come back as they were."""

import json
import random

import pytest

from sessiontap.trace import body
from sessiontap.trace.body import Plain
from sessiontap.trace.models import MAX_MODELS, Models

WORDS = ("quick", "brown", "fox", "jumps", "over", "lazy", "dog", "while", "nobody", "looks", "what", "it", "does")


def asked(number, system="You are a helpful assistant that answers in one word and never says more than that. " * 3):
    chance = random.Random(number)
    text = " ".join(chance.choice(WORDS) for _ in range(60))
    messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    return json.dumps({"model": "gpt-4o-mini", "messages": messages}).encode()


def call(number, **changes):
    session = {"id": f"s-{number}", "path": "/a"}
    return {"id": f"call-{number}", "host": "h", "route": "/r", "caller": "c", "session": session, **changes}


def write(models, *pairs):
    """Stored bodies; records stand 1,000 bytes from each other."""
    stored = []
    for number, (one, data) in enumerate(pairs):
        stored.append(models.pack(one, Plain(data), number * 1000))
        models.written()
    return stored


def test_bodies_lean_on_the_first_of_their_endpoint():
    pairs = [(call(number), asked(number)) for number in range(5)]

    first, *rest = write(Models(), *pairs)

    assert first["enc"] == "zstd"
    for number, ((_, data), one) in enumerate(zip(pairs[1:], rest, strict=True), 1):
        assert (one["enc"], one["base"], one["back"]) == ("zstd-delta", "call-0", number * 1000)
        assert len(one["data"]) < len(first["data"]) * 0.75
        assert body.decode(one, pairs[0][1]) == data


def test_what_a_model_does_not_help_with_is_the_next_model_of_its_program():
    other = "A quite different instruction, 123456789, with nothing of the first one in it: abcdefghijklmnopqrstuvw!"
    others = [(call(n, caller="c-2"), json.dumps({other: n, "more": other[::-1]}).encode()) for n in (1, 2)]

    _, model, last = write(Models(), (call(0), asked(0)), *others)

    assert model["enc"] != "zstd-delta"
    assert (last["enc"], last["base"]) == ("zstd-delta", "call-1")


def test_a_base_that_is_the_parent_goes_without_saying():
    _, second = write(Models(), (call(0), asked(0)), (call(1, parent="call-0"), asked(1)))

    assert (second["enc"], "base" in second) == ("zstd-delta", False)


@pytest.mark.parametrize("forget", ["cleared", "never written"])
def test_nothing_leans_on_what_is_not_in_the_segment(forget):
    models = Models()
    models.pack(call(0), Plain(asked(0)), 0)
    if forget == "cleared":
        models.written()
        models.clear()

    assert models.pack(call(1), Plain(asked(1)), 1000)["enc"] == "zstd"


def test_models_are_few():
    models = Models()
    for number in range(MAX_MODELS * 2):
        models.pack(call(number, host=f"host-{number}"), Plain(asked(number)), 0)
        models.written()

    assert len(models._models) == MAX_MODELS
