"""Calls go through a real proxy into a real log, and from there to a receiver on this machine."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.e2e.lab import Lab, Proxy, own_environment, wait_until
from tests.push.receiver import Reply, receiver
from tests.support import warm
from tests.support.gate import PATIENCE
from tests.support.llm_server import LlmService

URL = "https://api.openai.com/v1/chat/completions"
KEY = {"HELICONE_API_KEY": "sk-helicone-test"}
ROUNDS = 20
CALLS = 3
"""In each round."""


def rules(*pushes: dict[str, Any]) -> dict[str, Any]:
    return {"version": 1, "rules": [{"rule": "all", "session": {"name": "All", "id": "process"}}], "push": list(pushes)}


def ask(proxy: Proxy, *questions: str) -> None:
    with proxy.client(headers={"authorization": "Bearer sk-test"}) as app:
        for one in questions:
            asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": one}]}
            assert app.post(URL, json=asked).status_code == 200


def push(*arguments: str, folder: Path, out: Any = subprocess.DEVNULL) -> Any:
    """A process of `sessiontap push`."""
    return warm.sessiontap().start(["push", *arguments], {**own_environment(), **KEY}, folder, stdout=out, stderr=out)


def test_killed_and_started_again_it_loses_no_call_and_makes_no_second_one(lab: Lab) -> None:
    lab.upstream(LlmService())
    proxy = lab.proxy(rules())
    process: Any = None
    left, after_reply = 0, False
    started, killed = threading.Event(), threading.Event()

    def answer(ids: list[str]) -> Reply:
        nonlocal left
        left -= 1
        if left == 0:
            started.wait()
            if not after_reply:
                process.kill()
            killed.set()
        return Reply()

    with receiver(answer) as received:
        words = ["helicone", "--endpoint", received.url, "--trace", str(proxy.trace_folder)]
        for number in range(ROUNDS):
            ask(proxy, *(f"{number}-{n}" for n in range(CALLS)))
            proxy.wait_calls((number + 1) * CALLS)
            killed.clear()
            after_reply, left = number % 2 == 1, 1 + number % CALLS
            process = push(*words, "--follow", folder=lab.folder)
            started.set()
            assert killed.wait(PATIENCE)
            process.kill()
            process.wait()
            started.clear()
        assert push(*words, folder=lab.folder).wait() == 0
        status = lab.folder / "status"
        with status.open("wb") as out:
            push("status", "--json", "--trace", str(proxy.trace_folder), folder=lab.folder, out=out).wait()
    row = json.loads(status.read_text())
    sent = {request[0] for request in received.requests}
    assert len(sent) == len(set(received.ids)) == ROUNDS * CALLS
    assert (row["behind"], row["set_aside_count"]) == (0, 0)


def test_the_proxy_pushes_by_its_rules_from_the_next_call_on(lab: Lab) -> None:
    lab.upstream(LlmService())
    with receiver() as received:
        proxy = lab.proxy(rules(), environment=KEY)
        ask(proxy, "before")
        proxy.write_rules(rules({"to": "helicone", "endpoint": received.url, "content": True}))
        ask(proxy, "after")
        assert received.wait_for(lambda received: len(received.ids) == 2)
        assert received.headers[0]["authorization"] == f"Bearer {KEY['HELICONE_API_KEY']}"
        proxy.write_rules(rules())
        ask(proxy, "with this the change is seen")
        children = psutil.Process(proxy.process.pid).children
        wait_until(lambda: not any("push" in child.cmdline() for child in children()))
        sent = len(received.ids)
        ask(proxy, "and no more")
        proxy.stop()
        assert len(received.ids) == sent
    assert KEY["HELICONE_API_KEY"] not in proxy.process.output


def test_what_is_recorded_last_is_sent_when_the_proxy_ends(lab: Lab) -> None:
    lab.upstream(LlmService())
    with receiver() as received:
        proxy = lab.proxy(rules({"to": "helicone", "endpoint": received.url}), environment=KEY)
        ask(proxy, "first")
        assert received.wait_for(lambda received: len(received.ids) == 1)
        ask(proxy, "last")
        proxy.stop()
        assert received.wait_for(lambda received: len(received.ids) == 2)


def test_a_proxy_that_ends_before_its_push_has_begun_has_all_sent(lab: Lab) -> None:
    """As with `exec`, whose proxy lives no longer than a short program."""
    lab.upstream(LlmService())
    with receiver() as received:
        proxy = lab.proxy(rules({"to": "helicone", "endpoint": received.url}), environment=KEY)
        ask(proxy, "the only one")
        proxy.stop()
        assert received.wait_for(lambda received: len(received.ids) == 1)


def test_a_target_that_is_down_gets_all_when_it_is_back_and_is_told_of_once(lab: Lab) -> None:
    lab.upstream(LlmService())
    down = threading.Event()
    down.set()
    with receiver(lambda ids: Reply(503, {"Retry-After": "0"}) if down.is_set() else Reply()) as received:
        proxy = lab.proxy(rules({"to": "helicone", "endpoint": received.url}), environment=KEY)
        ask(proxy, "one", "two")
        assert received.wait_for(lambda received: len(received.requests) >= 2)
        assert received.ids == []
        down.clear()
        assert received.wait_for(lambda received: len(received.ids) == 2)
        proxy.stop()
    assert len([line for line in proxy.process.output.splitlines() if "push to helicone" in line]) == 1


def test_its_credential_is_in_no_argument_list_message_or_file(lab: Lab) -> None:
    """The target quotes it in its errors."""
    lab.upstream(LlmService())
    key = KEY["HELICONE_API_KEY"]
    down = threading.Event()
    down.set()
    quotes = Reply(503, {"Retry-After": "0"}, f"the key {key} is not known yet".encode())
    with receiver(lambda ids: quotes if down.is_set() else Reply()) as received:
        proxy = lab.proxy(rules({"to": "helicone", "endpoint": received.url}), environment=KEY)
        ask(proxy, "one")
        assert received.wait_for(lambda received: len(received.requests) >= 2)
        lists = [" ".join(one.cmdline()) for one in psutil.Process(proxy.process.pid).children(recursive=True)]
        proxy.process.wait_line(lambda line: "push to helicone: 503 the key [redacted] is not known yet" in line)
        down.clear()
        assert received.wait_for(lambda received: len(received.ids) == 1)
        proxy.stop()
    assert any("push helicone" in one for one in lists)
    files = [one for one in proxy.trace_folder.parent.rglob("*") if one.is_file()]
    assert any(one.parent.name == "push" for one in files)
    assert not any(key in one for one in [*lists, proxy.process.output])
    assert [one for one in files if key.encode() in one.read_bytes()] == []


@pytest.mark.parametrize("signed", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_follow_ends_by_a_signal_with_all_sent(lab: Lab, signed: signal.Signals) -> None:
    lab.upstream(LlmService())
    proxy = lab.proxy(rules())
    with receiver() as received:
        ask(proxy, "one")
        proxy.wait_calls(1)
        words = ["helicone", "--endpoint", received.url, "--trace", str(proxy.trace_folder)]
        process = push(*words, "--follow", folder=lab.folder)
        assert received.wait_for(lambda received: len(received.ids) == 1)
        ask(proxy, "two")
        proxy.wait_calls(2)
        process.send_signal(signed)
        assert process.wait() == 0
    assert len(received.ids) == 2
