"""Templates and their variables."""

from __future__ import annotations

from typing import Any

import pytest
from tests.rules.build import NOTHING_KNOWN, SESSION, call, facts, request

from sessiontap.llm.call import Asked, Call, Endpoint
from sessiontap.rules.facts import KnownFacts
from sessiontap.rules.problems import BadValue
from sessiontap.rules.template import FAMILIES, VARIABLES, TemplateContext, check_name, parse_template, printable


def render(template: str, given: Any = None, captures: dict[str, str] | None = None) -> str | None:
    context = TemplateContext(KnownFacts(given or facts()), {"KEY": "k-1", "NONE": ""}, SESSION, captures or {})
    return parse_template(template).render(context)


SAID = [
    ("process.name", "bot.py"),
    ("process.pid", "4711"),
    ("process.user", "ann"),
    ("process.cwd", "/srv/bots"),
    ("process.exe", "/usr/bin/python3.13"),
    ("cwd.name", "bots"),
    ("env.RUN_ID", "run-2025-01"),
    ("proxy_env.KEY", "k-1"),
    ("host", "api.openai.com"),
    ("provider", "openai"),
    ("origin", "https://api.openai.com"),
    ("path", "/v1/chat/completions"),
    ("operation", "chat"),
    ("model", "openai/gpt-4o"),
    ("agent", "claude-code"),
    ("subagent", "general-purpose"),
    ("tool_result", "read_file"),
    ("tool_result.web_search", '{"count": 7, "hits": [{"title": "Rye"}]}'),
    ("tool_result.web_search.count", "7"),
    ("tool_result.web_search.hits.-1.title", "Rye"),
    ("tool_call.web_search", '{"query":"bread","depth":2}'),
    ("tool_call.web_search.depth", "2"),
    ("message", "Please deploy\nticket 42 now"),
    ("prompt", "You plan courses. Be brief."),
    ("header.user-agent", "OpenAI/Python 1.60"),
    ("header.X-Team", "Blue"),
    ("body.metadata.team", "blue"),
    ("body.metadata.size", "3"),
    ("body.metadata.ok", "true"),
    ("body.messages.-1.role", "user"),
    ("body.messages.0.role", "system"),
    ("body.stop.1", "STOP"),
    ("proxy_user", "ci"),
    ("client.ip", "127.0.0.1"),
    ("session.id", "0b8f9c1e-run"),
    ("session.name", "Course"),
    ("session.step", "3"),
    ("date", "2025-01-01"),
]


@pytest.mark.parametrize(("name", "value"), SAID, ids=[name for name, _ in SAID])
def test_every_variable(name: str, value: str) -> None:
    assert render("${" + name + "}") == value


def test_every_variable_of_the_tables_is_tested() -> None:
    named = {name for name, _ in SAID}
    assert set(VARIABLES) <= named
    assert set(FAMILIES) - {"route"} <= {name.partition(".")[0] for name in named}


@pytest.mark.parametrize("name", [*sorted(set(VARIABLES) - {"date"}), *(f"{family}.x" for family in FAMILIES)])
def test_an_unknown_value_is_missing(name: str) -> None:
    context = TemplateContext(KnownFacts(NOTHING_KNOWN), {})
    assert parse_template("a ${" + name + "}").render(context) is None


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain", "plain"),
        ("${host}/${model}", "api.openai.com/openai/gpt-4o"),
        ("$$5 for $ 5 and $${host}", "$5 for $ 5 and ${host}"),
        ("a$", "a$"),
        ("}{", "}{"),
        ("${ host }", "api.openai.com"),
        ("${env.NO}", None),
        ("x-${env.NO}", None),
        ("${env.NO:-default}", "default"),
        ("${env.NO:-}", ""),
        ("${env.EMPTY}", None),
        ("${env.EMPTY:-filled}", "filled"),
        ("${env.RUN_ID:-unused}", "run-2025-01"),
        ("${env.NO:-${env.NEITHER:-${host}!}}", "api.openai.com!"),
        ("${env.NO:-${env.NEITHER}}", None),
        ("${env.NO:-a:b $$ c}", "a:b $ c"),
        ("${body.metadata}", None),
        ("${body.stop}", None),
        ("${body.stop.7}", None),
        ("${body.messages.-9.role}", None),
        ("${body.model.deeper}", None),
        ("${proxy_env.NONE}", None),
    ],
)
def test_rendering(template: str, expected: str | None) -> None:
    assert render(template) == expected


def test_what_the_rule_captured_comes_first() -> None:
    assert render("${model} ${ticket} ${route.x}", None, {"model": "m", "ticket": "42", "route.x": "y"}) == "m 42 y"


def test_a_captured_segment_may_come_from_the_endpoints_own_pattern() -> None:
    known = Call(Endpoint("gemini", "gemini", "chat", "/v1beta/models/{model}:generateContent"), Asked())
    target = "/v1beta/models/gemini-2:generateContent?alt=sse"
    assert render("${route.model}", facts(call=known, request=request(target=target))) == "gemini-2"


def test_a_session_always_gets_the_same_pick() -> None:
    picks = {}
    for number in range(64):
        context = TemplateContext(KnownFacts(facts()), {}, type(SESSION)(f"session-{number}", "n", 0))
        template = parse_template("${pick(red, green,blue)}")
        picks[number] = template.render(context)
        assert template.render(context) == picks[number]
    assert set(picks.values()) == {"red", "green", "blue"}


@pytest.mark.parametrize(
    "template",
    ["${", "${}", "${host", "${a b}", "${.a}", "${a.}", "${host:-x", "${pick()}", "${pick(a,)}", "${a:b}", ""],
)
def test_what_is_no_template(template: str) -> None:
    with pytest.raises(BadValue):
        parse_template(template)


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("modle", "model"),
        ("process.nam", "process.name"),
        ("header", None),
        ("envv.RUN", "env.RUN"),
        ("proxyenv.KEY", "proxy_env.KEY"),
        ("tickt", "ticket"),
    ],
)
def test_unknown_variables_get_a_guess(name: str, guess: str | None) -> None:
    (value,) = parse_template("${" + name + "}").values()
    with pytest.raises(BadValue, match="unknown variable") as caught:
        check_name(value, frozenset({"ticket"}))
    assert guess is None or caught.value.guess == guess


def test_families_named_by_a_template_are_found_in_defaults_too() -> None:
    template = parse_template("${env.A} ${host:-${env.B:-x}} ${proxy_env.C}")
    assert template.names("env") == {"A", "B"}
    assert template.is_secret


def test_control_characters_are_lost() -> None:
    assert printable("a\r\nX-Evil: 1\x00\x7f\x85\u2028b\udcff é") == "aX-Evil: 1b é"


def test_the_tool_result_is_none_where_no_tool_answered() -> None:
    assert render("${tool_result:-none}", facts(call=call(tool_results=()))) == "none"
