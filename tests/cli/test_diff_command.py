"""diff as a user and a program see it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.cli import recorded
from tests.cli.command import Run, runner
from tests.cli.recorded import call_id
from tests.support.call_spec import CallSpec

from sessiontap.exchange import Headers
from sessiontap.recording.decode import DecodedBody
from sessiontap.sessions.session import Link

SESSION = ("s", "Session", "/", 0)
HISTORY = [{"role": ("user", "assistant")[n % 2], "content": f"turn {n}"} for n in range(10)]
ANSWER = {"role": "assistant", "content": "An answer.\n" * 30}


def plain(number: int, body: bytes) -> CallSpec:
    """A call whose body is no JSON."""
    call = recorded.chat(number, session=SESSION, caller=None)
    return replace(call, request=replace(call.request, body=DecodedBody(body)))


def calls() -> list[CallSpec]:
    def chat(number: int, *added: dict[str, Any], parent: int | None = None, **more: Any) -> CallSpec:
        link = Link(parent=call_id(parent)) if parent else Link()
        return recorded.chat(number, session=SESSION, caller=None, messages=[*HISTORY, *added], link=link, **more)

    called = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "find", "arguments": '{"q": "\\u001b"}'}}],
    }
    found = [
        chat(1, tools=["find"]),
        chat(2, called, ANSWER, parent=1, model="gpt-4o", tools=["find", "write"]),
        chat(3, parent=99),
        chat(4),
    ]
    beta = found[3].request
    found[3] = replace(found[3], request=replace(beta, headers=Headers([*beta.headers, ("x-beta", "new")])))
    return [*found, plain(5, b"no JSON"), plain(6, b"no JSON"), plain(7, b"none either")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded.write(tmp_path_factory.mktemp("diff") / "trace", calls())


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return runner(capsys, monkeypatch, "diff", trace=folder)


def test_what_changed(run: Run) -> None:
    status, out, err = run(call_id(1), call_id(2))

    assert (status, err) == (0, "")
    assert out == (
        f"{call_id(1)} → {call_id(2)}\n\n"
        "parameters\n~ model: gpt-4o-mini → gpt-4o\n\n"
        "tools\n= 1 tool the same\n+ write\n    name: write\n\n"
        "messages\n= 10 messages the same\n"
        "+ 11 assistant → find\n    content: null\n    tool_calls:\n      id: c\n      type: function\n"
        "      function:\n        name: find\n        arguments:\n          q: \\x1b\n"
        "+ 12 assistant\n" + "    An answer.\n" * 12 + "    … 18 more lines: --full shows all\n"
    )


def test_full_cuts_nothing(run: Run) -> None:
    short, full = run(call_id(1), call_id(2))[1], run("--full", call_id(1), call_id(2))[1]

    assert full == short.replace("    … 18 more lines: --full shows all\n", "    An answer.\n" * 18)


def test_a_long_parameter_is_cut_unless_all_is_wanted(run: Run, tmp_path: Path) -> None:
    long = json.dumps({"model": "m" * 200, "messages": []}).encode()
    folder = recorded.write(tmp_path / "trace", [plain(1, long), plain(2, b"{}")])

    assert "m" * 119 + "…" in run("@2", "@1", "--trace", str(folder))[1]
    assert "m" * 200 + "\n" in run("@2", "@1", "--full", "--trace", str(folder))[1]


def test_with_one_call_it_is_against_its_parent(run: Run) -> None:
    assert run(call_id(2)) == run(call_id(1), call_id(2))


def test_json_has_all_of_it(run: Run) -> None:
    found = json.loads(run("--json", call_id(1), call_id(2))[1])

    assert list(found) == [
        "before", "after", "identical", "request", "messages", "system", "tools", "tools_same", "parameters"
    ]  # fmt: skip
    assert (found["before"]["id"], found["after"]["id"], found["identical"]) == (call_id(1), call_id(2), False)
    assert [(one["change"], one["count"]) for one in found["messages"]] == [("same", 10), ("added", 1), ("added", 1)]
    assert found["messages"][2]["lines"] == ["An answer."] * 30
    assert found["parameters"] == [{"change": "changed", "name": "model", "before": "gpt-4o-mini", "after": "gpt-4o"}]
    assert (found["system"], found["tools_same"], found["tools"][0]["name"]) == (None, 1, "write")


def test_back_from_the_later_one(run: Run) -> None:
    found = json.loads(run("--json", call_id(2), call_id(1))[1])

    assert [one["change"] for one in found["messages"]] == ["same", "removed", "removed"]


def test_headers_count(run: Run) -> None:
    found = json.loads(run("--json", call_id(3), call_id(4))[1])

    assert found["request"] == [{"change": "added", "name": "headers.x-beta", "before": None, "after": "new"}]
    assert found["identical"] is True


def test_a_request_is_the_same_as_itself(run: Run) -> None:
    out = run(call_id(1), call_id(1))[1]

    assert "= 10 messages the same\n" in out
    assert out.endswith("both say the same: byte for byte\n")


def test_bytes_that_are_no_json(run: Run) -> None:
    assert run(call_id(5), call_id(6))[1].endswith("\n= 7 B, the same byte for byte\n")
    lines = run(call_id(5), call_id(7))[1].splitlines()
    assert (lines[2][:16], lines[3][:17]) == ("- 7 B, sha256 " + lines[2][14:16], "+ 11 B, sha256 " + lines[3][15:17])
    assert json.loads(run("--json", call_id(5), call_id(7))[1])["messages"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([call_id(1)], f"call {call_id(1)} goes on from no other call"),
        ([call_id(3)], f"the parent of call {call_id(3)} is not there"),
        (["ffff"], "no call's id begins with 'ffff'"),
        (["ffff", "@1"], "'ffff' names neither a session nor a call"),
        (["@1", "@99"], "'@99' names neither a session nor a call"),
        ([call_id(1), "s"], f"{call_id(1)} names a call and s a session"),
    ],
    ids=["no parent", "a parent that is gone", "no call", "neither of two", "nor the second", "one of each"],
)
def test_what_cannot_be_compared(run: Run, arguments: list[str], words: str) -> None:
    status, out, err = run(*arguments)

    assert (status, out) == (1, "")
    assert words in err
    assert "\nhint: " in err


def test_a_body_that_was_not_recorded(run: Run, tmp_path: Path) -> None:
    secret = plain(2, b"b")
    assert secret.decision is not None
    secret = replace(secret, decision=replace(secret.decision, capture="metadata"))
    folder = recorded.write(tmp_path / "trace", [plain(1, b"a"), secret])

    status, out, err = run("@2", "@1", "--trace", str(folder))

    assert (status, out) == (1, "")
    assert f"the request body of call {call_id(2)} was not recorded" in err


# -- sessions ----------------------------------------------------------------------------------------------------------


def run_of(number: int, name: str, topic: str, *, tool: str = "find", failed: bool = False) -> list[CallSpec]:
    """An agent that asks a tool and answers, and in the second run calls one more model at a path of its own."""
    asked = [{"role": "system", "content": "You plan courses."}, {"role": "user", "content": f"Plan {topic}."}]
    called = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": f"call-{name}", "type": "function", "function": {"name": tool, "arguments": "{}"}}],
    }
    found = {"role": "tool", "tool_call_id": f"call-{name}", "content": "Exit code 2" if failed else "Flour."}
    return [
        recorded.chat(
            number,
            session=(name, "Planner", "/plan", 0),
            caller=None,
            messages=asked,
            tools=["find"],
            reply=called,
            finish="tool_calls",
        ),
        recorded.chat(
            number + 1,
            session=(name, "Planner", "/plan", 1),
            caller=None,
            messages=[*asked, called, found],
            tools=["find"],
            link=Link(parent=call_id(number), conversation=name),
            reply={"content": "Done."},
        ),
    ]


def two_runs() -> list[CallSpec]:
    check = recorded.chat(5, session=("run-b", "Planner", "/check", 2), caller=None, model="gpt-4o")
    return [*run_of(1, "run-a", "bread"), *run_of(3, "run-b", "rye"), check]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded.write(tmp_path_factory.mktemp("runs") / "trace", two_runs())


def test_two_sessions(run: Run, runs: Path) -> None:
    status, out, err = run("run-a", "run-b", "--trace", str(runs))

    assert (status, err) == (0, "")
    assert out == (
        "- run-a  Planner  2025-11-21 05:00:01  Plan bread.\n"
        "+ run-b  Planner  2025-11-21 05:00:03  Plan rye.\n"
        "\n"
        "                                BEFORE    AFTER  CHANGE\n"
        "calls                                2        3      +1\n"
        "duration                          1.5s     2.5s    +67%\n"
        "tokens in                          200      300    +50%\n"
        "tokens out                          40       60    +50%\n"
        "cost                          <$0.0001  $0.0005   +833%\n"
        "model gpt-4o-mini-2024-07-18   2 calls  2 calls\n"
        "model gpt-4o-2024-07-18              -   1 call      +1\n"
        "tool find                       1 call   1 call\n"
        "\n"
        "PATH AND CALLS                   STEP  DURATION   IN       OUT     COST         RESULT       ASKS\n"
        "/plan                                  1.0s       200      40      <$0.0001     2 calls\n"
        "  ~ chat gpt-4o-mini-2024-07-18  0     500ms      100      20      <$0.0001     → find       1 message\n"
        "  = chat gpt-4o-mini-2024-07-18  1     500ms      100      20      <$0.0001     stop         the same\n"
        "/check                                 - → 500ms  - → 100  - → 20  - → $0.0004  0 → 1 calls\n"
        "  + chat gpt-4o-2024-07-18       2     500ms      100      20      $0.0004      stop\n"
        "\n"
        "/plan 0   019aa4c8-9868-7000-8000-000000000001 → 019aa4c8-a038-7000-8000-000000000003\n"
        "messages\n"
        "~ 2 user\n"
        "    @@ -1 +1 @@\n"
        "    -Plan bread.\n"
        "    +Plan rye.\n"
    )


def test_two_sessions_as_json(run: Run, runs: Path) -> None:
    found = json.loads(run("run-a", "run-b", "--json", "--trace", str(runs))[1])

    assert list(found) == [
        "before", "after", "sums", "models", "tools", "properties", "labels", "paths", "calls"
    ]  # fmt: skip
    assert (found["before"]["id"], found["after"]["id"]) == ("run-a", "run-b")
    assert [(pair["path"], (pair["before"] or {}).get("step"), pair["after"]["step"]) for pair in found["calls"]] == [
        ("/plan", 0, 0), ("/plan", 1, 1), ("/check", None, 2),
    ]  # fmt: skip
    assert found["calls"][0]["asked"]["messages"][1]["lines"] == ["@@ -1 +1 @@", "-Plan bread.", "+Plan rye."]


def test_results_of_tools_that_failed_are_counted(run: Run, tmp_path: Path) -> None:
    failing = run_of(3, "run-b", "bread", tool="Bash", failed=True)
    folder = recorded.write(tmp_path / "trace", [*run_of(1, "run-a", "bread", tool="Bash"), *failing])

    out = run("run-a", "run-b", "--trace", str(folder))[1]

    (tool,) = (line.split() for line in out.splitlines() if line.startswith("tool "))
    assert tool == ["tool", "Bash", "1", "call", "1", "call,", "1", "error"]
    assert out.endswith("\nmessages\n- 4 tool\n    Flour.\n+ 4 tool\n    Exit code 2\n")


def test_names_of_sessions_and_of_calls_are_taken_as_sessions_and_it_is_said(run: Run, runs: Path) -> None:
    status, out, err = run("@2", "@1", "--trace", str(runs))

    assert (status, out) == (0, run("run-a", "run-b", "--trace", str(runs))[1])
    assert err == "sessiontap: @2 and @1 are taken as sessions; --calls compares the calls of these names\n"
    status, out, err = run("@2", "@1", "--calls", "--trace", str(runs))
    assert (status, err) == (0, "")
    assert out.startswith(f"{call_id(4)} → {call_id(5)}\n")


def test_a_name_that_is_a_sessions_beside_one_that_is_none_is_a_calls_and_it_is_said(run: Run, runs: Path) -> None:
    status, out, err = run("@5", "@1", "--trace", str(runs))

    assert (status, out[: len(call_id(1))]) == (0, call_id(1))
    assert err == "sessiontap: @5 and @1 are taken as calls, since @5 is no session's\n"


def test_calls_of_sessions_by_their_steps(run: Run, runs: Path) -> None:
    assert run("run-a/0", "@1/0", "--trace", str(runs))[1].startswith(f"{call_id(1)} → {call_id(3)}\n")


def test_many_different_calls_are_cut_and_shown_in_full(run: Run, tmp_path: Path) -> None:
    def session(name: str, first: int) -> list[CallSpec]:
        return [
            recorded.chat(
                first + n,
                session=(name, "Many", "/many", n),
                caller=None,
                messages=[{"role": "user", "content": f"{name} asks {n}"}],
            )
            for n in range(7)
        ]

    folder = recorded.write(tmp_path / "trace", [*session("one", 1), *session("two", 10)])

    short = run("one", "two", "--trace", str(folder))[1]
    full = run("one", "two", "--full", "--trace", str(folder))[1]
    assert short.endswith("\n\n… 2 more calls ask differently: --full shows all\n")
    assert (short.count("+two asks"), full.count("+two asks")) == (5, 7)
    assert "more calls" not in full


def test_a_request_that_was_not_recorded_is_said_in_its_line(run: Run, tmp_path: Path) -> None:
    hidden = run_of(3, "run-b", "rye")
    assert hidden[0].decision is not None
    hidden[0] = replace(hidden[0], decision=replace(hidden[0].decision, capture="metadata"))
    folder = recorded.write(tmp_path / "trace", [*run_of(1, "run-a", "bread"), *hidden])

    status, out, err = run("run-a", "run-b", "--trace", str(folder))

    assert (status, err) == (0, "")
    assert f"the request body of call {call_id(3)} was not recorded\n" in out
