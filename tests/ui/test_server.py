from __future__ import annotations

import pytest
from tests.ui.served import Client


@pytest.mark.parametrize("path", ["/", "/sessions/@1", "/sessions/nightly-report-0001"])
def test_a_page_and_its_twin_answer(client: Client, path: str) -> None:
    page, twin = client.get(path), client.get(f"{path}.json")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (twin.status, twin.headers["content-type"]) == (200, "application/json; charset=utf-8")
    assert "Nightly report" in page.text
    assert "Nightly report" in twin.text


@pytest.mark.parametrize("path", ["/", "/sessions/@1", "/nothing"])
def test_who_has_no_cookie_is_told_what_to_do(client: Client, path: str) -> None:
    client.cookie = None
    answer = client.get(path)
    assert answer.status == 403
    assert "sessiontap ui" in answer.text
