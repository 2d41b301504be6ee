"""An app whose calls carry credentials, each made up for one place of a call alone."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from tests.e2e.lab import Proxy
from tests.support.coding import Coding
from tests.support.dialogue import Request, Respond
from tests.support.made_up import SHAPELESS, SHAPES

from sessiontap.trace import RecordedCall

CHAT = "https://api.openai.com/v1/chat/completions"
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model/some.model"
HOSTS = ("api.openai.com", "*.helicone.ai", "bedrock-runtime.us-east-1.amazonaws.com", "tools.example")
ALL = {**SHAPES, **SHAPELESS}
JSON = ("content-type", "application/json")
OPAQUE = ("content-type", "application/octet-stream")
GATEWAY_KEY = SHAPES["helicone"]()

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
