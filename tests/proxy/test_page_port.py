from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from mitmproxy.test import tflow

from sessiontap.proxy import page_port
from sessiontap.proxy.tap import Tap


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("host", "refused"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("a.localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", True),
        ("127.1", True),
        ("0x7f.1", True),
        ("2130706433", True),
        ("0", True),
        ("a.localhost.", True),
        ("3221225985", False),
        ("192.168.1.5", False),
        ("api.openai.com", False),
        ("localhost.example", False),
    ],
)
def test_a_page_is_at_every_name_of_this_machine(host: str, refused: bool) -> None:
    page_port.announce(8420)
    assert page_port.leads_to_page(host, 8420) == refused
    assert not page_port.leads_to_page(host, 8421)


def test_a_page_that_has_ended_counts_for_nothing() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    page_port.announce(8420).write_text(str(ended.pid))
    assert not page_port.leads_to_page("localhost", 8420)


def test_a_proxy_refuses_to_lead_to_a_page() -> None:
    page_port.announce(8420)
    tap = Tap()
    plain, tunnel = tflow.tflow(), tflow.tflow()
    for flow in (plain, tunnel):
        flow.request.host, flow.request.port = "127.0.0.1", 8420
    tap.requestheaders(plain)
    tap.http_connect(tunnel)
    for flow in (plain, tunnel):
        assert flow.response is not None
        assert flow.response.status_code == 403
