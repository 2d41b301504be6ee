"""The rules see of a recorded call what they saw of the call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.cli import recorded

from sessiontap import trace
from sessiontap.cli import explained_call


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> trace.RecordedCall:
    folder: Path = recorded.write(tmp_path_factory.mktemp("stored"), recorded.calls()[:1])
    return trace.open(folder).call("@1")


def test_the_rules_see_the_same_facts(call: trace.RecordedCall) -> None:
    facts = explained_call.facts_of(call)
    assert (facts.host, facts.provider, facts.client_ip) == ("api.openai.com", "openai", "127.0.0.1")
    assert facts.request is not None
    assert facts.request.url == "https://api.openai.com/v1/chat/completions"
    assert facts.request.headers.get("helicone-session-id") is None
    assert facts.caller is not None
    assert (facts.caller.names, facts.caller.ancestors) == (recorded.NODE.names, recorded.NODE.ancestors)


def test_what_its_conversation_told_of_a_call_is_told_again(tmp_path: Path) -> None:
    given = [{"role": "tool", "tool_call_id": "call_1", "content": "7"}]
    seen = recorded.chat(1, session=("s", "S", "/main/explore", 0), caller=None, messages=given)
    assert seen.call is not None
    asked = replace(seen.call.asked, results=(("call_1", "find"),), tool_results=("find",))
    seen = replace(seen, call=replace(seen.call, asked=asked, inferred="explore"))
    call = trace.open(recorded.write(tmp_path, [seen])).call("@1")
    assert (call.record["llm"]["tool_results"], call.record["subagent"]) == (["find"], "explore")
    understood = explained_call.facts_of(call).call
    assert understood is not None
    assert (understood.asked.tool_results, understood.subagent) == (("find",), "explore")
