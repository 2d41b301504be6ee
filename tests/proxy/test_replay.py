"""In a replay no connection is opened but that to its server."""

from __future__ import annotations

import pytest
from mitmproxy.connection import Server
from mitmproxy.net.server_spec import ServerSpec
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.test.tflow import tclient_conn

from sessiontap.proxy.replay import REFUSED, ReplayTap
from sessiontap.replay_link import ReplayAddress

OWN, LIVE = ("127.0.0.1", 5000), ("api.openai.com", 443)
COMPANY: ServerSpec = ("http", ("proxy.corp.test", 3128))


@pytest.mark.parametrize(
    ("address", "via", "refused"),
    [
        (OWN, None, False),
        (LIVE, None, False),
        (("api.anthropic.com", 443), None, True),
        (("api.openai.com", 80), None, True),
        (("127.0.0.1", 5001), None, True),
        (OWN, COMPANY, True),
        (None, None, True),
    ],
    ids=["its server", "gone live", "another host", "another port", "this machine", "by another proxy", "nowhere"],
)
def test_only_its_server_is_connected_and_what_went_live(
    address: tuple[str, int] | None, via: ServerSpec | None, refused: bool
) -> None:
    tap, client = ReplayTap(ReplayAddress(OWN[1], "secret", live=True)), tclient_conn()
    tap._opened[client.id] = {LIVE}
    data = ServerConnectionHookData(Server(address=address, via=via), client)
    tap.server_connect(data)
    assert data.server.error == (REFUSED if refused else None)


def test_what_went_live_is_open_for_its_client_alone() -> None:
    tap = ReplayTap(ReplayAddress(OWN[1], "secret", live=True))
    tap._opened["another"] = {LIVE}
    data = ServerConnectionHookData(Server(address=LIVE), tclient_conn())
    tap.server_connect(data)
    assert data.server.error == REFUSED
