"""What commands show on a terminal does not drive it, whatever was recorded; into a pipe bytes go as they are."""

from __future__ import annotations

import json
import os
import pty
import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cli import recorded
from tests.support import warm
from tests.support.call_spec import RequestSpec, ResponseSpec

from sessiontap import trace
from sessiontap.exchange import Headers
from sessiontap.llm.headings import heading
from sessiontap.llm.recorded_parts import recorded_parts
from sessiontap.recording.decode import DecodedBody
from sessiontap.rules.decision import FilledSettings
from sessiontap.sessions.session import Session

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\u202eesrever\r\x08"
"""A title, a cleared screen, a colour by its one-character sign, text turned round, a line written over."""
STYLES = re.compile("\x1b\\[[0-9;]*m")
"""Colours that the commands themselves set."""
DRIVES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
BODY = json.dumps(
    {"model": EVIL, "messages": [{"role": "user", "content": EVIL}, {"role": "assistant", "content": EVIL}], EVIL: 1},
    ensure_ascii=False,
).encode()
RAW = f"no JSON {EVIL}".encode()


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Calls in which all that is text drives a terminal."""
    folder = recorded.write(tmp_path_factory.mktemp("evil") / "trace", [evil(1, BODY), evil(2, RAW)])
    known = trace.open(folder, parts_of=recorded_parts, headings_of=heading)  # so that no bar is drawn later
    for row in known.query_sessions():
        known.query_turns(row["id"])
    known.close()
    return folder


def evil(number: int, body: bytes) -> object:
    error = {"type": EVIL, "message": EVIL}
    one = recorded.chat(
        number,
        session=(f"s-{number}", EVIL, f"/{EVIL}", number),
        caller=replace(recorded.NODE, name=EVIL, cwd=EVIL, argv=(EVIL,)),
        model=EVIL,
        tools=[EVIL],
        status=429,
        error=error,
        host=EVIL,
        forwarded_host=EVIL,
        filled=FilledSettings(path=f"/{EVIL}", user=EVIL, properties={EVIL: EVIL}, tags=(EVIL,)),
    )
    headers = Headers([("content-type", EVIL), (EVIL, EVIL)])
    return replace(
        one,
        request=RequestSpec("P" + EVIL, f"https://{EVIL}/{EVIL}", EVIL, headers, DecodedBody(body)),
        response=ResponseSpec(429, EVIL, headers, DecodedBody(body)),
        session=Session(f"s-{number}", EVIL, number, "process"),
        flags=(EVIL,),
    )


def on_a_terminal(log: Path, *arguments: str) -> tuple[int, str]:
    """Exit status, and all that a terminal of 200 columns gets, errors included."""
    parent, child = pty.openpty()
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "200", "SESSIONTAP_TRACE": str(log)}
    done = warm.sessiontap().start(arguments, environ, stdin=child, stdout=child, stderr=child)
    os.close(child)
    parts = []
    while True:
        try:
            data = os.read(parent, 65_536)
        except OSError:  # Linux: whoever wrote is gone
            break
        if not data:
            break
        parts.append(data)
    os.close(parent)
    return done.wait(), b"".join(parts).decode(errors="surrogateescape").replace("\r\n", "\n")


COMMANDS = (
    *("ls", "ls --json", "calls", "calls --json", "show @1", "show @1 --flat", "show @1 --timeline", "show @1 --json"),
    *(
        "cat @1",
        "cat @2",
        "cat @1 --request",
        "cat @1 --response",
        "cat @2 --request",
        "cat @1 --text",
        "show @1 --conversation",
        "show @1 --conversation --full",
        "cat @1 --curl",
    ),
    *(
        "cat @1 --headers",
        "cat @1 --changes",
        "cat @1 --json",
        "tail",
        "tail --json",
        "diff @2 @1",
        "diff @2 @1 --json",
    ),
    *("stats", "stats --by path", "stats --by tool", "stats --by property", "stats --by model --json", "trace info"),
    *("tools @2", f"tools @2 --name {EVIL}", "context @1", "context @2", "cache @2", "waste @2", "waste @2 --json"),
    *("trace verify", "rules explain @1", "rules explain @1 --json", "export --format jsonl", "export --format har"),
    *(f"show {EVIL}", f"cat {EVIL}", f"stats --by {EVIL}", f"calls --since {EVIL}", f"export --format {EVIL}"),
    *(f"rules check {EVIL}", f"calls --json --name {EVIL}", f"export --format jsonl {EVIL}"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.replace(EVIL, "EVIL"))
def test_nothing_that_was_recorded_drives_the_terminal(log: Path, command: str) -> None:
    _, told = on_a_terminal(log, *command.split(" "))
    found = DRIVES.search(STYLES.sub("", told))
    assert found is None, f"{found and found[0]!r} in {told[max(0, found.start() - 60) : found.end() + 20]!r}"
    assert "Traceback" not in told
    assert told.strip()


def test_a_body_is_shown_on_a_terminal_with_its_controls_spelled_out(log: Path) -> None:
    status, told = on_a_terminal(log, "cat", "@1", "--request")
    shown = "no JSON \\x1b]0;owned\\x07\\x1b[2J\\x9b31m\\x7f\\u202eesrever\\x0d\\x08\n"
    note = "sessiontap: control characters are spelled out here; into a file or a pipe the bytes go as they are\n"
    assert (status, told) == (0, shown + note)


@pytest.mark.parametrize(("call", "body"), [("@1", RAW), ("@2", BODY)], ids=["no JSON", "JSON"])
@pytest.mark.parametrize("side", ["--request", "--response"])
def test_into_a_pipe_a_body_goes_as_it_is(log: Path, call: str, body: bytes, side: str) -> None:
    done = warm.sessiontap().run(["cat", call, side], {**os.environ, "SESSIONTAP_TRACE": str(log)})
    assert (done.returncode, done.stdout) == (0, body)
