"""The line that a redirected connection begins with."""

from __future__ import annotations

import pytest

from sessiontap import destination_line


@pytest.mark.parametrize(
    ("host", "port", "line"),
    [
        ("api.openai.com", 443, b"SESSIONTAP-TO api.openai.com:443\r\n"),
        ("192.0.2.1", 8000, b"SESSIONTAP-TO 192.0.2.1:8000\r\n"),
        ("2001:db8::1", 443, b"SESSIONTAP-TO [2001:db8::1]:443\r\n"),
    ],
    ids=["name", "IPv4", "IPv6"],
)
def test_it_names_a_destination_as_connect_does(host: str, port: int, line: bytes) -> None:
    assert destination_line.write(host, port) == line
    assert destination_line.read(line + b"\x16\x03\x01") == (line[14:-2].decode(), b"\x16\x03\x01")


@pytest.mark.parametrize("length", range(14, 34))
def test_a_part_of_it_is_none_yet(length: int) -> None:
    assert destination_line.read(b"SESSIONTAP-TO api.openai.com:443\r\n"[:length]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"SESSIONTAP-TO \r\n",
        b"SESSIONTAP-TO host\r\n",
        b"SESSIONTAP-TO host:\r\n",
        b"SESSIONTAP-TO host:0\r\n",
        b"SESSIONTAP-TO host:65536\r\n",
        b"SESSIONTAP-TO a b:443\r\n",
        b"SESSIONTAP-TO h\x00st:443\r\n",
        b"SESSIONTAP-TO h\xc3\xb6st:443\r\n",
        b"SESSIONTAP-TO " + b"h" * 300,
    ],
    ids=["another", "nothing", "no port", "no number", "0", "too high", "space", "control", "not ASCII", "endless"],
)
def test_what_is_no_such_line_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        destination_line.read(data)
