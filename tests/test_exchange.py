"""URLs of exchanges, put together and taken apart again."""

from __future__ import annotations

import pytest

from sessiontap.exchange import Request, UrlParts, with_brackets


@pytest.mark.parametrize(
    ("scheme", "host", "port", "url"),
    [
        ("https", "api.openai.com", 443, "https://api.openai.com/v1?a=[1]"),
        ("http", "localhost", 8080, "http://localhost:8080/v1?a=[1]"),
        ("http", "::1", 8080, "http://[::1]:8080/v1?a=[1]"),
        ("https", "fe80::1%eth0", 443, "https://[fe80::1%eth0]/v1?a=[1]"),
        ("https", "[::1]", 443, "https://[::1]/v1?a=[1]"),
    ],
)
def test_a_url_and_its_parts(scheme: str, host: str, port: int, url: str) -> None:
    request = Request("POST", host, "/v1?a=[1]", scheme=scheme, port=port)
    assert request.url == url
    stated = None if (scheme, port) == ("https", 443) else port
    assert UrlParts.of(url) == (scheme, host.strip("[]"), stated, "/v1?a=[1]")


@pytest.mark.parametrize(
    ("url", "hosts", "expected"),
    [
        ("http://::1:8080/v1", ("::1",), "http://[::1]:8080/v1"),
        ("http://::1/v1", (None, "::1"), "http://[::1]/v1"),
        ("http://[::1]/v1", ("::1",), "http://[::1]/v1"),
        ("http://a.example/v1", ("a.example",), "http://a.example/v1"),
        ("http://::1/v1", ("::2",), "http://::1/v1"),
        ("", ("::1",), ""),
    ],
)
def test_brackets_around_a_known_address(url: str, hosts: tuple[str | None, ...], expected: str) -> None:
    assert with_brackets(url, *hosts) == expected


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://[", ("http", "", None, "/")),
        ("https://me:pw@Host.example:99999/a#b", ("https", "host.example", None, "/a")),
        ("https://host?x", ("https", "host", None, "/?x")),
        ("https://host:²/", ("https", "host", None, "/")),
        ("nothing", ("", "", None, "/nothing")),
        ("", ("", "", None, "/")),
    ],
)
def test_what_is_no_url_is_taken_apart_as_far_as_it_goes(url: str, parts: tuple[object, ...]) -> None:
    assert UrlParts.of(url) == parts


@pytest.mark.parametrize("target", ["//[", "/a?x=1#[", "/?x=1&y"], ids=repr)
def test_any_target_has_a_query(target: str) -> None:
    assert dict(Request("GET", "h", target).query).get("x", "1") == "1"
