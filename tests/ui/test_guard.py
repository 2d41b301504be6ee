from __future__ import annotations

import pytest

from sessiontap.ui.guard import Access, Refused, check_origin, is_local


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1:8420", True),
        ("localhost:8420", True),
        ("LOCALHOST:8420", True),
        ("localhost", True),
        ("[::1]:8420", True),
        ("[::1]", True),
        ("localhost:9000", True),  # a port that SSH forwards
        ("", False),
        (":8420", False),
        ("evil.example:8420", False),
        ("127.0.0.1.evil.example:8420", False),
        ("localhost.evil.example", False),
        ("evil.example:127.0.0.1", False),
        ("127.0.0.1:8420:1", False),
        ("localhost:", False),
        ("localhost:80x", False),
        ("0.0.0.0:8420", False),
        ("192.168.1.5:8420", False),
        ("2130706433:8420", False),
        ("user@localhost:8420", False),
    ],
)
def test_a_host_is_a_name_of_this_machine(host: str, local: bool) -> None:
    assert is_local(host) == local


HERE = {"Host": "127.0.0.1:8420"}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="an address that was typed"),
        pytest.param({"Origin": "http://127.0.0.1:8420"}, id="its own origin"),
        pytest.param({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, id="its own script"),
        pytest.param({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, id="a bookmark"),
        pytest.param({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, id="a link in a web terminal"),
    ],
)
def test_requests_of_this_page_pass(headers: dict[str, str]) -> None:
    check_origin("GET", HERE | headers)


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        pytest.param("POST", {}, 405, id="POST"),
        pytest.param("DELETE", {}, 405, id="DELETE"),
        pytest.param("OPTIONS", {}, 405, id="a preflight"),
        pytest.param("GET", {"Host": "evil.example"}, 421, id="a name that leads here"),
        pytest.param("GET", {"Origin": "http://evil.example"}, 403, id="another site"),
        pytest.param("GET", {"Origin": "null"}, 403, id="a sandbox"),
        pytest.param("GET", {"Origin": "http://127.0.0.1:3000"}, 403, id="another server of this machine"),
        pytest.param("GET", {"Origin": "https://127.0.0.1:8420"}, 403, id="another scheme"),
        pytest.param(
            "GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403, id="an image"
        ),
        pytest.param("GET", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}, 403, id="a neighbour's script"),
    ],
)
def test_other_requests_are_refused(method: str, headers: dict[str, str], status: int) -> None:
    with pytest.raises(Refused) as caught:
        check_origin(method, HERE | headers)
    assert caught.value.status == status
    assert caught.value.hint


def test_a_token_opens_once_and_the_cookie_stays() -> None:
    access = Access("name")
    token = access.token()
    cookie = access.cookie_for(token, None)
    assert cookie is not None
    assert access.is_open(cookie)
    assert access.cookie_for(token, None) is None
    assert access.cookie_for(token, cookie) == cookie


@pytest.mark.parametrize("cookie", [None, "", "guess", "ä"])
def test_nothing_else_opens(cookie: str | None) -> None:
    access = Access("name")
    assert not access.is_open(cookie)
    assert access.cookie_for("guess", cookie) is None


def test_two_servers_have_other_cookies() -> None:
    one, other = Access("name"), Access("name")
    assert not other.is_open(one.cookie_for(one.token(), None))
