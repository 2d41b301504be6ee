"""Socket addresses: what the proxy is given, as the kernel's tables hold it."""

from __future__ import annotations

import pytest

from sessiontap.callers.caller import is_local_address, parse_address


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (("127.0.0.1", 80), "127.0.0.1"),
        (("::1", 80), "::1"),
        (("::1", 80, 0, 0), "::1"),
        (("::ffff:127.0.0.1", 80), "127.0.0.1"),
        (("fe80::1%eth0", 80), "fe80::1"),
    ],
)
def test_parse(address: tuple[str, int], host: str) -> None:
    assert parse_address(address).host == host


@pytest.mark.parametrize(
    "address", [("", 1), ("localhost", 1), ("127.0.0.1", 0), ("::1", 70000), ("/run/x.sock",), None]
)
def test_no_address(address: tuple[str, int]) -> None:
    with pytest.raises(ValueError, match="not a"):
        parse_address(address)


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("203.0.113.7", False), ("2001:db8::7", False),
     ("fe80::dead:beef:1", False)],
)  # fmt: skip
def test_is_local(host: str, local: bool) -> None:
    assert is_local_address(parse_address((host, 1))) is local
