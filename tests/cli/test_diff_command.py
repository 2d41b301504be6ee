"""diff as a user and a program see it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.cli import recorded
from tests.cli.recorded import call_id
from tests.support.call_spec import CallSpec

from sessiontap.cli.main import main
from sessiontap.exchange import Headers
from sessiontap.recording.decode import DecodedBody
from sessiontap.sessions.session import Link

Run = Callable[..., tuple[int, str, str]]
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
    monkeypatch.setenv("SESSIONTAP_TRACE", str(folder))

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(["diff", *arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


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
        "+ 12 assistant\n" + "    An answer.\n" * 12 + "    … 18 more lines\n"
    )


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
        (["ffff", "@1"], "no call's id begins with 'ffff'"),
        (["@1", "@99"], "there is no call @99"),
    ],
    ids=["no parent", "a parent that is gone", "no call", "no second call"],
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
