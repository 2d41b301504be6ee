from __future__ import annotations

import pytest
from tests.rules.build import facts

from sessiontap.llm.call import Agent, Asked, Call, Endpoint
from sessiontap.rules.facts import KnownFacts
from sessiontap.rules.set_keys import default_path, path_of
from sessiontap.rules.template import TemplateContext, parse_template


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("Course Plan/outline ${model}", "/Course-Plan/outline-openai-gpt-4o"),
        ("/a/b", "/a/b"),
        ("a/b/", "/a/b"),
        ("//a///b//", "/a/b"),
        ("/", "/"),
        ("/a_b.c-d", "/a_b.c-d"),
        ("/what's up?", "/what-s-up-"),
        ("/a & b", "/a-b"),
        ("/Übung/日本語", "/Übung/日本語"),
        ("/Uebung/U\u0308bung", "/Uebung/Übung"),
        ("/${header.X-Team}", "/Blue"),
        ("/x/${model}/y", "/x/openai-gpt-4o/y"),
    ],
)
def test_paths(template: str, path: str) -> None:
    pieces = parse_template(template).pieces(TemplateContext(KnownFacts(facts()), {}))
    assert pieces is not None
    assert path_of(pieces) == path


@pytest.mark.parametrize(
    ("agent", "operation", "path"),
    [
        pytest.param(Agent("codex"), "chat", "/main", id="known agent"),
        pytest.param(Agent("claude-code", subagent="code reviewer"), "chat", "/main/code-reviewer", id="sub-agent"),
        pytest.param(Agent("codex", subagent=""), "chat", "/main", id="a sub-agent without a name"),
        pytest.param(None, "embeddings", "/embeddings", id="operation"),
        pytest.param(None, "other", "/other", id="other"),
    ],
)
def test_default_path(agent: Agent | None, operation: str, path: str) -> None:
    known = Call(Endpoint("openai", "other", operation, "/x"), Asked(), agent)  # type: ignore[arg-type]
    assert default_path(KnownFacts(facts(call=known))) == path


def test_default_path_of_a_call_that_nobody_read() -> None:
    assert default_path(KnownFacts(facts(call=None))) == "/other"
