"""A call's plan, of plain values: what rules see, which session it gets, what an upgrade is told."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from sessiontap.callers import Caller, Found
from sessiontap.exchange import Headers, Request
from sessiontap.faults import Faults
from sessiontap.gateways import Direct, Route
from sessiontap.gateways.breaker import FAILURES, GatewayAddress
from sessiontap.gateways.failing_open import GatewayUse
from sessiontap.llm.call import Reply, ToolCall
from sessiontap.llm.history import fingerprint_of
from sessiontap.proxy.call_context import CallContext, Plan, SocketContext
from sessiontap.proxy.connections import Connection, Destination
from sessiontap.proxy.plan import Planner
from sessiontap.proxy.prepare import history_of, read
from sessiontap.recording.finished import PlannerUpdate
from sessiontap.rules import load_text
from sessiontap.trust import Upstream

DESTINATION = Destination("api.openai.com", "openai")
KNOWN = Found(Caller(id="0aa5b8a2-0000-5000-8000-000000000001", pid=1, started=1, name="app.py"))
UNKNOWN = Found(reason="gone")
TASK = "Find every place where the parser drops a comment."
UPGRADE = Headers([("Connection", "Upgrade"), ("Upgrade", "websocket")])


@dataclass
class Desk:
    """A planner and one client."""

    rules: str
    found: Found = KNOWN
    client: str = "127.0.0.1"
    environ: dict[str, str] = field(default_factory=dict)
    planner: Planner = field(init=False)
    asked: CallContext = field(init=False)
    """The last call."""
    now: int = 1_763_701_200 * 10**9

    def __post_init__(self) -> None:
        self.planner = Planner(self.environ, Faults())

    def ask(
        self,
        id: str,
        body: dict[str, Any] | None,
        path: str = "/v1/chat/completions",
        destination: Destination = DESTINATION,
        **options: Any,
    ) -> Plan:
        """A request; without a body it opens a WebSocket."""
        self.now += 10**9
        headers = UPGRADE if body is None else Headers([("content-type", "application/json")])
        data = json.dumps(body).encode() if body is not None else b""
        request = Request("GET" if body is None else "POST", destination.host, path, headers, data)
        connection = Connection("conn-1", (self.client, 5000), self.found, proxy=("127.0.0.1", 8080))
        request, call, _ = read(request, destination, data)
        context = CallContext(id, self.now, 0, connection, request, destination, call=call, **options)
        context.history = history_of(call)
        self.asked = context
        plan = self.planner.plan(context, load_text(self.rules, "rules.yaml"))
        assert not self.planner.faults.counts
        return plan

    def reply(self, id: str, plan: Plan, *tools: ToolCall, text: str | None = None) -> None:
        assert plan.history is not None
        came = fingerprint_of(plan.history.tail(), Reply(text=text, tool_calls=tools), 200)
        self.planner.update(PlannerUpdate(id, plan.session.id if plan.session else None, self.now, came, None))


BY_SUBAGENT = """
version: 1
rules:
  - {rule: explorer, match: {subagent: explore}, session: {path: "/helpers/${subagent}"}}
  - {rule: all, session: {name: App}}
"""


def said(*messages: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": one} for one in messages]}


def test_rules_see_a_sub_agent_that_only_its_conversation_tells() -> None:
    desk = Desk(BY_SUBAGENT)
    main = desk.ask("main", said("Clean up."))
    arguments = json.dumps({"prompt": TASK, "subagent_type": "explore"})
    desk.reply("main", main, ToolCall("Task", "call_aBcD1eF", arguments))
    helper = desk.ask("helper", said(TASK))
    assert (main.filled.path, helper.filled.path) == ("/chat", "/helpers/explore")
    assert (main.call.subagent, helper.call.subagent) == (None, "explore")
    assert helper.link.parent == "main"


def test_without_a_process_the_record_names_the_sub_agent_all_the_same() -> None:
    desk = Desk("version: 1\nrules: [{session: {name: App}}]", UNKNOWN)
    main = desk.ask("main", said("Clean up."))
    desk.reply("main", main, ToolCall("Task", "call_aBcD1eF", json.dumps({"prompt": TASK})))
    helper = desk.ask("helper", said(TASK))
    assert (helper.filled.path, helper.call.subagent) == ("/main/Task", "Task")


def test_a_call_that_is_ignored_is_not_remembered() -> None:
    desk = Desk("version: 1\nrules: [{match: {message: secret}, ignore: true}, {session: {name: App}}]")
    assert desk.ask("ignored", said("secret")).session is None
    assert len(desk.planner.conversations) == 0


def test_an_agent_that_serves_as_a_tool_is_in_the_session_of_the_run_that_it_serves() -> None:
    desk = Desk("version: 1\nrules: [{session: {id: native}}]")
    main = desk.ask("main", {**said("Clean up."), "prompt_cache_key": "agents-sdk:run:run-0001"})
    desk.reply("main", main, ToolCall("ask_helper", "call_aBcD1eF", json.dumps({"input": TASK})))
    helper = desk.ask("helper", {**said(TASK), "prompt_cache_key": "agents-sdk:run:run-0002"})
    other = desk.ask("other", {**said("Something else"), "prompt_cache_key": "agents-sdk:run:run-0003"})
    sessions = [plan.session.id for plan in (main, helper, other) if plan.session]
    assert sessions == ["run-0001", "run-0001", "run-0003"]
    assert helper.filled.path == "/main/ask_helper"


@pytest.mark.parametrize("found", [KNOWN, UNKNOWN], ids=["a known process", "an unknown one"])
def test_tools_are_named_before_the_rules_ask_for_them(found: Found) -> None:
    rule = '{match: {tool_result: find}, session: {path: "/found/${tool_result}/${tool_result.find.count}"}}'
    desk = Desk(f"version: 1\nrules: [{rule}]", found)
    asked = desk.ask("first", {"model": "m", "input": "Look."}, "/v1/responses")
    desk.reply("first", asked, ToolCall("find", "call_aBcD1eF", "{}"))
    given = {"type": "function_call_output", "call_id": "call_aBcD1eF", "output": '{"count": 7}'}
    plan = desk.ask("second", {"model": "m", "input": [given]}, "/v1/responses")
    assert (plan.filled.path, plan.call.asked.tool_results) == ("/found/find/7", ("find",))


KEY = {"HELICONE_API_KEY": "sk-helicone-abcdefg-abcdefg-abcdefg-abcdefg"}
VERIFIED = Upstream("https", DESTINATION.host, 443, DESTINATION.host, verifies=True)
ELSEWHERE = "10.1.2.3"
LABELS_ONLY = "{match: {client: 10.0.0.0/8}, tags: [ten]}"
BY_HELICONE = "gateway: helicone"
BY_OWN = "gateway: mine"


def gateway_key(
    *rules: str, client: str = ELSEWHERE, found: Found = UNKNOWN, upstream: Upstream = VERIFIED
) -> str | None:
    """The key that a call takes to its gateway; None if it goes to its own host."""
    text = (
        "gateways: {mine: {kind: helicone, url: 'http://127.0.0.1:8585', key: own-key}}\n"
        f"rules: [{', '.join(rules)}]"
    )
    plan = Desk(text, found, client, KEY).ask("call", said("Why?"), upstream=upstream)
    assert isinstance(plan.gateway, Route) == any(edit.header == "Helicone-Auth" for edit in plan.edits)
    return next((edit.new for edit in plan.edits if edit.header == "Helicone-Auth"), None)


@pytest.mark.parametrize("way", [BY_HELICONE, BY_OWN], ids=["helicone", "own"])
@pytest.mark.parametrize(
    ("rules", "given", "goes"),
    [
        pytest.param(["{%s}"], {"client": "127.0.0.1"}, True, id="a client of this machine"),
        pytest.param(["{%s}"], {"found": KNOWN}, True, id="a process of this machine"),
        pytest.param(["{%s}"], {}, False, id="another machine"),
        pytest.param(["{match: {client: 10.0.0.0/8}, %s}"], {}, True, id="one that the rule names"),
        pytest.param([LABELS_ONLY, "{%s}"], {}, False, id="one that another rule names for its labels"),
        pytest.param(
            ["{match: {client: 10.0.0.0/8}, session: {name: Ten}}", "{%s}"], {}, False, id="for its session"
        ),
        pytest.param(["{%s}", "{match: {client: 10.0.0.0/8}, %s}"], {}, True, id="a later rule with that gateway"),
        pytest.param(
            ["{%s}"],
            {"client": "127.0.0.1", "upstream": replace(VERIFIED, via_proxy=True, verifies=False)},
            False,
            id="certificates are not verified, and another proxy is on the way",
        ),
    ],
)
def test_a_gateways_key_is_for_those_that_its_own_rule_names(
    rules: list[str], given: dict[str, Any], goes: bool, way: str
) -> None:
    key = gateway_key(*(rule.replace("%s", way) for rule in rules), **given)
    assert (key is not None) is goes


@pytest.mark.parametrize(
    ("rules", "goes"),
    [
        pytest.param("{session: {name: S}}", False, id="another machine"),
        pytest.param("{match: {client: 10.0.0.0/8}, session: {name: S}}", True, id="the session's rule names it"),
        pytest.param(f"{LABELS_ONLY}, {{session: {{name: S}}}}", False, id="a rule for labels names it"),
    ],
)
def test_helicones_key_is_for_those_that_the_sessions_rule_names(rules: str, goes: bool) -> None:
    destination = Destination("oai.helicone.ai", "openai")
    upstream = Upstream("https", destination.host, 443, destination.host, verifies=True)
    desk = Desk(f"rules: [{rules}]", UNKNOWN, ELSEWHERE, KEY)
    plan = desk.ask("call", said("Why?"), destination=destination, upstream=upstream)
    (edit,) = (edit for edit in plan.edits if edit.header == "Helicone-Auth")
    assert edit.action == ("set" if goes else "withhold")
    assert [warning for warning in plan.warnings if "Helicone-Auth" in warning] == (
        [] if goes else [f"Helicone-Auth is withheld from Helicone: {edit.rule}"]
    )


def through_gateway(options: str = "", rule: str = "") -> str:
    mine = f"{{kind: helicone, url: 'http://127.0.0.1:8585', key: own-key{options}}}"
    return f"gateways: {{mine: {mine}}}\nrules: [{{session: {{name: App}}, send: none, gateway: mine{rule}}}]"


ADDRESS = GatewayAddress("mine", "http://127.0.0.1:8585")


def test_a_plan_has_both_ways_and_the_gateways_headers_are_in_one_of_them() -> None:
    rule = ", headers: {set: {X-Gateway: '${proxy_env.WORD}', X-Both: 'to both'}}"
    desk = Desk(through_gateway(rule=rule), environ={"WORD": "secret"})
    plan = desk.ask("call", said("Why?"), upstream=VERIFIED)
    assert plan.fallback is not None
    there = {edit.header: edit.new for edit in plan.edits if edit.action == "set"}
    direct = {edit.header: edit.new for edit in plan.fallback.edits if edit.action == "set"}
    assert there.keys() == {"X-Gateway", "X-Both", "Helicone-Auth", "Helicone-Target-URL"}
    assert direct == {"X-Both": "to both"}
    assert "secret" not in str(plan.fallback.edits)


@pytest.mark.parametrize(
    ("options", "rule", "expected"),
    [
        pytest.param("", "", GatewayUse(ADDRESS, "helicone"), id="defaults"),
        pytest.param(
            ", retry_unanswered: true, connect_timeout: 1s, answer_timeout: 5m",
            "",
            GatewayUse(ADDRESS, "helicone", True, True, 1.0, 300.0),
            id="the gateway's own",
        ),
        pytest.param(", fail: closed", "", GatewayUse(ADDRESS, "helicone", False), id="a gateway that fails closed"),
        pytest.param("", ", fail: closed", GatewayUse(ADDRESS, "helicone", False), id="a rule that does"),
        pytest.param(", fail: closed", ", fail: open", GatewayUse(ADDRESS, "helicone"), id="a rule stands above it"),
    ],
)
def test_the_use_of_a_gateway(options: str, rule: str, expected: GatewayUse) -> None:
    plan = Desk(through_gateway(options, rule)).ask("call", said("Why?"), upstream=VERIFIED)
    assert plan.use == expected
    assert (plan.fallback is not None) is expected.fail_open


@pytest.mark.parametrize(("fail", "skipped"), [("open", True), ("closed", False)])
def test_a_gateway_whose_breaker_is_open_is_not_tried(fail: str, skipped: bool) -> None:
    desk = Desk(through_gateway(rule=f", fail: {fail}"))
    breaker, now = desk.planner.breakers.of(ADDRESS), desk.planner.breakers.clock()
    for _ in range(FAILURES):
        breaker.failed(now, now)
    plan = desk.ask("call", said("Why?"), upstream=VERIFIED)
    assert isinstance(plan.gateway, Direct if skipped else Route)
    assert (plan.use is None, plan.warnings) == (skipped, ())
    if isinstance(plan.gateway, Direct):
        assert plan.gateway.reason.startswith("gateway_skipped: the gateway mine at http://127.0.0.1:8585 ")
        assert [edit for edit in plan.edits if edit.action == "set"] == []


CONVERSATION = "version: 1\nrules: [{session: {id: conversation}}]"


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/realtime?model=m"], ids=["responses", "realtime"])
def test_an_upgrade_is_told_the_conversation_that_begins_on_the_socket(path: str) -> None:
    desk = Desk(CONVERSATION)
    upgrade = desk.ask("upgrade", None, path)
    turn = {"model": "m", "input": "Why?", "conversation": "socket upgrade" if "realtime" in path else None}
    opening = SocketContext("upgrade", is_fresh=True, reserved_session=upgrade.session)
    first = desk.ask("upgrade", turn, path, socket=opening)
    assert upgrade.session is not None
    assert upgrade.session.source == "conversation"
    assert first.session == upgrade.session
    later = desk.ask("later", {"model": "m", "input": "Else?"}, "/v1/responses", socket=SocketContext("upgrade"))
    assert later.session is not None
    assert later.session.id != upgrade.session.id


def test_a_socket_of_no_model_is_told_no_conversation() -> None:
    plan = Desk(CONVERSATION).ask("upgrade", None, "/v1/notifications")
    assert plan.session is not None
    assert plan.session.source == "connection"
