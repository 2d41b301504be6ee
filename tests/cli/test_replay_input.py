"""`sessiontap replay` before and after its program: which calls are replayed, which keys are set, what is reported."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.cli.command import Run
from tests.cli.recorded import COURSE, call_id
from tests.support.gate import PATIENCE

from sessiontap import trace
from sessiontap.cli.errors import Misuse
from sessiontap.cli.replay_input import dummy_keys, recorded_calls
from sessiontap.cli.replay_serving import ReplaySettings, Serving
from sessiontap.replay_link import HEADER, ReplayHeader
from sessiontap.trace import RecordedCall

DOCUMENT = Path(__file__).parents[2] / "docs" / "json.md"
FIRST = (
    b'{"model": "gpt-4o-mini", "messages": [{"role": "system", "content": "You plan courses."}, '
    b'{"role": "user", "content": "Plan a course on Brotb\\u00e4ckerei."}], '
    b'"tools": [{"type": "function", "function": {"name": "web_search"}}]}'
)
HELLO = b'{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}'
STRANGE = b'{"model": "m", "messages": [{"role": "system", "content": "Other."}, {"role": "user", "content": "Odd?"}]}'


@pytest.mark.parametrize(
    ("named", "numbers"),
    [
        (["@1"], [4, 5]),
        ([COURSE], [1, 2, 3]),
        (["@1", "@2"], [1, 2, 3, 4, 5]),
        (["@2/1"], [2]),
        (["@2/0..@2/1"], [1, 2]),
        (["@2/1..@2/0"], [1, 2]),
        (["@2/1..@1/0"], [2, 3, 4]),
        (["@2", "@2/0"], [1, 2, 3]),
    ],
    ids=["newest session", "a session", "two sessions", "a call", "a range", "backwards", "over sessions", "one twice"],
)
def test_what_is_named_is_replayed_in_order(folder: Path, named: list[str], numbers: list[int]) -> None:
    found = recorded_calls(trace.open(folder), named)
    assert [call.id for call in found] == list(map(call_id, numbers))


def call(provider: str | None, host: str, *headers: tuple[str, str], family: str = "other") -> RecordedCall:
    llm = {"provider": provider, "family": family}
    record: dict[str, Any] = {"host": host, "llm": llm, "request": {"headers": list(headers)}}
    return RecordedCall(record, None, lambda side, body: None)


@pytest.mark.parametrize(
    ("made", "environ", "names"),
    [
        (call("openai", "api.openai.com", ("Authorization", "Bearer x")), {}, {"OPENAI_API_KEY"}),
        (call("openai", "api.openai.com", ("Authorization", "Bearer x")), {"OPENAI_API_KEY": "mine"}, set()),
        (call("anthropic", "api.anthropic.com", ("x-api-key", "x")), {"OPENAI_API_KEY": "mine"}, {"ANTHROPIC_API_KEY"}),
        (call("google", "g.test", ("x-goog-api-key", "x")), {}, {"GEMINI_API_KEY", "GOOGLE_API_KEY"}),
        (call("google", "g.test", ("x-goog-api-key", "x")), {"GEMINI_API_KEY": "mine"}, set()),
        (call("anthropic", "a.test", ("authorization", "x"), ("anthropic-beta", "oauth-2025-04-20")), {}, set()),
        (call("openai", "chatgpt.com", ("authorization", "x")), {}, set()),
        (call("openai", "localhost"), {}, set()),
        (call(None, "llm.test", ("authorization", "x")), {}, set()),
        (call(None, "localhost", ("authorization", "x"), family="openai-chat"), {}, {"OPENAI_API_KEY"}),
        (call(None, "localhost", family="openai-chat"), {}, set()),
    ],
    ids=[
        "unset", "set", "another's is set", "two names", "one of two set", "login", "login host", "none", "unknown",
        "a server of this machine", "one that asks for none",
    ],
)  # fmt: skip
def test_a_key_is_made_up_for_a_program_that_lacks_one(
    made: RecordedCall, environ: dict[str, str], names: set[str]
) -> None:
    assert set(dummy_keys([made], environ)) == names


@contextmanager
def serving(folder: Path, **given: Any) -> Iterator[Serving]:
    settings = ReplaySettings(
        **{"recorded": ("@2",), "strict": "place", "speed": math.inf, "live_on_miss": False, "until": None, **given},
        trace=folder,
    )
    with Serving(settings) as made:
        made.load(trace.open(folder), at_once=False)
        made.server.start()
        yield made


def ask(made: Serving, body: bytes, host: str = "api.openai.com") -> httpx2.Response:
    """Ask as the proxy of a live replay does."""
    header = ReplayHeader(made.server.address.token, "https", host, 443, asks=True)
    url = f"http://127.0.0.1:{made.server.address.port}/v1/chat/completions"
    with httpx2.Client(trust_env=False, timeout=PATIENCE) as client:
        return client.post(url, content=body, headers={HEADER: str(header)})


@pytest.mark.parametrize(
    ("given", "live"),
    [
        ({}, [False, False]),
        ({"live_on_miss": True}, [True, False]),
        ({"until": "@2/0"}, [False, True]),
    ],
    ids=["never", "on a miss", "behind the last call"],
)
def test_a_request_goes_on_live_only_if_that_is_wished(
    folder: Path, given: dict[str, Any], live: list[bool]
) -> None:
    """The first request is strange, the second the recording's first call, the third its second."""
    with serving(folder, **given) as made:
        replies = [ask(made, body) for body in (STRANGE, FIRST, HELLO)]
    assert replies[1].json()["answer"] is not None
    assert [one.status_code == 200 and one.json()["answer"] is None for one in replies[::2]] == live


def test_the_report_counts_what_was_not_answered(folder: Path) -> None:
    with serving(folder, recorded=("@2",)) as made:
        ask(made, FIRST)
        ask(made, STRANGE)
        ask(made, b"{}", host="telemetry.test")
    value = made.report_value()
    assert (value["rungs"], value["not_answered"]) == ({"exact": 1}, 1)
    assert value["other_hosts"] == [{"host": "telemetry.test", "requests": 1}]
    told = DOCUMENT.read_text(encoding="utf-8").partition("## `sessiontap replay`\n")[2].partition("\n## ")[0]
    for key in value:
        assert f"`{key}`" in told or f"`{key}[]." in told
    text = made.report_text().splitlines()
    assert text[0] == "sessiontap: replay of 2 requests: 1 at exact, 1 missed"
    assert text[-1] == "  1 request to other hosts refused: telemetry.test"


def test_the_last_call_must_be_one_that_is_replayed(folder: Path) -> None:
    with pytest.raises(Misuse, match="--until @1/0 is no call of what is replayed"), serving(folder, until="@1/0"):
        pass


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["replay", "@1"], "there is no program to run"),
        (["replay", "@1", "--speed", "0", "--", "true"], "--speed 0 is no speed"),
        (["replay", "@1", "--strict", "nearly", "--", "true"], "'nearly' is not one of"),
        (["run", "--workers", "2", "--replay", "@1"], "--replay and --workers do not go together"),
    ],
    ids=["no program", "no speed", "no rung", "workers"],
)
def test_a_mistake_is_told(run: Run, arguments: list[str], said: str) -> None:
    done = run(*arguments)
    assert (done.status, said in done.err) == (2, True), done.err
