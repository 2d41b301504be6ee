"""Globs and regular expressions."""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiontap.rules.patterns import (
    REGEX_LIMIT,
    client_pattern,
    host_pattern,
    path_pattern,
    route_pattern,
    text_pattern,
)
from sessiontap.rules.problems import Wrong


@pytest.mark.parametrize(
    ("glob", "text", "expected"),
    [
        ("node", "node", True),
        ("node", "Node", False),
        ("node", "nodejs", False),
        ("node*", "nodejs", True),
        ("*", "", True),
        ("gpt-4*", "gpt-4o", True),
        ("*gpt*", "openai/gpt-4o", True),
        ("a*b*c", "aXbXbXc", True),
        ("a*b*c", "aXc", False),
        ("a*a", "a", False),
        ("n?de", "node", True),
        ("n?de", "nde", False),
        ("*n?de*", "the\nnode here", True),
        ("a?*c?e", "abXcdcde", True),
        ("a.c", "abc", False),
        ("a[b]c", "a[b]c", True),
        ("a[b]c", "abc", False),
        ("re:^v[0-9]$", "v1", True),
        ("re:1", "v12", True),
        ("re:^1", "v12", False),
    ],
)
def test_text(glob: str, text: str, expected: bool) -> None:
    assert (text_pattern(glob).find(text) is not None) is expected


@pytest.mark.parametrize(
    ("glob", "host", "expected"),
    [
        ("api.openai.com", "api.openai.com", True),
        ("API.OpenAI.com", "api.openai.com", True),
        ("api.openai.com.", "api.openai.com", True),
        ("*.corp.example", "a.b.CORP.example", True),
        ("*.corp.example", "corp.example", False),
        ("api.?.com", "api.x.com", True),
        ("api.x.com", "apixx.com", False),
        ("re:^API\\.", "api.x.com", True),
        ("::1", "::1", True),
    ],
)
def test_hosts_without_case(glob: str, host: str, expected: bool) -> None:
    assert (host_pattern(glob).find(host) is not None) is expected


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        ("/srv/app", "/srv/app", True),
        ("/srv/app/", "/srv/app", True),
        ("/srv/*", "/srv/app", True),
        ("/srv/*", "/srv/app/x", False),
        ("/srv/*", "/srv", False),
        ("/srv/**", "/srv/app/x", True),
        ("/srv/**", "/srv", True),
        ("/srv/**", "/srvx", False),
        ("/srv/a?p", "/srv/app", True),
        ("/srv/a?p", "/srv/a/p", False),
        ("/srv/**/x", "/srv/x", True),
        ("/srv/**/x", "/srv/a/b/x", True),
        ("/srv/**/x", "/srv/ax", False),
        ("/srv/**/**/x", "/srv/x", True),
        ("**/x", "/a/x", True),
        ("**/x", "x", True),
        ("/a**z", "/ab/yz", True),
        ("~", os.path.expanduser("~"), True),
        ("~/src/**", os.path.expanduser("~/src"), True),
        ("~/src/**", os.path.expanduser("~/src/a/b"), True),
        ("~/src/**", os.path.expanduser("~/srcs"), False),
        ("/", "/", True),
        ("re:app$", "/srv/app", True),
    ],
)
def test_paths(glob: str, path: str, expected: bool) -> None:
    pattern = path_pattern(glob)
    assert (pattern.find(path) is not None) is expected
    assert not expected or path.startswith(pattern.prefix)


@pytest.mark.parametrize(
    ("route", "asked", "captured"),
    [
        ("/v1/chat/completions", "POST /v1/chat/completions", {}),
        ("/v1/chat/completions", "POST /v1/chat/completions/", None),
        ("POST /v1/chat/completions", "POST /v1/chat/completions", {}),
        ("post /v1/chat/completions", "POST /v1/chat/completions", {}),
        ("GET /v1/chat/completions", "POST /v1/chat/completions", None),
        ("/v1/*", "GET /v1/models", {}),
        ("/v1/*", "GET /v1/models/x", None),
        ("/v1/**", "GET /v1/models/x", {}),
        ("/**/chat/completions", "POST /chat/completions", {}),
        ("/**/chat/completions", "POST /openai/v1/chat/completions", {}),
        ("/**/chat/completions", "POST /openai/v1/xchat/completions", None),
        ("/v1/{kind}/completions", "POST /v1/chat/completions", {"route.kind": "chat"}),
        ("/v1/{kind}", "POST /v1/chat/completions", None),
        ("/m/{model}:generate", "POST /m/a%2Fb:generate", {"route.model": "a/b"}),
        ("/{a}/{b}", "GET /x/y", {"route.a": "x", "route.b": "y"}),
        ("re:^/v1/(?P<what>\\w+)", "GET /v1/models", {"what": "models", "route.what": "models"}),
        ("re:^POST", "POST /v1/models", None),
    ],
)
def test_routes(route: str, asked: str, captured: dict[str, str] | None) -> None:
    assert route_pattern(route).find(asked) == captured


@pytest.mark.parametrize(
    ("client", "address", "expected"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.0/8", "10.9.9.9", True),
        ("10.0.0.0/8", "::ffff:10.9.9.9", True),
        ("10.0.0.0/8", "fe80::1", False),
        ("fe80::/10", "fe80::1%eth0", True),
        ("::1", "::1", True),
        ("10.0.0.0/8", "no address", False),
    ],
)
def test_clients(client: str, address: str, expected: bool) -> None:
    assert (client_pattern(client).find(address) is not None) is expected


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        pytest.param(host_pattern, "https://api.x.com/v1", "more than a host", id="host with a scheme"),
        pytest.param(host_pattern, "localhost:8080", "more than a host", id="host with a port"),
        pytest.param(route_pattern, "v1/chat", "no route", id="route without a slash"),
        pytest.param(route_pattern, "/v1/{a-b}", "a-b", id="route with a bad name"),
        pytest.param(route_pattern, "/{a}/{a}", "{a}", id="route with a name twice"),
        pytest.param(route_pattern, "/v1/{a", "brace", id="route with an open brace"),
        pytest.param(client_pattern, "10.0.0.300", "no address", id="client"),
        pytest.param(client_pattern, "10.0.0.1/8", "beyond its network", id="client with host bits"),
        pytest.param(text_pattern, "re:(", "cannot be used", id="regular expression"),
    ],
)
def test_what_is_refused(parse: object, text: str, message: str) -> None:
    with pytest.raises(Wrong, match=message.replace("{", r"\{")):
        parse(text)  # type: ignore[operator]


def test_a_regular_expression_sees_64_kib() -> None:
    pattern = text_pattern("re:needle")
    assert pattern.find("x" * (REGEX_LIMIT - 6) + "needle") is not None
    assert pattern.find("x" * (REGEX_LIMIT - 5) + "needle") is None


def test_named_groups_are_captured_where_they_took_part() -> None:
    pattern = text_pattern("re:ticket (?P<number>[0-9]+)(?P<rest>!)?")
    assert pattern.find("see ticket 42") == {"number": "42"}
    assert pattern.groups == {"number", "rest"}


def test_globs_over_long_texts_do_not_go_back_and_forth() -> None:
    text = "ab" * 200_000
    started = time.process_time()
    assert text_pattern("*a*b*a*b*c*").find(text) is None
    assert text_pattern("*a?a*b*a*b*c?").find(text) is None
    assert time.process_time() - started < 2  # going back and forth would take days


def brute_force(glob: str, text: str) -> bool:
    if not glob:
        return not text
    if glob[0] == "*":
        return any(brute_force(glob[1:], text[i:]) for i in range(len(text) + 1))
    return bool(text) and glob[0] in ("?", text[0]) and brute_force(glob[1:], text[1:])


@given(st.text("ab*?", max_size=7), st.text("ab\n", max_size=9))
def test_globs_agree_with_their_definition(glob: str, text: str) -> None:
    pattern = text_pattern(glob)
    found = pattern.find(text) is not None
    assert found is brute_force(glob, text)
    assert not found or (text.startswith(pattern.prefix) and text.endswith(pattern.suffix))
