"""A recorded request as a command: the shell and curl give the same request back."""

from __future__ import annotations

import subprocess

import pytest

from sessiontap.cli import curl
from sessiontap.exchange import Headers, Request


def request(method: str = "POST", headers: tuple[tuple[str, str], ...] = (), body: bytes | None = b"{}") -> Request:
    return Request(method, "api.openai.com", "/v1/chat/completions?a=1&b=2", Headers(headers), body)


def as_the_shell_reads(command: str) -> list[str]:
    """The words that curl would get, itself included."""
    script = "curl() { printf '%s\\0' curl \"$@\"; }\n" + command
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True)
    return done.stdout.decode().removesuffix("\0").split("\0")


URL = "https://api.openai.com/v1/chat/completions?a=1&b=2"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        pytest.param(request(), ["curl", URL, "--data-raw", "{}"], id="POST"),
        pytest.param(request("GET", body=None), ["curl", URL], id="GET"),
        pytest.param(request("POST", body=b""), ["curl", URL, "-X", "POST"], id="POST without a body"),
        pytest.param(request("PUT"), ["curl", URL, "-X", "PUT", "--data-raw", "{}"], id="another method"),
        pytest.param(request("GET"), ["curl", URL, "-X", "GET", "--data-raw", "{}"], id="GET with a body"),
        pytest.param(
            request(headers=(("X-Key", "it's $1"), ("Host", "x"), ("Content-Length", "2"), ("Empty", ""))),
            ["curl", URL, "-H", "X-Key: it's $1", "-H", "Empty;", "--data-raw", "{}"],
            id="headers, curl's own left out",
        ),
        pytest.param(
            request(headers=(("Accept-Encoding", "gzip"), ("Content-Encoding", "zstd"))),
            ["curl", URL, "--compressed", "--data-raw", "{}"],
            id="encodings, the body is decoded",
        ),
        pytest.param(
            request(body="it's\n@x ü".encode()),
            ["curl", URL, "--data-raw", "it's\n@x ü"],
            id="body with quotes and lines",
        ),
    ],
)
def test_words(asked: Request, words: list[str]) -> None:
    assert as_the_shell_reads(curl.command(asked, "0000")) == words


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a\0b", b"x" * (curl.INLINE + 1)], ids=["binary", "NUL", "large"])
def test_a_body_that_no_command_line_holds_is_piped_in(body: bytes) -> None:
    text = curl.command(request(body=body), "0199-abc")
    assert text.startswith("sessiontap cat 0199-abc --request | curl ")
    assert as_the_shell_reads(text.partition(" | ")[2])[-2:] == ["--data-binary", "@-"]
