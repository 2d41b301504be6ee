"""Globs and regular expressions."""

from __future__ import annotations

import os
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessiontap.rules.match_patterns import (
    REGEX_LIMIT,
    client_pattern,
    header_pattern,
    host_pattern,
    path_pattern,
    route_pattern,
    text_pattern,
)
from sessiontap.rules.problems import BadValue


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
    with pytest.raises(BadValue, match=message.replace("{", r"\{")):
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


HOSTILE = [
    pytest.param(text_pattern, "*a*a*a*a*a*a*b", "a" * 60_000, id="text"),
    pytest.param(text_pattern, "*a?*a?*a?*a?*a?*b", "a" * 60_000, id="text with question marks"),
    pytest.param(text_pattern, "re:error.*timeout.*retry", "error timeout " * 4_681, id="regular expression"),
    pytest.param(text_pattern, "re:(a+)+b", "a" * 65_536, id="regular expression of repetitions"),
    pytest.param(host_pattern, "*a*a*a*a*a*a.example", "a" * 60_000, id="host"),
    pytest.param(host_pattern, "*a?*a?*a?*a?.example", "a" * 60_000, id="host with question marks"),
    pytest.param(host_pattern, "re:(a|aa)+$", "a" * 60_000 + "b", id="host by a regular expression"),
    pytest.param(header_pattern, "*a*a*a*a*a*a*b", "a" * 60_000, id="header"),
    pytest.param(route_pattern, "/*a*a*a*a*b", "GET /" + "a" * 60_000, id="route"),
    pytest.param(route_pattern, "/**a**a**a**a**b", "GET /" + "a/" * 30_000, id="route with double stars"),
    pytest.param(route_pattern, "/**/a/**/a/**/a/**/b", "GET " + "/a" * 30_000, id="route of many segments"),
    pytest.param(route_pattern, "/{org}-{team}-{app}-{part}-x", "GET /" + "-" * 60_000, id="route with captures"),
    pytest.param(route_pattern, "re:^(/a*)*$", "GET " + "/a" * 30_000 + "b", id="route by a regular expression"),
    pytest.param(path_pattern, "/srv/*a*a*a*a*b", "/srv/" + "a" * 60_000, id="path"),
    pytest.param(path_pattern, "/srv/**a**a**a**b", "/srv/" + "a/" * 30_000, id="path with double stars"),
]


@pytest.mark.parametrize(("parse", "glob", "text"), HOSTILE)
def test_no_pattern_freezes_the_proxy(parse: Any, glob: str, text: str) -> None:
    pattern = parse(glob)
    started = time.process_time()
    assert pattern.find(text) is None
    assert time.process_time() - started < 2  # going back and forth would take from 25 seconds to years


@pytest.mark.parametrize(
    ("parse", "glob"),
    [
        pytest.param(text_pattern, "*?" * 5_000, id="text"),
        pytest.param(route_pattern, "/" + "*?" * 5_000, id="route"),
        pytest.param(route_pattern, "/" + "".join(f"{{a{n}}}-" for n in range(1_000)), id="route with captures"),
        pytest.param(path_pattern, "/" + "*?" * 5_000, id="path"),
    ],
)
def test_globs_of_endless_wildcards_are_refused(parse: Any, glob: str) -> None:
    started = time.process_time()
    with pytest.raises(BadValue, match="too long for a glob"):
        parse(glob)
    assert time.process_time() - started < 2


def segments_by_definition(glob: str, path: str) -> dict[str, str] | None:
    """A route or path glob as a regular expression of Python's: on texts this small it cannot be slow."""
    wild = [
        (r"/\*\*\Z", "(?:/.*)?"),
        (r"(?:(?<=/)|\A)\*\*/", "(?:.*/)?"),
        (r"\*\*", ".*"),
        (r"\*", "[^/]*"),
        (r"\?", "[^/]"),
        (r"\{(\w)\}", r"(?P<\1>[^/]+)"),
        (r"[^*?{}]", None),
    ]
    source, position = "", 0
    while position < len(glob):
        for form, meaning in wild:
            if match := re.compile(form).match(glob, position):
                source += re.escape(match[0]) if meaning is None else match.expand(meaning)
                position = match.end()
                break
    match = re.fullmatch(source, path, re.DOTALL)
    return None if match is None else match.groupdict()


GLOBS = st.lists(st.sampled_from(["a", "b", "-", "/", "/", "*", "**", "?", "/**", "**/"]), max_size=8).map("".join)
PATHS = st.lists(st.sampled_from(["a", "b", "-", "/", "ab", "\n", "é"]), max_size=10).map("".join)


@settings(max_examples=400, deadline=None)
@given(GLOBS, PATHS)
def test_path_globs_agree_with_their_definition(glob: str, path: str) -> None:
    glob, path = "/" + glob, "/" + path
    pattern = path_pattern(glob)
    found = pattern.find(path) is not None
    assert found is (segments_by_definition(glob.rstrip("/") or "/", path) is not None)
    assert not found or path.startswith(pattern.prefix)


@settings(max_examples=400, deadline=None)
@given(GLOBS, st.lists(st.sampled_from(["x", "y", "z"]), max_size=3, unique=True), st.data(), PATHS)
def test_route_globs_capture_by_their_definition(glob: str, names: list[str], data: st.DataObject, path: str) -> None:
    for name in names:
        at = data.draw(st.integers(0, len(glob)))
        glob = f"{glob[:at]}{{{name}}}{glob[at:]}" if glob[:at].count("{") == glob[:at].count("}") else glob
    glob, path = "/" + glob, "/" + path
    expected = segments_by_definition(glob, path)
    found = route_pattern("POST " + glob).find("POST " + path)
    assert found == (None if expected is None else {f"route.{name}": got for name, got in expected.items()})


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
