"""Every place of a call in which a credential may stand: each puts some there."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

from tests.e2e.secret_traffic import (
    ALL,
    BEDROCK,
    CHAT,
    GATEWAY_KEY,
    JSON,
    OPAQUE,
    RULES,
    Traffic,
    chat,
    cut,
    openai_delta,
    sse,
    stream,
    whole,
)
from tests.llm.llm_frames import EVENTSTREAM, error, event, exception
from tests.support.coding import CODINGS, Coding, encode
from tests.support.dialogue import Request, Respond
from tests.support.made_up import SHAPELESS, SHAPES, some_bytes
from tests.support.socket_app import SocketApp

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
