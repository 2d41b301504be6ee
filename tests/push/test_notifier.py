"""The process that tells a command and a webhook of alerts: what it does, tries again, and gives up."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.gate import PATIENCE

from sessiontap.exchange import Headers
from sessiontap.push.notifier import PAUSES, Notifier, NotTold, post, run, serve
from sessiontap.push.target import HttpReply, NotReached

CROSSING = {"kind": "alert", "text": "alert 'agent': calls is 3", "value": 3}


def python(program: str, *words: str) -> list[str]:
    return [sys.executable, "-S", "-E", "-c", program, *words]


def test_a_command_gets_the_crossing_on_its_standard_input(tmp_path: Path) -> None:
    file = tmp_path / "told"
    run(python("import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())", str(file)), CROSSING)
    assert json.loads(file.read_text()) == CROSSING


@pytest.mark.parametrize(
    ("command", "seconds", "why"),
    [
        (["/no/such/program"], 9, "program cannot be started: No such file or directory"),
        (python("raise SystemExit(3)"), 9, " ended with status 3"),
        (python("import time; time.sleep(60)"), 0.2, " did not end in 0.2 s, and was ended"),
    ],
    ids=["missing", "failing", "hanging"],
)
def test_a_command_that_fails_is_told_of(command: list[str], seconds: float, why: str) -> None:
    with pytest.raises(NotTold) as raised:
        run(command, CROSSING, seconds)
    assert str(raised.value).endswith(why)


def test_a_command_that_reads_nothing_is_no_fault() -> None:
    run(python("pass"), {**CROSSING, "text": "x" * 1_000_000})


class Answers:
    """Stands for the webhook's server: what it answers in turn."""

    def __init__(self, *answers: int | NotReached | HttpReply) -> None:
        self.answers, self.requests = list(answers), list[tuple[str, Any, Mapping[str, str]]]()

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HttpReply:
        self.requests.append((url, json.loads(body), headers))
        answer = self.answers.pop(0)
        if isinstance(answer, NotReached):
            raise answer
        return HttpReply(answer, Headers(), b"") if isinstance(answer, int) else answer


NO_ANSWER = NotReached("hooks.example did not answer in time")
LATER = HttpReply(429, Headers([("Retry-After", "7")]), b"")


@pytest.mark.parametrize(
    ("answers", "waits", "why"),
    [
        ([204], [], None),
        ([500, NO_ANSWER, 200], [1.0, 5.0], None),
        ([LATER, 200], [7.0], None),
        ([404], [], "it answered with status 404"),
        ([302], [], "it answered with status 302"),
        ([503] * 4, [*PAUSES], "it answered with status 503"),
        ([NO_ANSWER] * 4, [*PAUSES], "hooks.example did not answer in time"),
    ],
    ids=["taken", "later", "asks for time", "not found", "elsewhere", "always fails", "never answers"],
)
def test_a_webhook_is_told_again_after_a_passing_failure(
    answers: list[Any], waits: list[float], why: str | None
) -> None:
    server, waited = Answers(*answers), list[float]()
    try:
        post("https://hooks.example/key", {"authorization": "Bearer t"}, CROSSING, server, waited.append)
        found = None
    except NotTold as error:
        found = str(error)
    assert (found, waited, len(server.requests)) == (why, waits, len(answers))
    url, body, headers = server.requests[0]
    assert (url, body, headers["authorization"]) == ("https://hooks.example/key", CROSSING, "Bearer t")


def lines(*values: dict[str, Any]) -> io.BytesIO:
    return io.BytesIO(b"".join(json.dumps(one).encode() + b"\n" for one in values))


def test_both_are_told_of_each_crossing_by_the_newest_settings() -> None:
    server, output = Answers(200, 404), io.StringIO()
    settings = {"run": python("pass"), "webhook": "https://a.example", "headers": {}}
    given = lines(
        {"settings": settings}, {"crossing": CROSSING},
        {"settings": {"run": [], "webhook": "https://b.example"}}, {"crossing": CROSSING},
    )  # fmt: skip
    serve(given, Notifier(output, server))
    told = [json.loads(line) for line in output.getvalue().splitlines()]
    assert sorted((one["by"], one["error"] or "") for one in told) == [
        ("command", ""), ("webhook", ""), ("webhook", "it answered with status 404"),
    ]  # fmt: skip


def test_a_webhook_that_hangs_does_not_keep_the_command() -> None:
    hangs = threading.Event()

    class Hanging:
        def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HttpReply:
            hangs.wait(PATIENCE)
            return HttpReply(200, Headers(), b"")

    output = io.StringIO()
    told = Notifier(output, Hanging())
    told.take({"settings": {"run": python("pass"), "webhook": "https://a.example"}})
    told.take({"crossing": CROSSING})
    while '"command"' not in output.getvalue():
        threading.Event().wait(0.01)
    told.close(0.05)
    assert '"webhook"' not in output.getvalue()
    hangs.set()
