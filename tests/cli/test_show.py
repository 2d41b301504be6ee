"""show as a user and a program see it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cli import recorded
from tests.cli.command import Run
from tests.cli.recorded import COURSE, REPORT, call_id

from sessiontap.rules.decision import FilledSettings


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
    assert (done.status, "--conversation takes no filter" in done.err) == (2, True)


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
    assert [(call["step"], call["failed"], [part["text"] for part in call["reply"]]) for call in calls] == [
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


def test_show_names_all_values_of_a_property(run: Run, tmp_path: Path) -> None:
    session = (COURSE, "Course", "/course", 0)
    seen = [
        recorded.chat(
            n, session=session, caller=None, filled=FilledSettings("/course", properties={"mode": f"m{n}"})
        )
        for n in range(7)
    ]
    trace = recorded.write(tmp_path / "trace", seen)
    assert "properties mode=m0|m1|m2|m3|m4|2 more\n" in run("show", "@1", trace=trace).out
