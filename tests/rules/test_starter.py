"""The rules.yaml of this repository: what the demo runs, and what a newcomer reads first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import yaml
from tests.rules.build import CALLER, call, facts, outcome

from sessiontap.callers import Process
from sessiontap.rules import Decision, FilledSettings, IdSource, json_schema, load_file, load_text

FILE = Path(__file__).parents[2] / "rules.yaml"
RULES = load_file(FILE)


def asked(process: str, parent: str = "bash", **known: object) -> tuple[Decision, FilledSettings]:
    ancestors = (Process(1, parent, None, (parent,)),)
    caller = replace(CALLER, name=process, names=("python3", process), ancestors=ancestors, env={})
    return outcome(RULES, facts(caller=caller, call=replace(call(**{"tool_results": (), **known}), agent=None)))


@pytest.mark.parametrize(
    ("known", "path"),
    [
        pytest.param({"prompt": "You plan courses. Look things up first."}, "/course/outline", id="outline"),
        pytest.param(
            {"prompt": "You plan courses.", "tool_results": ("web_search",)}, "/course/web-search", id="web search"
        ),
        pytest.param({"prompt": "You write one lesson of a course.", "model": "m"}, "/course/lesson/m", id="lesson"),
        pytest.param({"prompt": None}, "/course/chat", id="anything else"),
    ],
)
def test_steps_of_the_agent(known: dict[str, object], path: str) -> None:
    decision, filled = asked("course_agent.py", **known)
    assert (decision.name, filled.path) == ("Course Generator", path)
    assert decision.id_sources == (IdSource("process-tree"),)
    assert decision.send == ("helicone",)


def test_its_helper_is_in_the_same_session() -> None:
    decision, filled = asked("embed_lessons.py", parent="course_agent.py", prompt=None)
    assert (decision.name, decision.id_sources) == ("Course Generator", (IdSource("process-tree"),))
    assert filled.path == "/course/chat"


def test_the_chat_script_is_another_session() -> None:
    decision, filled = asked("chat.py", prompt="You answer in one sentence.")
    assert (decision.name, filled.path, filled.tags) == ("Quick Questions", "/chat", ("interactive",))


def test_nothing_is_sent_for_other_programs() -> None:
    decision, filled = asked("other.py", prompt=None)
    assert (decision.name, decision.send) == ("other.py", ())
    assert filled.properties == {"provider": "openai"}


def test_it_is_short_and_its_commented_line_is_valid() -> None:
    text = FILE.read_text("utf-8")
    assert text.count("\n") < 60
    assert "    # gateway: helicone " in text
    bolder = text.replace("    # gateway: helicone ", "    gateway: helicone   ")
    assert [rule.gateway for rule in load_text(bolder).rules].count("helicone") == 1
    jsonschema.validate(yaml.safe_load(text), json_schema(), jsonschema.Draft7Validator)
