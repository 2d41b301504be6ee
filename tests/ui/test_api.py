"""Every answer in JSON is what OpenAPI says of it."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from tests.cli.recorded import COURSE
from tests.ui.served import Client

from sessiontap.ui.openapi import openapi
from sessiontap.ui.page import Page, Parameter
from sessiontap.ui.pages import PAGES

NEEDED = {"/search": "?q=hello", "/compare": "?a=@1&b=@2"}
"""Queries without which a page has nothing to answer."""


def address(page: Page) -> str:
    path = page.path.format(session="@2", call="@2%2F0") + (".json" if page.template else "")
    return path + NEEDED.get(page.path, "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_an_answer_fits_its_schema(client: Client, page: Page) -> None:
    answer = client.get(address(page))
    assert answer.status == 200, answer.text
    jsonschema.validate(answer.json(), page.schema, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_a_schema_is_one(page: Page) -> None:
    jsonschema.Draft202012Validator.check_schema(page.schema)
    assert page.schema.get("properties"), "the answer is described"


def test_the_description_names_every_answer(client: Client) -> None:
    described = client.get("/api/openapi.json").json()
    assert described["openapi"] == "3.1.0"
    assert set(described["paths"]) == {page.path + (".json" if page.template else "") for page in PAGES}
    ids = [path["get"]["operationId"] for path in described["paths"].values()]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("parameter", "schema"),
    [
        (Parameter("q", "", "text"), {"type": "string"}),
        (Parameter("n", "", "integer", default=5, minimum=1), {"type": "integer", "minimum": 1, "default": 5}),
        (Parameter("s", "", "choice", ("a", "b")), {"type": "string", "enum": ["a", "b"]}),
        (Parameter("f", "", "flag"), {"type": "boolean"}),
        (Parameter("t", "", repeated=True), {"type": "array", "items": {"type": "string"}}),
    ],
    ids=lambda one: one.name if isinstance(one, Parameter) else "",
)
def test_a_parameter_is_described(parameter: Parameter, schema: dict[str, Any]) -> None:
    page = Page(path="/x", title="", description="", template="", data=lambda _, __: {}, parameters=(parameter,))
    (described,) = openapi([page])["paths"]["/x"]["get"]["parameters"]
    assert described["in"] == "query"
    assert schema.items() <= described["schema"].items()


def test_sessions_in_traceforges_shape(client: Client) -> None:
    answer = client.get("/api/sessions").json()
    assert answer["total"] == 2
    assert answer["sessions"][1] == {
        "session_id": COURSE,
        "session_name": "Course outline",
        "total_steps": 3,
        "start_time": "2025-11-21T05:00:01.000000Z",
        "end_time": "2025-11-21T05:00:04.250000Z",
        "duration_ms": 3250,
        "models_used": ["gpt-4o-mini-2024-07-18"],
        "total_tokens": 1620,
        "status": "completed",
    }


def test_a_session_in_traceforges_shape(client: Client) -> None:
    answer = client.get(f"/api/sessions/{COURSE}?limit=1").json()
    (step,) = answer["traces"]
    assert answer["session"]["session_id"] == COURSE
    assert (step["step"], step["endpoint"], step["tokens_used"]) == (0, "/v1/chat/completions", 120)
    assert "You plan courses." in step["request"]["body"]
    assert "web_search" in step["response"]["body"]
    assert step["replay"]["url"] == "https://api.openai.com/v1/chat/completions"


def test_a_timeline_in_traceforges_shape(client: Client) -> None:
    steps = client.get("/api/sessions/nightly-report-0001/timeline").json()["timeline"]
    assert [(one["step"], one["status"], one["duration_ms"]) for one in steps] == [
        (0, "completed", 500),
        (1, "failed", 500),
    ]


def test_a_step_that_is_skipped_is_left_out(client: Client) -> None:
    steps = client.get(f"/api/sessions/{COURSE}/timeline?skip=1&limit=1").json()["timeline"]
    assert [one["step"] for one in steps] == [1]


@pytest.mark.parametrize("path", ["/api/sessions/none", "/api/sessions/none/timeline"])
def test_no_session_in_traceforges_shape(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status == 404
    assert answer.json()["error"] == "Session not found"
