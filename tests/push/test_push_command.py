"""`sessiontap push` on a log, to a receiver on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.command import Run, runner
from tests.push.logs import call, log_of
from tests.push.receiver import TARGET, Reply, receiver

from sessiontap import push
from sessiontap.cli.commands import push as push_command


@pytest.fixture(autouse=True)
def target(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (push, push_command):
        monkeypatch.setattr(module, "TARGETS", {TARGET.name: TARGET})
    for name in ("RECEIVER_URL", "RECEIVER_KEY", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    folder = log_of(tmp_path / "trace", call("c1"), call("c2", 5), call("c3", 9, conversation="v", asks=["search"]))
    monkeypatch.setenv("HOME", str(tmp_path))
    return runner(capsys, monkeypatch, "push", trace=folder)


def test_it_sends_what_there_is_and_says_so_in_a_line(run: Run) -> None:
    with receiver() as received:
        assert run("receiver", "--endpoint", received.url).status == 0
        again = run("receiver", "--endpoint", received.url)
    assert received.ids == ["c1", "turn c1", "c2", "turn c2", "c3", "turn c3"]
    assert again.out == "0 calls and 0 complete user turns sent to receiver\n"


def test_the_status_tells_what_waits_and_what_was_set_aside(run: Run) -> None:
    with receiver(lambda ids: Reply(400 if "c2" in ids else 200)) as received:
        sent = run("receiver", "--endpoint", received.url)
        (row,) = run("status", "--json").rows
    assert (sent.status, "1 item could not be sent" in sent.err) == (1, True)
    assert (row["behind"], row["calls"], row["set_aside_count"], row["pid"]) == (0, 3, 1, None)
    assert [(one["call"], one["reason"]) for one in row["set_aside"]] == [("c2", "400 {}")]
    assert "c2: 400 {}" in run("status").out


def test_a_target_that_refuses_the_key_is_told_in_a_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECEIVER_KEY", "s3cret")
    with receiver(lambda ids: Reply(401)) as received:
        status, _, err = run("receiver", "--endpoint", received.url)
        assert received.headers[0]["authorization"] == "Bearer s3cret"
    (row,) = run("status", "--json").rows
    assert (status, err) == (
        1,
        "sessiontap: receiver did not take the calls: 401 {}\n"
        "hint: its address and its credentials are to be looked at\n",
    )
    assert (row["behind"], row["last_error"]["text"]) == (3, "401 {}")


SHAPED = "sk-proj-" + "Ab1" * 16
WRONG = {
    "no address": ([], "receiver has no usual address"),
    "no URL": (["--endpoint", "ftp://h"], "the endpoint is no http:// or https:// address"),
    "a password in the address": (["--endpoint", "https://ada:pw@h/x"], "the endpoint holds a user or a password"),
    "a key in plain HTTP": (["--endpoint", "http://h.example"], "would carry credentials over the network"),
    "a header with a key": (["--endpoint", "http://127.0.0.1:1", "--header", "X-Api-Key: k"], "every user of this"),
    "a collector's key": (["--endpoint", "http://127.0.0.1:1", "--header", "x-honeycomb-team: k"], "can list"),
    "a value that is a key": (["--endpoint", "http://127.0.0.1:1", "--header", f"x-team: {SHAPED}"], "can list"),
    "a query": (["--endpoint", "http://127.0.0.1:1/v1?token=s3cret"], "a query or a fragment"),
    "a header without a name": (["--endpoint", "http://127.0.0.1:1", "--header", "nothing"], "is no header"),
    "no file": (["--endpoint", "http://127.0.0.1:1", "--credentials", "none"], "cannot be read"),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said(run: Run, arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECEIVER_KEY", "s3cret")
    status, _, err = run("receiver", *arguments)
    assert (status, said in err, "s3cret" in err, "ada:pw" in err) == (2, True, False, False)


def test_credentials_come_from_a_file_that_only_its_owner_reads(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# of the receiver\nRECEIVER_KEY='from file'\n")
    file.chmod(0o644)
    assert "others can read" in run("receiver", "--endpoint", "http://127.0.0.1:1", "--credentials", str(file)).err
    file.chmod(0o600)
    with receiver() as received:
        run("receiver", "--endpoint", received.url, "--credentials", str(file), "--header", "x-team: blue")
    assert (received.headers[0]["authorization"], received.headers[0]["x-team"]) == ("Bearer from file", "blue")


def test_the_help_names_the_targets(run: Run) -> None:
    out = run("--help").out
    assert "receiver" in out
    assert "status" in out
    assert "RECEIVER_URL" in run("receiver", "--help").out
