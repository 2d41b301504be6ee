"""docs/recipes/repository-bot: three jobs of one bot, with a vector database and tool calls in the same session."""

from __future__ import annotations

import json

import pytest
from tests.e2e.lab import Lab
from tests.recipes.chroma_server import chroma
from tests.recipes.recipe import missing_lines, page, said, session_headers, shown
from tests.recipes.repository_bot import ANSWERS, NAME, Run, paths, run_bot

from sessiontap.sessions.session import derived_id


@pytest.fixture(scope="module")
def run(lab: Lab) -> Run:
    return run_bot(lab, lab.upstream(chroma, [], tls=False).port)


def test_the_bot_sees_no_difference(run: Run) -> None:
    assert run.through["review"].seen == run.past.seen
    assert {job: (ended.status, ended.stdout.strip()) for job, ended in run.through.items()} == {
        job: (0, answer) for job, answer in ANSWERS.items()
    }


def test_it_knows_nothing_of_us(run: Run) -> None:
    source = (run.recipe.folder / "app.py").read_text("utf-8").lower()
    assert not any(word in source for word in ("sessiontap", "helicone", "proxy", "session"))


def test_each_job_is_a_session_with_its_searches_and_tools(run: Run) -> None:
    found = paths(run)
    start = ["embeddings", "vector_search", "vector_search"]
    documented = derived_id("template", "document-src/dates.py-repository-bot", "API Documentation")
    assert found == {
        "generate-41-repository-bot": [f"/generate/similar-code/{one}" for one in start]
        + ["/generate", "/generate/read-file"],
        documented: [f"/document/similar-code/{one}" for one in start] + ["/document", "/document/read-file"],
        "review-42-repository-bot": [f"/review/similar-code/{one}" for one in start]
        + ["/review", "/review/read-file", "/review/read-file"],
    }


def test_what_all_calls_of_a_job_share(run: Run) -> None:
    reviews = [call.record for call in run.calls if call.record["session"]["id"] == "review-42-repository-bot"]
    assert {record["session"]["name"] for record in reviews} == {"Pull Request Review"}
    assert {record["user"] for record in reviews} == {"ada"}
    assert {tuple(record["tags"]) for record in reviews} == {("bot", "review")}
    assert [record["properties"].get("tool") for record in reviews] == [None] * 4 + ["read_file"] * 2
    assert {record["properties"]["subject"] for record in reviews} == {"42"}
    assert {record["outcome"] for record in reviews} == {"ok"}
    assert [record["llm"]["provider"] for record in reviews] == ["openai", "chroma", "chroma"] + ["openai"] * 3


def test_nothing_is_added_to_what_it_sends(run: Run) -> None:
    assert len(run.received) == 10
    assert [session_headers(request) for request in run.received] == [{}] * 10
    assert [call.record["changes"] for call in run.calls if call.record["changes"]] == []


def test_the_tools_of_a_job_are_in_its_session(run: Run) -> None:
    (tool,) = json.loads(said("sessiontap tools @1 --json", NAME, run.trace))["tools"]
    assert (tool["tool"], tool["calls"], tool["results"]) == ("read_file", 2, 2)


def test_the_page_shows_what_is_said(run: Run) -> None:
    commands = shown(page(NAME))
    assert [command.split()[1] for command, _ in commands] == ["ls", "show", "tools"]
    for command, text in commands:
        assert missing_lines(text, said(command, NAME, run.trace)) == []
