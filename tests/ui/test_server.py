"""The server by a real client: who is let in, what is answered, and what a wrong request is told."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.recorded import calls, write
from tests.support.gate import PATIENCE
from tests.ui.served import COOKIE, Client, served

from sessiontap.cli.options import open_trace
from sessiontap.trace.index import index
from sessiontap.ui.page import Page
from sessiontap.ui.reading import Reading

PATHS = ["/", "/sessions/@1", "/.json", "/api/sessions", "/api/openapi.json", "/live", "/doctor"]


@pytest.mark.parametrize("path", ["/", "/sessions/@1", "/sessions/nightly-report-0001"])
def test_a_page_and_its_twin_answer(client: Client, path: str) -> None:
    page, twin = client.get(path), client.get(f"{path}.json")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (twin.status, twin.headers["content-type"]) == (200, "application/json; charset=utf-8")
    assert "Nightly report" in page.text
    assert "Nightly report" in twin.text


@pytest.mark.parametrize("path", [*PATHS, "/nothing"])
def test_who_has_no_cookie_is_told_what_to_do(client: Client, path: str) -> None:
    client.cookie = None
    answer = client.get(path)
    assert answer.status == 403
    assert "sessiontap ui" in answer.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:8420"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}, 403),
    ],
    ids=str,
)
@pytest.mark.parametrize("path", [*PATHS, "/static/style.css", "/nothing"])
def test_foreign_requests_are_refused_with_the_cookie(
    client: Client, path: str, headers: dict[str, str], status: int
) -> None:
    assert client.get(path, **headers).status == status


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", [*PATHS, "/static/style.css", "/nothing"])
def test_nothing_but_reading_is_answered(client: Client, path: str, method: str) -> None:
    answer = client.get(path, method=method)
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"


def test_head_is_answered_without_a_body(client: Client) -> None:
    answer = client.get("/", method="HEAD")
    assert (answer.status, answer.text) == (200, "")


def test_a_token_becomes_a_cookie_and_leaves_the_address(client: Client) -> None:
    client.cookie = None
    token = client.access.token()
    answer = client.get(f"/sessions/@1?all=1&token={token}")
    assert (answer.status, answer.headers["location"]) == (303, "/sessions/@1?all=1")
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {one.strip() for one in cookie.split(";")}
    client.cookie = cookie.partition("=")[2].partition(";")[0]
    assert client.get("/").status == 200
    client.cookie = None
    assert client.get(f"/?token={token}").status == 403


@pytest.mark.parametrize("path", [*PATHS[:5], "/static/style.css", "/nothing"])
def test_every_answer_has_the_headers_that_protect_it(client: Client, path: str) -> None:
    headers = client.get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/..%2fserver.py",
        "/static/%2e%2e/server.py",
        "/static/%2Fetc%2Fpasswd",
        "/static//etc/passwd",
        "/static/style.css%00",
        "/sessions/..%2f..%2fetc%2fpasswd",
        "/sessions/%2Fetc%2Fpasswd",
        "/calls/..%2f..%2fetc%2fpasswd",
        "/../../etc/passwd",
    ],
)
def test_no_path_leaves_the_log_or_the_static_files(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status in (400, 404)
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nothing", 404),
        ("/sessions/none", 404),
        ("/sessions/@99", 404),
        ("/compare?a=none&b=@1", 404),
        ("/?sort=colour", 400),
        ("/?unknown=1", 400),
        ("/?after=none", 400),
        ("/?limit=0", 400),
        ("/?since=soon", 400),
        ("/?status=abc", 400),
        ("/sessions/@1?after=none", 400),
        ("/?name=%ff", 400),
    ],
)
def test_a_wrong_address_says_what_is_wrong_and_what_to_do(client: Client, path: str, status: int) -> None:
    place, mark, query = path.partition("?")
    page, twin = client.get(path), client.get(f"{place}.json{mark}{query}")
    assert (page.status, twin.status) == (status, status)
    assert "<h1>" in page.text
    told = json.loads(twin.text)
    assert told["error"]
    assert told["hint"]


def test_empty_fields_of_a_form_leave_the_address(client: Client) -> None:
    answer = client.get("/?name=&model=gpt-4o&tag=")
    assert (answer.status, answer.headers["location"]) == (303, "/?model=gpt-4o")


def test_a_static_file_is_sent_again_only_if_it_has_changed(client: Client) -> None:
    first = client.get("/static/style.css")
    again = client.get("/static/style.css", If_None_Match=first.headers["etag"])
    assert (first.status, first.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert (again.status, again.text) == (304, "")


@pytest.fixture
def faulty(trace_folder: Path) -> Iterator[Client]:
    """A site with a page that has a fault of ours."""

    def data(reading: Reading, parameters: object) -> dict[str, object]:
        raise ZeroDivisionError("a secret")

    page = Page(path="/faulty", title="Faulty", description="", template="sessions.html", data=data)
    with served(lambda: Reading(open_trace(trace_folder)), pages=[page]) as found:
        yield found.let_in()


def test_a_fault_of_ours_is_no_traceback_for_the_reader(faulty: Client) -> None:
    answer = faulty.get("/faulty.json")
    assert answer.status == 500
    assert answer.json() == {"error": "something went wrong here", "hint": "The terminal of `sessiontap ui` says more."}


def test_a_log_that_is_not_there_yet_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "trace"
    with served(lambda: Reading(open_trace(folder))) as client:
        client.let_in()
        answer = client.get("/.json")
        assert (answer.status, "hint" in answer.json()) == (503, True)
        folder.mkdir()
        assert client.get("/.json").json()["sessions"] == []


def test_a_request_without_a_host_is_refused(client: Client) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=PATIENCE)
    connection.putrequest("GET", "/", skip_host=True)
    connection.putheader("Cookie", f"{COOKIE}={client.cookie}")
    connection.endheaders()
    assert connection.getresponse().status in (400, 421)
    connection.close()


def test_a_page_says_how_much_of_the_log_it_is_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "trace", calls())
    monkeypatch.setattr("sessiontap.ui.site.SECONDS", 0)
    monkeypatch.setattr(index, "SMALL_BATCH", 4)
    with served(lambda: Reading(open_trace(folder))) as found:
        site = found.let_in()
        told = [re.search(r"being read: (\d+)%", site.get("/").text) for _ in range(6)]
    shares = [int(one[1]) if one is not None else 100 for one in told]
    assert 0 < shares[0] < 100
    assert (shares == sorted(shares), shares[-1]) == (True, 100)
