"""Credentials go through every place that a call has; the log, its index, its tools' output and exports, and what the
proxy says hold none of them, in no way of writing them. Each is made up for one place alone, so a find names its place.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import json
import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard
from mitmproxy.io import FlowReader
from tests.e2e.lab import SCRIPTS, Lab
from tests.e2e.secret_places import PLACES, talk
from tests.e2e.secret_traffic import GATEWAY_KEY, HOSTS, RULES, Answer, Traffic, plain
from tests.llm.llm_frames import EVENTSTREAM
from tests.support.dialogue import Request, Respond
from tests.support.made_up import forms

from sessiontap.cli.main import main
from sessiontap.llm.eventstream import frames
from sessiontap.trace import RecordedCall
from sessiontap.trace.files import open_segment, segments


@pytest.fixture(scope="module")
def left(shared_lab: Lab) -> Iterator[Traffic]:
    """All places have been visited and the proxy has stopped, under a umask that hides nothing."""
    answers: dict[str, Answer] = {"0": plain}

    async def handle(request: Request, respond: Respond) -> None:
        await request.body()
        if request.headers.get("upgrade"):
            await talk(request, respond)
        else:
            await answers[request.headers.get("x-answer") or "0"](request, respond)

    shared_lab.upstream(handle, HOSTS)
    before = os.umask(0)
    try:
        proxy = shared_lab.proxy(
            RULES,
            environment={"HELICONE_API_KEY": GATEWAY_KEY},
            scripts=[SCRIPTS / "small_cap.py", SCRIPTS / "break_at.py"],
        )
        home = proxy.trace_folder.parent
        with proxy.client() as client, proxy.client("HTTP/2") as client2:
            traffic = Traffic(proxy, home, answers, client, client2)
            for name, act in PLACES.items():
                traffic.place = name
                act(traffic)
            state = b"".join(path.read_bytes() for path in (home / ".sessiontap" / "run").iterdir())
        proxy.stop()
        traffic.state = state
        traffic.calls = list(proxy.trace.calls(warm_ups=True))
        callers = json.dumps([call.caller for call in proxy.trace.calls()], default=str).encode()
        traffic.held = b"\n".join([callers, *map(everything_of, traffic.calls)])
        traffic.found = found_in(traffic, traffic.held)
        yield traffic
    finally:
        os.umask(before)


HEAD = 10


@cache
def heads(place: str, made: tuple[str, ...]) -> dict[bytes, list[tuple[bytes, str]]]:
    """Every form of a place's credentials by how it begins, with what to say of it."""
    by_head = defaultdict(list)
    for secret in made:
        for form in forms(secret):
            by_head[form[:HEAD]].append((form, f"{place}: {secret}"))
    return dict(by_head)


def found_in(left: Traffic, data: bytes, places: Iterable[str] | None = None) -> list[str]:
    """Where credentials come from that `data` holds in any form."""
    by_head: dict[bytes, list[tuple[bytes, str]]] = defaultdict(list)
    for name in places or left.made:
        for head, those in heads(name, tuple(left.made[name])).items():
            by_head[head] += those
    known = by_head.keys()
    at = [start for start in range(len(data)) if data[start : start + HEAD] in known]
    return sorted({
        what for start in at for form, what in by_head[data[start : start + HEAD]] if data.startswith(form, start)
    })


def opened(body: bytes | None) -> bytes:
    """A body, what can be decompressed of it, what its frames hold, and what its events say when put together."""
    if not body:
        return b""
    texts = [body]
    with contextlib.suppress(Exception):
        texts.append(gzip.GzipFile(fileobj=io.BytesIO(body)).read1(1 << 20))
    with contextlib.suppress(Exception):
        texts.append(brotli.Decompressor().process(body[:4000]))
    with contextlib.suppress(Exception):
        texts.append(zstandard.ZstdDecompressor().decompressobj().decompress(body[:4000]))
    for one in frames(body) if body[:1] == b"\0" else ():
        texts.append(one.payload + b"\n")
        with contextlib.suppress(Exception):
            texts.append(base64.b64decode(json.loads(one.payload)["bytes"]) + b"\n")
    said: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for line in b"".join(texts).splitlines():
        with contextlib.suppress(ValueError):
            say(json.loads(line.removeprefix(b"data: ")), (), said)
    with contextlib.suppress(ValueError):
        for one in json.loads(body):
            say(one, (), said)
    texts += ["".join(pieces).encode() for pieces in said.values()]
    return b"\n".join(texts)


def say(value: Any, path: tuple[Any, ...], said: dict[tuple[Any, ...], list[str]]) -> None:
    if isinstance(value, str):
        said[path].append(value)
    elif isinstance(value, dict):
        for key, one in value.items():
            say(one, (*path, key), said)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            say(one, (*path, one.get("index", number) if isinstance(one, dict) else number), said)


def test_every_place_left_its_credentials(left: Traffic) -> None:
    assert set(left.made) == set(PLACES)
    assert sum(map(len, left.made.values())) > 1200
    assert len(left.calls) > 600


@pytest.mark.parametrize("place", PLACES)
def test_no_call_holds_one(left: Traffic, place: str) -> None:
    assert [one for one in left.found if one.startswith(f"{place}: ")] == []


def test_the_search_finds_what_is_there(left: Traffic) -> None:
    """Of each place one credential, in each form: what the other tests rely on."""
    for name, made in left.made.items():
        for form in forms(made[0]):
            assert found_in(left, b"<" + form + b">", [name])


def test_bodies_stay_what_they_were(left: Traffic) -> None:
    kinds = {"application/json": json.loads, EVENTSTREAM: lambda body: [one for one in frames(body) if not one.cut]}
    seen = set()
    for call in left.calls:
        body, response = call.response_body(), call.record["response"]
        if body and response and not response["body"].get("undecodable") and not response["body"].get("total"):
            kind = dict(response["headers"]).get("content-type")
            if kind in kinds:
                parsed = kinds[kind](body)
                assert kind != EVENTSTREAM or all(one.fault is None for one in parsed)
                seen.add(kind)
    assert seen == set(kinds)
    assert b"[redacted:" in left.held


def test_the_log_holds_none(left: Traffic) -> None:
    for path in segments(left.proxy.trace_folder):
        with open_segment(path) as file:
            assert found_in(left, file.read()) == []


def run(left: Traffic, *words: str | Path) -> bytes:
    """What a command prints."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), contextlib.suppress(SystemExit):
        main(["--trace", str(left.proxy.trace_folder), *map(str, words)])
    return out.buffer.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_the_commands_print_none(left: Traffic) -> None:
    said = [run(left, *words) for words in (("ls",), ("ls", "--json"), ("calls",), ("calls", "--json"), ("tail",))]
    said += [run(left, "show", session) for session in sorted({call.session_id or "@1" for call in left.calls})]
    for call in left.calls[::7]:
        said += [run(left, "cat", call.id, *more) for more in ((), ("--text",), ("--curl",))]

    assert len(b"".join(said)) > 100_000
    assert found_in(left, b"\n".join(said)) == []


def test_the_index_holds_none(left: Traffic) -> None:
    assert b"SESSION" in run(left, "calls", "--search", "hello")  # which takes all texts in

    held = (left.proxy.trace_folder / "index.sqlite").read_bytes()
    for beside in left.proxy.trace_folder.glob("index.sqlite-*"):
        with contextlib.suppress(FileNotFoundError):  # SQLite takes them away when the last reader closes
            held += beside.read_bytes()
    assert found_in(left, held) == []


@pytest.mark.parametrize("format", ["jsonl", "har", "flow"])
def test_the_exports_hold_none(left: Traffic, tmp_path: Path, format: str) -> None:
    target = tmp_path / f"all.{format}"
    run(left, "export", "--format", format, "-o", target)

    data = target.read_bytes()
    parts = [data]
    if format == "flow":
        for flow in FlowReader(io.BytesIO(data)).stream():
            parts += [opened(side.raw_content) for side in (flow.request, flow.response) if side]
    elif format == "har":
        for entry in json.loads(data)["log"]["entries"]:
            content = entry["response"].get("content", {})
            if content.get("encoding") == "base64":
                parts.append(opened(base64.b64decode(content["text"])))
    assert len(data) > 100_000
    assert found_in(left, b"\n".join(parts)) == []


def test_the_proxy_says_none(left: Traffic) -> None:
    said = left.proxy.process.output

    assert "broken on purpose" in said
    assert found_in(left, said.encode() + left.state) == []


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_what_is_left_is_for_its_user_alone(left: Traffic, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        run(left, "calls", "--search", "hello")
        run(left, "export", "--format", "jsonl", "-o", tmp_path / "made" / "all.jsonl")
        run(left, "export", "--format", "jsonl", "-o", tmp_path / "all.jsonl")
    finally:
        os.umask(before)
    places = [left.proxy.trace_folder, left.home / ".sessiontap"]
    made = [one for place in places for one in (place, *place.rglob("*"))] + [*tmp_path.rglob("*.jsonl")]

    assert {path.suffix for path in made} >= {".zst", ".sqlite", ".key", ".jsonl"}
    assert [path for path in made if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def everything_of(call: RecordedCall) -> bytes:
    record = json.dumps(call.record, default=str, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return b"\n".join([record, opened(call.request_body()), opened(call.response_body())])
