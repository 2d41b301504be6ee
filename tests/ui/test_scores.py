"""Stars, scores and notes: given on pages and by programs, taken away, refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.recorded import COURSE, calls, write
from tests.ui.served import Client, served

from sessiontap.cli.options import open_trace
from sessiontap.trace.annotations import annotations_in
from sessiontap.trace.files import segments
from sessiontap.ui.errors import BadBody
from sessiontap.ui.pages.scores import of_form, value_of
from sessiontap.ui.reading import Reading

SESSION = f"/api/sessions/{COURSE}/scores"
FIRST_CALL = f"/api/calls/{COURSE}%2F0/scores"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "trace", calls())


@pytest.fixture
def client(folder: Path) -> Iterator[Client]:
    with served(lambda: Reading(open_trace(folder), user="ada")) as found:
        yield found.let_in()


def written(folder: Path) -> list[dict[str, Any]]:
    return [record for path in segments(folder) for record in annotations_in(path)]


def told(client: Client, path: str = SESSION) -> dict[str | None, Any]:
    return {one["name"]: one["value"] if one["name"] else one["note"] for one in client.get(path).json()["scores"]}


def test_a_program_gives_scores_and_a_note(client: Client, folder: Path) -> None:
    given = [
        {"name": "helpful", "value": 0.75, "note": "It plans well."},
        {"name": "correct", "value": False},
        {"name": "grade", "value": "good", "by": "nightly evaluation"},
        {"name": "stars", "value": 4},
        {"note": "Look again."},
        {"name": "star", "value": True},
    ]
    answer = client.post(SESSION, {"scores": given})
    assert answer.status == 200
    assert told(client) == {
        "helpful": 0.75, "correct": False, "grade": "good", "stars": 4, None: "Look again.", "star": True
    }  # fmt: skip
    records = written(folder)
    assert [one["id"] for one in answer.json()["scores"]] == [one["id"] for one in records]
    assert {(one["session"], one["source"]) for one in records} == {(COURSE, "api")}
    assert [one["by"] for one in records] == ["ada", "ada", "nightly evaluation", "ada", "ada", "ada"]
    assert [type(one["value"]) for one in records[:4]] == [float, bool, str, int]


def test_a_later_score_stands_for_the_earlier_and_null_takes_it_away(client: Client) -> None:
    for value in (0.1, 0.9):
        client.post(SESSION, {"scores": [{"name": "helpful", "value": value}, {"name": "correct", "value": True}]})
    assert told(client) == {"helpful": 0.9, "correct": True}
    client.post(SESSION, {"scores": [{"name": "helpful", "value": None}]})
    assert told(client) == {"correct": True}


def test_many_sessions_and_calls_are_scored_at_once(client: Client) -> None:
    given = [
        {"session": "@1", "name": "helpful", "value": 0.5},
        {"session": COURSE[:13], "name": "helpful", "value": 1},
        {"call": f"{COURSE}/0", "name": "correct", "value": True},
    ]
    answer = client.post("/api/scores", {"scores": given})
    assert [(one["session"], bool(one["call"])) for one in answer.json()["scores"]] == [
        ("nightly-report-0001", False), (COURSE, False), (None, True)
    ]  # fmt: skip
    assert told(client) == {"helpful": 1}
    assert told(client, FIRST_CALL) == {"correct": True}


def test_of_many_scores_with_one_at_fault_none_is_written(client: Client, folder: Path) -> None:
    good = {"session": COURSE, "name": "helpful", "value": 1}
    for bad in ({"session": "nobody", "name": "a", "value": 1}, {"name": "a", "value": 1}, {**good, "call": "@1"}):
        assert client.post("/api/scores", {"scores": [good, bad]}).status in (400, 404)
    assert written(folder) == []


WRONG: dict[str, Any] = {
    "no JSON": "{",
    "a list": [],
    "no scores": {"scores": []},
    "another word": {"scores": [{"name": "a", "value": 1, "colour": "red"}]},
    "a value that is a list": {"scores": [{"name": "a", "value": [1]}]},
    "a number out of range": '{"scores": [{"name": "a", "value": 1e999}]}',
    "a value without a name": {"scores": [{"value": 1}]},
    "a name that a filter cannot ask for": {"scores": [{"name": "a>b", "value": 1}]},
    "an empty name": {"scores": [{"name": "", "value": 1}]},
    "a long name": {"scores": [{"name": "a" * 101, "value": 1}]},
    "a long note": {"scores": [{"note": "a" * 10_001}]},
    "half a star": {"scores": [{"name": "star", "value": 0.5}]},
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_what_is_no_score_is_refused_and_nothing_written(client: Client, folder: Path, body: Any) -> None:
    answer = client.post(SESSION, body)
    assert answer.status == 400
    assert answer.json()["error"]
    assert answer.json()["hint"]
    assert written(folder) == []


@pytest.mark.parametrize("path", ["/api/sessions/nobody/scores", "/api/calls/nobody/scores"])
def test_nothing_is_given_to_nobody(client: Client, path: str) -> None:
    assert client.post(path, {"scores": [{"name": "a", "value": 1}]}).status == 404


OWN = {"Content_Type": FORM}
FOREIGN: dict[str, tuple[dict[str, str], int]] = {
    "another site's form": ({**OWN, "Origin": "http://evil.example"}, 403),
    "another site's form, without its name": ({**OWN, "Origin": "null"}, 403),
    "a form that comes from nowhere": (OWN, 403),
    "a form with another page's address": ({**OWN, "Referer": "http://evil.example/"}, 403),
    "a navigation of another site": (
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}, 403,
    ),
    "another port's script": ({"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors"}, 403),
    "another site's JSON": ({"Origin": "http://evil.example"}, 403),
    "text, which needs no leave of ours": ({"Content_Type": "text/plain"}, 415),
    "a form with a file": ({"Content_Type": "multipart/form-data; boundary=x"}, 400),
    "a name that leads here": ({"Host": "evil.example"}, 421),
    "a stranger": ({"Cookie": "sessiontap-test=guess"}, 403),
}  # fmt: skip


@pytest.mark.parametrize(("headers", "status"), FOREIGN.values(), ids=FOREIGN)
def test_nobody_else_can_have_a_score_written(
    client: Client, folder: Path, headers: dict[str, str], status: int
) -> None:
    body = "name=star&value=yes" if headers.get("Content_Type") == FORM else '{"scores": [{"name": "a", "value": 1}]}'
    assert client.post(SESSION, body, **headers).status == status
    assert written(folder) == []


def test_a_form_without_the_token_of_its_page_is_refused(client: Client, folder: Path) -> None:
    own = {"Content_Type": FORM, "Origin": f"http://127.0.0.1:{client.port}"}
    for token in ("", "token=&", "token=guess&", "token=%C3%A4&"):
        answer = client.post(SESSION, f"{token}name=star&value=yes", **own)
        assert answer.status == 403
        assert "Load that page again" in answer.text
    assert written(folder) == []


def test_only_the_addresses_of_scores_take_a_post(client: Client) -> None:
    described = client.get("/api/openapi.json").json()["paths"]
    writing = {path for path, methods in described.items() if "post" in methods}
    assert writing == {"/api/scores", "/api/sessions/{session}/scores", "/api/calls/{call}/scores"}
    for path in ("/", "/.json", f"/sessions/{COURSE}", "/api/sessions", "/live", "/static/keys.js", "/nothing"):
        answer = client.post(path, {})
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD"), path
    assert client.get(SESSION, method="DELETE").headers["allow"] == "GET, HEAD, POST"


def test_a_form_leads_back_to_its_page(client: Client, folder: Path) -> None:
    answer = client.send(SESSION, name="helpful", value="0.8", note="Good.", back=f"/sessions/{COURSE}?limit=5")
    assert (answer.status, answer.headers["location"]) == (303, f"/sessions/{COURSE}?limit=5")
    assert told(client) == {"helpful": 0.8}
    assert written(folder)[0]["source"] == "page"


@pytest.mark.parametrize("back", ["//evil.example", "/\\evil.example", "http://evil.example", "/ x", "", "/a\r\nB: c"])
def test_a_form_leads_nowhere_else(client: Client, back: str) -> None:
    answer = client.send(FIRST_CALL, name="star", value="yes", back=back)
    assert (answer.status, answer.headers["location"]) == (303, f"/calls/{COURSE}%2F0")


def test_a_star_is_given_and_taken_away_by_its_button(client: Client) -> None:
    client.send(SESSION, name="star", value="yes")
    assert 'aria-pressed="true"' in client.get(f"/sessions/{COURSE}").text
    client.send(SESSION, name="star", take="yes")
    assert 'aria-pressed="true"' not in client.get(f"/sessions/{COURSE}").text


def test_a_form_at_fault_says_so_on_a_page(client: Client) -> None:
    answer = client.send(SESSION, name="helpful", value="")
    assert answer.status == 400
    assert answer.headers["content-type"].startswith("text/html")
    assert "has no value" in answer.text


def test_pages_show_who_scored_and_when(client: Client) -> None:
    client.post(SESSION, {"scores": [{"name": "a \"b", "value": "<i>no", "note": "a <script>"}]})
    client.post(FIRST_CALL, {"scores": [{"name": "helpful", "value": True, "note": "Why?"}]})
    page = client.get(f"/sessions/{COURSE}").text
    for words in ("a &#34;b", "&lt;i&gt;no", "a &lt;script&gt;"):
        assert words in page
    assert "<script>" not in page
    page = client.get(f"/calls/{COURSE}%2F0").text
    for words in ("helpful", "yes", "Why?", "ada, api"):
        assert words in page


def test_columns_of_scores_are_there_if_a_shown_session_has_some(client: Client) -> None:
    assert client.get("/.json").json()["score_names"] == []
    client.post(SESSION, {"scores": [{"name": "helpful", "value": 0.8}, {"name": "star", "value": True}]})
    answer = client.get("/.json").json()
    assert answer["score_names"] == ["helpful"]
    assert [(one["scores"], one["starred"]) for one in answer["sessions"]] == [({}, False), ({"helpful": 0.8}, True)]
    assert "helpful" in client.get("/").text


def test_the_mean_of_its_calls_stands_for_a_session_without_the_score(client: Client) -> None:
    for step, value in ((0, 0.5), (1, 1)):
        client.post(f"/api/calls/{COURSE}/{step}/scores", {"scores": [{"name": "helpful", "value": value}]})
    assert client.get("/.json").json()["score_names"] == ["helpful"]
    assert re.search(r'title="The mean of 2 calls">0\.75<', client.get("/").text)
    page = client.get(f"/sessions/{COURSE}").text
    assert "Mean over its calls: <bdi>helpful</bdi> 0.75 (2 calls)" in page
    assert '<span class="badge"><bdi>helpful 0.5</bdi></span>' in page


def test_the_list_is_filtered_and_sorted_by_scores(client: Client) -> None:
    client.post(SESSION, {"scores": [{"name": "helpful", "value": 0.8}, {"name": "star", "value": True}]})
    client.post("/api/sessions/@1/scores", {"scores": [{"name": "helpful", "value": 0.3}]})

    def names(query: str) -> list[str]:
        return [one["name"] for one in client.get(f"/.json?{query}").json()["sessions"]]

    assert names("score=helpful%3E0.5") == names("starred=1") == ["Course outline"]
    assert names("score=helpful&score=helpful%3C0.5") == ["Nightly report"]
    assert names("sort=score:helpful") == ["Course outline", "Nightly report"]
    assert 'aria-sort="descending"' in client.get("/?sort=score:helpful").text
    for wrong in ("score=%3E1", "sort=score:", "sort=colour"):
        assert client.get(f"/.json?{wrong}").status == 400


def test_a_log_that_cannot_be_written_says_so(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessiontap.ui.reading.Reading.writable", False)
    page = client.get(f"/sessions/{COURSE}").text
    assert "no scores can be given here" in page
    assert "<form method=\"post\"" not in page
    assert client.get(f"/sessions/{COURSE}.json").json()["writable"] is False

    def full(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("sessiontap.trace.annotations.exclusive_lock", full)
    answer = client.post(SESSION, {"scores": [{"name": "a", "value": 1}]})
    assert answer.status == 503
    assert "Permission denied" in answer.json()["error"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.8", 0.8), ("-1", -1.0), (".5", 0.5), ("1e3", 1000.0), ("yes", True), ("No", False), ("true", True),
        ("good", "good"), ("0.8 of 1", "0.8 of 1"), ("1e400", "1e400"), ("nan", "nan"), ("1_000", "1_000"),
    ],
)  # fmt: skip
def test_a_value_is_what_somebody_means(text: str, value: Any) -> None:
    found = value_of(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "fields",
    [{}, {"name": "a"}, {"value": "1"}, {"note": "  "}, {"name": "a" * 101, "value": "1"}, {"note": "a" * 10_001}],
    ids=json.dumps,
)
def test_a_form_that_gives_nothing_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(BadBody):
        of_form(fields)
