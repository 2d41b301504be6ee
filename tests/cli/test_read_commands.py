"""ls, show, calls, cat and tail as a user and a program see them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import pytest
from tests.cli import recorded
from tests.cli.recorded import COURSE, REPORT, call_id

from sessiontap.cli import listing
from sessiontap.cli.main import app, main
from sessiontap.cli.options import FILTER_OPTIONS
from sessiontap.rules.decision import Labels


@dataclass(frozen=True)
class Said:
    status: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """JSON Lines."""
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Said]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded.write(tmp_path_factory.mktemp("recorded") / "trace", recorded.calls())


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command on that trace, in this process."""

    def run(*arguments: str, trace: Path | None = folder) -> Said:
        if trace is not None:
            monkeypatch.setenv("SESSIONTAP_TRACE", str(trace))
        status = main(arguments)
        said = capsys.readouterr()
        return Said(status, said.out, said.err)

    return run


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
        "properties": {"mode": "context mode"},
        "input_tokens": 1300,
        "output_tokens": 320,
        "cache_read_tokens": None,
        "cost_usd": 0.000387,
        "cost_parts": {"input": 0.000195, "cache_read": 0.0, "cache_write": 0.0, "output": 0.000192, "other": 0.0},
        "cost_unknown_calls": 1,
        "success": True,
        "status": "completed",
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
    assert run(*command, *options) == Said(0, "", expected)


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


def test_show(run: Run) -> None:
    assert run("show", "7d3c").out == (
        "Course outline\n"
        "  title      Plan a course on Brotbäckerei.\n"
        f"  session    {COURSE}\n"
        "  started    2025-11-21 05:00:01, completed\n"
        "  calls      3 in 3.2s, 1,300 tokens in, 320 out\n"
        "  cost       $0.0004+, without 1 call of unknown cost (input $0.0002, output $0.0002)\n"
        "  unknown    1 call: no usage was reported\n"
        "  last reply Week one: \\x1b[31mflour.\n"
        "  models     gpt-4o-mini-2024-07-18\n"
        "  processes  agent.mjs\n"
        "  users      ada\n"
        "  tags       nightly\n"
        "  properties mode=context mode\n"
        "\n"
        "PATH AND CALLS                       ID                  DURATION     IN  OUT      COST  RESULT\n"
        "/outline                                                     3.2s  1,300  320  $0.0004+  3 calls\n"
        "├─ 0 chat gpt-4o-mini-2024-07-18     019aa4c8-9868-7000     500ms    100   20  <$0.0001  → web_search\n"
        "├─ /research                                                 2.2s  1,200  300   $0.0004  1 call\n"
        "│  └─ 1 chat gpt-4o-mini-2024-07-18  019aa4c8-9c50-7000      2.2s  1,200  300   $0.0004  stop\n"
        "└─ 2 chat gpt-4o-mini-2024-07-18     019aa4c8-a038-7000     500ms      -    -         -  stop\n"
    )


@pytest.mark.parametrize(
    ("session", "filters", "steps"),
    [
        (COURSE, "--path /outline/research", [1]),
        (COURSE, "--tool web_search", [0]),
        (COURSE, "--path /outline/** --process node", [0, 1, 2]),
        (COURSE, "--status 4xx", []),
        (REPORT, "--status 429", [1]),
        (REPORT, "--error", [1]),
        (REPORT, "--property mode=batch", [0]),
    ],
)
def test_show_with_filters_shows_the_calls_that_fit(run: Run, session: str, filters: str, steps: list[int]) -> None:
    (shown,) = run("show", session, *filters.split(), "--json").rows
    assert [call["step"] for call in shown["calls"]] == steps
    assert sum(node["calls"] for node in shown["tree"]) == len(steps)
    assert shown["session"] == run("ls", "--session", session, "--json").rows[0]


def test_show_says_why_no_call_fits(run: Run) -> None:
    done = run("show", COURSE, "--model", "nothing")
    assert done.out.startswith("Course outline\n")
    assert "no model 'nothing'; there " in done.err


def test_a_conversation_is_whole(run: Run) -> None:
    done = run("show", COURSE, "--conversation", "--error")
    assert (done.status, "--conversation goes with no filter" in done.err) == (2, True)


def test_show_flat_lists_the_calls_in_their_order(run: Run) -> None:
    lines = run("show", COURSE, "--flat").out.splitlines()
    assert [line.split()[0] for line in lines[-3:]] == [f"019aa4c8-{part}-7000" for part in ("9868", "9c50", "a038")]


def test_show_timeline_draws_the_tree_to_scale(run: Run) -> None:
    assert run("show", "7d3c", "--timeline").out.split("\n\n", 1)[1] == (
        "                                     0                1.0s             2.0s             3.0s\n"
        "/outline                             ├──────────────────────────────────────────────────────┤   3.2s\n"
        "├─ 0 chat gpt-4o-mini-2024-07-18     █████████                                                 500ms\n"
        "├─ /research                                          ├─────────────────────────────────────┤   2.2s\n"
        "│  └─ 1 chat gpt-4o-mini-2024-07-18                   ███████████████████████████████████████   2.2s\n"
        "└─ 2 chat gpt-4o-mini-2024-07-18                                       ██████████              500ms\n"
        "\n"
        "each column is 58ms; █ running\n"
    )


def test_show_timeline_of_the_calls_in_their_order(run: Run) -> None:
    lines = run("show", "7d3c", "--timeline", "--flat").out.split("\n\n", 1)[1].splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["0", "1", "2"]


def test_show_json(run: Run) -> None:
    shown = json.loads(run("show", "@2", "--json").out)
    assert shown["session"] == run("ls", "--json").rows[1]
    assert [node["path"] for node in shown["tree"]] == ["/outline"]
    assert [node["path"] for node in shown["tree"][0]["children"]] == ["/outline/research"]
    assert shown["calls"] == run("calls", "--name", "Course outline", "--json").rows[::-1]


@pytest.mark.parametrize(
    ("call", "id"),
    [("@1", call_id(5)), ("@5", call_id(1)), (call_id(3), call_id(3)), (call_id(3)[:15], call_id(3))],
)
def test_cat_takes_prefixes_and_numbers(run: Run, call: str, id: str) -> None:
    assert json.loads(run("cat", call, "--json").out)["id"] == id


def test_cat_writes_the_bodies_byte_for_byte(folder: Path) -> None:
    seen = recorded.calls()[2]
    assert seen.request.body is not None
    assert seen.response is not None
    assert seen.response.body is not None
    for side, data in (("--request", seen.request.body.data), ("--response", seen.response.body.data)):
        command = [sys.executable, "-m", "sessiontap.cli", "--trace", str(folder), "cat", call_id(3), side]
        done = subprocess.run(command, capture_output=True)
        assert (done.stdout, done.stderr, done.returncode) == (data, b"", 0)


def test_show_conversation(run: Run) -> None:
    out = run("show", COURSE, "--conversation").out
    heading, _, said = out.partition("\n\n")
    assert heading.startswith("Course outline\n  title      Plan a course on Brotbäckerei.\n")
    assert said == (
        "tools      web_search (21 B)\n"
        "system     You plan courses.\n"
        "user       Plan a course on Brotbäckerei.\n"
        "#0, gpt-4o-mini-2024-07-18, 500ms\n"
        '→ web_search(q: "sourdough")\n'
        "\n"
        "user       hello\n"
        "#1, gpt-4o-mini-2024-07-18, 2.2s\n"
        "assistant  Hi there.\n"
        "\n"
        "user       hello\n"
        "#2, gpt-4o-mini-2024-07-18, 500ms\n"
        "assistant  Week one:\n"
        "           \\x1b[31mflour.\n"
    )


def test_show_conversation_json(run: Run) -> None:
    (shown,) = run("show", REPORT, "--conversation", "--json").rows
    assert shown["session"]["id"] == REPORT
    calls = [call for one in shown["conversations"] for call in one["calls"]]
    assert [(call["step"], call["failed"], [part["text"] for part in call["said"]]) for call in calls] == [
        (0, False, ["Hi there."]),
        (1, True, []),
    ]
    assert calls[1]["error"] == {"type": "rate_limit_error", "message": "Slow down, please."}


def test_a_conversation_of_which_nothing_is_recorded(run: Run, tmp_path: Path) -> None:
    (call,) = (one for one in recorded.calls() if one.id == call_id(4))
    bare = replace(call, request=replace(call.request, body=None), response=None)
    said = run("show", "@1", "--conversation", trace=recorded.write(tmp_path / "trace", [bare]))
    assert "title" not in said.out
    assert "nothing of what was said is recorded" in said.err


def test_cat_text(run: Run) -> None:
    assert run("cat", call_id(1), "--text").out == (
        "--- 1 tool offered\nweb_search\n\n"
        "--- system\nYou plan courses.\n\n"
        "--- user\nPlan a course on Brotbäckerei.\n\n"
        '--- tool call web_search\n{"q": "sourdough"}\n'
    )


def test_what_was_recorded_cannot_drive_the_terminal(run: Run) -> None:
    assert "Week one:\n\\x1b[31mflour." in run("cat", call_id(3), "--text").out
    assert "\x1b" not in run("cat", call_id(3)).out


def test_cat_headers_without_the_credentials(run: Run) -> None:
    out = run("cat", "@1", "--headers").out
    assert out.startswith("POST /v1/chat/completions HTTP/2.0\nhost: api.openai.com\nauthorization: Bearer [redacted:")
    assert out.endswith("\n\nHTTP/2.0 429\ncontent-type: application/json\n")


def test_cat_changes(run: Run) -> None:
    assert run("cat", "@1", "--changes").out == (
        "ACTION  HEADER                 OLD  NEW                  RULE OR REASON\n"
        "set     Helicone-Session-Id    -    nightly-report-0001  course generator\n"
        "set     Helicone-Session-Path  -    /report              course generator\n"
    )


def test_cat_curl_is_the_apps_own_request(run: Run) -> None:
    said = run("cat", "@2", "--curl")
    assert said.out.startswith(
        "curl https://api.openai.com/v1/chat/completions \\\n  -H 'authorization: Bearer [redacted:"
    )
    assert "Helicone" not in said.out
    assert said.out.endswith(
        """--data-raw '{"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}'\n"""
    )
    assert said.err == "sessiontap: 1 of its headers is redacted: put your own key in\n"


def test_curl_does_not_stand_for_a_web_socket(tmp_path: Path, run: Run) -> None:
    turn = recorded.chat(1, session=(REPORT, "Report", "/report", 0), caller=None, flags=["websocket"])
    trace = recorded.write(tmp_path / "sockets", [turn])
    said = run("--trace", str(trace), "cat", "@1", "--curl")
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith(f"sessiontap: call {turn.id} was a turn of a WebSocket, which curl does not send\n")


@pytest.mark.parametrize(
    ("operation", "shown"), [("other", "/api/settings"), ("chat", "-")], ids=["no model's call", "model unknown"]
)
def test_a_call_to_no_model_shows_its_route(operation: str, shown: str) -> None:
    row = {"operation": operation, "route": "/api/settings", "request_model": None, "response_model": None}
    assert listing.model(row) == shown


def test_cat_shows_everything(run: Run) -> None:
    out = run("cat", "@1").out
    for expected in (
        "call       019aa4c8-a808-7000-8000-000000000005\n",
        "session    Nightly report (nightly-report-0001, by process)\n",
        "process    report.py (pid 4712) in /home/ada\n",
        "result     http_error: rate_limit_error: Slow down, please.\n",
        "Helicone-Session-Id: nightly-report-0001\n",
        '"type": "rate_limit_error",\n',
    ):
        assert expected in out


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


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["show", "nosuch"], 1, "sessiontap: no session's id begins with 'nosuch'"),
        (["cat", "@9"], 1, "sessiontap: there is no call @9"),
        (["cat", "019aa4c8"], 1, "sessiontap: more than one call's id begins with '019aa4c8'"),
        (["cat", "@1", "--request", "--text"], 2, "sessiontap: --request and --text do not go together"),
        (["show", "@1", "--full"], 2, "sessiontap: --full unfolds a conversation"),
        (["show", "@1", "--conversation", "--flat"], 2, "sessiontap: --conversation goes with neither"),
        (["ls", "--since", "soon"], 2, "sessiontap: 'soon' is no point in time"),
        (["ls", "--property", "=x"], 2, "sessiontap: --property '=x' names no property"),
        (["ls", "--sort", "size"], 2, "sessiontap: invalid value for '--sort': 'size' is not one of"),
        (["ls", "--limit", "-1"], 2, "sessiontap: invalid value for '--limit' / '-n'"),
        (["nosuch"], 2, "sessiontap: no such command 'nosuch'"),
        (["show"], 2, "sessiontap: missing argument 'SESSION'"),
        (["ls", "--trace", "/nowhere/at/all"], 1, "sessiontap: there is no trace folder /nowhere/at/all"),
    ],
)
def test_an_error_is_a_sentence_and_a_hint(run: Run, arguments: list[str], status: int, says: str) -> None:
    said = run(*arguments)
    assert said.status == status
    assert said.out == ""
    sentence, hint = said.err.splitlines()
    assert sentence.startswith(says)
    assert hint.startswith("hint: ")


@pytest.mark.parametrize("arguments", [["ls"], ["calls"], ["tail"]])
def test_an_empty_trace_is_no_error(run: Run, tmp_path: Path, arguments: list[str]) -> None:
    said = run(*arguments, trace=recorded.write(tmp_path / "empty", []))
    assert (said.status, said.out) == (0, "")


@pytest.mark.parametrize("before", [True, False], ids=["before", "behind"])
def test_the_trace_folder_may_stand_before_or_behind_the_command(run: Run, folder: Path, before: bool) -> None:
    option = ["--trace", str(folder)]
    arguments = [*option, "ls", "--json"] if before else ["ls", "--json", *option]
    assert len(run(*arguments, trace=None).rows) == 2


def test_the_default_folder_is_in_the_home(run: Run, own_place: Path) -> None:
    recorded.write(own_place / ".sessiontap" / "trace", recorded.calls()[:1])
    assert len(run("ls", "--json", trace=None).rows) == 1


def test_losses_are_told(run: Run, tmp_path: Path) -> None:
    notes: list[tuple[str, str, dict[str, Any]]] = [
        ("dropped", "3 records were lost (queue 3)", {"dropped": {"queue": 3}}),
        ("not_captured", "no trust", {"host": "api.openai.com", "process": "node"}),
    ]
    trace = recorded.write(tmp_path / "trace", recorded.calls()[:1], notes)
    segment = next(trace.glob("*.mpk"))
    segment.write_bytes(segment.read_bytes()[:-3])  # the last note is torn
    said = run("ls", "--json", trace=trace)
    assert len(said.rows) == 1
    lost, torn = said.err.splitlines()
    assert lost.startswith("sessiontap: 3 records were lost at ")
    assert lost.endswith("(the queue was full: 3)")
    assert torn.startswith(f"sessiontap: {segment} at ")


def test_a_reader_that_has_enough_is_no_failure(tmp_path: Path) -> None:
    many = [recorded.chat(number, session=(COURSE, "x", "/x", number), caller=None) for number in range(400)]
    trace = recorded.write(tmp_path / "trace", many)
    command = [sys.executable, "-m", "sessiontap.cli", "calls", "-n", "0", "--json", "--trace", str(trace)]
    read, write = os.pipe()
    with subprocess.Popen(command, stdout=write, stderr=subprocess.PIPE) as process:
        os.close(write)
        os.close(read)  # nobody reads, as after `| head -0`
        _, complaint = process.communicate()
    assert (process.returncode, complaint) == (0, b"")


def test_it_is_plain_where_it_is_piped(run: Run) -> None:
    assert "\x1b" not in run("ls").out + run("show", "@1").out + run("tail").out


def on_a_terminal(folder: Path, *arguments: str, columns: int = 80, **environ: str) -> str:
    """What the command writes to a terminal of that width."""
    code = "import pty, sys; sys.exit(pty.spawn([sys.executable, '-m', 'sessiontap.cli', *sys.argv[1:]]) >> 8)"
    settings = {"TERM": "xterm-256color", "COLUMNS": str(columns), "SESSIONTAP_TRACE": str(folder), **environ}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=os.environ | settings)
    assert done.returncode == 0
    return done.stdout.decode().replace("\r\n", "\n")


@pytest.mark.skipif(sys.platform == "win32", reason="it has no pseudo-terminals")
def test_a_terminal_gets_colour_and_lines_that_fit(folder: Path) -> None:
    assert "\x1b[31m" in on_a_terminal(folder, "ls")  # the failed session in red
    plain = on_a_terminal(folder, "ls", columns=81, NO_COLOR="1")
    assert "\x1b[3" not in plain
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in plain.splitlines()]
    assert lines == [
        "ID        NAME            TITLE             STARTED     DURATION  CALLS      COST",
        "nightly-  Nightly report  hello             2025-11-21      1.5s      2   $0.0004",
        "7d3c1a52  Course outline  Plan a course o…  2025-11-21      3.2s      3  $0.0004+",
    ]


@pytest.mark.parametrize("command", [["ls"], ["calls"], ["show", "@1"]], ids=lambda command: command[0])
def test_damage_is_stepped_over_and_said(run: Run, tmp_path: Path, command: list[str]) -> None:
    trace = recorded.write(tmp_path / "trace", recorded.calls())
    (segment,) = trace.glob("*.mpk")
    segment.write_bytes(segment.read_bytes()[:-3])
    said = run(*command, trace=trace)
    assert said.status == 0
    assert said.out
    assert f"{segment} at " in said.err


def test_a_folder_that_cannot_be_written_is_read_all_the_same(run: Run, tmp_path: Path) -> None:
    trace = recorded.write(tmp_path / "trace", recorded.calls())
    (trace / "index.sqlite").mkdir()  # root may write where it may not, but not this
    assert run("ls", "--json", trace=trace).rows == run("ls", "--json").rows


def test_ids_are_cut_so_that_they_can_be_typed_back(run: Run, tmp_path: Path) -> None:
    """Also where the list shows only some of the sessions."""
    sessions = ["7d3c1a52-0001", "7d3c1a52-0002", "nightly-report"]
    calls = [recorded.chat(n, session=(one, one, "/", 0), caller=None) for n, one in enumerate(sessions)]
    trace = recorded.write(tmp_path / "trace", calls)
    for options, expected in ((["--name", "*0002"], sessions[1:2]), ([], sessions[::-1])):
        shown = [line.split()[0] for line in run("ls", *options, trace=trace).out.splitlines()[1:]]
        assert [json.loads(run("show", one, "--json", trace=trace).out)["session"]["id"] for one in shown] == expected


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


def test_the_page_of_filters_names_each_option() -> None:
    page = (Path(__file__).parents[2] / "docs" / "filters.md").read_text("utf-8")
    documented = re.findall(r"^\| `(--[a-z]+)[ `]", page, re.MULTILINE)
    command = app.get_command(click.Context(app), "calls")
    assert command is not None
    offered = [option.opts[0] for option in command.params if option.name in FILTER_OPTIONS]
    assert documented == offered


def test_show_names_all_values_of_a_property(run: Run, tmp_path: Path) -> None:
    session = (COURSE, "Course", "/course", 0)
    seen = [
        recorded.chat(n, session=session, caller=None, labels=Labels(path="/course", properties={"mode": f"m{n}"}))
        for n in range(7)
    ]
    trace = recorded.write(tmp_path / "trace", seen)
    assert "properties mode=m0|m1|m2|m3|m4|2 more\n" in run("show", "@1", trace=trace).out
