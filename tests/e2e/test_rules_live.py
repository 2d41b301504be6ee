"""rules.yaml is edited while calls go on: the next call follows a good edit, and no call ever sees a bad one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.e2e.lab import Lab, Proxy
from tests.support.gate import PATIENCE
from tests.support.http_server import Server
from tests.support.llm_server import LlmService

URL = "https://api.openai.com/v1/chat/completions"
QUESTION = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
HEADERS = {"authorization": "Bearer sk-test"}


def named(name: str, **more: Any) -> dict[str, Any]:
    return {"version": 1, "rules": [{"rule": "all", "session": {"name": name, "id": "process"}}], **more}


@pytest.fixture(scope="module")
def upstream(shared_lab: Lab) -> Server:
    return shared_lab.upstream(LlmService())


@pytest.fixture(scope="module")
def proxy(shared_lab: Lab, upstream: Server) -> Proxy:
    return shared_lab.proxy(named("Before"))


@pytest.fixture
def app(proxy: Proxy) -> Iterator[httpx2.Client]:
    with proxy.client(headers=HEADERS) as app:
        yield app


def ask(app: httpx2.Client, url: str = URL) -> None:
    assert app.post(url, json=QUESTION).status_code == 200


def name_of_next(proxy: Proxy) -> str:
    (call,) = proxy.take()
    return str(call.record["session"]["name"])


def test_the_next_call_follows_an_edit(proxy: Proxy, app: httpx2.Client) -> None:
    """Also on a connection that was open before."""
    proxy.write_rules(named("First"))
    ask(app)
    assert name_of_next(proxy) == "First"
    proxy.write_rules(named("Second"))
    ask(app)
    assert name_of_next(proxy) == "Second"


def test_the_next_connection_follows_an_edit_of_the_hosts(proxy: Proxy) -> None:
    proxy.write_rules(named("Added", hosts=[{"host": "llm.example", "provider": "vllm"}]))
    with proxy.client(headers=HEADERS) as app:
        ask(app, "https://llm.example/v1/chat/completions")
    (call,) = proxy.take()
    assert (call.record["host"], call.record["llm"]["provider"]) == ("llm.example", "vllm")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param("version: 1\nrules:\n  - sesion: {name: Broken}\n", ":3:5: rules[0].sesion", id="a misspelt key"),
        pytest.param("version: 1\nrules:\n  - session: {name: [\n", ":4:1", id="no YAML"),
        pytest.param("", ":1:1: the file is empty", id="empty"),
    ],
)
def test_a_broken_edit_changes_nothing_and_is_said(proxy: Proxy, app: httpx2.Client, text: str, place: str) -> None:
    proxy.write_rules(named("Good"))
    ask(app)
    assert name_of_next(proxy) == "Good"
    before = len(proxy.notes("rules"))

    proxy.rules_file.write_text(text, encoding="utf-8")
    ask(app)
    assert name_of_next(proxy) == "Good"
    said = proxy.process.wait_line(
        lambda line: "not in force, the last good ones stay" in line and f"{proxy.rules_file}{place}" in line
    )
    assert "Traceback" not in said
    told = proxy.wait_notes("rules", before + 1)[-1]
    assert f"{proxy.rules_file}{place}" in told["text"]
    assert told["file"] == str(proxy.rules_file)

    proxy.write_rules(named("Mended"))
    ask(app)
    assert name_of_next(proxy) == "Mended"


def test_who_saves_is_told_while_no_call_comes(proxy: Proxy) -> None:
    for rules, said in (
        ({"rules": [{"user": f"user {number}"} for number in range(7)]}, "changed, 7 rules in force"),
        ({"rules": [{"unnoticed": {}}]}, "unknown key 'unnoticed'"),
        ({"rules": [{"user": f"user {number}"} for number in range(8)]}, "changed, 8 rules in force"),
    ):
        proxy.write_rules(rules)
        proxy.process.wait_line(lambda line, said=said: said in line)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def loop(path: Path) -> None:
    path.symlink_to(path)


def large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(50_000_000)


def holding(text: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(text.encode())

    return write


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(pipe, "this is a named pipe", id="a pipe"),
        pytest.param(folder, "this is a folder", id="a folder"),
        pytest.param(loop, "Too many levels of symbolic links", id="a link to itself"),
        pytest.param(large, "the file has 50,000,000 bytes", id="50 MB"),
        pytest.param(holding("[" * 200_000), "nested more than 50 deep", id="nested deep"),
        pytest.param(holding("rules: [{session: {idle: " + "9" * 400 + "d}}]"), "no duration", id="endless duration"),
        pytest.param(
            holding("rules: [{user: '" + "${model:-" * 500 + "}" * 500 + "'}]"), "defaults within", id="nested defaults"
        ),
        pytest.param(holding("rules: [{user: " + "x" * 1_000_000 + "}]"), "a text of 1,000,000", id="1 MB of text"),
        pytest.param(holding("rules: [{match: {model: 're:(a{1000}){1000}'}}]"), "too large", id="huge expression"),
        pytest.param(holding("rules: []\0"), "a NUL byte", id="zeros"),
    ],
)
def test_whatever_becomes_of_the_file_the_proxy_lives_and_takes_the_next_good_one(
    proxy: Proxy, app: httpx2.Client, make: Callable[[Path], None], said: str
) -> None:
    proxy.write_rules(named("Good"))
    ask(app)
    assert name_of_next(proxy) == "Good"
    path = proxy.rules_file
    path.unlink()
    make(path)
    for _ in range(2):
        ask(app)
        assert name_of_next(proxy) == "Good"
    path.rmdir() if path.is_dir() else path.unlink()
    proxy.write_rules(named("Mended"))
    ask(app)
    assert name_of_next(proxy) == "Mended"
    line = proxy.process.wait_line(lambda line: "not in force" in line and said in line)
    assert len(line) < 1_000
    assert proxy.process.output.count(said) == 1, "it is said once"


@pytest.mark.parametrize(
    ("match", "question"),
    [
        pytest.param({"message": "re:error.*timeout.*retry"}, "error timeout " * 4_681, id="regular expression"),
        pytest.param({"message": "*a?*a?*a?*a?*b"}, "a" * 60_000, id="glob"),
    ],
)
def test_a_clumsy_pattern_holds_up_nobody(
    proxy: Proxy, app: httpx2.Client, match: dict[str, str], question: str
) -> None:
    """It would take the proxy, and everybody who uses it, half a minute."""
    rules = [{"match": match, "user": "hit"}, {"session": {"name": "Quick"}}]
    proxy.write_rules({"version": 1, "rules": rules, "redact": {"patterns": ["re:(a+)+!", "re:error.*timeout.*retry"]}})
    ask(app)
    assert name_of_next(proxy) == "Quick"
    asked = {**QUESTION, "messages": [{"role": "user", "content": question}]}
    assert app.post(URL, json=asked).status_code == 200
    (call,) = proxy.take()
    assert call.record.get("user") is None
    assert call.record["session"]["name"] == "Quick"


def test_a_route_that_would_take_for_ever_holds_up_nobody(proxy: Proxy, app: httpx2.Client) -> None:
    rules = [{"match": {"route": "/v1/*a*a*a*a*a*a*a*b"}, "user": "hit"}, {"session": {"name": "Route"}}]
    proxy.write_rules({"version": 1, "rules": rules})
    answer = app.post("https://api.openai.com/v1/" + "a" * 4_000, json=QUESTION)
    assert answer.status_code in (200, 404)
    assert name_of_next(proxy) == "Route"


def test_rules_that_take_long_to_read_are_in_force_once_they_are(proxy: Proxy, app: httpx2.Client) -> None:
    """Without a further call, and what is redacted follows them too."""
    secret = "cust-12345678"
    many = [{"match": {"process": f"app{number}.py"}, "user": "x"} for number in range(8_000)]
    proxy.write_rules(named("Quick"))
    ask(app)
    assert name_of_next(proxy) == "Quick"
    proxy.write_rules(
        {"version": 1, "redact": {"patterns": ["re:cust-[0-9]{8}"]}, "rules": [*many, {"session": {"name": "Slow"}}]}
    )
    ask(app)
    assert name_of_next(proxy) in ("Quick", "Slow")
    proxy.process.wait_line(lambda line: "8,001 rules in force" in line)
    assert app.post(URL, json={**QUESTION, "user": secret}).status_code == 200
    (call,) = proxy.take()
    assert call.record["session"]["name"] == "Slow"
    assert secret.encode() not in call.request_body()
    assert b"[redacted:custom:" in call.request_body()


def test_rules_that_vanish_stay_in_force(proxy: Proxy, app: httpx2.Client) -> None:
    proxy.write_rules(named("Kept"))
    ask(app)
    assert name_of_next(proxy) == "Kept"
    proxy.rules_file.unlink()
    ask(app)
    assert name_of_next(proxy) == "Kept"


def test_edits_under_load(proxy: Proxy) -> None:
    """300 edits while four clients call: every call succeeds and has one of the two names, and its own steps."""
    edits, clients = 300, 4
    over = threading.Event()
    called = threading.Semaphore(0)

    def call_on() -> int:
        with proxy.client(headers=HEADERS) as app:
            number = 0
            while not over.is_set():
                ask(app)
                number += 1
                called.release()
        return number

    proxy.write_rules(named("Even"))
    with ThreadPoolExecutor(clients) as pool:
        counts = [pool.submit(call_on) for _ in range(clients)]
        try:
            for number in range(edits):
                proxy.write_rules(named(("Odd", "Even")[number % 2]))
                assert called.acquire(timeout=PATIENCE)  # at least one call between two edits
        finally:
            over.set()
    total = sum(count.result() for count in counts)
    assert total >= edits

    calls = proxy.take(total)
    steps: dict[str, list[int]] = {"Even": [], "Odd": []}
    for call in calls:
        assert call.record["outcome"] == "ok"
        steps[call.record["session"]["name"]].append(call.record["session"]["step"])
    assert sorted(steps["Even"]) == list(range(len(steps["Even"])))
    assert sorted(steps["Odd"]) == list(range(len(steps["Odd"])))
    assert len(steps["Odd"]) > 0
