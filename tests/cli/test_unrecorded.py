"""Why a call is not there, in words that rest on facts."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from sessiontap.cli import unrecorded
from sessiontap.cli.direct_connections import DirectConnection
from sessiontap.proxy.passed import Why


def item(why: str, **more: Any) -> dict[str, Any]:
    base = {"program": "app.py", "exe": "/usr/bin/python3", "pids": [7], "client": None, "host": "api.example"}
    counts = {"port": 443, "why": why, "connections": 3, "requests": 0, "sent": 1200, "received": 54_000}
    return base | counts | {"first": 1.0, "last": 2.0} | more


def said(*items: dict[str, Any], calls: int = 0, whole: bool = False, lost: int = 0, **more: Any) -> list[str]:
    return unrecorded.after_run({"passed": list(items), "lost_records": lost}, (), calls=calls, whole=whole, **more)


@pytest.mark.parametrize(
    ("why", "expected"),
    [
        ("unknown_host", "not known as an LLM's host, so it was not decrypted. To record it: --host api.example, or "),
        ("distrust", "it refused the proxy's certificate before"),
        ("refused", "it refused the proxy's certificate, and that connection failed"),
        ("ignore", "a rule says `ignore`"),
        ("path", "a path of no LLM API that is known"),
        ("body", "its body is no LLM call's"),
        ("http2", "HTTP/2 without TLS"),
        ("not_http", "another protocol than HTTP"),
        ("something new", "something new"),
    ],
)
def test_each_reason_is_told_with_who_and_how_much(why: str, expected: str) -> None:
    (line,) = said(item(why))
    assert line.startswith("app.py (pid 7) to api.example:443, 3 connections, 55.2 KB: ")
    assert expected in line


def test_every_reason_of_the_proxy_has_its_words() -> None:
    assert set(unrecorded._WHY) == set(get_args(Why))


def test_a_port_that_is_not_usual_is_named() -> None:
    (line,) = said(item("path", host="10.0.0.2", port=8000))
    assert line.endswith("To record it: --host 10.0.0.2:8000, or `hosts: [{host: '10.0.0.2:8000'}]` in rules.yaml")


def test_nothing_missing_is_nothing_said() -> None:
    assert said(calls=3) == []
    assert unrecorded.after_run({}, (), calls=0, whole=True) == []
    assert unrecorded.text([]) == ""


def test_beside_recorded_calls_other_hosts_are_one_line() -> None:
    hosts = [item("unknown_host", host=f"h{number}.example") for number in range(5)]
    (line,) = said(*hosts, item("not_http"), calls=2)
    assert line == (
        "5 other hosts passed unrecorded (h0.example, h1.example, h2.example, ...): `sessiontap doctor -- CMD` says why"
    )


def test_a_refusal_is_told_whatever_was_recorded() -> None:
    (line,) = said(item("refused"), calls=2)
    assert line.startswith("app.py (pid 7) to api.example:443")


def test_without_a_call_the_first_are_told_and_with_whole_all() -> None:
    hosts = [item("unknown_host", host=f"h{number}.example") for number in range(9)]
    assert len(said(*hosts)) == unrecorded.SHOWN + 1
    assert said(*hosts)[-1].startswith("4 more of this kind")
    assert len(said(*hosts, whole=True)) == 9


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"program": None, "pids": [], "client": "10.0.0.9"}, "a program at 10.0.0.9 whose process is not known to "),
        (
            {"program": None, "pids": [], "client": "10.0.0.9", "process_unknown": "remote client"},
            "whose process is not known (the program runs on another machine, or in another container) to ",
        ),
        ({"pids": [7, 8]}, "app.py (pid 7, ...) to "),
        ({"sent": None, "received": None}, "3 connections: "),
        ({"requests": 1}, "1 request, 55.2 KB: "),
    ],
    ids=["unknown process", "and why", "several processes", "not counted", "plain HTTP"],
)
def test_what_is_unknown_is_not_guessed(more: dict[str, Any], expected: str) -> None:
    assert expected in said(item("ignore", **more))[0]


def test_lost_records_are_told() -> None:
    assert said(calls=1, lost=2) == ["2 records could not be written"]


@pytest.mark.parametrize(
    ("direct", "expected"),
    [
        (
            DirectConnection("node", 4711, "192.0.2.7", 443),
            "node (pid 4711) connects directly to 192.0.2.7:443: it ignores HTTPS_PROXY (`exec --force` captures it), "
            "or NO_PROXY excepts the host",
        ),
        (DirectConnection("node", 4711, "2001:db8::1", 443), "node (pid 4711) connects directly to [2001:db8::1]:443"),
        (DirectConnection("node", 1, "127.0.0.1", 11434), "usual port of Ollama. To record it: --host localhost:11434"),
    ],
    ids=["an address", "IPv6", "a server of this machine"],
)
def test_a_connection_past_the_proxy(direct: DirectConnection, expected: str) -> None:
    (line,) = unrecorded.after_run({}, [direct], calls=3, whole=False)
    assert expected in line


@pytest.mark.parametrize("address", ["127.0.0.1", "192.0.2.7"], ids=["this machine", "another machine"])
@pytest.mark.parametrize(
    ("calls", "whole", "lines"),
    [(0, False, 1), (3, False, 0), (3, True, 1)],
    ids=["no call was seen", "calls were recorded", "doctor"],
)
def test_a_connection_to_an_unusual_port_is_told_if_it_may_explain_what_is_missing(
    address: str, calls: int, whole: bool, lines: int
) -> None:
    direct = DirectConnection("app.py", 7, address, 9011)
    found = unrecorded.after_run({}, [direct], calls=calls, whole=whole)
    assert len(found) == lines
    assert all("app.py (pid 7) connects directly to " in line for line in found)


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in unrecorded.text(["\x1b]0;owned\x07"])
