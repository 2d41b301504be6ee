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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import brotli
import httpx2
import pytest
import zstandard
from mitmproxy.io import FlowReader
from tests.e2e.lab import SCRIPTS, Lab, Proxy
from tests.llm.llm_frames import EVENTSTREAM, error, event, exception
from tests.support.coding import CODINGS, Coding, encode
from tests.support.dialogue import Request, Respond
from tests.support.made_up import SHAPELESS, SHAPES, forms, some_bytes
from tests.support.socket_app import SocketApp

from sessiontap.cli.main import main
from sessiontap.llm.eventstream import frames
from sessiontap.trace import RecordedCall
from sessiontap.trace.files import open_segment, segments

CHAT = "https://api.openai.com/v1/chat/completions"
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model/some.model"
HOSTS = ("api.openai.com", "*.helicone.ai", "bedrock-runtime.us-east-1.amazonaws.com", "tools.example")
ALL = {**SHAPES, **SHAPELESS}
JSON = ("content-type", "application/json")
OPAQUE = ("content-type", "application/octet-stream")

Answer = Callable[[Request, Respond], Any]
RULES: dict[str, Any] = {
    "version": 1,
    "hosts": [{"host": "tools.example"}],
    "redact": {"headers": ["X-Of-Mine"], "patterns": ["re:cust-[0-9]{8}", "re:pin=([0-9]{4})"]},
    "rules": [
        {
            "rule": "templates",
            "match": {"header": {"x-template": "*"}},
            "session": {
                "name": "${header.x-template}",
                "id": "${header.x-template}",
                "path": "/a/${header.x-template}",
            },
            "user": "${header.x-template}",
            "properties": {"of": "${header.x-template}", "api_key": "${header.x-named}"},
            "tags": ["${header.x-template}"],
            "state": {"deep": {"list": ["${header.x-template}"], "password": "${header.x-named}"}},
            "headers": {"set": {"X-Copy": "${header.x-template}", "X-Copied-Token": "${header.x-named}"}},
            "send": ["helicone", "traceforge"],
        },
        {
            "rule": "environment",
            "match": {"process": {"name": "curl"}},
            "properties": {"a": "${env.SOME_API_KEY}", "b": "${env.PLAIN_TEXT}", "c": "${env.DATABASE_URL}"},
        },
        {"rule": "gateway", "match": {"header": {"x-way": "gateway"}}, "gateway": "helicone"},
    ],
}


@dataclass
class Traffic:
    """An app that leaves credentials behind, and what it has left."""

    proxy: Proxy
    home: Path
    """The proxy's."""
    answers: dict[str, Answer]
    client: httpx2.Client
    client2: httpx2.Client
    """Of HTTP/2."""
    made: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Credentials by place."""
    place: str = ""
    calls: list[RecordedCall] = field(default_factory=list)
    held: bytes = b""
    """All that a reader gives back of them."""
    found: list[str] = field(default_factory=list)
    """In that."""
    state: bytes = b""
    """The state file, while the proxy ran."""

    def secret(self, shape: str) -> str:
        made = ALL[shape]()
        self.made[self.place].append(made)
        return made

    def own(self, text: str) -> str:
        """One that is made already."""
        self.made[self.place].append(text)
        return text

    def send(
        self,
        url: str = CHAT,
        *,
        headers: Mapping[str, str] | None = None,
        answer: Answer | None = None,
        client: httpx2.Client | None = None,
        **options: Any,
    ) -> None:
        """A call, whose reply may break off; `options` are the client's, a JSON body unless they give one."""
        number = str(len(self.answers))
        self.answers[number] = answer or plain
        if not {"json", "content", "data", "files"} & options.keys():
            options["json"] = chat("hello")
        with contextlib.suppress(httpx2.RemoteProtocolError, httpx2.DecodingError):
            (client or self.client).post(url, headers={"x-answer": number, **(headers or {})}, **options)


def chat(content: Any, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": content}], **more}


async def plain(request: Request, respond: Respond) -> None:
    message = {"role": "assistant", "content": "hi"}
    await respond.whole(200, json.dumps({"model": "gpt-4o", "choices": [{"message": message}]}).encode(), [JSON])


def whole(body: bytes, *headers: tuple[str, str], status: int = 200, coding: Coding | None = None) -> Answer:
    async def answer(request: Request, respond: Respond) -> None:
        await respond.whole(status, body, headers or [JSON], coding=coding)

    return answer


def stream(
    pieces: Iterable[bytes],
    kind: str = "text/event-stream",
    *,
    coding: Coding | None = None,
    trailers: Iterable[tuple[str, str]] = (),
    breaks: bool = False,
) -> Answer:
    async def answer(request: Request, respond: Respond) -> None:
        await respond.start(200, [("content-type", kind)], coding=coding)
        for piece in pieces:
            await respond.send(piece)
        await (respond.close() if breaks else respond.end(trailers))

    return answer


def cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def sse(values: Iterable[Any]) -> list[bytes]:
    return [b"data: " + json.dumps(value).encode() + b"\n\n" for value in values]


def openai_delta(delta: dict[str, Any], choice: int = 0) -> dict[str, Any]:
    return {"object": "chat.completion.chunk", "model": "gpt-4o", "choices": [{"delta": delta, "index": choice}]}


# -- places ------------------------------------------------------------------------------------------------------------

Place = Callable[[Traffic], None]
PLACES: dict[str, Place] = {}


def place(name: str) -> Callable[[Place], Place]:
    def register(act: Place) -> Place:
        PLACES[name] = act
        return act

    return register


@place("authorization, and an error that repeats it")
def _(t: Traffic) -> None:
    for shape in ALL:
        secret = t.secret(shape)
        said = json.dumps({"error": {"message": f"Incorrect API key provided: {secret}.", "type": "invalid"}}).encode()
        t.send(headers={"authorization": f"Bearer {secret}"}, answer=whole(said, status=401))


@place("headers by name")
def _(t: Traffic) -> None:
    for name in ("x-api-key", "api-key", "x-goog-api-key", "x-litellm-api-key", "x-amz-security-token", "x-of-mine"):
        for shape in ("anthropic", "gemini", *SHAPELESS):
            t.send(headers={name: t.secret(shape)})


@place("headers by shape")
def _(t: Traffic) -> None:
    for shape in SHAPES:
        t.send(headers={"x-some": f"key {t.secret(shape)}!", "referer": f"https://a.example/{t.secret(shape)}"})


@place("cookies")
def _(t: Traffic) -> None:
    cookie = f"sid={t.secret('letters')}; theme={t.secret('hex')}"
    back = [JSON, ("set-cookie", f"sid={t.secret('letters')}; path=/"), ("set-cookie", f"b={t.secret('hex')}")]
    t.send(headers={"cookie": cookie}, answer=whole(b"{}", *back))


@place("basic authentication")
def _(t: Traffic) -> None:
    password = t.secret("letters")
    both = base64.b64encode(f"me:{password}".encode()).decode()
    t.send(headers={"authorization": f"Basic {t.own(both)}"}, json=chat(f"my password is {password}, in short {both}"))


@place("AWS signatures")
def _(t: Traffic) -> None:
    key, signature = t.secret("aws-key-id"), t.own(some_bytes(32).hex())
    scope = "20260101/us-east-1/bedrock/aws4_request"
    header = f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders=host;x-amz-date, Signature={signature}"
    t.send(f"{BEDROCK}/converse", headers={"authorization": header, "x-amz-security-token": t.secret("base64")})
    query = {
        "X-Amz-Credential": f"{t.secret('aws-key-id')}/{scope}",
        "X-Amz-Security-Token": t.secret("base64"),
        "X-Amz-Signature": t.own(some_bytes(32).hex()),
    }
    t.send(f"{BEDROCK}/converse?{urlencode(query)}", json=chat(f"see https://s3.example/o?a=1&{urlencode(query)}"))


@place("URLs")
def _(t: Traffic) -> None:
    for shape in ALL:
        t.send(f"{CHAT}?key={quote(t.secret(shape), safe='')}&access_token={quote(t.secret(shape), safe='')}&a=1")
    for shape in SHAPES:
        t.send(f"https://tools.example/keys/{t.secret(shape)}/use?of={t.secret(shape)}")
    t.client.get(f"https://me:{t.secret('letters')}@tools.example/x", headers={"x-answer": "0"})


@place("JSON bodies")
def _(t: Traffic) -> None:
    deep: Any = "end"
    for shape in SHAPES:
        deep = {"deeper": [deep, f"use {t.secret(shape)}"], t.secret(shape): 1}
    t.send(json=chat("hello", metadata=deep))


@place("prompts")
def _(t: Traffic) -> None:
    for shape in SHAPES:
        text = (
            f"My key is {t.secret(shape)}.\n{t.secret(shape)}\nKEY='{t.secret(shape)}' and (\"{t.secret(shape)}\")"
            f"\tcurl -H 'Authorization: Bearer {t.secret(shape)}' <{t.secret(shape)}> é{t.secret(shape)}ü"
        )
        t.send(json=chat(text))
        parts = chat([{"type": "text", "text": text}])
        t.send(content=json.dumps(parts, ensure_ascii=False).encode(), headers=dict([JSON]))


@place("values of a credential's name")
def _(t: Traffic) -> None:
    for shape in SHAPELESS:
        s = lambda: t.secret(shape)  # noqa: B023, E731
        text = (
            f"export AZURE_API_KEY={s()}\naws_secret_access_key = {s()}\nx-api-key: {s()}\nBearer {s()}\n"
            f"apiKey: '{s()}', \"client_secret\": \"{s()}\"\nhttps://me:{quote(s(), safe='')}@git.example/x.git\n"
            f"https://a.example/?b=1&access_token={quote(s(), safe='')}\nCookie: sid={s()}; b=1\n"
        )
        t.send(json=chat(text))


@place("tool arguments: JSON in JSON in JSON")
def _(t: Traffic) -> None:
    for shape in ALL:
        inner = json.dumps({"api_key": t.secret(shape), "note": f"or {t.secret(shape)}" if shape in SHAPES else ""})
        outer = json.dumps({"body": json.dumps({"body": inner}), "client_secret": t.secret(shape)})
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": outer}}
        reply = {"model": "gpt-4o", "choices": [{"message": {"role": "assistant", "tool_calls": [call]}}]}
        t.send(json=chat(inner, tools=[outer]), answer=whole(json.dumps(reply).encode()))


@place("JSON with escapes where none are needed")
def _(t: Traffic) -> None:
    for shape in ("base64", "bedrock", "bedrock-short"):
        for change in ({"/": "\\/"}, {"+": "\\u002B", "/": "\\u002F", "=": "\\u003D"}):
            secret = t.secret(shape)
            written = "".join(change.get(letter, letter) for letter in secret)
            t.send(content=f'{{"api_key":"{written}"}}'.encode(), headers=dict([JSON]))


@place("forms")
def _(t: Traffic) -> None:
    for shape in ALL:
        t.send("https://tools.example/token", data={"client_secret": t.secret(shape), "password": t.secret(shape)})
        files = {"file": ("a.txt", f"token {t.secret(shape)}" if shape in SHAPES else "a")}
        t.send("https://tools.example/upload", data={"api_key": t.secret(shape)}, files=files)


@place("the call's own key, wherever it comes again")
def _(t: Traffic) -> None:
    for shape in SHAPELESS:
        for header in ("api-key", "x-goog-api-key", "authorization"):
            secret = t.secret(shape)
            pieces = [openai_delta({"content": piece}) for piece in cut(f"It is {secret}, I think.", 5)]
            t.send(
                f"{CHAT}?trace={quote(secret, safe='')}",
                headers={header: secret, "x-template": secret, "x-note": f"it is {secret}"},
                json=chat(f"What is {secret}? And {quote(secret, safe='')}?", tools=[json.dumps({"a": secret})]),
                answer=stream(sse(pieces)),
            )


@place("streams of chat completions")
def _(t: Traffic) -> None:
    for shape in SHAPES:
        for size in (1, 3, 17):
            t.send(answer=stream(sse(openai_delta({"content": p}) for p in cut(f"is {t.secret(shape)} ok?", size))))


@place("streams whose choices alternate")
def _(t: Traffic) -> None:
    for shape in ("openai", "anthropic", "jwt"):
        one, two = cut(f"a {t.secret(shape)} b", 4), cut(f"c {t.secret(shape)} d", 4)
        both = zip(one, two, strict=True)
        each = [openai_delta({"content": piece}, number) for pair in both for number, piece in enumerate(pair)]
        t.send(answer=stream(sse(each)))
        three, four = cut(f"a {t.secret(shape)} b", 4), cut(f"c {t.secret(shape)} d", 4)
        together = [
            {"choices": [{"index": 0, "delta": {"content": a}}, {"index": 1, "delta": {"content": b}}]}
            for a, b in zip(three, four, strict=True)
        ]
        t.send(answer=stream(sse(together)))


@place("streams of tool arguments")
def _(t: Traffic) -> None:
    for shape in ALL:
        calls = [cut(json.dumps({"command": "login", "api_key": t.secret(shape)}), 5) for _ in range(2)]
        chunks = [
            openai_delta({"tool_calls": [{"index": number, "function": {"arguments": piece}}]})
            for pair in zip(*calls, strict=True)
            for number, piece in enumerate(pair)
        ]
        t.send(answer=stream(sse(chunks)))


@place("streams of Anthropic")
def _(t: Traffic) -> None:
    url = "https://api.openai.com/v1/messages"
    for shape in ("anthropic", "github", "azure", "gemini"):
        for name in ("text", "thinking", "partial_json"):
            kind = {"partial_json": "input_json_delta"}.get(name, f"{name}_delta")
            pieces = cut(json.dumps({"key": t.secret(shape)}), 3)
            deltas = [{"type": "content_block_delta", "index": 1, "delta": {"type": kind, name: p}} for p in pieces]
            t.send(url, answer=stream(sse(deltas)))


@place("streams of Responses")
def _(t: Traffic) -> None:
    for shape in ("openai-project", "groq", "jwt"):
        secret = t.secret(shape)
        events = [
            {"type": "response.output_text.delta", "output_index": 0, "sequence_number": n, "delta": piece}
            for n, piece in enumerate(cut(f"is {secret} ok", 2))
        ]
        events.append({"type": "response.output_text.done", "text": f"is {secret} ok"})
        t.send("https://api.openai.com/v1/responses", json={"input": "?"}, answer=stream(sse(events)))


@place("streams of a JSON value a line, of arrays")
def _(t: Traffic) -> None:
    for shape in ("anthropic", "gemini", "huggingface"):
        lines = [json.dumps({"message": {"content": p}}).encode() + b"\n" for p in cut(f"a {t.secret(shape)} b", 3)]
        t.send("https://tools.example/api/chat", answer=stream(lines, "application/x-ndjson"))
        parts = [{"candidates": [{"content": {"parts": [{"text": p}]}}]} for p in cut(f"a {t.secret(shape)} b", 3)]
        t.send("https://tools.example/v1", answer=stream([json.dumps(parts, indent=1).encode()], "application/json"))


@place("AWS event streams")
def _(t: Traffic) -> None:
    for shape in SHAPES:
        said = cut(f"it is {t.secret(shape)}, ok?", 6)
        converse = [
            event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": p}, "p": "abc"}) for p in said
        ]
        tool = [
            event("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": p}}})
            for p in cut(json.dumps({"api_key": t.secret(shape)}), 6)
        ]
        failed = [exception("throttlingException", f"{t.secret(shape)}!"), error("E", f"no {t.secret(shape)}")]
        t.send(f"{BEDROCK}/converse-stream", answer=stream([*converse, *tool, *failed], EVENTSTREAM))
        inner = [
            json.dumps({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": p}})
            for p in [*cut(f"it is {t.secret(shape)}, ok?", 6), f"and {t.secret(shape)}"]
        ]
        chunks = [event("chunk", {"bytes": base64.b64encode(one.encode()).decode(), "p": "abcdef"}) for one in inner]
        body = b"".join(chunks)
        t.send(f"{BEDROCK}/invoke-with-response-stream", answer=stream([body[:-40]], EVENTSTREAM, breaks=True))


@place("bodies byte by byte")
def _(t: Traffic) -> None:
    body = b"".join(sse([openai_delta({"content": f"{t.secret('anthropic')} {t.secret('jwt')}"})]))
    t.send(answer=stream([body[at : at + 1] for at in range(len(body))]))


@place("compressed bodies")
def _(t: Traffic) -> None:
    for coding in CODINGS:
        body = json.dumps(chat(f"is it {t.secret('openai')}?")).encode()
        t.send(content=encode(body, coding), headers={"content-encoding": coding, **dict([JSON])})
        t.send(answer=whole(json.dumps(chat(t.secret("openai"))).encode(), coding=coding))
        t.send(answer=stream(sse(openai_delta({"content": p}) for p in cut(t.secret("groq"), 4)), coding=coding))


@place("bodies that cannot be decoded")
def _(t: Traffic) -> None:
    def broken(text: str, coding: Coding) -> bytes:
        data = encode((f"{text} " + some_bytes(20_000).hex()).encode(), coding)
        return data[: len(data) // 2] + b"\xff\xfe\x00 broken " * 20 + data[len(data) // 2 :]

    for coding in CODINGS:
        t.send(content=broken(t.secret("openai"), coding), headers={"content-encoding": coding})
        t.send(answer=whole(broken(t.secret("openai"), coding), ("content-encoding", coding), OPAQUE))
    t.send(content=f"not compressed {t.secret('openai')}".encode(), headers={"content-encoding": "gzip"})


@place("bodies that are no text")
def _(t: Traffic) -> None:
    for body in (b"\xff\xfe\x80%s\xe9", b"caf\xe9: %s \xa3", b"\0\0\0\1%s\0"):
        t.send(content=body % t.secret("openai").encode(), headers={"content-type": "application/octet-stream"})
        t.send(answer=whole(body % t.secret("groq").encode(), ("content-type", "application/grpc")))


@place("bodies over the cap")
def _(t: Traffic) -> None:
    for before in (15_000, 19_950):  # the cap of these tests is 20,000
        t.send(json=chat("x " * (before // 2) + f" {t.secret('anthropic')} " + "y " * 20_000))
        t.send(answer=stream([b"data: " + b"x " * (before // 2) + t.secret("anthropic").encode() + b" y" * 20_000]))


@place("response headers and trailers")
def _(t: Traffic) -> None:
    for shape in SHAPES:
        headers = [JSON, ("x-request-id", t.secret(shape)), ("location", f"https://a.example/?code={t.secret(shape)}")]
        t.send(answer=whole(b"{}", *headers, ("x-ratelimit-limit-requests", t.secret(shape))))
        trailers = [("x-end", t.secret(shape)), ("x-api-key", t.secret("hex"))]
        t.send(answer=stream([b"data: {}\n\n"], trailers=trailers), client=t.client2)


@place("what a server says of itself")
def _(t: Traffic) -> None:
    for shape in SHAPES:
        call = {"id": t.secret(shape), "type": "function", "function": {"name": t.secret(shape), "arguments": "{}"}}
        reply = {
            "id": t.secret(shape),
            "model": t.secret(shape),
            "service_tier": t.secret(shape),
            "choices": [{"message": {"tool_calls": [call]}, "finish_reason": t.secret(shape)}],
        }
        t.send(json={**chat("a"), "model": t.secret(shape)}, answer=whole(json.dumps(reply).encode()))
        fault = {"error": {"type": t.secret(shape), "code": t.secret(shape), "message": t.secret(shape)}}
        t.send(answer=stream(sse([fault])))


@place("templates")
def _(t: Traffic) -> None:
    for shape in SHAPES:
        t.send(headers={"x-template": t.secret(shape), "x-named": t.secret("letters")})


@place("gateway")
def _(t: Traffic) -> None:
    t.send(headers={"x-way": "gateway", "authorization": f"Bearer {t.secret('openai')}"})
    t.own(GATEWAY_KEY)


@place("processes")
def _(t: Traffic) -> None:
    folder = t.home / f"work.{t.secret('github')}"
    folder.mkdir()
    proxy = t.proxy.url.replace("://", f"://me.{t.secret('groq')}:{t.secret('letters')}@")
    command = [
        "curl", "-s", "--cacert", str(t.proxy.ca), "-x", proxy, "-o", os.devnull,
        "-H", f"Authorization: Bearer {t.secret('hex')}", "-H", f"X-Some: {t.secret('openai')}",
        "-b", f"sid={t.secret('letters')}", "-u", f"me:{t.secret('letters')}", "--oauth2-bearer", t.secret("letters"),
        "-A", f"agent/{t.secret('slack')}", "-H", "x-answer: 0",
        "-d", json.dumps(chat(f"{t.secret('openai')} {t.secret('jwt')}")),
        "--url-query", f"key={t.secret('letters')}", f"{CHAT}?api_key={t.secret('hex')}",
    ]  # fmt: skip
    own = {
        "SOME_API_KEY": t.secret("hex"),
        "PLAIN_TEXT": f"and {t.secret('xai')}",
        "DATABASE_URL": f"postgres://me:{t.secret('letters')}@db.example/x",
    }
    t.proxy.run(["env", "-C", folder, *command], own)


@place("WebSockets")
def _(t: Traffic) -> None:
    for shape in SHAPES:
        asked, told, late = t.secret(shape), t.secret(shape), t.secret("hex")
        headers = {"Authorization": f"Bearer {late}", "x-said": json.dumps([told, late]), "x-answer": "0"}
        url = f"wss://api.openai.com/v1/responses?token={t.secret('letters')}"
        with SocketApp(url, proxy=t.proxy.url, ca=t.proxy.ca, additional_headers=headers) as socket:
            create = {"type": "response.create", "model": "gpt-4o", "input": f"{asked} or {late}?"}
            socket.send(json.dumps(create))
            while json.loads(socket.receive())["type"] != "response.completed":
                pass


async def talk(request: Request, respond: Respond) -> None:
    """Says what the upgrade's header names, letter by letter."""
    socket = await respond.websocket()
    said = json.loads(request.headers.get("x-said") or "[]")
    async for _ in socket:
        first = {"id": "resp_1", "model": "gpt-4o", "instructions": "long " * 2000}
        await socket.send(json.dumps({"type": "response.created", "response": first}))
        for piece in cut(f"it is {' and '.join(said)}, ok", 3):
            await socket.send(json.dumps({"type": "response.output_text.delta", "output_index": 0, "delta": piece}))
        await socket.send(json.dumps({"type": "response.completed", "response": {"id": "resp_1", "output": []}}))


@place("the redaction rules' own")
def _(t: Traffic) -> None:
    text = f"{t.own('cust-40718842')} has pin={'7' * 3}1"
    t.send(json=chat(text), answer=stream(sse(openai_delta({"content": p}) for p in cut(t.own("cust-99318846"), 4))))


@place("notes, faults and the terminal")
def _(t: Traffic) -> None:
    wrong = {"rule": "x", "session": {"name": t.secret("openai")}, t.secret("groq"): t.secret("anthropic")}
    t.proxy.write_rules({**RULES, "rules": [wrong, *RULES["rules"]], t.secret("xai"): 1})
    t.send()
    t.proxy.wait_notes("rules")
    t.proxy.write_rules(RULES)
    t.send()
    t.send("https://tools.example/break", json={"break": t.secret("jwt")})


GATEWAY_KEY = SHAPES["helicone"]()


# -- what is left behind -----------------------------------------------------------------------------------------------


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
