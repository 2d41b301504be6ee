"""ls, calls and tail as a user and a program see them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli import recorded
from tests.cli.command import Run
from tests.cli.recorded import COURSE, REPORT, call_id

from sessiontap.cli import listing


def test_ls(run: Run) -> None:
    assert run("ls").out == (
        "ID        NAME            TITLE                           STARTED              DURATION  CALLS  ERRORS"
        "     IN  OUT      COST  STATUS     PROCESSES  MODELS\n"
        "nightly-  Nightly report  hello                           2025-11-21 05:00:04      1.5s      2       1"
        "    100   20   $0.0004  failed     report.py  gpt-4o-2024-07-18, gpt-4o\n"
        "7d3c1a52  Course outline  Plan a course on Brotbäckerei.  2025-11-21 05:00:01      3.2s      3        "
        "  1,300  320  $0.0004+  completed  agent.mjs  gpt-4o-mini-2024-07-18\n"
    )


def test_ls_json_is_one_object_a_line(run: Run) -> None:
    rows = run("ls", "--json").rows
    assert [row["id"] for row in rows] == [REPORT, COURSE]
    assert rows[1] == {
        "id": COURSE,
        "name": "Course outline",
        "title": "Plan a course on Brotbäckerei.",
        "last_reply": "Week one: \x1b[31mflour.",
        "started": "2025-11-21T05:00:01.000000Z",
        "ended": "2025-11-21T05:00:04.250000Z",
        "duration": 3.25,
        "calls": 3,
        "calls_in_flight": 0,
        "in_flight_since": None,
        "errors": 0,
        "errands": 0,
        "paths": ["/outline", "/outline/research"],
        "models": ["gpt-4o-mini-2024-07-18"],
        "providers": ["openai"],
        "agents": [],
        "processes": ["agent.mjs"],
        "users": ["ada"],
        "tags": ["nightly"],
        "machines": ["test"],
        "properties": {"mode": "context mode"},
        "input_tokens": 1300,
        "output_tokens": 320,
        "cache_read_tokens": None,
        "cost_usd": 0.000387,
        "cost_parts": {"input": 0.000195, "cache_read": 0.0, "cache_write": 0.0, "output": 0.000192, "other": 0.0},
        "cost_unknown_calls": 1,
        "success": True,
        "status": "completed",
        "scores": {},
        "starred": False,
        "note": None,
        "call_scores": {},
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param([], [REPORT, COURSE], id="all"),
        pytest.param(["--limit", "1"], [REPORT], id="limit"),
        pytest.param(["-n", "0"], [REPORT, COURSE], id="no limit"),
        pytest.param(["--name", "course*"], [COURSE], id="name, a glob without case"),
        pytest.param(["--name", "course"], [], id="name, whole"),
        pytest.param(["--since", "2025-11-21T05:00:05Z"], [REPORT], id="since"),
        pytest.param(["--since", "2025-11-21T05:00:04.2Z"], [REPORT, COURSE], id="since, a call was still running"),
        pytest.param(["--process", "agent.mjs"], [COURSE], id="process, by its name"),
        pytest.param(["--process", "node"], [COURSE], id="process, by its interpreter"),
        pytest.param(["--model", "gpt-4o"], [REPORT], id="model, asked for"),
        pytest.param(["--model", "gpt-4o-mini-2024-*"], [COURSE], id="model, that answered"),
        pytest.param(["--property", "mode=batch"], [REPORT], id="property"),
        pytest.param(["--property", "mode=*", "--property", "mode=context*"], [COURSE], id="properties, both"),
        pytest.param(["--property", "nosuch"], [], id="property that is missing"),
        pytest.param(["--error"], [REPORT], id="error"),
        pytest.param(["--search", "RESEARCH"], [COURSE], id="search, a path"),
        pytest.param(["--search", "brotbäck"], [COURSE], id="search, a prompt"),
        pytest.param(["--search", "week one"], [COURSE], id="search, a reply"),
        pytest.param(["--search", "sourdough"], [COURSE], id="search, a tool call"),
        pytest.param(["--search", "slow down"], [REPORT], id="search, an error"),
        pytest.param(["--process", "node", "--error"], [], id="all in one call"),
        pytest.param(["--sort", "name"], [COURSE, REPORT], id="sort by name"),
        pytest.param(["--sort", "tokens"], [COURSE, REPORT], id="sort by tokens"),
        pytest.param(["--sort", "errors"], [REPORT, COURSE], id="sort by errors"),
        pytest.param(["--sort", "duration", "-n", "1"], [COURSE], id="limit after the sort"),
    ],
)
def test_ls_filters(run: Run, options: list[str], expected: list[str]) -> None:
    assert [row["id"] for row in run("ls", "--json", *options).rows] == expected


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--property", "moed"], "no property 'moed'; there is: mode"),
        (["--property", "mode=bach"], "no property 'mode=bach'; there are: mode=batch, mode=context mode"),
        (["--tag", "night"], "no tag 'night'; there is: nightly"),
        (["--tool", "Bash"], "no tool called 'Bash'; there is: web_search"),
        (["--path", "/outlin"], "no path '/outlin'; there are: /outline, /outline/research, /report"),
        (["--user", "ad"], "no user 'ad'; there is: ada"),
        (["--agent", "claude*"], "no agent 'claude*': no call has one"),
        (["--status", "5xx"], "no HTTP status '5xx'; there are: 200, 429"),
        (["--session", "nobody"], f"no session 'nobody'; there are: {REPORT}, {COURSE}"),
        (["--until", "2025-11-20"], "no call before: the first began at 2025-11-21 05:00:01"),
        (["--since", "2025-11-22"], "no call since then: the last began at 2025-11-21 05:00:05"),
        (["--search", "nowhere"], "no call has the text 'nowhere'"),
        (["--error", "--tool", "web*"], "each of the filters fits calls, but no call fits all of them"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.parametrize("command", [["ls"], ["calls", "--json"], ["stats"], ["tail"]], ids=" ".join)
def test_a_filter_that_fits_nothing_says_what_there_is(
    run: Run, folder: Path, command: list[str], options: list[str], said: str
) -> None:
    what = "session" if command == ["ls"] else "call"
    expected = f"sessiontap: no {what} in {folder} fits the filter\nsessiontap: {said}\n"
    assert run(*command, *options) == (0, "", expected)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--since", "2999-01-01"], "'2999-01-01' is out of range"),
        (["--until", "0001-01-01"], "'0001-01-01' is out of range"),
        (["--status", "4000"], "'4000' is no HTTP status"),
    ],
)
def test_a_filter_that_cannot_be_meant(run: Run, options: list[str], error: str) -> None:
    said = run("ls", *options)
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith(f"sessiontap: {error}\nhint: write ")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [5, 4, 3, 2, 1]),
        (["-n", "2"], [5, 4]),
        (["--error"], [5]),
        (["--process", "node", "-n", "1"], [3]),
        (["--search", "sourdough"], [1]),
        (["--sort", "tokens", "-n", "1"], [2]),
        (["--session", "@2", "--path", "/outline/**", "--status", "2xx"], [3, 2, 1]),
        (["--tool", "WEB*", "--user", "ada", "--tag", "nightly", "--provider", "openai", "--outcome", "ok"], [1]),
        (["--rule", "course*", "--until", "2025-11-21T05:00:02Z"], [1]),
    ],
)
def test_calls_come_newest_first(run: Run, options: list[str], expected: list[int]) -> None:
    assert [row["id"] for row in run("calls", "--json", *options).rows] == [call_id(number) for number in expected]


def test_calls(run: Run) -> None:
    assert run("calls", "-n", "2").out == (
        "ID                  TIME                 SESSION         PATH     STEP  OPERATION  MODEL              STATUS"
        "  DURATION   IN  OUT     COST  RESULT\n"
        "019aa4c8-a808-7000  2025-11-21 05:00:05  Nightly report  /report     1  chat       gpt-4o             429"
        "        500ms    -    -  $0.0000  http_error: rate_limit_error: Slow down, please.\n"
        "019aa4c8-a420-7000  2025-11-21 05:00:04  Nightly report  /report     0  chat       gpt-4o-2024-07-18  200"
        "        500ms  100   20  $0.0004  stop\n"
    )


@pytest.mark.parametrize(
    ("operation", "shown"), [("other", "/api/settings"), ("chat", "-")], ids=["no model's call", "model unknown"]
)
def test_a_call_to_no_model_shows_its_route(operation: str, shown: str) -> None:
    row = {"operation": operation, "route": "/api/settings", "request_model": None, "response_model": None}
    assert listing.model(row) == shown


def test_tail_shows_the_last_calls_the_newest_at_the_end(run: Run) -> None:
    assert run("tail", "-n", "2").out == (
        "05:00:04.000  019aa4c8-a420-7000  Nightly report /report #0  gpt-4o-2024-07-18  200  500ms"
        "  100 in, 20 out  stop\n"
        "05:00:05.000  019aa4c8-a808-7000  Nightly report /report #1  gpt-4o  429  500ms"
        "  - in, - out  http_error: rate_limit_error: Slow down, please.\n"
    )


def test_tail_follows_what_is_written(tmp_path: Path) -> None:
    trace = recorded.write(tmp_path / "trace", recorded.calls()[:1])
    command = [sys.executable, "-u", "-m", "sessiontap.cli", "tail", "-f", "-n", "1", "--json", "--trace", str(trace)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tail:
        try:
            assert tail.stdout is not None
            assert json.loads(tail.stdout.readline())["id"] == call_id(1)
            recorded.write(trace, recorded.calls()[1:2])
            assert json.loads(tail.stdout.readline())["id"] == call_id(2)
        finally:
            tail.terminate()


def test_tail_follows_what_fits_the_filters(tmp_path: Path) -> None:
    trace = recorded.write(tmp_path / "trace", [])
    command = [sys.executable, "-u", "-m", "sessiontap.cli", "tail", "-f", "--error", "--json", "--trace", str(trace)]
    recorded.write(trace, recorded.calls()[4:])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tail:
        try:
            assert tail.stdout is not None
            assert json.loads(tail.stdout.readline())["id"] == call_id(5)
            later = [recorded.chat(6, session=(REPORT, "R", "/", 2), caller=None)]
            later.append(recorded.chat(7, session=(REPORT, "R", "/", 3), caller=None, status=500, error={"type": "x"}))
            recorded.write(trace, later)
            assert json.loads(tail.stdout.readline())["id"] == call_id(7)
        finally:
            tail.terminate()
