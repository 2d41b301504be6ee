"""A call that is refused in the provider's stead: each family reads its own error in it."""

from __future__ import annotations

import pytest

from sessiontap.exchange import Headers, Response
from sessiontap.llm.call import Asked, Call, Endpoint
from sessiontap.llm.families import FAMILIES
from sessiontap.llm.family import Family

TEXT = "Sessiontap refused this call by its limit 'agent': 5 € of 100%"
RETRIED = {408, 409, 425, 429, *range(500, 600)}
"""Statuses after which client libraries try again."""


@pytest.mark.parametrize("family", FAMILIES, ids=[one.name for one in FAMILIES])
def test_the_family_s_own_reader_finds_the_text(family: Family) -> None:
    refusal = family.refusal(TEXT)
    response = Response(refusal.status, Headers(list(refusal.headers)), refusal.body, True)
    if refusal.status >= 400:
        error = family.error(response)
    else:
        call = Call(Endpoint("google", family.name, "chat", "/m"), Asked())
        error = family.reply(call, response).error or family.error(response)
    assert error.message == TEXT
    assert error.type is not None or family.name in ("cohere", "ollama")


@pytest.mark.parametrize("family", FAMILIES, ids=[one.name for one in FAMILIES])
def test_no_client_tries_it_again(family: Family) -> None:
    refusal = family.refusal(TEXT)
    assert refusal.status not in RETRIED
    assert all(value.isascii() for _, value in refusal.headers)
