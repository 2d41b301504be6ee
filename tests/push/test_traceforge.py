"""TraceForge's trace files: what is in one, and how they are written."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from tests.cli.command import Run, runner
from tests.export.calls import ID, call, unanswered
from tests.push import logs
from tests.push.pushed_calls import CHAT, MESSAGES, chat, pushed

from sessiontap.exchange import Headers
from sessiontap.push.target import HttpReply, PushedCall, Sender, TargetSettings
from sessiontap.push.targets import traceforge
from sessiontap.push.targets.traceforge import open_sender, trace_file

NAME = f"2026-11-21T05-06-03-000Z_{ID}.json"


class NoHttp:
    def post(self, url: str, body: bytes, headers: object) -> HttpReply:
        raise AssertionError("files need no network")


def sender(folder: Path, *, content: bool = True) -> Sender:
    return open_sender(TargetSettings(str(folder), {}, content, NoHttp()))


def trace(one: PushedCall) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(trace_file(one).content)
    return found


def test_a_file() -> None:
    one = chat(time_to_first_token=250_000_000, state={"cart": 2}, parent="01a1fce0-ea05-7202-8000-000000000000")
    assert trace_file(one).name == NAME
    assert trace(one) == {
        "schema_version": "1.0.0",
        "id": ID,
        "timestamp": "2026-11-21T05:06:03.000Z",
        "endpoint": "/v1/chat",
        "request": {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "stream": False},
        "response": {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_795_237_564,
            "model": "gpt-4o-2024-08-06",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}],
            "usage": {
                "prompt_tokens": 20,
                "completion_tokens": 5,
                "total_tokens": 25,
                "prompt_tokens_details": {"cached_tokens": 8},
            },
        },
        "metadata": {"duration_ms": 1500, "tokens_used": 25, "model": "gpt-4o-2024-08-06", "status": "success"},
        "session_id": "1db5055c-ed54-5a42-b919-793b95b7114c",
        "step_index": 0,
        "parent_trace_id": "01a1fce0-ea05-7202-8000-000000000000",
        "state_snapshot": {"cart": 2},
    }


def test_without_content_nothing_that_was_said_is_in_it() -> None:
    asked = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "SECRET"}]}'
    error = {"type": "invalid_request_error", "message": "SECRET is no number"}
    for llm in (CHAT, CHAT | {"error": error}):
        one = pushed(call(asked, b'{"choices": []}', llm=llm, state={"said": "SECRET"}), content=False)
        assert b"SECRET" not in trace_file(one).content
    assert trace(one)["metadata"]["error"] == "invalid_request_error"


def test_another_family_is_turned_into_openais_form() -> None:
    asked = {
        "model": "claude-sonnet-4-5",
        "system": "Be brief",
        "max_tokens": 100,
        "stop_sequences": ["###"],
        "tools": [{"name": "look_up", "description": "Looks up", "input_schema": {"type": "object"}}],
        "messages": [
            {"role": "user", "content": "How old?"},
            {"role": "assistant", "content": [
                {"type": "text", "text": "Let me see"},
                {"type": "tool_use", "id": "t1", "name": "look_up", "input": {"of": "Ada"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "36"},
                {"type": "text", "text": "Well?"},
            ]},
        ],
    }  # fmt: skip
    told = {"model": "claude-sonnet-4-5", "stop_reason": "end_turn", "content": [{"type": "text", "text": "36."}]}
    one = pushed(call(json.dumps(asked).encode(), json.dumps(told).encode(), llm=MESSAGES))
    found = trace(one)
    called = {"type": "function", "id": "t1", "function": {"name": "look_up", "arguments": '{"of":"Ada"}'}}
    assert found["request"]["messages"] == [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "How old?"},
        {"role": "assistant", "content": "Let me see", "tool_calls": [called]},
        {"role": "function", "content": "36", "tool_call_id": "t1", "name": "look_up"},
        {"role": "user", "content": "Well?"},
    ]
    assert (found["request"]["max_tokens"], found["request"]["stop"]) == (100, ["###"])
    definition = {"name": "look_up", "description": "Looks up", "parameters": {"type": "object"}}
    assert found["request"]["tools"] == [{"type": "function", "function": definition}]
    assert found["response"]["choices"][0]["message"]["content"] == "36."


def test_an_embedding_has_inputs_and_no_choices() -> None:
    llm = {"operation": "embeddings", "family": "openai-embeddings", "usage": {"input": 3}}
    found = trace(chat(b'{"model": "e", "input": ["one", "two"]}', b'{"data": []}', llm=llm))
    assert found["request"] == {"model": "gpt-4o", "input": ["one", "two"], "stream": False}
    assert "choices" not in found["response"]
    assert found["metadata"]["tokens_used"] == 3


@pytest.mark.parametrize(
    ("one", "error"),
    [
        (pushed(unanswered(), content=False), "upstream_unreachable"),
        (pushed(unanswered("client_gone"), content=False), "client_gone"),
        (chat(llm={"error": {"type": "overloaded", "message": "Try later"}}), "Try later"),
    ],
    ids=["no response", "its client left first", "an error within a 200"],
)
def test_a_call_that_failed_has_no_response(one: PushedCall, error: str) -> None:
    found = trace(one)
    assert found["response"] is None
    assert (found["metadata"]["status"], found["metadata"]["error"]) == ("error", error)


def test_unknown_is_left_out() -> None:
    one = chat(llm={"usage": None, "stream": None}, session=None, duration=None)
    found = trace(one)
    assert "usage" not in found["response"]
    assert found["metadata"] == {"model": "gpt-4o-2024-08-06", "status": "success"}
    assert not found.keys() & {"session_id", "step_index", "parent_trace_id", "state_snapshot"}
    assert "stream" not in found["request"]


def test_files_are_their_owners_alone_and_as_old_as_their_calls(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "traces"
    to = sender(folder)
    assert to.send(list(to.call_items(chat()))).kind == "accepted"
    (written,) = folder.iterdir()
    assert written.name == NAME
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert written.stat().st_mtime == pytest.approx(1_795_237_564.5)


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o775)
    to = sender(tmp_path)
    to.send(list(to.call_items(chat())))
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o775


def test_a_call_that_is_written_twice_is_one_file(tmp_path: Path) -> None:
    to = sender(tmp_path)
    for text in (b"first", b"second"):
        one = chat(b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "%s"}]}' % text)
        to.send(list(to.call_items(one)))
    (written,) = tmp_path.iterdir()
    assert json.loads(written.read_bytes())["request"]["messages"][0]["content"] == "second"


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    to = sender(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(traceforge.os, "utime", full)
    answer = to.send(list(to.call_items(chat())))
    assert (answer.kind, answer.reason) == ("later", f"{tmp_path} cannot be written: No space left on device")
    assert list(tmp_path.glob("*.json")) == [], "TraceForge reads what ends in .json"
    monkeypatch.undo()
    assert to.send(list(to.call_items(chat()))).kind == "accepted"
    assert [file.name for file in tmp_path.iterdir()] == [NAME], "what was left of the first try is gone"


def test_the_disk_has_a_file_before_it_is_named_and_all_names_before_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[bool, list[str]]] = []

    def fsync(handle: int) -> None:
        names = sorted(file.name for file in tmp_path.glob("*.json"))
        synced.append((stat.S_ISDIR(os.fstat(handle).st_mode), names))

    monkeypatch.setattr(traceforge.os, "fsync", fsync)
    to = sender(tmp_path)
    calls = [chat(id=f"01a1fce0-0000-7202-8000-00000000000{number}") for number in (1, 2)]
    to.send([item for call in calls for item in to.call_items(call)])
    first, second = sorted(file.name for file in tmp_path.glob("*.json"))
    assert synced == [(False, []), (False, [first]), (True, [first, second])]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = sender(tmp_path / "file").send(list(sender(tmp_path).call_items(chat())))
    assert answer.kind == "misconfigured"
    assert str(tmp_path / "file") in answer.reason


def test_no_link_is_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "traces"
    folder.mkdir()
    (folder / f".{NAME}.tmp").symlink_to(victim)
    to = sender(folder)
    assert to.send(list(to.call_items(chat()))).kind == "misconfigured"
    assert victim.read_text() == "mine"


def test_headers_are_in_no_file() -> None:
    one = chat(asked={"headers": [["authorization", "Bearer x"]]}, told={"headers": list(Headers([("x-a", "SECRET")]))})
    assert b"SECRET" not in trace_file(one).content
    assert b"Bearer" not in trace_file(one).content


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("TRACEFORGE_TRACES_DIR", raising=False)
    folder = logs.log_of(tmp_path / "log", logs.call("c1"), logs.call("c2", 5))
    return runner(capsys, monkeypatch, "push", trace=folder)


def test_the_command_writes_each_call_once_wherever_it_is_started(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = run("traceforge", "--endpoint", "traces")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = run("traceforge", "--endpoint", "../traces")
    monkeypatch.setenv("TRACEFORGE_TRACES_DIR", str(tmp_path / "traces"))
    assert (first.status, first.out) == (0, "2 calls sent to traceforge\n")
    assert again.out == run("traceforge").out == "0 calls sent to traceforge\n"
    assert len(list((tmp_path / "traces").glob("*.json"))) == 2
    assert "turn" not in run("status").out, "it is told calls alone"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "traceforge has no usual folder"),
        (["--endpoint", "http://localhost:3001"], "traceforge writes files: the endpoint is a folder, no URL"),
    ],
)
def test_a_folder_must_be_named(run: Run, arguments: list[str], said: str) -> None:
    status, _, err = run("traceforge", *arguments)
    assert (status, said in err) == (2, True)


def test_the_help_asks_for_a_folder_and_no_credentials(run: Run) -> None:
    out = run("traceforge", "--help").out
    assert "--endpoint FOLDER" in out
    assert "TRACEFORGE_TRACES_DIR" in out
    assert "--credentials" not in out
