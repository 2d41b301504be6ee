"""A recorded request as a command: the shell and curl give the same request back."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from sessiontap.exchange import Headers, Request
from sessiontap.export import curl


def request(method: str = "POST", headers: tuple[tuple[str, str], ...] = (), body: bytes | None = b"{}") -> Request:
    return Request(method, "api.openai.com", "/v1/chat/completions?a=1&b=2", Headers(headers), body)


def as_the_shell_reads(command: str) -> list[str]:
    """The words that curl would get, itself included."""
    script = "curl() { printf '%s\\0' curl \"$@\"; }\n" + command
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True)
    return done.stdout.decode().removesuffix("\0").split("\0")


URL = "https://api.openai.com/v1/chat/completions?a=1&b=2"
NOTHING_OF_ITS_OWN = ["-H", "User-Agent:", "-H", "Accept:"]
NO_TYPE = [*NOTHING_OF_ITS_OWN, "-H", "Content-Type:"]
"""curl adds these headers where the app sent none."""


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        pytest.param(request(), ["curl", URL, *NO_TYPE, "--data-raw", "{}"], id="POST"),
        pytest.param(request("GET", body=None), ["curl", URL, *NOTHING_OF_ITS_OWN], id="GET"),
        pytest.param(
            request("POST", body=b""), ["curl", URL, "-X", "POST", *NOTHING_OF_ITS_OWN], id="POST without a body"
        ),
        pytest.param(request("PUT"), ["curl", URL, "-X", "PUT", *NO_TYPE, "--data-raw", "{}"], id="another method"),
        pytest.param(request("GET"), ["curl", URL, "-X", "GET", *NO_TYPE, "--data-raw", "{}"], id="GET with a body"),
        pytest.param(
            request(headers=(("X-Key", "it's $1"), ("Host", "x"), ("Content-Length", "2"), ("Empty", ""))),
            ["curl", URL, "-H", "X-Key: it's $1", "-H", "Empty;", *NO_TYPE, "--data-raw", "{}"],
            id="headers, curl's own left out",
        ),
        pytest.param(
            request(headers=(("Accept-Encoding", "gzip"), ("Content-Encoding", "zstd"))),
            ["curl", URL, *NO_TYPE, "--compressed", "--data-raw", "{}"],
            id="encodings, the body is decoded",
        ),
        pytest.param(
            request(body="it's\n@x ü".encode()),
            ["curl", URL, *NO_TYPE, "--data-raw", "it's\n@x ü"],
            id="body with quotes and lines",
        ),
    ],
)
def test_words(asked: Request, words: list[str]) -> None:
    assert as_the_shell_reads(curl.command(asked, "0000")) == words


@pytest.mark.parametrize(
    "body",
    [b"\xff\xfe", b"a\0b", b"a\x1b[31mb", "a\u202eb".encode(), b"x" * (curl.INLINE + 1)],
    ids=["binary", "NUL", "drives a terminal", "turns text round", "large"],
)
def test_a_body_that_no_command_line_holds_is_piped_in(body: bytes) -> None:
    text = curl.command(request(body=body), "0199-abc")
    assert text.startswith("sessiontap cat 0199-abc --request | curl ")
    assert as_the_shell_reads(text.partition(" | ")[2])[-2:] == ["--data-binary", "@-"]


class Echo(BaseHTTPRequestHandler):
    """Keeps the request as it came over the wire."""

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65_537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        length = int(self.headers.get("content-length") or 0)
        target = self.raw_requestline.split(b" ")[1].decode()
        fields = [(name, value.encode("latin-1")) for name, value in self.headers.items()]
        self.server.came = self.command, target, fields, self.rfile.read(length)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(params=["127.0.0.1", "::1"])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    class Server(HTTPServer):
        address_family = socket.AF_INET6 if ":" in request.param else socket.AF_INET

    try:
        found = Server((request.param, 0), Echo)
    except OSError:
        pytest.skip(f"{request.param} is no address here")
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


SENT: dict[str, tuple[str, str, tuple[tuple[str, str], ...], bytes | None]] = {
    "a plain one": ("POST", "/v1/chat/completions?a=1&b=2", (("User-Agent", "app/1"), ("Accept", "*/*")), b'{"a": 1}'),
    "brackets in the URL": ("POST", "/v1/models/{a,b}[1-3]?x[]=1&y={z}", (("Content-Type", "a/b"),), b"{}"),
    "dots in the path": ("GET", "/v1/../a/./b", (), None),
    "escapes in the URL": ("GET", "/v1/%7Ba%7D?q=%5B%5D%20", (), None),
    "headers of an app": ("POST", "/v1", (("X-Key", 'it\'s $HOME `x` "y" \\'), ("Empty", ""), ("X-Key", "2")), b"x"),
    "UTF-8 in a header": ("POST", "/v1", (("X-Name", "Größe".encode().decode("latin-1")),), "größe".encode()),
    "a body that looks like a file": ("PUT", "/v1", (), b"@/etc/passwd"),
    "lines in the body": ("POST", "/v1", (("Content-Type", "text/plain"),), b"a\nb\n'c'\n"),
    "a body that drives a terminal": ("POST", "/v1", (), b"\x1b[2J\r\n\0"),
    "no body": ("POST", "/v1", (), None),
    "HEAD": ("HEAD", "/v1", (), None),
}


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize(("method", "target", "headers", "body"), SENT.values(), ids=SENT)
def test_curl_sends_the_same_request_again(
    server: Any, tmp_path: Path, method: str, target: str, headers: tuple[tuple[str, str], ...], body: bytes | None
) -> None:
    host, port = server.server_address[:2]
    asked = Request(method, host, target, Headers(headers), body, "http", port)
    command = curl.command(asked, "0000").replace("curl ", "curl --noproxy '*' --silent --show-error --max-time 20 ", 1)
    (tmp_path / "body").write_bytes(body or b"")
    script = f"sessiontap() {{ cat {tmp_path}/body; }}\n{command}"
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    came_method, came_target, fields, came_body = server.came
    assert (came_method, came_target, came_body) == (method, target, body or b"")
    own = ("host", "content-length")
    sent = [(name, value.encode("latin-1")) for name, value in headers]
    assert [(name, value) for name, value in fields if name.lower() not in own] == sent
