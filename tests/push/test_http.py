"""The HTTP client of targets, against servers on this machine."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.push.receiver import Reply, receiver
from tests.support.small_server import SmallHandler, serving

from sessiontap.demo.certs import Authority
from sessiontap.exchange import Headers
from sessiontap.push.http import HttpClient, answer_of, retry_after
from sessiontap.push.target import HttpReply, NotReached

NOW = datetime(2026, 11, 21, 5, 6, 3, tzinfo=UTC)


@pytest.fixture
def client() -> Iterator[HttpClient]:
    client = HttpClient(connect_seconds=5, read_seconds=5)
    yield client
    client.close()


def test_it_sends_and_keeps_the_connection(client: HttpClient) -> None:
    with receiver() as received:
        for _ in range(3):
            body = b'["' + b"a" * 5000 + b'"]'
            assert client.post(f"{received.url}/v1/ids?x=1", body, {"X-Team": "blue"}).status == 200
    assert received.ids == ["a" * 5000] * 3
    assert received.headers[0]["x-team"] == "blue"
    assert received.headers[0]["user-agent"].startswith("sessiontap/")
    assert client._pools.connection_from_url(received.url).num_connections == 1


def test_a_redirect_is_an_answer(client: HttpClient) -> None:
    with receiver() as other, receiver(lambda ids: Reply(302, {"Location": f"{other.url}/"})) as received:
        reply = client.post(received.url, b"[]", {"Authorization": "Bearer k"})
    assert (reply.status, other.requests) == (302, [])
    assert answer_of(reply).kind == "misconfigured"


@pytest.mark.parametrize(
    ("name", "value", "quoted"),
    [
        pytest.param("Authorization", "Bearer pk-live-0123456789", "pk-live-0123456789", id="bearer"),
        pytest.param("Authorization", "Basic cGstdXNlcjpzay1zZWNyZXQtOTk=", "sk-secret-99", id="basic, the password"),
        pytest.param("Authorization", "Basic cGstdXNlcjpzay1zZWNyZXQtOTk=", "cGstdXNlcjpzay1zZWNyZXQtOTk=", id="basic"),
        pytest.param("X-Api-Key", "key-0123456789", "key-0123456789", id="a header of its own"),
    ],
)
def test_a_reply_that_quotes_a_credential_is_read_without_it(
    client: HttpClient, name: str, value: str, quoted: str
) -> None:
    class Quotes(SmallHandler):
        def do_POST(self) -> None:
            self.body()
            self.answer(f"the key {quoted} is not known".encode(), 401)

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Quotes)) as server:
        reply = client.post(f"http://127.0.0.1:{server.server_address[1]}", b"{}", {name: value})
    assert answer_of(reply).reason == "401 the key [redacted] is not known"


def test_a_long_reply_is_read_in_part(client: HttpClient) -> None:
    class Long(SmallHandler):
        def do_POST(self) -> None:
            self.body()
            self.answer(b"x" * 1_000_000, 400)

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Long)) as server:
        reply = client.post(f"http://127.0.0.1:{server.server_address[1]}", b"{}", {})
    assert (reply.status, len(reply.body)) == (400, 65536)
    assert len(answer_of(reply).reason) <= 505


def test_nobody_listens(client: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NotReached, match=f"^127.0.0.1:{port} could not be reached: Connection refused$"):
        client.post(f"http://127.0.0.1:{port}/v1?key=s3cret", b"", {"Authorization": "Bearer s3cret"})


def test_no_answer_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(NotReached, match="did not answer in time"):
            HttpClient(read_seconds=0.05).post(f"http://127.0.0.1:{port}", b"", {})


def test_a_connection_that_breaks_off(client: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drop() -> None:
            connection, _ = server.accept()
            connection.recv(10)
            connection.close()

        threading.Thread(target=drop, daemon=True).start()
        with pytest.raises(NotReached) as caught:
            client.post(f"http://127.0.0.1:{server.getsockname()[1]}/?key=s3cret", b"x" * 10, {"A": "s3cret"})
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_certificate_is_verified_and_ssl_cert_file_is_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Taking)
    context = authority.server_context(["localhost"], ["http/1.1"])
    assert isinstance(context, ssl.SSLContext)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda request, client_address: None  # type: ignore[method-assign,assignment]
    with serving(server):
        url = f"https://localhost:{server.server_address[1]}"
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        with pytest.raises(NotReached, match="could not be trusted"):
            HttpClient().post(url, b"{}", {})
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.pem))
        assert HttpClient().post(url, b"{}", {}).status == 200


class _Taking(SmallHandler):
    def do_POST(self) -> None:
        self.body()
        self.answer(b"{}")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Sat, 21 Nov 2026 05:07:03 GMT", 60.0),
        ("Sat, 21 Nov 2026 05:00:00 GMT", 0.0),
        ("-1", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(Headers([("Retry-After", value)] if value is not None else []), NOW) == seconds


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, "accepted"),
        (204, "accepted"),
        (301, "misconfigured"),
        (400, "refused"),
        (401, "misconfigured"),
        (403, "misconfigured"),
        (404, "misconfigured"),
        (408, "later"),
        (413, "too_much"),
        (418, "refused"),
        (422, "refused"),
        (429, "later"),
        (500, "later"),
        (503, "later"),
    ],
)
def test_what_a_status_means(status: int, kind: str) -> None:
    assert answer_of(HttpReply(status, Headers([]), b"")).kind == kind
