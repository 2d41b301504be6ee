"""docs/recipes/course-generator: a Node service on Groq, sent to Helicone, one session for each course."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.lab import Lab
from tests.recipes import chat_model
from tests.recipes.recipe import Ended, Recipe, missing_lines, page, said, session_headers, shown
from tests.support.dialogue import Request, Respond
from tests.support.gate import PATIENCE

from sessiontap.trace import RecordedCall

NAME = "course-generator"
AT_ONCE = ({"topic": "chess", "user": "linus"}, {"topic": "sailing", "mode": "thorough", "user": "grace"})
LAST = {"topic": "bread baking", "user": "ada"}
AGENT = "/context-gather/agent-execution"
PATHS = [
    "/context-gather",
    AGENT,
    *(f"{AGENT}/{step}" for step in ("web-search", "knowledge", "syllabus", "generation")),
    "/context-gather/completion",
]
HELICONE_KEY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
POSTHOG_KEY = "phc_0123456789abcdefghijklmnop"
KEYS = {"GROQ_API_KEY": "gsk_test0000", "PORT": "0"}


TOOLS = (
    ("web_search", {"query": "what beginners need to know"}),
    ("knowledge", {"question": "Which exercises worked before?"}),
    ("syllabus", {"lessons": "First steps\nLast things"}),
)
"""What the planner asks for, one after the other."""


async def groq(request: Request, respond: Respond) -> None:
    """Groq as this service asks it. One of its models has been taken out of service."""
    asked = json.loads(await request.body())
    if asked["model"] == "gemma2-9b-it":
        text = "The model `gemma2-9b-it` has been decommissioned and is no longer supported."
        return await chat_model.refuse(respond, 400, "model_decommissioned", text)
    helicone = [("helicone-id", "3f7a0d52-0000-4000-8000-000000000000")] if "helicone-auth" in request.headers else []
    if "tools" in asked:
        done = sum(message["role"] == "tool" for message in asked["messages"])
        if done < len(TOOLS):
            name, arguments = TOOLS[done]
            calls = [chat_model.tool_call(f"call_{len(asked['messages'])}_{name}", name, **arguments)]
            return await chat_model.reply(respond, asked, None, calls, helicone)
    text = {
        "You gather": "It is for beginners who learn in the evening.",
        "You plan c": "The syllabus is saved.",
        "You write ": "Begin small, and look at what you did.",
        "You edit c": "A course for everybody. Come in!",
    }[asked["messages"][0]["content"][:10]]
    return await chat_model.reply(respond, asked, text, headers=helicone)


@dataclass
class Run:
    """The service has run through the proxy, and past it, and made the same courses."""

    recipe: Recipe
    through: Ended
    past: Ended
    calls: list[RecordedCall]
    received: list[Request]
    """What came to Helicone."""
    trace: Path
    direct: list[Request]
    """What came to Groq while the service ran through the proxy."""


def order(first: str) -> str:
    """What users of the service get: two who ask at the same time, and one after them."""
    url = first.split()[-1]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(course: dict[str, str]) -> str:
        with opener.open(urllib.request.Request(url, json.dumps(course).encode()), timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    with ThreadPoolExecutor() as users:
        return "\n".join([*users.map(ask, AT_ONCE), ask(LAST)])


def run_service(lab: Lab, node: str, folder: Path | None = None) -> Run:
    """Run the service by this Node. `folder`: another one than the recipe's own."""
    provider = lab.upstream(groq, ["api.groq.com", "localhost"])
    helicone = lab.upstream(groq, ["*.helicone.ai"])
    recipe = Recipe(NAME, lab, folder)
    proxy = recipe.proxy({"HELICONE_API_KEY": HELICONE_KEY, "POSTHOG_API_KEY": POSTHOG_KEY})
    through = recipe.through([node, "app.js"], KEYS, order)
    direct = list(provider.requests)
    past = recipe.past([node, "app.js"], {**KEYS, "GROQ_BASE_URL": f"https://localhost:{provider.port}"}, order)
    return Run(recipe, through, past, proxy.stop(), helicone.requests, proxy.trace_folder, direct)


@pytest.fixture(scope="module")
def run(lab: Lab) -> Run:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    return run_service(lab, node)


def test_the_service_sees_no_difference(run: Run) -> None:
    assert run.through.seen == run.past.seen
    assert run.through.status == 0
    assert "the library does not answer (400 model_decommissioned)" in run.through.stdout
    courses = [json.loads(line) for line in run.through.talk.splitlines()]
    assert [(course["topic"], len(course["lessons"])) for course in courses] == [
        ("chess", 2),
        ("sailing", 2),
        ("bread baking", 2),
    ]


def test_its_files_know_nothing_of_us(run: Run) -> None:
    sources = [file.read_text("utf-8").lower() for file in run.recipe.folder.glob("*.js")]
    assert len(sources) == 3
    for word in ("sessiontap", "helicone", "posthog", "proxy"):
        assert not any(word in source for source in sources)


def test_each_course_is_a_session_over_both_processes(run: Run) -> None:
    sessions: dict[str, list[RecordedCall]] = {}
    for call in run.calls:
        sessions.setdefault(call.record["session"]["id"], []).append(call)
    assert len(sessions) == 3
    for calls in sessions.values():
        assert {call.caller["name"] for call in calls if call.caller} == {"app.js", "writer.js"}
        assert {call.record["session"]["name"] for call in calls} == {"Course Generator"}
        assert len({call.record["user"] for call in calls}) == 1
        assert sorted(call.record["session"]["step"] for call in calls) == list(range(9))
        assert Counter(call.record["session"]["path"] for call in calls) == {
            "/context-gather": 1,
            AGENT: 1,
            f"{AGENT}/web-search": 1,
            f"{AGENT}/knowledge": 2,
            f"{AGENT}/syllabus": 1,
            f"{AGENT}/generation": 2,
            "/context-gather/completion": 1,
        }


def test_helicone_gets_every_call_with_its_session_and_the_services_own_key(run: Run) -> None:
    assert run.direct == []
    assert {request.host for request in run.received} == {"groq.helicone.ai"}
    assert {request.path for request in run.received} == {"/openai/v1/chat/completions"}
    assert {request.headers.get("authorization") for request in run.received} == {"Bearer gsk_test0000"}
    common = {
        "helicone-session-name": "Course Generator",
        "helicone-user-id": "grace",
        "helicone-auth": f"Bearer {HELICONE_KEY}",
        "helicone-posthog-key": POSTHOG_KEY,
        "helicone-posthog-host": "https://us.i.posthog.com",
    }
    own = [session_headers(request) for request in run.received if told(request, "user-id") == "grace"]
    assert all(common.items() <= headers.items() for headers in own)
    assert {headers["helicone-session-id"] for headers in own} == {
        request.headers.get("x-request-id") for request in run.received if told(request, "user-id") == "grace"
    }
    assert len({headers["helicone-property-variant"] for headers in own} & {"short-lessons", "long-lessons"}) == 1
    rest = [
        {name.removeprefix("helicone-property-"): value for name, value in headers.items() if "property" in name}
        for headers in sorted(own, key=lambda headers: PATHS.index(headers["helicone-session-path"]))
    ]
    for properties in rest:
        del properties["variant"]
    assert rest == [
        {"mode": "thorough", "status": "gathering"},
        {"status": "planning"},
        {"tool": "web_search", "query": "what beginners need to know", "status": "planning"},
        {"tool": "knowledge"},
        {"tool": "knowledge", "status": "planning"},
        {"tool": "syllabus", "status": "planning"},
        {"status": "writing"},
        {"status": "writing"},
        {"status": "completed"},
    ]


def told(request: Request, name: str) -> str | None:
    return request.headers.get(f"helicone-{name}")


def test_the_failing_step_is_tracked_and_breaks_nothing(run: Run) -> None:
    failed = [call.record for call in run.calls if call.record["outcome"] != "ok"]
    assert [(record["session"]["path"], record["session"]["step"]) for record in failed] == [
        (f"{AGENT}/knowledge", 3)
    ] * 3
    assert {record["outcome"] for record in failed} == {"http_error"}
    listed = [json.loads(line) for line in said("sessiontap ls --json", NAME, run.trace).splitlines()]
    assert [(row["calls"], row["errors"], row["status"], row["success"]) for row in listed] == [
        (9, 1, "completed", True)
    ] * 3


def test_the_records_have_the_tokens_and_no_key(run: Run) -> None:
    fine = [call.record for call in run.calls if call.record["outcome"] == "ok"]
    assert all(record["llm"]["usage"]["input"] > 0 for record in fine)
    assert {record["forwarded_host"] for record in fine} == {"groq.helicone.ai"}
    changed = json.dumps([call.record["changes"] for call in run.calls])
    assert "[redacted:" in changed
    assert POSTHOG_KEY not in changed
    assert HELICONE_KEY not in changed


def test_the_page_shows_what_is_said(run: Run) -> None:
    commands = shown(page(NAME))
    assert [command.split()[1] for command, _ in commands] == ["ls", "show", "cat", "calls"]
    for command, text in commands:
        assert missing_lines(one_arm(text), one_arm(said(command, NAME, run.trace))) == []


def one_arm(text: str) -> str:
    """`text` with one arm of the test: which one a course gets follows from its id."""
    return text.replace("short-lessons", "long-lessons")
