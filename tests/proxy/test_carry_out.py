"""A plan, carried out on mitmproxy's own messages."""

from __future__ import annotations

import pytest
from mitmproxy import http
from tests.rules.build import call

from sessiontap.gateways import Route
from sessiontap.headers import Edit
from sessiontap.proxy import carry_out
from sessiontap.proxy.plan import Plan
from sessiontap.rules.decision import Decision, Labels


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


def test_only_what_is_set_or_removed_changes() -> None:
    request = http.Request.make("POST", "https://api.openai.com/", headers={"X-Old": "1", "X-Kept": "2"})
    edits = (Edit("remove", "x-old"), Edit("set", "X-New", None, "3"), Edit("withhold", "X-Secret", None, "4", "why"))
    carry_out.edit(request, edits)
    assert {name: value for name, value in request.headers.items() if name.startswith("X-")} == {
        "X-Kept": "2",
        "X-New": "3",
    }
