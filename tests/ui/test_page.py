from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.ui.served import served

from sessiontap.cli.options import open_trace
from sessiontap.ui.errors import BadParameter
from sessiontap.ui.page import Action, Page, Parameter, Source, read_parameters, without_empty
from sessiontap.ui.reading import Reading

PARAMETERS = (
    Parameter("name", "Text."),
    Parameter("tag", "Several.", repeated=True),
    Parameter("limit", "A number.", "integer", default=50, minimum=1),
    Parameter("sort", "One of two.", "choice", ("calls", "cost")),
    Parameter("error", "Yes or no.", "flag"),
    Parameter("since", "A time.", "time"),
    Parameter("until", "A time.", "time", ends_day=True),
)
PAGE = Page(
    path="/sessions/{session}",
    title="A page",
    description="",
    template="",
    data=lambda _, __: {},
    parameters=PARAMETERS,
)
DEFAULTS = {
    "name": None, "tag": (), "limit": 50, "sort": None, "error": False, "since": None, "until": None, "session": "x",
}  # fmt: skip


@pytest.mark.parametrize(
    ("query", "read"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({"name": [""], "limit": [""], "since": [""]}, {}, id="a form's empty fields"),
        pytest.param({"name": ["a b"]}, {"name": "a b"}, id="text"),
        pytest.param({"tag": ["a", "", "b"]}, {"tag": ("a", "b")}, id="several"),
        pytest.param({"limit": ["7"]}, {"limit": 7}, id="integer"),
        pytest.param({"sort": ["cost"]}, {"sort": "cost"}, id="choice"),
        pytest.param({"error": [""]}, {"error": True}, id="a flag without a value"),
        pytest.param({"error": ["1"]}, {"error": True}, id="a flag"),
        pytest.param({"error": ["false"]}, {"error": False}, id="no flag"),
        pytest.param({"since": ["2025-06-01T00:00:00Z"]}, {"since": 1_748_736_000 * 10**9}, id="time"),
        pytest.param({"until": ["2025-06-01T00:00:00Z"]}, {"until": 1_748_736_000 * 10**9}, id="the end of a time"),
    ],
)
def test_parameters_are_read(query: dict[str, list[str]], read: dict[str, Any]) -> None:
    assert read_parameters(PAGE, {"session": "x"}, query) == DEFAULTS | read


@pytest.mark.parametrize(
    ("query", "message"),
    [
        pytest.param({"nam": ["a"]}, "no parameter 'nam'", id="unknown"),
        pytest.param({"name": ["a", "b"]}, "given 2 times", id="twice"),
        pytest.param({"limit": ["0"]}, "limit='0' is not understood", id="too small"),
        pytest.param({"limit": ["9999999999"]}, "is not understood", id="too large"),
        pytest.param({"limit": ["１"]}, "is not understood", id="another script's digit"),
        pytest.param({"sort": ["time"]}, "there is no sort 'time'", id="no choice"),
        pytest.param({"error": ["maybe"]}, "neither yes nor no", id="no flag"),
        pytest.param({"since": ["soon"]}, "since: 'soon' is no point in time", id="no time"),
        pytest.param({"since": ["9999999d"]}, "out of range", id="a time too far back"),
    ],
)
def test_a_wrong_parameter_says_what_is_wrong_and_what_to_do(query: dict[str, list[str]], message: str) -> None:
    with pytest.raises(BadParameter, match=message) as caught:
        read_parameters(PAGE, {"session": "x"}, query)
    assert caught.value.hint


def test_empty_fields_of_a_form_go_and_flags_stay() -> None:
    query = {"name": [""], "tag": ["", "a"], "error": [""], "limit": ["5"]}
    assert without_empty(PAGE, query) == {"tag": ["a"], "error": [""], "limit": ["5"]}


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    """What a made-up page is sent."""

    colour: str


def test_a_page_with_an_action_is_a_descriptor_alone(trace_folder: Path) -> None:
    wishes: list[tuple[str, str]] = []

    def act(reading: Reading, places: Mapping[str, str], body: Wish, source: Source) -> dict[str, str]:
        wishes.append((body.colour, source))
        return {"colour": body.colour}

    page = Page(
        path="/api/wish", title="A wish", description="", template="", data=lambda _, __: {},
        action=Action(
            title="Wish", description="Wish for a colour.", body=Wish, act=act,
            schema={"type": "object", "properties": {"colour": {"type": "string"}}},
        ),
    )  # fmt: skip
    with served(lambda: Reading(open_trace(trace_folder)), pages=[page]) as client:
        client.let_in()
        assert client.post("/api/wish", {"colour": "red"}).json() == {"colour": "red"}
        refused = client.post("/api/wish", {"color": "red"})
        described = client.get("/api/openapi.json").json()
    assert wishes == [("red", "api")]
    assert refused.status == 400
    assert "unknown field color" in refused.json()["error"]
    told = described["paths"]["/api/wish"]["post"]
    assert told["summary"] == "Wish"
    assert told["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Wish"}
    assert described["components"]["schemas"]["Wish"]["required"] == ["colour"]
