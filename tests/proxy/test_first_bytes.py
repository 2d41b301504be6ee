"""What a connection speaks, by its first bytes."""

from __future__ import annotations

import pytest

from sessiontap.proxy.first_bytes import LONGEST_LINE, Kind, kind_of


@pytest.mark.parametrize(
    ("client", "server", "kind"),
    [
        pytest.param(b"", b"", "unclear", id="nothing yet"),
        pytest.param(b"G", b"", "unclear", id="a letter that GET begins with"),
        pytest.param(b"POST /v1/chat/comp", b"", "unclear", id="half a request line"),
        pytest.param(b"POST /v1/chat/completions HTTP/1.1\r\nHo", b"", "http", id="a request line"),
        pytest.param(b"GET / HTTP/1.0\n", b"", "http", id="a request line of a lazy client"),
        pytest.param(b"FETCH-IT /x HTTP/1.1\r\n", b"", "http", id="a method of one's own"),
        pytest.param(b"GET /\r\n", b"", "other", id="HTTP/0.9"),
        pytest.param(b"GET key\r\n", b"", "other", id="a command that looks like a request"),
        pytest.param(b"GET " + b"x" * LONGEST_LINE, b"", "other", id="a line without end"),
        pytest.param(b"EHLO app\r\n", b"", "other", id="SMTP"),
        pytest.param(b"hello", b"", "other", id="a word"),
        pytest.param(b"PRI", b"", "unclear", id="perhaps HTTP/2"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"", "http2", id="HTTP/2 with prior knowledge"),
        pytest.param(b"\x16", b"", "unclear", id="perhaps TLS"),
        pytest.param(b"\x16\x03", b"", "unclear", id="perhaps TLS, still"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01", b"", "tls", id="TLS"),
        pytest.param(b"\x16\x05\x01", b"", "other", id="no version of TLS"),
        pytest.param(b"\x00\x00\x00\x08\x04\xd2\x16\x2f", b"", "other", id="PostgreSQL"),
        pytest.param(b"SSH-2.0-x\r\n", b"", "other", id="SSH"),
        pytest.param(b"", b"220 mail ready\r\n", "other", id="a server that speaks first"),
        pytest.param(b"", bytes.fromhex("000006040000000000000300000064"), "http2", id="a server's HTTP/2 settings"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\n", b"x", "http2", id="HTTP/2 of a server that spoke before"),
        pytest.param(b"GET / HTTP/1.1\r\n", b"hello", "other", id="a server that spoke before the client"),
    ],
)
def test_the_kind(client: bytes, server: bytes, kind: Kind) -> None:
    assert kind_of(client, server) == kind


@pytest.mark.parametrize(
    "whole", [b"PATCH /x HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x03\x00\x10\x01"]
)
def test_what_comes_byte_by_byte_is_not_taken_for_something_else(whole: bytes) -> None:
    kinds = [kind_of(whole[:size]) for size in range(len(whole) + 1)]
    assert set(kinds[: kinds.index(kind_of(whole))]) == {"unclear"}
    assert set(kinds[kinds.index(kind_of(whole)) :]) == {kind_of(whole)}
