"""A plan's edits and route on mitmproxy's messages: nothing else of them changes by a byte."""

from __future__ import annotations

import pytest
from mitmproxy import http
from mitmproxy.test import tutils
from tests.rules.build import call

from sessiontap.gateways import Route
from sessiontap.headers import Edit
from sessiontap.proxy import carry_out
from sessiontap.proxy.plan import Plan
from sessiontap.rules.decision import Decision, Labels

FIELDS = ((b"X-Case", b"1"), (b"accept", b"a"), (b"Accept", b"b"), (b"x-raw", b"\xff\xe9"), (b"Gone", b"x"))


def request(version: str = "HTTP/1.1") -> http.Request:
    made = tutils.treq(http_version=version.encode())
    made.headers = http.Headers(FIELDS)
    return made


def edit(name: str, value: str | None) -> Edit:
    return Edit("remove" if value is None else "set", name, new=value)


@pytest.mark.parametrize(
    ("edits", "fields"),
    [
        ([], FIELDS),
        ([edit("x-new", "n")], (*FIELDS, (b"x-new", b"n"))),
        ([edit("gone", None)], FIELDS[:-1]),
        ([edit("never-there", None)], FIELDS),
    ],
    ids=["none", "one more", "one less", "none to take out"],
)
def test_other_fields_keep_order_case_and_bytes(edits: list[Edit], fields: tuple[tuple[bytes, bytes], ...]) -> None:
    made = request()
    carry_out.edit(made, edits)
    assert made.headers.fields == fields


@pytest.mark.parametrize(("version", "name"), [("HTTP/1.1", b"X-New"), ("HTTP/2.0", b"x-new"), ("HTTP/3", b"x-new")])
def test_names_are_lower_case_where_the_protocol_wants_it(version: str, name: bytes) -> None:
    made = request(version)
    carry_out.edit(made, [edit("X-New", "n")])
    assert (name, b"n") in made.headers.fields


def test_an_edit_that_was_only_considered_changes_nothing() -> None:
    made = request()
    carry_out.edit(made, [Edit("keep", "Gone", new="other"), Edit("withhold", "X-Key", new="secret")])
    assert made.headers.fields == FIELDS


@pytest.mark.parametrize(
    ("route", "host"),
    [
        (Route("https", "oai.helicone.ai", 443), "oai.helicone.ai"),
        (Route("http", "127.0.0.1", 8585), "127.0.0.1:8585"),
        (Route("http", "::1", 8585), "[::1]:8585"),
        (Route("https", "fd00::1", 443), "[fd00::1]"),
    ],
)
def test_a_gateway_is_named_in_host_as_urls_name_it(route: Route, host: str) -> None:
    request = http.Request.make("POST", "https://api.openai.com/v1", headers={"Host": "api.openai.com"})
    carry_out.on_request(Plan(Decision(), Labels(), call(), gateway=route), request)
    assert (request.scheme, request.host, request.port) == (route.scheme, route.host, route.port)
    assert request.headers["host"] == host
