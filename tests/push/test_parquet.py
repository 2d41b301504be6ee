"""`sessiontap push parquet`: the tables that come of a log, however often it is pushed and whatever is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pytest
from tests.cli.command import Printed, runner
from tests.push.logs import ACCEPTED, Log, ScriptedSender, call, log_of, target
from tests.push.made_calls import pushed

from sessiontap import trace
from sessiontap.push import pusher
from sessiontap.push.cursor import cursors
from sessiontap.push.pusher import Clocks, Pusher, cursor_of
from sessiontap.push.target import TargetAnswer, TargetSettings
from sessiontap.push.targets.parquet import open_sender
from sessiontap.rules import RulesError, load_text

Run = Callable[..., Printed]
DAY = 86_400
NEXT_DAY = [call("c1", 0), call("c2", 1), call("c3", DAY)]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return runner(capsys, monkeypatch, trace=tmp_path / "trace")


def query(lake: Path, what: str = "id", table: str = "calls") -> list[tuple[object, ...]]:
    return duckdb.sql(f"SELECT {what} FROM '{lake}/{table}/*/*/*.parquet' ORDER BY ALL").fetchall()


def test_a_row_a_call_by_day_and_host(tmp_path: Path, run: Run) -> None:
    log_of(tmp_path / "trace", *NEXT_DAY)
    done = run("push", "parquet", "--to", str(tmp_path / "lake"))
    assert (done.status, done.out) == (0, "3 calls sent to parquet\n")
    assert [(str(day), id) for day, id in query(tmp_path / "lake", "day, id")] == [
        ("2026-11-21", "c1"),
        ("2026-11-21", "c2"),
        ("2026-11-22", "c3"),
    ]
    assert not (tmp_path / "lake" / "bodies").exists(), "content is asked for"


def test_with_content_bodies_are_beside(tmp_path: Path, run: Run) -> None:
    log_of(tmp_path / "trace", call("c1", asked=b'{"model": "m"}', answered=b"\xff"))
    run("push", "parquet", "--to", str(tmp_path / "lake"), "--content")
    assert query(tmp_path / "lake", "id, request_body, response_body_binary", "bodies") == [
        ("c1", '{"model": "m"}', b"\xff")
    ]


def test_an_object_store(tmp_path: Path, run: Run) -> None:
    log_of(tmp_path / "trace", *NEXT_DAY)
    memory = fsspec.filesystem("memory")
    try:
        done = run("push", "parquet", "--to", "memory://bucket/lake")
        assert (done.status, done.out) == (0, "3 calls sent to parquet\n")
        duckdb.register_filesystem(memory)
        assert duckdb.sql("SELECT id FROM 'memory://bucket/lake/calls/*/*/*.parquet' ORDER BY 1").fetchall() == [
            ("c1",), ("c2",), ("c3",)
        ]  # fmt: skip
    finally:
        memory.store.clear()


@pytest.mark.parametrize("cursor", ["kept", "removed"])
def test_what_is_pushed_again_makes_no_second_row(tmp_path: Path, run: Run, cursor: str) -> None:
    log_of(tmp_path / "trace", *NEXT_DAY)
    run("push", "parquet", "--to", str(tmp_path / "lake"))
    if cursor == "removed":
        for file in cursors(tmp_path / "trace"):
            file.path.unlink()
    log_of(tmp_path / "trace", call("c4", 2))
    run("push", "parquet", "--to", str(tmp_path / "lake"))
    assert query(tmp_path / "lake") == [("c1",), ("c2",), ("c3",), ("c4",)]
    assert len(list((tmp_path / "lake").rglob("*.parquet"))) == 2, "a file a day"


def test_two_logs_of_a_host_share_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        log = log_of(tmp_path / name, call(f"call of {name}"))
        assert runner(capsys, monkeypatch, trace=log)("push", "parquet", "--to", str(tmp_path / "lake")).status == 0
    assert query(tmp_path / "lake") == [("call of one",), ("call of two",)]
    assert len(list((tmp_path / "lake").rglob("*.parquet"))) == 2


def test_a_push_that_is_killed_again_and_again(tmp_path: Path) -> None:
    """Each call has one row in the end, and every file can be read at any time."""
    log_of(tmp_path / "trace", *(call(f"c{number:04}", number / 10) for number in range(600)))
    lake = tmp_path / "lake"
    code = (
        "import sys; from sessiontap.push import pusher; from sessiontap.push.targets import parquet;"
        "from dataclasses import replace; import sessiontap.push as push;"
        "target = push.TARGETS['parquet']; push.TARGETS['parquet'] = replace(target, batch_bytes=20_000);"
        "from sessiontap.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "push", "parquet", "--to", str(lake), "--trace", str(tmp_path / "trace")]
    for wait in (0.0, 0.03, 0.06, 0.09):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            before = count(lake)
            until = time.monotonic() + 30
            while process.poll() is None and count(lake) == before and time.monotonic() < until:
                time.sleep(0.002)
            time.sleep(wait)
            process.send_signal(signal.SIGKILL)
        ids = [id for (id,) in query(lake)]
        assert len(set(ids)) == len(ids)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert query(lake) == [(f"c{number:04}",) for number in range(600)]


def count(lake: Path) -> int:
    """Bytes of the files that are there."""
    return sum(one.stat().st_size for one in lake.rglob("part-*.parquet"))


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, run: Run) -> None:
    log_of(tmp_path / "trace", *NEXT_DAY)
    (tmp_path / "lake").write_text("a file")
    done = run("push", "parquet", "--to", str(tmp_path / "lake"))
    assert (done.status, done.out) == (1, "0 calls sent to parquet\n")
    assert done.err.startswith(f"sessiontap: parquet did not take the calls: {tmp_path}/lake: ")


def test_a_missing_package_is_said(tmp_path: Path, run: Run) -> None:
    log_of(tmp_path / "trace", *NEXT_DAY)
    done = run("push", "parquet", "--to", "s3://bucket/lake")
    assert (done.status, done.err) == (
        2,
        "sessiontap: parquet needs a package that is not installed: the one that knows s3://\n"
        "hint: Install s3fs to access S3\n",
    )


def test_an_address_that_nothing_knows_is_said(tmp_path: Path, run: Run) -> None:
    log_of(tmp_path / "trace", *NEXT_DAY)
    done = run("push", "parquet", "--to", "lake://bucket")
    assert (done.status, done.err.splitlines()[0]) == (
        2,
        "sessiontap: lake://bucket cannot be used: Protocol not known: lake",
    )


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (PermissionError(13, "Access Denied"), TargetAnswer("misconfigured", "memory://lake: Access Denied")),
        (FileNotFoundError(2, "The specified bucket does not exist"),
         TargetAnswer("misconfigured", "memory://lake: The specified bucket does not exist")),
        (OSError(5, "Slow Down"), TargetAnswer("later", "memory://lake: Slow Down")),
        (RuntimeError("key AKIA... is wrong"), TargetAnswer("later", "memory://lake: RuntimeError")),
    ],
    ids=["no access", "no bucket", "busy", "an error of the store's package"],
)  # fmt: skip
def test_what_a_store_says_is_an_answer(
    error: Exception, answer: TargetAnswer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(*files: object) -> None:
        raise error

    sender = open_sender(TargetSettings("memory://lake", {}, False, None))  # type: ignore[arg-type]
    monkeypatch.setattr(fsspec.filesystem("memory"), "put_file", put)
    assert sender.send(list(sender.call_items(pushed("c1")))) == answer


# Waiting: files should be large.


def push(folder: Path, sender: ScriptedSender, batch_seconds: float, batch_bytes: int = 1 << 20, **more: Any) -> None:
    waiting = target(has_turns=False, batch_seconds=batch_seconds, batch_bytes=batch_bytes)
    file, cursor = cursor_of(folder, "made-up", "there", None)
    with file.held():
        given = {"pause": lambda seconds: True, "tell": print, **more}
        Pusher(trace.open(folder), sender, file, cursor, target=waiting, content=False, **given).run()


def test_rows_wait_for_one_another(tmp_path: Path) -> None:
    """In `follow`, what is read waits for the batch or its time; the end waits for nothing."""
    log = Log(tmp_path)
    now = [0.0]
    sent: list[tuple[float, list[str]]] = []

    def pause(seconds: float) -> bool:
        now[0] += 10.0
        if now[0] in (10.0, 50.0, 200.0):
            log.write([call(f"at {now[0]:.0f}", now[0])])
            log.settle()
        return now[0] < 210.0

    def take(items: list[str]) -> TargetAnswer:
        sent.append((now[0], items))
        return ACCEPTED

    log.write([call("first", 0)])
    log.settle()
    push(tmp_path, ScriptedSender(take), 100.0, follow=True, pause=pause, clocks=Clocks(lambda: now[0]))
    log.close()
    assert sent == [(100.0, ["first", "at 10", "at 50"]), (210.0, ["at 200"])]


def test_rows_that_fill_a_batch_do_not_wait(tmp_path: Path) -> None:
    sender = ScriptedSender(size=100)
    log_of(tmp_path, *(call(f"c{n}", n) for n in range(10)))
    push(tmp_path, sender, 1e9, batch_bytes=400, follow=True, pause=lambda seconds: False)
    assert [len(one) for one in sender.requests] == [4, 4, 2]


def test_many_small_rows_wait_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pusher, "_READ_TOGETHER", 2)
    sender = ScriptedSender(size=1)
    push(log_of(tmp_path, *(call(f"c{n}", n) for n in range(10))), sender, 1e9)
    assert [len(one) for one in sender.requests] == [10]


def test_bodies_are_read_if_they_are_sent(tmp_path: Path) -> None:
    plain, whole = (open_sender(TargetSettings(str(tmp_path), {}, content, None)) for content in (False, True))  # type: ignore[arg-type]
    made = pushed("c1", asked={"model": "m" * 5000})
    assert [item.size > 5000 for item in plain.call_items(made)] == [False]
    assert [item.size > 5000 for item in whole.call_items(made)] == [False, True]


# The rules.


@pytest.mark.parametrize("endpoint", ["/srv/lake", "s3://bucket/lake", "gs://bucket"], ids=["folder", "s3", "gs"])
def test_rules_name_a_folder_or_a_store(endpoint: str) -> None:
    (one,) = load_text(f"version: 1\npush:\n  - {{to: parquet, endpoint: '{endpoint}', content: true}}\n").pushes
    assert (one.target, one.endpoint, one.content) == ("parquet", endpoint, True)


@pytest.mark.parametrize(
    ("target", "endpoint", "words"),
    [
        ("traceforge", "s3://bucket/lake", "traceforge writes files into a folder"),
        ("otlp", "s3://bucket/lake", "otlp is at an address"),
        ("parquet", "s3://key:secret@bucket/lake", "the address holds a user or a password"),
        ("parquet", "s3:// x", "is no URL"),
    ],
    ids=["a folder alone", "http alone", "credentials", "no address"],
)
def test_other_addresses_are_refused(target: str, endpoint: str, words: str) -> None:
    with pytest.raises(RulesError, match=words):
        load_text(f"version: 1\npush:\n  - {{to: {target}, endpoint: '{endpoint}'}}\n")
