from __future__ import annotations

import pytest

from sessiontap.demo.redirect import Redirect, destination, format_table, parse_table

TABLE = [Redirect("api.openai.com", None, 1001), Redirect("*.helicone.ai", None, 1002), Redirect("a.test", 80, 1003)]


def test_a_table_survives_the_environment() -> None:
    text = "api.openai.com=1001 *.helicone.ai=1002 a.test:80=1003"
    assert format_table(TABLE) == text
    assert parse_table(text) == TABLE


@pytest.mark.parametrize(
    ("asked", "goes_to"),
    [
        pytest.param(("api.openai.com", 443), ("127.0.0.1", 1001), id="named"),
        pytest.param(("API.OpenAI.com", 443), ("127.0.0.1", 1001), id="case is ignored"),
        pytest.param(("oai.helicone.ai", 443), ("127.0.0.1", 1002), id="glob"),
        pytest.param(("a.test", 80), ("127.0.0.1", 1003), id="one port"),
        pytest.param(("127.0.0.1", 9), ("127.0.0.1", 9), id="this machine is left alone"),
        pytest.param(("::1", 9), ("::1", 9), id="this machine over IPv6"),
    ],
)
def test_where_a_connection_goes(asked: tuple[str, int], goes_to: tuple[str, int]) -> None:
    assert destination(*asked, TABLE) == goes_to


@pytest.mark.parametrize(
    "asked", [pytest.param(("example.com", 443), id="other host"), pytest.param(("a.test", 443), id="other port")]
)
def test_nothing_else_is_reached(asked: tuple[str, int]) -> None:
    with pytest.raises(ConnectionRefusedError, match=asked[0]):
        destination(*asked, TABLE)


@pytest.mark.parametrize("word", ["host", "host=", "=1", "host=x", "host:x=1"])
def test_a_word_that_is_no_redirect_is_named(word: str) -> None:
    with pytest.raises(ValueError, match="is no redirect"):
        parse_table(word)
