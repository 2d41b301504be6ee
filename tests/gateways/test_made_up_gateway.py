"""A gateway is a file and a line: what routes, offers, checks and describes it reads the list."""

from __future__ import annotations

from pathlib import Path

from tests.support.extended import run_extended

ACME = """
    from sessiontap.gateways.gateway import Direct, GatewayKind, Route
    from sessiontap.header_edit import Edit


    def plan(call):
        if call.provider == "bedrock":
            return Direct("Acme does not take Bedrock's calls")
        return Route("https", "gateway.acme.example", 443, (Edit("set", "Acme-Target", None, call.host, "acme"),))


    KIND = GatewayKind("acme", plan, frozenset({"traceforge"}))
"""
LINES = {
    "gateways/__init__.py": (
        ("    custom_gateway,", "    acme,"),
        ("        helicone_gateway.KIND,", "        acme.KIND,"),
    )
}

CODE = """
    from sessiontap.exchange import Headers
    from sessiontap.gateways import GatewayCall, Route, plan
    from sessiontap.rules import RulesError, json_schema, lint, load_text

    found = plan("acme", GatewayCall("https", "api.openai.com", 443, Headers()))
    assert isinstance(found, Route), found
    assert (found.host, found.edits[0].new) == ("gateway.acme.example", "api.openai.com")

    rule = "{session: {name: x}, send: %s, gateway: %s}"
    file = "{gateways: {mine: {kind: acme, url: 'https://a.example'}}, rules: [" + rule + "]}"
    for gateway in ("acme", "mine"):
        assert lint(load_text(file % ("traceforge", gateway))) == []
        (warning,) = lint(load_text(file % ("helicone", gateway)))
        assert "to a gateway that does not read them" in warning, warning
    assert "acme" in json_schema()["properties"]["gateways"]["additionalProperties"]["properties"]["kind"]["enum"]
    try:
        load_text("rules: [{gateway: acmee}]")
    except RulesError as error:
        assert "did you mean 'acme'" in str(error), error
    else:
        raise AssertionError
"""


def test_a_gateway_of_ones_own_routes_and_the_rules_offer_and_check_it(tmp_path: Path) -> None:
    run_extended(tmp_path, CODE, {"gateways/acme.py": ACME}, LINES)
